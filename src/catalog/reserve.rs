//! The disk reserve: space that is set aside in the data directory for changes that may not wait until a full disk has
//! room again.
//!
//! Whoever fills the disk, an organization by its uploads or another program, would else keep everybody from revoking a
//! link: its row needs blocks, too. So a file in the data directory, `reserve`, holds blocks that nothing is ever written
//! to.
//!
//! 1. A change that may spend it and failed for want of room begins once more. It holds the lock under which all others
//!    write, that of the catalogue or of the keyring, then takes the file's own lock, and cuts a part off its end.
//! 2. It is made with the blocks that are free now.
//! 3. What it left of them is taken back as soon as it is committed, by a task of its own, which goes on where the change's
//!    caller gives up. So until then counts, rows of uploads and the rows of any other process never come between, and a
//!    log that is written to the same disk has milliseconds.
//! 4. A gateway fills up what is missing once there is room for it above what uploads leave free ([`DiskReserve::fill`]).
//!
//! A change of SQLite's catalogue appends some ten to twenty pages of 4 KiB to the write-ahead log, and the log is
//! written back into the file at 1,000 pages. Where the log was lent to, it is written back and cut to nothing at once, so
//! that its blocks come back, too: what stays spent is what the catalogue grew by, which is a page now and then.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::park_timeout;
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use tokio::task::spawn_blocking;

/// The name of the file.
const FILE: &str = "reserve";

/// The bytes that are set aside: a write-ahead log of 1,000 pages, which takes 4 MiB, and as many pages that it grows the
/// catalogue by.
pub const RESERVE_BYTES: u64 = 8 << 20;

/// The part of it that is left to purges. Each gives back more than it takes, so that they never use it up: with it, a
/// disk of which not one block is free can be emptied again.
pub const PURGE_BYTES: u64 = 2 << 20;

/// The most that is lent at once: whoever else writes to the disk at that moment takes no more. It is the pages of the
/// largest change, or a keyring of the largest size, twice over.
pub const LENT_BYTES_MAX: u64 = 2 << 20;

/// The longest wait for the end of another loan. Whoever waits holds the lock of the catalogue.
const LOCK_TIME_MAX: Duration = Duration::from_secs(1);

/// The pause before trying again for the lock, which the system does not announce.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// The piece in which blocks are taken back: what is left free is less than that.
const PIECE_BYTES: u64 = 64 << 10;

/// The share of the reserve that a change may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// All but [`PURGE_BYTES`]: revocations, deletes and changes of keys.
    Changes,
    /// All of it: purges, and whatever must be had to begin at all.
    Purges,
}

/// The reserve of one data directory, which any number of processes share.
#[derive(Clone, Debug)]
pub struct DiskReserve {
    path: PathBuf,
}

/// Blocks that were lent: they are free until this is dropped, and nobody else is lent any. Dropping it waits on the disk.
#[must_use = "what is lent is taken back when this is dropped"]
#[derive(Debug)]
pub struct Loan {
    /// Locked.
    file: File,
}

/// The result of an attempt to fill the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// It is whole.
    Whole,
    /// There is no room for what is missing, above what is to be left free.
    Missing {
        /// The bytes that are missing.
        bytes: u64,
    },
}

impl DiskReserve {
    /// Returns the reserve of this data directory. Nothing is made.
    pub fn in_directory(directory: &Path) -> Self {
        Self {
            path: directory.join(FILE),
        }
    }

    /// Returns the reserve of the directory in which this catalogue is.
    pub(super) fn of_catalogue(path: &Path) -> Self {
        Self::in_directory(path.parent().unwrap_or(Path::new("")))
    }

