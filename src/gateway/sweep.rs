//! Clearing up what nobody needs any more, in bounded rounds.

use tokio::task::yield_now;

use super::Gateway;
use super::refusal::Refusal;
use crate::model::id::BlobKey;

/// How many of each kind one round looks at or removes at most.
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

/// What went wrong in a sweep: all of it is logged, and the first is its answer.
#[derive(Default)]
struct Failures(Option<Refusal>);

impl Failures {
    fn note(&mut self, doing: &'static str, refusal: Refusal) {
        tracing::warn!(error = %refusal, doing, "the sweep goes on without this");
        self.0.get_or_insert(refusal);
    }
}

impl Gateway {
    /// Sweeps everything there is to sweep: abandoned stages, files whose days in the recycle bin are
    /// over, ids that are free again, denials and counts of links that are dead anyway, and blobs that no
    /// row names.
    /// Safe beside any number of other processes; dropping the future stops between two removals.
    ///
    /// What cannot be removed is logged and passed over, and a step that cannot go on leaves the rest
    /// of its work to the next sweep. The first such failure is the answer, after all else was done.
    pub async fn sweep(&self) -> Result<Swept, Refusal> {
        let mut failures = Failures::default();
        let stages = self.sweep_stages(&mut failures).await;
        let files = self.empty_recycle_bin(&mut failures).await;
        self.forget(&mut failures).await;
        let orphans = self.sweep_orphans(&mut failures).await;
        match failures.0 {
            Some(refusal) => Err(refusal),
            None => Ok(Swept {
                stages,
                files,
                orphans,
            }),
        }
    }

    async fn sweep_stages(&self, failures: &mut Failures) -> usize {
        let limit = STEP_MAX as usize;
        let mut removed = 0;
        loop {
            match self.blobs.sweep_stages(limit).await {
                Ok(some) => {
                    removed += some;
                    if some < limit {
                        return removed;
                    }
                }
                Err(error) => {
                    failures.note("sweeping stages", error.into());
                    return removed;
                }
            }
            yield_now().await;
        }
    }

    async fn empty_recycle_bin(&self, failures: &mut Failures) -> usize {
        const DOING: &str = "emptying the recycle bin";
        let before = self.clock.now().minus(self.recycle_seconds());
        let mut removed = 0;
        loop {
            let files = match self.catalog.deleted_files(before, STEP_MAX).await {
                Ok(files) => files,
                Err(error) => {
                    failures.note(DOING, error.into());
                    return removed;
                }
            };
            let removed_before = removed;
            for file in &files {
                match self.remove_bytes(file).await {
                    // Or another process swept it first.
                    Ok(()) | Err(Refusal::FileNotFound) => removed += 1,
                    Err(refusal) => {
                        // Without a catalogue the next file would fare no better.
                        let hopeless =
                            matches!(refusal, Refusal::Unavailable(_) | Refusal::NoSpace);
                        failures.note(DOING, refusal);
                        if hopeless {
                            return removed;
                        }
                    }
                }
            }
            // What failed may be listed again: where nothing else is, the next round would be the same.
            if files.len() < STEP_MAX as usize || removed == removed_before {
                return removed;
            }
            yield_now().await;
        }
    }

    /// Forgets what says nothing any more: ids that no link can name, and denials of dead links.
    async fn forget(&self, failures: &mut Failures) {
        let now = self.clock.now();
        let id_free_before = now.minus(self.recycle_seconds().max(self.settings.lifetime_max));
        loop {
            match self.catalog.forget_swept(id_free_before, STEP_MAX).await {
                Ok(some) if some < u64::from(STEP_MAX) => break,
                Ok(_) => yield_now().await,
                Err(error) => {
                    failures.note("forgetting swept files", error.into());
                    break;
                }
            }
        }
        if let Err(error) = self.catalog.forget_denied(now).await {
            failures.note("forgetting dead links", error.into());
        }
        loop {
            match self.catalog.forget_counts(now, STEP_MAX).await {
                Ok(some) if some < u64::from(STEP_MAX) => break,
                Ok(_) => yield_now().await,
                Err(error) => {
                    failures.note("forgetting what was counted of dead links", error.into());
                    break;
                }
            }
        }
    }

    async fn sweep_orphans(&self, failures: &mut Failures) -> usize {
        const DOING: &str = "sweeping blobs without a row";
        let mut removed = 0;
        let mut after = None;
        loop {
            let (last, orphans) = match self.orphans(after).await {
                Ok(Some(page)) => page,
                Ok(None) => return removed,
                Err(refusal) => {
                    failures.note(DOING, refusal);
                    return removed;
                }
            };
            after = Some(last);
            for orphan in orphans {
                match self.blobs.remove(orphan).await {
                    Ok(()) => removed += 1,
                    Err(error) => failures.note(DOING, error.into()),
                }
            }
            yield_now().await;
        }
    }

    /// Looks at the blobs after `after`: the last of them, and those without a row; `None` at the end.
    pub(super) async fn orphans(
        &self,
        after: Option<BlobKey>,
    ) -> Result<Option<(BlobKey, Vec<BlobKey>)>, Refusal> {
        let old_before = self.clock.now().minus(ORPHAN_AGE_SECONDS);
        let page = self.blobs.list(after, STEP_MAX as usize).await?;
        let Some((last, _)) = page.last() else {
            return Ok(None);
        };
        let old = page.iter().filter(|(_, made)| *made < old_before);
        let mut orphans: Vec<BlobKey> = old.map(|(key, _)| *key).collect();
        let used = self.catalog.blobs_in_use(&orphans).await?;
        orphans.retain(|key| !used.contains(key));
        Ok(Some((*last, orphans)))
    }

