//! Open files on a disk: few of many, and such that somebody damaged.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::blob::disk::{Disk, Readers};

/// Larger than a small file.
const LARGE: usize = 100_000;

struct OnDisk {
    place: Place,
    root: TempDir,
    in_place: TempDir,
}

async fn on_disk(limits: CacheLimits) -> OnDisk {
    let (root, in_place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let roots = [in_place.path().to_owned()];
    let disk = Disk::open(root.path(), &roots, Readers::Owner).unwrap();
    OnDisk {
        place: place_with(Arc::new(disk), limits).await,
        root,
        in_place,
    }
}

impl OnDisk {
    fn path_of(&self, file: &FileRecord) -> PathBuf {
        let below = self.place.blobs.path_below(&file.location).unwrap();
        self.root.path().join(below)
    }
}

fn cut(path: &Path) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(7).unwrap();
}

#[track_caller]
fn assert_damaged(outcome: Result<Bytes, Refusal>) {
    assert!(
        matches!(outcome, Err(Refusal::Internal(_))),
        "{:?}",
        outcome.map(|bytes| bytes.len())
    );
}

/// Longer than an open file goes without being looked at.
async fn a_second() {
    tokio::time::sleep(STALENESS_MAX + Duration::from_millis(10)).await;
}

#[tokio::test]
async fn tiny_limits_serve_the_right_bytes() {
    let tiny = CacheLimits {
        rows_bytes: 3 * ROW_BYTES,
        open_files: 2,
        small_files_bytes: 2 * ROW_BYTES,
        small_file_max: 400,
    };
    let at = on_disk(tiny).await;
    let mut links = Vec::new();
    for number in 0..40_usize {
        let bytes = vec![u8::try_from(number).unwrap(); 1 + 20 * number];
        let id = format!("f{number}");
        at.place.add(&id, bytes.clone()).await;
        links.push((at.place.mint(&id).await.unwrap(), bytes));
    }
    let open_before = fs::read_dir("/proc/self/fd").unwrap().count();
    let everything = links.iter().chain(links.iter().rev()).chain(&links);
    for (link, bytes) in everything {
        assert_eq!(at.place.get(link).await.unwrap(), *bytes);
        assert_eq!(at.place.get(link).await.unwrap(), *bytes);
    }
    let stayed_open = fs::read_dir("/proc/self/fd").unwrap().count();
    // Other tests open files, too.
    println!("{open_before} files were open, and then {stayed_open}");
    let kept = at.place.gateway.cache.open.bounded.as_ref().unwrap();
    assert!(kept.len() <= 2, "{}", kept.len());
}

#[tokio::test]
async fn a_large_file_that_was_cut_is_damage_within_a_second_and_never_a_short_answer() {
    let at = on_disk(testing::CACHE).await;
    let file = at.place.add("f", vec![7; LARGE]).await;
    let link = at.place.mint("f").await.unwrap();
    assert_eq!(at.place.get(&link).await.unwrap().len(), LARGE);
    cut(&at.path_of(&file));
    assert_damaged(at.place.get(&link).await);
    a_second().await;
    assert_damaged(at.place.get(&link).await);
}

#[tokio::test]
async fn a_large_file_that_was_removed_is_damage_within_a_second() {
    let at = on_disk(testing::CACHE).await;
    let file = at.place.add("f", vec![7; LARGE]).await;
    let link = at.place.mint("f").await.unwrap();
    at.place.get(&link).await.unwrap();
    fs::remove_file(at.path_of(&file)).unwrap();
    let right = at.place.get(&link).await;
    assert!(right.is_ok_and(|bytes| bytes == vec![7; LARGE]));
    a_second().await;
    assert_damaged(at.place.get(&link).await);
}

#[tokio::test]
async fn a_large_file_that_is_whole_stays_open() {
    let at = on_disk(testing::CACHE).await;
    at.place.add("f", vec![7; LARGE]).await;
    let link = at.place.mint("f").await.unwrap();
    at.place.get(&link).await.unwrap();
    a_second().await;
    // The memory is too old, and so one look is due; the row and the file are still good.
    let (bytes, calls) = at.place.calls(at.place.get(&link)).await;
    assert_eq!((bytes.unwrap().len(), calls), (LARGE, 1));
}

#[tokio::test]
async fn a_small_file_goes_on_being_right_whatever_becomes_of_the_disk() {
    let at = on_disk(testing::CACHE).await;
    let file = at.place.add("f", "right").await;
    let link = at.place.mint("f").await.unwrap();
    at.place.get(&link).await.unwrap();
    fs::write(at.path_of(&file), "wrong").unwrap();
    a_second().await;
    assert_eq!(at.place.get(&link).await.unwrap(), "right");
    fs::remove_file(at.path_of(&file)).unwrap();
    assert_eq!(at.place.get(&link).await.unwrap(), "right");
}

#[tokio::test]
async fn a_file_in_place_is_held_to_what_it_was_every_time() {
    let at = on_disk(testing::CACHE).await;
    let path = at.in_place.path().join("x");
    fs::write(&path, "old bytes").unwrap();
    let new = new_file(at.place.owner(), "f");
    let kept = at.place.gateway.keep_in_place(&path, new).await.unwrap();
    assert!(at.place.gateway.add_staged(vec![kept]).await[0].is_ok());
    let link = at.place.mint("f").await.unwrap();
    assert_eq!(at.place.get(&link).await.unwrap(), "old bytes");
    fs::write(&path, "new bytes").unwrap();
    assert_damaged(at.place.get(&link).await);
}
