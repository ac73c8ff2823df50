//! The schema's steps, and how SQLite answers the looks for many files.

use std::path::Path;

use tokio::task::JoinHandle;

use super::damage::run;
use super::*;
use crate::catalog::apps::Apps as _;
use crate::catalog::changes::Change;
use crate::catalog::contract::link_counts::{links_with_counts, one_link_more_has_no_counts};
use crate::catalog::contract::redemptions::together;
use crate::catalog::contract::{
    MANY, assert_taken, at, changes_since, denial, file_id, organization_id, revoked, rich_file,
    signed,
};
use crate::catalog::integrity::Integrity as _;
use crate::catalog::maintenance::Maintenance as _;
use crate::catalog::quota::{Quota, Quotas as _};
use crate::catalog::sql::archive_rows::ARCHIVE_FILE;
use crate::catalog::sql::batch::{ARCHIVE_FILES, IN_FOLDER, OF_IDS, OWNER};
use crate::model::file::BlobLocation;
use crate::model::id::{AppId, OrganizationId};
use crate::model::revocation::{Denial, Extent, LinkId, RevocationBounds};

/// Opens a catalogue, whose steps take longer than all else that belongs to opening may take.
async fn open_while_somebody_writes(path: &Path) -> Sqlite {
    let time_max = Duration::from_secs(5);
    let writing = write_for(path, time_max + Duration::from_secs(2)).await;
    let (begun, busy) = (Instant::now(), Duration::from_secs(60));
    let catalog = open::open_within(time_max, path, Missing::Refuse, busy)
        .await
        .unwrap();
    assert!(begun.elapsed() > time_max);
    writing.await.unwrap();
    catalog
}

/// Holds the write lock from now on, for so long.
async fn write_for(path: &Path, time: Duration) -> JoinHandle<()> {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = options.connect().await.unwrap();
    query("BEGIN IMMEDIATE")
        .execute(&mut connection)
        .await
        .unwrap();
    tokio::spawn(async move {
        tokio::time::sleep(time).await;
        query("COMMIT").execute(&mut connection).await.unwrap();
    })
}

