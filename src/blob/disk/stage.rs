//! Blobs being written: files in `blobs/stage/`, each locked by the process that writes it.
//!
//! The lock tells a stage from garbage: the kernel drops it when the process ends, however it
//! ends. So any process may sweep while any other writes, and nobody's clock is asked.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rustix::fs::{AtFlags, OFlags, RenameFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::fs::{fstatvfs, futimens, openat, renameat_with, unlinkat};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::beneath_root::{self, Unfit};
use super::{Directories, failed};
use crate::blob::blocking::blocking;
use crate::blob::content::{ContentFindings, ContentHasher};
use crate::blob::staged::{Hand, WRITING, begin};
use crate::blob::{BlobError, BlobFuture, Staged, StoredBlob};
use crate::model::id::BlobKey;

/// Bytes gathered before they are hashed and written, so that threads are changed seldom. A stage holds
/// this twice, once being filled and once being hashed and written: a hundred uploads at once take about
/// 52 MB.
const GATHERED_BYTES_MAX: usize = 256 * 1024;

const PROBING: &str = "trying to write a blob";
const SWEEPING: &str = "sweeping stages";

/// The staged write that the port hands out. One thread hashes the gathered bytes and another one writes them, beside
/// each other and beside the bytes that come in meanwhile.
pub(super) struct DiskStage {
    gathered: BytesMut,
    /// The buffer that was handed out last, to be filled again.
    handed_out: Bytes,
    pen: Hand<Pen>,
    hasher: Hand<ContentHasher>,
    /// True as long as every call ran to its end and was good.
    sound: bool,
}

/// A locked file in `blobs/stage/`, and the state of its writing. Dropped before it was published, it removes
/// its file. Every call waits on the disk.
struct Pen {
    directories: Arc<Directories>,
    key: BlobKey,
    file: File,
    size: u64,
    /// The bytes that it leaves free.
    free_min: u64,
    published: bool,
}

impl DiskStage {
    /// Makes the stage's file, which leaves `free_min` bytes free beside it. Waits on the disk.
    pub(super) fn create(
        directories: &Arc<Directories>,
        key: BlobKey,
        free_min: u64,
    ) -> Result<Self, BlobError> {
        Ok(Self {
            gathered: BytesMut::new(),
            handed_out: Bytes::new(),
            pen: Hand::Ours(Pen::create(directories, key, free_min)?),
            hasher: Hand::Ours(ContentHasher::default()),
            sound: true,
        })
    }

    async fn gather(&mut self, mut chunk: Bytes) -> Result<(), BlobError> {
        while !chunk.is_empty() {
            let room = GATHERED_BYTES_MAX - self.gathered.len();
            let part = chunk.split_to(room.min(chunk.len()));
            self.gathered.extend_from_slice(&part);
            if self.gathered.len() == GATHERED_BYTES_MAX {
                self.await_both().await?;
                let pen = self.pen.take()?;
                let full = self.swap_gathered();
                self.hasher.hash(full.clone())?;
                self.pen = Hand::Away(spawn_blocking(move || pen.write(&full)));
            }
        }
        Ok(())
    }

    /// Waits until pen and hasher are back from the background. Dropped while it waits, it leaves both where they were.
    async fn await_both(&mut self) -> Result<(), BlobError> {
        self.hasher.come_back().await?;
        self.pen.come_back().await
    }

    /// Takes the gathered bytes. The next ones are gathered in the buffer before, if nobody reads that any more.
    fn swap_gathered(&mut self) -> Bytes {
        let mut next = std::mem::take(&mut self.handed_out)
            .try_into_mut()
            .unwrap_or_default();
        next.clear();
        let full = std::mem::replace(&mut self.gathered, next).freeze();
        self.handed_out = full.clone();
        full
    }
}

impl Staged for DiskStage {
    fn write(&mut self, chunk: Bytes) -> BlobFuture<'_, ()> {
        Box::pin(async move {
            begin(&mut self.sound)?;
            self.gather(chunk).await?;
            self.sound = true;
            Ok(())
        })
    }

    fn commit(mut self: Box<Self>) -> BlobFuture<'static, StoredBlob> {
        Box::pin(async move {
            begin(&mut self.sound)?;
            self.await_both().await?;
            let (pen, mut hasher) = (self.pen.take()?, self.hasher.take()?);
            let rest = std::mem::take(&mut self.gathered);
            blocking("committing a blob", move || {
                hasher.update(&rest);
                let findings = hasher.finish();
                pen.write(&rest)?.publish(findings)
            })
            .await
        })
    }
}

impl Drop for DiskStage {
    fn drop(&mut self) {
        // Removing a file waits on the disk, so it happens where the writing does. A write that is
        // still running drops the pen, and so removes the file, when it ends.
        match (
            std::mem::replace(&mut self.pen, Hand::Gone),
            Handle::try_current(),
        ) {
            (Hand::Gone, _) => {}
            (hand, Ok(runtime)) => drop(runtime.spawn_blocking(|| drop(hand))),
            (hand, Err(_)) => drop(hand),
        }
    }
}

