//! To where it must not go, and with words that mean nothing.

use super::{URL, files_below, migrate, migrated, seen};
use crate::cli::support::Place;
use crate::support::postgres::Server;

fn small() -> Place {
    let place = Place::new();
    place.add("a.txt", b"bytes of a");
    place
}

/// What it is refused with, which changes nothing.
fn refused(place: &Place, words: &[&str]) -> String {
    place.bad(2, &[&["migrate"], words].concat())
}

#[test]
fn words_that_name_no_place_are_refused() {
    let place = small();
    let cases: [(&[&str], &str); 15] = [
        (&[], "say where to"),
        (
            &["--to-catalog", "postgres:/host/d"],
            "--to-catalog: must begin with postgres://",
        ),
        (
            &["--to-blobs", "s3:/bucket"],
            "--to-blobs: must be s3://BUCKET",
        ),
        (
            &["--to-catalog", "postgres://a@127.0.0.1/d", "--verify"],
            "--verify: no bytes are moved",
        ),
        (
            &["--to-catalog", ""],
            "--to-catalog: must be a URL or a directory",
        ),
        (
            &["--to-catalog", "mysql://a/b"],
            "--to-catalog: must begin with postgres://",
        ),
        (
            &["--to-catalog", "s3://bucket"],
            "--to-catalog: must begin with postgres://",
        ),
        (
            &["--to-catalog", "postgres://a:s3cret@h/d?x=y"],
            "must have no parameter but",
        ),
        (
            &["--to-blobs", ""],
            "--to-blobs: must be a URL or a directory",
        ),
        (
            &["--to-blobs", "https://s3.example.com/b"],
            "--to-blobs: must be s3://BUCKET",
        ),
        (&["--to-blobs", "s3://"], "--to-blobs: must be s3://BUCKET"),
        (&["--to-config", "none.toml"], "none.toml"),
        (
            &["--to-config", "h.toml", "--to-blobs", "x"],
            "cannot be used with",
        ),
        (
            &["--to-blobs", "x", "--to-blobs", "y"],
            "cannot be used multiple times",
        ),
        (&["--from", "x"], "unexpected argument"),
    ];
    for (words, wanted) in cases {
        let complaint = refused(&place, words);
        assert!(complaint.contains(wanted), "{words:?}: {complaint}");
        assert!(!complaint.contains("s3cret"), "{complaint}");
    }
    let help = place.good(&["migrate", "--help"]);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in [
        "running the same command again",
        "--to-catalog",
        "--to-config",
        "same keyring",
        "read back",
        "never start the gateways of the source again",
        "the source changed while it was copied",
    ] {
        assert!(help.contains(wanted), "{wanted}: {help}");
    }
}

#[test]
fn where_everything_is_already_nothing_is_moved_to() {
    let place = small();
    let data = place.path("data");
    let data = data.to_str().unwrap();
    let before = seen(&place);
    for (words, wanted) in [
        (["--to-catalog", data], "where the rows are already"),
        (["--to-blobs", data], "where the bytes are already"),
        (
            ["--to-blobs", "data/../data"],
            "where the bytes are already",
        ),
    ] {
        let complaint = refused(&place, &words);
        assert!(complaint.contains(wanted), "{words:?}: {complaint}");
    }
    let same = format!("[server]\ndata_dir = {data:?}\n");
    place.file("same.toml", same.as_bytes());
    let complaint = refused(&place, &["--to-config", "same.toml"]);
    assert!(
        complaint.contains("where everything is already"),
        "{complaint}"
    );
    assert_eq!(seen(&place), before);
    let nobody = Place::new();
    let words = ["--to-catalog", "copy", "--to-blobs", "copy"];
    nobody.bad(1, &[&["migrate"], &words[..]].concat());
    assert!(!nobody.path("copy").exists());
}