#[tokio::test]
async fn an_older_schema_is_brought_up_to_date_with_its_rows() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let owner = organization(&catalog, "kept").await;
    for id in ["ready", "deleted", "swept"] {
        catalog.add_file(&file(&owner, id, 1)).await.unwrap();
    }
    catalog.add_file(&rich_file(&owner, "rich")).await.unwrap();
    for id in ["deleted", "swept"] {
        let deleted = catalog.delete_file(&owner, &file_id(id), at(9)).await;
        deleted.unwrap();
    }
    catalog.mark_swept(&owner, &file_id("swept")).await.unwrap();
    catalog.close().await;
    run(
        &place.path,
        "DROP TABLE share_count; DROP TABLE share_file; DROP TABLE share; DROP TABLE redemption; DROP TABLE allowance; \
         DROP TRIGGER organization_is_listed; DROP TRIGGER file_is_listed; DROP TRIGGER file_is_unlisted; \
         DROP TRIGGER file_is_listed_otherwise; DROP TABLE list_anchor; DROP INDEX file_expiring_of; \
         DROP TABLE app; DROP INDEX folder_member_member; ALTER TABLE file DROP COLUMN damaged_at; \
         ALTER TABLE organization DROP COLUMN kept_files; \
         ALTER TABLE organization DROP COLUMN kept_bytes; \
         DROP TABLE file_count; DROP TABLE link_count; DROP TABLE link_counter; DROP TABLE sent_mark; DROP TABLE installation; DROP TABLE copy_note; \
         DROP INDEX file_text_unknown; DROP INDEX file_crc32_unknown; ALTER TABLE file DROP COLUMN crc32; DROP INDEX file_expiring; DROP INDEX file_of_name; \
         DROP INDEX file_of_name_by_id; DROP INDEX file_in_bin; DROP INDEX file_in_bin_by_id; \
         ALTER TABLE file DROP COLUMN is_text; ALTER TABLE file DROP COLUMN expires_at; \
         ALTER TABLE file DROP COLUMN device; ALTER TABLE file DROP COLUMN changed_nanos; \
         DROP TABLE idempotency_key; DROP TABLE change; DROP INDEX denied_link_dead; \
         DROP INDEX organization_uncleared; DROP INDEX file_revised; \
         ALTER TABLE denied_link DROP COLUMN id_alone; ALTER TABLE denied_link DROP COLUMN epoch; \
         ALTER TABLE file DROP COLUMN link_epoch; ALTER TABLE organization DROP COLUMN cleared_epoch; \
         CREATE INDEX file_revised ON file (organization, id, link_revision) WHERE link_revision > 0; \
         UPDATE organization SET epoch = 5; \
         ALTER TABLE organization DROP COLUMN denied_links; \
         ALTER TABLE organization DROP COLUMN denied_ids; \
         ALTER TABLE organization DROP COLUMN revised_files; \
         INSERT INTO denied_link VALUES ('kept', 'aaaaaaaaaaaa', 99); \
         DELETE FROM _sqlx_migrations WHERE version >= 3",
    )
    .await;
    let catalog = open_while_somebody_writes(&place.path).await;
    let kept = catalog.organization(&organization_id("kept")).await;
    assert!(kept.unwrap().is_some());
    let rich = catalog.file(&owner, &file_id("rich")).await.unwrap();
    let rich = rich.unwrap();
    let known = (rich.is_text, rich.expires_at, rich.crc32);
    assert_eq!(known, (None, None, None));
    let BlobLocation::InPlace(place) = rich.location else {
        panic!("{rich:?}")
    };
    assert_eq!((place.device, place.changed_nanos), (None, None));
    let unknown = catalog.files_of_unknown_text(None, 9).await.unwrap();
    let unknown: Vec<&str> = unknown.iter().map(|file| file.id.as_str()).collect();
    assert_eq!(unknown, ["ready", "rich"]);
    let three_and_one_more = Quota {
        files: Some(4),
        bytes: Some(3 * 110 + rich.size),
    };
    for (id, is_added) in [("third", true), ("fourth", false)] {
        let more = [file(&owner, id, 1)];
        let added = catalog
            .add_files_within(&more, three_and_one_more, None)
            .await;
        assert_eq!(added.is_ok(), is_added, "{added:?}");
    }
    let id = catalog.installation().await.unwrap();
    assert_eq!(catalog.installation().await.unwrap(), id);
    let unknown = AppId::from_random([1; 16]);
    assert!(catalog.app(&unknown).await.unwrap().is_none());
    what_was_revoked_before_is_counted(&catalog, &owner).await;
    together::of_many_at_once_no_more_start_than_are_allowed(&[&catalog]).await;
}

/// `rich` has a link revision, and one link is denied, both in the epoch that is in force.
async fn what_was_revoked_before_is_counted(catalog: &Sqlite, owner: &OrganizationId) {
    assert!(catalog.recount(owner, false).await.unwrap().is_right());
    let known = revoked(catalog, 0).await;
    assert_eq!((known.epoch(owner), known.revision(owner, "rich")), (5, 3));
    let [before, now] = ["aaaaaaaaaaaa", "bbbbbbbbbbbb"].map(|id| LinkId::parse(id).unwrap());
    assert_eq!(known.denied_until(owner, before), Some(at(99)));
    assert_eq!(catalog.clear_superseded(None, 9).await.unwrap(), None);
    let no_more = RevocationBounds {
        links: 1,
        files: 1,
        ..MANY
    };
    let denial = Denial {
        signed: Some(signed("ready", 5)),
        ..denial(owner, now, 99)
    };
    let position = position(catalog).await;
    let extent = catalog.deny_link(&denial, at(0), no_more).await.unwrap();
    assert_eq!(extent, Extent::Organization { epoch: 6 });
    let raised = Change::EpochRaised {
        organization: owner.clone(),
        epoch: 6,
    };
    assert_eq!(changes_since(catalog, position).await, [raised]);
}

