//! The parts that staged writes of every store have in common.

use std::io;

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use super::BlobError;
use super::content::ContentHasher;

pub(super) const WRITING: &str = "writing a blob";

/// A holder of a thing that bytes go through in order.
pub(super) enum Hand<T> {
    Ours(T),
    /// A thread in the background, which gives it back.
    Away(JoinHandle<Result<T, BlobError>>),
    /// Nobody: an operation on it failed, or the stage was committed.
    Gone,
}

impl<T> Hand<T> {
    /// Waits until it is back. Dropped while it waits, it changes nothing.
    pub(super) async fn come_back(&mut self) -> Result<(), BlobError> {
        if let Self::Away(task) = self {
            let done = task.await;
            *self = Self::Gone;
            let back = done.map_err(|never_ended| unwritten(io::Error::other(never_ended)));
            *self = Self::Ours(back.flatten()?);
        }
        Ok(())
    }

    /// Takes it, if it is here.
    pub(super) fn take(&mut self) -> Result<T, BlobError> {
        match std::mem::replace(self, Self::Gone) {
            Self::Ours(thing) => Ok(thing),
            Self::Away(_) | Self::Gone => Err(unwritten(io::Error::other("the stage is spent"))),
        }
    }
}

impl Hand<ContentHasher> {
    /// Has a thread hash these bytes. The hasher must be here.
    pub(super) fn hash(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        let mut hasher = self.take()?;
        *self = Self::Away(spawn_blocking(move || {
            hasher.update(&bytes);
            Ok(hasher)
        }));
        Ok(())
    }
}

/// Marks a stage as unsound until the call ran to its end: one that was dropped on its way may have taken a part of its
/// chunk.
pub(super) fn begin(is_sound: &mut bool) -> Result<(), BlobError> {
    if std::mem::replace(is_sound, false) {
        Ok(())
    } else {
        let earlier = "an earlier write failed or was given up";
        Err(unwritten(io::Error::other(earlier)))
    }
}

/// Returns the error of bytes that could not be written.
pub(super) fn unwritten(source: io::Error) -> BlobError {
    BlobError::Io {
        doing: WRITING,
        source,
    }
}
