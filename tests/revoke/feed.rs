//! A change feed that is cut off, put back, or followed by two: what is revoked stays revoked, and everything else is
//! as the catalogue says.

use std::time::{Duration, Instant};

use hallpass::gateway::revocations::STALENESS_MAX;

use super::{ALL, OF_FILE, ONE, fixture, fixture_with, naming, post, revoke, status};
use crate::support::app::{TestApp, is_on_postgres, target};

/// Ten times as long as is promised.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until a link is answered with this status.
async fn until(app: &TestApp, minted: &serde_json::Value, wanted: u16) {
    let begun = Instant::now();
    while status(app, minted).await != wanted {
        assert!(begun.elapsed() < PATIENCE, "no {wanted}");
    }
}

/// Runs statements as one transaction, behind every gateway's back.
fn transaction(app: &TestApp, statements: &str) {
    let head = "UPDATE change_head SET version = (SELECT max(version) FROM change);";
    let head = if is_on_postgres() { head } else { "" };
    app.sql(&format!("BEGIN; {statements} {head} COMMIT;"));
}

const NEWEST: &str = "(SELECT max(version) FROM change)";

/// The entry that tells of it is there, and the one that a gateway knows is forgotten.
#[tokio::test]
async fn a_gateway_that_missed_more_than_is_kept_reads_everything_anew() {
    let app = fixture().await;
    let links = [
        app.mint("file_abc123", "").await,
        app.mint("file_def456", "").await,
    ];
    for link in &links {
        assert_eq!(status(&app, link).await, 200);
    }
    let statements = format!(
        "UPDATE file SET link_revision = 1 WHERE id = 'file_abc123'; \
         UPDATE organization SET revised_files = 1 WHERE id = 'org_123'; \
         DELETE FROM change WHERE version < {NEWEST}; UPDATE change SET version = version + 500;"
    );
    transaction(&app, &statements);
    until(&app, &links[0], 401).await;
    assert_eq!(status(&app, &links[1]).await, 200);
    // From there on it follows the feed again.
    assert_eq!(revoke(&app, OF_FILE, "").await["link_revision"], 2);
    revoke(&app, ALL, "").await;
    assert_eq!(status(&app, &links[1]).await, 401);
}

/// A catalogue of before the last changes, as from a backup, whose entries have lower numbers.
#[tokio::test]
async fn after_an_older_catalogue_was_put_back_everything_is_as_it_says() {
    let app = fixture().await;
    let minted = app.mint("file_abc123", "").await;
    let gone = app.mint("file_def456", "").await;
    revoke(&app, ONE, &naming(&minted)).await;
    let delete = "/v1/organizations/org_123/files/file_def456";
    let headers = [("X-API-Key", "k1")];
    let deleted = app.client.request("DELETE", delete, &headers, b"").await;
    assert_eq!(deleted.status, 204);
    assert_eq!(
        [status(&app, &minted).await, status(&app, &gone).await],
        [401, 404]
    );
    transaction(
        &app,
        "DELETE FROM denied_link; UPDATE organization SET denied_links = 0, ready_files = 2 WHERE id = 'org_123'; \
         UPDATE file SET state = 'ready', deleted_at = NULL; DELETE FROM change WHERE version > 0;",
    );
    until(&app, &minted, 200).await;
    until(&app, &gone, 200).await;
    // The next change has a number that was given to another one before.
    revoke(&app, ONE, &naming(&minted)).await;
    assert_eq!(
        [status(&app, &minted).await, status(&app, &gone).await],
        [401, 200]
    );
}

