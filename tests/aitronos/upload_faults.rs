//! Uploads that are refused: each leaves no row, no blob and no stage.

use crate::support::app::TestApp;
use crate::support::client::Reply;
use crate::support::form::{BOUNDARY, FORM, Form};

use super::uploads::UPLOAD;

const KEY: (&str, &str) = ("X-API-Key", "k1");

/// A gateway without any file, whose uploads may have 1,000 bytes.
async fn fixture() -> TestApp {
    let app = TestApp::start_with(&[("uploads.size_max", "1000")])
        .await
        .with_org_123()
        .await;
    for id in ["file_abc123", "file_def456"] {
        let file = format!("/v1/organizations/org_123/files/{id}");
        assert_eq!(
            app.client
                .request("DELETE", &file, &[KEY], b"")
                .await
                .status,
            204
        );
    }
    app
}

async fn post(app: &TestApp, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    app.client.request("POST", UPLOAD, headers, body).await
}

/// Nothing of any upload is left: the two blobs are those of the fixture.
async fn nothing_is_left(app: &TestApp) {
    let list = app
        .client
        .get("/v1/organizations/org_123/files", &[KEY])
        .await
        .json();
    assert_eq!(list["total"], 0, "{list}");
    assert_eq!(app.blobs_kept().await, 2, "a blob is left");
}

#[tokio::test]
async fn forms_that_are_broken_are_400() {
    let app = fixture().await;
    let file = || Form::default().file("x.txt", b"x");
    let part = |head: &str| Form::default().part(head, b"x").close();
    let good = "Content-Disposition: form-data; name=\"file\"; filename=\"x.txt\"";
    let many = (0..10_000).fold(Form::default(), |form, i| form.text(&format!("f{i}"), "x"));
    let bodies = [
        ("the boundary never closes", file().open()),
        ("nothing at all", Vec::new()),
        ("no boundary anywhere", b"hello".to_vec()),
        (
            "a part without a name",
            part("Content-Disposition: form-data; filename=\"x\""),
        ),
        (
            "a part without a disposition",
            part("Content-Type: text/plain"),
        ),
        (
            "a part that is no form data",
            part("Content-Disposition: attachment; name=\"file\""),
        ),
        (
            "a name that never closes",
            part("Content-Disposition: form-data; name=\"file"),
        ),
        (
            "a filename that is there twice",
            part("Content-Disposition: form-data; name=\"file\"; filename=x; filename=x"),
        ),
        (
            "an encoded part",
            part(&format!("{good}\r\nContent-Transfer-Encoding: base64")),
        ),
        (
            "a form in a form",
            part(&format!(
                "{good}\r\nContent-Type: multipart/mixed; boundary=y"
            )),
        ),
        (
            "bare line feeds",
            String::from_utf8(file().close())
                .unwrap()
                .replace("\r\n", "\n")
                .into_bytes(),
        ),
        ("10,000 parts", many.close()),
        (
            "a head of 1 MB",
            part(&format!("{good}\r\nX-Long: {}", "x".repeat(1_000_000))),
        ),
        (
            "100 head lines",
            part(&format!("{good}{}", "\r\nX-Many: x".repeat(100))),
        ),
    ];
    for (what, body) in bodies {
        let headers = [KEY, FORM];
        let reply = post(&app, &headers, &body).await;
        reply.refused(400, "BAD_REQUEST");
        assert!(!body.is_empty() || what == "nothing at all");
        nothing_is_left(&app).await;
    }
}

#[tokio::test]
async fn heads_that_could_be_read_in_two_ways_are_400() {
    let app = fixture().await;
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
        post(&app, &[KEY, FORM], &body)
            .await
            .refused(400, "BAD_REQUEST");
    }
    let preamble = "x".repeat(1_000_000).into_bytes();
    let body = [preamble, Form::default().file("x.txt", b"x").close()].concat();
    post(&app, &[KEY, FORM], &body)
        .await
        .refused(400, "BAD_REQUEST");
    nothing_is_left(&app).await;
}

