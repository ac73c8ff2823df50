//! What the contract does not say of every catalogue: the file, and the others who have it open.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Instant;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row, query};
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use crate::catalog::Catalog as _;
use crate::catalog::changes::Changes as _;
use crate::catalog::contract::{assert_missing, at, file, organization, position, revoked};
use crate::catalog::sql::{counters, files, numbered};
use crate::model::id::FileId;

mod damage;
mod on_the_spot;
mod redemptions;
mod schema;
mod shares;
mod temporary;
mod transfer;
mod whole_writes;

struct Place {
    _directory: TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalogue.sqlite3");
    Place {
        _directory: directory,
        path,
    }
}

/// Another program's connection: none of our settings.
async fn stranger(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    options.connect().await.unwrap()
}

/// Its connections still have the file that is gone: what they read and write is what nobody else does.
#[tokio::test]
async fn a_file_that_was_replaced_is_followed_no_more() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let here = position(&catalog).await;
    assert!(catalog.changes(here).await.unwrap().is_some());
    let copy = place.path.with_extension("copy");
    fs::copy(&place.path, &copy).unwrap();
    fs::rename(&copy, &place.path).unwrap();
    let refused = catalog.changes(here).await;
    let is_unavailable = matches!(refused, Err(CatalogError::Unavailable { .. }));
    assert!(is_unavailable, "{refused:?}");
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    on_the_spot::ready(&catalog).await;
    crate::catalog::contract::all(&catalog).await;
    let mut connection = catalog.readers.acquire().await.unwrap();
    let checks = ["PRAGMA integrity_check", "PRAGMA foreign_key_check"];
    let ok = query(checks[0]).fetch_one(&mut *connection).await.unwrap();
    assert_eq!(ok.get::<&str, _>(0), "ok");
    assert!(
        query(checks[1])
            .fetch_all(&mut *connection)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn every_connection_is_durable_and_strict() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let mut writer = catalog.writer.begin().await.unwrap();
    let mut reader = catalog.readers.acquire().await.unwrap();
    for connection in [&mut *writer, &mut *reader] {
        let settings = [
            ("PRAGMA journal_mode", "wal"),
            ("PRAGMA synchronous", "2"),
            ("PRAGMA foreign_keys", "1"),
            ("PRAGMA busy_timeout", "5000"),
        ];
        for (pragma, wanted) in settings {
            let row = query(pragma).fetch_one(&mut *connection).await.unwrap();
            let number = row.try_get::<i64, _>(0).map(|number| number.to_string());
            let found = number.unwrap_or_else(|_| row.get(0));
            assert_eq!(found, wanted, "{pragma}");
        }
    }
    let refused = query("DELETE FROM organization")
        .execute(&mut *reader)
        .await;
    assert!(refused.is_err(), "readers only read");
}

#[tokio::test]
async fn a_new_file_is_for_its_owner_alone() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    organization(&catalog, "a").await;
    for entry in fs::read_dir(place.path.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
    }
}

