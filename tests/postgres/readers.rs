//! Reads of one organization that take long leave connections to the others.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection, query, query_scalar};
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{sleep, timeout};

use super::{ANYONE, app};
use crate::support::app::new_file;
use crate::support::postgres::Server;

const PATIENCE: Duration = Duration::from_secs(30);

const THEIRS: &str = "/v1/organizations/org_123/files";
const OWN: &str = "/v1/organizations/org_abc123/files";
const OWN_KEY: (&str, &str) = ("X-API-Key", "k2");

const CONNECTIONS: i64 = 4;

/// Has each read of a file of `org_123` wait for a lock.
const SLOW_ROWS: &str = "CREATE FUNCTION waits() RETURNS boolean LANGUAGE plpgsql AS \
     'BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN true; END'; \
     ALTER TABLE file RENAME TO file_row; \
     CREATE VIEW file AS SELECT * FROM file_row WHERE organization <> 'org_123' OR waits()";

const WAITING: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_of_one_organization_leave_connections_to_others() {
    let server = Server::shared();
    let url = server.database("readers");
    let most = CONNECTIONS.to_string();
    let app = app(&url, &[("catalog.connections_max", &most)]).await;
    let app = app.with_org_123().await;
    app.put(new_file("org_abc123", "own", "o.txt"), b"bytes")
        .await;
    block_in_place(|| server.sql("readers", SLOW_ROWS));
    let mut other = PgConnection::connect(&url).await.unwrap();
    let lock = query("SELECT pg_advisory_lock(7)");
    lock.execute(&mut other).await.unwrap();

    let mut reads = JoinSet::new();
    let file = format!("{THEIRS}/file_abc123");
    let page = format!("{THEIRS}?page=1");
    for target in [&file, &page].into_iter().cycle().take(16) {
        let (client, target) = (app.client, target.clone());
        reads.spawn(async move { client.get(&target, &[ANYONE]).await.status });
    }
    let mut waiting =
        async || -> i64 { query_scalar(WAITING).fetch_one(&mut other).await.unwrap() };
    let are_waiting = async {
        while waiting().await < 3 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, are_waiting).await.expect("three reads");
    // All sixteen have come by now, and never take the last one.
    sleep(Duration::from_millis(500)).await;
    assert!(waiting().await < CONNECTIONS);
    for target in [format!("{OWN}/own"), OWN.into(), format!("{OWN}?page=9")] {
        let reply = app.client.get(&target, &[OWN_KEY]).await;
        assert_eq!(reply.status, 200, "{target}");
    }
    let unlock = query("SELECT pg_advisory_unlock(7)");
    unlock.execute(&mut other).await.unwrap();
    while let Some(status) = reads.join_next().await {
        assert_eq!(status.unwrap(), 200, "in its turn");
    }
}
