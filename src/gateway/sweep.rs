//! Clearing up what nobody needs any more, in bounded rounds.

use tokio::task::yield_now;

use super::Gateway;
use super::refusal::Refusal;
use super::shares::SHARE_KEPT_SECONDS;
use crate::catalog::Answer;
use crate::catalog::idempotency::KEY_SECONDS;
use orphans::{ORPHANS, Scan};

mod orphans;

/// The most of each kind that one round lists or removes.
const STEP_MAX: u32 = 500;

/// The most blobs without a row that a sweep removes whatever their share is of all blobs.
pub const ORPHANS_MAX: u64 = 1_000;

/// The share of all blobs, one in so many, that a sweep removes however many they are. More without a row are
/// no broken uploads: the catalogue is an old copy, or not the one of these bytes.
const ORPHANS_SHARE: u64 = 10;

const DAY_SECONDS: u64 = 86_400;

const RECYCLE_BIN: &str = "emptying the recycle bin";

/// The result of one sweep: the number of things removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Stages that no living process writes.
    pub stages: usize,
    /// Deleted files whose days in the recycle bin are over.
    pub files: usize,
    /// Blobs without a row.
    pub orphans: usize,
    /// The reason why those were left alone, if they were.
    pub held_back: Option<HeldBack>,
}

/// So many blobs have no row that something else must be wrong: none of them was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{orphans} of {blobs} blobs have no row, too many for broken uploads: none is removed. Is the catalogue an \
     older copy, or not the one of these bytes? If they may go: hallpass doctor --mend --orphans-max {orphans}"
)]
pub struct HeldBack {
    /// Blobs without a row.
    pub orphans: u64,
    /// All blobs.
    pub blobs: u64,
}

/// The failures of a sweep: all of them are logged, and the first is its answer.
#[derive(Default)]
struct Failures(Option<Refusal>);

impl Failures {
    fn note(&mut self, doing: &'static str, refusal: Refusal) {
        tracing::warn!(error = %refusal, doing, "the sweep goes on without this");
        self.0.get_or_insert(refusal);
    }

    /// Returns the result of a step, and notes the failure of one that could not go on: nobody is told how far it came.
    fn checked<T: Default>(&mut self, doing: &'static str, done: Result<T, Refusal>) -> T {
        done.unwrap_or_else(|refusal| {
            self.note(doing, refusal);
            T::default()
        })
    }
}

impl Gateway {
    /// Marks files that are expired deleted, so that they are in the recycle bin from then on. Answers how many.
    ///
    /// A request finds out for itself whether a file is expired: this is not waited for.
    pub async fn expire_files(&self) -> Result<usize, Refusal> {
        let mut marked = 0;
        loop {
            let mark = self.catalog.expire_files(self.clock.now(), STEP_MAX);
            let some = self.ask(mark).await?;
            marked += usize::try_from(some).unwrap_or(usize::MAX);
            if some == 0 {
                return Ok(marked);
            }
            yield_now().await;
        }
    }

    /// Sweeps everything there is to sweep: abandoned stages, files whose days in the recycle bin are
    /// over, ids that are free again, denials, counts and counted downloads of links that are dead anyway, and
    /// blobs that no row names.
    /// Safe beside any number of other processes; dropping the future stops between two removals.
    ///
    /// What cannot be removed is logged and passed over, and a step that cannot go on leaves the rest
    /// of its work to the next sweep. The first such failure is the answer, after all else was done.
    ///
    /// No bytes are removed where the store is another installation's. And no blobs without a row are where
    /// they are more than [`ORPHANS_MAX`] and more than a tenth of all blobs.
    pub async fn sweep(&self) -> Result<Swept, Refusal> {
        self.sweep_up_to(ORPHANS_MAX).await
    }

    /// The same, where somebody has looked and says that there may be so many blobs without a row.
    pub async fn sweep_up_to(&self, orphans_max: u64) -> Result<Swept, Refusal> {
        let mut failures = Failures::default();
        let mut swept = Swept::default();
        match self.blobs.take_ownership().await {
            Ok(()) => {
                let stages = self.sweep_stages().await;
                swept.stages = failures.checked("sweeping stages", stages);
                let files = self.empty_recycle_bin(&mut failures).await;
                swept.files = failures.checked(RECYCLE_BIN, files);
                let orphans = self.sweep_orphans(orphans_max, &mut failures).await;
                (swept.orphans, swept.held_back) = failures.checked(ORPHANS, orphans);
            }
            Err(error) => failures.note("sweeping bytes", error.into()),
        }
        self.forget(&mut failures).await;
        match failures.0 {
            Some(refusal) => Err(refusal),
            None => Ok(swept),
        }
    }

