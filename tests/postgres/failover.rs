//! A standby that lags takes over.

use std::time::{Duration, Instant};

use hallpass::model::key::Scopes;
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::{ANYONE, ROOT, app};
use crate::support::app::TestApp;
use crate::support::cable::{Cable, Line};
use crate::support::postgres::Server;

const LIST: &str = "/v1/organizations/org_123/files";

/// Ten times as long as is promised of a revocation, and as a gateway may take to be well again.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often is revoked on either side.
const TURNS: u64 = 3;

async fn revoke_links_of(app: &TestApp, file: &str) {
    let path = format!("/v1/organizations/org_123/files/{file}/revoke");
    let reply = app.client.request("POST", &path, &[ROOT], b"").await;
    assert_eq!(reply.status, 200);
}

/// One gateway knows as many revocations of the lost server as there are later on the new one, by another
/// gateway: it must not take the one state for the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_after_a_failover_is_seen_by_who_knew_what_was_lost() {
    let lost = Server::start("");
    lost.database("failover");
    let cable = Cable::to(lost.port()).await;
    let one = app(&cable.url("failover"), &[]).await.with_org_123().await;
    one.api_key("org_123", "root", Scopes::ALL).await;
    let data = one.directory.path().join("data").display().to_string();
    let (first, second) = (
        one.link("file_abc123", "").await,
        one.link("file_def456", "").await,
    );

    let begun = Instant::now();
    let standby = block_in_place(|| lost.standby());
    for _ in 0..TURNS {
        revoke_links_of(&one, "file_abc123").await;
    }
    one.client.get(&first, &[]).await.is_dead_link();
    cable.set(Line::Stalls);
    block_in_place(|| lost.stop_at_once());

    // It follows, and is not taken for the one that it follows.
    block_in_place(|| standby.start_again());
    cable.lead_to(standby.port());
    cable.set(Line::Passes);
    sleep(Duration::from_secs(2)).await;
    let refused = one.client.get(&second, &[]).await;
    refused.refused(503, "SERVICE_UNAVAILABLE");
    cable.set(Line::Stalls);

    block_in_place(|| standby.promote());
    println!("another server has taken over after {:?}", begun.elapsed());
    let other = app(&standby.url("failover"), &[("server.data_dir", &data)]).await;
    for _ in 0..TURNS {
        revoke_links_of(&other, "file_def456").await;
    }
    other.client.get(&second, &[]).await.is_dead_link();
    // What the lost server had answered for and not passed on is lost with it.
    assert_eq!(other.client.get(&first, &[]).await.status, 200);

    cable.set(Line::Passes);
    let begun = Instant::now();
    while one.client.get(LIST, &[ANYONE]).await.status != 200 {
        assert!(begun.elapsed() < PATIENCE, "it does not come back");
        sleep(Duration::from_millis(20)).await;
    }
    println!("the gateway is well again after {:?}", begun.elapsed());
    while one.client.get(&second, &[]).await.status != 401 {
        assert!(begun.elapsed() < PATIENCE, "the link opens all the same");
        sleep(Duration::from_millis(20)).await;
    }
    println!(
        "it knows what was revoked there after {:?}",
        begun.elapsed()
    );
}
