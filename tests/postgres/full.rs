//! A database that has no room: what cannot be written holds on every gateway that hears of it, until it is.

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

/// A gateway on this database, and another one on the same bytes, as if on another machine; a link that both open.
async fn two(database: &str) -> (TestApp, TestApp, String) {
    let url = Server::shared().database(database);
    let one = app(&url, &[]).await.with_org_123().await;
    let other = one.beside(&[("catalog.url", &url)]).await;
    one.api_key("org_123", "root", Scopes::ALL).await;
    let link = one.link("file_abc123", "").await;
    until("the other gateway opens it", async || {
        status(&other, &link).await == 200
    })
    .await;
    (one, other, link)
}

/// Revokes a link at a gateway whose database has no room.
async fn revoke(app: &TestApp, link: &str) {
    let body = format!("{{\"download_url\":\"http://localhost{link}\"}}");
    let headers = [ROOT, ("Content-Type", "application/json")];
    let asked = app
        .client
        .request("POST", REVOKE, &headers, body.as_bytes());
    let error = asked.await.refused(507, "INSUFFICIENT_STORAGE");
    let said =
        "The revocation holds on this gateway, but could not be written yet: the disk is full.";
    assert_eq!(error["message"], said);
}

#[tokio::test]
async fn a_revocation_without_room_holds_on_every_gateway_until_it_is_written() {
    let server = Server::shared();
    let (one, other, link) = two("full").await;
    let third = one.link("file_abc123", "disposition=inline").await;
    server.sql("full", FULL);
    for _ in 0..2 {
        revoke(&one, &link).await;
    }
    assert_eq!(status(&one, &link).await, 401);
    until("the other gateway refuses it, too", async || {
        status(&other, &link).await == 401
    })
    .await;
    // What is no announcement of ours holds nothing.
    for text in [
        "held 0000000000000001 org_123 file ../file_abc123",
        "held 1 org_123 organization",
        "held",
    ] {
        server.sql("full", &format!("NOTIFY hallpass, '{text}'"));
    }
    // A command's process would end with it.
    let organization = OrganizationId::parse("org_123").unwrap();
    let by_command = one
        .gateway
        .revoke_links_of_organization(&organization, Revoker::Operator);
    by_command.await.unwrap_err();
    let url = server.url("full");
    let late = one.beside(&[("catalog.url", &url)]).await;
    until("one that started later refuses it, too", async || {
        status(&late, &link).await == 401
    })
    .await;
    for gateway in [&one, &other, &late] {
        assert_eq!(gateway.gateway.held_revocations(), 1);
        assert_eq!(status(gateway, &third).await, 200);
    }

    server.sql("full", ROOM);
    until("it is written", async || {
        let held = [&one, &other, &late].map(|app| app.gateway.held_revocations());
        held == [0, 0, 0]
    })
    .await;
    for gateway in [&one, &other, &late] {
        assert_eq!(status(gateway, &link).await, 401);
    }
    assert_eq!(
        server
            .sql("full", "SELECT count(*) FROM denied_link")
            .trim(),
        "1"
    );
    let new = one.beside(&[("catalog.url", &url)]).await;
    assert_eq!(
        [status(&new, &link).await, status(&new, &third).await],
        [401, 200]
    );
}

#[tokio::test]
async fn what_the_gateway_that_was_asked_never_wrote_is_written_by_one_that_heard_of_it() {
    let server = Server::shared();
    let (one, other, link) = two("heard").await;
    server.sql("heard", FULL);
    revoke(&one, &link).await;
    until("the other gateway refuses it, too", async || {
        status(&other, &link).await == 401
    })
    .await;
    let _directory = one.stop().await;
    assert_eq!(other.gateway.held_revocations(), 1);
    server.sql("heard", ROOM);
    until("it is written", async || {
        other.gateway.held_revocations() == 0
    })
    .await;
    let written = server.sql("heard", "SELECT count(*) FROM denied_link");
    assert_eq!(written.trim(), "1");
    assert_eq!(status(&other, &link).await, 401);
}