    async fn sweep_stages(&self) -> Result<usize, Refusal> {
        let limit = STEP_MAX as usize;
        let mut removed = 0;
        loop {
            let some = self.blobs.sweep_stages(limit).await?;
            removed += some;
            if some < limit {
                return Ok(removed);
            }
            yield_now().await;
        }
    }

    async fn empty_recycle_bin(&self, failures: &mut Failures) -> Result<usize, Refusal> {
        let before = self.clock.now().minus(self.recycle_seconds());
        let mut removed = 0;
        loop {
            let files = self.catalog.deleted_files(before, STEP_MAX);
            let files = self.ask(files).await?;
            let removed_before = removed;
            for file in &files {
                match self.remove_bytes(file).await {
                    // Or another process swept it first.
                    Ok(()) | Err(Refusal::FileNotFound) => removed += 1,
                    // Without a catalogue the next file would fare no better.
                    Err(refusal @ (Refusal::Unavailable(_) | Refusal::NoSpace)) => {
                        return Err(refusal);
                    }
                    Err(refusal) => failures.note(RECYCLE_BIN, refusal),
                }
            }
            // Failed files may be listed again: where nothing else is, the next round would be the same.
            if files.len() < STEP_MAX as usize || removed == removed_before {
                return Ok(removed);
            }
            yield_now().await;
        }
    }

    /// Removes the blobs without a row, and answers how many; or says why they are left alone.
    async fn sweep_orphans(
        &self,
        orphans_max: u64,
        failures: &mut Failures,
    ) -> Result<(usize, Option<HeldBack>), Refusal> {
        let Scan {
            blobs,
            orphans,
            first,
        } = self.find_orphans().await?;
        if orphans > orphans_max && orphans > blobs / ORPHANS_SHARE {
            return Ok((0, Some(HeldBack { orphans, blobs })));
        }
        let removed = if orphans == first.len() as u64 {
            self.remove_orphans(&first, failures).await?
        } else {
            // They are too many to be remembered, and are looked for once more.
            self.remove_all_orphans(failures).await?
        };
        Ok((removed, None))
    }

    /// Forgets what says nothing any more: ids that no link can name, and denials of dead links.
    async fn forget(&self, failures: &mut Failures) {
        let now = self.clock.now();
        let id_free_before = now.minus(self.recycle_seconds().max(self.settings.lifetime_max));
        let forget = || self.catalog.forget_swept(id_free_before, STEP_MAX);
        failures.checked("forgetting swept files", self.forget_all(forget).await);
        let dead_by = self.denials_dead_by();
        let forget = || self.catalog.forget_denied(dead_by, STEP_MAX);
        failures.checked("forgetting dead links", self.forget_all(forget).await);
        self.forget_dead_links().await;
        let keys_before = now.minus(KEY_SECONDS);
        let forget = || self.catalog.forget_keys(keys_before, STEP_MAX);
        failures.checked("forgetting idempotency keys", self.forget_all(forget).await);
        let forget = || self.catalog.forget_counts(now, STEP_MAX);
        let doing = "forgetting what was counted of dead links";
        failures.checked(doing, self.forget_all(forget).await);
        let forget = || self.catalog.forget_redemptions(now, STEP_MAX);
        let doing = "forgetting counted downloads";
        failures.checked(doing, self.forget_all(forget).await);
        let ended_before = now.minus(SHARE_KEPT_SECONDS);
        let forget = || self.catalog.forget_shares(ended_before, STEP_MAX);
        let doing = "forgetting shares that ended";
        failures.checked(doing, self.forget_all(forget).await);
    }

