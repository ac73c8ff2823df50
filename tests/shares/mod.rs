//! Shares by calls, over real sockets: made, listed, shown, changed, rotated, revoked; and which codes open then.

mod calls;
mod closing;
mod refusals;
mod transports;

use hallpass::gateway::refusal::Refusal;
use hallpass::model::key::{Scope, Scopes};
use hallpass::sign::verify::Rejection;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::client::Reply;
use crate::support::secrets;

const ALL: &str = "/v1/organizations/org_123/shares";

/// `org_123` with two files, its usual key `k1`, a key `other` that may mint, `reader`, which may not, and `root`, which
/// may everything.
async fn fixture_with(settings: &[(&'static str, &str)]) -> TestApp {
    let app = TestApp::start_with(settings).await.with_org_123().await;
    for (key, scopes) in [
        ("other", &[Scope::Mint][..]),
        ("reader", &[Scope::Read, Scope::Write]),
        ("root", &[Scope::Admin]),
    ] {
        app.api_key("org_123", key, Scopes::of(scopes)).await;
    }
    app
}

async fn fixture() -> TestApp {
    fixture_with(&[]).await
}

async fn call(app: &TestApp, method: &str, target: &str, key: &str, body: &str) -> Reply {
    let headers = [("X-API-Key", key)];
    let body = body.as_bytes();
    app.client.request(method, target, &headers, body).await
}

/// Answers the body of an answer with this status, whose code must be in no line of the log.
#[track_caller]
fn answered(reply: &Reply, status: u16) -> Value {
    let text = String::from_utf8_lossy(&reply.body);
    assert_eq!(reply.status, status, "{text}");
    let share = reply.json();
    if let Some(url) = share["share_url"].as_str() {
        secrets::keep(code_of(url));
    }
    share
}

/// Makes a share as `k1` does.
async fn made(app: &TestApp, body: &Value) -> Value {
    let reply = call(app, "POST", ALL, "k1", &body.to_string()).await;
    answered(&reply, 201)
}

/// A share of `file_abc123`.
async fn plain(app: &TestApp) -> Value {
    made(app, &json!({"files": ["file_abc123"]})).await
}

/// The target of one share.
fn one(share: &Value) -> String {
    format!("{ALL}/{}", share["share_id"].as_str().unwrap())
}

fn code_of(url: &str) -> &str {
    url.rsplit_once("/s/").unwrap().1
}

/// Why the share that was answered so does not open, on this gateway.
async fn closed(app: &TestApp, share: &Value) -> Option<Rejection> {
    closed_url(app, share["share_url"].as_str().unwrap()).await
}

async fn closed_url(app: &TestApp, url: &str) -> Option<Rejection> {
    match app.gateway.open_share(code_of(url), None).await {
        Ok(_) => None,
        Err(Refusal::Link(why)) => Some(why),
        Err(other) => panic!("{other:?}"),
    }
}
