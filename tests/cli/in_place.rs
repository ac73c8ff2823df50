//! Files in place that were restored, touched or rewritten outside.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::support::{Place, Writer, open, set_mode, signal, status, text, until};

const CONFIG: [&str; 2] = ["--config", "h.toml"];

/// A place with one file that is registered where it lies, and its id.
fn registered(bytes: &[u8]) -> (Place, PathBuf, String) {
    let place = Place::new();
    let path = place.file("in/a.bin", bytes);
    let root = fs::canonicalize(place.path("in")).unwrap();
    place.file(
        "h.toml",
        format!("[blobs]\nin_place_roots = [{root:?}]\n").as_bytes(),
    );
    let words = ["add", "--in-place", "in/a.bin", CONFIG[0], CONFIG[1]];
    let id = text(&place.json(&words)[0], "file_id");
    (place, path, id)
}

/// Puts a copy into a file's place, as a backup does: the bytes and the time are the same, and nothing else.
fn restore(path: &Path) {
    let (time, copy) = (modified(path), path.with_extension("copy"));
    fs::copy(path, &copy).unwrap();
    touch(&copy, time);
    fs::rename(&copy, path).unwrap();
}

/// Writes other bytes into a file, as many, and gives it its old time.
fn rewrite(path: &Path, bytes: &[u8]) {
    let time = modified(path);
    fs::write(path, bytes).unwrap();
    touch(path, time);
}

fn modified(path: &Path) -> std::time::SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

fn touch(path: &Path, time: std::time::SystemTime) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

fn doctor(place: &Place, more: &[&str]) -> (Value, Option<i32>) {
    let words = [&["doctor", "--json"], &CONFIG[..], more].concat();
    let output = place.run(&words);
    let printed = String::from_utf8(output.stdout).unwrap();
    let found: Value = serde_json::from_str(printed.trim()).unwrap();
    (found["files"].clone(), output.status.code())
}

/// What SQLite answers, as its command line prints it.
pub(super) fn sql(place: &Place, statement: &str) -> String {
    let output = Command::new("sqlite3")
        .args(["-cmd", ".timeout 5000"])
        .arg(place.data("catalogue.sqlite3"))
        .arg(statement)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn problem(files: &Value) -> &str {
    assert_eq!(files.as_array().unwrap().len(), 1, "{files}");
    files[0]["problem"].as_str().unwrap()
}

#[test]
fn doctor_tells_a_restored_file_from_a_rewritten_one_and_mends_the_first() {
    let (place, path, _) = registered(b"bytes of it");
    assert_eq!(doctor(&place, &[]), (Value::Array(vec![]), Some(0)));
    restore(&path);
    for _ in 0..2 {
        let (files, code) = doctor(&place, &[]);
        assert_eq!((problem(&files), code), ("moved", Some(0)));
    }
    let (files, code) = doctor(&place, &["--mend"]);
    assert_eq!((problem(&files), code), ("moved", Some(0)));
    assert!(text(&files[0], "what").ends_with("its row knows it again"));
    assert_eq!(doctor(&place, &[]), (Value::Array(vec![]), Some(0)));

    rewrite(&path, b"other bytes");
    let (files, code) = doctor(&place, &[]);
    assert_eq!((problem(&files), code), ("damaged", Some(1)));
    rewrite(&path, b"bytes of it");
    let (files, code) = doctor(&place, &["--mend"]);
    assert_eq!((problem(&files), code), ("moved", Some(0)));
}

#[test]
fn two_gateways_serve_a_restored_file_and_its_row_knows_it() {
    let (place, path, id) = registered(b"bytes of it");
    let words = ["serve", "--listen", "127.0.0.1:0", CONFIG[0], CONFIG[1]];
    let mut gateways = [place.start(&words), place.start(&words)];
    let links = gateways.each_mut().map(|gateway| {
        let url = gateway.url();
        text(&place.sign(&url, &id, &[]), "download_url")
    });
    let both = |expected: u16| {
        for link in &links {
            let (status, bytes) = open(link);
            assert_eq!(status, expected);
            assert_eq!(status == 200, bytes == b"bytes of it");
        }
    };
    both(200);
    restore(&path);
    both(200);
    set_mode(&path, 0o640);
    both(200);
    fs::hard_link(&path, place.path("in/another name")).unwrap();
    both(200);
    until("the row knows its file", || {
        doctor(&place, &[]) == (Value::Array(vec![]), Some(0))
    });

    rewrite(&path, b"other bytes");
    both(500);
    rewrite(&path, b"bytes of it");
    both(200);

    // A row from before more than the inode and the time was kept.
    sql(
        &place,
        "UPDATE file SET device = NULL, changed_nanos = NULL",
    );
    let (third, url) = {
        let mut third = place.start(&words);
        let url = third.url();
        (third, url)
    };
    assert_eq!(
        status(&text(&place.sign(&url, &id, &[]), "download_url")),
        200
    );
    until("the row knows its file", || {
        sql(
            &place,
            "SELECT count(*) FROM file WHERE device IS NOT NULL AND changed_nanos IS NOT NULL",
        ) == "1\n"
    });
    third.stop("TERM");
    for gateway in gateways {
        gateway.stop("TERM");
    }
}

/// How long each read of the slow file takes, how much it reads, and how many there are: longer in all than a
/// request waits.
const READ: Duration = Duration::from_millis(100);
const READ_BYTES: usize = 128 * 1024;
const READS: usize = 70;

#[test]
fn a_file_that_is_hashed_again_has_one_reader_and_no_request_waits_longer_than_five_seconds() {
    let bytes = vec![5; READS * READ_BYTES];
    let (place, path, id) = registered(&bytes);
    set_mode(&path, 0o640);
    let strace = strace(&place, &path, &slowly());
    let mut serving = place.start_under(&words_of(&strace), &SERVE);
    let link = text(&place.sign(&serving.url(), &id, &[]), "download_url");
    let asked = std::array::from_fn::<_, 4, _>(|_| {
        let mut curl = Command::new("curl");
        curl.args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %header{retry-after}",
        ]);
        curl.arg(&link)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    });
    for curl in asked {
        let said = curl.wait_with_output().unwrap().stdout;
        assert_eq!(String::from_utf8(said).unwrap(), "503 1");
    }
    until("the file is served", || {
        let (status, got) = open(&link);
        assert!(matches!(status, 200 | 503), "{status}");
        status == 200 && got == bytes
    });
    signal(serving.inner_pid(), "TERM");
    until("the end", || !serving.is_running());
    assert_eq!(reads(&place), READS, "it was read once");
}

