//! Declared types that say "I do not know".

use crate::cli::support::Place;

use super::*;

/// Types that count as absent.
const PLACEHOLDERS: [&str; 13] = [
    "*/*",
    "image/*",
    "*/png",
    "Image/*; q=0.8",
    "application/octet-stream",
    "Application/Octet-Stream",
    "application/octet-stream; charset=binary",
    "binary/octet-stream",
    "application/x-unknown",
    "unknown/unknown",
    "application/force-download",
    "application/download",
    "application/octetstream",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_placeholder_leaves_the_type_to_the_name() {
    let app = TestApp::start().await.with_org_123().await;
    for declared in PLACEHOLDERS.iter().chain(&["multipart/form-data"]) {
        for upload in UPLOADS {
            let head = part("a.png", &format!("Content-Type: {declared}"));
            let file = uploaded(&app, upload, Form::default().part(&head, b"x")).await;
            assert_eq!(file["mime_type"], "image/png", "{declared}");
        }
    }
    let place = Place::new();
    place.file("a.png", b"x");
    for declared in PLACEHOLDERS {
        let added = place.json(&["add", "a.png", "--type", declared]);
        assert_eq!(added[0]["mime_type"], "image/png", "{declared}");
    }
    let added = place.json(&["add", "a.png", "--type", "image/x-*"]);
    assert_eq!(added[0]["mime_type"], "image/x-*", "a token like any other");
}

#[tokio::test]
async fn a_form_in_a_form_has_a_boundary() {
    let app = TestApp::start().await.with_org_123().await;
    for upload in UPLOADS {
        for declared in [
            "multipart/form-data; boundary=x",
            "multipart/mixed; charset=utf-8; Boundary=\"x\"",
            "multipart/mixed; boundary",
        ] {
            let head = part("a.png", &format!("Content-Type: {declared}"));
            let form = Form::default().part(&head, b"x").close();
            let reply = post(&app, upload, &form).await;
            assert_eq!(reply.status, 400, "{declared}");
        }
    }
}

/// Every call that mints refuses a range of types, as a fault of its field.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_cannot_be_asked_for_with_a_wildcard() {
    let app = TestApp::start().await.with_org_123().await;
    let organization = "/v1/organizations/org_123/files/file_def456";
    for asked in ["*/*", "image/*", "*/png", "text/*%3B%20charset=utf-8"] {
        for path in ["content", "download"] {
            let target = format!("{organization}/{path}?content_type={asked}");
            let reply = app.client.get(&target, &[KEY]).await;
            let error = reply.refused(422, "VALIDATION_ERROR");
            assert_eq!(error["details"]["field"], "content_type", "{asked}");
        }
        let target = format!("/v1/files/file_def456/content?content_type={asked}");
        let reply = app.client.get(&target, &[BEARER]).await;
        assert_eq!(reply.status, 400, "{asked}");
        let error = &reply.json()["error"];
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(error["param"], "content_type");
        let asked = asked.replace("%3B%20", "; ");
        let body = serde_json::json!({
            "containerId": "space_default", "fileIds": ["file_def456"], "content_type": asked,
        });
        let headers = [
            ("Authorization", "Bearer+k1"),
            ("X-User-Id", "1"),
            ("X-Date", "20260518T153452Z"),
            ("Content-Type", "application/json"),
        ];
        let path = "/koodrive/ose/v1/files/download";
        let body = body.to_string();
        let reply = app.client.request("POST", path, &headers, body.as_bytes());
        let reply = reply.await;
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (400, &13_000_102.into())
        );
    }
    let place = Place::new();
    let id = place.add("a.png", b"x");
    let words = ["sign", "--file", &id, "--content-type", "image/*"];
    let said = place.bad(2, &words);
    assert!(said.contains("--content-type"), "{said}");
}

/// `image/*` is no picture: what has it could be anything, and runs nowhere.
#[tokio::test]
async fn a_range_of_images_is_no_image() {
    let app = TestApp::start().await.with_org_123().await;
    let policy = |reply: &Reply| reply.header("content-security-policy").map(str::to_owned);
    let link = app.link("file_abc123", "").await;
    assert_eq!(
        policy(&app.client.get(&link, &[]).await),
        None,
        "a real picture"
    );
    app.sql("UPDATE file SET media_type = 'image/*' WHERE id = 'file_abc123'");
    let app = TestApp::start_in(app.stop().await, &[]).await;
    let reply = app.client.get(&link, &[]).await;
    assert_eq!(reply.header("content-type"), Some("image/*"));
    assert!(policy(&reply).unwrap().contains("sandbox"));
}