#[test]
fn another_s_installation_is_left_alone() {
    let (place, other) = (small(), small());
    let data = other.path("data");
    let data = data.to_str().unwrap();
    let before = (seen(&other), files_below(&other.data("blobs")));
    let complaint = refused(&place, &["--to-catalog", data, "--to-blobs", data]);
    assert!(complaint.contains("catalogue is in use"), "{complaint}");
    let url = Server::shared().database("beside_another");
    let words = ["--to-catalog", &url, "--to-blobs", data];
    let complaint = refused(&place, &words);
    assert!(
        complaint.contains("is the data directory of another installation"),
        "{complaint}"
    );
    // Somebody's bytes, without the catalogue that knows them.
    let lost = place.path("lost");
    std::fs::create_dir(&lost).unwrap();
    crate::cli::support::set_mode(&lost, 0o700);
    let copied = std::process::Command::new("cp")
        .arg("-R")
        .args([other.data("blobs"), lost.clone()])
        .status();
    assert!(copied.unwrap().success());
    let words = ["--to-catalog", &url, "--to-blobs", lost.to_str().unwrap()];
    let complaint = refused(&place, &words);
    assert!(
        complaint.contains("does not know: name an empty place"),
        "{complaint}"
    );
    assert_eq!((seen(&other), files_below(&other.data("blobs"))), before);

    // A copy of another one that nobody uses yet is no place either.
    let copy = place.path("copy");
    let copy = copy.to_str().unwrap();
    migrated(&other, &["--to-catalog", copy, "--to-blobs", copy]);
    let complaint = refused(&place, &["--to-catalog", copy, "--to-blobs", copy]);
    assert!(
        complaint.contains("a copy of another installation"),
        "{complaint}"
    );
    migrated(&other, &["--to-catalog", copy, "--to-blobs", copy]);
    // Nor is one whose bytes went elsewhere.
    let url = Server::shared().database("bytes_elsewhere");
    migrated(&other, &["--to-catalog", &url, "--to-blobs", "here"]);
    let complaint = refused(&other, &["--to-catalog", &url]);
    assert!(
        complaint.contains("an earlier run took them to "),
        "{complaint}"
    );
}

#[test]
fn rows_and_bytes_in_two_directories_are_refused() {
    let place = small();
    for words in [
        &["--to-catalog", "copy"][..],
        &["--to-blobs", "copy"],
        &["--to-catalog", "copy", "--to-blobs", "other"],
    ] {
        let complaint = refused(&place, words);
        assert!(
            complaint.contains("an installation has one data directory"),
            "{words:?}: {complaint}"
        );
        assert!(!place.path("copy").exists() && !place.path("other").exists());
    }
}

#[test]
fn a_copy_that_was_changed_is_an_installation_of_its_own() {
    let place = small();
    let url = Server::shared().database("changed");
    let new = Place::with(&[(URL, &url)]);
    let data = new.path("data");
    let words = ["--to-catalog", &url, "--to-blobs", data.to_str().unwrap()];
    migrated(&place, &words);
    super::take_keyring(&new, &place);
    for words in [
        &["ls"][..],
        &["doctor"],
        &["apikey", "list"],
        &["folder", "list"],
    ] {
        new.good(words);
    }
    migrated(&place, &words);
    let id = crate::cli::support::text(&new.json(&["ls"])[0], "file_id");
    new.good(&["revoke", "--no-wait", "--file", &id]);
    let before = seen(&new);
    let complaint = refused(&place, &words);
    assert!(complaint.contains("in use"), "{complaint}");
    assert_eq!(seen(&new), before, "what was revoked stays so");
}

#[test]
fn the_destination_s_own_configuration_says_where() {
    let place = small();
    let url = Server::shared().database("configured");
    let data = place.path("new");
    let config = format!("[catalog]\nurl = {url:?}\n[server]\ndata_dir = {data:?}\n");
    place.file("new.toml", config.as_bytes());
    let said = migrated(&place, &["--to-config", "new.toml"]);
    assert_eq!(
        (&said["files_copied"], &said["in_step"]),
        (&1.into(), &true.into())
    );
    place.file(
        "wrong.toml",
        b"[catalog]\nulr = 'x'\n[blobs]\npath_style = 3\n",
    );
    let (said, code) = migrate(&place, &["--to-config", "wrong.toml"]);
    assert_eq!((said, code), (serde_json::Value::Null, Some(2)));
}
