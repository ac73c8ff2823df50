//! The sub-trait for background tasks that maintain file rows.

use super::Answer;
use crate::model::digest::{Crc32, Sha256Digest};
use crate::model::file::{FileRecord, InPlace};
use crate::model::id::{FileId, OrganizationId};
use crate::model::time::UnixSeconds;

/// The most files whose kind of text or whose CRC-32 is set at once: few enough that nobody waits long behind them.
pub const READ_FILES_SET_MAX: usize = 500;

/// Maintains file rows, under the contract of [`Catalog`](super::Catalog).
pub trait Maintenance: Send + Sync {
    /// Lists up to `limit` `Ready` files of all organizations whose [`FileRecord::is_text`] is unknown, by
    /// organization and id, from the first one after `after` on. Costs the same at every place.
    fn files_of_unknown_text<'a>(
        &'a self,
        after: Option<&'a (OrganizationId, FileId)>,
        limit: u32,
    ) -> Answer<'a, Vec<FileRecord>>;

    /// Sets [`FileRecord::is_text`] of files, all of them or none; one that is not there is passed over.
    /// Adds an entry to the change feed for each. `Limit` for more than [`READ_FILES_SET_MAX`].
    fn set_text<'a>(&'a self, texts: &'a [Text]) -> Answer<'a, ()>;

    /// Lists up to `limit` `Ready` files of all organizations whose [`FileRecord::crc32`] is unknown, as
    /// [`Maintenance::files_of_unknown_text`] does.
    fn files_of_unknown_crc32<'a>(
        &'a self,
        after: Option<&'a (OrganizationId, FileId)>,
        limit: u32,
    ) -> Answer<'a, Vec<FileRecord>>;

    /// Sets [`FileRecord::crc32`] of files, all of them or none; one that is not there, or whose row has another fingerprint,
    /// is passed over. Adds an entry to the change feed for each. `Limit` for more than [`READ_FILES_SET_MAX`].
    fn set_crc32<'a>(&'a self, checksums: &'a [Checksum]) -> Answer<'a, ()>;

    /// Gives a file in place that was read its new identity, `found`, if its row still has the identity `seen`. Adds an
    /// entry to the change feed. The path stays. `NotFound` unless the file is `Ready` or `Deleted`, `Conflict`
    /// if its row has another identity or is of a stored blob.
    fn replace_identity<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        seen: &'a InPlace,
        found: &'a InPlace,
    ) -> Answer<'a, ()>;

    /// Marks up to `limit` `Ready` files that are expired at `now` deleted, since the time that they expired: of those
    /// that did so first, the ones of a bounded number of organizations. Returns how many: none once there is no more.
    /// Adds an entry to the change feed for each.
    fn expire_files(&self, now: UnixSeconds, limit: u32) -> Answer<'_, u64>;

    /// Clears away some of the denied links and link revisions, at most `limit` of each, that were made in earlier epochs
    /// of an organization and count for nothing. Returns the organization, the next one after `after` that has any;
    /// `None` where no later one does.
    fn clear_superseded<'a>(
        &'a self,
        after: Option<&'a OrganizationId>,
        limit: u32,
    ) -> Answer<'a, Option<OrganizationId>>;
}

/// The answer to whether a file is text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The owner of the file.
    pub organization: OrganizationId,
    /// The file.
    pub file: FileId,
    /// True if all bytes are UTF-8 text.
    pub is_text: bool,
}

/// The CRC-32 of a file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// The owner of the file.
    pub organization: OrganizationId,
    /// The file.
    pub file: FileId,
    /// The fingerprint of the row whose bytes were read.
    pub fingerprint: Sha256Digest,
    /// Their CRC-32.
    pub crc32: Crc32,
}

impl Checksum {
    /// Returns the CRC-32 that was read of the bytes of this file's row.
    pub fn of(file: &FileRecord, crc32: Crc32) -> Self {
        Self {
            organization: file.organization.clone(),
            file: file.id.clone(),
            fingerprint: file.fingerprint(),
            crc32,
        }
    }
}
