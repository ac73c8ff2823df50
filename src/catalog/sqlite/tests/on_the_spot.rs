//! Rows that are read on the thread that asks: what they say, and when they are not.

use std::cell::Cell;
use std::io::Write as _;

use rustix::fs::{Advice, fadvise};

use super::super::on_the_spot::pauses::{Pauses, READ_TIME_MAX, Watch, missing_of_sample};
use super::super::on_the_spot::warm;
use super::*;
use crate::catalog::contract::{file_id, found, rich_file};
use crate::model::file::FileRecord;
use crate::model::id::OrganizationId;
use std::time::Instant;

/// Waits until rows are read on the spot. The first read has the connections opened.
pub(super) async fn ready(catalog: &Sqlite) {
    let (organization, id) = (OrganizationId::parse("nobody").unwrap(), file_id("none"));
    let ready = async {
        while catalog.file_on_the_spot(&organization, &id).is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(60), ready).await.unwrap();
}

/// Reads a row on the spot. A read that was interrupted for long is none for a while.
async fn on_the_spot(
    catalog: &Sqlite,
    organization: &OrganizationId,
    id: &FileId,
) -> Option<FileRecord> {
    let read = async {
        loop {
            if let Some(found) = catalog.file_on_the_spot(organization, id) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(60), read).await.unwrap()
}

#[tokio::test]
async fn a_row_on_the_spot_is_the_newest_whoever_changed_it() {
    let place = place();
    let (catalog, other) = (
        Sqlite::open(&place.path).await.unwrap(),
        Sqlite::open(&place.path).await.unwrap(),
    );
    let owner = organization(&catalog, "owner").await;
    ready(&catalog).await;
    let made = rich_file(&owner, "f");
    assert_eq!(on_the_spot(&catalog, &owner, &made.id).await, None);
    for turn in 0..50 {
        let made = FileRecord {
            id: file_id(&format!("f{turn}")),
            ..made.clone()
        };
        let by = if turn % 2 == 0 { &catalog } else { &other };
        by.add_file(&made).await.unwrap();
        assert_eq!(
            on_the_spot(&catalog, &owner, &made.id).await,
            Some(made.clone())
        );
        let deleted = by.delete_file(&owner, &made.id, at(9)).await.unwrap();
        assert_eq!(on_the_spot(&catalog, &owner, &made.id).await, Some(deleted));
    }
}

/// As many as there are connections read at once, and one more asks the driver.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_ask_at_once_are_all_answered() {
    let place = place();
    let catalog = Arc::new(Sqlite::open(&place.path).await.unwrap());
    let owner = organization(&*catalog, "owner").await;
    let made = rich_file(&owner, "f");
    catalog.add_file(&made).await.unwrap();
    ready(&catalog).await;
    let asking: Vec<_> = (0..16)
        .map(|_| {
            let (catalog, owner, made) = (catalog.clone(), owner.clone(), made.clone());
            tokio::spawn(async move {
                for _ in 0..200 {
                    assert_eq!(found(&*catalog, &owner, &made.id).await, Some(made.clone()));
                }
            })
        })
        .collect();
    for one in asking {
        one.await.unwrap();
    }
}

#[tokio::test]
async fn after_the_end_nothing_is_read_and_nothing_is_left_open() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let owner = organization(&catalog, "owner").await;
    ready(&catalog).await;
    catalog.close().await;
    assert_eq!(catalog.file_on_the_spot(&owner, &file_id("f")), None);
    // The last connection wrote the log back, and removed it.
    let log = place.path.with_extension("sqlite3-wal");
    assert!(!log.exists(), "{}", log.display());
}

/// A disk that hangs takes one thread, and not one after the other.
#[tokio::test]
async fn while_a_read_takes_long_no_other_one_begins() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let owner = organization(&catalog, "owner").await;
    ready(&catalog).await;
    let id = file_id("f");
    let reads = &catalog.on_the_spot;
    let hanging = reads.hang(Duration::from_millis(3));
    assert_eq!(catalog.file_on_the_spot(&owner, &id), None);
    drop(hanging);
    assert_eq!(on_the_spot(&catalog, &owner, &id).await, None);
}

