//! What a person sees when a link does not open.

use crate::support::app::{PNG, TestApp};

const BROWSER: (&str, &str) = (
    "Accept",
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
);

#[tokio::test]
async fn a_browser_is_shown_a_page_with_the_same_status() {
    let app = TestApp::start().await.with_org_123().await;
    let link = app.link("file_abc123", "").await;
    let gone = app.link("file_def456", "").await;
    let delete = "/v1/organizations/org_123/files/file_def456";
    app.client
        .request("DELETE", delete, &[("X-API-Key", "k1")], b"")
        .await;
    let bad = link.replace("token=", "token=x");
    for (method, target, status, title) in [
        ("GET", bad.as_str(), 401, "This link does not open"),
        ("GET", &gone, 404, "This file is not here"),
        ("POST", &link, 405, "This cannot be done"),
    ] {
        let reply = app.client.request(method, target, &[BROWSER], b"").await;
        assert_eq!(reply.status, status);
        assert_eq!(
            reply.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("vary"), Some("Accept, Accept-Language"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let policy = reply.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"));
        let trace_id = reply.header("x-request-id").unwrap();
        let html = std::str::from_utf8(&reply.body).unwrap();
        assert!(html.contains(title) && html.contains(trace_id), "{html}");
        assert!(!html.contains("http://") && !html.contains("src=") && !html.contains("<script"));
        assert!(html.contains("color-scheme\" content=\"light dark\""));
    }
    let dead = app.client.get(&bad, &[BROWSER]).await;
    assert_eq!(dead.header("www-authenticate"), Some("SignedUrl"));
    assert_eq!(
        app.client.get(&link, &[BROWSER]).await.body,
        PNG,
        "a good link is the file"
    );
}

#[tokio::test]
async fn programs_are_told_in_json() {
    let app = TestApp::start().await.with_org_123().await;
    let path = "/v1/organizations/org_123/files/file_abc123/download";
    for accept in ["*/*", "application/json", "text/html;q=0", "text/*"] {
        let reply = app.client.get(path, &[("Accept", accept)]).await;
        reply.is_dead_link();
        assert_eq!(reply.header("vary"), Some("Accept"));
    }
    let elsewhere = app
        .client
        .get("/v1/organizations/org_123/files", &[BROWSER])
        .await;
    elsewhere.refused(401, "AUTHENTICATION_REQUIRED");
}

#[tokio::test]
async fn a_person_at_a_wrong_address_is_shown_a_page() {
    let settings = [("server.http2", "on")];
    let app = TestApp::start_with(&settings).await.with_org_123().await;
    let mut http2 = crate::transport::Http2::plain(app.client.0).await;
    for path in [
        "/",
        "/nowhere",
        "/v1/files/x/y/z",
        "/api/v1/cloud/nothing",
        "/koodrive/nothing",
        "/v1/organizations/org_123/files/file_abc123/download/",
        "/v1/organizations/org_123/files/file_abc123/download/..",
    ] {
        let shown = [
            app.client.get(path, &[BROWSER]).await,
            http2.get(path, &[BROWSER]).await,
        ];
        for reply in shown {
            let html = String::from_utf8(reply.body.clone()).unwrap();
            let kind = reply.header("content-type");
            assert_eq!(
                (reply.status, kind),
                (404, Some("text/html; charset=utf-8"))
            );
            assert!(html.contains("<h1>There is nothing here</h1>"), "{html}");
            let vary = reply.header("vary");
            assert_eq!(vary, Some("Accept, Accept-Language"), "{path}");
            assert_eq!(reply.header("cache-control"), Some("no-store"));
        }
        let head = app.client.request("HEAD", path, &[BROWSER], b"").await;
        assert_eq!(
            head.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        let programs: [&[(&str, &str)]; 6] = [
            &[],
            &[("Accept", "*/*")],
            &[("Accept", "application/json")],
            &[("Accept", "text/html;q=0")],
            &[BROWSER, ("Authorization", "Bearer k1")],
            &[BROWSER, ("X-API-Key", "k1")],
        ];
        for headers in programs {
            let reply = app.client.get(path, headers).await;
            assert_eq!(reply.status, 404);
            assert_eq!(reply.header("content-type"), Some("application/json"));
            assert_eq!(reply.header("vary"), Some("Accept"), "{headers:?}");
        }
        let post = app.client.request("POST", path, &[BROWSER], b"").await;
        assert_eq!(post.header("content-type"), Some("application/json"));
    }
}
