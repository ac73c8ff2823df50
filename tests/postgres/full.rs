//! A database that has no room: what cannot be written holds on the gateway that was asked, until it is.

use std::time::{Duration, Instant};

use hallpass::gateway::revoke::Revoker;
use hallpass::model::id::OrganizationId;
use hallpass::model::key::Scopes;

use super::{ROOT, app};
use crate::support::app::TestApp;
use crate::support::postgres::Server;

/// Ten times as long as is promised, and longer than two attempts to write.
const PATIENCE: Duration = Duration::from_secs(10);

const REVOKE: &str = "/v1/organizations/org_123/links/revoke";

/// The server's own code of a disk that is full. A real one of 160 MiB answered so to inserts.
const FULL: &str = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS \
     $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$; \
     CREATE TRIGGER full_disk BEFORE INSERT ON change EXECUTE FUNCTION full_disk();";

const ROOM: &str = "DROP TRIGGER full_disk ON change;";

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{what}: {:?}", begun.elapsed());
}

async fn status(app: &TestApp, link: &str) -> u16 {
    app.client.get(link, &[]).await.status
}

#[tokio::test]
async fn a_revocation_without_room_holds_on_the_gateway_that_was_asked_until_it_is_written() {
    let server = Server::shared();
    let url = server.database("full");
    let one = app(&url, &[]).await.with_org_123().await;
    let data = one.directory.path().join("data").display().to_string();
    let other = app(&url, &[("server.data_dir", &data)]).await;
    one.api_key("org_123", "root", Scopes::ALL).await;
    let link = one.link("file_abc123", "").await;
    let third = one.link("file_abc123", "disposition=inline").await;
    until("the other gateway opens it", async || {
        status(&other, &link).await == 200
    })
    .await;

    server.sql("full", FULL);
    let body = format!("{{\"download_url\":\"http://localhost{link}\"}}");
    let json = ("Content-Type", "application/json");
    let headers = [ROOT, json];
    let revoke = async || {
        let asked = one
            .client
            .request("POST", REVOKE, &headers, body.as_bytes());
        asked.await
    };
    let error = revoke().await.refused(507, "INSUFFICIENT_STORAGE");
    let said =
        "The revocation holds on this gateway, but could not be written yet: the disk is full.";
    assert_eq!(error["message"], said);
    assert_eq!(revoke().await.status, 507);
    // Nobody else is told.
    assert_eq!(
        [status(&one, &link).await, status(&other, &link).await],
        [401, 200]
    );
    assert_eq!(
        [status(&one, &third).await, status(&other, &third).await],
        [200, 200]
    );
    // A command's process would end with it.
    let organization = OrganizationId::parse("org_123").unwrap();
    let by_command = one
        .gateway
        .revoke_links_of_organization(&organization, Revoker::Operator);
    by_command.await.unwrap_err();
    assert_eq!(one.gateway.held_revocations(), 1);

    server.sql("full", ROOM);
    until("it is written", async || {
        one.gateway.held_revocations() == 0
    })
    .await;
    until("the other gateway refuses it", async || {
        status(&other, &link).await == 401
    })
    .await;
    assert_eq!(
        server
            .sql("full", "SELECT count(*) FROM denied_link")
            .trim(),
        "1"
    );
    assert_eq!(revoke().await.status, 200);
    let new = app(&url, &[("server.data_dir", &data)]).await;
    assert_eq!(
        [status(&new, &link).await, status(&new, &third).await],
        [401, 200]
    );
}
