//! Media types, charsets and names: declared, guessed and sent, through every door.

mod charset;
mod checksums;
mod endings;
mod forms;
mod names;
mod placeholders;

use serde_json::Value;

use crate::support::app::TestApp;
use crate::support::client::Reply;
use crate::support::form::{FORM, Form};

const KEY: (&str, &str) = ("X-API-Key", "k1");
const BEARER: (&str, &str) = ("Authorization", "Bearer k1");

/// Where each API dialect takes uploads in, with its credential.
const UPLOADS: [(&str, (&str, &str)); 2] = [
    ("/v1/organizations/org_123/files/upload", KEY),
    ("/v1/files", BEARER),
];

/// Sends a form to one of [`UPLOADS`].
async fn post(app: &TestApp, (path, key): (&str, (&str, &str)), form: &[u8]) -> Reply {
    app.client.request("POST", path, &[key, FORM], form).await
}

/// The file object of an upload that is taken.
async fn uploaded(app: &TestApp, upload: (&str, (&str, &str)), form: Form) -> Value {
    let reply = post(app, upload, &form.close()).await;
    let text = String::from_utf8_lossy(&reply.body);
    assert_eq!(reply.status, 201, "{text}");
    reply.json()
}

/// A file part of this name; `more` are head lines, each before its line end.
fn part(name: &str, more: &str) -> String {
    let more = more.lines().map(|line| format!("\r\n{line}"));
    let head = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"");
    head + &more.collect::<String>()
}
