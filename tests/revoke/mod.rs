//! Revoking by calls, over real sockets: what they answer, what they refuse, and what opens afterwards.

mod calls;
mod feed;
mod limits;
mod refusals;
mod under_way;

use serde_json::Value;

use crate::support::app::TestApp;
use crate::support::client::Reply;
use hallpass::model::key::{Scope, Scopes};

const ONE: &str = "/v1/organizations/org_123/links/revoke";
const OF_FILE: &str = "/v1/organizations/org_123/files/file_abc123/revoke";
const ALL: &str = "/v1/organizations/org_123/revoke";

/// `org_123` with two files, its usual key `k1`, and a key `root` that may revoke and nothing else is said of.
async fn fixture_with(settings: &[(&'static str, &str)]) -> TestApp {
    let app = TestApp::start_with(settings).await.with_org_123().await;
    let admin = Scopes::of(&[Scope::Admin]);
    app.api_key("org_123", "root", admin).await;
    app
}

async fn fixture() -> TestApp {
    fixture_with(&[]).await
}

async fn post(app: &TestApp, target: &str, key: &str, body: &[u8]) -> Reply {
    let headers = [("X-API-Key", key)];
    app.client.request("POST", target, &headers, body).await
}

/// Revokes as `root` does, and answers the body of the 200.
async fn revoke(app: &TestApp, target: &str, body: &str) -> Value {
    let reply = post(app, target, "root", body.as_bytes()).await;
    let text = String::from_utf8_lossy(&reply.body);
    assert_eq!(reply.status, 200, "{text}");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    reply.json()
}

/// A body that names a link.
fn naming(minted: &Value) -> String {
    serde_json::json!({ "download_url": minted["download_url"] }).to_string()
}

fn link_id(minted: &Value) -> String {
    let token = minted["token"].as_str().unwrap();
    token.split_once('.').unwrap().1[..12].to_owned()
}

async fn status(app: &TestApp, minted: &Value) -> u16 {
    let link = crate::support::app::target(minted["download_url"].as_str().unwrap());
    app.client.get(&link, &[]).await.status
}
