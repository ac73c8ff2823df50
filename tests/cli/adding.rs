//! `add` of whole directories: many files at once, as if one after the other.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::support::{Place, one_line_of_json, text};

/// A large file first, then a hundred small ones that are done before it.
fn mixed(place: &Place) -> Vec<String> {
    place.file("docs/000", &vec![7; 24 << 20]);
    let names: Vec<String> = (0..=100).map(|number| format!("{number:03}")).collect();
    for (number, name) in names.iter().enumerate().skip(1) {
        place.file(&format!("docs/{name}"), &vec![b'x'; number * 37]);
    }
    names
}

fn names(files: &Value) -> Vec<String> {
    let files = files.as_array().unwrap().iter();
    files.map(|file| text(file, "filename")).collect()
}

/// By the program of that name.
fn sha256sum(bytes: &[u8]) -> String {
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

#[test]
fn many_files_are_told_and_listed_in_name_order_whichever_was_done_first() {
    let place = Place::new();
    let mut expected = mixed(&place);
    let added = place.json(&["add", "docs"]);
    assert_eq!(names(&added), expected);
    for file in [&added[0], &added[1], &added[100]] {
        let bytes = std::fs::read(place.path(&format!("docs/{}", text(file, "filename"))));
        assert_eq!(text(file, "sha256"), sha256sum(&bytes.unwrap()));
    }
    expected.reverse();
    assert_eq!(names(&place.json(&["ls"])), expected);
}

#[test]
fn files_that_fail_are_named_and_keep_no_other_out() {
    let place = Place::new();
    let mut expected = mixed(&place);
    place.file("docs/050", &vec![b'x'; 5_000]);
    let output = place.run(&["add", "docs", "missing", "--json", "--size-max", "4000"]);
    assert_eq!(output.status.code(), Some(1));
    let complaints = String::from_utf8(output.stderr).unwrap();
    let failed: Vec<&str> = complaints.lines().collect();
    assert_eq!(failed.len(), 3, "{complaints}");
    for (line, name) in failed.iter().zip(["docs/000", "docs/050", "missing"]) {
        assert!(line.contains(name), "{complaints}");
    }
    expected.retain(|name| name != "000" && name != "050");
    let added = one_line_of_json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(names(&added), expected);
    let staged = std::fs::read_dir(place.data("blobs/stage")).unwrap();
    assert_eq!(staged.count(), 0, "a file that failed leaves nothing");
}

#[test]
fn files_are_registered_in_place_beside_each_other() {
    let place = Place::new();
    let expected = mixed(&place);
    let root = std::fs::canonicalize(place.path("docs")).unwrap();
    place.file(
        "h.toml",
        format!("[blobs]\nin_place_roots = [{root:?}]\n").as_bytes(),
    );
    place.file("outside", b"outside");
    let words = [
        "add",
        "--in-place",
        "docs",
        "outside",
        "--json",
        "--config",
        "h.toml",
    ];
    let output = place.run(&words);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("outside")
    );
    let added = one_line_of_json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(names(&added), expected);
}

#[test]
fn an_add_that_is_interrupted_leaves_nothing_half() {
    const BYTES: usize = 300_000;
    let place = Place::new();
    for number in 0..400 {
        place.file(&format!("docs/{number:03}"), &vec![b'x'; BYTES]);
    }
    let mut adding = place.start(&["add", "docs"]);
    let first = adding.line();
    assert!(first.ends_with("000"), "{first}");
    let (status, rest, _) = adding.stop("INT");
    println!("{status}, {} lines told", rest.lines().count() + 1);
    assert!(matches!(status.code(), Some(0 | 130)), "{status}");

    let listed = place.json(&["ls"]);
    let listed = listed.as_array().unwrap();
    let told = rest.lines().count() + 1;
    assert_eq!(
        listed.len(),
        told,
        "what was told is there, and nothing else"
    );
    for file in listed {
        assert_eq!(file["size_bytes"], BYTES);
    }
    let whole = blob_sizes(&place);
    assert!(whole.iter().all(|size| *size == BYTES as u64), "{whole:?}");
    assert_eq!(whole.len(), listed.len());
    assert_eq!(
        std::fs::read_dir(place.data("blobs/stage"))
            .unwrap()
            .count(),
        0
    );
}

fn blob_sizes(place: &Place) -> Vec<u64> {
    let mut sizes = Vec::new();
    let mut folders = vec![place.data("blobs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("blobs/stage") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                sizes.push(path.metadata().unwrap().len());
            }
        }
    }
    sizes
}
