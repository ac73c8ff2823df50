//! Blobs on a local disk.
//!
//! A root directory holds `blobs/ab/cd/<32 hex>`, the blobs, and `blobs/stage/<32 hex>`, those being written.
//! Several processes may work on one root. `blobs/` may be a file system of its own, mounted there. It must be
//! one file system that can rename without replacing (ext4, XFS, Btrfs, tmpfs and most others; not NFS), on
//! Linux 5.6 or later.
//!
//! A commit is: sync the file, rename it to its place, sync the directory. A rename is the one moment
//! at which a blob comes to be, and its bytes were on the disk before.

use std::fs::{DirBuilder, File};
use std::future::ready;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::fstatvfs;

use super::blocking::blocking;
use super::{Blob, BlobError, BlobFuture, BlobStore, Identified, Presign, Registered, Staged};
use crate::model::file::BlobLocation;
use crate::model::id::BlobKey;
use crate::model::time::UnixSeconds;

mod access;
mod beneath_root;
mod in_place;
mod layout;
mod stage;
#[cfg(test)]
mod tests;

use access::Access;
use beneath_root::Unfit;
use in_place::Roots;
use layout::Layout;
use stage::DiskStage;

/// The directory of the blobs, below the root.
const BLOBS: &str = "blobs";

/// The directory of those being written, below that of the blobs: on the same file system, whatever is mounted.
const STAGE: &str = "stage";

/// The directory, below the root, in which earlier versions wrote. Nothing is written there any more, and its files are
/// swept.
const STAGE_BEFORE: &str = "stage";

/// The least that is left free where nothing else is said: what the rows of thousands of changes need.
pub const FREE_MIN_LEAST: u64 = 8 << 20;

/// The most that is left free where nothing else is said.
pub const FREE_MIN_MOST: u64 = 1 << 30;

const OPENING: &str = "opening a store of blobs";

/// A blob store in a directory. Cloning is a reference count.
#[derive(Clone)]
pub struct Disk {
    directories: Arc<Directories>,
    roots: Arc<Roots>,
    /// The bytes that writing a blob leaves free.
    free_min: u64,
}

/// The directories of one root, open.
struct Directories {
    root: File,
    layout: Layout,
    stages: File,
    access: Access,
}

/// The users who may read blobs besides us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readers {
    /// Nobody: blobs are mode 0600.
    #[default]
    Owner,
    /// The group of the store's directory, for a proxy that sends them itself: blobs are mode 0640 and of that
    /// group, and so are the directories on the way to them, which let it through.
    Group,
}

impl Disk {
    /// Opens the store in `root`, and makes it (mode 0700) where it is not there yet. Files may be
    /// registered in place below `in_place_roots`, which must exist; each may be, or lie behind, a
    /// symbolic link, which is followed now and never again.
    ///
    /// Blobs that `readers` may not read yet, by their mode or their group, are given to them when they are next
    /// opened; access that they have already is not taken back.
    ///
    /// Waits on the disk: it is for the start of a process.
    ///
    /// # Errors
    /// [`BlobError::Unfit`] where `blobs/` is a symbolic link, where blobs cannot be renamed into it, or where this
    /// process cannot give them to the group that shall read them.
    pub fn open(
        root: &Path,
        in_place_roots: &[PathBuf],
        readers: Readers,
    ) -> Result<Self, BlobError> {
        let directories = Directories::open(root, readers)?;
        let roots = Roots::open(in_place_roots).map_err(failed("opening an in-place root"))?;
        Ok(Self {
            directories: Arc::new(directories),
            roots: Arc::new(roots),
            free_min: 0,
        })
    }