const SERVE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", CONFIG[0], CONFIG[1]];

/// What `strace` does to each read of a file.
fn slowly() -> String {
    format!("delay_enter={}", READ.as_micros())
}

/// The words of a `strace` that does this to each read of this file, and writes them down.
fn strace(place: &Place, path: &Path, injected: &str) -> Vec<String> {
    let path = fs::canonicalize(path).unwrap();
    let (trace, inject) = (place.path("trace"), format!("inject=pread64:{injected}"));
    let words = [
        "strace",
        "-f",
        "-qq",
        "--seccomp-bpf",
        "-o",
        trace.to_str().unwrap(),
    ];
    let traced = [
        "-e",
        "trace=pread64",
        "-e",
        &inject,
        "-P",
        path.to_str().unwrap(),
    ];
    words.into_iter().chain(traced).map(str::to_owned).collect()
}

fn words_of(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// How often the file was read.
fn reads(place: &Place) -> usize {
    let trace = fs::read_to_string(place.path("trace")).unwrap();
    trace
        .lines()
        .filter(|line| line.contains("pread64("))
        .count()
}

#[test]
fn a_moved_file_that_cannot_be_read_is_not_read_for_every_request() {
    let (place, path, id) = registered(b"bytes of it");
    set_mode(&path, 0o640);
    let strace = strace(&place, &path, "error=EIO");
    let mut serving = place.start_under(&words_of(&strace), &SERVE);
    let link = text(&place.sign(&serving.url(), &id, &[]), "download_url");
    for _ in 0..5 {
        assert_eq!(status(&link), 503);
    }
    signal(serving.inner_pid(), "TERM");
    until("the end", || !serving.is_running());
    assert_eq!(reads(&place), 1);
}

/// Another process writes to the catalogue for long: the download does not wait for it, and the row has the identity
/// as soon as that is over, though nobody asks again.
#[test]
fn a_download_of_a_moved_file_does_not_wait_until_its_row_knows_it() {
    let (place, path, id) = registered(b"bytes of it");
    let mut serving = place.start(&SERVE);
    let link = text(&place.sign(&serving.url(), &id, &[]), "download_url");
    set_mode(&path, 0o640);
    let writer = Writer::begin(&place);
    assert_eq!(open(&link), (200, b"bytes of it".to_vec()));
    writer.end();
    until("the row knows its file", || {
        doctor(&place, &[]) == (Value::Array(vec![]), Some(0))
    });
    serving.stop("TERM");
}

#[test]
fn a_row_from_before_learns_its_file_s_identity_and_that_it_is_text_without_a_download() {
    let (place, path, _) = registered(b"text of it");
    let forgotten = "UPDATE file SET device = NULL, changed_nanos = NULL, is_text = NULL";
    let known = "SELECT count(*) FROM file WHERE device IS NOT NULL AND changed_nanos IS NOT NULL AND is_text = 1";
    sql(&place, forgotten);
    assert_eq!(sql(&place, known), "0\n");
    let mut serving = place.start(&SERVE);
    serving.url();
    until("the row is whole", || sql(&place, known) == "1\n");
    serving.stop("TERM");
    // Other bytes under the old time are not judged. The rows are gone through in the order of their ids.
    let later = place.add("later.txt", b"later");
    sql(&place, forgotten);
    rewrite(&path, b"\xff\xfe\xfd of it");
    let mut serving = place.start(&SERVE);
    serving.url();
    let judged = format!("SELECT is_text FROM file WHERE id = '{later}'");
    until("the later one being judged", || {
        sql(&place, &judged) == "1\n"
    });
    serving.stop("TERM");
    let unknown =
        "SELECT count(*) FROM file WHERE is_text IS NULL AND device IS NULL AND inode IS NOT NULL";
    assert_eq!(sql(&place, unknown), "1\n");
}

/// Verifying takes longer than a request would wait.
#[test]
fn verify_reads_a_moved_file_to_its_end_and_changes_nothing() {
    let (place, path, id) = registered(&vec![5; READS * READ_BYTES]);
    let link = text(&place.sign("http://a", &id, &[]), "download_url");
    set_mode(&path, 0o640);
    let row = "SELECT device, inode, modified_nanos, changed_nanos FROM file";
    let before = sql(&place, row);
    let strace = strace(&place, &path, &slowly());
    let words = ["verify", &link, "--json", CONFIG[0], CONFIG[1]];
    let output = place.run_under(&words_of(&strace), &words);
    assert!(output.status.success(), "{output:?}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&said["valid"], &said["reason"]),
        (&Value::Bool(true), &"ok".into())
    );
    assert_eq!(reads(&place), READS);
    assert_eq!(sql(&place, row), before);
    rewrite(&path, &vec![6; READS * READ_BYTES]);
    let output = place.run(&words);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &said["reason"]),
        (Some(1), &"file_damaged".into())
    );
    assert_eq!(sql(&place, row), before);
}