#[tokio::test]
async fn nothing_is_made_where_nothing_may_be() {
    let place = place();
    assert_missing(Sqlite::open_with(&place.path, Missing::Refuse).await);
    assert_eq!(
        fs::read_dir(place.path.parent().unwrap()).unwrap().count(),
        0
    );
    let nowhere = place.path.join("below/a/file");
    let outcome = Sqlite::open(&nowhere).await;
    assert!(
        matches!(outcome, Err(CatalogError::Unavailable { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let place = place();
    let owner = {
        let catalog = Sqlite::open(&place.path).await.unwrap();
        let owner = organization(&catalog, "a").await;
        catalog.add_file(&file(&owner, "f", 1)).await.unwrap();
        catalog.raise_epoch(&owner).await.unwrap();
        owner
    };
    let catalog = Sqlite::open_with(&place.path, Missing::Refuse)
        .await
        .unwrap();
    let page = catalog.numbered_page(&owner, 0, 9, at(0)).await.unwrap();
    assert_eq!((page.files, page.total), (vec![file(&owner, "f", 1)], 1));
    assert_eq!(revoked(&catalog, 0).await.epoch(&owner), 1);
}

#[tokio::test]
async fn a_closed_catalogue_leaves_one_file_and_answers_nothing() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let owner = organization(&catalog, "a").await;
    let start = position(&catalog).await;
    catalog.close().await;
    for outcome in [
        catalog.changes(start).await.err(),
        catalog.organization(&owner).await.err(),
    ] {
        assert!(
            matches!(outcome, Some(CatalogError::Unavailable { .. })),
            "{outcome:?}"
        );
    }
    assert!(!fs::exists(format!("{}-wal", place.path.display())).unwrap());
}

#[tokio::test]
async fn two_handles_see_each_others_changes() {
    let place = place();
    let one = Sqlite::open(&place.path).await.unwrap();
    let two = Sqlite::open(&place.path).await.unwrap();
    let owner = organization(&one, "a").await;
    assert!(two.organization(&owner).await.unwrap().is_some());
    assert_eq!(two.raise_epoch(&owner).await.unwrap(), 1);
    assert_eq!(revoked(&one, 0).await.epoch(&owner), 1);
    crate::catalog::contract::changes::all(&one, &two).await;
    crate::catalog::contract::announcements::all(&one, &two).await;
}

#[tokio::test]
async fn a_long_feed_comes_in_pages() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    crate::catalog::contract::changes::a_long_feed_comes_in_pages(&catalog).await;
}

#[tokio::test]
async fn a_long_writer_bounds_writes_and_leaves_reads_alone() {
    let place = place();
    // Long enough for a connection and a row on a machine that has much else to do.
    let busy = Duration::from_secs(1);
    let catalog = open::open(&place.path, Missing::Make, busy).await.unwrap();
    let owner = organization(&catalog, "a").await;
    let start = position(&catalog).await;
    let mut other = stranger(&place.path).await;
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();

    let begun = Instant::now();
    let made = file(&owner, "f", 1);
    let outcome = catalog.add_file(&made).await;
    assert!(
        matches!(outcome, Err(CatalogError::Unavailable { .. })),
        "{outcome:?}"
    );
    assert!(
        begun.elapsed() >= busy && begun.elapsed() < 10 * busy,
        "{:?}",
        begun.elapsed()
    );
    assert!(catalog.organization(&owner).await.unwrap().is_some());
    catalog.changes(start).await.unwrap().unwrap();

    held.rollback().await.unwrap();
    catalog.add_file(&made).await.unwrap();
}

/// A dropped call may be done a moment later, but not after the next change.
#[tokio::test]
async fn a_dropped_call_is_done_or_not_done() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let owner = organization(&catalog, "a").await;
    let is_there = async |id: FileId| catalog.file(&owner, &id).await.unwrap().is_some();
    let mut settled = Vec::new();
    for turn in 0..200_u64 {
        let dropped = file(&owner, &format!("dropped{turn}"), turn);
        let patience = Duration::from_micros(turn * 10);
        let _ = timeout(patience, catalog.add_file(&dropped)).await;
        let next = file(&owner, &format!("next{turn}"), turn);
        catalog.add_file(&next).await.unwrap();
        assert!(is_there(next.id).await, "a change that was answered for");
        let done = is_there(dropped.id.clone()).await;
        settled.push((dropped.id, done));
    }
    for (id, done) in settled {
        assert_eq!(is_there(id).await, done);
    }
    let page = catalog
        .numbered_page(&owner, 0, 1_000, at(0))
        .await
        .unwrap();
    assert_eq!(
        page.files.len() as u64,
        page.total,
        "row and counter went together"
    );
}

#[tokio::test]
async fn a_full_disk_is_said_so_and_the_writer_lives_on() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let owner = organization(&catalog, "a").await;
    // SQLite's own limit answers just as a full disk does.
    let limit = async |pages: &'static str| {
        let mut writer = catalog.writer.acquire().await.unwrap();
        query(pages).fetch_one(&mut *writer).await.unwrap();
    };
    limit("PRAGMA max_page_count = 1").await;
    let mut outcomes = Vec::new();
    for turn in 0..200 {
        outcomes.push(
            catalog
                .add_file(&file(&owner, &format!("f{turn}"), turn))
                .await,
        );
    }
    let full = |outcome: &Result<(), _>| matches!(outcome, Err(CatalogError::NoSpace { .. }));
    assert!(outcomes.iter().any(full));
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.is_ok() || full(outcome))
    );
    let added = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
    assert_eq!(
        catalog
            .numbered_page(&owner, 0, 1, at(0))
            .await
            .unwrap()
            .total,
        added
    );
    limit("PRAGMA max_page_count = 1000000").await;
    catalog.add_file(&file(&owner, "after", 1)).await.unwrap();
}

