//! The sub-trait for the integrity check: rows against their bytes, and whose bytes those are.

use super::Answer;
use crate::model::file::FileRecord;
use crate::model::id::{FileId, InstallationId, OrganizationId};
use crate::model::time::UnixSeconds;

/// Goes through all rows, under the contract of [`Catalog`](super::Catalog).
pub trait Integrity: Send + Sync {
    /// Up to `limit` files that have bytes, `Ready` and `Deleted` ones, of all organizations: ordered by
    /// organization and id, from the first one after `after` on. Costs the same at every place.
    fn files_with_bytes<'a>(
        &'a self,
        after: Option<&'a (OrganizationId, FileId)>,
        limit: u32,
    ) -> Answer<'a, Vec<FileRecord>>;

    /// Says since when a file's bytes are known to be damaged, or with `None` that they are whole.
    /// `NotFound` unless the file is `Ready` or `Deleted`.
    fn mark_damaged<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        since: Option<UnixSeconds>,
    ) -> Answer<'a, ()>;

    /// By what a store of blobs tells whose bytes it keeps: drawn when the catalogue was made, never changed,
    /// and the same in every copy of it.
    fn installation(&self) -> Answer<'_, InstallationId>;
}
