//! Reading from an open blob.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::blocking::blocking;
use super::{Blob, BlobError, BlobFuture, ObjectStream};
use crate::page_cache;

const READING: &str = "reading a blob";
const CHECKING: &str = "looking at an open blob";

/// The most reads that wait for a disk at once, in the whole process. They wait on threads that others need, too.
const WAITING_MAX: usize = 64;

static WAITING: Semaphore = Semaphore::const_new(WAITING_MAX);

/// The distance between probes of a part for whether it is in memory: as much as a kernel commonly reads ahead.
const PROBE_BYTES: u64 = 256 * 1024;

/// The bytes of one read that only brings bytes into memory.
const FETCH_BYTES: usize = 128 * 1024;

/// The state of an open file: its times, which change with it. Equal for bytes in memory, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Time of the last modification of its bytes, in seconds since 1970 and nanoseconds.
    modified: (i64, i64),
    /// Time of the last change of any kind, which nobody can set back. Only of a file that somebody else keeps: the
    /// mode, the group and the links of our own may change, and its bytes never do.
    changed: Option<(i64, i64)>,
}

impl Stamp {
    /// Returns the stamp of a file that somebody else keeps.
    pub(super) fn of_foreign(found: &Metadata) -> Self {
        Self {
            modified: (found.mtime(), found.mtime_nsec()),
            changed: Some((found.ctime(), found.ctime_nsec())),
        }
    }

    fn of_ours(found: &Metadata) -> Self {
        Self {
            modified: (found.mtime(), found.mtime_nsec()),
            changed: None,
        }
    }
}

impl Blob {
    /// Length in bytes, as it was when the blob was opened.
    pub fn size(&self) -> u64 {
        match self {
            Self::File { size, .. } => *size,
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Object(object) => object.size(),
        }
    }

