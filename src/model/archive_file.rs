//! The part of a file's row that an archive is made of.

use super::digest::{Crc32, Sha256Digest};
use super::file::FileRecord;
use super::id::FileId;
use super::time::UnixSeconds;

/// What an archive says of one of its files, and what tells later whether that is still the same. It is much less than a
/// row: ten thousand of them are read in a few milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveFile {
    /// Unique inside its organization.
    pub id: FileId,
    /// Length in bytes.
    pub size: u64,
    /// What tells its bytes from all others: [`FileRecord::fingerprint`].
    pub fingerprint: Sha256Digest,
    /// True if that is their SHA-256.
    pub is_hashed: bool,
    /// The CRC-32 of the bytes; `None` until somebody has read them for it.
    pub crc32: Option<Crc32>,
    /// Time at which the file became ready.
    pub updated_at: UnixSeconds,
    /// Time from which the file answers as deleted; `None`: never.
    pub expires_at: Option<UnixSeconds>,
    /// The number of times that all links of the file were revoked.
    pub link_revision: u64,
}

impl From<&FileRecord> for ArchiveFile {
    fn from(file: &FileRecord) -> Self {
        Self {
            id: file.id.clone(),
            size: file.size,
            fingerprint: file.fingerprint(),
            is_hashed: file.sha256.is_some(),
            crc32: file.crc32,
            updated_at: file.updated_at,
            expires_at: file.expires_at,
            link_revision: file.link_revision,
        }
    }
}
