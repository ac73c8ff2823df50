//! How large files may be: those of the operator's own commands, and those that come over the network.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::support::{PATIENCE, Place, call, open, text};

/// A file that has this many bytes and takes no room.
fn sparse(place: &Place, name: &str, bytes: u64) {
    let file = File::create(place.path(name)).unwrap();
    file.set_len(bytes).unwrap();
}

fn staged(place: &Place) -> usize {
    fs::read_dir(place.data("blobs/stage")).unwrap().count()
}

#[test]
fn the_network_limit_is_not_the_operators() {
    let place = Place::new();
    place.file("small.toml", b"[uploads]\nsize_max = 1000\n");
    place.file("a.bin", &[7; 5_000]);
    let added = place.json(&["add", "a.bin", "--config", "small.toml"]);
    assert_eq!(added[0]["size_bytes"], 5_000);
    let words = [
        "share",
        "--keep",
        "a.bin",
        "--config",
        "small.toml",
        "--listen",
        "127.0.0.1:0",
    ];
    let mut share = place.start(&words);
    assert_eq!(open(&share.line()), (200, vec![7; 5_000]));
}

/// The rows of a revocation and of a delete need room that no upload may take.
#[test]
fn uploads_leave_room_for_everything_else() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    let kept = place.add("kept.txt", b"kept");
    let gone = place.add("gone.txt", b"gone");
    let key = text(
        &place.json(&["apikey", "create", "--scope", "admin"]),
        "api_key",
    );
    // No disk has as much.
    place.file("full.toml", b"[uploads]\nfree_min = '1048576GiB'\n");
    for words in [&["add", "a.txt"][..], &["share", "--keep", "a.txt"]] {
        let words = [words, &["--config", "full.toml"]].concat();
        let errors = place.bad(1, &words);
        assert!(errors.contains("is full: make room there"), "{errors}");
        assert!(errors.contains("(uploads.free_min)"), "{errors}");
    }
    let words = [
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--json",
    ];
    let words = [&["serve", "--config", "full.toml"][..], &words].concat();
    let mut serving = place.start(&words);
    let said: serde_json::Value = serde_json::from_str(&serving.line()).unwrap();
    let base = said["listeners"][0].as_str().unwrap().to_owned();
    let admin = text(&said, "admin");
    for path in ["v1/organizations/org_default/files/upload", "v1/files"] {
        let bearer = format!("Authorization: Bearer {key}");
        let mut curl = std::process::Command::new("curl");
        curl.args([
            "-s",
            "-F",
            "file=@a.txt",
            "-H",
            &bearer,
            "-w",
            "\n%{http_code}",
        ]);
        let url = format!("{base}/{path}");
        let answer = curl.arg(&url).current_dir(place.path("")).output().unwrap();
        let answer = String::from_utf8(answer.stdout).unwrap();
        assert!(answer.ends_with("\n507"), "{answer}");
        assert!(
            answer.contains("There is no room for the file."),
            "{answer}"
        );
    }
    assert_eq!(staged(&place), 0);
    let link = text(&place.sign(&base, &kept, &[]), "download_url");
    assert_eq!(open(&link), (200, b"kept".to_vec()));
    assert_eq!(open(&format!("{admin}/readyz")).0, 200);
    let of = |rest: &str| format!("{base}/v1/organizations/org_default/files/{rest}");
    assert_eq!(call("DELETE", &of(&gone), &key, "").0, 204);
    assert_eq!(
        call("POST", &of(&format!("{kept}/revoke")), &key, "").0,
        200
    );
    assert_eq!(open(&link).0, 401);
}

/// The whole size is known before a byte was read, so the message can name it.
#[test]
fn a_size_max_is_looked_at_before_reading_and_named_with_both_sizes() {
    let place = Place::new();
    sparse(&place, "big", 3 << 29);
    for command in [&["add"][..], &["share", "--keep"], &["share"]] {
        let words = [command, &["big", "--size-max", "1GiB"]].concat();
        let errors = place.bad(1, &words);
        let expected = "big: the file has 1.5 GiB (1610612736 bytes), and --size-max is 1 GiB (1073741824 bytes)";
        assert!(errors.contains(expected), "{errors}");
        assert_eq!(staged(&place), 0);
    }
    for bad in ["0", "-1", "1GB", "many"] {
        place.bad(2, &["add", "big", "--size-max", bad]);
    }
    place.file("a.txt", b"abc");
    place.good(&["add", "a.txt", "--size-max", "3"]);
    place.bad(1, &["add", "a.txt", "--size-max", "2"]);
}

#[test]
fn files_in_place_keep_to_a_size_max_too() {
    let place = Place::new();
    sparse(&place, "big", 3 << 29);
    let root = fs::canonicalize(place.path("big")).unwrap();
    let root = root.parent().unwrap();
    place.file(
        "h.toml",
        format!("[blobs]\nin_place_roots = [{root:?}]\n").as_bytes(),
    );
    let words = [
        "add",
        "--in-place",
        "big",
        "--size-max",
        "1GiB",
        "--config",
        "h.toml",
    ];
    let errors = place.bad(1, &words);
    assert!(errors.contains("--size-max is 1 GiB"), "{errors}");
}

#[test]
fn a_quota_holds_for_the_operator_and_is_named() {
    let place = Place::new();
    sparse(&place, "big", 1 << 40);
    place.file("a.txt", b"abc");
    place.file(
        "h.toml",
        b"[limits]\norganization_bytes = 1000\norganization_files = 1\n",
    );
    for command in [&["add"][..], &["share", "--keep"]] {
        let errors = place.bad(1, &[command, &["big", "--config", "h.toml"]].concat());
        assert!(errors.contains("limits.organization_bytes"), "{errors}");
        assert_eq!(staged(&place), 0);
    }
    place.good(&["add", "a.txt", "--config", "h.toml"]);
    let errors = place.bad(1, &["add", "a.txt", "--config", "h.toml"]);
    assert!(errors.contains("limits.organization_files"), "{errors}");
}

/// Nothing of the body is sent: who waited for it would wait until the client gives up.
#[test]
fn an_upload_that_says_that_it_is_too_large_is_refused_unread_and_the_log_names_the_setting() {
    let place = Place::new();
    place.file(
        "h.toml",
        b"[uploads]\nsize_max = 1000\n[log]\nformat = \"json\"\n",
    );
    let key = text(&place.json(&["apikey", "create"]), "api_key");
    let mut serve = place.start(&["serve", "--listen", "127.0.0.1:0", "--config", "h.toml"]);
    let base = serve.url();
    let mut stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    crate::support::secrets::keep(&key);
    write!(
        stream,
        "POST /v1/organizations/org_default/files/upload HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 10737418240\r\n\r\n"
    )
    .unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    let url = format!("{base}/v1/organizations/org_default/files");
    assert_eq!(call("GET", &url, &key, "").0, 200);
    let (_, _, log) = serve.stop("TERM");
    let refused = log.lines().find(|line| line.contains("too_large"));
    assert!(
        refused.is_some_and(|line| line.contains("uploads.size_max")),
        "{log}"
    );
}