    /// Checks that all bytes are still there: a file that was cut short or removed after it was opened is `Damaged`,
    /// and so is an object that is another one now.
    pub fn check(&self) -> BlobFuture<'static, ()> {
        let blob = self.clone();
        Box::pin(async move {
            let (file, size) = match blob {
                Self::File { file, size, .. } => (file, size),
                Self::Memory(_) => return Ok(()),
                Self::Object(object) => return object.check().await,
            };
            blocking(CHECKING, move || {
                let found = metadata(&file)?;
                let (links, length) = (found.nlink(), found.len());
                if links > 0 && length == size {
                    return Ok(());
                }
                let what = format!("an open file of {size} bytes has {length} and {links} names");
                Err(BlobError::Damaged { what })
            })
            .await
        })
    }

    /// Reads exactly the `length` bytes from `offset` on, held in memory: ask for a part that may be.
    ///
    /// The part must lie inside the blob; one that does not is an `Io` error of the kind
    /// `InvalidInput`. A file that was cut short after it was opened is `Damaged`, and so is one that somebody else
    /// keeps and that was changed. There are never fewer bytes than asked for. Dropping the answer lets a read that
    /// has begun run to its end unseen.
    pub fn read_at(&self, offset: u64, length: usize) -> BlobFuture<'static, Bytes> {
        let blob = self.clone();
        Box::pin(async move {
            check_inside(blob.size(), offset, length)?;
            let (file, opened) = match blob {
                Self::Memory(bytes) => {
                    // Inside the bytes, so it fits.
                    let start = usize::try_from(offset).unwrap_or(bytes.len());
                    return Ok(bytes.slice(start..start + length));
                }
                Self::Object(object) => return object.read(offset, offset + length as u64).await,
                Self::File { file, opened, .. } => (file, opened),
            };
            let mut bytes = vec![0; length];
            // Bytes in memory are read here and now.
            let at_hand = page_cache::read_now(&file, &mut bytes, offset).unwrap_or(0);
            if at_hand == length {
                expect_unchanged(&file, opened)?;
                return Ok(bytes.into());
            }
            waiting(move || {
                let (rest, missing) = (offset + at_hand as u64, bytes.get_mut(at_hand..));
                file.read_exact_at(missing.unwrap_or_default(), rest)
                    .map_err(|error| unread(error, offset, length))?;
                expect_unchanged(&file, opened)?;
                Ok(bytes.into())
            })
            .await
        })
    }

    /// Streams the bytes from `start` up to `end`, which lie inside the blob, from a store that sends them piece by
    /// piece; `None` of a blob that is read by [`Blob::read_at`]. Where memory is scarce the store is asked for
    /// `first` bytes at most at first.
    pub fn stream(&self, start: u64, end: u64, first: usize) -> Option<Box<dyn ObjectStream>> {
        match self {
            Self::Object(object) => Some(Arc::clone(object).stream(start, end, first)),
            Self::File { .. } | Self::Memory(_) => None,
        }
    }

    /// Returns whether a part can be sent without waiting for a disk, as far as probes tell. Never waits itself.
    pub fn is_at_hand(&self, offset: u64, length: usize) -> bool {
        let Self::File { file, .. } = self else {
            return true;
        };
        let Some(last) = (offset + length as u64).checked_sub(1) else {
            return true;
        };
        let step = usize::try_from(PROBE_BYTES).unwrap_or(usize::MAX);
        (offset..last)
            .step_by(step)
            .chain([last])
            .all(|at| page_cache::has_byte(file, at))
    }

    /// Brings a part that lies inside the blob into memory. A file that was cut short after it was opened
    /// is `Damaged`. Dropping the answer lets a read that has begun run to its end.
    pub fn fetch(&self, offset: u64, length: usize) -> BlobFuture<'static, ()> {
        let blob = self.clone();
        Box::pin(async move {
            let Self::File { file, .. } = blob else {
                return Ok(());
            };
            waiting(move || {
                let (mut bytes, mut next) = (vec![0; FETCH_BYTES.min(length)], offset);
                let end = offset + length as u64;
                while next < end {
                    let read = file.read_at(&mut bytes, next);
                    let read = read.map_err(|error| unread(error, offset, length))?;
                    if read == 0 {
                        return Err(unread(io::ErrorKind::UnexpectedEof.into(), offset, length));
                    }
                    next += read as u64;
                }
                Ok(())
            })
            .await
        })
    }

    /// Returns the state of the open file. One that is longer or shorter than it was is `Damaged`, and so is one that
    /// somebody else keeps and that was changed since it was opened.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] if it was changed, and an `Io` error.
    pub fn stamp(&self) -> Result<Stamp, BlobError> {
        let Self::File { file, size, opened } = self else {
            return Ok(Stamp::default());
        };
        let found = metadata(file)?;
        if found.len() != *size {
            let what = format!("an open file of {size} bytes now has {}", found.len());
            return Err(BlobError::Damaged { what });
        }
        let Some(opened) = opened else {
            return Ok(Stamp::of_ours(&found));
        };
        let now = Stamp::of_foreign(&found);
        if now == *opened {
            Ok(now)
        } else {
            Err(changed())
        }
    }
}

/// Checks that a file that somebody else keeps is as it was when it was opened. Nothing is looked at of one of ours.
fn expect_unchanged(file: &File, opened: Option<Stamp>) -> Result<(), BlobError> {
    match opened {
        Some(opened) if Stamp::of_foreign(&metadata(file)?) != opened => Err(changed()),
        _ => Ok(()),
    }
}

fn changed() -> BlobError {
    BlobError::Damaged {
        what: "a file in place was changed while it was read".into(),
    }
}

fn metadata(file: &File) -> Result<Metadata, BlobError> {
    file.metadata().map_err(|source| BlobError::Io {
        doing: CHECKING,
        source,
    })
}

/// Waits for a disk where that is no harm to others, when it is our turn.
async fn waiting<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    // It is never closed.
    let _turn = WAITING.acquire().await.ok();
    blocking(READING, read).await
}

fn check_inside(size: u64, offset: u64, length: usize) -> Result<(), BlobError> {
    let end = offset.checked_add(length as u64);
    if end.is_some_and(|end| end <= size) {
        return Ok(());
    }
    let asked = format!("asked for {length} bytes at {offset} of {size}");
    Err(BlobError::Io {
        doing: READING,
        source: io::Error::new(io::ErrorKind::InvalidInput, asked),
    })
}

fn unread(error: io::Error, offset: u64, length: usize) -> BlobError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        BlobError::Damaged {
            what: format!("an open file ended before byte {}", offset + length as u64),
        }
    } else {
        BlobError::Io {
            doing: READING,
            source: error,
        }
    }
}