impl Pen {
    fn create(
        directories: &Arc<Directories>,
        key: BlobKey,
        free_min: u64,
    ) -> Result<Self, BlobError> {
        let doing = "making a stage";
        let name = key.to_string();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        loop {
            let access = directories.access;
            let mode = access.blob_mode();
            let file = openat(&directories.stages, &name, flags, mode).map_err(failed(doing))?;
            let file = File::from(file);
            access.open_blob(&file).map_err(failed(doing))?;
            // A sweeper that sees the file before it is locked takes it for abandoned. It then holds
            // the lock until the file is gone, and a new one must be made.
            file.lock().map_err(failed(doing))?;
            if beneath_root::is_named(&directories.stages, &name, &file).map_err(failed(doing))? {
                let pen = Self {
                    directories: Arc::clone(directories),
                    key,
                    file,
                    size: 0,
                    free_min,
                    published: false,
                };
                pen.check_free_space(0)?;
                return Ok(pen);
            }
        }
    }

    /// Refuses `more` bytes where writing them would leave less than the minimum free.
    fn check_free_space(&self, more: usize) -> Result<(), BlobError> {
        if self.free_min == 0 {
            return Ok(());
        }
        let now = fstatvfs(&self.file).map_err(failed(WRITING))?;
        let free = now.f_bavail.saturating_mul(now.f_frsize);
        if free < self.free_min.saturating_add(more as u64) {
            return Err(BlobError::NoSpace { doing: WRITING });
        }
        Ok(())
    }

    fn write(mut self, bytes: &[u8]) -> Result<Self, BlobError> {
        self.check_free_space(bytes.len())?;
        self.file.write_all(bytes).map_err(failed(WRITING))?;
        self.size += bytes.len() as u64;
        Ok(self)
    }

    /// Syncs the file, then gives it its place. A sync that failed is not tried again, as the kernel
    /// reports lost pages only once: the stage is lost with them.
    fn publish(mut self, findings: ContentFindings) -> Result<StoredBlob, BlobError> {
        // The file's time is the time of the commit, also where the last byte came long before.
        let now = Timestamps {
            last_access: time(UTIME_OMIT),
            last_modification: time(UTIME_NOW),
        };
        futimens(&self.file, &now).map_err(failed(WRITING))?;
        self.file.sync_all().map_err(failed("syncing a blob"))?;
        self.directories
            .layout
            .place(&self.directories.stages, self.key)?;
        self.published = true;
        Ok(StoredBlob {
            key: self.key,
            size: self.size,
            sha256: findings.sha256,
            crc32: findings.crc32,
            text: findings.text,
        })
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        if !self.published {
            // Before the lock goes with the file. Where it fails, a sweep finds an unlocked stage.
            let name = self.key.to_string();
            let _ = unlinkat(&self.directories.stages, name, AtFlags::empty());
        }
    }
}

/// Does once all that an upload does: writes a file, syncs it, renames it to where blobs are, syncs that
/// directory; and removes the file. What a process that died left there is swept as a stage is.
pub(super) fn probe(directories: &Arc<Directories>, key: BlobKey) -> Result<(), BlobError> {
    let (blobs, name) = (directories.layout.directory(), key.to_string());
    // A probe may use the space that uploads leave free: a gateway that takes no uploads serves on.
    let mut pen = Pen::create(directories, key, 0)?.write(b"probe")?;
    pen.file.sync_all().map_err(failed(PROBING))?;
    let no_replace = RenameFlags::NOREPLACE;
    renameat_with(&directories.stages, &name, blobs, &name, no_replace).map_err(failed(PROBING))?;
    pen.published = true;
    let synced = blobs.sync_all();
    unlinkat(blobs, &name, AtFlags::empty()).map_err(failed(PROBING))?;
    synced.map_err(failed(PROBING))
}

/// Removes up to `limit` unlocked stages. Files whose names are no keys are left alone.
pub(super) fn sweep(stages: &File, limit: usize) -> Result<usize, BlobError> {
    let keys = beneath_root::names(stages, BlobKey::parse).map_err(failed(SWEEPING))?;
    let mut removed = 0;
    for key in keys {
        if removed == limit {
            break;
        }
        removed += usize::from(sweep_one(stages, &key.to_string())?);
    }
    Ok(removed)
}

/// Returns the number of stages that [`sweep`] would remove.
pub(super) fn abandoned(stages: &File) -> Result<usize, BlobError> {
    let mut abandoned = 0;
    for key in beneath_root::names(stages, BlobKey::parse).map_err(failed(SWEEPING))? {
        abandoned += usize::from(held(stages, &key.to_string())?.is_some());
    }
    Ok(abandoned)
}

/// Removes one stage if nobody holds it.
pub(super) fn sweep_one(stages: &File, name: &str) -> Result<bool, BlobError> {
    let Some(_held) = held(stages, name)? else {
        return Ok(false);
    };
    unlinkat(stages, name, AtFlags::empty()).map_err(failed(SWEEPING))?;
    Ok(true)
}

/// Takes the lock of one stage, if nobody has it. Whether the name still is the file is asked under the
/// lock: before, it may have been committed, or swept and made anew.
fn held(stages: &File, name: &str) -> Result<Option<File>, BlobError> {
    let file = match beneath_root::regular(stages, Path::new(name)) {
        Ok((file, _)) => file,
        Err(Unfit::Odd(_)) => return Ok(None),
        Err(Unfit::Failed(error)) => return Err(failed(SWEEPING)(error)),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(failed(SWEEPING)(error)),
    }
    let is_named = beneath_root::is_named(stages, name, &file).map_err(failed(SWEEPING))?;
    Ok(is_named.then_some(file))
}

fn time(nanoseconds: i64) -> Timespec {
    Timespec {
        tv_sec: 0,
        tv_nsec: nanoseconds,
    }
}
