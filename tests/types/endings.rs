//! Types by name: a table of endings that people use, beside mime-db's.

use crate::cli::support::Place;

use super::*;

const TABLE: &str = include_str!("endings.tsv");

/// No text: neither UTF-8 nor without NUL.
const BINARY: &[u8] = b"\xff\xfe\0\x01";

/// A row: an ending, its type here, mime-db's, and why they differ, if they do.
fn rows() -> Vec<[&'static str; 4]> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    let rows = lines.map(|line| {
        let mut cells = line.split('\t');
        std::array::from_fn(|_| cells.next().unwrap_or_default())
    });
    rows.collect()
}

#[test]
fn endings_have_their_types_and_each_difference_from_mime_db_has_a_reason() {
    let rows = rows();
    assert_eq!(rows.len(), 225);
    let place = Place::new();
    for [ending, ..] in &rows {
        place.file(&format!("all/a.{ending}"), BINARY);
        place.file(&format!("all/B.{}", ending.to_ascii_uppercase()), BINARY);
    }
    let added = place.json(&["add", "all"]);
    let types: std::collections::HashMap<String, &str> = added
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            let name = file["filename"].as_str().unwrap();
            (name.to_owned(), file["mime_type"].as_str().unwrap())
        })
        .collect();
    for [ending, ours, theirs, why] in rows {
        assert_eq!(types[&format!("a.{ending}")], ours, "{ending}");
        let upper = format!("B.{}", ending.to_ascii_uppercase());
        assert_eq!(types[&upper], ours, "{upper}");
        let is_same = ours.eq_ignore_ascii_case(theirs);
        assert_eq!(why.is_empty(), is_same, "{ending}: {ours}, {theirs}");
    }
}

/// Names whose type the first 512 bytes decide, through every door that takes files in.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_512_bytes_decide_where_the_name_does_not() {
    let long = [&[b'a'; 512][..], BINARY].concat();
    // The 512th byte is the first of two.
    let cut = [&[b'a'; 511][..], "\u{fc}".as_bytes(), BINARY].concat();
    let early = [&[b'a'; 511][..], BINARY].concat();
    let cases: [(&str, &[u8], &str); 17] = [
        ("clip.ts", b"\x47\x40\0\x10\0\0\xb0\x0d", "video/mp2t"),
        ("index.ts", b"export const a = 1;\n", "text/plain"),
        ("INDEX.TS", "// Gr\u{fc}\u{df}e\n".as_bytes(), "text/plain"),
        ("index.mts", b"export const a = 1;\n", "text/plain"),
        ("clip.mts", BINARY, "video/mp2t"),
        ("clip.m2ts", BINARY, "video/mp2t"),
        ("index.d.ts", BINARY, "text/plain"),
        ("README", b"Read me\n", "text/plain"),
        (".gitignore", b"*\n", "text/plain"),
        ("name.", b"text", "text/plain"),
        ("empty", b"", "text/plain"),
        ("core", BINARY, "application/octet-stream"),
        ("latin1", b"Gr\xfc\xdfe", "application/octet-stream"),
        ("escapes", b"\x1b[31mred", "application/octet-stream"),
        ("long", &long, "text/plain"),
        ("cut", &cut, "text/plain"),
        ("early", &early, "application/octet-stream"),
    ];
    let app = TestApp::start().await.with_org_123().await;
    for (name, bytes, wanted) in cases {
        for upload in UPLOADS {
            let form = Form::default().part(&part(name, ""), bytes);
            let file = uploaded(&app, upload, form).await;
            assert_eq!(file["mime_type"], wanted, "{name} at {}", upload.0);
        }
    }
    let place = Place::new();
    let seen = |name: &str| !name.starts_with('.');
    let cases: Vec<_> = cases.into_iter().filter(|(name, ..)| seen(name)).collect();
    for (name, bytes, _) in &cases {
        place.file(&format!("all/{name}"), bytes);
    }
    let root = std::fs::canonicalize(place.path("all")).unwrap();
    let settings = format!("[blobs]\nin_place_roots = [{root:?}]\n");
    place.file("h.toml", settings.as_bytes());
    for words in [
        &["add", "all"][..],
        &["add", "--in-place", "all", "--config", "h.toml"],
        &["add", "all", "--type", "application/octet-stream"],
    ] {
        let added = place.json(words);
        for file in added.as_array().unwrap() {
            let name = file["filename"].as_str().unwrap();
            let (_, _, wanted) = cases.iter().find(|(known, ..)| *known == name).unwrap();
            assert_eq!(file["mime_type"], *wanted, "{words:?}: {name}");
        }
        assert_eq!(added.as_array().unwrap().len(), cases.len());
    }
}
