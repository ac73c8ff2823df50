//! How SQLite finds shares.

use super::*;
use crate::catalog::sql::{share_counts, shares};

/// The statements, each with a step of its plan that must be there.
const PLANS: [(&str, &str); 9] = [
    (
        shares::OF_CODE.sqlite,
        "share USING INDEX sqlite_autoindex_share_1 (code_digest=?)",
    ),
    (
        share_counts::LIST,
        "share USING PRIMARY KEY (organization=? AND id<?)",
    ),
    (
        share_counts::LIST_OF_KEY.sqlite,
        "INDEX share_made_by (organization=? AND created_by=? AND id<?)",
    ),
    (
        share_counts::LIST,
        "share_count USING PRIMARY KEY (organization=? AND share=?)",
    ),
    (
        share_counts::LIST,
        "allowance USING PRIMARY KEY (organization=? AND subject=?)",
    ),
    (
        share_counts::LIST,
        "share_file USING PRIMARY KEY (organization=? AND share=?)",
    ),
    (
        share_counts::USAGE,
        "share USING COVERING INDEX share_made_by (organization=?)",
    ),
    (shares::ENDED.sqlite, "INDEX share_ended (<expr><?)"),
    (
        shares::TAKE_OUT_SWEPT,
        "share_file USING COVERING INDEX share_file_file (organization=? AND file=?)",
    ),
];

/// Each costs as much as it finds, however many shares there are besides.
#[tokio::test]
async fn shares_are_found_by_their_indexes() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let mut connection = catalog.writer.acquire().await.unwrap();
    for (sql, wanted) in PLANS {
        let rows = query(sqlx::AssertSqlSafe(plan_of(sql)))
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        assert!(plan.iter().any(|step| step.contains(wanted)), "{plan:?}");
        let is_costly = |step: &String| {
            ["SCAN share", "SCAN allowance", "TEMP B-TREE FOR ORDER"]
                .iter()
                .any(|scan| step.contains(scan))
        };
        assert!(!plan.iter().any(is_costly), "{plan:?}");
    }
}
