//! A snapshot costs what was changed, and is as good as the catalogue.

use std::path::Path;
use std::pin::Pin;
use std::time::Instant;

use futures_util::FutureExt as _;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use super::*;
use crate::catalog::changes::CHANGES_READ_MAX;
use crate::catalog::contract::{MANY, at, denial, file, file_id, organization, revoked, signed};
use crate::catalog::sqlite::Sqlite;
use crate::catalog::testing::TestCatalog;
use crate::catalog::{Catalog, FILES_ADDED_MAX};
use crate::gateway::mint::MintOptions;
use crate::gateway::principal::Principal;
use crate::gateway::recheck::RECHECK_SECONDS_MAX;
use crate::gateway::revoke::Revoker;
use crate::gateway::testing;
use crate::model::file::FileRecord;
use crate::model::id::{ApiKeyId, OrganizationId};
use crate::model::key::Scopes;
use crate::model::revocation::{Denial, LinkId};

/// Runs statements behind the gateway's back.
async fn run(path: &Path, statements: &str) {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = options.connect().await.unwrap();
    let done = sqlx::query(sqlx::AssertSqlSafe(statements.to_owned()));
    done.execute(&mut connection).await.unwrap();
}

struct Place {
    directory: tempfile::TempDir,
    catalog: Arc<Sqlite>,
    gateway: Gateway,
    owner: OrganizationId,
}

/// A gateway on a disk, and `raised` files whose links were revoked once.
async fn place(raised: usize) -> Place {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalogue.sqlite3");
    let catalog = Arc::new(Sqlite::open(&path).await.unwrap());
    let owner = organization(catalog.as_ref(), "a").await;
    let files: Vec<FileRecord> = (0..raised)
        .map(|number| FileRecord {
            link_revision: 1,
            ..file(&owner, &format!("f{number}"), 1)
        })
        .collect();
    for some in files.chunks(FILES_ADDED_MAX) {
        catalog.add_files(some).await.unwrap();
    }
    let shared: Arc<dyn Catalog> = Arc::clone(&catalog) as _;
    Place {
        directory,
        catalog,
        gateway: testing::gateway(shared, testing::memory_blobs()),
        owner,
    }
}

#[tokio::test]
async fn an_upload_costs_no_reload_of_what_was_revoked() {
    let place = place(100_000).await;
    let begun = Instant::now();
    let before = place.gateway.refresh().await.unwrap();
    println!(
        "the first look, of 100,000 revisions: {:?}",
        begun.elapsed()
    );
    let upload = file(&place.owner, "upload", 1);
    place.catalog.add_file(&upload).await.unwrap();
    let begun = Instant::now();
    let after = place.gateway.refresh().await.unwrap();
    println!("the look after an upload: {:?}", begun.elapsed());
    assert!(Arc::ptr_eq(&before, &after), "nothing was read again");

    let raised = place
        .catalog
        .raise_link_revision(&place.owner, &upload.id, 200_000);
    raised.await.unwrap();
    let begun = Instant::now();
    let after = place.gateway.refresh().await.unwrap();
    println!("the look after a revocation: {:?}", begun.elapsed());
    assert_eq!(after.revision(&place.owner, &upload.id), 1);
    assert_eq!(before.revision(&place.owner, &upload.id), 0);
    let reloads = place.gateway.snapshot.current.load().reloads;
    assert_eq!(reloads, 1, "nothing was read again");
}

/// Whatever two processes revoke, forget and free, a snapshot that follows is as one that is read anew.
#[tokio::test]
async fn a_snapshot_that_follows_is_as_one_that_is_read_anew() {
    let place = place(3).await;
    let other = organization(place.catalog.as_ref(), "b").await;
    place.gateway.refresh().await.unwrap();
    let (now, later) = (testing::NOW, 10_000);
    let link = |number: u64| LinkId::parse(&format!("link-{number:07}")).unwrap();
    let mut random = 1_u64;
    for step in 0..300 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let (what, which) = ((random >> 33) % 10, (random >> 40) % 3);
        let owner = if which == 2 { &other } else { &place.owner };
        let id = file_id(["f0", "f1", "f2"][usize::try_from(which).unwrap()]);
        match what {
            0..=4 => {
                let denial = Denial {
                    // Of an epoch that is yet to come, so that none has ended it.
                    signed: random.is_multiple_of(2).then(|| signed("f0", 1_000)),
                    ..denial(owner, link(random % 50), now + later + step)
                };
                let denied = place.catalog.deny_link(&denial, at(now), MANY).await;
                denied.unwrap();
            }
            // A file that is gone, or of another one, is refused.
            5 | 6 => drop(place.catalog.raise_link_revision(owner, &id, 9).await),
            7 => drop(
                place
                    .gateway
                    .revoke_links_of_organization(owner, Revoker::Operator)
                    .await,
            ),
            8 if step > 250 => {
                let _ = place.catalog.delete_file(&place.owner, &id, at(now)).await;
                let _ = place.catalog.mark_swept(&place.owner, &id).await;
            }
            _ => drop(place.catalog.forget_swept(at(now), 9).await),
        }
        if random.is_multiple_of(3) {
            let followed = place.gateway.refresh().await.unwrap();
            assert_eq!(
                *followed,
                revoked(place.catalog.as_ref(), now).await,
                "{step}"
            );
        }
    }
    let reloads = place.gateway.snapshot.current.load().reloads;
    assert_eq!(reloads, 1);
}

