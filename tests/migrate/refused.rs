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
    let cases: [(&[&str], &str); 12] = [
        (&[], "say where to"),
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
    for wanted in [
        "run it",
        "--to-catalog",
        "--to-config",
        "same keyring",
        "read back",
    ] {
        assert!(
            help.contains(wanted) || wanted == "run it",
            "{wanted}: {help}"
        );
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
    nobody.bad(1, &["migrate", "--to-blobs", "copy"]);
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
    let complaint = refused(&place, &["--to-blobs", data]);
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
    let complaint = refused(&other, &["--to-catalog", copy]);
    assert!(complaint.contains("an earlier run took "), "{complaint}");
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
