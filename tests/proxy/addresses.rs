//! Whose address an `ip` claim is held against.

use crate::support::app::TestApp;

const XFF: &str = "X-Forwarded-For";

/// The status of a link bound to 192.0.2.1, opened with these headers.
async fn opened(trusted: &[&str], headers: &[(&str, &str)]) -> u16 {
    let settings: Vec<_> = trusted
        .iter()
        .map(|proxy| ("server.trusted_proxies", *proxy))
        .collect();
    let app = TestApp::start_with(&settings).await.with_org_123().await;
    let link = app.link("file_abc123", "ip=192.0.2.1").await;
    let reply = app.client.get(&link, headers).await;
    if reply.status != 200 {
        reply.is_dead_link();
    }
    reply.status
}

#[tokio::test]
async fn a_trusted_proxy_says_who_asks() {
    for headers in [
        &[(XFF, "192.0.2.1")] as &[_],
        &[(XFF, "203.0.113.9, 192.0.2.1")],
        &[("Forwarded", "for=192.0.2.1;proto=https")],
    ] {
        assert_eq!(opened(&["127.0.0.1"], headers).await, 200, "{headers:?}");
    }
    assert_eq!(
        opened(
            &["127.0.0.0/8", "10.0.0.0/8"],
            &[(XFF, "192.0.2.1, 10.0.0.9")]
        )
        .await,
        200,
        "a second trusted hop is passed over"
    );
}

#[tokio::test]
async fn nobody_else_does_and_no_other_spelling_counts() {
    assert_eq!(opened(&[], &[(XFF, "192.0.2.1")]).await, 401);
    assert_eq!(opened(&["10.0.0.0/8"], &[(XFF, "192.0.2.1")]).await, 401);
    assert_eq!(opened(&["unix"], &[(XFF, "192.0.2.1")]).await, 401);
    for headers in [
        &[(XFF, "192.0.2.1"), (XFF, "192.0.2.1")] as &[_],
        &[(XFF, "192.0.2.1, 203.0.113.9")],
        &[(XFF, "192.0.2.1"), ("Forwarded", "for=192.0.2.1")],
        &[(XFF, "192.0.2.1:80")],
        &[("X_Forwarded_For", "192.0.2.1")],
        &[("X.Forwarded.For", "192.0.2.1")],
        &[("X-Real-IP", "192.0.2.1")],
        &[],
    ] {
        assert_eq!(opened(&["127.0.0.1"], headers).await, 401, "{headers:?}");
    }
}

#[tokio::test]
async fn no_header_shapes_a_minted_url() {
    let app = TestApp::start_with(&[("server.trusted_proxies", "127.0.0.1")])
        .await
        .with_org_123()
        .await;
    let headers = [
        ("X-API-Key", "k1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Prefix", "/evil"),
        ("Forwarded", "for=192.0.2.1;proto=https;host=evil.example"),
    ];
    let target = "/v1/organizations/org_123/files/file_abc123/content";
    let minted = app.client.get(target, &headers).await.json();
    let url = minted["download_url"].as_str().unwrap();
    assert!(
        url.starts_with(&format!("http://{}/v1/", app.client.0)),
        "{url}"
    );
}