#[tokio::test]
async fn a_reload_goes_on_when_the_one_who_waited_gives_up() {
    let place = place(20_000).await;
    let patience = Duration::from_millis(20);
    let none = Duration::from_micros(1);
    assert!(
        tokio::time::timeout(none, place.gateway.refresh())
            .await
            .is_err(),
        "reading so much takes longer"
    );
    let begun = Instant::now();
    let known = loop {
        if let Ok(known) = tokio::time::timeout(patience, place.gateway.refresh()).await {
            break known.unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "never ready");
    };
    assert_eq!(known.revision(&place.owner, file_id("f0")), 1);
}

/// A gateway that is far behind, and is given up by one caller after the other, comes nearer with each page.
#[tokio::test]
async fn what_was_read_of_a_long_feed_is_not_read_again() {
    let catalog = Arc::new(TestCatalog::new().await);
    let owner = organization(catalog.as_ref(), "a").await;
    let gateway = testing::gateway(Arc::clone(&catalog) as _, testing::memory_blobs());
    let before = gateway.refresh().await.unwrap();
    let files: Vec<FileRecord> = (0..CHANGES_READ_MAX + 1_000)
        .map(|number| FileRecord {
            link_revision: 1,
            ..file(&owner, &format!("f{number}"), 1)
        })
        .collect();
    for some in files.chunks(FILES_ADDED_MAX) {
        catalog.add_files(some).await.unwrap();
    }
    let confirmed = gateway.snapshot.current.load().confirmed;
    let raised = || gateway.snapshot.revocations().counts().revisions;
    catalog.answer_pages(1);
    {
        let mut refresh = std::pin::pin!(gateway.refresh());
        let begun = Instant::now();
        while raised() == before.counts().revisions {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "it never came nearer"
            );
            let _ = tokio::time::timeout(Duration::from_millis(1), refresh.as_mut()).await;
        }
    }
    assert_eq!(raised(), u64::from(CHANGES_READ_MAX));
    let halfway = gateway.snapshot.current.load().confirmed;
    assert_eq!(halfway, confirmed, "it is no newer than what was compared");
    catalog.answer_pages(1);
    let after = gateway.refresh().await.unwrap();
    assert_eq!(after.counts().revisions, files.len() as u64);
}

#[tokio::test]
async fn an_organization_changes_so_much_at_once_and_no_more() {
    let catalog = Arc::new(TestCatalog::new().await);
    let owner = organization(catalog.as_ref(), "a").await;
    let gateway = testing::gateway(Arc::clone(&catalog) as _, testing::memory_blobs());
    let id = file_id("f");
    catalog.add_file(&file(&owner, "f", 1)).await.unwrap();
    let under_way = [
        gateway.changes.enter(Some(owner.clone())).await,
        gateway.changes.enter(Some(owner.clone())).await,
    ];
    let by = Revoker::Organization;
    let link = LinkId::parse("link-0000001").unwrap();
    gateway.refresh().await.unwrap();
    catalog.calls();
    {
        let mut changes = [
            Box::pin(async { gateway.delete(&owner, &id).await.is_ok() })
                as Pin<Box<dyn Future<Output = bool>>>,
            Box::pin(async { gateway.purge(&owner, &id).await.is_ok() }),
            Box::pin(async { gateway.revoke_link(&owner, link, by).await.is_ok() }),
            Box::pin(async { gateway.revoke_links_of_file(&owner, &id, by).await.is_ok() }),
            Box::pin(async {
                gateway
                    .revoke_links_of_organization(&owner, Revoker::Operator)
                    .await
                    .is_ok()
            }),
        ];
        for change in &mut changes {
            assert!(change.now_or_never().is_none());
        }
        assert_eq!(catalog.calls(), 0);
    }
    drop(under_way);
    gateway
        .revoke_links_of_organization(&owner, Revoker::Operator)
        .await
        .unwrap();
    assert!(catalog.calls() > 0);
}