    /// Returns its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns how many bytes are missing; all of them where there is no reserve.
    ///
    /// # Errors
    /// A file that cannot be looked at.
    pub fn missing(&self) -> io::Result<u64> {
        match self.path.metadata() {
            Ok(found) => Ok(RESERVE_BYTES.saturating_sub(allocated(&found))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(RESERVE_BYTES),
            Err(error) => Err(error),
        }
    }

    /// Fills it up to [`RESERVE_BYTES`], unless less than `free_min` bytes of the disk would then be free. Makes the file
    /// where there is none. Waits on the disk, and for nobody who is lent something: nothing is changed then.
    ///
    /// # Errors
    /// A file that cannot be made, and a file system that cannot set space aside.
    pub fn fill(&self, free_min: impl FnOnce(&File) -> io::Result<u64>) -> io::Result<Filled> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path)?;
        let before = allocated(&file.metadata()?);
        let bytes = RESERVE_BYTES.saturating_sub(before);
        if bytes == 0 {
            return Ok(Filled::Whole);
        }
        let now = fstatvfs(&file)?;
        let free = now.f_bavail.saturating_mul(now.f_frsize);
        let is_lent = file.try_lock().is_err();
        if is_lent || free < free_min(&file)?.saturating_add(bytes) {
            return Ok(Filled::Missing { bytes });
        }
        match fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES).map_err(io::Error::from) {
            Ok(()) => Ok(Filled::Whole),
            Err(error) if is_full(&error) => {
                // Somebody was quicker.
                file.set_len(before)?;
                Ok(Filled::Missing { bytes })
            }
            Err(error) => Err(error),
        }
    }

    /// Frees a part of what a change may spend. `None` where there is nothing of it left, or no reserve. Waits on the disk,
    /// and about a second at most for the end of another loan.
    ///
    /// # Errors
    /// A file that cannot be opened, locked or cut; `TimedOut` where the other loan does not end.
    pub fn lend(&self, share: Share) -> io::Result<Option<Loan>> {
        let file = match OpenOptions::new().write(true).open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        lock(&file)?;
        let before = allocated(&file.metadata()?);
        let kept = match share {
            Share::Changes => PURGE_BYTES,
            Share::Purges => 0,
        };
        let lent = before.saturating_sub(kept).min(LENT_BYTES_MAX);
        if lent == 0 {
            return Ok(None);
        }
        let left = before - lent;
        tracing::warn!(
            reserve_bytes = left,
            "the disk is full: a change that may not wait is made with room from the reserve"
        );
        let loan = Loan { file };
        loan.file.set_len(left)?;
        // A journal may hold freed blocks back until this is durable.
        loan.file.sync_all()?;
        Ok(Some(loan))
    }

    /// [`DiskReserve::lend`] on a thread that may wait for the disk. A reserve that cannot be had is logged, and lends
    /// nothing.
    pub(super) async fn borrow(&self, share: Share) -> Option<Loan> {
        let reserve = self.clone();
        let lent = spawn_blocking(move || reserve.lend(share)).await;
        let lent = lent.unwrap_or_else(|error| Err(io::Error::other(error)));
        lent.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot use the disk reserve, {}", self.path.display());
            None
        })
    }
}

impl Loan {
    /// Takes back what is left of it so far, on a thread that may wait for the disk. Nobody else is lent any yet.
    pub(super) async fn take_back_so_far(self) -> Option<Self> {
        let taken = spawn_blocking(move || {
            self.take_back_or_warn();
            self
        });
        taken.await.ok()
    }

    /// Takes back what is left of it, on a thread that may wait for the disk, and ends it.
    pub(super) async fn give_back(self) {
        if let Err(error) = spawn_blocking(move || drop(self)).await {
            tracing::warn!(%error, "cannot take the disk reserve back");
        }
    }

    fn take_back_or_warn(&self) {
        if let Err(error) = self.take_back() {
            tracing::warn!(%error, "cannot take the disk reserve back");
        }
    }

    /// Takes blocks piece by piece until the reserve is whole or the disk is full.
    fn take_back(&self) -> io::Result<()> {
        let mut at = allocated(&self.file.metadata()?);
        self.file.set_len(at)?;
        while at < RESERVE_BYTES {
            let piece = PIECE_BYTES.min(RESERVE_BYTES - at);
            match fallocate(&self.file, FallocateFlags::empty(), at, piece) {
                Ok(()) => at += piece,
                // Of a piece that does not fit, some blocks may be allocated.
                Err(_) => return self.file.set_len(at),
            }
        }
        Ok(())
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.take_back_or_warn();
    }
}