#[test]
fn many_may_open_a_new_catalogue_at_once() {
    let place = place();
    let names: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let path = &place.path;
                scope.spawn(move || {
                    runtime().block_on(async {
                        let catalog = Sqlite::open(path).await.unwrap();
                        let owner = organization(&catalog, &format!("org{number}")).await;
                        owner.to_string()
                    })
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let listed = runtime().block_on(async {
        let catalog = Sqlite::open_with(&place.path, Missing::Refuse)
            .await
            .unwrap();
        catalog.organizations().await.unwrap()
    });
    let listed: Vec<String> = listed.iter().map(|found| found.id.to_string()).collect();
    assert_eq!(listed, names);
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

/// The statements of lists and background tasks, each with the step of its plan that must be there.
const PLANS: &[(&str, &str)] = &[
    (
        files::PAGES.after.sqlite,
        "INDEX file_ready (organization=? AND (created_at,id)<(?,?))",
    ),
    (
        files::PAGES.before.sqlite,
        "INDEX file_ready (organization=? AND (created_at,id)>(?,?))",
    ),
    (
        files::PAGES.below.sqlite,
        "INDEX file_ready_by_id (organization=? AND id<?)",
    ),
    (
        files::PAGES.above.sqlite,
        "INDEX file_ready_by_id (organization=? AND id>?)",
    ),
    (
        files::PAGES_OF_PURPOSE.after.sqlite,
        "INDEX file_ready_of_purpose (organization=? AND purpose=? AND (created_at,id)<(?,?))",
    ),
    (
        files::PAGES_OF_PURPOSE.before.sqlite,
        "INDEX file_ready_of_purpose (organization=? AND purpose=? AND (created_at,id)>(?,?))",
    ),
    (
        files::PAGES_OF_PURPOSE.below.sqlite,
        "INDEX file_ready_of_purpose_by_id (organization=? AND purpose=? AND id<?)",
    ),
    (
        files::PAGES_OF_PURPOSE.above.sqlite,
        "INDEX file_ready_of_purpose_by_id (organization=? AND purpose=? AND id>?)",
    ),
    (
        numbered::NUMBERED_PAGE.sqlite,
        "INDEX file_ready (organization=? AND (created_at,id)<(?,?))",
    ),
    (
        files::PAGES_OF_NAME.after.sqlite,
        "INDEX file_of_name (organization=? AND name=? AND state=? AND (created_at,id)<(?,?))",
    ),
    (
        files::PAGES_OF_NAME.before.sqlite,
        "INDEX file_of_name (organization=? AND name=? AND state=? AND (created_at,id)>(?,?))",
    ),
    (
        files::PAGES_OF_NAME.below.sqlite,
        "INDEX file_of_name_by_id (organization=? AND name=? AND state=? AND id<?)",
    ),
    (
        files::PAGES_OF_NAME.above.sqlite,
        "INDEX file_of_name_by_id (organization=? AND name=? AND state=? AND id>?)",
    ),
    (
        files::PAGES_IN_BIN.after.sqlite,
        "INDEX file_in_bin (organization=? AND (created_at,id)<(?,?))",
    ),
    (
        files::PAGES_IN_BIN.above.sqlite,
        "INDEX file_in_bin_by_id (organization=? AND id>?)",
    ),
    (
        files::PAGES_IN_BIN_OF_NAME.before.sqlite,
        "INDEX file_of_name (organization=? AND name=? AND state=? AND (created_at,id)>(?,?))",
    ),
    (
        files::PAGES_IN_BIN_OF_NAME.below.sqlite,
        "INDEX file_of_name_by_id (organization=? AND name=? AND state=? AND id<?)",
    ),
    (
        files::UNKNOWN_TEXT,
        "INDEX file_text_unknown ((organization,id)>(?,?))",
    ),
    (
        files::UNKNOWN_CRC32,
        "INDEX file_crc32_unknown ((organization,id)>(?,?))",
    ),
    (files::EXPIRED, "INDEX file_expiring (expires_at<?)"),
    (
        numbered::LISTED.sqlite,
        "INDEX file_expiring_of (organization=? AND expires_at<?)",
    ),
    (
        numbered::NEWER_EXPIRED.sqlite,
        "INDEX file_expiring_of (organization=? AND expires_at<?)",
    ),
    (files::DELETED, "INDEX file_deleted (deleted_at<?)"),
    (counters::OF_DEAD, "INDEX link_count_expires (expires<?)"),
    (files::BLOBS_IN_USE.sqlite, "INDEX file_blob (blob=?)"),
];

/// Asks SQLite how it would answer: by which index, and whether it would have to sort.
#[tokio::test]
async fn lists_come_straight_from_an_index() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let mut connection = catalog.readers.acquire().await.unwrap();
    for (sql, wanted) in PLANS {
        let rows = query(sqlx::AssertSqlSafe(plan_of(sql)))
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        assert!(plan.iter().any(|step| step.contains(wanted)), "{plan:?}");
        let costly = |step: &String| step.contains("SCAN file") || step.contains("TEMP B-TREE");
        assert!(!plan.iter().any(costly), "{plan:?}");
    }
}

fn plan_of(sql: &str) -> String {
    format!("EXPLAIN QUERY PLAN {sql}")
}
