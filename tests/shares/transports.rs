//! The calls over every transport, below a mount, and of many files.

use serde_json::{Value, json};

use super::{ALL, answered, call, closed, closed_url, code_of, fixture, fixture_with, made, one};
use crate::support::client::{Reply, exchange_over, parse};
use crate::support::secrets;
use crate::transport::{Http2, Pair};

fn share_in(reply: &Reply, status: u16) -> Value {
    answered(reply, status)
}

#[tokio::test]
async fn every_transport_makes_changes_and_revokes_a_share() {
    let pair = Pair::new();
    let socket = tempfile::tempdir().unwrap();
    let path = socket.path().join("s.sock");
    let (app, tls) = pair.app(&[("server.http2", "on")]).await;
    let body = r#"{"files":["file_abc123"]}"#;
    let key = [("X-API-Key", "k1")];
    let plain = Http2::plain(app.client.0).await;
    let over_tls = pair.connect(tls, &["h2"]).await.unwrap();
    for mut client in [plain, Http2::over(over_tls).await] {
        let made = client.request("POST", ALL, &key, body.as_bytes());
        let share = share_in(&made.await.unwrap(), 201);
        assert_eq!(closed(&app, &share).await, None);
        let target = one(&share);
        let head = client.request("HEAD", &target, &key, b"").await.unwrap();
        assert_eq!((head.status, head.body.len()), (200, 0));
        let title = client.request("PATCH", &target, &key, br#"{"title":"T"}"#);
        assert_eq!(share_in(&title.await.unwrap(), 200)["title"], "T");
        let rotate = format!("{target}/rotate");
        let rotated = client.request("POST", &rotate, &key, b"").await.unwrap();
        let rotated = share_in(&rotated, 200);
        assert!(closed(&app, &share).await.is_some());
        let gone = client.request("DELETE", &target, &key, b"").await.unwrap();
        assert_eq!(gone.status, 204);
        assert!(closed(&app, &rotated).await.is_some());
        let fault = client.request("POST", ALL, &key, b"{}").await.unwrap();
        fault.refused(422, "VALIDATION_ERROR");
    }
    let stream = pair.connect(tls, &["http/1.1"]).await.unwrap();
    let share = by_hand(stream, body).await;
    assert!(share["share_url"].as_str().unwrap().contains("/s/"));

    let place = format!("unix:{}", path.display());
    let listeners = [
        ("server.listen", "127.0.0.1:0"),
        ("server.listen", place.as_str()),
    ];
    let app = fixture_with(&listeners).await;
    let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let share = by_hand(stream, body).await;
    assert_eq!(closed(&app, &share).await, None);
}

/// Makes a share with a request that is written out.
async fn by_hand<S>(stream: S, body: &str) -> Value
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let length = body.len();
    let request = format!(
        "POST {ALL} HTTP/1.1\r\nHost: x\r\nX-API-Key: k1\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    let answer = exchange_over(stream, request.as_bytes(), false).await;
    share_in(&parse(&answer, false), 201)
}

#[tokio::test]
async fn an_address_begins_with_the_public_base_url() {
    let base = ("server.public_base_url", "https://files.example.com/base");
    let app = fixture_with(&[base]).await;
    for prefix in ["", "/base"] {
        let body = r#"{"files":["file_abc123"]}"#;
        let reply = call(&app, "POST", &format!("{prefix}{ALL}"), "k1", body).await;
        let share = answered(&reply, 201);
        let url = share["share_url"].as_str().unwrap();
        assert!(
            url.starts_with("https://files.example.com/base/s/"),
            "{url}"
        );
        assert_eq!(closed_url(&app, url).await, None);
        secrets::keep(code_of(url));
    }
}

#[tokio::test]
async fn a_share_has_up_to_ten_thousand_files() {
    let app = fixture().await;
    let ids = app.add_copies("file_abc123", 10_000).await;
    let share = made(&app, &json!({ "files": ids })).await;
    let files = share["files"].as_array().unwrap();
    assert_eq!(files.len(), 10_000);
    assert_eq!(files[0]["path"], "report.png");
    assert_eq!(files[9_999]["path"], "report (10000).png");
    assert_eq!(files[9_999]["n"], 10_000);
    assert_eq!(closed(&app, &share).await, None);
    let fewer = json!({ "files": ids[..5_000] }).to_string();
    let fewer = call(&app, "PATCH", &one(&share), "k1", &fewer).await;
    assert_eq!(answered(&fewer, 200)["file_count"], 5_000);
}
