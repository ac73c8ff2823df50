//! `doctor`, with real damage, beside a gateway that runs.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::support::{Place, Serving, one_line_of_json, open, said, status, text, until};

/// What `doctor` says with these words, and its exit code.
fn doctor(place: &Place, words: &[&str]) -> (Value, Option<i32>) {
    let output = place.run(&[&["doctor", "--json"], words].concat());
    assert!(!output.stdout.is_empty(), "{}", said(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    (one_line_of_json(&printed), output.status.code())
}

/// Each file that something is the matter with, and what: by id.
fn problems(found: &Value) -> Vec<(String, String, bool)> {
    let files = found["files"].as_array().unwrap().iter();
    let problem = |file: &Value| {
        let marked = file["marked"].as_bool().unwrap();
        (text(file, "file_id"), text(file, "problem"), marked)
    };
    let mut problems: Vec<_> = files.map(problem).collect();
    problems.sort();
    problems
}

fn every_file_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let below = entries.flat_map(|entry| {
        if entry.file_type().unwrap().is_dir() {
            every_file_below(&entry.path())
        } else {
            vec![entry.path()]
        }
    });
    below.collect()
}

/// The blob that has these bytes.
fn blob_of(place: &Place, bytes: &[u8]) -> PathBuf {
    let mut blobs = every_file_below(&place.data("blobs")).into_iter();
    blobs.find(|path| fs::read(path).unwrap() == bytes).unwrap()
}

fn flip_a_bit(path: &Path) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 3).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 3).unwrap();
}

fn make_old(path: &Path) {
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = File::options().write(true).open(path).unwrap();
    file.set_times(FileTimes::new().set_modified(long_ago))
        .unwrap();
}

/// Files, and what then becomes of their bytes; the first stays whole.
const FILES: [&str; 7] = [
    "whole", "gone", "short", "long", "flipped", "touched", "rotten",
];

/// A gateway with these files, the last two in place, and a link to each.
struct Ward {
    place: Place,
    serve: Serving,
    ids: [String; 7],
    links: [String; 7],
}

impl Ward {
    fn new() -> Self {
        let place = Place::new();
        let root = fs::canonicalize(place.file("kept/x", b"")).unwrap();
        let root = root.parent().unwrap().to_owned();
        // What is kept in memory goes on being right whatever becomes of the disk: here nothing is.
        let config = format!(
            "[blobs]\nin_place_roots = [{root:?}]\n[cache]\nsmall_files_bytes = 0\nopen_files = 0\n"
        );
        place.file("h.toml", config.as_bytes());
        let mut serve = place.start(&["serve", "--listen", "127.0.0.1:0", "--config", "h.toml"]);
        let base = serve.url();
        let ids = FILES.map(|name| {
            if !matches!(name, "touched" | "rotten") {
                return place.add(name, name.as_bytes());
            }
            let path = place.file(&format!("kept/{name}"), name.as_bytes());
            let words = [
                "add",
                "--in-place",
                path.to_str().unwrap(),
                "--config",
                "h.toml",
            ];
            text(&place.json(&words)[0], "file_id")
        });
        let link = |id: &String| text(&place.sign(&base, id, &[]), "download_url");
        let links = ids.each_ref().map(link);
        Self {
            place,
            serve,
            ids,
            links,
        }
    }

    /// Does to each file what its name says, and answers where the flipped one lies.
    fn hurt(&self) -> PathBuf {
        let blob = |name: &str| blob_of(&self.place, name.as_bytes());
        let flipped = blob("flipped");
        fs::remove_file(blob("gone")).unwrap();
        fs::write(blob("long"), b"longer").unwrap();
        fs::write(blob("short"), b"s").unwrap();
        flip_a_bit(&flipped);
        fs::write(self.place.path("kept/touched"), b"another").unwrap();
        // Under its old length and time.
        let rotten = self.place.path("kept/rotten");
        let modified = fs::metadata(&rotten).unwrap().modified().unwrap();
        flip_a_bit(&rotten);
        let times = FileTimes::new().set_modified(modified);
        File::options()
            .write(true)
            .open(&rotten)
            .unwrap()
            .set_times(times)
            .unwrap();
        flipped
    }