    /// Writes no blob that would leave less than this free on the blobs' file system: rows that delete and revoke need room,
    /// too. `None`: a twentieth of it, but [`FREE_MIN_LEAST`] to [`FREE_MIN_MOST`], and nothing where it has no size, as a
    /// tmpfs without a limit.
    ///
    /// # Errors
    /// [`BlobError::Io`] if the file system cannot be asked.
    pub fn with_min_free_space(mut self, free_min: Option<u64>) -> Result<Self, BlobError> {
        let least = least_free(&self.directories.stages, free_min);
        self.free_min = least.map_err(failed(OPENING))?;
        Ok(self)
    }

    async fn with<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Arc<Directories>) -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        let directories = Arc::clone(&self.directories);
        blocking(doing, move || work(&directories)).await
    }
}

impl BlobStore for Disk {
    fn stage(&self, key: BlobKey) -> BlobFuture<'_, Box<dyn Staged>> {
        let free_min = self.free_min;
        Box::pin(self.with("making a stage", move |directories| {
            Ok(Box::new(DiskStage::create(directories, key, free_min)?) as Box<dyn Staged>)
        }))
    }

    fn open<'a>(&'a self, location: &'a BlobLocation, size: u64) -> BlobFuture<'a, Blob> {
        match location.clone() {
            BlobLocation::Stored(key) => {
                if let Some(blob) = self.directories.layout.open_in_memory(key, size) {
                    return Box::pin(ready(Ok(blob)));
                }
                Box::pin(self.with("opening a blob", move |to| to.layout.open(key, size)))
            }
            BlobLocation::InPlace(file) => {
                let roots = Arc::clone(&self.roots);
                let work = move || roots.open_registered(&file, size);
                Box::pin(blocking("opening a file in place", work))
            }
        }
    }

    fn path_below(&self, location: &BlobLocation) -> Option<PathBuf> {
        match location {
            BlobLocation::Stored(key) => Some(Path::new(BLOBS).join(layout::path_of(*key))),
            BlobLocation::InPlace(_) => None,
        }
    }

    fn presign<'a>(
        &'a self,
        _location: &'a BlobLocation,
        _asked: &'a Presign<'a>,
    ) -> BlobFuture<'a, Option<String>> {
        Box::pin(async { Ok(None) })
    }

    fn take_ownership(&self) -> BlobFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn expect_no_other(&self) -> BlobFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn is_reachable(&self, probe: BlobKey) -> BlobFuture<'_, ()> {
        Box::pin(self.with("trying to write a blob", move |to| {
            to.layout.list(None, 1)?;
            stage::probe(to, probe)
        }))
    }

    fn remove(&self, key: BlobKey) -> BlobFuture<'_, ()> {
        Box::pin(self.with("removing a blob", move |to| to.layout.remove(key)))
    }

    fn register<'a>(&'a self, path: &'a Path) -> BlobFuture<'a, Registered> {
        let (roots, path) = (Arc::clone(&self.roots), path.to_owned());
        let find = move || roots.candidate(&path);
        Box::pin(async { blocking("opening a file", find).await?.register().await })
    }

    fn identify<'a>(&'a self, path: &'a Path) -> BlobFuture<'a, Identified> {
        let (roots, path) = (Arc::clone(&self.roots), path.to_owned());
        let look = move || roots.candidate(&path)?.identify();
        Box::pin(blocking("looking at a file", look))
    }

    fn sweep_stages(&self, limit: usize) -> BlobFuture<'_, usize> {
        Box::pin(self.with("sweeping stages", move |to| to.sweep(limit)))
    }

    fn abandoned_stages(&self) -> BlobFuture<'_, usize> {
        Box::pin(self.with("counting stages", |to| to.abandoned()))
    }

    fn list(
        &self,
        after: Option<BlobKey>,
        limit: usize,
    ) -> BlobFuture<'_, Vec<(BlobKey, UnixSeconds)>> {
        Box::pin(self.with("listing blobs", move |to| to.layout.list(after, limit)))
    }
}

