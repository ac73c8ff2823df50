//! The CRC-32 of files that came in by commands, and of those that an older version took in without.

use std::fs;

use super::in_place::sql;
use super::support::{Place, until};
use crate::migrate::migrated;

/// The check value of this CRC (Williams, "A Painless Guide to CRC Error Detection Algorithms").
const CHECK: (&[u8], &str) = (b"123456789", "3421780262\n");

const CRC32S: &str = "SELECT crc32 FROM file";

#[test]
fn every_command_that_takes_files_in_takes_it() {
    let place = Place::new();
    place.add("a.bin", CHECK.0);
    assert_eq!(sql(&place, CRC32S), CHECK.1);

    let shared = Place::new();
    let path = shared.file("a.bin", CHECK.0);
    let words = ["share", "--keep", "--listen", "127.0.0.1:0"];
    let mut share = shared.start(&[&words[..], &[path.to_str().unwrap()]].concat());
    share.line();
    share.stop("TERM");
    assert_eq!(sql(&shared, CRC32S), CHECK.1);

    let in_place = Place::new();
    let path = in_place.file("in/a.bin", CHECK.0);
    let root = fs::canonicalize(in_place.path("in")).unwrap();
    let settings = format!("[blobs]\nin_place_roots = [{root:?}]\n");
    in_place.file("h.toml", settings.as_bytes());
    let path = path.to_str().unwrap();
    in_place.good(&["add", "--in-place", path, "--config", "h.toml"]);
    assert_eq!(sql(&in_place, CRC32S), CHECK.1);
}

#[test]
fn a_gateway_reads_files_of_an_older_version_for_it() {
    let place = Place::new();
    for name in ["a", "b"] {
        place.add(name, CHECK.0);
    }
    let gone = place.add("gone", b"in the recycle bin");
    place.good(&["rm", &gone]);
    sql(&place, "UPDATE file SET crc32 = NULL");
    let serving = place.serve();
    let known = "SELECT count(*) FROM file WHERE crc32 = 3421780262";
    until("both being read", || sql(&place, known) == "2\n");
    serving.stop("TERM");
}

#[test]
fn doctor_takes_it_at_once_where_it_mends() {
    let place = Place::new();
    let kept = place.add("a", CHECK.0);
    let rotten = place.add("rotten", CHECK.0);
    let gone = place.add("gone", CHECK.0);
    place.good(&["rm", &gone]);
    // Another SHA-256 than its bytes have.
    let forget = format!(
        "UPDATE file SET crc32 = NULL; UPDATE file SET sha256 = zeroblob(32) WHERE id = '{rotten}'"
    );
    sql(&place, &forget);
    let known = "SELECT id FROM file WHERE crc32 = 3421780262 ORDER BY id";
    place.run(&["doctor"]);
    assert_eq!(sql(&place, known), "");
    place.run(&["doctor", "--mend"]);
    let mut ids = [kept, gone];
    ids.sort();
    assert_eq!(sql(&place, known), format!("{}\n{}\n", ids[0], ids[1]));
}

/// Bytes that are read on their way to another installation are read for it, too.
#[test]
fn a_migration_takes_it_along_or_takes_it() {
    let (old, new) = (Place::new(), Place::new());
    let known = old.add("known", CHECK.0);
    let unknown = old.add("unknown", CHECK.0);
    sql(
        &old,
        &format!("UPDATE file SET crc32 = NULL WHERE id = '{unknown}'"),
    );
    let to = new.data("").display().to_string();
    let words = ["--to-catalog", to.as_str(), "--to-blobs", to.as_str()];
    for _ in 0..2 {
        migrated(&old, &words);
        let crc32 = |id: &str| sql(&new, &format!("{CRC32S} WHERE id = '{id}'"));
        assert_eq!(crc32(&unknown), CHECK.1);
        assert_eq!(crc32(&known), CHECK.1);
    }
}
