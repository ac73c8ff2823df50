//! The archive of a share that is cached for its next request: a client that takes one in many ranges has it laid out once.
//!
//! It is believed as long as any row is (`cache.rs`), and invalidated with the first change of its share or of a file of its
//! organization. It holds what it was made from besides rows, and is not answered with once any of that is another: the
//! files that the share has, what was revoked, and that no file has expired.

use std::sync::Arc;

use super::Archive;
use crate::model::id::OrganizationId;
use crate::model::revocation::OrganizationSnapshot;
use crate::model::share::WholeShare;
use crate::model::time::UnixSeconds;

/// An archive of a share, and what it was made from.
#[derive(Debug)]
pub(in crate::gateway) struct CachedArchive {
    /// The archive.
    pub(in crate::gateway) archive: Arc<Archive>,
    /// The share with its files.
    pub(in crate::gateway) whole: Arc<WholeShare>,
    /// What was revoked of its organization.
    pub(in crate::gateway) revoked: OrganizationSnapshot,
    /// The time from which on one of its files has expired.
    pub(in crate::gateway) until: Option<UnixSeconds>,
}

impl CachedArchive {
    /// Returns whether it is what would be made from this share now, as far as its rows are those of then.
    pub(in crate::gateway) fn is_of(
        &self,
        whole: &Arc<WholeShare>,
        revoked: &OrganizationSnapshot,
        now: UnixSeconds,
    ) -> bool {
        let is_same_share = Arc::ptr_eq(&self.whole, whole) || self.whole.files == whole.files;
        is_same_share && self.revoked.is_same(revoked) && self.until.is_none_or(|end| now < end)
    }

    /// Returns whether it may be cached. Where a CRC-32 is not known yet, the next one may have it.
    pub(in crate::gateway) fn is_cacheable(&self) -> bool {
        self.archive.layout.etag().is_some()
    }

    /// The organization of its share.
    pub(in crate::gateway) fn organization(&self) -> &OrganizationId {
        &self.whole.share.organization
    }

    /// The bytes of memory that it takes beside its share, about.
    pub(in crate::gateway) fn bytes(&self) -> u64 {
        super::bytes_of(&self.archive.layout, &self.archive.entries)
    }
}
