//! Killed, stopped, and with damage.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::{assert_opens, files_below, link_at, migrate, migrated, sample, serve};
use crate::cli::support::{Place, Serving, said, text, until};

/// So many files of so many bytes.
fn filled(files: usize, length: usize) -> (Place, String) {
    let place = Place::new();
    for number in 0..files {
        place.file(&format!("in/{number}"), &sample(number, length));
    }
    let directory = place.path("in");
    place.good(&["add".as_ref(), directory.as_os_str()]);
    let to = place.path("copy").to_str().unwrap().to_owned();
    (place, to)
}

fn blobs_in(to: &str) -> Vec<PathBuf> {
    let mut blobs = files_below(&PathBuf::from(to).join("blobs"));
    blobs.retain(|path| !path.parent().unwrap().ends_with("stage"));
    blobs
}

#[test]
fn what_was_killed_goes_on_and_copies_only_the_rest() {
    const FILES: usize = 400;
    let (place, to) = filled(FILES, 40_000);
    let words = ["migrate", "--to-catalog", &to, "--to-blobs", &to];
    let new = Place::with(&[("HALLPASS_SERVER_DATA_DIR", &to)]);
    let mut there = 0;
    for more in [20, 100] {
        let running = Serving::of(place.command(&words));
        until("some more blobs", || blobs_in(&to).len() >= there + more);
        running.stop("KILL");
        there = blobs_in(&to).len();
        assert!(there < FILES, "it was too fast to be killed: {there}");
        let keyring = PathBuf::from(&to).join("keyring.toml");
        fs::copy(place.data("keyring.toml"), &keyring).unwrap();
        for words in [&["ls"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            let complaint = new.bad(2, words);
            assert!(complaint.contains("begun and not finished"), "{complaint}");
        }
    }
    let inode = |path: &PathBuf| (path.clone(), fs::metadata(path).unwrap().ino());
    let before: Vec<_> = blobs_in(&to).iter().map(inode).collect();
    let said = migrated(&place, &words[1..]);
    assert_eq!(said["files_copied"], FILES as u64 - there as u64, "{said}");
    assert_eq!(blobs_in(&to).len(), FILES);
    for (path, number) in before {
        assert_eq!(
            inode(&path).1,
            number,
            "{} was written again",
            path.display()
        );
    }
    assert_eq!(new.json(&["ls"]), place.json(&["ls"]));
    new.good(&["doctor"]);
    let left = files_below(&PathBuf::from(&to).join("blobs/stage"));
    assert!(left.is_empty(), "what was about to be written: {left:?}");
}

#[test]
fn what_is_told_to_stop_says_how_to_go_on() {
    let (place, to) = filled(400, 40_000);
    let words = ["migrate", "--to-catalog", &to, "--to-blobs", &to];
    for signal in ["TERM", "INT"] {
        let there = blobs_in(&to).len();
        let running = Serving::of(place.command(&words));
        until("some blobs", || blobs_in(&to).len() > there + 10);
        let (ended, printed, errors) = running.stop(signal);
        assert_eq!(ended.code(), Some(1), "{errors}");
        assert!(
            errors.contains("stopped: run it again to go on"),
            "{errors}"
        );
        assert_eq!(printed, "");
    }
    let output = place.run(&words);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let told = said(&output);
    assert!(
        told.contains("stop the gateways of the source, run this once more"),
        "{told}"
    );
    assert!(told.contains("pass 1: "), "{told}");
    let left = files_below(&PathBuf::from(&to).join("blobs/stage"));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn damaged_files_are_named_and_the_rest_goes_on() {
    let (place, to) = filled(6, 10_000);
    let listed = place.json(&["ls"]);
    let files: Vec<_> = listed.as_array().unwrap().iter().collect();
    let blob_of = |file: &serde_json::Value| {
        let number: usize = text(file, "filename").parse().unwrap();
        let mut blobs = files_below(&place.data("blobs")).into_iter();
        let bytes = sample(number, 10_000);
        (
            blobs.find(|blob| fs::read(blob).unwrap() == bytes).unwrap(),
            bytes,
        )
    };
    let (gone, gone_bytes) = blob_of(files[0]);
    let (flipped, bytes) = blob_of(files[1]);
    let mut other = bytes.clone();
    other[77] ^= 1;
    fs::remove_file(&gone).unwrap();
    fs::write(&flipped, &other).unwrap();
    let link = |file: &serde_json::Value| {
        let link = place.sign("http://a", &text(file, "file_id"), &[]);
        text(&link, "download_url")
    };
    let links: Vec<String> = files.iter().map(|file| link(file)).collect();

    let words = ["--to-catalog", &to, "--to-blobs", &to];
    for copied in [4, 0] {
        let (said, code) = migrate(&place, &words);
        assert_eq!((&said["left_out"], code), (&2.into(), Some(1)), "{said}");
        assert_eq!(
            (&said["files_copied"], &said["in_step"]),
            (&copied.into(), &true.into())
        );
        let named: Vec<String> = said["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| text(file, "file_id"))
            .collect();
        assert_eq!(named.len(), 2, "each once: {said}");
        for file in &files[..2] {
            assert!(named.contains(&text(file, "file_id")), "{said}");
        }
    }
    let new = Place::with(&[("HALLPASS_SERVER_DATA_DIR", &to)]);
    fs::copy(
        place.data("keyring.toml"),
        PathBuf::from(&to).join("keyring.toml"),
    )
    .unwrap();
    let found = new.run(&["doctor", "--json"]);
    assert_eq!(found.status.code(), Some(1), "{}", said(&found));

    // It comes back from a backup: the next run brings it.
    fs::write(&gone, &gone_bytes).unwrap();
    fs::write(&flipped, &bytes).unwrap();
    let mended = migrated(&place, &words);
    assert_eq!(
        (&mended["files_copied"], &mended["left_out"]),
        (&2.into(), &0.into())
    );
    let (_serving, base) = serve(&new);
    for (file, link) in files.iter().zip(&links) {
        let number: usize = text(file, "filename").parse().unwrap();
        assert_opens(&link_at(&base, link), &sample(number, 10_000));
    }
}
