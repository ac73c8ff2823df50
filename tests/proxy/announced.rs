//! Connections that a proxy announces with the PROXY protocol.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use crate::support::app::{PNG, TestApp};
use crate::support::client::{exchange_over, parse};

const LINE: &str = "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n";

async fn app(trusted: &str) -> TestApp {
    TestApp::start_with(&[
        ("server.trusted_proxies", trusted),
        ("server.proxy_protocol", "required"),
    ])
    .await
    .with_org_123()
    .await
}

/// What comes back when a link is asked for behind these bytes; nothing where the connection is cut off.
async fn answer(app: &TestApp, announcement: &[u8], header: &str) -> Vec<u8> {
    let link = app.operator_link("file_abc123", "192.0.2.1").await;
    let request = format!("GET {link} HTTP/1.1\r\nHost: x\r\n{header}Connection: close\r\n\r\n");
    let bytes = [announcement, request.as_bytes()].concat();
    let mut stream = TcpStream::connect(app.client.0).await.unwrap();
    let mut answer = Vec::new();
    let sent = stream.write_all(&bytes).await;
    let read = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || (sent.is_ok() && read.is_ok()));
    answer
}

#[tokio::test]
async fn the_announced_client_is_the_one_that_asks() {
    let app = app("127.0.0.1").await;
    let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x0a\0\0\x01\x12\x67\0\x50";
    for announcement in [LINE.as_bytes(), binary] {
        let reply = parse(&answer(&app, announcement, "").await, false);
        assert_eq!((reply.status, reply.body.as_slice()), (200, PNG));
    }
    for announcement in [
        "PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n",
        "PROXY UNKNOWN\r\n",
    ] {
        // A header of somebody who is no proxy is nothing, however it is spelled.
        let header = "X-Forwarded-For: 192.0.2.1\r\n";
        parse(&answer(&app, announcement.as_bytes(), header).await, false).is_dead_link();
    }
    let behind_two = "PROXY TCP4 127.0.0.1 10.0.0.1 4711 80\r\n";
    let header = "X-Forwarded-For: 192.0.2.1\r\n";
    let reply = parse(&answer(&app, behind_two.as_bytes(), header).await, false);
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn whoever_announces_nothing_or_may_not_is_cut_off() {
    let strict = app("127.0.0.1").await;
    for announcement in ["", "PROXY TCP4 192.0.2.1\r\n", "PROXY TCP4 x y 1 2\r\n"] {
        let answer = answer(&strict, announcement.as_bytes(), "").await;
        assert!(answer.is_empty(), "{announcement}");
    }
    let elsewhere = app("10.0.0.0/8").await;
    assert!(answer(&elsewhere, LINE.as_bytes(), "").await.is_empty());
}

#[tokio::test]
async fn a_unix_socket_s_connections_are_announced_as_well() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("h.sock");
    let app = TestApp::start_with(&[
        ("server.listen", "127.0.0.1:0"),
        ("server.listen", &format!("unix:{}", path.display())),
        ("server.trusted_proxies", "unix"),
        ("server.proxy_protocol", "required"),
    ])
    .await
    .with_org_123()
    .await;
    let link = app.operator_link("file_abc123", "192.0.2.1").await;
    let request = format!("{LINE}GET {link} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let stream = UnixStream::connect(&path).await.unwrap();
    let reply = parse(
        &exchange_over(stream, request.as_bytes(), false).await,
        false,
    );
    assert_eq!((reply.status, reply.body.as_slice()), (200, PNG));
    assert!(
        answer(&app, LINE.as_bytes(), "").await.is_empty(),
        "no trusted peer"
    );
}

#[tokio::test]
async fn a_connection_that_announces_nothing_holds_up_no_end() {
    let app = app("127.0.0.1").await;
    let mut silent = TcpStream::connect(app.client.0).await.unwrap();
    // One answer later the silent one has been accepted.
    answer(&app, LINE.as_bytes(), "").await;
    let stopping = app.stop();
    let stopped = tokio::time::timeout(Duration::from_secs(10), stopping).await;
    assert!(stopped.is_ok());
    assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0);
}
