//! Uploading, retrieving and deleting.

use super::*;
use crate::support::app::target;
use crate::support::form::{FORM, Form};

async fn upload(app: &TestApp, form: Form) -> Reply {
    let body = form.close();
    app.client
        .request("POST", FILES, &[PAT_A, FORM], &body)
        .await
}

#[tokio::test]
async fn c37_an_upload_is_answered_with_its_file_object() {
    let app = accounts().await;
    let form = Form::default()
        .part(
            "Content-Disposition: form-data; name=\"file\"; filename=\"notes.txt\"\r\n\
             Content-Type: text/plain",
            b"hello",
        )
        .text("purpose", "session_resource")
        .text("metadata", "{\"project\":\"demo\"}");
    let reply = upload(&app, form).await;
    assert_eq!(reply.status, 201);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let file = reply.json();
    let id = file["file_id"].as_str().unwrap();
    let digits = id.strip_prefix("file_").unwrap();
    let hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    assert!(digits.len() == 32 && digits.chars().all(hex), "{id}");
    let whole = format!(
        "{{\"created_at\":\"2026-05-18T15:34:52Z\",\"file_id\":\"{id}\",\"filename\":\"notes.txt\",\
         \"metadata\":{{\"project\":\"demo\"}},\"mime_type\":\"text/plain\",\
         \"purpose\":\"session_resource\",\"size_bytes\":5,\"status\":\"ready\",\
         \"updated_at\":\"2026-05-18T15:34:52Z\"}}"
    );
    assert_eq!(text(&reply), whole);
    let got = app.client.get(&format!("{FILES}/{id}"), &[PAT_A]).await;
    assert_eq!((got.status, text(&got)), (200, whole.as_str()));
}

#[tokio::test]
async fn c38_fields_have_defaults_and_faults() {
    let app = accounts().await;
    let file = || Form::default().file("x.txt", b"x");
    let plain = upload(&app, file()).await;
    assert_eq!(plain.status, 201);
    let json = plain.json();
    assert_eq!(
        (&json["purpose"], &json["metadata"]),
        (&json!("user_upload"), &json!({}))
    );
    for purpose in Purpose::ALL.map(Purpose::as_str) {
        let reply = upload(&app, file().text("purpose", purpose)).await;
        assert_eq!(
            (reply.status, &reply.json()["purpose"]),
            (201, &json!(purpose))
        );
    }

    let nothing = upload(&app, Form::default().text("purpose", "user_upload")).await;
    refused(&nothing, 400, golden!("file_required"));
    for purpose in ["nonsense", ""] {
        let reply = upload(&app, file().text("purpose", purpose)).await;
        refused(&reply, 400, golden!("purpose_unknown"));
    }
    for metadata in ["[1]", "{", "null", ""] {
        let reply = upload(&app, file().text("metadata", metadata)).await;
        is_fault_of(&reply, "metadata");
    }
}

#[tokio::test]
async fn c39_a_file_is_retrieved_until_it_is_deleted() {
    let app = fixture().await;
    let path = format!("{FILES}/{F2}");
    let reply = app.client.get(&path, &[PAT_A]).await;
    assert_eq!((reply.status, text(&reply)), (200, golden!("report")));
    let head = app.client.request("HEAD", &path, &[PAT_A], b"").await;
    assert_eq!(
        head.header("content-length"),
        reply.header("content-length")
    );
    let missing = app
        .client
        .get(&format!("{FILES}/file_nonexistent123"), &[PAT_A])
        .await;
    refused(&missing, 404, golden!("not_found"));

    let deleted = app.client.request("DELETE", &path, &[PAT_A], b"").await;
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    assert_eq!(deleted.header("cache-control"), Some("no-store"));
    let gone = golden!("not_found").replace("file_nonexistent123", F2);
    for method in ["DELETE", "GET"] {
        let again = app.client.request(method, &path, &[PAT_A], b"").await;
        refused(&again, 404, &gone);
    }
    assert_eq!(ids(&page(&app, "purpose=session_resource").await), [""; 0]);
}

#[tokio::test]
async fn a_name_of_its_own_counts_before_the_parts() {
    let app = accounts().await;
    let named = |form: Form, name: &str| form.text("filename", name);
    let file = || Form::default().file("part.txt", b"x");
    let unnamed = || Form::default().part("Content-Disposition: form-data; name=\"file\"", b"x");
    for form in [named(file(), "own.png"), named(unnamed(), "a/b\\own.png")] {
        let file = upload(&app, form).await.json();
        assert_eq!(
            (&file["filename"], &file["mime_type"]),
            (&json!("own.png"), &json!("image/png"))
        );
    }
    is_fault_of(&upload(&app, unnamed()).await, "filename");
    is_fault_of(&upload(&app, named(file(), "..")).await, "filename");
}

#[tokio::test]
async fn what_was_uploaded_comes_back_through_a_link_under_a_safe_name() {
    let app = accounts().await;
    for (sent, kept) in [
        ("../../x", "x"),
        ("C:\\x", "x"),
        ("/etc/passwd", "passwd"),
        ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
        ("con.txt", "con.txt"),
        ("a%00.png", "a%00.png"),
        ("a%0D%0Ab", "ab"),
        ("\u{1f600}.txt", "\u{1f600}.txt"),
    ] {
        let form = Form::default()
            .file(sent, b"<b>bytes</b>")
            .text("purpose", "tool_output");
        let file = upload(&app, form).await.json();
        assert_eq!(file["filename"], kept, "{sent}");
        let path = format!("{FILES}/{}/content", file["file_id"].as_str().unwrap());
        let minted = app.client.get(&path, &[PAT_A]).await;
        let opened = app
            .client
            .get(&target(minted.header("location").unwrap()), &[])
            .await;
        assert_eq!(
            (opened.status, opened.body.as_slice()),
            (200, &b"<b>bytes</b>"[..])
        );
        let disposition = opened.header("content-disposition").unwrap();
        assert!(
            disposition.starts_with("attachment; filename=\""),
            "{disposition}"
        );
        assert_eq!(opened.header("x-content-type-options"), Some("nosniff"));
    }
}

#[tokio::test]
async fn a_type_is_kept_where_it_is_one() {
    let app = accounts().await;
    let long = format!("text/{}", "x".repeat(1_000));
    for (sent, kept) in [
        ("text/html", "text/html"),
        ("image/svg+xml", "image/svg+xml"),
        ("text/plain; charset=x", "text/plain; charset=x"),
        ("nonsense", "text/plain"),
        ("application/octet-stream", "text/plain"),
        (&long, "text/plain"),
    ] {
        let head = format!(
            "Content-Disposition: form-data; name=\"file\"; filename=\"x.txt\"\r\nContent-Type: {sent}"
        );
        let file = upload(&app, Form::default().part(&head, b"x")).await.json();
        assert_eq!(file["mime_type"], kept, "{sent}");
    }
}
