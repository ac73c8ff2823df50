//! Programs that people download with: one command with the password, and resumes by the ticket.

use super::{PATIENCE, SIZE, Shared, after_bytes, big, counted, lock, share, start, started};
use crate::archives::unzipped;
use crate::support::app::TestApp;
use crate::support::programs::{aria2, run, url};

async fn is_done_once(app: &TestApp, shared: &Shared) {
    let found = after_bytes(app, shared, SIZE).await;
    assert_eq!((found.done, found.open), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_gives_the_password_and_saves_the_file_under_its_name() {
    let app = start().await;
    let shared = share(&app, counted(&["file_big"], 1)).await;
    lock(&app, &shared, "correct horse").await;
    let directory = tempfile::tempdir().unwrap();
    let open = url(&app, &shared.at("/open"));
    let form = "password=correct horse&start=1";
    run(&["curl", "-sfLOJ", "-d", form, &open], directory.path()).await;
    let got = std::fs::read(directory.path().join("big file.bin")).unwrap();
    assert!(got == big());
    is_done_once(&app, &shared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_goes_on_where_it_was_broken_off() {
    let app = start().await;
    let shared = share(&app, counted(&["file_big"], 1)).await;
    let directory = tempfile::tempdir().unwrap();
    let ticket = url(&app, &started(&app, &shared, "192.0.2.1").await);
    let words = ["curl", "-sf", "-r", "0-123455", "-o", "got", &ticket];
    run(&words, directory.path()).await;
    run(
        &["curl", "-sf", "-C", "-", "-o", "got", &ticket],
        directory.path(),
    )
    .await;
    assert!(std::fs::read(directory.path().join("got")).unwrap() == big());
    is_done_once(&app, &shared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wget2_saves_it_under_its_name() {
    let app = start().await;
    let shared = share(&app, counted(&["file_big"], 1)).await;
    let directory = tempfile::tempdir().unwrap();
    let ticket = url(&app, &started(&app, &shared, "192.0.2.1").await);
    run(&["wget2", "-q", "--no-robots", &ticket], directory.path()).await;
    assert!(std::fs::read(directory.path().join("big file.bin")).unwrap() == big());
    is_done_once(&app, &shared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aria2_takes_one_download_over_eight_connections() {
    let app = start().await;
    let large: Vec<u8> = big().into_iter().cycle().take(16 << 20).collect();
    app.add("file_large", "large.bin", &large).await;
    // A file, and all as one archive.
    for files in [&["file_large"][..], &["file_large", "file_big"]] {
        let shared = share(&app, counted(files, 1)).await;
        lock(&app, &shared, "correct horse").await;
        let directory = tempfile::tempdir().unwrap();
        let form = "password=correct+horse&start=1";
        let reply = super::post(&app, &shared, "192.0.2.1", &[], form).await;
        let ticket = url(&app, &super::sent_on(&reply));
        aria2(&ticket, directory.path()).await;
        let got = std::fs::read(directory.path().join("large.bin")).unwrap();
        match files {
            [_] => assert!(got == large),
            _ => assert!(unzipped(&got)["large.bin"] == large),
        }
        let begun = std::time::Instant::now();
        loop {
            let found = super::counts(&app, &shared).await;
            if (found.done, found.open) == (1, 0) {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{found:?}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}