/// A catalogue that went another way since, with as many changes.
#[tokio::test]
async fn an_entry_of_the_same_number_that_is_another_one_is_found_out() {
    let app = fixture().await;
    let links = [
        app.mint("file_abc123", "").await,
        app.mint("file_def456", "").await,
    ];
    revoke(&app, ONE, &naming(&links[0])).await;
    assert_eq!(status(&app, &links[1]).await, 200);
    let statements = format!(
        "DELETE FROM denied_link; UPDATE file SET link_revision = 1 WHERE id = 'file_def456'; \
         UPDATE organization SET denied_links = 0, revised_files = 1 WHERE id = 'org_123'; \
         UPDATE change SET stamp = stamp / 2 + 7, kind = 'file_revision', item = 'file_def456', number = 1 \
         WHERE version = {NEWEST};"
    );
    transaction(&app, &statements);
    until(&app, &links[1], 401).await;
    assert_eq!(status(&app, &links[0]).await, 200);
}

/// A gateway that was not told answers from what it knew for a second at most, and asks then.
#[tokio::test]
async fn what_one_gateway_revoked_no_other_opens_a_second_later() {
    let one = fixture().await;
    let other = one.beside(&[]).await;
    let mut longest = Duration::ZERO;
    for _ in 0..100 {
        let minted = one.mint("file_abc123", "").await;
        assert_eq!(status(&other, &minted).await, 200);
        revoke(&one, ONE, &naming(&minted)).await;
        let revoked = Instant::now();
        loop {
            let asked = revoked.elapsed();
            match status(&other, &minted).await {
                200 => assert!(asked < STALENESS_MAX, "opened {asked:?} later"),
                refused => {
                    assert_eq!(refused, 401);
                    longest = longest.max(asked);
                    break;
                }
            }
        }
    }
    println!("refused elsewhere after {longest:?} at the latest");
}

/// A feed with a gap, and one with an entry that no version of ours writes: what was done there is not known.
#[tokio::test]
async fn an_entry_that_is_missing_or_damaged_has_everything_read_anew() {
    let entries = [
        ("2", "'file', 'org_123', 'file_def456', NULL"),
        ("1", "'of another kind', NULL, NULL, NULL"),
    ];
    for (further, entry) in entries {
        let app = fixture().await;
        let links = [
            app.mint("file_abc123", "").await,
            app.mint("file_def456", "").await,
        ];
        for link in &links {
            assert_eq!(status(&app, link).await, 200);
        }
        let statements = format!(
            "UPDATE file SET link_revision = 1 WHERE id = 'file_abc123'; \
             UPDATE organization SET revised_files = 1 WHERE id = 'org_123'; \
             INSERT INTO change (version, stamp, kind, organization, item, number) \
             VALUES ({NEWEST} + {further}, 5, {entry});"
        );
        transaction(&app, &statements);
        until(&app, &links[0], 401).await;
        assert_eq!(status(&app, &links[1]).await, 200);
        assert_eq!(revoke(&app, OF_FILE, "").await["link_revision"], 2);
    }
}

/// Both know the link under the same counters, and where the list is full one of them raises them.
#[tokio::test]
async fn two_gateways_that_revoke_one_link_agree() {
    for settings in [&[][..], &[("links.denied_max", "1")]] {
        let one = fixture_with(settings).await;
        let other = one.beside(settings).await;
        if !settings.is_empty() {
            let filler = one.mint("file_def456", "").await;
            revoke(&one, ONE, &naming(&filler)).await;
        }
        let minted = one.mint("file_abc123", "").await;
        let link = target(minted["download_url"].as_str().unwrap());
        assert_eq!(other.client.get(&link, &[]).await.status, 200);
        let body = naming(&minted);
        let replies = tokio::join!(
            post(&one, ONE, "root", body.as_bytes()),
            post(&other, ONE, "root", body.as_bytes()),
        );
        let mut done = Vec::new();
        for (app, reply) in [(&one, replies.0), (&other, replies.1)] {
            assert_eq!(reply.status, 200);
            app.client.get(&link, &[]).await.is_dead_link();
            done.push(reply.json());
        }
        assert_eq!(done[0], done[1]);
        for app in [&one, &other] {
            until(app, &minted, 401).await;
            let known = app.gateway.refresh().await.unwrap();
            let raised = u64::from(!settings.is_empty());
            assert_eq!(known.revision("org_123", "file_abc123"), raised);
        }
    }
}
