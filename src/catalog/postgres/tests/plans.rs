//! The plans of the statements of lists and background tasks.

use super::*;
use crate::catalog::sql::{counters, files, numbered};

/// Rows enough that the planner has a choice.
const FILL: &str = "INSERT INTO organization SELECT 'org' || n, '', 0, 0, 0 FROM generate_series(1, 20) n; \
         INSERT INTO space SELECT id, 'space_default', '', 0 FROM organization; \
         INSERT INTO file SELECT 'org' || n % 20 + 1, 'file_' || md5(n::text), 'space_default', 'a' || n % 3, 'a/b', 1, \
         sha256('a'), 'user_upload', CASE n % 50 WHEN 0 THEN 'deleted' ELSE 'ready' END, \
         CASE n % 50 WHEN 0 THEN n END, '{}', n, n, NULL, NULL, 0, 'blob' || n, NULL, NULL, NULL, \
         CASE n % 100 WHEN 1 THEN NULL ELSE 1 END, CASE n % 100 WHEN 2 THEN n END \
         FROM generate_series(1, 100000) n; UPDATE file SET crc32 = 0 WHERE is_text IS NOT NULL; \
         INSERT INTO link_count SELECT 'org' || n % 20 + 1, md5(n::text), n, 1, 1, 1, n FROM generate_series(1, 20000) n; \
         ANALYZE";

/// The statements of lists, each with values for it and the index that its plan must name.
fn plans() -> Vec<(&'static str, String, &'static str)> {
    let of = |place: &str| format!("'org1', 20, 'file_5', 500, 1000{place}");
    let amid = |place: &str| format!("'org1', 20, 'file_5', 50000, 1000{place}");
    vec![
        (files::PAGES.after.postgres, of(""), "file_ready "),
        (files::PAGES.before.postgres, of(""), "file_ready "),
        (files::PAGES.below.postgres, of(""), "file_ready_by_id "),
        (files::PAGES.above.postgres, of(""), "file_ready_by_id "),
        (
            files::PAGES_OF_PURPOSE.after.postgres,
            of(", 'user_upload'"),
            "file_ready",
        ),
        (
            files::PAGES_OF_PURPOSE.below.postgres,
            of(", 'user_upload'"),
            "by_id ",
        ),
        (
            numbered::NUMBERED_PAGE.postgres,
            "'org1', 20, 100, 50000, 'file_5', 1000".into(),
            "file_ready ",
        ),
        (
            files::PAGES_OF_NAME.after.postgres,
            amid(", 'a1'"),
            "file_of_name ",
        ),
        (
            files::PAGES_OF_NAME.before.postgres,
            amid(", 'a1'"),
            "file_of_name ",
        ),
        (
            files::PAGES_OF_NAME.below.postgres,
            amid(", 'a1'"),
            "file_of_name",
        ),
        (
            files::PAGES_OF_NAME.above.postgres,
            amid(", 'a1'"),
            "file_of_name",
        ),
        (files::PAGES_IN_BIN.after.postgres, amid(""), "file_in_bin "),
        (
            files::PAGES_IN_BIN.before.postgres,
            amid(""),
            "file_in_bin ",
        ),
        (
            files::PAGES_IN_BIN.below.postgres,
            amid(""),
            "file_in_bin_by_id ",
        ),
        (
            files::PAGES_IN_BIN_OF_NAME.after.postgres,
            "'org1', 5, 'file_5', 90000, 1000, 'a1'".into(),
            "file_of_name",
        ),
    ]
}

/// The statements of background tasks, and the same of them.
fn background_plans() -> Vec<(&'static str, String, &'static str)> {
    vec![
        (
            files::UNKNOWN_TEXT,
            "'org1', 'file_5', 20".into(),
            "file_text_unknown ",
        ),
        (
            files::UNKNOWN_CRC32,
            "'org1', 'file_5', 20".into(),
            "file_crc32_unknown ",
        ),
        (files::EXPIRED, "1000, 20".into(), "file_expiring "),
        (
            numbered::LISTED.postgres,
            "'org1', 90000".into(),
            "file_expiring_of ",
        ),
        (
            numbered::NEWER_EXPIRED.postgres,
            "'org1', 90000, 50000, 'file_5'".into(),
            "file_expiring_of ",
        ),
        (files::DELETED, "100000, 20".into(), "file_deleted "),
        (counters::OF_DEAD, "1000, 20".into(), "link_count_expires "),
        (
            files::WITH_BYTES,
            "'org1', 'file_5', 20".into(),
            "file_pkey ",
        ),
        (
            files::BLOBS_IN_USE.postgres,
            "'{blob1,blob2}'".into(),
            "file_blob",
        ),
    ]
}

/// Asks the server how it would answer: by which index, and whether it would have to sort.
#[tokio::test]
async fn lists_come_straight_from_an_index() {
    let _catalog = catalog("plans").await;
    Server::shared().sql("plans", FILL);
    let mut connection = stranger("plans").await;
    for (sql, values, index) in plans().into_iter().chain(background_plans()) {
        for mode in MODES {
            let plan = plan(&mut connection, mode, sql, &values).await;
            assert!(plan.contains(index), "{mode} {sql}\n{plan}");
            let costly = ["Seq Scan on file", "Sort"]
                .iter()
                .any(|step| plan.contains(step));
            assert!(
                !costly || sql == files::BLOBS_IN_USE.postgres,
                "{mode} {sql}\n{plan}"
            );
        }
    }
}

/// The ways in which the server plans a prepared statement: for any values, and for those that it has.
pub(super) const MODES: [&str; 2] = ["force_generic_plan", "force_custom_plan"];

/// Returns the plan of a statement with these values.
pub(super) async fn plan(
    connection: &mut PgConnection,
    mode: &str,
    sql: &str,
    values: &str,
) -> String {
    let script = format!(
        "SET plan_cache_mode = {mode}; DEALLOCATE ALL; PREPARE look AS {sql}; EXPLAIN EXECUTE look({values})"
    );
    let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(script))
        .fetch_all(connection)
        .await
        .unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    plan.join("\n")
}
