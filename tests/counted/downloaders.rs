//! Programs that people download with, by a ticket: all that they ask for is one download.

use std::process::Stdio;

use tokio::process::Command;

use super::{PATIENCE, SIZE, after_bytes, bytes, start, started};
use crate::support::programs::{aria2, run, url};

#[tokio::test(flavor = "multi_thread")]
async fn curl_starts_a_download_and_follows_it() {
    let app = start().await;
    let directory = tempfile::tempdir().unwrap();
    let link = app.link("file_big", "max_downloads=1").await;
    let link_url = url(&app, &link);
    let looked = Command::new("curl")
        .args(["-sfI", &link_url])
        .stdout(Stdio::null())
        .status();
    assert!(!looked.await.unwrap().success());
    run(
        &["curl", "-sfL", "-d", "", "-o", "got", &link_url],
        directory.path(),
    )
    .await;
    let got = std::fs::read(directory.path().join("got")).unwrap();
    assert!(got == bytes());
    assert_eq!(after_bytes(&app, &link, SIZE).await, (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_goes_on_where_it_was_broken_off() {
    let app = start().await;
    let directory = tempfile::tempdir().unwrap();
    let link = app.link("file_big", "max_downloads=1").await;
    let ticket = url(&app, &started(&app, &link, "192.0.2.1").await);
    std::fs::write(directory.path().join("got"), &bytes()[..123_456]).unwrap();
    run(
        &["curl", "-sf", "-C", "-", "-o", "got", &ticket],
        directory.path(),
    )
    .await;
    assert!(std::fs::read(directory.path().join("got")).unwrap() == bytes());
    assert_eq!(after_bytes(&app, &link, SIZE - 123_456).await, (0, 1));
    run(
        &["curl", "-sf", "-r", "0-123455", "-o", "head", &ticket],
        directory.path(),
    )
    .await;
    assert_eq!(after_bytes(&app, &link, SIZE).await, (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_killed_goes_on_where_it_was() {
    let app = start().await;
    let large: Vec<u8> = bytes().into_iter().cycle().take(16 << 20).collect();
    app.add("file_large", "large.bin", &large).await;
    let directory = tempfile::tempdir().unwrap();
    let got = directory.path().join("got");
    let link = app.link("file_large", "max_downloads=1").await;
    let ticket = url(&app, &started(&app, &link, "192.0.2.1").await);
    let mut curl = Command::new("curl")
        .args(["-sf", "--limit-rate", "4M", "-o", "got", &ticket])
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let length = || std::fs::metadata(&got).map_or(0, |file| file.len());
    let begun = std::time::Instant::now();
    while length() < 1 << 20 {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // SIGKILL.
    curl.kill().await.unwrap();
    assert!(length() < 16 << 20, "it is in the midst of it");
    run(
        &["curl", "-sf", "-C", "-", "-o", "got", &ticket],
        directory.path(),
    )
    .await;
    assert!(std::fs::read(&got).unwrap() == large);
    // What was sent and never read counts, too.
    let begun = std::time::Instant::now();
    loop {
        let found = super::counted(&app, &link).await.unwrap();
        if (found.done, found.open) == (1, 0) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{found:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(super::post(&app, &link, "192.0.2.2").await.status, 410);
}

#[tokio::test(flavor = "multi_thread")]
async fn aria2_takes_one_download_over_eight_connections() {
    let app = start().await;
    let large: Vec<u8> = bytes().into_iter().cycle().take(16 << 20).collect();
    app.add("file_large", "large.bin", &large).await;
    let directory = tempfile::tempdir().unwrap();
    let link = app.link("file_large", "max_downloads=1").await;
    let ticket = url(&app, &started(&app, &link, "192.0.2.1").await);
    aria2(&ticket, directory.path()).await;
    assert!(std::fs::read(directory.path().join("large.bin")).unwrap() == large);
    let begun = std::time::Instant::now();
    loop {
        let found = super::counted(&app, &link).await.unwrap();
        if (found.done, found.open) == (1, 0) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{found:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(super::post(&app, &link, "192.0.2.2").await.status, 410);
}

#[tokio::test(flavor = "multi_thread")]
async fn wget2_saves_it_under_its_name() {
    let app = start().await;
    let directory = tempfile::tempdir().unwrap();
    let link = app.link("file_big", "max_downloads=1").await;
    let ticket = url(&app, &started(&app, &link, "192.0.2.1").await);
    let words = [
        "wget2",
        "-q",
        "--no-robots",
        "--max-threads=4",
        "--chunk-size=100000",
        &ticket,
    ];
    run(&words, directory.path()).await;
    let saved: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(saved, ["big file.bin"]);
    assert!(std::fs::read(directory.path().join("big file.bin")).unwrap() == bytes());
    let found = super::counted(&app, &link).await.unwrap();
    assert_eq!(found.allowed, 1);
    assert_eq!(after_bytes(&app, &link, SIZE).await, (1, 0));
}
