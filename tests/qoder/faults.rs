//! Uploads that are refused: each leaves no row, no blob and no stage.

use super::*;
use crate::support::form::{BOUNDARY, FORM, Form};

async fn post(app: &TestApp, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    app.client.request("POST", FILES, headers, body).await
}

async fn small_uploads() -> TestApp {
    accounts_with(&[("uploads.size_max", "1000")]).await
}

async fn nothing_is_left(app: &TestApp) {
    assert_eq!(ids(&page(app, "").await), [""; 0]);
    assert_eq!(app.blobs_kept().await, 0, "a blob is left");
}

#[tokio::test]
async fn forms_that_are_broken_are_400() {
    let app = small_uploads().await;
    let file = || Form::default().file("x.txt", b"x");
    let part = |head: &str| Form::default().part(head, b"x").close();
    let good = "Content-Disposition: form-data; name=\"file\"; filename=\"x.txt\"";
    let many = (0..10_000).fold(Form::default(), |form, i| form.text(&format!("f{i}"), "x"));
    let feeds = String::from_utf8(file().close())
        .unwrap()
        .replace("\r\n", "\n");
    for (what, body) in [
        ("never closed", file().open()),
        ("nothing", b"hello".to_vec()),
        (
            "no name",
            part("Content-Disposition: form-data; filename=\"x\""),
        ),
        (
            "two names",
            part("Content-Disposition: form-data; name=\"file\"; filename=x; filename=x"),
        ),
        (
            "encoded",
            part(&format!("{good}\r\nContent-Transfer-Encoding: base64")),
        ),
        (
            "nested",
            part(&format!(
                "{good}\r\nContent-Type: multipart/mixed; boundary=y"
            )),
        ),
        ("bare line feeds", feeds.into_bytes()),
        ("10,000 parts", many.close()),
        (
            "a head of 1 MB",
            part(&format!("{good}\r\nX-Long: {}", "x".repeat(1_000_000))),
        ),
    ] {
        let reply = post(&app, &[PAT_A, FORM], &body).await;
        let error = refused_as(&reply, 400, "invalid_request_error", "The request body");
        assert_eq!(error["param"], Value::Null, "{what}");
    }
    nothing_is_left(&app).await;
}

#[tokio::test]
async fn heads_that_could_be_read_in_two_ways_are_400() {
    let app = small_uploads().await;
    let good = "Content-Disposition: form-data; name=\"file\"; filename=\"x.txt\"";
    for more in [
        "Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: binary",
        "content-disposition: form-data; name=\"x\"",
        "Content-Type: multipart/mixed\r\nContent-Type: text/plain",
        "Content-Transfer-Encoding: b\u{e9}",
        " folded: x",
    ] {
        let body = Form::default()
            .part(&format!("{good}\r\n{more}"), b"eA==")
            .close();
        let reply = post(&app, &[PAT_A, FORM], &body).await;
        refused_as(&reply, 400, "invalid_request_error", "The request body");
    }
    let preamble = "x".repeat(1_000_000).into_bytes();
    let body = [preamble, Form::default().file("x.txt", b"x").close()].concat();
    let reply = post(&app, &[PAT_A, FORM], &body).await;
    refused_as(&reply, 400, "invalid_request_error", "The request body");
    nothing_is_left(&app).await;
}

#[tokio::test]
async fn a_form_may_have_64_parts() {
    let app = small_uploads().await;
    let form = |texts: usize| {
        let file = Form::default().file("x.txt", b"x");
        let form = (0..texts).fold(file, |form, i| form.text(&format!("f{i}"), "x"));
        form.close()
    };
    let reply = post(&app, &[PAT_A, FORM], &form(64)).await;
    let why = "The request body could not be read: more than 64 parts.";
    refused_as(&reply, 400, "invalid_request_error", why);
    nothing_is_left(&app).await;
    assert_eq!(post(&app, &[PAT_A, FORM], &form(63)).await.status, 201);
}

