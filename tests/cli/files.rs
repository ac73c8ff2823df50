//! `add`, `ls`, `show` and `rm`.

use std::fs;

use super::support::{Place, one_line_of_json, status, text};

#[test]
fn add_takes_directories_and_says_what_it_stored() {
    let place = Place::new();
    place.file("docs/b.txt", b"second");
    place.file("docs/a/x.PNG", b"first");
    place.file("docs/.hidden", b"");
    place.file("alone", b"alone");
    std::os::unix::fs::symlink("/etc/hostname", place.path("docs/link")).unwrap();
    let output = place.run(&["add", "--json", "--hidden", "docs", "alone"]);
    assert_eq!(output.status.code(), Some(0));
    let files = one_line_of_json(&String::from_utf8(output.stdout).unwrap());
    let names: Vec<String> = (0..4).map(|i| text(&files[i], "filename")).collect();
    assert_eq!(names, [".hidden", "x.PNG", "b.txt", "alone"]);
    assert!(files[4].is_null());
    assert_eq!(files[1]["mime_type"], "image/png");
    assert_eq!(files[1]["size_bytes"], 5);
    assert_eq!(files[3]["mime_type"], "text/plain");
    assert!(String::from_utf8(output.stderr).unwrap().contains("link"));
}

#[test]
fn add_takes_all_that_is_said_of_a_file() {
    let place = Place::new();
    place.good(&["space", "create", "--id", "reports", "--name", "Reports"]);
    place.file("a.txt", b"bytes");
    let words = [
        "add",
        "a.txt",
        "--space",
        "reports",
        "--purpose",
        "tool_output",
        "--id",
        "my-file",
        "--filename",
        "dir/\u{1b}[31mred.csv",
        "--type",
        "text/plain; charset=utf-8",
        "--metadata",
        r#"{"b":"\u001b[31m","a":"1"}"#,
        "--metadata",
        "c=x=y",
        "--created-at",
        "2026-05-18T15:34:52Z",
    ];
    let added = place.json(&words);
    let mut shown = place.json(&["show", "my-file"]);
    let counted = [
        "downloads",
        "downloads_whole",
        "bytes_sent",
        "last_download_at",
    ];
    let counted = counted.map(|field| shown.as_object_mut().unwrap().remove(field).unwrap());
    assert_eq!(
        serde_json::json!(counted),
        serde_json::json!([0, 0, 0, null])
    );
    assert_eq!(added[0], shown);
    for (field, value) in [
        ("file_id", "my-file"),
        ("organization_id", "org_default"),
        ("space_id", "reports"),
        ("filename", "[31mred.csv"),
        ("mime_type", "text/plain; charset=utf-8"),
        ("purpose", "tool_output"),
        ("status", "ready"),
        ("created_at", "2026-05-18T15:34:52Z"),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    assert_eq!(shown["metadata"]["c"], "x=y");
    assert_eq!(shown["metadata"]["b"], "\u{1b}[31m");
    assert_eq!(text(&shown, "sha256").len(), 64);
    let seen = place.good(&["show", "my-file"]);
    assert!(!seen.contains('\u{1b}'), "{seen}");
    assert!(seen.contains("metadata a: 1"), "{seen}");

    for filter in [["--space", "reports"], ["--purpose", "tool_output"]] {
        let listed = place.json(&["ls", filter[0], filter[1]]);
        assert_eq!(listed, added);
    }
    assert_eq!(place.good(&["ls", "--purpose", "skill_output"]), "");
}

#[test]
fn add_refuses_and_says_what_would_help() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    place.file("b.txt", b"more");
    fs::create_dir(place.path("docs")).unwrap();
    let missing = place.bad(1, &["add", "a.txt", "--organization", "acme"]);
    assert!(
        missing.contains("hallpass organization create --id acme"),
        "{missing}"
    );
    let missing = place.bad(1, &["add", "a.txt", "--space", "s"]);
    assert!(
        missing.contains("hallpass space create --organization org_default --id s"),
        "{missing}"
    );
    place.good(&["add", "a.txt", "--id", "one"]);
    assert!(
        place
            .bad(1, &["add", "b.txt", "--id", "one"])
            .contains("exists already")
    );
    place.bad(2, &["add", "a.txt", "b.txt", "--id", "two"]);
    place.bad(2, &["add", "docs", "--filename", "x"]);
    place.bad(2, &["add", "a.txt", "--metadata", "[]"]);
    place.bad(2, &["add", "a.txt", "--purpose", "fun"]);
    place.bad(2, &["add", "a.txt", "--type", "text"]);
    place.bad(2, &["add"]);

    let output = place.run(&["add", "missing", "b.txt", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let stored = one_line_of_json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(stored[0]["filename"], "b.txt");
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("missing")
    );

    place.bad(1, &["add", "a.txt", "--size-max", "4"]);
    let staged = fs::read_dir(place.data("blobs/stage")).unwrap();
    assert_eq!(staged.count(), 0, "a file that failed leaves nothing");
    assert_eq!(place.json(&["ls"]).as_array().unwrap().len(), 2);
}

#[test]
fn add_in_place_copies_nothing_and_keeps_to_its_roots() {
    let place = Place::new();
    let file = place.file("kept/a.txt", b"bytes");
    let root = fs::canonicalize(place.path("kept")).unwrap();
    let config = format!("[blobs]\nin_place_roots = [{root:?}]\n");
    place.file("h.toml", config.as_bytes());
    let added = place.json(&["add", "--in-place", "kept/a.txt", "--config", "h.toml"]);
    assert_eq!(added[0]["size_bytes"], 5);
    assert_eq!(walk(&place.data("blobs")), 0);
    place.file("b.txt", b"outside");
    place.bad(1, &["add", "--in-place", "b.txt", "--config", "h.toml"]);
    let id = text(&added[0], "file_id");
    place.good(&["rm", "--purge", &id, "--config", "h.toml"]);
    assert!(file.exists(), "its bytes are not ours");
}

#[test]
fn of_twenty_processes_that_add_one_id_exactly_one_succeeds() {
    let place = Place::new();
    place.good(&["organization", "create", "--id", "acme"]);
    let children: Vec<_> = (0..20)
        .map(|number| {
            let name = format!("{number}.txt");
            place.file(&name, name.as_bytes());
            place
                .command(&["add", &name, "--id", "one"])
                .spawn()
                .unwrap()
        })
        .collect();
    let codes: Vec<_> = children
        .into_iter()
        .map(|child| child.wait_with_output().unwrap().status.code())
        .collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1);
    assert_eq!(codes.iter().filter(|code| **code == Some(1)).count(), 19);
    assert_eq!(place.json(&["ls"]).as_array().unwrap().len(), 1);
}

