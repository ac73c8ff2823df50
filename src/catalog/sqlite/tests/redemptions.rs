//! Counted downloads: through several handles, and how SQLite finds their rows.

use super::damage::run;
use super::*;
use crate::catalog::contract::redemptions::together;
use crate::catalog::sql::{allowance, redemptions, tickets};

/// The limit of a counted link holds however many processes start downloads at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downloads_are_counted_through_several_handles() {
    let place = place();
    let mut handles = Vec::new();
    for _ in 0..3 {
        handles.push(Sqlite::open(&place.path).await.unwrap());
    }
    let all: Vec<&dyn crate::catalog::Catalog> = handles.iter().map(|one| one as _).collect();
    together::of_many_at_once_no_more_start_than_are_allowed(&all).await;
    together::what_many_do_at_once_is_counted_right(&all).await;
}

#[tokio::test]
async fn a_start_that_was_dropped_counts_once() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    together::a_start_that_was_dropped_counts_once(&catalog, Duration::from_micros(10)).await;
}

#[tokio::test]
async fn a_batch_that_was_dropped_counts_once() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    together::a_batch_that_was_dropped_counts_once(&catalog, Duration::from_micros(10)).await;
}

/// Rows that no value stands for keep no other one from being counted, or forgotten.
#[tokio::test]
async fn a_row_that_cannot_be_read_is_left_out_alone() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let damage = "UPDATE redemption SET last_at = -1 WHERE rid = (SELECT min(rid) FROM redemption); \
         UPDATE allowance SET allowed = -1 WHERE subject = \
         (SELECT subject FROM redemption WHERE rid = (SELECT max(rid) FROM redemption))";
    let starts = together::started(&catalog, 3).await;
    run(&place.path, damage).await;
    together::the_first_and_the_last_are_left_out(&catalog, &starts).await;
}

/// The statements, each with a step of its plan that must be there.
const PLANS: [(&str, &str); 15] = [
    (
        allowance::LOCK.sqlite,
        "allowance USING PRIMARY KEY (organization=? AND subject=?)",
    ),
    (
        allowance::LOCK_OF.sqlite,
        "allowance USING PRIMARY KEY (organization=? AND subject=?)",
    ),
    (
        allowance::OF_IDS.sqlite,
        "redemption USING PRIMARY KEY (rid=?)",
    ),
    (
        allowance::STALE,
        "INDEX redemption_open (organization=? AND subject=? AND last_at<?)",
    ),
    (
        allowance::SET_COUNTS.sqlite,
        "allowance USING PRIMARY KEY (organization=? AND subject=?)",
    ),
    (
        allowance::SET_PROGRESS.sqlite,
        "redemption USING PRIMARY KEY (rid=?)",
    ),
    (
        redemptions::FIRST,
        "INDEX redemption_open (organization=? AND subject=?)",
    ),
    (
        redemptions::SAME,
        "INDEX redemption_client (organization=? AND subject=? AND client=?)",
    ),
    (tickets::TICKET, "redemption USING PRIMARY KEY (rid=?)"),
    (
        tickets::TICKET,
        "allowance USING PRIMARY KEY (organization=? AND subject=?)",
    ),
    (
        redemptions::OF_LINK,
        "INDEX allowance_link (organization=? AND link_id=?)",
    ),
    (redemptions::ENDED, "INDEX redemption_expires (expires<?)"),
    (
        redemptions::FORGET_ALLOWANCES.sqlite,
        "INDEX allowance_expires (expires<?)",
    ),
    (
        redemptions::FORGET_CLIENTS.sqlite,
        "INDEX redemption_known (<expr><?)",
    ),
    // As many rows as there are gateways.
    (redemptions::FORGET_WRITERS.sqlite, "SCAN sent_mark"),
];

/// Each costs as much as it finds, however many downloads there are besides. Only what a client has in one subject, and
/// what is locked together, is sorted.
#[tokio::test]
async fn rows_are_found_by_their_indexes() {
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
        let is_scan = |step: &String| {
            ["SCAN allowance", "SCAN redemption", "SCAN link_count"]
                .iter()
                .any(|scan| step.contains(scan))
        };
        assert!(!plan.iter().any(is_scan), "{plan:?}");
        let may_sort = [allowance::LOCK_OF.sqlite, redemptions::SAME].contains(&sql);
        let sorts = plan
            .iter()
            .any(|step| step.contains("TEMP B-TREE FOR ORDER"));
        assert!(!sorts || may_sort, "{plan:?}");
    }
}
