//! The bytes of a blob from its first to its last, a piece at a time.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::blob::{Blob, BlobError, BlobStore, ObjectStream};
use crate::model::digest::{Crc32, Sha256Digest};
use crate::model::file::{BlobLocation, FileRecord, InPlace};

/// The most bytes of a file in memory at once.
const PIECE_BYTES: usize = 1024 * 1024;

/// Reads one blob.
pub(super) struct Pieces {
    blob: Blob,
    stream: Option<Box<dyn ObjectStream>>,
    next: u64,
}

impl Pieces {
    pub(super) fn of(blob: Blob) -> Self {
        Self {
            stream: blob.stream(0, blob.size(), usize::MAX),
            blob,
            next: 0,
        }
    }

    /// The next bytes, at least one; `None` once there were all.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        if let Some(stream) = &mut self.stream {
            return stream.next().await;
        }
        let left = self.blob.size() - self.next;
        let length = usize::try_from(left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        if length == 0 {
            return Ok(None);
        }
        let piece = self.blob.read_at(self.next, length).await?;
        self.next += length as u64;
        Ok(Some(piece))
    }
}

/// Opens the bytes of a file for somebody who holds them all against its hash: also those of a file in place whose
/// identity moved, which then comes with them.
pub(super) async fn open_to_hash(
    blobs: &dyn BlobStore,
    file: &FileRecord,
) -> Result<(Blob, Option<InPlace>), BlobError> {
    match blobs.open(&file.location, file.size).await {
        Err(BlobError::Moved { found }) => {
            let now = BlobLocation::InPlace((*found).clone());
            Ok((blobs.open(&now, file.size).await?, Some(*found)))
        }
        opened => Ok((opened?, None)),
    }
}

/// The SHA-256 and the CRC-32 of bytes, taken in one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digests {
    pub(super) sha256: Sha256Digest,
    pub(super) crc32: Crc32,
}

/// Takes the digests of bytes that come in order.
#[derive(Default)]
pub(super) struct DigestHasher {
    sha256: Sha256,
    crc32: crc32fast::Hasher,
}

impl DigestHasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.crc32.update(bytes);
    }

    pub(super) fn finish(self) -> Digests {
        Digests {
            sha256: Sha256Digest::new(self.sha256.finalize().into()),
            crc32: Crc32::new(self.crc32.finalize()),
        }
    }
}

/// The digests of a blob. `seen` is told how many bytes came with each piece.
pub(super) async fn digests(
    blob: Blob,
    mut seen: impl FnMut(u64) + Send,
) -> Result<Digests, BlobError> {
    let (mut pieces, mut hasher) = (Pieces::of(blob), DigestHasher::default());
    while let Some(piece) = pieces.next().await? {
        hasher.update(&piece);
        seen(piece.len() as u64);
    }
    Ok(hasher.finish())
}
