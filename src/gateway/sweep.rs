//! Clearing up what nobody needs any more, in bounded rounds.

use super::Gateway;
use super::refusal::Refusal;
use crate::model::id::BlobKey;

/// How many of each kind one step removes at most.
const STEP_MAX: u32 = 500;

/// How old a blob without a row must be before it counts as an orphan: an upload whose bytes are
/// durable gets its row within seconds.
const ORPHAN_AGE_SECONDS: u64 = 3_600;

const DAY_SECONDS: u64 = 86_400;

/// What one sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Stages that no living process writes.
    pub stages: usize,
    /// Deleted files whose days in the recycle bin are over.
    pub files: usize,
    /// Blobs without a row.
    pub orphans: usize,
}

impl Gateway {
    /// Sweeps once: abandoned stages, files whose days in the recycle bin are over, ids that are free
    /// again, denied links that are dead anyway, and blobs that no row names. Safe beside any number of
    /// other processes; dropping the future stops between two removals.
    pub async fn sweep(&self) -> Result<Swept, Refusal> {
        let now = self.clock.now();
        let stages = self.blobs.sweep_stages(STEP_MAX as usize).await?;
        let files = self.empty_recycle_bin().await?;
        let recycle = self.settings.recycle_days.saturating_mul(DAY_SECONDS);
        let id_free_before = now.minus(recycle.max(self.settings.lifetime_max));
        self.catalog.forget_swept(id_free_before, STEP_MAX).await?;
        self.catalog.forget_denied(now).await?;
        let orphans = self.sweep_orphans().await?;
        Ok(Swept {
            stages,
            files,
            orphans,
        })
    }

    async fn empty_recycle_bin(&self) -> Result<usize, Refusal> {
        let recycle = self.settings.recycle_days.saturating_mul(DAY_SECONDS);
        let files = self
            .catalog
            .deleted_files(self.clock.now().minus(recycle), STEP_MAX)
            .await?;
        for file in &files {
            match self.remove_bytes(file).await {
                // Another process swept it first.
                Ok(()) | Err(Refusal::FileNotFound) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(files.len())
    }

    async fn sweep_orphans(&self) -> Result<usize, Refusal> {
        let old_before = self.clock.now().minus(ORPHAN_AGE_SECONDS);
        let mut removed = 0;
        let mut after = None;
        loop {
            let page = self.blobs.list(after, STEP_MAX as usize).await?;
            let Some((last, _)) = page.last() else {
                return Ok(removed);
            };
            after = Some(*last);
            let old: Vec<BlobKey> = page
                .iter()
                .filter(|(_, made)| *made < old_before)
                .map(|(key, _)| *key)
                .collect();
            let used = self.catalog.blobs_in_use(&old).await?;
            for orphan in old.into_iter().filter(|key| !used.contains(key)) {
                self.blobs.remove(orphan).await?;
                removed += 1;
            }
        }
    }
}
