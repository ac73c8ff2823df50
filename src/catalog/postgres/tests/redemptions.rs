//! Counted downloads: through several gateways, and how PostgreSQL finds their rows.

use super::plans::{MODES, plan};
use super::*;
use crate::catalog::contract::redemptions::together;
use crate::catalog::sql::{allowance, redemptions, tickets};

/// The limit of a counted link holds however many gateways start downloads at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downloads_are_counted_through_several_gateways() {
    let gateways = [
        catalog("redeem").await,
        catalog("redeem").await,
        catalog("redeem").await,
    ];
    let all: Vec<&dyn crate::catalog::Catalog> = gateways.iter().map(|one| one as _).collect();
    together::of_many_at_once_no_more_start_than_are_allowed(&all).await;
    together::what_many_do_at_once_is_counted_right(&all).await;
}

#[tokio::test]
async fn a_start_that_was_dropped_counts_once() {
    let catalog = catalog("redeem_dropped").await;
    together::a_start_that_was_dropped_counts_once(&catalog, Duration::from_micros(40)).await;
}

#[tokio::test]
async fn a_batch_that_was_dropped_counts_once() {
    let catalog = catalog("sent_dropped").await;
    together::a_batch_that_was_dropped_counts_once(&catalog, Duration::from_micros(40)).await;
}

/// Rows that no value stands for keep no other one from being counted, or forgotten.
#[tokio::test]
async fn a_row_that_cannot_be_read_is_left_out_alone() {
    let catalog = catalog("redeem_damaged").await;
    let starts = together::started(&catalog, 3).await;
    let damage = "UPDATE redemption SET last_at = -1 WHERE rid = (SELECT min(rid) FROM redemption); \
         UPDATE allowance SET allowed = -1 WHERE subject = \
         (SELECT subject FROM redemption WHERE rid = (SELECT max(rid) FROM redemption))";
    Server::shared().sql("redeem_damaged", damage);
    together::the_first_and_the_last_are_left_out(&catalog, &starts).await;
}

/// Rows enough that the planner has a choice: links that were started once, and one that was a thousand times.
const FILL: &str = "INSERT INTO organization SELECT 'org' || n, '', 0, 0, 0 FROM generate_series(1, 20) n; \
     INSERT INTO allowance SELECT 'org' || n % 20 + 1, 'l' || n, 'id' || n, 'f', 'k', 0, 0, '', 5, 0, 1, 0, 0, n \
     FROM generate_series(1, 50000) n; \
     INSERT INTO redemption SELECT 'r' || n, 'org' || n % 20 + 1, 'l' || n, 'f', 9, NULL, n, n, 0, 'open', NULL, \
     'k', n, NULL, NULL, NULL FROM generate_series(1, 50000) n; \
     INSERT INTO redemption SELECT 'R' || n, 'org2', 'l1', 'f', 9, decode(md5(n::text), 'hex'), n, n, 0, \
     'open', NULL, 'k', n, NULL, NULL, NULL FROM generate_series(1, 5000) n; ANALYZE";

/// The statements, each with values for it and an index that its plan must name.
fn plans() -> Vec<(&'static str, &'static str, &'static str)> {
    const ONE: &str = "'org2', 'l1'";
    let rids = "ARRAY['r5', 'r70', 'R80']";
    vec![
        (allowance::LOCK.postgres, ONE, "allowance_pkey"),
        (allowance::LOCK_OF.postgres, rids, "allowance_pkey"),
        (allowance::LOCK_OF.postgres, rids, "redemption_pkey"),
        (allowance::OF_IDS.postgres, rids, "redemption_pkey"),
        (
            allowance::STALE,
            "'org2', 'l1', 4000, 100",
            "redemption_open",
        ),
        (
            allowance::SET_COUNTS.postgres,
            "'[{\"organization\":\"org2\",\"subject\":\"l1\",\"done\":1}]'",
            "allowance_pkey",
        ),
        (
            allowance::SET_PROGRESS.postgres,
            "'[{\"rid\":\"r5\",\"bytes_sent\":1}]'",
            "redemption_pkey",
        ),
        (redemptions::FIRST, ONE, "redemption_open"),
        (
            redemptions::SAME,
            "'org2', 'l1', 'r', '\\x00', 5, 5, 5, 'f'",
            "redemption_client",
        ),
        (tickets::TICKET, "'r5', 'org6'", "redemption_pkey"),
        (tickets::TICKET, "'r5', 'org6'", "allowance_pkey"),
        (redemptions::OF_LINK, "'org6', 'id5'", "allowance_link"),
        (redemptions::ENDED, "500, 500, 100", "redemption_expires"),
        (
            redemptions::FORGET_ALLOWANCES.postgres,
            "500, 100",
            "allowance_expires",
        ),
        (
            redemptions::FORGET_CLIENTS.postgres,
            "500, 100",
            "redemption_known",
        ),
    ]
}

/// Each costs as much as it finds, however many downloads there are besides.
#[tokio::test]
async fn rows_are_found_by_their_indexes() {
    let _catalog = catalog("redeem_plans").await;
    Server::shared().sql("redeem_plans", FILL);
    let mut connection = stranger("redeem_plans").await;
    for (sql, values, index) in plans() {
        for mode in MODES {
            let plan = plan(&mut connection, mode, sql, values).await;
            assert!(plan.contains(index), "{mode} {sql}\n{plan}");
            let scans = ["Seq Scan on allowance", "Seq Scan on redemption"];
            let is_costly = scans.iter().any(|step| plan.contains(step));
            assert!(!is_costly, "{mode} {sql}\n{plan}");
        }
    }
}

/// The question that PostgreSQL asks when a download is added: whether it has its allowance.
const HAS_ALLOWANCE: &str = "SELECT 1 FROM ONLY allowance x \
     WHERE organization OPERATOR(pg_catalog.=) $1 AND subject OPERATOR(pg_catalog.=) $2 FOR KEY SHARE OF x";

/// A new database has no statistics: a start must not go through all allowances of its organization then.
#[tokio::test]
async fn an_allowance_is_found_by_its_key_without_statistics() {
    let _catalog = catalog("redeem_new").await;
    let mut connection = stranger("redeem_new").await;
    for mode in MODES {
        let plan = plan(&mut connection, mode, HAS_ALLOWANCE, "'org2', 'l1'").await;
        assert!(plan.contains("allowance_pkey"), "{mode}\n{plan}");
    }
}
