//! Moving an installation, by the real binary: there and back, beside a gateway that runs, killed on its way,
//! with damage, and to where it must not go.

mod broken;
mod refused;
mod running;
pub(crate) mod there;

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::cli::support::{Place, Serving, open, text};

/// Where a place finds its database.
pub(crate) const URL: &str = "HALLPASS_CATALOG_URL";

/// What `migrate` says with these words, and its exit code.
pub(crate) fn migrate(place: &Place, words: &[&str]) -> (Value, Option<i32>) {
    let output = place.run(&[&["migrate", "--json"], words].concat());
    let code = output.status.code();
    let printed = String::from_utf8(output.stdout).unwrap();
    println!("{printed}{}", String::from_utf8_lossy(&output.stderr));
    (serde_json::from_str(&printed).unwrap_or_default(), code)
}

/// The same, which must do what it was told.
pub(crate) fn migrated(place: &Place, words: &[&str]) -> Value {
    let (said, code) = migrate(place, words);
    assert_eq!(code, Some(0), "{said}");
    said
}

/// Gives a place the keyring of another one, as an operator would.
pub(crate) fn take_keyring(place: &Place, of: &Place) {
    fs::copy(of.data("keyring.toml"), place.data("keyring.toml")).unwrap();
}

/// A link as another gateway has it.
pub(crate) fn link_at(base: &str, link: &str) -> String {
    let path = link.find("/v1/").unwrap();
    format!("{base}{}", &link[path..])
}

/// Bytes that no other number has.
pub(crate) fn sample(number: usize, length: usize) -> Vec<u8> {
    let mut state = number as u64 + 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33).to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// What everybody can see of an installation, but for its files' bytes.
pub(crate) fn seen(place: &Place) -> Value {
    let organizations = place.json(&["organization", "list"]);
    let ids = organizations.as_array().unwrap().iter();
    let ids: Vec<String> = ids.map(|one| text(one, "organization_id")).collect();
    let of = |words: &[&str]| {
        let lists = ids.iter();
        let lists = lists.map(|id| place.json(&[words, &["--organization", id]].concat()));
        lists.collect::<Value>()
    };
    let files = of(&["ls"]);
    let shown = files.as_array().unwrap().iter();
    let shown = shown.flat_map(|of| of.as_array().unwrap()).map(|file| {
        let (organization, id) = (text(file, "organization_id"), text(file, "file_id"));
        place.json(&["show", "--organization", &organization, &id])
    });
    let shown: Value = shown.collect();
    serde_json::json!({
        "organizations": organizations,
        "spaces": of(&["space", "list"]),
        "folders": of(&["folder", "list"]),
        "keys": place.json(&["apikey", "list"]),
        "files": files,
        "shown": shown,
    })
}

/// A gateway on a place, and where it listens.
pub(crate) fn serve(place: &Place) -> (Serving, String) {
    let mut serving = place.serve();
    let url = serving.url();
    (serving, url)
}

#[track_caller]
pub(crate) fn assert_opens(link: &str, bytes: &[u8]) {
    let (status, body) = open(link);
    assert_eq!(status, 200, "{link}");
    assert!(body == bytes, "{link}: other bytes");
}

/// How many files there are below a directory, of those that are there.
pub(crate) fn files_below(directory: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files_below(&path),
            false => vec![path],
        })
        .collect()
}
