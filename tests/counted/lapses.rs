//! Downloads that were broken off: their place comes back, and their bytes are not forgotten.

use std::time::{Duration, Instant};

use hallpass::model::id::OrganizationId;
use hallpass::model::redemption::{RedemptionId, RedemptionState};
use tokio::io::AsyncWriteExt as _;

use super::{PATIENCE, SIZE, after_bytes, at_second, counted, post, range, start, started};
use crate::cli::support::Writer;
use crate::support::app::is_on_postgres;

#[tokio::test]
async fn a_broken_off_download_goes_on_if_nobody_took_its_place() {
    let app = start().await;
    let link = app
        .link("file_big", "max_downloads=1&expires_in=86400")
        .await;
    let mine = started(&app, &link, "192.0.2.1").await;
    range(&app, &mine, "0-299989").await;
    after_bytes(&app, &link, SIZE - 10).await;
    at_second(&app, 3_600).await;
    let rest = range(&app, &mine, "299990-").await;
    assert_eq!((rest.status, rest.body.len()), (206, 10));
    assert_eq!(after_bytes(&app, &link, SIZE).await, (1, 0));
    post(&app, &link, "192.0.2.2")
        .await
        .refused(410, "DOWNLOADS_EXHAUSTED");
}

#[tokio::test]
async fn a_lapsed_ticket_is_dead_while_another_holds_its_place_and_lives_on_after() {
    let app = start().await;
    let link = app
        .link("file_big", "max_downloads=1&expires_in=86400")
        .await;
    let mine = started(&app, &link, "192.0.2.1").await;
    range(&app, &mine, "0-99999").await;
    after_bytes(&app, &link, 100_000).await;
    // A second before it may lapse nobody else has one.
    at_second(&app, 899).await;
    let held = post(&app, &link, "192.0.2.2").await;
    held.refused(409, "DOWNLOAD_IN_PROGRESS");
    assert_eq!(held.header("retry-after"), Some("1"));
    at_second(&app, 900).await;
    let theirs = started(&app, &link, "192.0.2.2").await;
    at_second(&app, 901).await;
    range(&app, &mine, "100000-").await.is_dead_link();
    assert_eq!(
        app.client.request("HEAD", &mine, &[], b"").await.status,
        401
    );
    assert_eq!(counted(&app, &link).await.unwrap().bytes_sent, 100_000);
    // The other one leaves without a byte, and its place is there again.
    at_second(&app, 1_800).await;
    assert_eq!(range(&app, &mine, "100000-").await.status, 206);
    assert_eq!(after_bytes(&app, &link, SIZE).await, (1, 0));
    at_second(&app, 1_802).await;
    app.client.get(&theirs, &[]).await.is_dead_link();
}

/// A look asks whether there is one left, and takes none.
#[tokio::test]
async fn a_look_at_a_lapsed_ticket_does_not_start_it_again() {
    let app = start().await;
    let link = app
        .link("file_big", "max_downloads=1&expires_in=86400")
        .await;
    let mine = started(&app, &link, "192.0.2.1").await;
    at_second(&app, 900).await;
    let theirs = started(&app, &link, "192.0.2.2").await;
    at_second(&app, 1_800).await;
    assert_eq!(range(&app, &mine, "0-0").await.status, 206);
    after_bytes(&app, &link, 1).await;
    at_second(&app, 2_701).await;
    // Theirs lapsed when mine was started again.
    let head = app.client.request("HEAD", &theirs, &[], b"").await;
    assert_eq!(head.status, 401);
    assert_eq!(counted(&app, &link).await.unwrap().open, 1);
}

