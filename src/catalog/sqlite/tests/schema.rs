//! The schema's steps, and how SQLite answers the looks for many files.

use super::damage::run;
use super::*;
use crate::catalog::apps::Apps as _;
use crate::catalog::checkup::Checkup as _;
use crate::catalog::contract::{assert_taken, at, file_id, organization_id};
use crate::catalog::quota::{Quota, Quotas as _};
use crate::model::id::AppId;

#[tokio::test]
async fn an_older_schema_is_brought_up_to_date_with_its_rows() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let owner = organization(&catalog, "kept").await;
    for id in ["ready", "deleted", "swept"] {
        catalog.add_file(&file(&owner, id, 1)).await.unwrap();
    }
    for id in ["deleted", "swept"] {
        let deleted = catalog.delete_file(&owner, &file_id(id), at(9)).await;
        deleted.unwrap();
    }
    catalog.mark_swept(&owner, &file_id("swept")).await.unwrap();
    catalog.close().await;
    run(
        &place.path,
        "DROP TABLE app; DROP INDEX folder_member_member; DROP TABLE revocation_version; \
         DROP TABLE row_version; ALTER TABLE file DROP COLUMN damaged_at; \
         ALTER TABLE organization DROP COLUMN kept_files; \
         ALTER TABLE organization DROP COLUMN kept_bytes; \
         DROP TABLE file_count; DROP TABLE link_count; DROP TABLE installation; DROP TABLE copy_note; \
         DELETE FROM _sqlx_migrations WHERE version >= 3",
    )
    .await;
    let catalog = Sqlite::open_existing(&place.path).await.unwrap();
    let kept = catalog.organization(&organization_id("kept")).await;
    assert!(kept.unwrap().is_some());
    let two_and_one_more = Quota {
        files: Some(3),
        bytes: Some(3 * 110),
    };
    for (id, is_added) in [("third", true), ("fourth", false)] {
        let more = [file(&owner, id, 1)];
        let added = catalog.add_files_within(&more, two_and_one_more).await;
        assert_eq!(added.is_ok(), is_added, "{added:?}");
    }
    let id = catalog.installation().await.unwrap();
    assert_eq!(catalog.installation().await.unwrap(), id);
    let unknown = AppId::from_random([1; 16]);
    assert!(catalog.app(&unknown).await.unwrap().is_none());
    let before = catalog.versions().await.unwrap();
    catalog.raise_epoch(&organization_id("kept")).await.unwrap();
    assert_ne!(catalog.versions().await.unwrap(), before);
}

#[tokio::test]
async fn an_older_schema_is_no_place_to_move_to() {
    let place = place();
    for _ in 0..2 {
        let catalog = Sqlite::open_new(&place.path).await.unwrap();
        catalog.close().await;
    }
    run(
        &place.path,
        "DROP TABLE copy_note; DELETE FROM _sqlx_migrations WHERE version >= 10",
    )
    .await;
    assert_taken(Sqlite::open_new(&place.path).await);
    let mut stranger = stranger(&place.path).await;
    let newest = query("SELECT max(version) FROM _sqlx_migrations");
    let newest: i64 = newest.fetch_one(&mut stranger).await.unwrap().get(0);
    assert_eq!(newest, 9, "it is as it was");
    Sqlite::open_existing(&place.path).await.unwrap();
}

/// A batch costs as much as it has files, however many there are besides.
#[tokio::test]
async fn batches_are_found_by_their_ids() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let mut connection = catalog.look().await.unwrap();
    let cases = [
        (files::OF_IDS, "(organization=? AND id=?)"),
        (files::IN_FOLDER, "(organization=? AND id=?)"),
        (
            files::IN_FOLDER,
            "INDEX folder_file_file (organization=? AND file=? AND folder=?)",
        ),
        (files::WITH_BYTES, "((organization,id)>(?,?))"),
        (
            batch::OWNER,
            "folder USING PRIMARY KEY (organization=? AND id=?)",
        ),
        (
            batch::OWNER,
            "INDEX folder_member_member (member=? AND folder=?)",
        ),
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
