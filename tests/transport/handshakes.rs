//! Who comes to a listener with something else than what it speaks, and what comes before a handshake.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::TestApp;
use crate::support::client::{exchange_over, parse};

use super::{Http2, Pair};

/// A TLS client's first words: a record of the handshake, and a hello within.
const HELLO: &[u8] = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03";

/// All that comes back, until a clean end: no reset.
async fn answer(stream: &mut TcpStream, sent: &[u8]) -> Vec<u8> {
    stream.write_all(sent).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer));
    read.await
        .expect("the connection is closed")
        .expect("without a reset");
    answer
}

#[tokio::test]
async fn what_is_not_spoken_is_closed_cleanly() {
    let pair = Pair::new();
    let (app, tls) = pair.app(&[("server.http2", "on")]).await;
    let mut plain_on_tls = TcpStream::connect(tls).await.unwrap();
    let said = answer(&mut plain_on_tls, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(said.first() == Some(&0x15), "a TLS alert: {said:?}");
    let mut tls_on_plain = TcpStream::connect(app.client.0).await.unwrap();
    let said = answer(&mut tls_on_plain, HELLO).await;
    assert!(said.is_empty(), "it is no HTTP: {said:?}");
    for other in [&["h3"][..], &["spdy/3", "acme-tls/1"]] {
        let error = pair.connect(tls, other).await.unwrap_err();
        assert!(
            error.to_string().contains("NoApplicationProtocol"),
            "{error}"
        );
    }
    let link = app.link("file_abc123", "").await;
    assert_eq!(app.client.get(&link, &[]).await.status, 200);
}

/// A client that speaks HTTP/1.0 says so in its handshake.
#[tokio::test]
async fn http_1_0_is_spoken_over_tls_too() {
    let pair = Pair::new();
    for setting in ["off", "tls"] {
        let (app, tls) = pair.app(&[("server.http2", setting)]).await;
        let link = app.link("file_abc123", "").await;
        let plain = app.client.get(&link, &[]).await;
        let mut stream = pair.connect(tls, &["http/1.0"]).await.unwrap();
        let request = format!("GET {link} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.0 200 "), "{setting}");
        assert!(answer.ends_with(&[b"\r\n\r\n", &plain.body[..]].concat()));
    }
}

#[tokio::test]
async fn http_2_is_spoken_where_the_configuration_says() {
    for (setting, over_tls, by_prior_knowledge) in [
        ("off", false, false),
        ("tls", true, false),
        ("on", true, true),
    ] {
        let pair = Pair::new();
        let (app, tls) = pair.app(&[("server.http2", setting)]).await;
        let link = app.link("file_abc123", "").await;
        let stream = pair.connect(tls, &["h2", "http/1.1"]).await.unwrap();
        let chosen = stream.get_ref().1.alpn_protocol().unwrap();
        assert_eq!(chosen == b"h2", over_tls, "{setting}");
        let mut plain = TcpStream::connect(app.client.0).await.unwrap();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        plain.write_all(preface).await.unwrap();
        let mut first = [0; 9];
        let read = plain.read_exact(&mut first).await;
        // A SETTINGS frame, or nothing of HTTP/2.
        let is_http2 = read.is_ok() && first[3] == 4;
        assert_eq!(is_http2, by_prior_knowledge, "{setting}: {first:?}");
        // HTTP/1 is spoken everywhere, also where what is asked begins as the preface does.
        assert_eq!(app.client.get(&link, &[]).await.status, 200);
        let odd = b"PRI / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let reply = app.client.send(odd, false).await;
        assert_eq!(reply.status, 501, "{setting}");
    }
}

#[tokio::test]
async fn links_begin_with_https_where_the_first_listener_speaks_tls() {
    let pair = Pair::new();
    let certificate = pair.certificate().display().to_string();
    let key = pair.key().display().to_string();
    let app = TestApp::start_with(&[
        ("server.listen", "tls:127.0.0.1:0"),
        ("server.listen", "127.0.0.1:0"),
        ("server.tls_certificate", &certificate),
        ("server.tls_key", &key),
    ])
    .await;
    let base = app.gateway.settings().public_base_url.clone();
    let address = app.listeners[0].address().unwrap();
    assert_eq!(base, format!("https://{address}"));
}

