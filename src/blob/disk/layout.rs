//! The on-disk layout of blobs: `blobs/ab/cd/<32 hex>`, by the first four digits of the key.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{
    AtFlags, FileType, RenameFlags, fstatfs, mkdirat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::access::Access;
use super::beneath_root::{self, Unfit};
use super::failed;
use crate::blob::{Blob, BlobError};
use crate::model::id::BlobKey;
use crate::model::time::UnixSeconds;

const LISTING: &str = "listing blobs";
const PLACING: &str = "putting a blob into its place";

/// The directory `blobs/`.
pub(super) struct Layout {
    blobs: File,
    access: Access,
    /// True if a file that the kernel has in memory is opened there without asking anybody else.
    is_local: bool,
    /// The directories, as `ab` and `abcd`, whose own entries are known to survive a crash. At most
    /// one for each directory there can be: 65,792.
    durable: Mutex<HashSet<String>>,
}

/// The file systems of a machine's own disks, by their magic numbers (statfs(2)): ext4, XFS, Btrfs, F2FS, ZFS, tmpfs,
/// and overlayfs, which is made of these.
const LOCAL: [u64; 7] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0xf2f5_2010,
    0x2fc1_2fc1,
    0x0102_1994,
    0x794c_7630,
];

fn is_local(directory: &File) -> bool {
    fstatfs(directory).is_ok_and(|found| LOCAL.contains(&found.f_type.cast_unsigned()))
}

/// The three names that lead to a blob.
struct BlobPath {
    outer: String,
    inner: String,
    name: String,
}

impl Layout {
    /// The layout in an open directory.
    pub(super) fn new(blobs: File, access: Access) -> Self {
        Self {
            is_local: is_local(&blobs),
            blobs,
            access,
            durable: Mutex::default(),
        }
    }

    /// The directory itself.
    pub(super) fn directory(&self) -> &File {
        &self.blobs
    }

    /// Opens a blob that has `size` bytes; anything else is `Damaged`.
    pub(super) fn open(&self, key: BlobKey, size: u64) -> Result<Blob, BlobError> {
        let damaged = |what: String| BlobError::Damaged {
            what: format!("blob {key}: {what}"),
        };
        match beneath_root::regular(&self.blobs, &BlobPath::of(key).path()) {
            Ok((file, metadata)) if metadata.len() == size => {
                if self.access.is_shared() {
                    // A failure shows at the reader: for us the blob is open.
                    let _ = self.let_group_in(key, &file);
                }
                Ok(Blob::File {
                    file: Arc::new(file),
                    size,
                    opened: None,
                })
            }
            Ok((_, metadata)) => Err(damaged(format!(
                "{size} bytes expected, {found} found",
                found = metadata.len()
            ))),
            Err(Unfit::Odd(why)) => Err(damaged(why.to_owned())),
            Err(Unfit::Failed(error)) => Err(failed("opening a blob")(error)),
        }
    }

    /// Opens a blob as [`Layout::open`] does, where that waits for nothing. `None` where it would, and for whatever is
    /// wrong with the blob.
    pub(super) fn open_in_memory(&self, key: BlobKey, size: u64) -> Option<Blob> {
        if !self.is_local || self.access.is_shared() {
            return None;
        }
        let path = BlobPath::of(key).path();
        let (file, metadata) = beneath_root::regular_in_memory(&self.blobs, &path)?;
        (metadata.len() == size).then(|| Blob::File {
            file: Arc::new(file),
            size,
            opened: None,
        })
    }

    /// Moves the file of that name, written and synced, from `stages` to its place, and answers when
    /// it would be found there after a power loss. A blob that is there already is an error. After an
    /// error nothing is at that place that was not there before.
    pub(super) fn place(&self, stages: &File, key: BlobKey) -> Result<(), BlobError> {
        let BlobPath { outer, inner, name } = BlobPath::of(key);
        let path = format!("{outer}{inner}");
        let outer_directory = self.make(&self.blobs, &outer, &outer)?;
        let inner_directory = self.make(&outer_directory, &inner, &path)?;
        let no_replace = RenameFlags::NOREPLACE;
        renameat_with(stages, &name, &inner_directory, &name, no_replace).map_err(|errno| {
            match errno {
                Errno::XDEV => failed(PLACING)(io::Error::other(format!(
                    "blobs/{outer}/{inner} lies on another file system than blobs/: mount one at blobs/"
                ))),
                errno => failed(PLACING)(errno),
            }
        })?;

        // From the innermost on: on a journalling file system the first sync then carries the others.
        let synced = inner_directory
            .sync_all()
            .and_then(|()| self.sync_once(&path, &outer_directory))
            .and_then(|()| self.sync_once(&outer, &self.blobs));
        synced.map_err(|error| {
            // Nobody will be told of it, so at best nobody can find it either; else it is garbage.
            let _ = unlinkat(&inner_directory, &name, AtFlags::empty());
            failed("syncing a directory of blobs")(error)
        })
    }

