//! The file: its blocks, what each process reads of it, and what is damaged.

use super::*;
use crate::model::held_revocation::HeldRevocation;
use crate::model::id::OrganizationId;

fn held(number: u64) -> Announcement {
    let organization = OrganizationId::parse(&format!("o{number}")).unwrap();
    Announcement::Held(call(number), HeldRevocation::Organization { organization })
}

fn written(number: u64) -> Announcement {
    Announcement::Written(call(number))
}

fn call(number: u64) -> HeldCall {
    HeldCall::new(number).unwrap()
}

/// The file of a new catalogue, and a second process on it.
fn files(directory: &Path) -> [AnnouncementFile; 2] {
    let path = directory.join("catalogue.sqlite3");
    let files = [(), ()].map(|()| AnnouncementFile::of_catalogue(&path));
    for file in &files {
        file.make().unwrap();
    }
    files
}

fn is_full(outcome: &Result<(), Fault>) -> bool {
    matches!(outcome, Err(Fault::Known(CatalogError::NoSpace { .. })))
}

#[test]
fn it_has_all_its_blocks_from_the_start_and_no_change_takes_more() {
    use std::os::unix::fs::MetadataExt as _;
    let directory = tempfile::tempdir().unwrap();
    let [file, _] = files(directory.path());
    let blocks = || file.path().metadata().unwrap().blocks();
    let before = blocks();
    assert!(before * 512 >= FILE_BYTES as u64, "{before}");
    for number in 1..=50 {
        file.write(&[held(number)]).unwrap();
    }
    assert_eq!(blocks(), before);
    assert_eq!(file.path().metadata().unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn each_process_reads_each_change_once_and_a_new_one_what_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let [one, two] = files(directory.path());
    assert_eq!(two.read().unwrap(), []);
    one.write(&[held(1), held(2)]).unwrap();
    assert_eq!(two.read().unwrap(), [held(1), held(2)]);
    assert_eq!(two.read().unwrap(), []);
    assert_eq!(one.read().unwrap(), [], "its own");
    // Again, which changes nothing.
    let before = fs::read(one.path()).unwrap();
    one.write(&[held(2)]).unwrap();
    assert_eq!(fs::read(one.path()).unwrap(), before);
    two.write(&[held(3), written(1)]).unwrap();
    assert_eq!(one.read().unwrap(), [written(1), held(3)]);
    let [new, _] = files(directory.path());
    assert_eq!(new.read().unwrap(), [written(1), held(2), held(3)]);
    // One that is gone says nothing of what is written.
    fs::remove_file(one.path()).unwrap();
    assert_eq!(two.read().unwrap(), []);
    assert!(is_full(&one.write(&[held(4)])));
    one.make().unwrap();
    assert_eq!(two.read().unwrap(), []);
    one.write(&[held(2)]).unwrap();
    assert_eq!(two.read().unwrap(), [held(2)], "it was gone");
}

#[test]
fn blocks_of_what_is_written_are_used_again_and_no_others() {
    let directory = tempfile::tempdir().unwrap();
    let [one, two] = files(directory.path());
    let most = ANNOUNCED_MAX as u64;
    let all: Vec<Announcement> = (1..=most).map(held).collect();
    one.write(&all).unwrap();
    assert!(is_full(&one.write(&[held(most + 1)])));
    one.write(&[written(9)]).unwrap();
    one.write(&[held(most + 1)]).unwrap();
    assert!(is_full(&one.write(&[held(most + 2)])));
    let heard = two.read().unwrap();
    assert_eq!(heard.len(), ANNOUNCED_MAX);
    assert!(!heard.contains(&held(9)) && heard.contains(&held(most + 1)));
}

#[test]
fn a_file_of_another_program_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let [file, _] = files(directory.path());
    let bytes = vec![b'x'; FILE_BYTES];
    fs::write(file.path(), &bytes).unwrap();
    file.make().unwrap();
    assert!(file.read().is_err() && file.write(&[held(1)]).is_err());
    assert_eq!(fs::read(file.path()).unwrap(), bytes);
}

/// A damaged block takes no other one along.
#[test]
fn a_block_that_cannot_be_read_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let [one, two] = files(directory.path());
    one.write(&[held(1), held(2)]).unwrap();
    let file = OpenOptions::new().write(true).open(one.path()).unwrap();
    file.write_all_at(b"\xff\xff", BLOCK_BYTES as u64).unwrap();
    assert_eq!(two.read().unwrap(), [held(2)]);
}