#[tokio::test]
async fn content_types_that_are_no_form_are_refused() {
    let app = fixture().await;
    let body = Form::default().file("x.txt", b"x").close();
    let long = format!("multipart/form-data; boundary={}", "b".repeat(1_000));
    for (headers, status, code) in [
        (vec![], 415, "UNSUPPORTED_MEDIA_TYPE"),
        (
            vec![("Content-Type", "application/json")],
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (
            vec![("Content-Type", "multipart/mixed; boundary=x")],
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (
            vec![("Content-Type", "multipart/form-data")],
            400,
            "BAD_REQUEST",
        ),
        (
            vec![("Content-Type", "multipart/form-data; boundary=")],
            400,
            "BAD_REQUEST",
        ),
        (vec![("Content-Type", long.as_str())], 400, "BAD_REQUEST"),
        (vec![FORM, FORM], 400, "BAD_REQUEST"),
        (
            vec![("Content-Type", "text/plain"), FORM],
            400,
            "BAD_REQUEST",
        ),
        (
            vec![FORM, ("Content-Encoding", "gzip")],
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
    ] {
        let headers: Vec<_> = headers.into_iter().chain([KEY]).collect();
        post(&app, &headers, &body).await.refused(status, code);
    }
    nothing_is_left(&app).await;
}

#[tokio::test]
async fn wrong_fields_are_422_and_named() {
    let app = fixture().await;
    let file = || Form::default().file("x.txt", b"x");
    let named = |name: &str| Form::default().file(name, b"x");
    let metadata = |text: &str| file().text("metadata", text);
    let many: Vec<_> = (0..17).map(|i| format!("\"k{i}\":\"v\"")).collect();
    let forms = [
        ("file", Form::default().text("purpose", "user_upload")),
        ("file", file().file("y.txt", b"y")),
        ("filename", named("")),
        ("filename", named(".")),
        ("filename", named("..")),
        ("filename", named("a/..")),
        ("filename", named(&"x".repeat(300))),
        ("filename", named(&"x".repeat(10_000))),
        (
            "filename",
            Form::default().part("Content-Disposition: form-data; name=\"file\"", b"x"),
        ),
        ("purpose", file().text("purpose", "nonsense")),
        ("purpose", file().text("purpose", "")),
        (
            "purpose",
            file()
                .text("purpose", "user_upload")
                .text("purpose", "user_upload"),
        ),
        ("metadata", metadata("[1]")),
        ("metadata", metadata("{")),
        ("metadata", metadata("")),
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
        ("metadata", metadata(&"x".repeat(100_000))),
        ("metadata", metadata("{\"__proto__\":\"v\"}")),
        ("metadata", metadata("{\"k\":\"\\ud800\"}")),
        ("metadata", metadata("{\"k\":\"v\",\"k\":\"v\"}")),
        ("metadata", metadata(&"[".repeat(10_000))),
    ];
    for (field, form) in forms {
        let reply = post(&app, &[KEY, FORM], &form.close()).await;
        let error = reply.refused(422, "VALIDATION_ERROR");
        assert_eq!(error["details"]["field"], field, "{error}");
        let value = error["details"]["value"].as_str().unwrap_or_default();
        assert!(value.chars().count() <= 128, "a long value is cut");
    }
    nothing_is_left(&app).await;
}

#[tokio::test]
async fn files_over_the_limit_are_413_whatever_they_say_of_their_length() {
    let app = fixture().await;
    let over = Form::default().file("x.bin", &[7; 1_001]).close();
    post(&app, &[KEY, FORM], &over)
        .await
        .refused(413, "PAYLOAD_TOO_LARGE");
    let chunked = [
        format!(
            "POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nX-API-Key: k1\r\n{}: {}\r\nTransfer-Encoding: chunked\r\n\
             Connection: close\r\n\r\n{:x}\r\n",
            FORM.0,
            FORM.1,
            over.len()
        )
        .into_bytes(),
        over,
        b"\r\n0\r\n\r\n".to_vec(),
    ]
    .concat();
    app.client
        .send(&chunked, false)
        .await
        .refused(413, "PAYLOAD_TOO_LARGE");
    let large = Form::default().file("x.bin", &vec![7; 3_000_000]).close();
    post(&app, &[KEY, FORM], &large)
        .await
        .refused(413, "PAYLOAD_TOO_LARGE");
    let elsewhere = Form::default()
        .text("other", &"x".repeat(1_100_000))
        .file("x.bin", b"x")
        .close();
    post(&app, &[KEY, FORM], &elsewhere)
        .await
        .refused(413, "PAYLOAD_TOO_LARGE");
    for length in ["18446744073709551612", "2000000"] {
        let head = format!(
            "POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nX-API-Key: k1\r\n{}: {}\r\nContent-Length: {length}\r\n\
             Expect: 100-continue\r\n\r\n",
            FORM.0, FORM.1
        );
        app.client
            .send(head.as_bytes(), false)
            .await
            .refused(413, "PAYLOAD_TOO_LARGE");
    }
    nothing_is_left(&app).await;
}

#[tokio::test]
async fn uploads_that_break_off_leave_nothing() {
    let app = fixture().await;
    let form = Form::default().file("x.bin", &[7; 900]).close();
    let head = |length: usize| {
        format!(
            "POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nX-API-Key: k1\r\n{}: {}\r\nContent-Length: {length}\r\n\r\n",
            FORM.0, FORM.1
        )
    };
    for sent in [0, 1, form.len() / 2, form.len() - 1] {
        let bytes = [head(form.len()).as_bytes(), &form[..sent]].concat();
        let answer = app.client.exchange(&bytes, true).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 400 "),
            "{sent}: {text}"
        );
        nothing_is_left(&app).await;
    }
    // A length that is too short cuts the form; the rest is no request.
    let bytes = [head(form.len() - 10).as_bytes(), &form].concat();
    let answer = app.client.exchange(&bytes, true).await;
    assert!(
        answer.starts_with(b"HTTP/1.1 400 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    nothing_is_left(&app).await;
    for cut in ["5\r\nhello", "zz\r\n", "-1\r\n", "5\r\nhello\r\n"] {
        let chunked = format!(
            "POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nX-API-Key: k1\r\n{}: {}\r\nTransfer-Encoding: chunked\r\n\r\n{cut}",
            FORM.0, FORM.1
        );
        let answer = app.client.exchange(chunked.as_bytes(), true).await;
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "),
            "{cut:?}"
        );
    }
    nothing_is_left(&app).await;
}

#[tokio::test]
async fn uploads_need_a_key_that_may_write() {
    use hallpass::model::key::{Scope, Scopes};
    let app = fixture().await;
    app.api_key("org_123", "minter", Scopes::of(&[Scope::Read, Scope::Mint]))
        .await;
    let form = Form::default().file("x.bin", b"x").close();
    post(&app, &[FORM], &form)
        .await
        .refused(401, "AUTHENTICATION_REQUIRED");
    post(&app, &[FORM, ("X-API-Key", "wrong")], &form)
        .await
        .refused(401, "INVALID_API_KEY");
    post(&app, &[FORM, ("X-API-Key", "k2")], &form)
        .await
        .refused(403, "ORGANIZATION_ACCESS_DENIED");
    post(&app, &[FORM, ("X-API-Key", "minter")], &form)
        .await
        .refused(403, "INSUFFICIENT_PERMISSIONS");
    let large = Form::default().file("x.bin", &vec![7; 2_000_000]).close();
    post(&app, &[FORM], &large)
        .await
        .refused(401, "AUTHENTICATION_REQUIRED");
    // One who waits for permission is told no without being told to go on.
    let waiting = format!(
        "POST {UPLOAD} HTTP/1.1\r\nHost: x\r\n{}: {}\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        FORM.0,
        FORM.1,
        form.len()
    );
    app.client
        .send(waiting.as_bytes(), false)
        .await
        .refused(401, "AUTHENTICATION_REQUIRED");
    nothing_is_left(&app).await;
    assert!(BOUNDARY.len() < 70);
}

#[tokio::test]
async fn broken_forms_are_told_in_our_own_words() {
    let app = fixture().await;
    let long = "n".repeat(5_000);
    let cut = |name: &str| {
        let form = Form::default().text(name, "x").open();
        form[..form.len() - 2].to_vec()
    };
    let head = |line: &str| Form::default().part(line, b"x").close();
    let good = "Content-Disposition: form-data; name=\"file\"; filename=\"x\"";
    for (body, why) in [
        (cut(&long), "the form has no end"),
        (cut("purpose"), "the form has no end"),
        (
            Form::default().file("x", b"x").open(),
            "the form has no end",
        ),
        (
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data").into_bytes(),
            "the form has no end",
        ),
        (
            head(&format!("{good}\r\nsecret line")),
            "a part's head cannot be read",
        ),
        (
            head(&format!("{good}{}", "\r\nX-Many: x".repeat(100))),
            "a line is there twice in a part's head",
        ),
    ] {
        let error = post(&app, &[KEY, FORM], &body)
            .await
            .refused(400, "BAD_REQUEST");
        assert_eq!(error["system_message"], format!("bad request: {why}"));
        let headers = [("Authorization", "Bearer k1"), FORM];
        let reply = app
            .client
            .request("POST", "/v1/files", &headers, &body)
            .await;
        let message = format!("The request body could not be read: {why}.");
        assert_eq!(
            (reply.status, &reply.json()["error"]["message"]),
            (400, &message.into())
        );
    }
    let request = format!(
        "POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nX-API-Key: k1\r\n{}: {}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        FORM.0, FORM.1
    );
    let answer = app.client.exchange(request.as_bytes(), false).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.contains("bad request: the body broke off\""),
        "{answer}"
    );
    nothing_is_left(&app).await;
}

#[tokio::test]
async fn a_wrong_field_before_the_file_is_refused_at_once() {
    let app = fixture().await;
    for (field, text) in [("purpose", "nonsense"), ("metadata", "[1]")] {
        let file = Form::default().text(field, text).file("x.bin", &[7; 500]);
        let head = format!(
            "POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nX-API-Key: k1\r\n\
             Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: 1000000\r\n\
             Connection: close\r\n\r\n"
        );
        // The rest of the file never comes, so whoever waits for it does not answer.
        let begun = [head.as_bytes(), &file.open()].concat();
        let reply = app.client.send(&begun, false).await;
        let error = reply.refused(422, "VALIDATION_ERROR");
        assert_eq!(error["details"]["field"], field);
        nothing_is_left(&app).await;
    }
}