    /// Removes a blob; one that is gone is no error. After a power loss it can be there again.
    pub(super) fn remove(&self, key: BlobKey) -> Result<(), BlobError> {
        let doing = "removing a blob";
        let BlobPath { outer, inner, name } = BlobPath::of(key);
        let directory = match beneath_root::directory(&self.blobs, &Path::new(&outer).join(inner)) {
            Ok(directory) => directory,
            // A directory that is none of ours holds no blob of ours.
            Err(Unfit::Odd(_)) => return Ok(()),
            Err(Unfit::Failed(error)) => return Err(failed(doing)(error)),
        };
        match unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed(doing)(errno)),
        }
    }

    /// Returns up to `limit` blobs after `after`, in key order, with the times of their commits. What is no blob is
    /// passed over. Reads one directory at a time, and none that lies wholly before `after`.
    pub(super) fn list(
        &self,
        after: Option<BlobKey>,
        limit: usize,
    ) -> Result<Vec<(BlobKey, UnixSeconds)>, BlobError> {
        let start = after.map(|key| key.to_string()).unwrap_or_default();
        let mut found = Vec::new();
        for outer in fan_out(&self.blobs, "", &start)? {
            let Some(outer_directory) = enter(&self.blobs, &outer)? else {
                continue;
            };
            for inner in fan_out(&outer_directory, &outer, &start)? {
                let Some(directory) = enter(&outer_directory, &inner)? else {
                    continue;
                };
                let prefix = format!("{outer}{inner}");
                append(&mut found, &directory, &prefix, after, limit)?;
                if found.len() >= limit {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// Makes the directory `name`, or finds it made, and opens it. One found may have been made by
    /// another process just now, so only [`Self::sync_once`] knows of its durability.
    fn make(&self, parent: &File, name: &str, path: &str) -> Result<File, BlobError> {
        match mkdirat(parent, name, self.access.directory_mode()) {
            Ok(()) => {
                self.durable().remove(path);
            }
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed(PLACING)(errno)),
        }
        let directory =
            beneath_root::directory(parent, Path::new(name)).map_err(failed(PLACING))?;
        let opened = self.access.open_directory(&directory);
        opened.map_err(failed(PLACING))?;
        Ok(directory)
    }

    /// Opens a blob to the group that was stored when it was for its owner alone, or for another group.
    fn let_group_in(&self, key: BlobKey, file: &File) -> io::Result<()> {
        let BlobPath { outer, inner, .. } = BlobPath::of(key);
        for path in [PathBuf::from(&outer), Path::new(&outer).join(inner)] {
            let directory = beneath_root::directory(&self.blobs, &path);
            let directory = directory.map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
            self.access.open_directory(&directory)?;
        }
        self.access.open_blob(file)
    }

    /// Syncs `parent` unless the entry of its child `path` is known to be durable.
    fn sync_once(&self, path: &str, parent: &File) -> io::Result<()> {
        if !self.durable().contains(path) {
            parent.sync_all()?;
            self.durable().insert(path.to_owned());
        }
        Ok(())
    }

    fn durable(&self) -> MutexGuard<'_, HashSet<String>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the path of a blob below `blobs/`.
pub(super) fn path_of(key: BlobKey) -> PathBuf {
    BlobPath::of(key).path()
}

impl BlobPath {
    fn of(key: BlobKey) -> Self {
        let name = key.to_string();
        let (outer, rest) = name.split_at(2);
        let (inner, _) = rest.split_at(2);
        Self {
            outer: outer.to_owned(),
            inner: inner.to_owned(),
            name,
        }
    }

    fn path(&self) -> PathBuf {
        [&self.outer, &self.inner, &self.name].iter().collect()
    }
}

/// The directories of two hex digits in `directory` that can hold a key behind `start`.
fn fan_out(directory: &File, prefix: &str, start: &str) -> Result<Vec<String>, BlobError> {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let reached = |name: &str| {
        let whole = format!("{prefix}{name}");
        start
            .get(..whole.len())
            .is_none_or(|start| *whole >= *start)
    };
    beneath_root::names(directory, |name| {
        (name.len() == 2 && name.bytes().all(digit) && reached(name)).then(|| name.to_owned())
    })
    .map_err(failed(LISTING))
}

fn enter(parent: &File, name: &str) -> Result<Option<File>, BlobError> {
    match beneath_root::directory(parent, Path::new(name)) {
        Ok(directory) => Ok(Some(directory)),
        Err(Unfit::Odd(_)) => Ok(None),
        Err(Unfit::Failed(error)) => Err(failed(LISTING)(error)),
    }
}

/// Appends the blobs of one directory until there are `limit`.
fn append(
    found: &mut Vec<(BlobKey, UnixSeconds)>,
    directory: &File,
    prefix: &str,
    after: Option<BlobKey>,
    limit: usize,
) -> Result<(), BlobError> {
    let following = |name: &str| {
        let key = BlobKey::parse(name)?;
        (name.starts_with(prefix) && Some(key) > after).then_some(key)
    };
    for key in beneath_root::names(directory, following).map_err(failed(LISTING))? {
        if found.len() >= limit {
            break;
        }
        match statat(directory, key.to_string(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(seen) if FileType::from_raw_mode(seen.st_mode) == FileType::RegularFile => {
                // It is only compared.
                found.push((key, UnixSeconds::clamped(seen.st_mtime)));
            }
            // Something else of that name, or removed just now.
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed(LISTING)(errno)),
        }
    }
    Ok(())
}
