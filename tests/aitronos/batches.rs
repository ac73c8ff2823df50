//! Uploads of several files in one form, as the vendor's newest client makes them (its type
//! `FileBatchUploadResponse`).

use serde_json::{Value, json};

use super::uploads::UPLOAD;
use crate::cli::support::Writer;
use crate::support::app::{TestApp, is_on_postgres};
use crate::support::client::Reply;
use crate::support::form::{FORM, Form};
use crate::support::store::{Store, kept};
use crate::support::upload::UnderWay;

const KEY: (&str, &str) = ("X-API-Key", "k1");
const LIST: &str = "/v1/organizations/org_123/files";

async fn start(settings: &[(&'static str, &str)]) -> TestApp {
    TestApp::start_with(settings).await.with_org_123().await
}

async fn send(app: &TestApp, form: Form) -> Reply {
    let form = form.close();
    app.client
        .request("POST", UPLOAD, &[KEY, FORM], &form)
        .await
}

fn one_of(form: Form, name: &str, bytes: &[u8]) -> Form {
    let head = format!("Content-Disposition: form-data; name=\"files\"; filename=\"{name}\"");
    form.part(&head, bytes)
}

fn batch(files: &[(&str, &[u8])]) -> Form {
    let files = files.iter();
    files.fold(Form::default(), |form, (name, bytes)| {
        one_of(form, name, bytes)
    })
}

async fn total(app: &TestApp) -> Value {
    app.client.get(LIST, &[KEY]).await.json()["total"].clone()
}

/// What was stored of a refused form is removed behind its answer.
async fn has_blobs(app: &TestApp, count: usize) {
    for _ in 0..100 {
        if app.blobs_kept().await == count {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("there are {} blobs", app.blobs_kept().await);
}

/// Whether the id is not one of the fixture's.
fn is_drawn(id: &Value) -> bool {
    id.as_str().unwrap().starts_with("file_0")
}

fn names(files: &Value) -> Vec<&str> {
    let files = files.as_array().unwrap().iter();
    files
        .map(|file| file["original_filename"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_batch_is_answered_with_all_its_files_in_their_order() {
    let app = start(&[]).await;
    let form = Form::default().text("purpose", "tool_output");
    let form = one_of(form, "a.txt", b"a");
    let form = form.text("metadata", r#"{"project":"demo"}"#);
    let form = one_of(one_of(form, "ж.png", b"bb"), "a.txt", b"");
    let reply = send(&app, form).await;
    let answer = reply.json();
    assert_eq!(reply.status, 201, "{answer}");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["files", "message", "success", "total_uploaded"]);
    assert_eq!(
        (&answer["success"], &answer["total_uploaded"]),
        (&json!(true), &json!(3))
    );
    assert_eq!(answer["message"], "3 of 3 files uploaded");
    assert_eq!(names(&answer["files"]), ["a.txt", "ж.png", "a.txt"]);
    assert_eq!(answer["files"][1]["mime_type"], "image/png");
    for file in answer["files"].as_array().unwrap() {
        let id = file["id"].as_str().unwrap();
        let one = app.client.get(&format!("{LIST}/{id}"), &[KEY]).await;
        assert_eq!(one.json(), *file, "the object is the same everywhere");
        let same = app
            .client
            .get(
                &format!("/v1/files/{id}"),
                &[("Authorization", "Bearer k1")],
            )
            .await;
        let same = same.json();
        assert_eq!(same["purpose"], "tool_output", "wherever its part stands");
        assert_eq!(same["metadata"], json!({"project": "demo"}));
    }
    let list = app.client.get(LIST, &[KEY]).await.json();
    let listed = list["files"].as_array().unwrap().iter();
    let listed = listed.map(|file| &file["id"]).filter(|id| is_drawn(id));
    let mut sent: Vec<&Value> = answer["files"].as_array().unwrap().iter().collect();
    sent.reverse();
    let sent = sent.into_iter().map(|file| &file["id"]);
    assert!(listed.eq(sent), "the last is the newest");
}

#[tokio::test]
async fn one_file_of_a_batch_is_a_batch() {
    let app = start(&[]).await;
    let answer = send(&app, batch(&[("a.txt", b"a")])).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json()["total_uploaded"], 1);
    let ten: Vec<(&str, &[u8])> = vec![("a.txt", b"a"); 10];
    let answer = send(&app, batch(&ten)).await;
    assert_eq!(
        (
            answer.status,
            answer.json()["files"].as_array().unwrap().len()
        ),
        (201, 10)
    );
    assert_eq!(total(&app).await, 13);
}

#[tokio::test]
async fn files_stay_when_another_of_their_batch_fails() {
    let app = start(&[("uploads.size_max", "100")]).await;
    let files: [(&str, &[u8]); 4] = [
        ("good.txt", &[b'x'; 100]),
        ("large.txt", &[b'x'; 101]),
        ("..", b"x"),
        ("last.txt", b"x"),
    ];
    let reply = send(&app, batch(&files)).await;
    let answer = reply.json();
    assert_eq!(reply.status, 201, "{answer}");
    assert_eq!(answer["success"], true);
    assert_eq!(names(&answer["files"]), ["good.txt", "last.txt"]);
    assert_eq!(
        (&answer["total_uploaded"], &answer["total_failed"]),
        (&json!(2), &json!(2))
    );
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(
        errors[0],
        json!({"filename": "large.txt", "error": "The file is too large."})
    );
    assert_eq!(errors[1]["filename"], "..");
    let why = errors[1]["error"].as_str().unwrap();
    assert!(why.starts_with("filename is not valid: "), "{why}");
    assert_eq!(total(&app).await, 4);
    has_blobs(&app, 4).await;
}

#[tokio::test]
async fn a_batch_without_a_good_file_has_the_status_of_the_first_fault() {
    let app = start(&[
        ("uploads.size_max", "100"),
        ("limits.organization_files", "3"),
    ])
    .await;
    let long: &[u8] = &[b'x'; 101];
    for (files, status) in [
        (vec![("a", long), ("..", b"")], 413),
        (vec![("..", b"".as_slice()), ("a", long)], 422),
    ] {
        let reply = send(&app, batch(&files)).await;
        let answer = reply.json();
        assert_eq!(reply.status, status, "{answer}");
        assert_eq!(
            (
                &answer["success"],
                &answer["files"],
                &answer["total_failed"]
            ),
            (&json!(false), &json!([]), &json!(2))
        );
    }
    // There is room for one more file.
    let files: [(&str, &[u8]); 2] = [("a", b"a"), ("b", b"b")];
    let answer = send(&app, batch(&files)).await.json();
    assert_eq!(
        (&answer["total_uploaded"], &answer["total_failed"]),
        (&json!(1), &json!(1))
    );
    let full = "Your organization's storage is full.";
    assert_eq!(answer["errors"][0]["error"], full);
    let reply = send(&app, batch(&files)).await;
    assert_eq!(
        (reply.status, &reply.json()["success"]),
        (507, &json!(false))
    );
    assert_eq!(total(&app).await, 3);
    has_blobs(&app, 3).await;
}

#[tokio::test]
async fn the_bytes_of_a_batch_are_held_to_the_quota_together() {
    let app = start(&[("limits.organization_bytes", "200")]).await;
    let kept = 67 + 11;
    let half = vec![b'x'; (200 - kept) / 2 + 1];
    let files: [(&str, &[u8]); 3] = [("a", &half), ("b", &half), ("c", b"x")];
    let answer = send(&app, batch(&files)).await.json();
    assert_eq!(names(&answer["files"]), ["a", "c"], "{answer}");
    assert_eq!(answer["errors"][0]["filename"], "b");
    has_blobs(&app, 4).await;
}

#[tokio::test]
async fn nothing_is_stored_of_a_batch_that_is_refused() {
    let app = start(&[]).await;
    let eleven: Vec<(&str, &[u8])> = vec![("a.txt", b"a"); 11];
    let two: [(&str, &[u8]); 2] = [("a.txt", b"a"), ("b.txt", b"b")];
    for (form, field) in [
        (batch(&eleven), "files"),
        (batch(&two).file("c.txt", b"c"), "file"),
        (
            one_of(Form::default().file("c.txt", b"c"), "a.txt", b"a"),
            "files",
        ),
        (batch(&two).text("purpose", "nonsense"), "purpose"),
        (batch(&two).text("metadata", "[1]"), "metadata"),
        (Form::default().text("purpose", "tool_output"), "file"),
    ] {
        let reply = send(&app, form).await;
        let error = reply.refused(422, "VALIDATION_ERROR");
        assert_eq!(error["details"]["field"], field, "{error}");
    }
    let cut = batch(&two).open();
    let reply = app.client.request("POST", UPLOAD, &[KEY, FORM], &cut).await;
    reply.refused(400, "BAD_REQUEST");
    assert_eq!(total(&app).await, 2);
    has_blobs(&app, 2).await;
}

/// Durable bytes without a row are swept after an hour, and a form may take longer.
#[tokio::test]
async fn no_file_of_a_batch_is_durable_before_the_form_is_read() {
    let app = start(&[]).await;
    let before = app.blobs_kept().await;
    let form = batch(&[("a.txt", b"first"), ("b.txt", b"second")]).close();
    let mut under_way = UnderWay::begin(app.client.0, UPLOAD, &[KEY], form).await;
    under_way.send_all_but(4).await;
    // In a store, stages are nowhere to be seen.
    if Store::running().is_none() {
        let both_are_staged = async {
            while kept(app.directory.path()).await.1 < 2 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        let patience = std::time::Duration::from_secs(60);
        tokio::time::timeout(patience, both_are_staged)
            .await
            .expect("two stages");
    }
    assert_eq!(kept(app.directory.path()).await.0, before);
    let reply = under_way.finish().await;
    assert_eq!(reply.status, 201, "{}", reply.json());
    assert_eq!(names(&reply.json()["files"]), ["a.txt", "b.txt"]);
    has_blobs(&app, before + 2).await;
}

/// Another process writes to the catalogue for longer than a request waits for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_cannot_be_stored_for_now_says_when_to_send_it_again() {
    if is_on_postgres() {
        println!("on SQLite only, which one process writes to at a time");
        return;
    }
    let app = start(&[]).await;
    let before = total(&app).await;
    let writer = Writer::to(&app.directory.path().join("data/catalogue.sqlite3"));
    let reply = send(&app, batch(&[("a.txt", b"a"), ("b.txt", b"b")])).await;
    writer.end();
    let json = reply.json();
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(
        (&json["success"], &json["total_failed"]),
        (&json!(false), &json!(2))
    );
    assert_eq!(total(&app).await, before);
}