/// One whose pages are on the disk alone is not read on a thread that serves others.
#[test]
#[allow(clippy::disallowed_methods)] // No connection waits for this thread.
fn a_file_that_is_not_in_memory_is_found_out_and_read_into_it() {
    let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let path = directory.path().join("pages");
    let mut written = fs::File::create(&path).unwrap();
    written.write_all(&vec![7; 4 << 20]).unwrap();
    written.sync_all().unwrap();
    assert_eq!(missing_of_sample(&fs::File::open(&path).unwrap(), 1), 0);
    fadvise(&written, 0, None, Advice::DontNeed).unwrap();
    let file = fs::File::open(&path).unwrap();
    assert!(missing_of_sample(&file, 1) > 0);
    warm(&file);
    let read = Instant::now();
    while missing_of_sample(&file, 2) > 0 {
        assert!(read.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A thread that sleeps waits for something that is no processor, as one does that a disk keeps.
#[test]
#[allow(clippy::disallowed_methods)] // No connection waits for this thread.
fn a_read_that_waited_is_the_last_for_a_while_and_each_time_for_twice_as_long() {
    let pauses = Pauses::default();
    let at = Duration::from_millis;
    let is_read = |now| pauses.is_in_memory(at(now), |_| true);
    let wait = |now| {
        let watch = pauses.watch(at(now));
        std::thread::sleep(READ_TIME_MAX * 3);
        pauses.note(watch, at(now) - READ_TIME_MAX * 3, at(now));
    };
    wait(500);
    assert!(is_read(500), "the first one has the next ones watched");
    for (begun, ends) in [(1_000, 1_250), (2_000, 2_500), (3_000, 4_000)] {
        wait(begun);
        assert!(!is_read(ends - 1), "{begun}");
        assert!(is_read(ends), "{begun}");
    }
    // One that did not wait ends the doubling.
    pauses.note(pauses.watch(at(5_000)), at(5_000), at(5_000));
    wait(6_000);
    assert!(is_read(6_250));
    for _ in 0..20 {
        wait(7_000);
    }
    assert!(is_read(7_000 + 16_000), "no longer than that");
}

/// Where many threads want the processors, a read takes long that no disk kept: what it would wait for elsewhere is more of
/// the same.
#[test]
fn a_read_that_waited_for_a_processor_begins_no_pause() {
    let pauses = Pauses::default();
    let at = Duration::from_millis;
    pauses.note(Watch::No, at(0), at(500));
    let watch = pauses.watch(at(1_000));
    let begun = Instant::now();
    while begun.elapsed() < READ_TIME_MAX * 10 {
        std::hint::spin_loop();
    }
    pauses.note(watch, at(1_000), at(1_000) + begun.elapsed());
    assert!(pauses.is_in_memory(at(1_200), |_| true));
}

/// A page that the kernel let go of costs some milliseconds of reads on the spot, and not a second.
#[test]
fn a_sample_with_missing_pages_is_taken_again_after_50_ms_and_another_one_after_a_second() {
    let pauses = Pauses::default();
    let taken = Cell::new(0);
    let is_read = |now, is_in_memory| {
        pauses.is_in_memory(Duration::from_millis(now), |_| {
            taken.set(taken.get() + 1);
            is_in_memory
        })
    };
    assert!(!is_read(1_000, false));
    assert!(!is_read(1_049, true) && taken.get() == 1, "a pause");
    assert!(!is_read(1_050, false));
    assert!(is_read(1_100, true));
    assert!(is_read(2_099, false) && taken.get() == 3, "it holds");
    assert!(!is_read(2_100, false) && taken.get() == 4);
}

/// `.cargo/config.toml` says how.
#[tokio::test]
async fn the_library_has_no_lock_that_readers_and_writers_share() {
    let place = place();
    let catalog = Sqlite::open(&place.path).await.unwrap();
    let mut reader = catalog.readers.acquire().await.unwrap();
    let options = query("PRAGMA compile_options").fetch_all(&mut *reader);
    let options = options.await.unwrap();
    let has = |option: &str| options.iter().any(|row| row.get::<&str, _>(0) == option);
    assert!(has("DEFAULT_MEMSTATUS=0") && !has("ENABLE_MEMORY_MANAGEMENT"));
}
