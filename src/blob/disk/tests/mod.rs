//! Tests of blobs on disk, beyond the contract.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustix::fs::{CWD, FileType, Mode, mkfifoat, mknodat};
use tempfile::TempDir;

use super::*;
use crate::blob::contract::{self, damage, key, put, read, sample};

mod in_place;
mod processes;
mod stages;

/// A store in a directory that goes with it.
struct Fixture {
    disk: Disk,
    root: TempDir,
    /// A configured root for files in place, outside of the store.
    place: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let (root, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let disk = Disk::open(root.path(), &[place.path().to_owned()], Readers::Owner).unwrap();
        Self { disk, root, place }
    }

    fn blob_path(&self, key: BlobKey) -> PathBuf {
        let name = key.to_string();
        let fan_out = Path::new(&name[..2]).join(&name[2..4]);
        self.root.path().join("blobs").join(fan_out).join(name)
    }

    fn stage_path(&self, key: BlobKey) -> PathBuf {
        self.root.path().join("blobs/stage").join(key.to_string())
    }

    fn stages(&self) -> usize {
        fs::read_dir(self.root.path().join("blobs/stage"))
            .unwrap()
            .count()
    }

    /// Waits until the dropped stages are removed.
    async fn no_stages(&self) {
        let none = async {
            while self.stages() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), none)
            .await
            .unwrap();
    }

    fn file_in_place(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.place.path().canonicalize().unwrap().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

async fn open(disk: &Disk, key: BlobKey, size: u64) -> Result<Blob, BlobError> {
    disk.open(&BlobLocation::Stored(key), size).await
}

#[tokio::test]
async fn a_store_on_disk_keeps_the_contract() {
    let fixture = Fixture::new();
    contract::all(&fixture.disk).await;
    fixture.no_stages().await;
}

#[tokio::test]
async fn only_the_owner_may_look_into_the_store() {
    let parent = TempDir::new().unwrap();
    let root = parent.path().join("made/with/its/parents");
    let disk = Disk::open(&root, &[], Readers::Owner).unwrap();
    let staged = disk.stage(key(0xab, 0xcd)).await.unwrap();
    let name = key(0xab, 0xcd).to_string();
    assert_eq!(mode(&root.join("blobs/stage").join(&name)), 0o600);
    staged.commit().await.unwrap();
    assert_eq!(mode(&root.join("blobs/ab/cd").join(&name)), 0o600);
    for directory in ["", "blobs", "blobs/stage", "blobs/ab", "blobs/ab/cd"] {
        assert_eq!(mode(&root.join(directory)), 0o700, "{directory}");
    }
}

#[tokio::test]
async fn a_group_that_is_let_in_reads_old_and_new_blobs_and_lists_nothing() {
    let parent = TempDir::new().unwrap();
    let root = &parent.path().join("made");
    let paths = [key(0xab, 1), key(0xab, 2)].map(|key| {
        let location = BlobLocation::Stored(key);
        let disk = Disk::open(root, &[], Readers::Owner).unwrap();
        root.join(disk.path_below(&location).unwrap())
    });
    let before = Disk::open(root, &[], Readers::Owner).unwrap();
    put(&before, key(0xab, 1), &[b"old"]).await;
    assert_eq!(mode(&paths[0]), 0o600);
    let disk = Disk::open(root, &[], Readers::Group).unwrap();
    put(&disk, key(0xab, 2), &[b"new"]).await;
    let old = BlobLocation::Stored(key(0xab, 1));
    assert_eq!(&read(&disk.open(&old, 3).await.unwrap()).await[..], b"old");
    for path in &paths {
        assert_eq!(mode(path), 0o640);
        assert!(
            path.ancestors()
                .nth(1)
                .is_some_and(|parent| mode(parent) == 0o710)
        );
    }
    for (directory, expected) in [
        ("", 0o710),
        ("blobs", 0o710),
        ("blobs/ab", 0o710),
        ("blobs/stage", 0o700),
    ] {
        assert_eq!(mode(&root.join(directory)), expected, "{directory}");
    }
}

/// A group that is nobody's here.
const ANOTHER: u32 = 54_321;

#[tokio::test]
async fn the_group_of_the_store_s_directory_is_given_to_old_and_new_blobs_and_the_way_to_them() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("no other group was tried: only root may give files to any");
    }
    let parent = TempDir::new().unwrap();
    let root = &parent.path().join("made");
    let before = Disk::open(root, &[], Readers::Group).unwrap();
    put(&before, key(0xab, 1), &[b"old"]).await;
    chown(root, None, Some(ANOTHER)).unwrap();
    let disk = Disk::open(root, &[], Readers::Group).unwrap();
    put(&disk, key(0xcd, 2), &[b"new"]).await;
    open(&disk, key(0xab, 1), 3).await.unwrap();
    for first in [key(0xab, 1), key(0xcd, 2)] {
        let path = disk.path_below(&BlobLocation::Stored(first)).unwrap();
        for part in path.ancestors() {
            let found = fs::metadata(root.join(part)).unwrap();
            let expected = if found.is_dir() { 0o710 } else { 0o640 };
            let is = (found.gid(), found.permissions().mode() & 0o7777);
            assert_eq!(is, (ANOTHER, expected), "{}", part.display());
        }
    }
}

