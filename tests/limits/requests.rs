//! Rates of requests.

use serde_json::json;
use tokio::net::UnixStream;

use super::*;
use crate::support::client::{exchange_over, parse};
use crate::transport::Http2;

const LIST: &str = "/v1/organizations/org_123/files";
const K1: (&str, &str) = ("X-API-Key", "k1");
const KOO: &str = "/koodrive/ose/v1/files/download";

/// Asks for links as KooDrive's clients do; the key is good, the space is none.
async fn koodrive(app: &TestApp, key: &str) -> Reply {
    let authorization = format!("Bearer+{key}");
    let headers = [
        ("Authorization", authorization.as_str()),
        ("X-User-Id", "u"),
        ("X-Date", "20260518T153452Z"),
        ("Content-Type", "application/json"),
    ];
    let body = br#"{"containerId":"c","fileIds":["f"]}"#;
    app.client.request("POST", KOO, &headers, body).await
}

#[tokio::test]
async fn who_hides_behind_unreadable_headers_is_counted_with_all_who_do() {
    let settings = [
        ("limits.address_requests_per_minute", "3"),
        ("server.trusted_proxies", "127.0.0.1"),
    ];
    let app = start(&settings).await;
    let link = quiet_link(&app, "file_abc123").await;
    for (number, expected) in [(1, 200), (2, 200), (3, 200), (4, 429), (5, 429)] {
        let forwarded = format!("for=192.0.2.{number}");
        let headers = [
            ("X-Forwarded-For", "203.0.113.9"),
            ("Forwarded", forwarded.as_str()),
        ];
        assert_eq!(app.client.get(&link, &headers).await.status, expected);
    }
    let honest = [("X-Forwarded-For", "203.0.113.9")];
    assert_eq!(app.client.get(&link, &honest).await.status, 200);
}

#[tokio::test]
async fn a_key_that_is_used_too_often_is_told_so_in_each_style() {
    let settings = [
        ("limits.api_key_requests_per_minute", "20"),
        ("server.http2", "on"),
    ];
    let app = start(&settings).await;
    let (sent, refused) = until_refused(async || app.client.get(LIST, &[K1]).await).await;
    assert!((20..30).contains(&sent), "{sent}");
    let error = refused.refused(429, "RATE_LIMITED");
    assert_eq!(
        error["message"],
        "Too many requests. Please try again later."
    );
    assert_eq!(error["details"], json!({}));
    assert!((1..=3).contains(&retry_after(&refused)));
    assert_eq!(refused.header("www-authenticate"), None);

    // The same key, however it is sent, and whatever for.
    let qoder = app
        .client
        .get("/v1/files", &[("Authorization", "Bearer k1")]);
    let qoder = qoder.await;
    retry_after(&qoder);
    let said = json!({
        "error": {
            "message": "Too many requests. Please try again later.",
            "type": "rate_limit_error"
        },
        "type": "error"
    });
    assert_eq!(qoder.json(), said);
    let koo = koodrive(&app, "k1").await;
    retry_after(&koo);
    assert_eq!(
        koo.json(),
        json!({ "code": 429, "msg": "Too Many Requests" })
    );
    assert!(koo.header("x-traceid").is_some());
    let mut http2 = Http2::plain(app.client.0).await;
    let over_http2 = http2.get(LIST, &[K1]).await;
    retry_after(&over_http2);
    let upload = format!("{LIST}/upload");
    let headers = [K1, ("Content-Type", "multipart/form-data; boundary=b")];
    let reply = app.client.request("POST", &upload, &headers, b"--b--\r\n");
    retry_after(&reply.await);

    // Another key is another's, and one that does not work is nobody's.
    let other = app
        .client
        .get("/v1/files", &[("Authorization", "Bearer k2")]);
    assert_eq!(other.await.status, 200);
    for _ in 0..40 {
        let unknown = app.client.get(LIST, &[("X-API-Key", "k9")]).await;
        unknown.refused(401, "INVALID_API_KEY");
    }
    wait_for(&http2.get(LIST, &[K1]).await).await;
    assert_eq!(http2.get(LIST, &[K1]).await.status, 200);
    for _ in 0..2 {
        let (_, refused) = until_refused(async || koodrive(&app, "k1").await).await;
        wait_for(&refused).await;
        let reply = koodrive(&app, "k1").await;
        assert_eq!(reply.json()["code"], 13_000_301, "it gets through");
    }
    let keys = app.gateway.api_keys(None).await.unwrap();
    let organization = |id: &str| OrganizationId::parse(id).unwrap();
    let k1 = keys
        .iter()
        .find(|key| key.organization == organization("org_123"));
    names_the_key(app, k1.unwrap().id.as_str()).await;
}