    fn doctor(&self, words: &[&str]) -> (Value, Option<i32>) {
        doctor(&self.place, &[words, &["--config", "h.toml"]].concat())
    }

    fn statuses(&self) -> [u16; 7] {
        self.links.each_ref().map(|link| status(link))
    }
}

#[test]
fn each_kind_of_damage_is_found_and_what_cannot_be_trusted_is_not_served() {
    let ward = Ward::new();
    assert_eq!(ward.statuses(), [200; 7]);
    let (found, code) = ward.doctor(&[]);
    assert_eq!((problems(&found), code), (Vec::new(), Some(0)), "{found}");
    assert_eq!(found["files_checked"], 7);

    ward.hurt();
    let mut hurt = ward.ids[1..].to_vec();
    hurt.sort();
    let expected = |marked| -> Vec<_> {
        let ids = hurt.iter().cloned();
        ids.map(|id| (id, "damaged".to_owned(), marked)).collect()
    };
    for _ in 0..2 {
        let (found, code) = ward.doctor(&[]);
        assert_eq!((problems(&found), code), (expected(false), Some(1)));
        assert_eq!(found["damaged"], 6);
    }
    // Nothing was changed: where only the SHA-256 can tell, a blob of ours is served still. A file in place that was
    // written to since is hashed before.
    assert_eq!(ward.statuses(), [200, 500, 500, 500, 200, 500, 500]);

    let (found, code) = ward.doctor(&["--mend"]);
    assert_eq!((problems(&found), code), (expected(true), Some(1)));
    let refused = || ward.statuses() == [200, 500, 500, 500, 500, 500, 500];
    until("refusing what is marked", refused);
    let (_, answer) = open(&ward.links[4]);
    let answer = String::from_utf8(answer).unwrap();
    assert!(
        !answer.contains("damaged"),
        "the log alone knows why: {answer}"
    );
    let output = ward.place.run(&["verify", &ward.links[4]]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.starts_with(b"file_damaged"));
    text(&ward.place.json(&["show", &ward.ids[4]]), "damaged_at");
    let (ended, _, log) = ward.serve.stop("TERM");
    assert_eq!(ended.code(), Some(0));
    assert!(log.contains("is marked as damaged since"), "{log}");
}

#[test]
fn what_was_put_back_from_a_backup_is_served_again() {
    let ward = Ward::new();
    let blob = ward.hurt();
    ward.doctor(&["--mend"]);
    until("refusing what is marked", || status(&ward.links[4]) == 500);
    fs::write(&blob, b"flipped").unwrap();
    let healed = |marked| (ward.ids[4].clone(), "healed".to_owned(), marked);
    let (found, code) = ward.doctor(&[]);
    assert!(problems(&found).contains(&healed(true)), "{found}");
    assert_eq!((&found["damaged"], code), (&5.into(), Some(1)));
    assert_eq!(status(&ward.links[4]), 500, "nothing was changed");
    let (found, _) = ward.doctor(&["--mend"]);
    assert!(problems(&found).contains(&healed(false)), "{found}");
    until("serving what is whole again", || {
        status(&ward.links[4]) == 200
    });
    let (found, _) = ward.doctor(&[]);
    assert_eq!(problems(&found).len(), 5);
}