#[tokio::test]
async fn a_commit_is_listed_with_its_own_time_and_not_the_last_write() {
    let fixture = Fixture::new();
    let staged = fixture.disk.stage(key(1, 1)).await.unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
    let file = File::options()
        .write(true)
        .open(fixture.stage_path(key(1, 1)))
        .unwrap();
    file.set_modified(long_ago).unwrap();
    staged.commit().await.unwrap();
    let modified = fs::metadata(fixture.blob_path(key(1, 1)))
        .unwrap()
        .modified()
        .unwrap();
    let seconds = modified
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    assert!(seconds > 1_000_000_000);
    let listed = fixture.disk.list(None, 1).await.unwrap();
    assert_eq!(listed, [(key(1, 1), UnixSeconds::new(seconds).unwrap())]);
}

#[tokio::test]
async fn two_handles_share_one_root() {
    let fixture = Fixture::new();
    let other = Disk::open(fixture.root.path(), &[], Readers::Owner).unwrap();
    let mut staged = fixture.disk.stage(key(1, 1)).await.unwrap();
    assert!(other.stage(key(1, 1)).await.is_err());
    assert_eq!(other.sweep_stages(10).await.unwrap(), 0);
    staged.write(Bytes::from_static(b"shared")).await.unwrap();
    staged.commit().await.unwrap();
    assert_eq!(
        read(&open(&other, key(1, 1), 6).await.unwrap()).await,
        "shared"
    );
    other.remove(key(1, 1)).await.unwrap();
    damage(open(&fixture.disk, key(1, 1), 6).await);
}

#[tokio::test]
async fn a_fan_out_that_somebody_removed_is_made_again() {
    let fixture = Fixture::new();
    for _ in 0..2 {
        put(&fixture.disk, key(1, 1), &[b"x"]).await;
        fs::remove_dir_all(fixture.root.path().join("blobs/01")).unwrap();
    }
    fixture.disk.remove(key(1, 1)).await.unwrap();
}