    /// Forgets up to [`STEP_MAX`] rows at a time, until there are no more.
    async fn forget_all<'a>(&self, forget: impl Fn() -> Answer<'a, u64>) -> Result<(), Refusal> {
        while self.ask(forget()).await? > 0 {
            yield_now().await;
        }
        Ok(())
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
    use crate::blob::memory::MemoryBlobs;
    use crate::catalog::contract::redemptions::in_every_state;
    use crate::catalog::contract::{MANY, denial, file, organization};
    use crate::catalog::testing::TestCatalog;
    use crate::catalog::transfer::{Kind, Transfer as _};
    use crate::catalog::{Catalog, FILES_ADDED_MAX};
    use crate::gateway::testing::stubborn::Stubborn;
    use crate::gateway::testing::{NOW, gateway};
    use crate::model::file::{BlobLocation, FileRecord};
    use crate::model::id::{BlobKey, OrganizationId};
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
    ) -> (Arc<TestCatalog>, OrganizationId) {
        assert!(usize::from(count) <= FILES_ADDED_MAX);
        let catalog = Arc::new(TestCatalog::new().await);
        let owner = organization(catalog.as_ref(), "a").await;
        let mut files = Vec::new();
        for number in 0..count {
            store(blobs, key(number)).await;
            files.push(FileRecord {
                location: BlobLocation::Stored(key(number)),
                ..file(&owner, &format!("f{number}"), 1)
            });
        }
        catalog.add_files(&files).await.unwrap();
        for file in files {
            let deleted = catalog.delete_file(&owner, &file.id, at(when));
            deleted.await.unwrap();
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
    async fn one_sweep_forgets_counted_downloads_that_have_ended() {
        let blobs = Arc::new(MemoryBlobs::new(|| at(NOW)));
        let catalog = Arc::new(TestCatalog::new().await);
        let owner = organization(catalog.as_ref(), "a").await;
        in_every_state(catalog.as_ref(), &owner).await;
        gateway(Arc::clone(&catalog) as _, blobs)
            .sweep()
            .await
            .unwrap();
        let left = async |kind| catalog.rows(kind, None, 9).await.unwrap().len();
        assert_eq!(left(Kind::Redemption).await, 0);
        assert_eq!(left(Kind::Allowance).await, 1, "a share's");
    }

    #[tokio::test]
    async fn what_cannot_be_removed_keeps_nothing_else() {
        let fails = [3, 500, 699].map(key).into();
        let blobs = Arc::new(Stubborn {
            inner: MemoryBlobs::new(|| at(1_000)),
            fails,
            stages: false,
            is_unavailable: false,
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
    async fn so_many_blobs_without_a_row_that_the_catalogue_must_be_wrong_are_left() {
        for (rows, orphans, orphans_max, is_held_back) in [
            (0_u16, 1_000, ORPHANS_MAX, false),
            (0, 1_001, ORPHANS_MAX, true),
            (8_999, 1_001, ORPHANS_MAX, true),
            (9_009, 1_001, ORPHANS_MAX, false),
            (0, 1_001, 1_001, false),
            (0, 1, 0, true),
        ] {
            let blobs = Arc::new(MemoryBlobs::new(|| at(1_000)));
            let (catalog, _) = deleted(blobs.as_ref(), rows, NOW + 1).await;
            for orphan in rows..rows + orphans {
                store(blobs.as_ref(), key(orphan)).await;
            }
            let gateway = gateway(catalog, Arc::clone(&blobs) as _);
            let swept = gateway.sweep_up_to(orphans_max).await.unwrap();
            let left = blobs.list(None, 20_000).await.unwrap().len();
            let all = usize::from(rows + orphans);
            let case = format!("{rows} {orphans} {orphans_max}");
            if is_held_back {
                let (orphans, blobs) = (u64::from(orphans), all as u64);
                assert_eq!(swept.held_back, Some(HeldBack { orphans, blobs }), "{case}");
                assert_eq!((swept.orphans, left), (0, all), "{case}");
            } else {
                assert_eq!(swept.held_back, None, "{case}");
                assert_eq!(left, usize::from(rows), "{case}");
            }
        }
    }

    #[tokio::test]
    async fn a_step_that_fails_stops_no_other() {
        let blobs = Arc::new(Stubborn {
            inner: MemoryBlobs::new(|| at(1_000)),
            fails: BTreeSet::new(),
            stages: true,
            is_unavailable: false,
        });
        let (catalog, owner) = deleted(blobs.as_ref(), 3, 1_000).await;
        let denied = crate::model::revocation::LinkId::parse("aaaaaaaaaaaa").unwrap();
        let denied = denial(&owner, denied, 2_000);
        catalog.deny_link(&denied, at(0), MANY).await.unwrap();
        store(blobs.as_ref(), key(9)).await;
        let swept = gateway(Arc::clone(&catalog) as _, Arc::clone(&blobs) as _)
            .sweep()
            .await;
        assert!(matches!(swept, Err(Refusal::Internal(_))), "{swept:?}");
        assert_eq!(blobs.list(None, 1).await.unwrap(), []);
        assert_eq!(catalog.forget_swept(at(NOW), 1).await.unwrap(), 0);
        assert_eq!(catalog.forget_denied(at(NOW), 1).await.unwrap(), 0);
    }
}