/// Every refusal of a key that works names it in the audit stream, though it was not let in.
async fn names_the_key(app: TestApp, id: &str) {
    let directory = app.stop().await;
    let audit = std::fs::read_to_string(directory.path().join("audit.jsonl")).unwrap();
    let lines = audit
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let refused: Vec<serde_json::Value> = lines
        .filter(|line: &serde_json::Value| line["status"] == 429)
        .collect();
    let routes = [
        "aitronos_files",
        "qoder_files",
        "koodrive_links",
        "aitronos_upload",
    ];
    for route in routes {
        assert!(refused.iter().any(|line| line["route"] == route), "{route}");
    }
    for line in refused {
        assert_eq!(
            (&line["reason"], &line["api_key_id"]),
            (&json!("too_many"), &json!(id))
        );
    }
}

/// Who signs for an app is its key; a signature that is wrong is nobody's.
#[tokio::test]
async fn an_app_counts_as_its_key_once_its_signature_is_good() {
    let app = start(&[("limits.api_key_requests_per_minute", "1")]).await;
    let made = hallpass::gateway::tenants::NewApiKey {
        organization: OrganizationId::parse("org_123").unwrap(),
        name: String::new(),
        scopes: hallpass::model::key::Scopes::USUAL,
        expires_in: None,
        text: None,
    };
    let (_, _, signing) = app.gateway.create_app(made, Some("secret")).await.unwrap();
    let id = signing.id.to_string();
    let sign = async |mac: &[u8; 32]| {
        let recognized = app.gateway.recognize_app(&id, "message", mac).await?;
        app.gateway.limits().admit_caller(recognized)
    };
    for _ in 0..5 {
        let refused = sign(&[0; 32]).await.unwrap_err();
        assert_eq!(refused.label(), "key_unknown");
    }
    use hmac::{KeyInit as _, Mac as _};
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"secret").unwrap();
    mac.update(b"message");
    let mac: [u8; 32] = mac.finalize().into_bytes().into();
    let _ = sign(&mac).await.unwrap();
    assert_eq!(sign(&mac).await.unwrap_err().label(), "too_many");
}

#[tokio::test]
async fn an_address_is_counted_whatever_it_asks_for() {
    let settings = [
        ("limits.address_requests_per_minute", "20"),
        ("server.trusted_proxies", "127.0.0.1"),
        ("server.http2", "on"),
    ];
    let app = start(&settings).await;
    let link = quiet_link(&app, "file_abc123").await;
    let dead = format!("{link}x");
    for (client, target, headers) in [
        ("192.0.2.1", LIST, [K1]),
        ("192.0.2.2", LIST, [("X-API-Key", "k9")]),
        ("192.0.2.3", "/nowhere", [("A", "b")]),
        ("192.0.2.4", dead.as_str(), [("A", "b")]),
        ("2001:db8::1", link.as_str(), [("A", "b")]),
        ("192.0.2.5", "/v1/files", [("A", "b")]),
        ("192.0.2.6", "/koodrive/x", [("A", "b")]),
    ] {
        let headers = [&headers[..], &[("X-Forwarded-For", client)]].concat();
        let send = async || app.client.get(target, &headers).await;
        let (sent, refused) = until_refused(send).await;
        assert!((20..30).contains(&sent), "{client}: {sent}");
        retry_after(&refused);
    }
    // One address more, and the rest of the network of 64 bits that another is in.
    let from = async |client| {
        let headers = [("X-Forwarded-For", client)];
        app.client.get(&link, &headers).await
    };
    assert_eq!(from("2001:db8:0:1::1").await.status, 200);
    let neighbour = from("2001:db8::2").await;
    retry_after(&neighbour);
    let mut http2 = Http2::plain(app.client.0).await;
    let headers = [("X-Forwarded-For", "2001:db8::3")];
    wait_for(&http2.get(&link, &headers).await).await;
    assert_eq!(http2.get(&link, &headers).await.status, 200);
    // Without a header it is the proxy itself: loopback is an address like others.
    let itself = until_refused(async || app.client.get(&link, &[]).await).await;
    wait_for(&itself.1).await;
    assert_eq!(app.client.get(&link, &[]).await.status, 200);
}