/// A client that hangs up leaves nothing half done: its download is started again, as it asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_does_not_stop_its_download_from_being_started_again() {
    if is_on_postgres() {
        println!("on SQLite only, which one process writes to at a time");
        return;
    }
    let app = start().await;
    let link = app
        .link("file_big", "max_downloads=1&expires_in=86400")
        .await;
    let mine = started(&app, &link, "192.0.2.1").await;
    at_second(&app, 900).await;
    started(&app, &link, "192.0.2.2").await;
    at_second(&app, 1_800).await;
    // Nobody but this one can write.
    let writer = Writer::to(&app.directory.path().join("data/catalogue.sqlite3"));
    let mut stream = tokio::net::TcpStream::connect(app.client.0).await.unwrap();
    let head = format!("GET {mine} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-0\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let waits = tokio::time::timeout(Duration::from_millis(500), stream.peek(&mut [0])).await;
    assert!(waits.is_err(), "it waits for the other one");
    drop(stream);
    tokio::time::sleep(Duration::from_millis(500)).await;
    writer.end();
    let organization = OrganizationId::parse("org_123").unwrap();
    let rid = mine.split('/').nth(5).unwrap().split('.').nth(2).unwrap();
    let rid = RedemptionId::parse(rid).unwrap();
    let catalogue = app.catalogue_from_outside().await;
    let begun = Instant::now();
    loop {
        let found = catalogue.redemption(&organization, rid).await.unwrap();
        if found.unwrap().redemption.state == RedemptionState::Open {
            break;
        }
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An answer without bytes takes no place.
#[tokio::test]
async fn what_gets_no_bytes_by_a_lapsed_ticket_does_not_start_it_again() {
    let app = start().await;
    let link = app
        .link("file_big", "max_downloads=2&expires_in=86400")
        .await;
    let mine = started(&app, &link, "192.0.2.1").await;
    started(&app, &link, "192.0.2.2").await;
    at_second(&app, 901).await;
    // Both lapse, as there is no place else, and one is left.
    started(&app, &link, "192.0.2.3").await;
    let not_modified = app.client.get(&mine, &[("If-None-Match", "*")]).await;
    assert_eq!(not_modified.status, 304);
    let failed = app.client.get(&mine, &[("If-Match", "\"another\"")]).await;
    assert_eq!(failed.status, 412);
    assert_eq!(range(&app, &mine, &format!("{SIZE}-")).await.status, 416);
    assert_eq!(counted(&app, &link).await.unwrap().open, 1);
    assert_eq!(range(&app, &mine, "0-0").await.status, 206);
    assert_eq!(counted(&app, &link).await.unwrap().open, 2);
}

/// The bytes of lapsed downloads are a download once they are as many as the file has.
#[tokio::test]
async fn all_but_one_byte_and_then_one_byte_spend_a_download() {
    let app = start().await;
    let link = app
        .link("file_big", "max_downloads=1&expires_in=86400")
        .await;
    let first = started(&app, &link, "192.0.2.1").await;
    range(&app, &first, "0-299998").await;
    after_bytes(&app, &link, SIZE - 1).await;
    at_second(&app, 900).await;
    let second = started(&app, &link, "192.0.2.2").await;
    range(&app, &second, "299999-").await;
    assert_eq!(after_bytes(&app, &link, SIZE).await, (0, 1));
    at_second(&app, 1_801).await;
    post(&app, &link, "192.0.2.3")
        .await
        .refused(410, "DOWNLOADS_EXHAUSTED");
    let found = counted(&app, &link).await.unwrap();
    assert_eq!((found.done, found.open), (1, 0));
    at_second(&app, 1_803).await;
    for dead in [&first, &second] {
        app.client.get(dead, &[]).await.is_dead_link();
    }
}

/// What submits the form and leaves, as scanners do.
#[tokio::test]
async fn who_starts_a_download_and_leaves_gives_it_back() {
    let app = start().await;
    let link = app
        .link("file_big", "max_downloads=1&expires_in=86400")
        .await;
    started(&app, &link, "192.0.2.66").await;
    at_second(&app, 900).await;
    let mine = started(&app, &link, "192.0.2.1").await;
    assert_eq!(app.client.get(&mine, &[]).await.status, 200);
    assert_eq!(after_bytes(&app, &link, SIZE).await, (1, 0));
}

#[tokio::test]
async fn no_request_by_a_ticket_begins_after_its_end() {
    let app = start().await;
    let link = app
        .link("file_big", "max_downloads=1&expires_in=200000")
        .await;
    let reply = post(&app, &link, "192.0.2.1").await;
    let ticket = super::ticket(&reply);
    assert_eq!(reply.json()["expires"], crate::support::app::T0 + 86_400);
    at_second(&app, 86_399).await;
    assert_eq!(range(&app, &ticket, "0-0").await.status, 206);
    at_second(&app, 86_400).await;
    range(&app, &ticket, "0-0").await.is_dead_link();
}
