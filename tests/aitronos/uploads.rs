//! Uploads that are taken, and what comes back out of their links.

use hallpass::gateway::upload::Upload;
use hallpass::model::key::Scopes;
use serde_json::{Value, json};

use crate::support::app::{PNG, TestApp, target};
use crate::support::form::{FORM, Form};

pub(crate) const UPLOAD: &str = "/v1/organizations/org_123/files/upload";

/// Uploads a form and answers the file object.
async fn upload(app: &TestApp, form: Form) -> Value {
    let reply = app
        .client
        .request("POST", UPLOAD, &[("X-API-Key", "k1"), FORM], &form.close())
        .await;
    assert_eq!(
        reply.status,
        201,
        "{}",
        String::from_utf8_lossy(&reply.body)
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    reply.json()
}

/// The answer of a fresh link to the file.
async fn opened(app: &TestApp, file: &Value) -> crate::support::client::Reply {
    let minted = app.mint(file["id"].as_str().unwrap(), "").await;
    app.client
        .get(&target(minted["download_url"].as_str().unwrap()), &[])
        .await
}

/// What a document that shows itself may have: what lies inside it.
const SANDBOX: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                       font-src data:; media-src data:; sandbox";

#[tokio::test]
async fn an_upload_is_a_file_object_and_comes_back_byte_by_byte() {
    let app = TestApp::start().await.with_org_123().await;
    let key_id = app.api_key("org_123", "uploader", Scopes::USUAL).await;
    let form = Form::default()
        .text("purpose", "tool_output")
        .part("Content-Disposition: form-data; name=\"file\"; filename=\"a b.png\"\r\nContent-Type: image/png", PNG)
        .text("metadata", r#"{"project":"demo"}"#)
        .text("whatever", "is read past")
        .close();
    let reply = app
        .client
        .request("POST", UPLOAD, &[("X-API-Key", "uploader"), FORM], &form)
        .await;
    assert_eq!(reply.status, 201);
    let file = reply.json();
    let id = file["id"].as_str().unwrap();
    assert!(
        id.len() == 37 && id.starts_with("file_") && id[5..].bytes().all(|b| b.is_ascii_hexdigit()),
        "{id}"
    );
    assert_eq!(&id[17..18], "7", "a UUID of version 7: {id}");
    assert_eq!(
        file,
        json!({
            "id": id, "original_filename": "a b.png", "file_size": PNG.len(), "mime_type": "image/png",
            "storage_path": format!("files/org_123/{id}/a b.png"), "organization_id": "org_123",
            "uploaded_by": null, "uploaded_by_api_key_id": key_id, "uploaded_at": "2026-05-18T15:34:52Z",
        })
    );
    let reply = opened(&app, &file).await;
    assert_eq!(reply.body, PNG);
    assert_eq!(
        reply.header("content-disposition"),
        Some("inline; filename=\"a b.png\"")
    );
    let same = app
        .client
        .get(
            &format!("/v1/organizations/org_123/files/{id}"),
            &[("X-API-Key", "k1")],
        )
        .await;
    assert_eq!(same.json(), file);
}

#[tokio::test]
async fn ids_are_drawn_in_order() {
    let app = TestApp::start().await.with_org_123().await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        let file = upload(&app, Form::default().file("x.txt", b"x")).await;
        ids.push(file["id"].as_str().unwrap().to_owned());
    }
    assert!(
        ids.is_sorted(),
        "all in one millisecond, and still in order: {ids:?}"
    );
    let list = app
        .client
        .get(
            "/v1/organizations/org_123/files?limit=22",
            &[("X-API-Key", "k1")],
        )
        .await
        .json();
    let all = list["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["id"].as_str().unwrap());
    let listed: Vec<_> = all.filter(|id| id.starts_with("file_0")).collect();
    ids.reverse();
    assert_eq!(listed, ids);
}

#[tokio::test]
async fn the_type_is_the_uploaders_where_it_says_something() {
    let app = TestApp::start().await.with_org_123().await;
    for (name, declared, stored) in [
        ("a.png", Some("image/webp"), "image/webp"),
        (
            "a.png",
            Some("text/plain; charset=utf-8"),
            "text/plain; charset=utf-8",
        ),
        ("a.png", Some("application/octet-stream"), "image/png"),
        ("a.png", Some("nonsense"), "image/png"),
        ("a.png", None, "image/png"),
        ("a.unknown-kind", None, "application/octet-stream"),
    ] {
        let mut head =
            format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"");
        if let Some(declared) = declared {
            head.push_str(&format!("\r\nContent-Type: {declared}"));
        }
        let file = upload(&app, Form::default().part(&head, b"x")).await;
        assert_eq!(file["mime_type"], stored, "{declared:?}");
        assert_eq!(
            opened(&app, &file).await.header("content-type"),
            Some(stored)
        );
    }
}

#[tokio::test]
async fn what_could_run_in_a_browser_is_shown_in_a_sandbox() {
    let app = TestApp::start().await.with_org_123().await;
    for (name, declared, sandboxed) in [
        ("x.html", "text/html", true),
        ("x.svg", "image/svg+xml", true),
        ("x.xhtml", "application/xhtml+xml", true),
        ("x.xml", "text/xml", true),
        ("x.js", "text/javascript", true),
        ("x.txt", "text/plain", true),
        ("x.gif", "image/gif", false),
        ("x.pdf", "application/pdf", false),
        ("x.mp4", "video/mp4", false),
        ("x.png", "image/x+xml", true),
        // What is no media type counts as not said, and the name as all there is.
        ("x.html", "image/png; ,text/html", true),
        ("x.html", "image/png;,text/html", true),
        ("x.html", "image/png; a=b,text/html", true),
        ("x.html", "image/png; a=\"b,text/html\"", true),
        ("x.svg", "font/x;, image/svg+xml", true),
        ("x.png", "image/png;,text/html", false),
    ] {
        let head = format!(
            "Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {declared}"
        );
        let file = upload(
            &app,
            Form::default().part(&head, b"GIF89a/*<script>alert(1)</script>"),
        )
        .await;
        let reply = opened(&app, &file).await;
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let policy = sandboxed.then_some(SANDBOX);
        assert_eq!(
            reply.header("content-security-policy"),
            policy,
            "{declared}"
        );
        let kind = reply.header("content-type").unwrap();
        assert!(!kind.contains(','), "{kind}");
    }
}

#[tokio::test]
async fn names_are_cleaned_and_their_headers_stay_one_line() {
    let app = TestApp::start().await.with_org_123().await;
    for (sent, kept) in [
        ("../../x.txt", "x.txt"),
        ("C:\\x.txt", "x.txt"),
        ("/etc/passwd", "passwd"),
        ("con.txt", "con.txt"),
        ("a%00.png", "a%00.png"),
        ("\u{202e}gpj.exe", "gpj.exe"),
        ("\u{1f600}.txt", "\u{1f600}.txt"),
        ("a%22b.html", "a\"b.html"),
        ("a%0D%0ASet-Cookie: x=y", "aSet-Cookie: x=y"),
        ("John's (1).pdf", "John's (1).pdf"),
    ] {
        let file = upload(&app, Form::default().file(sent, b"x")).await;
        assert_eq!(file["original_filename"], kept, "{sent:?}");
        let reply = opened(&app, &file).await;
        let header = reply.header("content-disposition").unwrap();
        assert!(
            header.is_ascii() && header.matches('"').count() == 2,
            "{header}"
        );
        assert_eq!(reply.header("set-cookie"), None);
    }
    let both = "Content-Disposition: form-data; name=\"file\"; filename=\"wrong.txt\"; filename*=UTF-8''%D0%B6.txt";
    let file = upload(&app, Form::default().part(both, b"x")).await;
    assert_eq!(file["original_filename"], "ж.txt");
}

#[tokio::test]
async fn sizes_up_to_the_limit_are_taken() {
    let app = TestApp::start_with(&[("uploads.size_max", "100000")])
        .await
        .with_org_123()
        .await;
    for size in [0, 1, 99_999, 100_000] {
        let bytes: Vec<u8> = (0..size).map(|i: u32| (i % 253) as u8).collect();
        let file = upload(&app, Form::default().file("x.bin", &bytes)).await;
        assert_eq!(file["file_size"], size);
        assert!(opened(&app, &file).await.body == bytes);
    }
}

#[tokio::test]
async fn chunked_uploads_are_taken_too() {
    let app = TestApp::start().await.with_org_123().await;
    let form = Form::default()
        .file("x.txt", b"hello\r\n--almost a boundary")
        .close();
    let mut request = format!(
        "POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nX-API-Key: k1\r\n{}: {}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        FORM.0, FORM.1
    )
    .into_bytes();
    for chunk in form.chunks(7) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let reply = app.client.send(&request, false).await;
    assert_eq!(reply.status, 201);
    assert_eq!(
        opened(&app, &reply.json()).await.body,
        b"hello\r\n--almost a boundary"
    );
}

#[tokio::test]
async fn a_large_upload_passes_through_in_pieces() {
    fn is_send<T: Send>() {}
    is_send::<Upload>();
    let app = TestApp::start().await.with_org_123().await;
    let bytes: Vec<u8> = (0..20_000_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let file = upload(&app, Form::default().file("large.bin", &bytes)).await;
    assert!(opened(&app, &file).await.body == bytes);
}
