//! Moving rows: what the contract leaves to each database.

use super::*;
use crate::catalog::contract::link_counts::{links_with_counts, one_link_more_has_no_counts};
use crate::catalog::contract::redemptions::together;
use crate::catalog::contract::transfer::{assert_all_is_moved, notes};
use crate::catalog::contract::{assert_taken, organization_id};
use crate::catalog::quota::Quotas as _;

#[tokio::test]
async fn an_empty_database_becomes_a_copy() {
    notes(&catalog("notes").await).await;
}

/// Takes back the step that made anchors, and those after it.
const NO_ANCHORS: &str = "DROP TABLE share_count, share_file, share; DROP TABLE sent_mark; DROP TABLE redemption, allowance; DROP TABLE link_counter; DROP FUNCTION links_are_counted, links_are_uncounted CASCADE; DROP TABLE list_anchor CASCADE; DROP FUNCTION count_listed, split_list_anchor, \
     organization_is_listed, files_are_listed, file_is_listed_otherwise CASCADE; \
     DROP INDEX file_expiring_of; ALTER TABLE file DROP COLUMN crc32; DELETE FROM _sqlx_migrations WHERE version >= 8";

/// A list of an older schema has anchors from then on.
#[tokio::test]
async fn lists_of_an_older_schema_get_anchors() {
    let old = catalog("anchors").await;
    let owner = organization(&old, "many").await;
    let files: Vec<_> = (0..5_000)
        .map(|number| file(&owner, &format!("f{number:04}"), number / 3))
        .collect();
    old.add_files(&files).await.unwrap();
    organization(&old, "empty").await;
    old.close().await;
    let server = Server::shared();
    server.sql("anchors", NO_ANCHORS);
    let catalog = catalog("anchors").await;
    for owner in ["many", "empty"] {
        let owner = organization_id(owner);
        let recount = catalog.recount(&owner, false).await.unwrap();
        assert!(recount.is_right(), "{owner}");
    }
    let anchors = "SELECT count(*) FROM list_anchor WHERE organization = 'many'";
    assert_eq!(server.sql("anchors", anchors), "5");
    let page = catalog.numbered_page(&owner, 4_000, 1, at(0)).await;
    assert_eq!(page.unwrap().files[0].id.as_str(), "f0999");
    // And whatever steps came after it.
    together::of_many_at_once_no_more_start_than_are_allowed(&[&catalog]).await;
}

/// Links that had counts before count for the bound from then on.
#[tokio::test]
async fn links_with_counts_of_an_older_schema_are_counted() {
    let old = catalog("links_counted").await;
    let owner = links_with_counts(&old, "before", 3).await;
    old.close().await;
    let undo = "DROP TABLE share_count, share_file, share; DROP TABLE sent_mark; DROP TABLE link_counter; DROP FUNCTION links_are_counted, links_are_uncounted CASCADE; \
         ALTER TABLE file DROP COLUMN crc32; DELETE FROM _sqlx_migrations WHERE version >= 10";
    Server::shared().sql("links_counted", undo);
    let catalog = catalog("links_counted").await;
    one_link_more_has_no_counts(&catalog, &owner, 3).await;
}

#[tokio::test]
async fn an_older_schema_is_no_place_to_move_to() {
    let (server, address) = (Server::shared(), place("older"));
    for _ in 0..2 {
        let catalog = Postgres::open_with(&address, CONNECTIONS, Missing::MakeAndChangeNone)
            .await
            .unwrap();
        catalog.close().await;
    }
    let older = "DROP TABLE copy_note; DROP TABLE idempotency_key; \
         DROP INDEX file_of_name, file_of_name_by_id, file_in_bin, file_in_bin_by_id; \
         ALTER TABLE file DROP COLUMN is_text, DROP COLUMN expires_at, DROP COLUMN device, \
         DROP COLUMN changed_nanos, DROP COLUMN link_epoch; DROP TABLE change, change_head; \
         DROP INDEX denied_link_dead, organization_uncleared; \
         CREATE INDEX file_revised ON file (organization, id, link_revision) WHERE link_revision > 0; \
         CREATE TABLE revocation_version (one integer); CREATE TABLE row_version (one integer); \
         ALTER TABLE denied_link DROP COLUMN id_alone, DROP COLUMN epoch; \
         ALTER TABLE organization DROP COLUMN denied_links, DROP COLUMN cleared_epoch, \
         DROP COLUMN denied_ids, DROP COLUMN revised_files; DELETE FROM _sqlx_migrations WHERE version >= 5";
    server.sql("older", NO_ANCHORS);
    server.sql("older", older);
    assert_taken(Postgres::open_with(&address, CONNECTIONS, Missing::MakeAndChangeNone).await);
    let newest = "SELECT max(version) FROM _sqlx_migrations";
    assert_eq!(server.sql("older", newest), "4", "it is as it was");
    // The steps may take longer than all else that belongs to opening, and than a statement may.
    let time_max = Duration::from_secs(5);
    server.sql("older", "ALTER DATABASE older SET statement_timeout = '3s'");
    let held = "SET statement_timeout = 0; BEGIN; LOCK TABLE organization IN ACCESS SHARE MODE; SELECT pg_sleep(50)";
    let holding = std::thread::spawn(move || server.sql("older", held));
    let is_held = "SELECT count(*) FROM pg_locks WHERE relation = 'organization'::regclass";
    while server.sql("older", is_held) == "0" {}
    let ending = tokio::spawn(async move {
        tokio::time::sleep(time_max + Duration::from_secs(1)).await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = 'older' AND query LIKE '%pg_sleep(50)'";
        let ended = tokio::task::spawn_blocking(move || server.sql("older", end));
        ended.await.unwrap();
    });
    let begun = Instant::now();
    open::open_within(time_max, &address, Missing::Refuse, CONNECTIONS)
        .await
        .unwrap();
    assert!(begun.elapsed() > time_max);
    ending.await.unwrap();
    assert!(holding.join().is_err(), "it was ended");
}

#[tokio::test]
async fn every_table_and_column_is_moved() {
    let catalog = catalog("columns").await;
    let columns = "SELECT table_name || '.' || column_name AS name FROM information_schema.columns \
         WHERE table_schema = 'public'";
    let mut lease = catalog.begin(SessionKind::Read).await.unwrap();
    let found = query(columns).fetch_all(lease.connection().unwrap()).await;
    assert_all_is_moved(found.unwrap().iter().map(|row| row.get("name")));
}
