//! The plans by which PostgreSQL finds shares.

use super::plans::{MODES, plan};
use super::*;
use crate::catalog::sql::{share_counts, shares};

/// Rows enough that the planner has a choice.
const FILL: &str = "INSERT INTO organization SELECT 'org' || n, '', 0, 0, 0 FROM generate_series(1, 20) n; \
     INSERT INTO space SELECT 'org' || n, 's', '', 0 FROM generate_series(1, 20) n; \
     INSERT INTO share SELECT 'org' || n % 20 + 1, 's' || n, 'k', sha256(n::text::bytea), 0, 0, 'files', '', '', 2, n, \
     'key' || n % 100, n, NULL, NULL, NULL, 0, NULL, 'active', NULL, '' FROM generate_series(1, 50000) n; \
     INSERT INTO allowance SELECT 'org' || n % 20 + 1, 'ss' || n, NULL, NULL, 'k', 0, NULL, NULL, NULL, 0, 1, 0, 0, NULL \
     FROM generate_series(1, 50000) n; \
     INSERT INTO share_count SELECT organization, id FROM share; ANALYZE";

/// The statements, each with values for it and an index that its plan must name.
fn plans() -> Vec<(&'static str, &'static str, &'static str)> {
    vec![
        (shares::OF_CODE.postgres, "'\\x00'", "share_code_digest_key"),
        (share_counts::LIST, "'org2', '~', 50", "share_pkey"),
        (
            share_counts::LIST_OF_KEY.postgres,
            "'org2', '~', 50, 'key5'",
            "share_made_by",
        ),
        (share_counts::LIST, "'org2', '~', 50", "share_count_pkey"),
        (share_counts::LIST, "'org2', '~', 50", "allowance_pkey"),
        (shares::ENDED.postgres, "500, 100", "share_ended"),
    ]
}

/// Each costs as much as it finds, however many shares there are besides.
#[tokio::test]
async fn shares_are_found_by_their_indexes() {
    let _catalog = catalog("share_plans").await;
    Server::shared().sql("share_plans", FILL);
    let mut connection = stranger("share_plans").await;
    for (sql, values, index) in plans() {
        for mode in MODES {
            let plan = plan(&mut connection, mode, sql, values).await;
            assert!(plan.contains(index), "{mode} {sql}\n{plan}");
            // There are no files in them.
            let scans = [
                "Seq Scan on share ",
                "Seq Scan on share_count",
                "Seq Scan on allowance",
            ];
            let is_costly = scans.iter().any(|step| plan.contains(step));
            assert!(!is_costly, "{mode} {sql}\n{plan}");
        }
    }
}
