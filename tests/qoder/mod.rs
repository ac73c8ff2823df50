//! The Qoder API, check by check of its contract, over a real socket.

mod content;
mod curl;
mod faults;
mod files;
mod idempotency;
mod list;
mod pages;
mod refusals;
mod third;

use hallpass::gateway::upload::NewFile;
use hallpass::model::file::Purpose;
use hallpass::model::metadata::Metadata;
use hallpass::model::time::UnixSeconds;
use serde_json::{Value, json};

use crate::support::app::{TestApp, new_file};
use crate::support::client::Reply;

const FILES: &str = "/v1/files";
const ROOTS: [&str; 2] = [FILES, "/api/v1/cloud/files"];
const PAT_A: (&str, &str) = ("Authorization", "Bearer pt-a");
const PAT_B: (&str, &str) = ("Authorization", "Bearer pt-b");

/// The file that a tool made.
const F1: &str = "file_019e3bb9b0c2752688aeb5fdacf00565";
const F1_BYTES: &[u8] = b"what the tool said\n";
/// The file that belongs to a session.
const F2: &str = "file_019e3bb8e6c47d189212a79642136696";

/// The whole text of an answer, as a file says it.
macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../golden/qoder/", $name, ".json")).trim_end()
    };
}
use golden;

/// Two accounts without files: `pt-a` is the key of one, `pt-b` of the other.
async fn accounts() -> TestApp {
    accounts_with(&[]).await
}

async fn accounts_with(settings: &[(&'static str, &str)]) -> TestApp {
    let app = TestApp::start_with(settings).await;
    app.account("account_a", "pt-a").await;
    app.account("account_b", "pt-b").await;
    app
}

/// Two accounts, the first with F1, F2 and a file of each other purpose.
async fn fixture() -> TestApp {
    fixture_with(&[]).await
}

async fn fixture_with(settings: &[(&'static str, &str)]) -> TestApp {
    let app = accounts_with(settings).await;
    add_report(&app).await;
    let output = NewFile {
        created_at: UnixSeconds::parse_rfc3339("2026-05-18T15:34:45Z"),
        ..file(F1, "output.txt", Purpose::ToolOutput)
    };
    app.put(output, F1_BYTES).await;
    for (id, purpose) in [
        ("file_skill", Purpose::SkillOutput),
        ("file_user", Purpose::UserUpload),
        ("file_agent", Purpose::AgentOutput),
    ] {
        app.put(file(id, "x.bin", purpose), b"x").await;
    }
    app
}

/// Adds F2 to the first account.
async fn add_report(app: &TestApp) {
    let report = NewFile {
        metadata: Metadata::new([("project".into(), "test".into())]).unwrap(),
        created_at: UnixSeconds::parse_rfc3339("2026-05-18T15:33:53Z"),
        ..file(F2, "report.txt", Purpose::SessionResource)
    };
    app.at(-58);
    app.put(report, &[b'r'; 110]).await;
    app.at(0);
}

/// A file of the first account.
fn file(id: &str, name: &str, purpose: Purpose) -> NewFile {
    NewFile {
        purpose,
        ..new_file("account_a", id, name)
    }
}

fn text(reply: &Reply) -> &str {
    std::str::from_utf8(&reply.body).unwrap()
}

/// Asserts a whole error: its text, and the headers that every error has.
#[track_caller]
fn refused(reply: &Reply, status: u16, whole: &str) {
    assert_eq!((reply.status, text(reply)), (status, whole));
    has_error_headers(reply);
}

/// Asserts an error whose message only begins in this way, and answers its `error`.
#[track_caller]
fn refused_as(reply: &Reply, status: u16, kind: &str, message: &str) -> Value {
    let json: Value = reply.json();
    assert_eq!(reply.status, status, "{json}");
    has_error_headers(reply);
    assert_eq!(json["type"], "error", "{json}");
    let error = &json["error"];
    assert_eq!(error["type"], kind, "{json}");
    let said = error["message"].as_str().unwrap();
    assert!(said.starts_with(message), "{said}");
    error.clone()
}

/// Asserts that one field is at fault.
#[track_caller]
fn is_fault_of(reply: &Reply, field: &str) {
    let error = refused_as(reply, 400, "invalid_request_error", "Field '");
    assert_eq!(error["param"], field, "{error}");
}

#[track_caller]
fn has_error_headers(reply: &Reply) {
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert!(reply.header("x-request-id").is_some());
    assert_eq!(reply.header("location"), None);
    let challenge = (reply.status == 401).then_some("Bearer realm=\"hallpass\"");
    assert_eq!(reply.header("www-authenticate"), challenge);
}

fn ids(page: &Value) -> Vec<&str> {
    let files = page["data"].as_array().unwrap().iter();
    files
        .map(|file| file["file_id"].as_str().unwrap())
        .collect()
}

/// A page of the first account's files.
async fn page(app: &TestApp, query: &str) -> Value {
    let reply = app.client.get(&format!("{FILES}?{query}"), &[PAT_A]).await;
    assert_eq!(reply.status, 200, "{query}: {}", text(&reply));
    let page = reply.json();
    let keys: Vec<&String> = page.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["data", "first_id", "has_more", "last_id"]);
    let (first, last) = (ids(&page).first().copied(), ids(&page).last().copied());
    assert_eq!(
        (&page["first_id"], &page["last_id"]),
        (&json!(first), &json!(last))
    );
    page
}
