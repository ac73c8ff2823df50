//! Every no of the three calls, each sent over a socket, and what none of them says: the link.

use serde_json::json;

use super::{ALL, OF_FILE, ONE, fixture, link_id, naming, post, status};

#[tokio::test]
async fn only_an_admin_of_the_organization_revokes() {
    let app = fixture().await;
    let minted = app.mint("file_abc123", "").await;
    let body = naming(&minted);
    for (target, body) in [(ONE, body.as_str()), (OF_FILE, ""), (ALL, "")] {
        let body = body.as_bytes();
        let none = app.client.request("POST", target, &[], body).await;
        none.refused(401, "AUTHENTICATION_REQUIRED");
        let unknown = post(&app, target, "nobody", body).await;
        unknown.refused(401, "INVALID_API_KEY");
        let scope = post(&app, target, "k1", body).await;
        let error = scope.refused(403, "INSUFFICIENT_PERMISSIONS");
        assert_eq!(error["system_message"], "the API key lacks the scope admin");
        let foreign = post(&app, target, "k2", body).await;
        foreign.refused(403, "ORGANIZATION_ACCESS_DENIED");
        for organization in ["org_abc123", "org_missing", "org%5f123"] {
            let target = target.replace("org_123", organization);
            let foreign = post(&app, &target, "root", body).await;
            foreign.refused(403, "ORGANIZATION_ACCESS_DENIED");
        }
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            let headers = [("X-API-Key", "root")];
            let reply = app.client.request(method, target, &headers, b"").await;
            assert_eq!(reply.status, 405);
            assert_eq!(reply.header("allow"), Some("POST"));
        }
    }
    assert_eq!(status(&app, &minted).await, 200, "and nothing was revoked");
}

#[tokio::test]
async fn a_url_that_is_no_link_of_the_organization_is_a_fault_that_does_not_repeat_it() {
    let app = fixture().await;
    let minted = app.mint("file_abc123", "").await;
    let url = minted["download_url"].as_str().unwrap();
    let foreign = {
        let headers = [("X-API-Key", "k2")];
        let new = crate::support::app::new_file("org_abc123", "file_other", "o.txt");
        app.put(new, b"bytes").await;
        let content = "/v1/organizations/org_abc123/files/file_other/content";
        app.client.get(content, &headers).await.json()
    };
    let long = format!("{url}&x={}", "y".repeat(20_000));
    let bad = [
        String::new(),
        "file_abc123".into(),
        "http://example.com/".into(),
        url.split_once('?').unwrap().0.into(),
        url.replace("token=", "token=x"),
        url.replace("expires=1", "expires=2"),
        url.replace("file_abc123", "file_def456"),
        url.replace("org_123", "org_abc123"),
        format!("{url}&expires=1"),
        format!("{url}\u{0}"),
        foreign["download_url"].as_str().unwrap().into(),
        long.replace("token=", "token=x"),
    ];
    for url in bad {
        let body = json!({ "download_url": url }).to_string();
        let reply = post(&app, ONE, "root", body.as_bytes()).await;
        let error = reply.refused(422, "VALIDATION_ERROR");
        assert_eq!(error["details"], json!({"field": "download_url"}), "{url}");
        let text = String::from_utf8(reply.body).unwrap();
        assert!(url.is_empty() || !text.contains(&url), "{text}");
        assert!(!text.contains("token"), "{text}");
    }
    assert_eq!(status(&app, &minted).await, 200, "and nothing was revoked");
    assert_eq!(status(&app, &foreign).await, 200);
}