/// A list of an older schema has anchors from then on.
#[tokio::test]
async fn lists_of_an_older_schema_get_anchors() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let owner = organization(&catalog, "many").await;
    let files: Vec<_> = (0..5_000)
        .map(|number| file(&owner, &format!("f{number:04}"), number / 3))
        .collect();
    catalog.add_files(&files).await.unwrap();
    organization(&catalog, "empty").await;
    catalog.close().await;
    run(
        &place.path,
        "DROP TABLE share_count; DROP TABLE share_file; DROP TABLE share; DROP TABLE redemption; DROP TABLE allowance; \
         DROP TRIGGER organization_is_listed; DROP TRIGGER file_is_listed; DROP TRIGGER file_is_unlisted; \
         DROP TRIGGER file_is_listed_otherwise; DROP TABLE list_anchor; DROP INDEX file_expiring_of; \
         DROP TRIGGER link_is_counted; DROP TRIGGER link_is_uncounted; DROP TABLE link_counter; DROP TABLE sent_mark; \
         DROP INDEX file_crc32_unknown; ALTER TABLE file DROP COLUMN crc32; DELETE FROM _sqlx_migrations WHERE version >= 13",
    )
    .await;
    let catalog = Sqlite::open_with(&place.path, Missing::Refuse)
        .await
        .unwrap();
    for owner in ["many", "empty"] {
        let recount = catalog.recount(&organization_id(owner), false).await;
        assert!(recount.unwrap().is_right(), "{owner}");
    }
    let mut stranger = stranger(&place.path).await;
    let anchors = query("SELECT count(*) FROM list_anchor WHERE organization = 'many'");
    let anchors: i64 = anchors.fetch_one(&mut stranger).await.unwrap().get(0);
    assert_eq!(anchors, 5);
    let page = catalog.numbered_page(&owner, 4_000, 1, at(0)).await;
    assert_eq!(page.unwrap().files[0].id.as_str(), "f0999");
}

/// Links that had counts before count for the bound from then on.
#[tokio::test]
async fn links_with_counts_of_an_older_schema_are_counted() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let owner = links_with_counts(&catalog, "before", 3).await;
    organization(&catalog, "none").await;
    catalog.close().await;
    run(
        &place.path,
        "DROP TABLE share_count; DROP TABLE share_file; DROP TABLE share; \
         DROP TRIGGER link_is_counted; DROP TRIGGER link_is_uncounted; DROP TABLE link_counter; DROP TABLE sent_mark; \
         DROP INDEX file_crc32_unknown; ALTER TABLE file DROP COLUMN crc32; DELETE FROM _sqlx_migrations WHERE version >= 15",
    )
    .await;
    let catalog = Sqlite::open_with(&place.path, Missing::Refuse)
        .await
        .unwrap();
    one_link_more_has_no_counts(&catalog, &owner, 3).await;
    let none = catalog.recount(&organization_id("none"), false).await;
    assert!(none.unwrap().is_right());
}

#[tokio::test]
async fn an_older_schema_is_no_place_to_move_to() {
    let place = place();
    for _ in 0..2 {
        let catalog = Sqlite::open_with(&place.path, Missing::MakeAndChangeNone)
            .await
            .unwrap();
        catalog.close().await;
    }
    run(
        &place.path,
        "DROP TABLE idempotency_key; DELETE FROM _sqlx_migrations WHERE version >= 11",
    )
    .await;
    assert_taken(Sqlite::open_with(&place.path, Missing::MakeAndChangeNone).await);
    let mut stranger = stranger(&place.path).await;
    let newest = query("SELECT max(version) FROM _sqlx_migrations");
    let newest: i64 = newest.fetch_one(&mut stranger).await.unwrap().get(0);
    assert_eq!(newest, 10, "it is as it was");
}

/// A batch costs as much as it has files, however many there are besides.
#[tokio::test]
async fn batches_are_found_by_their_ids() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let mut connection = catalog.readers.acquire().await.unwrap();
    let cases = [
        (OF_IDS.sqlite, "(organization=? AND id=?)"),
        (ARCHIVE_FILES.sqlite, "(organization=? AND id=?)"),
        (ARCHIVE_FILE, "(organization=? AND id=?)"),
        (IN_FOLDER.sqlite, "(organization=? AND id=?)"),
        (
            IN_FOLDER.sqlite,
            "INDEX folder_file_file (organization=? AND file=? AND folder=?)",
        ),
        (files::WITH_BYTES, "((organization,id)>(?,?))"),
        (OWNER, "folder USING PRIMARY KEY (organization=? AND id=?)"),
        (OWNER, "INDEX folder_member_member (member=? AND folder=?)"),
    ];
    for (sql, wanted) in cases {
        let rows = query(sqlx::AssertSqlSafe(plan_of(sql)))
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        assert!(plan.iter().any(|step| step.contains(wanted)), "{plan:?}");
        let costly = |step: &String| {
            let costs = [
                "SCAN file",
                "SCAN folder",
                "TEMP B-TREE FOR ORDER BY (organization",
            ];
            costs.iter().any(|cost| step.contains(cost))
        };
        assert!(!plan.iter().any(costly), "{plan:?}");
    }
}