#[test]
fn leftovers_are_counted_and_removed_and_what_is_young_or_being_written_is_not() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let bad = place.add("b.txt", b"in the recycle bin");
    place.good(&["rm", &bad]);
    flip_a_bit(&blob_of(&place, b"in the recycle bin"));
    let blobs = place.data("blobs/00/00");
    fs::create_dir_all(&blobs).unwrap();
    let name = |number: u32| format!("{number:032x}");
    for number in 1..=3 {
        fs::write(blobs.join(name(number)), "orphan").unwrap();
    }
    for number in 1..=2 {
        make_old(&blobs.join(name(number)));
    }
    for number in 4..=5 {
        fs::write(place.data("blobs/stage").join(name(number)), "broke off").unwrap();
    }
    let held = File::open(place.data("blobs/stage").join(name(5))).unwrap();
    held.lock().unwrap();
    for _ in 0..2 {
        let (found, code) = doctor(&place, &[]);
        assert_eq!(
            (&found["orphans"], &found["stages"]),
            (&2.into(), &1.into())
        );
        assert_eq!((&found["mended"], code), (&false.into(), Some(1)));
        assert_eq!(problems(&found), [(bad.clone(), "damaged".into(), false)]);
        assert_eq!(found["files"][0]["status"], "deleted");
    }
    let printed = place.run(&["doctor", "--mend"]);
    assert_eq!(printed.status.code(), Some(1));
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert_eq!(printed.lines().count(), 3, "{printed}");
    assert!(
        printed.contains(&format!("org_default  {bad}  damaged: its SHA-256 is ")),
        "{printed}"
    );
    assert!(
        printed.contains("2 files checked, 23 bytes: 1 damaged"),
        "{printed}"
    );
    assert!(
        printed.contains("2 blobs without a row, 1 broken uploads, removed"),
        "{printed}"
    );
    assert!(!blobs.join(name(1)).exists() && blobs.join(name(3)).exists());
    assert!(
        !place.data("blobs/stage").join(name(4)).exists()
            && place.data("blobs/stage").join(name(5)).exists()
    );

    place.good(&["rm", "--purge", &bad]);
    let (found, code) = doctor(&place, &["--mend"]);
    assert_eq!(
        (&found["orphans"], &found["stages"], code),
        (&0.into(), &0.into(), Some(0))
    );
    assert_eq!(found["files_checked"], 1);
    assert_eq!(place.json(&["ls"])[0]["file_id"], file.as_str());
}

