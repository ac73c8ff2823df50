//! Writes that run as a whole on one thread, without the driver.

use super::*;
use crate::catalog::contract::redemptions::redeem;
use crate::catalog::redemptions::{Redeem, Redeemed, Redemptions as _};

/// The wait for another program's lock, in these tests.
const PATIENCE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn their_connection_is_durable_and_strict() {
    for (missing, synchronous) in [(Missing::Make, "2"), (Missing::MakeTemporary, "0")] {
        let place = place();
        let catalog = Sqlite::open_with(&place.path, missing).await.unwrap();
        let settings = [
            ("journal_mode", "Text(\"wal\")"),
            ("synchronous", synchronous),
            ("foreign_keys", "1"),
            ("busy_timeout", "5000"),
            ("cache_size", "-8192"),
            ("temp_store", "2"),
        ];
        for (pragma, wanted) in settings {
            assert_eq!(catalog.whole_writer.setting(pragma), wanted, "{pragma}");
        }
    }
}

fn redeem_of(owner: &OrganizationId, link: &str) -> Redeem {
    redeem(owner, link, 3)
}

/// Another process that writes for longer than is waited for keeps a start from being made; the next one is.
#[tokio::test]
async fn another_programs_lock_is_waited_for() {
    let place = place();
    let catalog = open::open(&place.path, Missing::Make, PATIENCE)
        .await
        .unwrap();
    let owner = organization(&catalog, "waits").await;
    let mut other = stranger(&place.path).await;
    query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let start = redeem_of(&owner, "first");
    let refused = catalog.redeem(&start).await;
    let is_unavailable = matches!(refused, Err(CatalogError::Unavailable { .. }));
    assert!(is_unavailable, "{refused:?}");
    let (started, ended) = tokio::join!(catalog.redeem(&start), async {
        tokio::time::sleep(PATIENCE / 3).await;
        query("COMMIT").execute(&mut other).await
    });
    ended.unwrap();
    let started = started.unwrap();
    assert!(matches!(started, Redeemed::Fresh { .. }), "{started:?}");
}

/// They take turns with what the driver writes, however many there are of either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_take_turns_with_the_drivers_writes() {
    const EACH: usize = 40;
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let owner = organization(&catalog, "turns").await;
    let starts = (0..EACH).map(|number| redeem_of(&owner, &format!("turn{number}")));
    let starts: Vec<_> = starts.collect();
    let starting = starts.iter().map(async |start| {
        let started = catalog.redeem(start).await.unwrap();
        assert!(matches!(started, Redeemed::Fresh { .. }), "{started:?}");
    });
    let names: Vec<String> = (0..EACH).map(|number| format!("turns{number}")).collect();
    let making = names.iter().map(async |name| {
        organization(&catalog, name).await;
    });
    tokio::join!(
        futures_util::future::join_all(starting),
        futures_util::future::join_all(making),
    );
    let rows =
        query("SELECT (SELECT count(*) FROM redemption), (SELECT count(*) FROM organization)");
    let rows = rows.fetch_one(&catalog.readers).await.unwrap();
    let counts: [i64; 2] = [rows.get(0), rows.get(1)];
    assert_eq!(counts, [EACH as i64, EACH as i64 + 1]);
}

/// One that is refused in its midst leaves nothing, and the next one goes on.
#[tokio::test]
async fn one_that_fails_is_undone() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let owner = organization(&catalog, "undone").await;
    let first = redeem_of(&owner, "first");
    catalog.redeem(&first).await.unwrap();
    // Its allowance is inserted, and then its download has the id of another one.
    let mut clash = redeem_of(&owner, "second");
    clash.ticket.rid = first.ticket.rid;
    let refused = catalog.redeem(&clash).await;
    let is_taken = matches!(refused, Err(CatalogError::Conflict { .. }));
    assert!(is_taken, "{refused:?}");
    let second = redeem_of(&owner, "second");
    let started = catalog.redeem(&second).await.unwrap();
    let left = second.allowed - 1;
    assert_eq!(started, Redeemed::Fresh { left });
}

#[tokio::test]
async fn after_the_end_nothing_is_written_and_nothing_is_left_open() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let owner = organization(&catalog, "closed").await;
    let start = redeem_of(&owner, "first");
    catalog.redeem(&start).await.unwrap();
    catalog.close().await;
    let log = place.path.with_extension("sqlite3-wal");
    assert!(!log.exists(), "the last to close writes the log back");
    let refused = catalog.redeem(&start).await;
    let is_unavailable = matches!(refused, Err(CatalogError::Unavailable { .. }));
    assert!(is_unavailable, "{refused:?}");
}
