//! Files in place that were restored, touched or rewritten outside.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::support::{Place, open, set_mode, signal, status, text, until};

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
    assert_eq!(doctor(&place, &[]), (Value::Array(vec![]), Some(0)));

    rewrite(&path, b"other bytes");
    both(500);
    rewrite(&path, b"bytes of it");
    both(200);

    // A row from before more than the inode and the time was kept.
    let forgotten = Command::new("sqlite3")
        .args(["-cmd", ".timeout 5000"])
        .arg(place.data("catalogue.sqlite3"))
        .arg("UPDATE file SET device = NULL, changed_nanos = NULL")
        .status();
    assert!(forgotten.unwrap().success());
    let (third, url) = {
        let mut third = place.start(&words);
        let url = third.url();
        (third, url)
    };
    assert_eq!(
        status(&text(&place.sign(&url, &id, &[]), "download_url")),
        200
    );
    let known = Command::new("sqlite3")
        .args(["-cmd", ".timeout 5000"])
        .arg(place.data("catalogue.sqlite3"))
        .arg("SELECT count(*) FROM file WHERE device IS NOT NULL AND changed_nanos IS NOT NULL")
        .output();
    assert_eq!(known.unwrap().stdout, b"1\n");
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
    let path = fs::canonicalize(path).unwrap();
    let trace = place.path("trace");
    let delay = format!("inject=pread64:delay_enter={}", READ.as_micros());
    let strace = [
        "strace",
        "-f",
        "-qq",
        "--seccomp-bpf",
        "-o",
        trace.to_str().unwrap(),
        "-e",
        "trace=pread64",
        "-e",
        &delay,
        "-P",
        path.to_str().unwrap(),
    ];
    let words = ["serve", "--listen", "127.0.0.1:0", CONFIG[0], CONFIG[1]];
    let mut serving = place.start_under(&strace, &words);
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
    let trace = fs::read_to_string(trace).unwrap();
    let reads = trace.lines().filter(|line| line.contains("pread64("));
    assert_eq!(reads.count(), READS, "it was read once");
}
