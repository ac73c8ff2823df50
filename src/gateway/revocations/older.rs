//! A catalogue that was put back to an earlier moment: what was revoked since then is not revoked in it.

use super::{Gateway, Refusal};
use crate::catalog::CatalogError;
use crate::catalog::changes::{CHANGES_KEPT, FeedPosition};

/// A sentence about a catalogue that was put back.
pub const REVOCATIONS_LOST: &str = "links that were revoked since then open again until they end; revoke them again, or \
     retire the signing key (`hallpass key rotate`, `hallpass key retire`)";

impl Gateway {
    /// Returns the newest change that this gateway knows of; `None` before its first refresh.
    pub fn newest_change(&self) -> Option<FeedPosition> {
        self.snapshot.current.load().position
    }

    /// Returns how many times an older catalogue was put in the place of the one that this gateway knew.
    pub fn times_put_back(&self) -> u64 {
        self.snapshot.current.load().put_back
    }

    /// Returns whether the catalogue has a change that it had before: it has not where an older one was put back. Of one
    /// that is so long ago that its entry may be forgotten, and where entries behind it are damaged, the answer is
    /// `true`.
    ///
    /// # Errors
    /// The refusal of a catalogue that fails.
    pub async fn has_change(&self, seen: FeedPosition) -> Result<bool, Refusal> {
        match self.catalog.changes(seen).await {
            // The change itself is the first that is read.
            Ok(Some(_)) | Err(CatalogError::Corrupt { .. }) => Ok(true),
            Ok(None) => {
                let newest = self.compare_in_time().await?.position;
                Ok(newest.is_some_and(|newest| !lacks(newest, seen)))
            }
            Err(error) => Err(self.refusal(error)),
        }
    }
}

/// Returns whether a catalogue lacks a change that does not lead on to its newest one: it would be among its entries.
const fn lacks(newest: FeedPosition, seen: FeedPosition) -> bool {
    newest.version < seen.version.saturating_add(CHANGES_KEPT)
}

/// Returns whether the catalogue whose newest change this is was put in the place of a later one, and says so in the log.
pub(super) fn is_put_back(
    before: Option<FeedPosition>,
    newest: FeedPosition,
    has_gap: bool,
) -> bool {
    let is_put_back = before
        .is_some_and(|before| newest.version < before.version || has_gap && lacks(newest, before));
    if is_put_back {
        tracing::warn!("the catalogue is older than it was: {REVOCATIONS_LOST}");
    }
    is_put_back
}
