//! The blob store: it keeps the bytes of files.
//!
//! This file is the port: its traits, their contract, and their errors. It names no adapter's type. Two adapters
//! stand behind it, [`disk`] and [`s3`], and a third one, in memory, for tests; `contract.rs` is the one suite that all
//! must pass.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::digest::{Crc32, Sha256Digest};
use crate::model::file::{BlobLocation, InPlace};
use crate::model::id::{BlobKey, InstallationId};
use crate::model::text::DetectedText;
use crate::model::time::UnixSeconds;

mod blocking;
mod content;
#[cfg(test)]
mod contract;
pub mod disk;
#[cfg(test)]
pub mod memory;
mod read;
pub mod s3;
mod staged;

pub use read::Stamp;

/// The answer of every call: a boxed future, so that the gateway can hold any adapter.
pub type BlobFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BlobError>> + Send + 'a>>;

/// A store of bytes.
///
/// # Contract
///
/// - A blob is there whole or not at all. Nothing of a stage can be opened before it was committed, and
///   a committed blob never changes.
/// - What `commit` answered for survives a crash of the process and of the machine.
/// - Bytes are found by a key that we drew ourselves, or by a path that was registered below a
///   configured root; no link, device or directory is ever opened.
/// - No call blocks its thread on a disk.
///
/// # Example
///
/// ```
/// # use hallpass::blob::{BlobStore, disk::{Disk, Readers}};
/// # use hallpass::model::{file::BlobLocation, id::BlobKey};
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let store = Disk::open(directory.path(), &[], Readers::Owner)?;
/// let mut staged = store.stage(BlobKey::from_random([1; 16])).await?;
/// staged.write("hello".into()).await?;
/// let stored = staged.commit().await?;
/// let blob = store.open(&BlobLocation::Stored(stored.key), stored.size).await?;
/// assert_eq!(blob.read_at(1, 4).await?, "ello");
/// # Ok(()) }
/// ```
pub trait BlobStore: Send + Sync {
    /// Begins to write the blob `key`, which must be new: one that is there already is an error, at
    /// `commit` at the latest, and stays what it was.
    fn stage(&self, key: BlobKey) -> BlobFuture<'_, Box<dyn Staged>>;

    /// Opens a blob that has `size` bytes. Bytes that are gone, of another length, or no longer what
    /// was registered in place are [`BlobError::Damaged`]. A file in place of which all but its size and its
    /// modification time may have moved is [`BlobError::Moved`]: a caller that hashed it opens it by the identity
    /// that was found.
    fn open<'a>(&'a self, location: &'a BlobLocation, size: u64) -> BlobFuture<'a, Blob>;

    /// Returns the path of a blob below the store's directory, for a process that was given that. `None` of bytes that
    /// lie nowhere below it. Nothing is looked at.
    fn path_below(&self, location: &BlobLocation) -> Option<PathBuf>;

    /// Signs a URL at which the store itself gives the blob to everybody who has it, for so long. `None` of bytes that
    /// only we can give. The URL is a credential.
    fn presign<'a>(
        &'a self,
        location: &'a BlobLocation,
        asked: &'a Presign<'a>,
    ) -> BlobFuture<'a, Option<String>>;

    /// Checks that the store belongs to this installation alone. A store that others can reach, too, is marked with the
    /// id that it was opened with, if it has no mark; one with another's mark is [`BlobError::Foreign`], also from
    /// `stage`. The sweep calls this before it removes blobs without a row. A store that only one installation can have
    /// is always good.
    fn take_ownership(&self) -> BlobFuture<'_, ()>;

    /// Checks what [`BlobStore::take_ownership`] does, and changes nothing: a store without a mark is nobody's, which
    /// is no error.
    fn expect_no_other(&self) -> BlobFuture<'_, ()>;

    /// Checks that the store can be read and takes new blobs now, as far as it costs little to find out. A store on a
    /// disk does all that it does for an upload, with a few bytes. `probe` is a fresh key, under which nothing is
    /// left behind.
    fn is_reachable(&self, probe: BlobKey) -> BlobFuture<'_, ()>;

    /// Removes a blob. One that is gone already is no error. A reader that has it open can read on, or
    /// learns that it is damaged where the store cannot keep it.
    fn remove(&self, key: BlobKey) -> BlobFuture<'_, ()>;

    /// Looks at a file that lies on disk already and hashes it, without copying it. `Refused` if it is
    /// no regular file below one of the configured roots, if a link lies on the way to it, if it
    /// changed while it was read, or by a store without a disk. Dropping the answer stops the reading.
    fn register<'a>(&'a self, path: &'a Path) -> BlobFuture<'a, Registered>;

    /// Looks at a file that lies on disk already, and reads none of it: its identity is all that is known of it. `Refused`
    /// as by [`BlobStore::register`].
    fn identify<'a>(&'a self, path: &'a Path) -> BlobFuture<'a, Identified>;

    /// Removes up to `limit` stages that no living process writes any more. Answers how many.
    fn sweep_stages(&self, limit: usize) -> BlobFuture<'_, usize>;

    /// Returns the number of stages that no living process writes, which a sweep would remove.
    fn abandoned_stages(&self) -> BlobFuture<'_, usize>;

    /// Returns up to `limit` blobs in key order, from the first one after `after` on, each with the time it was
    /// committed at.
    fn list(
        &self,
        after: Option<BlobKey>,
        limit: usize,
    ) -> BlobFuture<'_, Vec<(BlobKey, UnixSeconds)>>;
}

