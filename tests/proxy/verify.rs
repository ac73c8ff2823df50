//! `/verify`, as a proxy asks it.

use crate::support::app::TestApp;
use crate::support::client::Reply;

const ORIGINAL: &str = "X-Original-URI";

async fn app() -> TestApp {
    TestApp::start_with(&[
        ("verify.header", ORIGINAL),
        ("server.trusted_proxies", "127.0.0.1"),
        ("server.public_base_url", "http://files.example/share"),
    ])
    .await
    .with_org_123()
    .await
}

async fn verify(app: &TestApp, headers: &[(&str, &str)]) -> Reply {
    app.client.get("/verify", headers).await
}

#[tokio::test]
async fn a_good_link_is_204_and_says_whose_file_it_is() {
    let app = app().await;
    let minted = app.mint("file_abc123", "").await;
    let link = minted["download_url"].as_str().unwrap();
    let link = link.strip_prefix("http://files.example").unwrap();
    let token = minted["token"].as_str().unwrap();
    for method in ["GET", "HEAD"] {
        for target in ["/verify", "/share/verify"] {
            let headers = [(ORIGINAL, link), ("X-Forwarded-Uri", "/other")];
            let reply = app.client.request(method, target, &headers, b"").await;
            assert_eq!((reply.status, reply.body.len()), (204, 0));
            assert_eq!(reply.header("x-hallpass-organization"), Some("org_123"));
            assert_eq!(reply.header("x-hallpass-file"), Some("file_abc123"));
            let id = &token.split_once('.').unwrap().1[..12];
            assert_eq!(reply.header("x-hallpass-link-id"), Some(id));
            assert_eq!(reply.header("cache-control"), Some("no-store"));
        }
    }
    let unmounted = link.strip_prefix("/share").unwrap();
    assert_eq!(verify(&app, &[(ORIGINAL, unmounted)]).await.status, 204);
    for name in ["a.png", "%0A", "a%2Fb", "download"] {
        let named = link.replace("/download?", &format!("/download/{name}?"));
        let reply = verify(&app, &[(ORIGINAL, &named)]).await;
        assert_eq!(reply.status, 204, "{name}");
        assert_eq!(reply.header("x-hallpass-file"), Some("file_abc123"));
    }
}

#[tokio::test]
async fn anything_else_is_the_one_401() {
    let app = app().await;
    let link = app.link("file_abc123", "").await;
    let gone = app.link("file_def456", "").await;
    let delete = "/v1/organizations/org_123/files/file_def456";
    let deleted = app
        .client
        .request("DELETE", delete, &[("X-API-Key", "k1")], b"");
    assert_eq!(deleted.await.status, 204);
    let path = link.split_once('?').unwrap().0;
    let whole = format!("http://files.example{link}");
    let (fragment, decoded) = (format!("{link}#x"), link.replace("/files/", "/%66iles/"));
    for headers in [
        &[] as &[_],
        &[(ORIGINAL, link.as_str()), (ORIGINAL, &link)],
        &[("X-Forwarded-Uri", &link)],
        &[("X_Original_URI", &link)],
        &[(ORIGINAL, "")],
        &[(ORIGINAL, path)],
        &[(ORIGINAL, "/verify")],
        &[(ORIGINAL, &whole)],
        &[(ORIGINAL, &fragment)],
        &[(ORIGINAL, &decoded)],
        &[(ORIGINAL, &gone)],
        &[(ORIGINAL, &link.replace("/download?", "/download/?"))],
        &[(ORIGINAL, &link.replace("/download?", "/download/..?"))],
        &[(ORIGINAL, &link.replace("/download?", "/download/a/b?"))],
        &[(ORIGINAL, path), ("X-API-Key", "k1")],
    ] {
        verify(&app, headers).await.is_dead_link();
    }
    app.at(3_600);
    verify(&app, &[(ORIGINAL, &link)]).await.is_dead_link();
    let page = verify(&app, &[(ORIGINAL, &link), ("Accept", "text/html")]).await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
}

#[tokio::test]
async fn a_file_that_is_marked_as_damaged_is_opened_by_nobody() {
    let app = app().await;
    let link = app.link("file_abc123", "").await;
    let target = link.strip_prefix("/share").unwrap();
    let whole = app.client.get(target, &[]).await;
    let etag = whole.header("etag").unwrap();
    app.mark_as_damaged("file_abc123").await;
    verify(&app, &[(ORIGINAL, &link)])
        .await
        .refused(500, "INTERNAL_ERROR");
    for header in [
        ("Range", "bytes=0-1"),
        ("If-None-Match", etag),
        ("Accept", "*/*"),
    ] {
        let reply = app.client.get(target, &[header]).await;
        reply.refused(500, "INTERNAL_ERROR");
    }
    let head = app.client.request("HEAD", target, &[], b"").await;
    assert_eq!((head.status, head.header("etag")), (500, None));
    let other = app.link("file_def456", "").await;
    assert_eq!(verify(&app, &[(ORIGINAL, &other)]).await.status, 204);
}

#[tokio::test]
async fn an_ip_claim_is_held_against_the_same_client() {
    let app = app().await;
    let link = app.link("file_abc123", "ip=192.0.2.1").await;
    let client = ("X-Forwarded-For", "192.0.2.1");
    assert_eq!(verify(&app, &[(ORIGINAL, &link), client]).await.status, 204);
    verify(&app, &[(ORIGINAL, &link)]).await.is_dead_link();
}

#[tokio::test]
async fn there_is_no_such_call_unless_it_is_configured() {
    let plain = TestApp::start().await.with_org_123().await;
    for method in ["GET", "POST"] {
        let reply = plain.client.request(method, "/verify", &[], b"").await;
        reply.refused(404, "NOT_FOUND");
    }
    let app = app().await;
    let reply = app.client.request("POST", "/verify", &[], b"").await;
    reply.refused(405, "METHOD_NOT_ALLOWED");
    assert_eq!(reply.header("allow"), Some("GET, HEAD"));
}