#[tokio::test]
async fn a_body_that_names_no_link_is_refused_without_repeating_it() {
    let app = fixture().await;
    let minted = app.mint("file_abc123", "").await;
    let url = minted["download_url"].as_str().unwrap();
    let id = link_id(&minted);
    let cases = [
        (json!({}), 422, Some("download_url")),
        (json!({"link": url}), 422, Some("download_url")),
        (json!({"download_url": null}), 422, Some("download_url")),
        (json!({"download_url": [url]}), 422, Some("download_url")),
        (
            json!({"download_url": url, "link_id": id}),
            422,
            Some("link_id"),
        ),
        (
            json!({"link_id": 123_456_789_012_u64}),
            422,
            Some("link_id"),
        ),
        (json!({"link_id": url}), 422, Some("link_id")),
        (json!({"link_id": &id[..11]}), 422, Some("link_id")),
        (
            json!({"link_id": format!("{}=", &id[..11])}),
            422,
            Some("link_id"),
        ),
        (json!([url, null]), 400, None),
        (json!(url), 400, None),
        (json!(null), 400, None),
    ];
    for (body, status, field) in cases {
        let reply = post(&app, ONE, "root", body.to_string().as_bytes()).await;
        let code = if status == 422 {
            "VALIDATION_ERROR"
        } else {
            "BAD_REQUEST"
        };
        let error = reply.refused(status, code);
        assert_eq!(error["details"]["field"].as_str(), field, "{body}");
        assert_eq!(error["details"]["value"].as_str(), None, "{body}");
        let text = String::from_utf8(reply.body).unwrap();
        assert!(!text.contains("token"), "{text}");
    }
    assert_eq!(status(&app, &minted).await, 200, "and nothing was revoked");
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused_without_repeating_it() {
    let app = fixture().await;
    let minted = app.mint("file_abc123", "").await;
    let url = minted["download_url"].as_str().unwrap();
    let id = link_id(&minted);
    let twice = format!("{{\"link_id\":\"{id}\",\"link_id\":\"{id}\"}}");
    let cut = naming(&minted);
    for body in [
        "",
        "nonsense",
        "{",
        "{} {}",
        &twice,
        &cut[..cut.len() - 1],
        url,
    ] {
        let reply = post(&app, ONE, "root", body.as_bytes()).await;
        reply.refused(400, "BAD_REQUEST");
        assert!(!String::from_utf8(reply.body).unwrap().contains("token"));
    }
    let huge = format!("{{\"x\":\"{}\"}}", "y".repeat(64 * 1024));
    let reply = post(&app, ONE, "root", huge.as_bytes()).await;
    reply.refused(413, "PAYLOAD_TOO_LARGE");
    for header in [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Content-Type", "application/json; charset=utf-16"),
        ("Content-Encoding", "gzip"),
    ] {
        let headers = [("X-API-Key", "root"), header];
        let body = naming(&minted);
        let reply = app.client.request("POST", ONE, &headers, body.as_bytes());
        reply.await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    assert_eq!(status(&app, &minted).await, 200, "and nothing was revoked");
    let headers = [
        ("X-API-Key", "root"),
        ("Content-Type", "application/json; charset=UTF-8"),
    ];
    let body = naming(&minted);
    let reply = app
        .client
        .request("POST", ONE, &headers, body.as_bytes())
        .await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn a_file_that_is_not_there_has_no_links() {
    let app = fixture().await;
    for file in ["file_missing", "%66ile_abc123", "a.b"] {
        let target = OF_FILE.replace("file_abc123", file);
        let reply = post(&app, &target, "root", b"").await;
        reply.refused(404, "FILE_NOT_FOUND");
    }
    for target in [
        "/v1/organizations/org_123/files//revoke",
        "/v1/organizations/org_123/files/file_abc123/revoke/",
        "/v1/organizations//revoke",
        "/v1/organizations/org_123/links",
        "/v1/organizations/org_123/links/x/revoke",
    ] {
        post(&app, target, "root", b"")
            .await
            .refused(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn who_names_a_link_where_all_are_revoked_is_told_so() {
    let app = fixture().await;
    let minted = app.mint("file_abc123", "").await;
    let long = " ".repeat(64 * 1024 + 1);
    for target in [OF_FILE, ALL] {
        let reply = post(&app, target, "root", naming(&minted).as_bytes()).await;
        let error = reply.refused(422, "VALIDATION_ERROR");
        assert_eq!(error["details"], json!({"field": "body"}));
        let reply = post(&app, target, "root", long.as_bytes()).await;
        reply.refused(413, "PAYLOAD_TOO_LARGE");
    }
    assert_eq!(status(&app, &minted).await, 200, "and nothing was revoked");
}