    const fn recycle_seconds(&self) -> u64 {
        self.settings.recycle_days.saturating_mul(DAY_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::blob::BlobStore;
    use crate::blob::memory::Memory as MemoryBlobs;
    use crate::catalog::contract::{file, organization};
    use crate::catalog::memory::Memory;
    use crate::catalog::{Catalog, FILES_ADDED_MAX};
    use crate::gateway::testing::stubborn::Stubborn;
    use crate::gateway::testing::{NOW, gateway};
    use crate::model::file::{BlobLocation, FileRecord};
    use crate::model::id::OrganizationId;
    use crate::model::time::UnixSeconds;

    fn at(seconds: u64) -> UnixSeconds {
        UnixSeconds::new(seconds).unwrap()
    }

    fn key(number: u16) -> BlobKey {
        let [high, low] = number.to_be_bytes();
        let mut bytes = [0; 16];
        bytes[0] = high;
        bytes[1] = low;
        BlobKey::from_random(bytes)
    }

    async fn store(blobs: &dyn BlobStore, key: BlobKey) {
        let mut stage = blobs.stage(key).await.unwrap();
        stage.write(Bytes::from_static(b"bytes")).await.unwrap();
        stage.commit().await.unwrap();
    }

    /// A catalogue with so many deleted files, each of which has its bytes.
    async fn deleted(
        blobs: &dyn BlobStore,
        count: u16,
        when: u64,
    ) -> (Arc<Memory>, OrganizationId) {
        assert!(usize::from(count) <= FILES_ADDED_MAX);
        let catalog = Arc::new(Memory::new());
        let owner = organization(catalog.as_ref(), "a").await;
        for number in 0..count {
            store(blobs, key(number)).await;
            let made = FileRecord {
                location: BlobLocation::Stored(key(number)),
                ..file(&owner, &format!("f{number}"), 1)
            };
            catalog.add_file(&made).await.unwrap();
            catalog
                .delete_file(&owner, &made.id, at(when))
                .await
                .unwrap();
        }
        (catalog, owner)
    }

    #[tokio::test]
    async fn one_sweep_empties_the_recycle_bin() {
        let blobs = Arc::new(MemoryBlobs::new(|| at(NOW)));
        let (catalog, owner) = deleted(blobs.as_ref(), 1_234, NOW).await;
        let swept = gateway(Arc::clone(&catalog) as _, Arc::clone(&blobs) as _)
            .sweep()
            .await;
        assert_eq!(swept.unwrap().files, 1_234);
        assert_eq!(catalog.deleted_files(at(NOW), 1).await.unwrap(), []);
        assert_eq!(blobs.list(None, 1).await.unwrap(), []);
        let kept = catalog
            .file(&owner, &crate::catalog::contract::file_id("f0"))
            .await;
        assert!(kept.unwrap().is_some(), "a link to it may still be alive");
    }

    #[tokio::test]
    async fn one_sweep_frees_all_ids_that_may_be_free() {
        let blobs = Arc::new(MemoryBlobs::new(|| at(NOW)));
        let (catalog, owner) = deleted(blobs.as_ref(), 1_234, 1_000).await;
        for file in catalog.deleted_files(at(NOW), 2_000).await.unwrap() {
            catalog.mark_swept(&owner, &file.id).await.unwrap();
        }
        gateway(Arc::clone(&catalog) as _, blobs)
            .sweep()
            .await
            .unwrap();
        assert_eq!(catalog.forget_swept(at(NOW), 1).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_cannot_be_removed_keeps_nothing_else() {
        let fails = [3, 500, 699].map(key).into();
        let blobs = Arc::new(Stubborn {
            inner: MemoryBlobs::new(|| at(1_000)),
            fails,
            stages: false,
        });
        let (catalog, _) = deleted(blobs.as_ref(), 700, NOW).await;
        for orphan in 700..1_300 {
            store(blobs.as_ref(), key(orphan)).await;
        }
        let swept = gateway(Arc::clone(&catalog) as _, Arc::clone(&blobs) as _)
            .sweep()
            .await;
        assert!(matches!(swept, Err(Refusal::Internal(_))), "{swept:?}");
        let left = blobs.list(None, 10).await.unwrap();
        let left: BTreeSet<BlobKey> = left.into_iter().map(|(key, _)| key).collect();
        assert_eq!(left, blobs.fails);
        assert_eq!(catalog.deleted_files(at(NOW), 1).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_step_that_fails_stops_no_other() {
        let blobs = Arc::new(Stubborn {
            inner: MemoryBlobs::new(|| at(1_000)),
            fails: BTreeSet::new(),
            stages: true,
        });
        let (catalog, owner) = deleted(blobs.as_ref(), 3, 1_000).await;
        let denied = crate::model::revocation::LinkId::parse("aaaaaaaaaaaa").unwrap();
        catalog
            .deny_link(&owner, denied, at(2_000), 1)
            .await
            .unwrap();
        store(blobs.as_ref(), key(9)).await;
        let swept = gateway(Arc::clone(&catalog) as _, Arc::clone(&blobs) as _)
            .sweep()
            .await;
        assert!(matches!(swept, Err(Refusal::Internal(_))), "{swept:?}");
        assert_eq!(blobs.list(None, 1).await.unwrap(), []);
        assert_eq!(catalog.forget_swept(at(NOW), 1).await.unwrap(), 0);
        assert_eq!(catalog.forget_denied(at(NOW)).await.unwrap(), 0);
    }
}
