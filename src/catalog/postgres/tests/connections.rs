//! Connections between calls: used again, asked once a second whether they are well, and closed at the end.

use super::*;
use crate::catalog::postgres::connections::OUT_MAX;

/// The longest wait for a connection to be back in the pool: twice as long as one waits for a call.
const UNTIL_RETURNED: Duration = Duration::from_secs(2 * OUT_MAX.as_secs() + 1);

/// The server's process of a connection that a call has, which is given back.
async fn process_of(catalog: &Postgres) -> i32 {
    let mut lease = catalog.begin(SessionKind::Read).await.unwrap();
    let row = query("SELECT pg_backend_pid()")
        .fetch_one(lease.connection().unwrap())
        .await
        .unwrap();
    lease.give_back();
    row.get(0)
}

/// Returns the number of connections that the server has of this database.
fn connections_of(name: &str) -> String {
    let count = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND backend_type = 'client backend'"
    );
    Server::shared().sql("postgres", &count)
}

#[tokio::test]
async fn calls_that_follow_each_other_have_one_connection_out_of_the_pool() {
    let catalog = catalog("calls").await;
    let first = process_of(&catalog).await;
    for _ in 0..5 {
        tokio::time::sleep(OUT_MAX / 20).await;
        assert!(
            !catalog.connections.are_all_in_the_pool(),
            "it waits for a call"
        );
        assert_eq!(process_of(&catalog).await, first);
    }
    tokio::time::sleep(UNTIL_RETURNED).await;
    assert!(catalog.connections.are_all_in_the_pool());
    assert_eq!(process_of(&catalog).await, first, "it is well");
}

#[tokio::test]
async fn a_connection_that_died_between_calls_is_replaced() {
    let catalog = catalog("calls_died").await;
    let first = process_of(&catalog).await;
    let end = format!("SELECT pg_terminate_backend({first}, 10000)");
    assert_eq!(Server::shared().sql("postgres", &end).trim(), "t");
    let owner = organization(&catalog, "a").await;
    assert!(catalog.organization(&owner).await.unwrap().is_some());
    assert_ne!(process_of(&catalog).await, first);
}

#[tokio::test]
async fn after_the_end_no_connection_is_left() {
    let catalog = catalog("calls_closed").await;
    let (one, other) = tokio::join!(process_of(&catalog), process_of(&catalog));
    assert_ne!(one, other);
    catalog.close().await;
    let begun = Instant::now();
    while connections_of("calls_closed").trim() != "0" {
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(catalog.begin(SessionKind::Read).await.is_err());
}
