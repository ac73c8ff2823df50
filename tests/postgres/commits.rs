//! A `COMMIT` that takes long: its caller is told what became of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::{ANYONE, app};
use crate::support::app::new_file;
use crate::support::postgres::Server;

const LIST: &str = "/v1/organizations/org_123/files";

/// What keeps every `COMMIT` waiting: a standby that must have it and is not there.
fn wait_for_a_standby(server: &Server, name: &str) {
    let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'");
    server.sql("postgres", &set);
    server.sql("postgres", "SELECT pg_reload_conf()");
}

/// Nobody could say for twelve seconds, of which the first five were spent waiting for another's lock: longer
/// than a call may take that is not being committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_commit_is_answered_as_done_once_it_is() {
    let server = Arc::new(Server::start(""));
    let url = server.database("slow");
    let app = app(&url, &[]).await.with_org_123().await;
    let locked = std::thread::spawn({
        let server = Arc::clone(&server);
        move || {
            server.sql(
                "slow",
                "BEGIN; SELECT 1 FROM organization FOR UPDATE; SELECT pg_sleep(5); ROLLBACK",
            )
        }
    });
    let begun = Instant::now();
    let gateway = Arc::clone(&app.gateway);
    let adding = tokio::spawn(async move {
        sleep(Duration::from_millis(500)).await;
        let mut upload = gateway.begin_upload().await?;
        upload.write(Bytes::from_static(b"bytes")).await?;
        let new = new_file("org_123", "slow", "a.txt");
        gateway.finish_upload(upload, new).await
    });
    sleep(Duration::from_secs(2)).await;
    block_in_place(|| wait_for_a_standby(&server, "nobody"));
    block_in_place(|| locked.join().unwrap());
    sleep(Duration::from_secs(7)).await;
    assert!(!adding.is_finished(), "nobody knows yet");
    block_in_place(|| wait_for_a_standby(&server, ""));
    let added = adding.await.unwrap();
    println!("answered after {:?}", begun.elapsed());
    assert!(added.is_ok(), "{added:?}");
    let listed = app.client.get(LIST, &[ANYONE]).await.json();
    let files = listed["files"].as_array().unwrap();
    let found = files.iter().filter(|file| file["id"] == "slow").count();
    assert_eq!((found, &listed["total"]), (1, &3.into()));
}
