//! A catalogue that is put back from a backup, under a gateway that has seen a later one.

use std::fs;
use std::process::Command;

use super::support::{Place, status, text};

const OLDER: &str = "the catalogue is older than it was when a gateway last ran here";

/// Runs a gateway, does something beside it, and answers its log.
fn log_of(place: &Place, beside: impl FnOnce(&str)) -> String {
    let mut serving = place.serve();
    beside(&serving.url());
    let (status, _, log) = serving.stop("TERM");
    assert!(status.success());
    log
}

/// What must hold whatever the catalogue is: `back_up` and `put_back` are run while no gateway runs.
pub(crate) fn is_warned_of_until_its_mark_is_removed(
    place: &Place,
    back_up: impl FnOnce(),
    put_back: impl FnOnce(),
) {
    let (file, other) = (place.add("a.txt", b"a"), place.add("b.txt", b"b"));
    let log = log_of(place, |_| ());
    assert!(!log.contains(OLDER), "{log}");
    back_up();
    let mut link = String::new();
    let log = log_of(place, |base| {
        link = text(&place.sign(base, &file, &[]), "download_url");
        place.good(&["revoke", &link]);
        assert_eq!(status(&link), 401);
        link = link.strip_prefix(base).unwrap().to_owned();
    });
    assert!(!log.contains(OLDER), "{log}");
    put_back();
    let seen = place.data("catalogue-seen");
    // Other changes have the numbers of those that are lost, and higher ones.
    let log = log_of(place, |base| {
        assert_eq!(status(&format!("{base}{link}")), 200);
        for _ in 0..3 {
            place.good(&["revoke", "--file", &other]);
        }
    });
    assert!(log.contains(OLDER), "{log}");
    assert!(log.contains("hallpass key retire"), "{log}");
    assert!(log.contains(seen.to_str().unwrap()), "{log}");
    let log = log_of(place, |_| ());
    assert!(log.contains(OLDER), "{log}");
    fs::remove_file(&seen).unwrap();
    let log = log_of(place, |_| ());
    assert!(!log.contains(OLDER), "{log}");
    assert_eq!(super::support::mode(&seen), 0o600);
}

#[test]
fn an_older_file_of_sqlite_is_warned_of_until_its_mark_is_removed() {
    let place = Place::new();
    log_of(&place, |_| ());
    let (catalogue, backup) = (place.data("catalogue.sqlite3"), place.path("backup"));
    let back_up = || {
        let words = format!("VACUUM INTO '{}'", backup.display());
        let made = Command::new("sqlite3").arg(&catalogue).arg(words).status();
        assert!(made.unwrap().success());
    };
    let put_back = || {
        for ending in ["-wal", "-shm"] {
            let _ = fs::remove_file(place.data(&format!("catalogue.sqlite3{ending}")));
        }
        fs::copy(&backup, &catalogue).unwrap();
    };
    is_warned_of_until_its_mark_is_removed(&place, back_up, put_back);
}