#[tokio::test]
async fn minting_does_not_wait_longer_than_a_request_may() {
    let place = place(0).await;
    place
        .catalog
        .add_file(&file(&place.owner, "f", 1))
        .await
        .unwrap();
    let caller = Principal {
        key: ApiKeyId::from_random([1; 16]),
        organization: place.owner.clone(),
        scopes: Scopes::USUAL,
    };
    let _stalled = place.gateway.stall_refreshes().await;
    let options = MintOptions::default();
    let minting = place.gateway.mint(&caller, "f", &options);
    let outcome = tokio::time::timeout(REFRESH_WAIT_MAX * 2, minting).await;
    let outcome = outcome.expect("an answer in time");
    assert!(
        matches!(outcome, Err(Refusal::Unavailable(_))),
        "{outcome:?}"
    );
}

/// A download that began before its link ended is compared with the denial until then.
#[tokio::test]
async fn the_denial_of_a_link_outlives_it_for_downloads_that_are_under_way() {
    let place = place(1).await;
    let (owner, now) = (&place.owner, testing::NOW);
    let [under_way, long_over] = ["under-way-12", "long-over-12"].map(LinkId::parse);
    let [under_way, long_over] = [under_way.unwrap(), long_over.unwrap()];
    let ends = [
        (under_way, now - RECHECK_SECONDS_MAX + 1),
        (long_over, now - RECHECK_SECONDS_MAX),
    ];
    place.gateway.refresh().await.unwrap();
    for (link, end) in ends {
        let denial = denial(owner, link, end);
        let denied = place.catalog.deny_link(&denial, at(end - 1), MANY).await;
        denied.unwrap();
    }
    place.gateway.refresh().await.unwrap();
    place.gateway.forget_dead_links().await;
    let known = place.gateway.snapshot.revocations();
    assert!(known.is_denied(owner, under_way));
    assert!(!known.is_denied(owner, long_over));
}

/// An older catalogue has other changes under the numbers of those that it lacks, or has none there yet.
#[tokio::test]
async fn an_older_catalogue_is_noticed_whatever_the_number_of_its_newest_change_is() {
    for (later, expected) in [(0, 1), (1, 1), (5, 1)] {
        let place = place(1).await;
        place.gateway.refresh().await.unwrap();
        for _ in 0..3 {
            place.catalog.raise_epoch(&place.owner).await.unwrap();
        }
        place.gateway.refresh().await.unwrap();
        let seen = place.gateway.newest_change().unwrap();
        assert!(place.gateway.has_change(seen).await.unwrap());
        assert_eq!(place.gateway.times_put_back(), 0);
        let path = place.directory.path().join("catalogue.sqlite3");
        let newest = "(SELECT max(version) FROM change)";
        run(
            &path,
            &format!("DELETE FROM change WHERE version = {newest}"),
        )
        .await;
        for _ in 0..later {
            place.catalog.raise_epoch(&place.owner).await.unwrap();
        }
        place.gateway.refresh().await.unwrap();
        assert_eq!(place.gateway.times_put_back(), expected, "{later}");
        assert!(!place.gateway.has_change(seen).await.unwrap(), "{later}");
    }
}

#[tokio::test]
async fn a_damaged_entry_behind_a_known_change_does_not_hide_it() {
    let place = place(1).await;
    place.gateway.refresh().await.unwrap();
    place.catalog.raise_epoch(&place.owner).await.unwrap();
    place.gateway.refresh().await.unwrap();
    let seen = place.gateway.newest_change().unwrap();
    place.catalog.raise_epoch(&place.owner).await.unwrap();
    let path = place.directory.path().join("catalogue.sqlite3");
    let damage = "UPDATE change SET kind = 'x' WHERE version = (SELECT max(version) FROM change)";
    run(&path, damage).await;
    assert!(place.gateway.has_change(seen).await.unwrap());
    place.gateway.refresh().await.unwrap();
    assert_eq!(place.gateway.times_put_back(), 0);
}