#[tokio::test]
async fn who_has_no_address_is_not_counted() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("h.sock");
    let at = format!("unix:{}", path.display());
    let settings = [
        ("server.listen", at.as_str()),
        ("server.listen", "127.0.0.1:0"),
        ("limits.address_requests_per_minute", "1"),
        ("limits.address_downloads", "1"),
    ];
    let app = start(&settings).await;
    let link = quiet_link(&app, "file_abc123").await;
    let request = format!("GET {link} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    for _ in 0..10 {
        let stream = UnixStream::connect(&path).await.unwrap();
        let answer = exchange_over(stream, request.as_bytes(), false).await;
        assert_eq!(parse(&answer, false).status, 200);
    }
    assert_eq!(app.client.get(&link, &[]).await.status, 200);
    let refused = app.client.get(&link, &[]).await;
    assert!((58..=60).contains(&retry_after(&refused)));
}

#[tokio::test]
async fn a_link_is_counted_once_it_is_known_to_be_good() {
    let settings = [
        ("limits.link_requests_per_minute", "20"),
        ("verify.header", "X-Original-URI"),
    ];
    let app = start(&settings).await;
    let link = quiet_link(&app, "file_abc123").await;
    let other = quiet_link(&app, "file_def456").await;
    // Links that end like it but were never signed.
    for n in 0..40 {
        let forged = link.replacen("file_abc123", &format!("file_abc{n}"), 1);
        app.client.get(&forged, &[]).await.is_dead_link();
    }
    let (sent, refused) = until_refused(async || app.client.get(&link, &[]).await).await;
    assert!((20..30).contains(&sent), "{sent}");
    refused.refused(429, "RATE_LIMITED");
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    let exposed = refused.header("access-control-expose-headers").unwrap();
    assert!(exposed.contains("Retry-After"), "{exposed}");
    // However it is asked for: HEAD, a range, with another address in front of it, by a proxy.
    let head = app.client.request("HEAD", &link, &[], b"").await;
    retry_after(&head);
    let range = app.client.get(&link, &[("Range", "bytes=0-0")]).await;
    retry_after(&range);
    let more = app.client.get(&format!("{link}&utm_source=x"), &[]).await;
    retry_after(&more);
    let asked = app
        .client
        .get("/verify", &[("X-Original-URI", &link)])
        .await;
    retry_after(&asked);
    // A person is told so on a page.
    let page = app.client.get(&link, &[("Accept", "text/html")]).await;
    retry_after(&page);
    let text = String::from_utf8(page.body).unwrap();
    assert!(text.contains("Please wait a moment"), "{text}");
    assert_eq!(app.client.get(&other, &[]).await.status, 200);
    wait_for(&app.client.get(&link, &[]).await).await;
    assert_eq!(app.client.get(&link, &[]).await.status, 200);
}

/// The longest of all waits is said: what the link lets through, the address must, too.
#[tokio::test]
async fn the_wait_is_true_where_two_limits_are_reached() {
    let settings = [
        ("limits.link_requests_per_minute", "60"),
        ("limits.address_requests_per_minute", "15"),
    ];
    let app = start(&settings).await;
    let link = quiet_link(&app, "file_abc123").await;
    for _ in 0..2 {
        let (_, refused) = until_refused(async || app.client.get(&link, &[]).await).await;
        assert!(retry_after(&refused) > 1);
        wait_for(&refused).await;
        assert_eq!(app.client.get(&link, &[]).await.status, 200);
    }
}
