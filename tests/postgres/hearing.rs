//! What one gateway is told, the others know.

use std::time::{Duration, Instant};

use hallpass::model::key::Scopes;

use super::{ROOT, app};
use crate::support::app::TestApp;
use crate::support::cable::Cable;
use crate::support::postgres::Server;

const ROUNDS: usize = 100;

/// Ten times as long as is promised.
const PATIENCE: Duration = Duration::from_secs(10);

const REVOKE: &str = "/v1/organizations/org_123/files/file_abc123/revoke";

/// Revokes at one gateway until another refuses, again and again; the times, sorted.
async fn rounds(one: &TestApp, other: &TestApp) -> Vec<Duration> {
    one.api_key("org_123", "root", Scopes::ALL).await;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let link = one.link("file_abc123", "").await;
        assert_eq!(other.client.get(&link, &[]).await.status, 200);
        let reply = one.client.request("POST", REVOKE, &[ROOT], b"").await;
        assert_eq!(reply.status, 200);
        let begun = Instant::now();
        while other.client.get(&link, &[]).await.status == 200 {
            assert!(begun.elapsed() < PATIENCE, "it opens all the same");
        }
        times.push(begun.elapsed());
        other.client.get(&link, &[]).await.is_dead_link();
        one.client.get(&link, &[]).await.is_dead_link();
    }
    times.sort_unstable();
    times
}

fn print(what: &str, times: &[Duration]) {
    let (middle, last) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{what}: {ROUNDS} rounds, median {middle:?}, longest {last:?}");
}

/// Another gateway on the same rows and bytes, as if on another machine.
async fn beside(one: &TestApp, url: &str) -> TestApp {
    let data = one.directory.path().join("data").display().to_string();
    app(url, &[("server.data_dir", &data)]).await
}

#[tokio::test]
async fn a_revocation_on_one_gateway_is_seen_on_another() {
    let url = Server::shared().database("hearing");
    let one = app(&url, &[]).await.with_org_123().await;
    let other = beside(&one, &url).await;
    print("refused elsewhere, listening", &rounds(&one, &other).await);
}

#[tokio::test]
async fn a_gateway_that_cannot_listen_sees_it_too() {
    let server = Server::shared();
    let url = server.database("deaf");
    let cable = Cable::to(server.port()).await;
    let one = app(&url, &[]).await.with_org_123().await;
    let other = beside(&one, &cable.url("deaf")).await;
    cable.deafen();
    print(
        "refused elsewhere, not listening",
        &rounds(&one, &other).await,
    );
}

/// An API key that is paused, and a file that is deleted, end elsewhere as soon.
#[tokio::test]
async fn deletes_and_paused_keys_are_seen_elsewhere() {
    let url = Server::shared().database("rows");
    let one = app(&url, &[]).await.with_org_123().await;
    let other = beside(&one, &url).await;
    let key = one.api_key("org_123", "paused", Scopes::USUAL).await;
    let list = "/v1/organizations/org_123/files";
    let paused = [("X-API-Key", "paused")];
    let link = one.link("file_abc123", "").await;
    assert_eq!(other.client.get(&link, &[]).await.status, 200);
    assert_eq!(other.client.get(list, &paused).await.status, 200);

    let id = hallpass::model::id::ApiKeyId::parse(&key).unwrap();
    let state = hallpass::model::key::ApiKeyState::Paused;
    one.gateway.set_api_key_state(&id, state).await.unwrap();
    let begun = Instant::now();
    while other.client.get(list, &paused).await.status == 200 {
        assert!(begun.elapsed() < PATIENCE, "the key is good all the same");
    }
    println!(
        "a paused key is refused elsewhere after {:?}",
        begun.elapsed()
    );

    one.api_key("org_123", "root", Scopes::ALL).await;
    let file = "/v1/organizations/org_123/files/file_abc123";
    let reply = one.client.request("DELETE", file, &[ROOT], b"").await;
    assert!(reply.status < 300, "{}", reply.status);
    let begun = Instant::now();
    while other.client.get(&link, &[]).await.status == 200 {
        assert!(begun.elapsed() < PATIENCE, "it opens all the same");
    }
    println!(
        "a deleted file is refused elsewhere after {:?}",
        begun.elapsed()
    );
}