#[tokio::test]
async fn a_proxy_announces_its_client_before_the_handshake() {
    let pair = Pair::new();
    let (app, tls) = pair
        .app(&[
            ("server.proxy_protocol", "required"),
            ("server.trusted_proxies", "127.0.0.1"),
            ("server.http2", "on"),
        ])
        .await;
    let link = app.operator_link("file_abc123", "192.0.2.1").await;
    for (client, status) in [("192.0.2.1", 200), ("192.0.2.2", 401)] {
        let line = format!("PROXY TCP4 {client} 10.0.0.1 4711 443\r\n");
        let mut stream = TcpStream::connect(tls).await.unwrap();
        stream.write_all(line.as_bytes()).await.unwrap();
        let stream = pair.connect_over(stream, &["http/1.1"]).await.unwrap();
        let request = format!("GET {link} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = exchange_over(stream, request.as_bytes(), false).await;
        assert_eq!(parse(&answer, false).status, status);
        let mut stream = TcpStream::connect(app.client.0).await.unwrap();
        stream.write_all(line.as_bytes()).await.unwrap();
        assert_eq!(
            Http2::over(stream).await.get(&link, &[]).await.status,
            status
        );
    }
}

#[tokio::test]
async fn tls_1_1_is_refused() {
    let pair = Pair::new();
    let (_app, tls) = pair.app(&[]).await;
    let mut stream = TcpStream::connect(tls).await.unwrap();
    // A whole hello of TLS 1.1, with one cipher suite and no extension.
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x14, 1, 0]);
    let said = answer(&mut stream, &hello).await;
    // A fatal alert.
    assert_eq!((said[0], said[5]), (0x15, 2), "{said:?}");
}

/// Sends this, and answers what comes back until the connection ends.
async fn until_its_end<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, sent: &[u8]) -> Vec<u8> {
    let mut came = Vec::new();
    let work = async {
        stream.write_all(sent).await.unwrap();
        // It may end in the midst of what is sent.
        let _ = stream.read_to_end(&mut came).await;
    };
    let done = tokio::time::timeout(Duration::from_secs(20), work).await;
    done.expect("the connection is closed");
    came
}

/// A connection error of the type PROTOCOL_ERROR, whose GOAWAY may be left out (RFC 9113, §3.4).
#[tokio::test]
async fn an_invalid_preface_is_answered_by_goaway_or_a_close_and_not_as_http_1() {
    let pair = Pair::new();
    let (app, tls) = pair.app(&[("server.http2", "on")]).await;
    for preface in [
        "INVALID CONNECTION PREFACE\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        "PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n",
        "PRI * HTTP/2.0\n\nSM\n\n",
        "PRI /x HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "pri * http/2.0\r\n\r\nsm\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        "\0\0\0\x04\0\0\0\0\0",
        "\0\0\0\x04\0\0\0\0\0PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let plain = TcpStream::connect(app.client.0).await.unwrap();
        let secure = pair.connect(tls, &["h2"]).await.unwrap();
        let answers = [
            ("plain", until_its_end(plain, preface.as_bytes()).await),
            ("TLS", until_its_end(secure, preface.as_bytes()).await),
        ];
        for (way, answer) in answers {
            let text = String::from_utf8_lossy(&answer);
            assert!(!text.contains("HTTP/"), "{way} {preface:?}: {text}");
            // Frames, if anything: a SETTINGS and a GOAWAY.
            let mut rest = answer.as_slice();
            while let [a, b, c, kind, ..] = rest {
                assert!(matches!(kind, 4 | 7), "{way} {preface:?}: {answer:?}");
                let length = 9 + u32::from_be_bytes([0, *a, *b, *c]) as usize;
                rest = &rest[length..];
            }
        }
    }
    // Where a client chose HTTP/2 in its handshake, a request of HTTP/1 is an invalid preface, too.
    let secure = pair.connect(tls, &["h2"]).await.unwrap();
    let answer = until_its_end(secure, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(
        !String::from_utf8_lossy(&answer).contains("HTTP/"),
        "{answer:?}"
    );
    // It is HTTP/1 all the same where it comes in pieces, behind empty lines.
    let mut plain = TcpStream::connect(app.client.0).await.unwrap();
    plain.set_nodelay(true).unwrap();
    for piece in [
        "\r\n",
        "G",
        "ET / HT",
        "TP/1.1\r\nHost: x\r\nConnection: close\r\n",
        "\r\n",
    ] {
        plain.write_all(piece.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
    }
    let answer = until_its_end(plain, b"").await;
    assert!(answer.starts_with(b"HTTP/1.1 404 "), "{answer:?}");
}
