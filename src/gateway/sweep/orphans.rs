//! Blobs that no row names.

use tokio::task::yield_now;

use super::{Failures, ORPHANS_MAX, STEP_MAX};
use crate::gateway::Gateway;
use crate::gateway::refusal::Refusal;
use crate::model::id::BlobKey;

/// The least age of a blob without a row that counts as an orphan, in seconds: an upload whose bytes are durable
/// gets its row within seconds.
const ORPHAN_AGE_SECONDS: u64 = 3_600;

pub(super) const ORPHANS: &str = "sweeping blobs without a row";

/// The result of a scan of all blobs.
#[derive(Default)]
pub(in crate::gateway) struct Scan {
    /// The number of blobs.
    pub(in crate::gateway) blobs: u64,
    /// The number of those without a row.
    pub(in crate::gateway) orphans: u64,
    /// The first of those, [`ORPHANS_MAX`] at most.
    pub(super) first: Vec<BlobKey>,
}

/// Some blobs, in key order.
struct BlobPage {
    /// The last of them.
    last: BlobKey,
    /// The number of blobs.
    blobs: usize,
    /// Those without a row.
    orphans: Vec<BlobKey>,
}

impl Gateway {
    /// Removes all blobs without a row. Answers how many.
    pub(super) async fn remove_all_orphans(
        &self,
        failures: &mut Failures,
    ) -> Result<usize, Refusal> {
        let (mut removed, mut after) = (0, None);
        while let Some(page) = self.orphans(after).await? {
            after = Some(page.last);
            removed += self.remove_all(&page.orphans, failures).await;
            yield_now().await;
        }
        Ok(removed)
    }

    /// Removes blobs that had no row when they were looked at, and still have none.
    pub(super) async fn remove_orphans(
        &self,
        found: &[BlobKey],
        failures: &mut Failures,
    ) -> Result<usize, Refusal> {
        let mut removed = 0;
        for some in found.chunks(STEP_MAX as usize) {
            let used = self.ask(self.catalog.blobs_in_use(some)).await?;
            let orphans = some.iter().filter(|key| !used.contains(key)).copied();
            let orphans: Vec<BlobKey> = orphans.collect();
            removed += self.remove_all(&orphans, failures).await;
            yield_now().await;
        }
        Ok(removed)
    }

    async fn remove_all(&self, orphans: &[BlobKey], failures: &mut Failures) -> usize {
        let mut removed = 0;
        for orphan in orphans {
            match self.blobs.remove(*orphan).await {
                Ok(()) => removed += 1,
                Err(error) => failures.note(ORPHANS, error.into()),
            }
        }
        removed
    }

    /// Counts all blobs, and those without a row, and returns the first of these.
    pub(in crate::gateway) async fn find_orphans(&self) -> Result<Scan, Refusal> {
        let (mut found, mut after) = (Scan::default(), None);
        let most = usize::try_from(ORPHANS_MAX).unwrap_or(usize::MAX);
        while let Some(page) = self.orphans(after).await? {
            found.blobs += page.blobs as u64;
            found.orphans += page.orphans.len() as u64;
            let room = most.saturating_sub(found.first.len());
            found.first.extend(page.orphans.into_iter().take(room));
            after = Some(page.last);
            yield_now().await;
        }
        Ok(found)
    }

    /// Looks at the blobs after `after`; `None` at the end.
    async fn orphans(&self, after: Option<BlobKey>) -> Result<Option<BlobPage>, Refusal> {
        let old_before = self.clock.now().minus(ORPHAN_AGE_SECONDS);
        let page = self.blobs.list(after, STEP_MAX as usize).await?;
        let Some((last, _)) = page.last() else {
            return Ok(None);
        };
        let old = page.iter().filter(|(_, made)| *made < old_before);
        let mut orphans: Vec<BlobKey> = old.map(|(key, _)| *key).collect();
        let used = self.ask(self.catalog.blobs_in_use(&orphans)).await?;
        orphans.retain(|key| !used.contains(key));
        Ok(Some(BlobPage {
            last: *last,
            blobs: page.len(),
            orphans,
        }))
    }
}
