//! The bytes of one file, from one store to the other.

use std::io;
use std::sync::Arc;

use super::{End, MigrateError};
use crate::blob::{BlobError, BlobStore};
use crate::gateway::pieces::{DigestHasher, Pieces, digests, open_to_hash};
use crate::gateway::progress::PassProgress;
use crate::gateway::refusal::with_causes;
use crate::model::digest::Crc32;
use crate::model::file::{BlobLocation, FileRecord};
use crate::model::id::BlobKey;

/// The outcome of copying one file's bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// They were there. Their CRC-32, if they were read.
    There(Option<Crc32>),
    /// They were written, and read back.
    Copied(Crc32),
    /// The source has others, or does not give them.
    LeftOut(String),
}

/// One file to see to.
pub(super) struct Carrier {
    pub(super) from: Arc<dyn BlobStore>,
    pub(super) to: Arc<dyn BlobStore>,
    pub(super) key: BlobKey,
    /// The most bytes that the destination takes.
    pub(super) bytes_max: u64,
    /// True if bytes that are there, and as many, are read; else their length is believed.
    pub(super) reads_there: bool,
    pub(super) progress: Arc<PassProgress>,
}

/// The bytes that the destination has under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Them(Option<Crc32>),
    /// As many other bytes.
    Others,
    /// Nothing, or bytes of another length.
    Nothing,
}

/// The reason why bytes were not written.
enum Stopped {
    By(MigrateError),
    LeftOut(String),
    /// Something is in their place, of another length: left by whoever was there before us.
    Taken,
}

impl From<MigrateError> for Stopped {
    fn from(error: MigrateError) -> Self {
        Self::By(error)
    }
}

/// Maps an error of the source to its meaning for the one file.
fn unread(error: BlobError) -> Stopped {
    match error {
        BlobError::Damaged { what } => Stopped::LeftOut(what),
        BlobError::Io { .. } | BlobError::Moved { .. } => Stopped::LeftOut(with_causes(&error)),
        other => Stopped::By(End::Source.blobs()(other)),
    }
}

fn unwritten(error: BlobError) -> MigrateError {
    End::Destination.blobs()(error)
}

fn unplaced(error: BlobError) -> Stopped {
    match error {
        BlobError::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
            Stopped::Taken
        }
        other => Stopped::By(unwritten(other)),
    }
}

impl Carrier {
    /// Sees to it that the destination has the bytes of a file, and that they are those of its row.
    pub(super) async fn see_to(&self, file: &FileRecord) -> Result<Bytes, MigrateError> {
        if file.sha256.is_none() {
            let why = "nobody has read it, and nothing would tell its bytes from others";
            return Ok(Bytes::LeftOut(why.into()));
        }
        let (size, most) = (file.size, self.bytes_max);
        if size > most {
            let why = format!(
                "it has {size} bytes, and a blob there has {most} at most: raise uploads.size_max"
            );
            return Ok(Bytes::LeftOut(why));
        }
        let found = self.look(file).await?;
        if let Found::Them(crc32) = found {
            return Ok(Bytes::There(crc32));
        }
        match self.copy(file, found == Found::Others).await {
            Ok(crc32) => Ok(Bytes::Copied(crc32)),
            Err(Stopped::LeftOut(why)) => Ok(Bytes::LeftOut(why)),
            Err(Stopped::By(error)) => Err(error),
            Err(Stopped::Taken) => Err(self.contested()),
        }
    }

    fn contested(&self) -> MigrateError {
        unwritten(BlobError::Unavailable {
            doing: "copying a blob",
            why: format!("somebody else writes blob {}", self.key),
        })
    }

    /// Looks what is there. Nothing is removed yet: the source may have nothing better.
    async fn look(&self, file: &FileRecord) -> Result<Found, MigrateError> {
        let found = match self
            .to
            .open(&BlobLocation::Stored(self.key), file.size)
            .await
        {
            Ok(found) => found,
            Err(BlobError::Damaged { .. }) => return Ok(Found::Nothing),
            Err(error) => return Err(unwritten(error)),
        };
        if !self.reads_there {
            self.progress.add_bytes(file.size);
            return Ok(Found::Them(None));
        }
        match digests(found, |bytes| self.progress.add_bytes(bytes)).await {
            Ok(found) if Some(found.sha256) == file.sha256 => Ok(Found::Them(Some(found.crc32))),
            Ok(_) | Err(BlobError::Damaged { .. }) => Ok(Found::Others),
            Err(error) => Err(unwritten(error)),
        }
    }

    /// Copies the bytes, reads them back, and returns their CRC-32.
    async fn copy(&self, file: &FileRecord, replaces: bool) -> Result<Crc32, Stopped> {
        match self.write(file, replaces).await {
            Err(Stopped::Taken) => self.write(file, true).await?,
            written => written?,
        }
        self.read_back(file).await.map_err(Stopped::By)
    }

    /// Writes all bytes, and commits them if they are those of the row. What is to be replaced is removed once
    /// these are all here and are the right ones: whatever the two stores are, they are not lost.
    async fn write(&self, file: &FileRecord, replaces: bool) -> Result<(), Stopped> {
        let opened = open_to_hash(self.from.as_ref(), file).await;
        let (blob, _) = opened.map_err(unread)?;
        let mut pieces = Pieces::of(blob);
        let staged = self.to.stage(self.key).await.map_err(unplaced);
        let mut staged = staged.map_err(|stopped| match stopped {
            Stopped::Taken => Stopped::By(self.contested()),
            other => other,
        })?;
        let mut hasher = DigestHasher::default();
        while let Some(piece) = pieces.next().await.map_err(unread)? {
            hasher.update(&piece);
            let length = piece.len() as u64;
            staged.write(piece).await.map_err(unwritten)?;
            self.progress.add_bytes(length);
        }
        let sha256 = hasher.finish().sha256;
        if Some(sha256) == file.sha256 {
            if replaces {
                self.to.remove(self.key).await.map_err(unwritten)?;
            }
            staged.commit().await.map_err(unplaced)?;
            return Ok(());
        }
        let (found, wanted) = (sha256.to_hex(), file.fingerprint().to_hex());
        Err(Stopped::LeftOut(format!(
            "its SHA-256 is {found}, not {wanted}"
        )))
    }

    async fn read_back(&self, file: &FileRecord) -> Result<Crc32, MigrateError> {
        let location = BlobLocation::Stored(self.key);
        let found = self
            .to
            .open(&location, file.size)
            .await
            .map_err(unwritten)?;
        let found = digests(found, |_| {}).await.map_err(unwritten)?;
        if Some(found.sha256) == file.sha256 {
            return Ok(found.crc32);
        }
        self.to.remove(self.key).await.map_err(unwritten)?;
        let what = format!("blob {}: what was written reads otherwise", self.key);
        Err(unwritten(BlobError::Damaged { what }))
    }
}