impl Directories {
    /// Makes `blobs/` and `blobs/stage/` durably, and opens both.
    fn open(root: &Path, readers: Readers) -> Result<Self, BlobError> {
        let path = std::path::absolute(root).map_err(failed(OPENING))?;
        let (blobs_path, stage_path) = (path.join(BLOBS), path.join(BLOBS).join(STAGE));
        make_durably(&blobs_path).map_err(unopened(&blobs_path))?;
        let root = File::open(&path).map_err(unopened(&path))?;
        let blobs =
            beneath_root::directory(&root, Path::new(BLOBS)).map_err(unopened(&blobs_path))?;
        let access = Access::of(readers, &root, &path)?;
        for (directory, path) in [(&root, &path), (&blobs, &blobs_path)] {
            access.open_directory(directory).map_err(unopened(path))?;
        }
        make_durably(&stage_path).map_err(unopened(&stage_path))?;
        let stages = beneath_root::directory_beside(&blobs, Path::new(STAGE));
        let stages = stages.map_err(unopened(&stage_path))?;
        Ok(Self {
            root,
            layout: Layout::new(blobs, access),
            stages,
            access,
        })
    }

    /// Removes up to `limit` abandoned stages, and probes whose process died.
    fn sweep(&self, limit: usize) -> Result<usize, BlobError> {
        let mut removed = stage::sweep(&self.stages, limit)?;
        removed += stage::sweep(self.layout.directory(), limit - removed)?;
        if let Some(before) = self.stages_before() {
            removed += stage::sweep(&before, limit - removed)?;
        }
        Ok(removed)
    }

    /// Returns how many stages [`Self::sweep`] would find.
    fn abandoned(&self) -> Result<usize, BlobError> {
        let before = self.stages_before().map(|before| stage::abandoned(&before));
        let here = [&self.stages, self.layout.directory()].map(stage::abandoned);
        here.into_iter().chain(before).sum()
    }

    /// Returns the directory in which an earlier version may be writing now, or was. A link there is not followed.
    fn stages_before(&self) -> Option<File> {
        beneath_root::directory(&self.root, Path::new(STAGE_BEFORE)).ok()
    }
}

/// Returns the bytes that are to be left free on the file system of `file`: `free_min`, or else a twentieth of it, but
/// [`FREE_MIN_LEAST`] to [`FREE_MIN_MOST`], and nothing where it has no size.
///
/// # Errors
/// A file system that cannot be asked.
pub fn least_free(file: &File, free_min: Option<u64>) -> io::Result<u64> {
    if let Some(free_min) = free_min {
        return Ok(free_min);
    }
    let whole = fstatvfs(file)?;
    let twentieth = whole.f_blocks.saturating_mul(whole.f_frsize) / 20;
    Ok(match whole.f_blocks {
        0 => 0,
        _ => twentieth.clamp(FREE_MIN_LEAST, FREE_MIN_MOST),
    })
}

/// Makes a directory and those above it, each synced into its parent, so that no power loss can take
/// a directory with blobs in it.
fn make_durably(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    let make = || DirBuilder::new().mode(0o700).create(path);
    let made = match make() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_durably(parent)?;
            make()
        }
        made => made,
    };
    match made {
        // One that is there may have been made by another process just now, and not be synced yet.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => File::open(parent)?.sync_all(),
    }
}

/// Returns the error of a directory of the store that could not be opened or made.
fn unopened<E: Into<Unfit>>(path: &Path) -> impl Fn(E) -> BlobError {
    move |error| match error.into() {
        Unfit::Odd(why) => BlobError::Unfit {
            path: path.to_owned(),
            why: why.to_owned(),
        },
        Unfit::Failed(error) => failed(OPENING)(named(path)(error)),
    }
}

/// Puts the path in front of an error.
fn named(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Returns the meaning of an operating system's error while `doing` something.
fn failed<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> BlobError {
    move |error| {
        let source = error.into();
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => BlobError::NoSpace { doing },
            _ => BlobError::Io { doing, source },
        }
    }
}