#[test]
fn counters_that_are_wrong_are_found_and_set_right() {
    let place = Place::new();
    place.add("a.txt", b"bytes");
    let deleted = place.add("b.txt", b"in the recycle bin");
    place.good(&["rm", &deleted]);
    let (found, code) = doctor(&place, &[]);
    assert_eq!((&found["miscounted"], code), (&0.into(), Some(0)));
    let sqlite = |script: &str| {
        let catalogue = place.data("catalogue.sqlite3");
        let done = std::process::Command::new("sqlite3")
            .arg(catalogue)
            .arg(script)
            .status();
        assert!(done.unwrap().success());
    };
    for wrong in [
        "ready_files = 7",
        "kept_files = kept_files + 1",
        "kept_bytes = 0",
        "ready_files = 0, kept_files = 0, kept_bytes = 9000000000000000000",
    ] {
        sqlite(&format!("UPDATE organization SET {wrong}"));
        for _ in 0..2 {
            let (found, code) = doctor(&place, &[]);
            assert_eq!(
                (&found["miscounted"], code),
                (&1.into(), Some(1)),
                "{wrong}"
            );
            let of = &found["organizations"][0];
            assert_eq!(of["organization_id"], "org_default");
            assert_ne!(of["counted"], of["found"], "{wrong}");
            let right = serde_json::json!({ "files": 1, "files_kept": 2, "bytes_kept": 23 });
            assert_eq!(of["found"], right, "{wrong}");
        }
        let output = place.run(&["doctor", "--mend"]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let printed = String::from_utf8(output.stdout).unwrap();
        println!("{printed}");
        assert!(printed.contains("org_default  miscounted: "), "{printed}");
        let sum = "counters: 1 organizations miscounted, set right";
        assert!(printed.contains(sum), "{printed}");
        let (found, code) = doctor(&place, &["--mend"]);
        assert_eq!(
            (&found["miscounted"], code),
            (&0.into(), Some(0)),
            "{wrong}"
        );
    }
    sqlite("UPDATE list_anchor SET files = 7");
    let (found, code) = doctor(&place, &[]);
    let wrong = &found["organizations"][0]["wrong_list_anchors"];
    assert_eq!((wrong, code), (&1.into(), Some(1)));
    let printed = place.good(&["doctor", "--mend"]);
    assert!(
        printed.contains("; 1 anchors of its list are wrong"),
        "{printed}"
    );
    sqlite(
        "INSERT INTO allowance (organization, subject, kid, epoch, open) VALUES ('org_default', 'sx', 'k', 0, 1)",
    );
    let (found, code) = doctor(&place, &[]);
    let wrong = &found["organizations"][0]["wrong_allowances"];
    assert_eq!((wrong, code), (&1.into(), Some(1)));
    let printed = place.good(&["doctor", "--mend"]);
    let counted = "; 1 links or shares count their open downloads wrongly";
    assert!(printed.contains(counted), "{printed}");
    let (found, code) = doctor(&place, &[]);
    assert_eq!((&found["miscounted"], code), (&0.into(), Some(0)));
}

#[test]
fn a_wrong_number_of_link_counts_is_found_and_set_right() {
    let place = Place::new();
    place.add("a.txt", b"bytes");
    let catalogue = place.data("catalogue.sqlite3");
    let script = "INSERT OR REPLACE INTO link_counter VALUES ('org_default', 3)";
    let mut sqlite = std::process::Command::new("sqlite3");
    assert!(
        sqlite
            .arg(catalogue)
            .arg(script)
            .status()
            .unwrap()
            .success()
    );
    let (found, code) = doctor(&place, &[]);
    let wrong = &found["organizations"][0]["wrong_links"];
    assert_eq!((wrong, code), (&3.into(), Some(1)));
    let printed = place.good(&["doctor", "--mend"]);
    let said = "; the counter of its links is off by 3";
    assert!(printed.contains(said), "{printed}");
    let (found, code) = doctor(&place, &[]);
    assert_eq!((&found["miscounted"], code), (&0.into(), Some(0)));
}

#[test]
fn more_blobs_without_a_row_than_may_be_are_left_until_somebody_says_how_many() {
    let place = Place::new();
    place.add("a.txt", b"bytes");
    let blobs = place.data("blobs/00/00");
    fs::create_dir_all(&blobs).unwrap();
    let orphans = [1, 2, 3].map(|number: u32| blobs.join(format!("{number:032x}")));
    for orphan in &orphans {
        fs::write(orphan, "orphan").unwrap();
        make_old(orphan);
    }
    let held = place.run(&["doctor", "--mend", "--orphans-max", "2"]);
    let text = said(&held);
    assert_eq!(held.status.code(), Some(1), "{text}");
    for words in [
        "leftovers: 3 blobs without a row (left alone), 0 broken uploads",
        "3 of 4 blobs have no row, too many for broken uploads",
        "hallpass doctor --mend --orphans-max 3",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert!(orphans.iter().all(|orphan| orphan.exists()));
    let (found, code) = doctor(&place, &["--mend", "--orphans-max", "0"]);
    assert_eq!((&found["orphans_left"], code), (&true.into(), Some(1)));
    for bad in ["-1", "x", ""] {
        place.bad(2, &["doctor", "--mend", "--orphans-max", bad]);
    }
    place.bad(2, &["doctor", "--orphans-max", "3"]);
    let (found, code) = doctor(&place, &["--mend", "--orphans-max", "3"]);
    assert_eq!((&found["orphans"], code), (&3.into(), Some(0)));
    assert!(!orphans.iter().any(|orphan| orphan.exists()));
}

#[test]
fn what_comes_and_goes_while_it_looks_is_no_damage() {
    let place = Place::new();
    let mut serve = place.serve();
    serve.url();
    for round in 0..3 {
        let ids: Vec<String> = (0..10)
            .map(|number| place.add(&format!("{round}-{number}"), &vec![7; 300_000]))
            .collect();
        let looking = place
            .command(&["doctor", "--json", "--mend"])
            .spawn()
            .unwrap();
        for id in &ids {
            place.good(&["rm", "--purge", id]);
        }
        let output = looking.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
}
