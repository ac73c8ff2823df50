//! Certificates that cannot be used, and such as are replaced while connections are open.

use std::time::{Duration, Instant};

use crate::cli::support::{Place, set_mode, text};
use crate::support::client::{exchange_over, parse};

use super::{Http2, Pair, generated, write};

/// What `serve` says of this pair; it must not start.
fn refused(place: &Place, certificate: &str, key: &str) -> String {
    let words = ["serve", "--listen", "tls:127.0.0.1:0"];
    let output = place
        .command(&words)
        .env("HALLPASS_SERVER_TLS_CERTIFICATE", place.path(certificate))
        .env("HALLPASS_SERVER_TLS_KEY", place.path(key))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{certificate} {key}: {said}");
    print!("{said}");
    said
}

#[test]
fn a_pair_that_cannot_be_used_is_refused_with_2() {
    let place = Place::new();
    let (certificate, key) = generated();
    let (_, other_key) = generated();
    let secret = key.lines().nth(1).unwrap().to_owned();
    for (name, content) in [
        ("certificate", certificate.clone()),
        ("key", key.clone()),
        ("other_key", other_key),
        ("empty", String::new()),
        ("garbage", "\u{0}\u{1}garbage".into()),
        ("two_keys", format!("{key}{key}")),
        ("cut_key", key[..key.len() / 2].into()),
        (
            "false_key",
            "-----BEGIN PRIVATE KEY-----\nZ2FyYmFnZQ==\n-----END PRIVATE KEY-----\n".into(),
        ),
        (
            "false_certificate",
            "-----BEGIN CERTIFICATE-----\nZ2FyYmFnZQ==\n-----END CERTIFICATE-----\n".into(),
        ),
        (
            "half_chain",
            format!(
                "{certificate}-----BEGIN CERTIFICATE-----\nZ2FyYmFnZQ==\n-----END CERTIFICATE-----\n"
            ),
        ),
        (
            "bad_base64",
            "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n".into(),
        ),
        ("huge", "x".repeat((1 << 20) + 1)),
    ] {
        set_mode(&place.file(name, content.as_bytes()), 0o600);
    }
    for (certificate, key, why) in [
        ("missing", "key", "cannot read"),
        ("certificate", "missing", "cannot read"),
        ("empty", "key", "has no certificate"),
        ("garbage", "key", "has no certificate"),
        ("key", "key", "has no certificate"),
        ("bad_base64", "key", "is no PEM file"),
        ("huge", "key", "is no PEM file"),
        (".", "key", "is no PEM file"),
        ("false_certificate", "key", "has a certificate that is none"),
        ("half_chain", "key", "has a certificate that is none"),
        ("certificate", "empty", "has no private key"),
        ("certificate", "garbage", "has no private key"),
        ("certificate", "certificate", "has no private key"),
        ("certificate", "cut_key", "is no PEM file"),
        ("certificate", "two_keys", "has more than one private key"),
        ("certificate", "false_key", "holds a key of no known kind"),
        ("certificate", "other_key", "is not the certificate's"),
    ] {
        let said = refused(&place, certificate, key);
        assert!(said.contains(why), "{certificate} {key}: {said}");
        assert!(!said.contains(&secret), "{said}");
    }
    for mode in [0o640, 0o604, 0o660, 0o644] {
        set_mode(&place.path("key"), mode);
        let said = refused(&place, "certificate", "key");
        assert!(said.contains(&format!("has mode {mode:04o}")), "{said}");
    }
}

/// Serves over TLS, with this pair.
fn serve(place: &Place, pair: &Pair) -> crate::cli::support::Serving {
    let mut command = place.command(&["serve", "--listen", "tls:127.0.0.1:0"]);
    command
        .env("HALLPASS_SERVER_TLS_CERTIFICATE", pair.certificate())
        .env("HALLPASS_SERVER_TLS_KEY", pair.key());
    crate::cli::support::Serving::of(command)
}