#[tokio::test]
async fn what_lies_in_place_of_a_blob_is_refused_without_hanging() {
    let fixture = Fixture::new();
    let good = key(1, 1);
    put(&fixture.disk, good, &[b"good"]).await;
    let forged = key(1, 2);
    let path = fixture.blob_path(forged);
    fs::create_dir(path.parent().unwrap()).unwrap();

    symlink(fixture.blob_path(good), &path).unwrap();
    assert!(damage(open(&fixture.disk, forged, 4).await).contains("symbolic link"));
    fs::remove_file(&path).unwrap();

    mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
    assert!(damage(open(&fixture.disk, forged, 0).await).contains("no regular file"));
    fs::remove_file(&path).unwrap();

    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert!(damage(open(&fixture.disk, forged, 0).await).contains("no regular file"));
    drop(socket);
    fs::remove_file(&path).unwrap();

    let null = rustix::fs::makedev(1, 3);
    match mknodat(CWD, &path, FileType::CharacterDevice, Mode::RUSR, null) {
        Ok(()) => {
            assert!(damage(open(&fixture.disk, forged, 0).await).contains("no regular file"));
            fs::remove_file(&path).unwrap();
        }
        Err(errno) => eprintln!("a device was not tried: {errno}"),
    }

    fs::create_dir(&path).unwrap();
    assert!(damage(open(&fixture.disk, forged, 0).await).contains("no regular file"));
    fs::remove_dir(&path).unwrap();

    // A link on the way, which leads to a real blob.
    fs::remove_dir(path.parent().unwrap()).unwrap();
    symlink(
        fixture.blob_path(good).parent().unwrap(),
        path.parent().unwrap(),
    )
    .unwrap();
    fs::rename(
        fixture.blob_path(good),
        fixture.blob_path(good).with_file_name(forged.to_string()),
    )
    .unwrap();
    assert!(damage(open(&fixture.disk, forged, 4).await).contains("symbolic link"));
    fixture.disk.remove(forged).await.unwrap();
    assert!(path.exists(), "nothing is removed behind a link");
    let mut staged = fixture.disk.stage(forged).await.unwrap();
    staged.write(Bytes::from_static(b"x")).await.unwrap();
    assert!(
        staged.commit().await.is_err(),
        "nothing is written behind a link"
    );
}

#[tokio::test]
async fn lists_pass_over_what_is_no_blob() {
    let fixture = Fixture::new();
    let good = key(0x0a, 0x0b);
    put(&fixture.disk, good, &[b"good"]).await;
    let blobs = fixture.root.path().join("blobs");
    fs::write(blobs.join("0b"), "a file where a directory should be").unwrap();
    fs::write(blobs.join("0a/0c"), "again").unwrap();
    fs::create_dir(blobs.join("lost+found")).unwrap();
    fs::create_dir(blobs.join("0A")).unwrap();
    symlink(blobs.join("0a"), blobs.join("0d")).unwrap();
    let directory = blobs.join("0a/0b");
    fs::write(directory.join("README"), "foreign").unwrap();
    fs::write(
        directory.join(key(1, 1).to_string()),
        "in the wrong directory",
    )
    .unwrap();
    let odd = good.to_string().replace("5a", "00");
    fs::create_dir(directory.join(odd)).unwrap();
    let listed = fixture.disk.list(None, 100).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].0, good);
}

#[tokio::test]
async fn a_file_cut_short_under_an_open_blob_is_damage() {
    let fixture = Fixture::new();
    put(&fixture.disk, key(1, 1), &[&sample(10_000)]).await;
    let blob = open(&fixture.disk, key(1, 1), 10_000).await.unwrap();
    let file = File::options()
        .write(true)
        .open(fixture.blob_path(key(1, 1)))
        .unwrap();
    file.set_len(5_000).unwrap();
    assert!(damage(blob.read_at(4_000, 2_000).await).contains("byte 6000"));
    assert_eq!(
        blob.read_at(4_000, 1_000).await.unwrap(),
        sample(5_000)[4_000..]
    );
    damage(open(&fixture.disk, key(1, 1), 10_000).await);
}

#[test]
fn a_blob_store_behind_a_link_is_not_opened_and_the_link_is_named() {
    for (name, what) in [
        ("blobs", "it is a symbolic link, which is not followed"),
        (
            "blobs/stage",
            "it is a symbolic link, which is not followed",
        ),
    ] {
        for is_there in [true, false] {
            let (root, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
            let (path, to) = (root.path().join(name), elsewhere.path().join("to"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if is_there {
                fs::create_dir(&to).unwrap();
            }
            symlink(&to, &path).unwrap();
            refused_at(root.path(), &path, what);
        }
    }
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("blobs"), "").unwrap();
    refused_at(
        root.path(),
        &root.path().join("blobs"),
        "it is no directory",
    );
}

/// Asserts that a store is not opened, and that its error names this path and says this.
fn refused_at(root: &Path, path: &Path, what: &str) {
    match Disk::open(root, &[], Readers::Owner) {
        Err(unfit @ BlobError::Unfit { .. }) => {
            let expected = format!("{}: {what}", path.display());
            assert!(unfit.to_string().starts_with(&expected), "{unfit}");
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("{} was opened", path.display()),
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}