#[test]
fn processes_that_set_one_directory_up_at_once_all_succeed() {
    let place = Place::new();
    let children: Vec<_> = (0..8)
        .map(|number| {
            let name = format!("{number}.txt");
            place.file(&name, name.as_bytes());
            place.command(&["add", &name]).spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", super::support::said(&output));
    }
    assert_eq!(place.json(&["ls"]).as_array().unwrap().len(), 8);
    assert_eq!(place.json(&["key", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn ls_goes_through_every_page_newest_first() {
    let place = Place::new();
    for number in 0..600 {
        place.file(&format!("many/{number:03}"), b"");
    }
    place.good(&["add", "many"]);
    let listed = place.json(&["ls"]);
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 600);
    let names: Vec<String> = listed.iter().map(|file| text(file, "filename")).collect();
    let expected: Vec<String> = (0..600)
        .rev()
        .map(|number| format!("{number:03}"))
        .collect();
    assert_eq!(names, expected);
    assert_eq!(place.good(&["ls", "--limit", "501"]).lines().count(), 501);

    let mut child = place.command(&["ls"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "nobody reads any more");
    assert!(output.stderr.is_empty());
}

#[test]
fn rm_deletes_softly_and_purge_removes_the_bytes() {
    let place = Place::new();
    let mut serve = place.serve();
    let base = serve.url();
    let [soft, hard] = ["a", "b"].map(|name| place.add(name, b"bytes"));
    let link = text(&place.sign(&base, &hard, &[]), "download_url");
    let removed = place.json(&["rm", &soft]);
    assert_eq!(removed["file_id"], soft.as_str());
    assert_eq!(removed["status"], "deleted");
    assert_eq!(place.json(&["show", &soft])["status"], "deleted");
    assert!(place.bad(1, &["rm", &soft]).contains(&soft));
    let removed = place.json(&["rm", "--purge", &soft, &hard]);
    assert_eq!(removed.as_array().unwrap().len(), 2);
    assert_eq!(status(&link), 404);
    let blobs = walk(&place.data("blobs"));
    assert_eq!(blobs, 0);
    assert_eq!(place.json(&["ls"]).as_array().unwrap().len(), 0);
    place.bad(1, &["show", "file_missing"]);
}

/// How many regular files are below a directory.
fn walk(directory: &std::path::Path) -> usize {
    let entries = fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| if path.is_dir() { walk(&path) } else { 1 })
        .sum()
}

#[test]
fn the_installations_own_files_are_never_stored() {
    let place = Place::new();
    place.file("a.txt", b"bytes");
    // As a newcomer would: the data directory lies below the very directory that is shared.
    let words = ["share", "--keep", "--each", ".", "--listen", "127.0.0.1:0"];
    let mut share = place.start(&words);
    let link = share.line();
    assert_eq!(status(&link), 200);
    let listed = place.json(&["ls"]);
    let names: Vec<String> = (0..listed.as_array().unwrap().len())
        .map(|i| text(&listed[i], "filename"))
        .collect();
    assert_eq!(names, ["a.txt"]);
    let (ended, rest, errors) = share.stop("INT");
    assert_eq!((ended.code(), rest.as_str()), (Some(0), ""));
    assert!(errors.contains("./data is skipped"), "{errors}");

    std::os::unix::fs::symlink("data/keyring.toml", place.path("innocent")).unwrap();
    for named in ["data", "data/keyring.toml", "data/blobs", "innocent"] {
        let errors = place.bad(1, &["add", named]);
        assert!(errors.contains("may hold its keys"), "{named}: {errors}");
    }
    assert_eq!(place.json(&["ls"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_data_directory_that_others_may_write_to_is_refused_with_2() {
    use super::support::set_mode;
    let place = Place::new();
    place.add("a.txt", b"bytes");
    for mode in [0o777, 0o770, 0o702] {
        set_mode(&place.path("data"), mode);
        for words in [&["ls"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            assert!(
                place.bad(2, words).contains("others may write"),
                "{words:?}"
            );
        }
    }
    set_mode(&place.path("data"), 0o755);
    place.good(&["ls"]);
}