/// A blob being written. Dropping it without `commit` leaves nothing behind.
pub trait Staged: Send {
    /// Appends bytes. After an error, and after an answer that was dropped before it came, the stage
    /// can only be dropped: `write` and `commit` then fail. An error can come with a later call than
    /// the one that brought the bytes.
    fn write(&mut self, chunk: Bytes) -> BlobFuture<'_, ()>;

    /// Makes the blob durable and visible under its key, and returns its key, length and hashes. After an error
    /// there is no blob. If the answer is dropped before it came, the blob is there or not, but whole.
    fn commit(self: Box<Self>) -> BlobFuture<'static, StoredBlob>;
}

/// An object of a store that is read by requests, as it was when it was opened.
pub trait ObjectReader: fmt::Debug + Send + Sync {
    /// Returns its length in bytes, as it was when it was opened.
    fn size(&self) -> u64;

    /// Checks that the object is still what it was. Another one, or none, is [`BlobError::Damaged`].
    fn check(&self) -> BlobFuture<'_, ()>;

    /// Reads the part from `start` up to `end`, which lies inside, into memory of its own: it may be kept for as
    /// long as one likes, and counts for no memory budget of downloads.
    fn read(self: Arc<Self>, start: u64, end: u64) -> BlobFuture<'static, Bytes>;

    /// Streams the part from `start` up to `end`, which lies inside. Nothing is asked for yet. Where memory is scarce
    /// the first request is for `first` bytes at most.
    fn stream(self: Arc<Self>, start: u64, end: u64, first: usize) -> Box<dyn ObjectStream>;
}

/// A part of an object on its way here.
pub trait ObjectStream: Send {
    /// Waits for the next bytes, at least one; `None` once there were all. The store is asked for more only from in
    /// here, so a client that takes slowly is sent slowly. The bytes count for the memory budget until they are
    /// dropped: a caller that keeps them may wait for ever for the next ones. Where the store breaks off, the rest is
    /// asked for again a bounded number of times. Bytes of another object are [`BlobError::Damaged`], never sent.
    /// Dropping the answer loses no bytes.
    fn next(&mut self) -> BlobFuture<'_, Option<Bytes>>;
}

/// A blob that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredBlob {
    /// Its key.
    pub key: BlobKey,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 of the bytes.
    pub sha256: Sha256Digest,
    /// CRC-32 of the bytes.
    pub crc32: Crc32,
    /// The text detection's findings.
    pub text: DetectedText,
}

/// A file that lies on disk already, as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    /// The file and its identity.
    pub file: InPlace,
    /// Length in bytes.
    pub size: u64,
}

/// A file that was registered in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The file and its identity: the blob is damaged if it changes.
    pub file: InPlace,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 of the bytes.
    pub sha256: Sha256Digest,
    /// CRC-32 of the bytes.
    pub crc32: Crc32,
    /// The text detection's findings.
    pub text: DetectedText,
}

/// An open blob. Cloning is a reference count; the bytes of a file and those in memory stay readable while a
/// clone lives, also after the blob was removed.
#[derive(Clone, Debug)]
pub enum Blob {
    /// A regular file, open for reading.
    File {
        /// The open file.
        file: Arc<File>,
        /// Length in bytes.
        size: u64,
        /// The state of a file that somebody else keeps, at the check against its row. `None` of one of ours, which
        /// never changes.
        opened: Option<Stamp>,
    },
    /// Bytes in memory.
    Memory(Bytes),
    /// An object of a store, as it was when it was looked at.
    Object(Arc<dyn ObjectReader>),
}

/// The request of a presigned URL. The store repeats the texts in its answer.
#[derive(Clone, Copy, Debug)]
pub struct Presign<'a> {
    /// True if it is for HEAD; else it is for GET.
    pub is_head: bool,
    /// The seconds for which it opens.
    pub seconds: u64,
    /// `Content-Type`.
    pub content_type: &'a str,
    /// `Content-Disposition`.
    pub disposition: &'a str,
    /// `Cache-Control`.
    pub cache_control: &'a str,
}

/// An error of a blob store.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The bytes are not what the catalogue says they are.
    #[error("damaged blob: {what}")]
    Damaged {
        /// The bytes that were expected and found. For the log, not for a client.
        what: String,
    },
    /// The file in place has its size and its time, and another identity: other bytes may be in it.
    #[error("{path}: its device, inode or time of change moved", path = found.path.display())]
    Moved {
        /// Its identity now, under the path that was asked for.
        found: Box<InPlace>,
    },
    /// The file may not be registered in place.
    #[error("{path} cannot be registered in place: {why}", path = path.display())]
    Refused {
        /// The file as named.
        path: PathBuf,
        /// The reason.
        why: &'static str,
    },
    /// The store's directory is not as it must be, which a person is to mend.
    #[error("{path}: {why}", path = path.display())]
    Unfit {
        /// The directory.
        path: PathBuf,
        /// The reason why it cannot be one of the store.
        why: String,
    },
    /// The bytes are another installation's.
    #[error(
        "{mark} says that these bytes are of the installation {found}; the catalogue is of {ours}"
    )]
    Foreign {
        /// The place of the mark in the store.
        mark: String,
        /// The mark that was found.
        found: String,
        /// The mark that was expected.
        ours: InstallationId,
    },
    /// There is no room for more bytes.
    #[error("no space left while {doing}")]
    NoSpace {
        /// The operation that failed.
        doing: &'static str,
    },
    /// The store is out of reach or out of order. What it holds may be good, and it may answer later.
    #[error("the blob store is unavailable while {doing}: {why}")]
    Unavailable {
        /// The operation that failed.
        doing: &'static str,
        /// The store's answer, if it gave one.
        why: String,
    },
    /// The operating system said no.
    #[error("{doing} failed")]
    Io {
        /// The operation that failed.
        doing: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}
