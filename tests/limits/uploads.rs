//! Uploads at once.

use hallpass::model::key::Scopes;

use super::ways::{Gateways, K1, UPLOAD, WAYS, form};
use super::*;
use crate::support::form::FORM;
use crate::support::upload::UnderWay;
use crate::transport::Http2;

const K3: (&str, &str) = ("X-API-Key", "k3-of-org-123");
const QODER: (&str, (&str, &str)) = ("/v1/files", ("Authorization", "Bearer k1"));

/// An upload whose body the gateway asks for.
async fn held(app: &TestApp, key: (&str, &str)) -> UnderWay {
    UnderWay::begin(app.client.0, UPLOAD, &[key], form(1_000)).await
}

async fn upload(app: &TestApp, target: &str, key: (&str, &str), body: &[u8]) -> Reply {
    app.client.request("POST", target, &[key, FORM], body).await
}

async fn another(app: &TestApp, key: (&str, &str)) -> u16 {
    upload(app, UPLOAD, key, &form(10)).await.status
}

/// Sends only the head of an upload: it is answered as far as that is read.
async fn asked(app: &TestApp, target: &str, (name, value): (&str, &str)) -> Reply {
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: x\r\n{name}: {value}\r\n{}: {}\r\nContent-Length: 1000000\r\n\
         Expect: 100-continue\r\n\r\n",
        FORM.0, FORM.1
    );
    app.client.send(head.as_bytes(), false).await
}

#[tokio::test]
async fn an_upload_beyond_those_of_its_key_is_refused_unread_in_each_dialect() {
    let app = start(&[("limits.api_key_uploads", "1")]).await;
    app.api_key("org_123", K3.1, Scopes::USUAL).await;
    let first = held(&app, K1).await;
    let refused = asked(&app, UPLOAD, K1).await;
    let error = refused.refused(429, "RATE_LIMITED");
    assert_eq!(
        error["system_message"],
        "too many uploads with one API key: again in 1 s"
    );
    assert_eq!(retry_after(&refused), 1);
    assert_eq!(refused.header("connection"), Some("close"));
    let refused = asked(&app, QODER.0, QODER.1).await;
    assert_eq!(retry_after(&refused), 1);
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
    // The key is good for all else, and another one of the same organization has its own.
    let files = app.client.get("/v1/organizations/org_123/files", &[K1]);
    assert_eq!(files.await.status, 200);
    assert_eq!(another(&app, K3).await, 201);

    drop(first);
    let again = async || another(&app, K1).await;
    let_through("after one broke off", again).await;
    let second = held(&app, K1).await;
    assert_eq!(another(&app, K1).await, 429);
    assert_eq!(second.finish().await.status, 201);
    let_through("after one was over", again).await;
    // One that is refused later gives its place back, too.
    let (target, key) = QODER;
    for _ in 0..3 {
        assert_eq!(upload(&app, target, key, b"no form").await.status, 400);
        assert_eq!(upload(&app, UPLOAD, K1, b"no form").await.status, 400);
    }
}

#[tokio::test]
async fn an_organization_s_uploads_are_those_of_all_of_its_keys() {
    let settings = [
        ("limits.organization_uploads", "1"),
        ("limits.api_key_uploads", "0"),
    ];
    let app = start(&settings).await;
    app.api_key("org_123", K3.1, Scopes::USUAL).await;
    let first = held(&app, K1).await;
    let refused = asked(&app, UPLOAD, K3).await;
    let error = refused.refused(429, "RATE_LIMITED");
    assert_eq!(
        error["system_message"],
        "too many uploads of one organization: again in 1 s"
    );
    let theirs = UPLOAD.replace("org_123", "org_abc123");
    let other = upload(&app, &theirs, ("X-API-Key", "k2"), &form(10)).await;
    assert_eq!(other.status, 201);
    drop(first);
    let_through("another key", async || another(&app, K3).await).await;
}

#[tokio::test]
async fn by_default_a_key_has_a_hundred_and_an_organization_two_hundred() {
    let app = start(&[]).await;
    let third = ("X-API-Key", "k4-of-org-123");
    for (_, key) in [K3, third] {
        app.api_key("org_123", key, Scopes::USUAL).await;
    }
    let mut all = Vec::new();
    for key in [K1, K3] {
        for _ in 0..100 {
            all.push(held(&app, key).await);
        }
        retry_after(&asked(&app, UPLOAD, key).await);
    }
    retry_after(&asked(&app, UPLOAD, third).await);
    for upload in all.drain(..20) {
        assert_eq!(upload.finish().await.status, 201);
    }
    assert_eq!(another(&app, third).await, 201);
}

/// Each way is held open once, and tried from each.
#[tokio::test]
async fn uploads_at_once_count_over_each_transport() {
    let place = tempfile::tempdir().unwrap();
    let gateways = Gateways::start(&place, &[("limits.api_key_uploads", "1")]).await;
    for way in WAYS {
        let holder = gateways.hold(way).await;
        let begun = Instant::now();
        while gateways.upload(way, 10).await.status != 429 {
            assert!(begun.elapsed() < Duration::from_secs(10), "{way:?}");
        }
        for other in WAYS {
            // The client reads the answer, though most of what it sends is not read.
            let refused = gateways.upload(other, 1_000_000).await;
            refused.refused(429, "RATE_LIMITED");
            assert_eq!(retry_after(&refused), 1, "{way:?}, then {other:?}");
        }
        drop(holder);
        let one = async || gateways.upload(way, 10).await.status;
        let_through(&format!("after {way:?} broke off"), one).await;
    }
}

/// What is sent on streams that are refused is given back to the window of their connection.
#[tokio::test]
async fn an_http2_connection_outlives_any_number_of_refused_uploads() {
    let place = tempfile::tempdir().unwrap();
    let gateways = Gateways::start(&place, &[("limits.api_key_uploads", "1")]).await;
    let first = held(&gateways.app, K1).await;
    let mut http2 = Http2::plain(gateways.app.client.0).await;
    let body: &'static [u8] = form(1_000_000).leak();
    for _ in 0..20 {
        let sent = http2.request("POST", UPLOAD, &[K1, FORM], body).await;
        sent.unwrap().refused(429, "RATE_LIMITED");
    }
    let files = http2.get("/v1/organizations/org_123/files", &[K1]).await;
    assert_eq!(files.status, 200);
    assert_eq!(first.finish().await.status, 201);
    let sent = http2.request("POST", UPLOAD, &[K1, FORM], body).await;
    assert_eq!(sent.unwrap().status, 201, "on the same connection");
}