#[tokio::test]
async fn other_types_of_body_are_415() {
    let app = small_uploads().await;
    let body = Form::default().file("x.txt", b"x").close();
    let (multipart, long) = ("multipart/form-data", "b".repeat(1_000));
    for (content_type, status) in [
        ("application/json", 415),
        ("multipart/mixed; boundary=x", 415),
        ("", 415),
        (multipart, 400),
        (&format!("{multipart}; boundary={long}"), 400),
    ] {
        let reply = post(&app, &[PAT_A, ("Content-Type", content_type)], &body).await;
        refused_as(&reply, status, "invalid_request_error", "The request body");
    }
    let zipped = [PAT_A, FORM, ("Content-Encoding", "gzip")];
    let reply = post(&app, &zipped, &body).await;
    refused_as(
        &reply,
        415,
        "invalid_request_error",
        "The request body is not supported",
    );
    nothing_is_left(&app).await;
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let app = small_uploads().await;
    let file = || Form::default().file("x.txt", b"x");
    let named = |name: &str| Form::default().file(name, b"x");
    let metadata = |text: &str| file().text("metadata", text);
    let many: Vec<_> = (0..17).map(|i| format!("\"k{i}\":\"v\"")).collect();
    for (field, form) in [
        ("file", file().file("y.txt", b"y")),
        ("filename", named("")),
        ("filename", named(".")),
        ("filename", named("..")),
        ("filename", named(&"x".repeat(300))),
        ("filename", named(&"x".repeat(10_000))),
        (
            "purpose",
            file()
                .text("purpose", "user_upload")
                .text("purpose", "user_upload"),
        ),
        ("metadata", metadata("{\"a\":1}")),
        ("metadata", metadata("{\"a\":{\"b\":\"c\"}}")),
        ("metadata", metadata(&format!("{{{}}}", many.join(",")))),
        (
            "metadata",
            metadata(&format!("{{\"{}\":\"v\"}}", "k".repeat(65))),
        ),
        (
            "metadata",
            metadata(&format!("{{\"k\":\"{}\"}}", "v".repeat(513))),
        ),
        (
            "metadata",
            metadata(&format!("{{\"k\":\"{}\"}}", "v".repeat(9_000))),
        ),
        ("metadata", metadata("{\"__proto__\":\"v\"}")),
        ("metadata", metadata("{\"k\":\"\\ud800\"}")),
        ("metadata", metadata(&"[".repeat(10_000))),
    ] {
        is_fault_of(&post(&app, &[PAT_A, FORM], &form.close()).await, field);
    }
    nothing_is_left(&app).await;
}

#[tokio::test]
async fn files_over_the_limit_are_400_here() {
    let app = small_uploads().await;
    let form = |size: usize| Form::default().file("x.bin", &vec![7; size]).close();
    let reply = post(&app, &[PAT_A, FORM], &form(1_001)).await;
    let too_large = "The request is too large: the limit is 1000 bytes.";
    refused_as(&reply, 400, "invalid_request_error", too_large);
    let reply = post(&app, &[PAT_A, FORM], &form(3 << 20)).await;
    refused_as(&reply, 400, "invalid_request_error", too_large);

    let body = form(1_001);
    let head = format!(
        "POST {FILES} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer pt-a\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nTransfer-Encoding: chunked\r\n\
         Connection: close\r\n\r\n{:x}\r\n",
        body.len()
    );
    let chunked = [head.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    let reply = app.client.send(&chunked, false).await;
    refused_as(&reply, 400, "invalid_request_error", too_large);
    nothing_is_left(&app).await;
    for size in [0, 1_000] {
        assert_eq!(post(&app, &[PAT_A, FORM], &form(size)).await.status, 201);
    }
}

#[tokio::test]
async fn a_length_that_lies_stores_nothing() {
    let app = small_uploads().await;
    let form = Form::default().file("x.bin", &[7; 900]).close();
    for length in [form.len() - 10, form.len() + 1] {
        let head = format!(
            "POST {FILES} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer pt-a\r\n\
             Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {length}\r\n\r\n"
        );
        let answer = app
            .client
            .exchange(&[head.as_bytes(), &form].concat(), true)
            .await;
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "),
            "{length}"
        );
        nothing_is_left(&app).await;
    }
}

#[tokio::test]
async fn a_wrong_field_before_the_file_is_refused_at_once() {
    let app = small_uploads().await;
    for (field, text) in [("purpose", "nonsense"), ("metadata", "[1]")] {
        let file = Form::default().text(field, text).file("x.bin", &[7; 500]);
        let head = format!(
            "POST {FILES} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer pt-a\r\n\
             Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: 1000000\r\n\
             Connection: close\r\n\r\n"
        );
        // The rest of the file never comes, so whoever waits for it does not answer.
        let begun = [head.as_bytes(), &file.open()].concat();
        let reply = app.client.send(&begun, false).await;
        is_fault_of(&reply, field);
        nothing_is_left(&app).await;
    }
}
