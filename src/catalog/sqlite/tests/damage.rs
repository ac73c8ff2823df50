//! What is no catalogue, or a damaged one: refused, said clearly, and left as it is.

use std::fs;

use sqlx::{Connection, SqlSafeStr};

use super::*;
use crate::catalog::contract::file_id;

pub(super) async fn run(path: &Path, sql: impl SqlSafeStr) {
    let mut stranger = stranger(path).await;
    sqlx::raw_sql(sql).execute(&mut stranger).await.unwrap();
    stranger.close().await.unwrap();
}

/// Opens what must not open, and answers what was said.
async fn refusal(path: &Path) -> String {
    let refused = [
        Sqlite::open(path).await,
        Sqlite::open_with(path, Missing::Refuse).await,
    ];
    let [said, again] = refused.map(|outcome| match outcome {
        Err(CatalogError::Corrupt { what }) => what,
        other => panic!("{other:?}"),
    });
    assert_eq!(said, again);
    said
}

#[tokio::test]
async fn a_half_made_catalogue_is_made_anew() {
    let place = place();
    let half = format!("{}-new", place.path.display());
    fs::write(&half, "what a crash left").unwrap();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    organization(&catalog, "a").await;
    assert!(!fs::exists(half).unwrap());
}

#[tokio::test]
async fn what_is_no_catalogue_is_refused_and_left_as_it_is() {
    let page = |text: &[u8]| text.iter().copied().cycle().take(8192).collect::<Vec<u8>>();
    let cases = [
        (Vec::new(), "it is empty"),
        (b"SQLite format 3\0".to_vec(), "it is no SQLite file"),
        (page(b"garbage "), "it is no SQLite file"),
        (page(b"\0"), "it is no SQLite file"),
    ];
    for (bytes, wanted) in cases {
        let place = place();
        fs::write(&place.path, &bytes).unwrap();
        let said = refusal(&place.path).await;
        assert!(
            said.ends_with(wanted) && said.contains("catalogue.sqlite3"),
            "{said}"
        );
        assert_eq!(fs::read(&place.path).unwrap(), bytes);
    }
}

#[tokio::test]
async fn another_programs_file_is_refused_and_left_as_it_is() {
    for sql in [
        "CREATE TABLE theirs (x)",
        "PRAGMA application_id = 7; CREATE TABLE theirs (x)",
    ] {
        let place = place();
        run(&place.path, sql).await;
        let bytes = fs::read(&place.path).unwrap();
        let said = refusal(&place.path).await;
        assert!(
            said.ends_with("it is an SQLite file of another program"),
            "{said}"
        );
        assert_eq!(fs::read(&place.path).unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_newer_or_other_schema_is_refused() {
    let newer = "INSERT INTO _sqlx_migrations SELECT 9999, 'later', installed_on, success, checksum, \
                 execution_time FROM _sqlx_migrations LIMIT 1";
    let other = "UPDATE _sqlx_migrations SET checksum = x'00'";
    let cases = [(newer, "step 9999"), (other, "step 1 of its schema")];
    for (sql, wanted) in cases {
        let place = place();
        Sqlite::open(&place.path).await.unwrap().close().await;
        run(&place.path, sql).await;
        let said = refusal(&place.path).await;
        assert!(said.contains(wanted), "{said}");
    }
}

#[tokio::test]
async fn a_truncated_file_is_refused() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    organization(&catalog, "a").await;
    catalog.close().await;
    let whole = fs::read(&place.path).unwrap();
    for length in [whole.len() - 4096, 4096, 512] {
        fs::write(&place.path, &whole[..length]).unwrap();
        let said = refusal(&place.path).await;
        assert!(said.contains("malformed"), "{said}");
        assert_eq!(fs::read(&place.path).unwrap(), &whole[..length]);
    }
}

#[tokio::test]
async fn a_log_without_its_file_is_refused() {
    let place = place();
    let log = format!("{}-wal", place.path.display());
    fs::write(&log, "an older catalogue's log").unwrap();
    let outcome = Sqlite::open(&place.path).await;
    assert!(
        matches!(outcome, Err(CatalogError::Corrupt { .. })),
        "{outcome:?}"
    );
    assert!(!fs::exists(&place.path).unwrap());
}

#[tokio::test]
async fn damaged_values_are_damage_and_no_panic() {
    let cases = [
        "UPDATE file SET purpose = 'fun'",
        "UPDATE file SET metadata = '[1]'",
        "UPDATE file SET metadata = '{\"k\": 1}'",
        "UPDATE file SET id = '../f'",
        "UPDATE file SET name = ''",
        "UPDATE file SET name = CAST(x'ff' AS TEXT)",
        "UPDATE file SET media_type = 'nothing'",
        "UPDATE file SET blob = 'AB'",
        "UPDATE file SET created_at = -1",
        "UPDATE file SET updated_at = 100000000000",
        "PRAGMA ignore_check_constraints = ON; UPDATE file SET state = 'lost'",
        "PRAGMA ignore_check_constraints = ON; UPDATE file SET deleted_at = 4",
        "PRAGMA ignore_check_constraints = ON; UPDATE file SET sha256 = x'00'",
        "PRAGMA ignore_check_constraints = ON; UPDATE file SET size = -1",
        "PRAGMA ignore_check_constraints = ON; UPDATE file SET blob = NULL",
    ];
    for sql in cases {
        let place = place();
        let catalog = Sqlite::open(&place.path).await.unwrap();
        let owner = organization(&catalog, "a").await;
        catalog.add_file(&file(&owner, "f", 1)).await.unwrap();
        run(&place.path, sql).await;
        let id = if sql.contains("../f") {
            None
        } else {
            Some(file_id("f"))
        };
        let outcome = match id {
            Some(id) => catalog.file(&owner, &id).await.map(|_| ()),
            None => catalog
                .page(
                    &owner,
                    crate::catalog::Filter::Ready,
                    crate::catalog::Place::Newest,
                    9,
                    at(0),
                )
                .await
                .map(|_| ()),
        };
        assert!(
            matches!(outcome, Err(CatalogError::Corrupt { .. })),
            "{sql}: {outcome:?}"
        );
    }
}

#[test]
fn an_sqlite_that_damages_files_is_refused() {
    for good in ["3.51.3", "3.51.10", "3.52.0", "4.0.0"] {
        assert!(open::check_version(good).is_ok(), "{good}");
    }
    for bad in ["3.51.2", "3.46.0", "3.9.99", "", "none"] {
        assert!(open::check_version(bad).is_err(), "{bad}");
    }
}