#[tokio::test]
async fn a_new_pair_is_taken_up_while_connections_are_open_and_a_bad_one_is_not() {
    let (place, pair) = (Place::new(), Pair::new());
    let file = place.add("a.txt", b"bytes");
    let mut serving = serve(&place, &pair);
    let base = serving.url();
    let address = base.strip_prefix("https://").unwrap().parse().unwrap();
    let link = text(&place.sign(&base, &file, &[]), "download_url");
    let link = crate::support::app::target(&link);
    let mut old = Http2::over(pair.connect(address, &["h2"]).await.unwrap()).await;
    assert_eq!(old.get(&link, &[]).await.body, b"bytes");

    for _ in 0..2 {
        pair.renew();
        let begun = Instant::now();
        while pair.connect(address, &["h2"]).await.is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "it is not taken up"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!(
            "taking up a new pair, promised in 1 s: {:?}",
            begun.elapsed()
        );
        assert_eq!(
            old.get(&link, &[]).await.body,
            b"bytes",
            "an open one goes on"
        );
    }

    // Half a pair, then garbage: each is said once, and the pair in use stays.
    let kept = pair.der();
    let certificate = std::fs::read_to_string(pair.certificate()).unwrap();
    for bad in [generated().0, "garbage".into()] {
        write(&pair.certificate(), &bad);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    write(&pair.certificate(), &certificate);
    assert_eq!(pair.der(), kept);
    let mut new = Http2::over(pair.connect(address, &["h2"]).await.unwrap()).await;
    assert_eq!(new.get(&link, &[]).await.body, b"bytes");
    tokio::time::sleep(Duration::from_secs(2)).await;
    serving.signal("HUP");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stream = pair.connect(address, &["http/1.1"]).await.unwrap();
    let request = format!("GET {link} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let answer = exchange_over(stream, request.as_bytes(), false).await;
    assert_eq!(parse(&answer, false).body, b"bytes");
    let (ended, _, log) = serving.stop("TERM");
    assert_eq!(ended.code(), Some(0), "{log}");
    let count = |said: &str| log.lines().filter(|line| line.contains(said)).count();
    assert_eq!(
        count("the certificate cannot be used: the old one stays"),
        2,
        "{log}"
    );
    // Twice renewed, once put back, once asked for.
    assert_eq!(count("the certificate was read again"), 4, "{log}");
}

/// A browser that was told so goes to this host over TLS alone (RFC 6797, §7.1); without TLS nobody is told (§7.2).
#[tokio::test]
async fn every_answer_over_tls_has_the_policy_that_is_set_and_no_other_one_has() {
    const NAME: &str = "strict-transport-security";
    const VALUE: &str = "max-age=31536000; includeSubDomains";
    for (settings, expected) in [
        (
            vec![("server.hsts", VALUE), ("server.http2", "on")],
            Some(VALUE),
        ),
        (vec![("server.http2", "on")], None),
    ] {
        let pair = Pair::new();
        let (app, tls) = pair.app(&settings).await;
        let link = app.link("file_abc123", "").await;
        let calls = [
            ("GET", link.clone(), 200),
            ("HEAD", link.clone(), 200),
            ("OPTIONS", link.clone(), 204),
            ("GET", format!("{link}x"), 401),
            ("POST", link, 405),
            ("GET", "/nowhere".to_owned(), 404),
        ];
        let mut over_h2 = Http2::over(pair.connect(tls, &["h2"]).await.unwrap()).await;
        let mut over_h2c = Http2::plain(app.client.0).await;
        for (method, target, status) in &calls {
            let request =
                format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let stream = pair.connect(tls, &["http/1.1"]).await.unwrap();
            let is_head = *method == "HEAD";
            let answer = exchange_over(stream, request.as_bytes(), is_head).await;
            let over_h1 = parse(&answer, is_head);
            let plain = app.client.send(request.as_bytes(), is_head).await;
            let over_h2 = over_h2.request(method, target, &[], b"").await.unwrap();
            let over_h2c = over_h2c.request(method, target, &[], b"").await.unwrap();
            for reply in [&over_h1, &over_h2] {
                assert_eq!(reply.status, *status, "{method} {target}");
                assert_eq!(reply.header(NAME), expected, "{method} {target}");
            }
            for reply in [&plain, &over_h2c] {
                assert_eq!(reply.status, *status, "{method} {target}");
                assert_eq!(reply.header(NAME), None, "{method} {target}");
            }
        }
    }
}
