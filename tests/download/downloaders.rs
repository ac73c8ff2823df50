//! Programs that people download with: what they broke off they continue, and many at once lose nothing.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::support::app::TestApp;
use crate::support::front::Front;

const SIZE: usize = 12 << 20;

/// How much of a download comes through before it stops: no whole number of the MiB that some take it in.
const UNTIL: usize = (5 << 20) + (512 << 10);

/// Nothing here may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// No two stretches of these bytes are alike.
fn bytes() -> Vec<u8> {
    let words = (0..(SIZE / 8) as u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    words.flat_map(u64::to_le_bytes).collect()
}

/// A gateway with a big file, a front before it that stops in the middle of it, and a link through that.
async fn stopping() -> (TestApp, Front, String) {
    let app = TestApp::start().await.with_org_123().await;
    app.add("file_big", "big.bin", &bytes()).await;
    let front = Front::before(app.client.0, UNTIL).await;
    let link = format!("http://{}{}", front.address, app.link("file_big", "").await);
    (app, front, link)
}

fn command(words: &str, link: &str, directory: &Path) -> Command {
    let mut words = words.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    command
        .args(words)
        .arg(link)
        .current_dir(directory)
        .env_remove("http_proxy")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn start(words: &str, link: &str, directory: &Path) -> Child {
    let child = command(words, link, directory).spawn();
    child.expect("it is installed; tests/run does that")
}

async fn run(words: &str, link: &str, directory: &Path) -> Output {
    let output = tokio::time::timeout(PATIENCE, command(words, link, directory).output());
    let output = output.await.expect("an end in time");
    output.expect("it is installed; tests/run does that")
}

/// Waits until something is so.
async fn until(so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "it does not come to that");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aria2_continues_what_was_killed_over_four_connections() {
    let (app, front, link) = stopping().await;
    let directory = app.directory.path();
    let aria2 = "aria2c --no-conf -x4 -s4 -k1M --auto-save-interval=1 -o big.bin";
    let mut child = start(aria2, &link, directory);
    until(|| front.passed() + 64 * 1024 > UNTIL).await;
    // What it has it writes down once a second, if it is another than before.
    tokio::time::sleep(Duration::from_secs(3)).await;
    child.kill().await.unwrap();
    let is_inside = |place: &usize| !place.is_multiple_of(1 << 20);
    let first = front.ranges();
    assert!(
        first.len() >= 3 && !first.iter().any(is_inside),
        "{first:?}"
    );

    front.open();
    let output = run(&format!("{aria2} -c"), &link, directory).await;
    assert!(output.status.success(), "{output:?}");
    let then = &front.ranges()[first.len()..];
    assert!(
        then.iter().any(is_inside),
        "it goes on in pieces begun: {then:?}"
    );
    assert!(fs::read(directory.join("big.bin")).unwrap() == bytes());
    let notes = directory.join("big.bin.aria2");
    assert!(!notes.exists(), "nothing is left to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_continues_what_was_cut() {
    let (app, front, link) = stopping().await;
    let directory = app.directory.path();
    let mut child = start("curl -q -sS -o big.bin", &link, directory);
    let saved = directory.join("big.bin");
    let length = || saved.metadata().map_or(0, |saved| saved.len());
    until(|| front.passed() + 64 * 1024 > UNTIL && length() > 0).await;
    child.kill().await.unwrap();
    let cut = usize::try_from(length()).unwrap();
    assert!(cut < SIZE);

    front.open();
    let output = run("curl -q -sS -C - -o big.bin", &link, directory).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(front.ranges(), [cut]);
    assert!(fs::read(&saved).unwrap() == bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_of_many_at_once_fails() {
    let app = TestApp::start().await.with_org_123().await;
    app.add("file_small", "small.bin", &bytes()[..64 * 1024])
        .await;
    let link = format!(
        "http://{}{}",
        app.client.0,
        app.link("file_small", "").await
    );
    let output = run(
        "h2load --h1 -n 2000 -c 20 -t 1",
        &link,
        app.directory.path(),
    )
    .await;
    let said = String::from_utf8(output.stdout).unwrap();
    for line in [
        "requests: 2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout",
        "status codes: 2000 2xx, 0 3xx, 0 4xx, 0 5xx",
        "(131072000) data",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

/// What a link ends with is what is saved. curl does not decode it; wget and wget2 keep the query with it, unless they are
/// told to take the answer's name.
#[tokio::test(flavor = "multi_thread")]
async fn programs_save_a_link_under_the_name_at_its_end() {
    let app = TestApp::start_with(&[("links.name_in_url", "true")]).await;
    let app = app.with_org_123().await;
    let link = app.link("file_abc123", "").await;
    assert!(link.contains("/download/report.png?"), "{link}");
    let query = link.split_once('?').unwrap().1;
    let (plain, whole) = ("report.png".to_owned(), format!("report.png?{query}"));
    let link = format!("http://{}{link}", app.client.0);
    for (program, saved) in [
        ("curl -q -sS -O", &plain),
        ("curl -q -sS -O -J", &plain),
        ("wget --no-config -q", &whole),
        ("wget --no-config -q --content-disposition", &plain),
        ("wget2 --no-config -q --content-disposition", &plain),
        ("aria2c --no-conf -q", &plain),
        ("axel -q", &plain),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let output = run(program, &link, directory.path()).await;
        assert!(output.status.success(), "{program}: {output:?}");
        let names = fs::read_dir(directory.path()).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [saved.as_str()], "{program}");
        let bytes = fs::read(directory.path().join(saved)).unwrap();
        assert_eq!(bytes, crate::support::app::PNG, "{program}");
    }
}