/// Locks the file, within [`LOCK_TIME_MAX`].
pub(super) fn lock(file: &File) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_TIME_MAX => {
                park_timeout(LOCK_PAUSE);
            }
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::TimedOut.into()),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
}

/// Returns whether the error says that there is no room.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Returns the bytes of a file that have blocks: a copy of a reserve may have none.
fn allocated(found: &std::fs::Metadata) -> u64 {
    /// The unit of `st_blocks`, whatever the file system's own is.
    const BLOCK_BYTES: u64 = 512;
    let blocks = found.blocks().saturating_mul(BLOCK_BYTES);
    blocks.min(found.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: fn(&File) -> io::Result<u64> = |_| Ok(0);

    fn place() -> (tempfile::TempDir, DiskReserve) {
        let directory = tempfile::tempdir().unwrap();
        let reserve = DiskReserve::in_directory(directory.path());
        (directory, reserve)
    }

    #[test]
    fn what_is_lent_is_taken_back_and_purges_have_the_last_of_it() {
        let (_directory, reserve) = place();
        assert!(reserve.lend(Share::Purges).unwrap().is_none(), "none yet");
        assert_eq!(reserve.missing().unwrap(), RESERVE_BYTES);
        assert_eq!(reserve.fill(NOTHING).unwrap(), Filled::Whole);
        assert_eq!(reserve.missing().unwrap(), 0);
        let loan = reserve.lend(Share::Changes).unwrap().unwrap();
        assert_eq!(reserve.missing().unwrap(), LENT_BYTES_MAX);
        let while_lent = reserve.fill(NOTHING).unwrap();
        let bytes = LENT_BYTES_MAX;
        assert_eq!(while_lent, Filled::Missing { bytes });
        drop(loan);
        assert_eq!(reserve.missing().unwrap(), 0);

        let file = OpenOptions::new().write(true).open(reserve.path()).unwrap();
        file.set_len(PURGE_BYTES + 4096).unwrap();
        let loan = reserve.lend(Share::Changes).unwrap().unwrap();
        assert_eq!(reserve.missing().unwrap(), RESERVE_BYTES - PURGE_BYTES);
        drop(loan);
        file.set_len(PURGE_BYTES).unwrap();
        assert!(reserve.lend(Share::Changes).unwrap().is_none());
        assert!(reserve.lend(Share::Purges).unwrap().is_some());
    }

    #[test]
    fn a_loan_is_refused_in_time_where_another_does_not_end() {
        let (_directory, reserve) = place();
        reserve.fill(NOTHING).unwrap();
        let loan = reserve.lend(Share::Changes).unwrap().unwrap();
        let late = reserve.lend(Share::Purges).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        drop(loan);
        assert!(reserve.lend(Share::Purges).unwrap().is_some());
    }

    #[test]
    fn a_reserve_leaves_free_what_uploads_leave_free() {
        let (_directory, reserve) = place();
        let bytes = RESERVE_BYTES;
        let nearly_all = |_: &File| Ok(u64::MAX - RESERVE_BYTES);
        let filled = reserve.fill(nearly_all).unwrap();
        assert_eq!(filled, Filled::Missing { bytes });
        assert_eq!(reserve.missing().unwrap(), bytes);
    }

    #[test]
    fn a_copy_without_blocks_is_no_reserve() {
        let (_directory, reserve) = place();
        let file = File::create(reserve.path()).unwrap();
        file.set_len(RESERVE_BYTES).unwrap();
        assert_eq!(reserve.missing().unwrap(), RESERVE_BYTES);
        assert!(reserve.lend(Share::Purges).unwrap().is_none());
        assert_eq!(reserve.fill(NOTHING).unwrap(), Filled::Whole);
        assert_eq!(reserve.missing().unwrap(), 0);
    }
}
