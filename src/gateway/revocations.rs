//! A snapshot of what was revoked, held in memory, and how it stays true.
//!
//! Epochs, link revisions and denied links are under every link that is opened, so they are held in
//! memory; rows are kept there as they are asked for ([`super::cache`]). A running gateway calls
//! [`Gateway::refresh_in_time`] every [`REFRESH_EVERY`], and as soon as [`Gateway::notified`] answers.
//!
//! 1. A refresh reads the entries of the change feed behind the snapshot's position, applies them to it, and has
//!    the cache forget what they name. That costs as much as there are changes, whatever was revoked before.
//! 2. Where the feed does not lead on from there, everything is read anew, in a task of its own, and the cache
//!    forgets everything.
//! 3. A snapshot that nobody compared for [`STALENESS_MAX`] is not answered from: a request that opens or makes a
//!    link refreshes by itself, and is refused as unavailable if that fails.
//! 4. A revocation that the catalogue has no room for holds in memory (`held`), here and where one hears of it, on top of what the
//!    catalogue says, until it is written. It changes neither epochs nor link revisions.
//! 5. A call that changes something waits for a refresh that began after the change, and nobody else does. Where that
//!    fails, or nobody knows what became of the change, the snapshot is not answered from until the next refresh.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;
use tokio::sync::OwnedMutexGuard;

use super::Gateway;
use super::refusal::Refusal;

mod held;
mod older;
mod snapshot;

pub use held::{HELD_MAX, HELD_OF_ORGANIZATION_MAX, WRITE_HELD_EVERY};
pub use older::REVOCATIONS_LOST;
use snapshot::OwnChange;
pub(super) use snapshot::{RowsAt, Snapshot, SnapshotCell};

use crate::catalog::changes::{CHANGES_KEPT, Change, Revoked};
use crate::catalog::{Answer, CatalogError};
use crate::model::address::FileRef;
use crate::model::id::OrganizationId;
use crate::model::revocation::Revocations;

/// The interval at which a running gateway compares its snapshot with the catalogue.
pub const REFRESH_EVERY: Duration = Duration::from_millis(250);

/// The staleness bound of a snapshot since it was last compared. What others changed is seen within this.
pub const STALENESS_MAX: Duration = Duration::from_secs(1);

/// The most time that a request that finds the snapshot too old waits for its own refresh.
pub const REFRESH_WAIT_MAX: Duration = Duration::from_secs(2);

/// The entries of the change feed, denied links or link revisions that are forgotten in one transaction.
const TRIMMED_AT_ONCE: u32 = 1_000;

/// The most such transactions of each kind that one [`Gateway::trim_changes`] makes, whatever comes meanwhile.
const TRIMS_MAX: usize = 50;

/// The outcome of following the change feed.
enum Followed {
    /// It led to its end.
    Led(Arc<Snapshot>),
    /// Everything is to be read anew: `has_gap` where it does not lead on from where it was.
    Ended { has_gap: bool },
}

impl Gateway {
    /// Compares the snapshot with the catalogue: applies what was changed since. What was committed before the call
    /// began is known when it answers.
    ///
    /// Waits as long as the catalogue may take; a request calls [`Gateway::refresh_in_time`]. Dropping the
    /// future leaves a reload that has begun to finish by itself: it is there for the next refresh, which
    /// so never has to start from nothing.
    ///
    /// # Errors
    /// The refusal of a catalogue that fails.
    pub async fn refresh(&self) -> Result<Arc<Revocations>, Refusal> {
        Ok(Arc::clone(&self.compare().await?.revocations))
    }

    /// [`Gateway::refresh`], given up after [`REFRESH_WAIT_MAX`].
    ///
    /// # Errors
    /// `Unavailable` then; as the catalogue fails.
    pub async fn refresh_in_time(&self) -> Result<Arc<Revocations>, Refusal> {
        Ok(Arc::clone(&self.compare_in_time().await?.revocations))
    }

    /// Answers once the catalogue notified of a change: a refresh is due then. It may never answer; a running
    /// gateway refreshes every [`REFRESH_EVERY`], too.
    pub async fn notified(&self) {
        if self.catalog.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Returns what may be answered from now: at most [`STALENESS_MAX`] old. Refreshes where that is due.
    pub(super) async fn current(&self) -> Result<Guard<Arc<Snapshot>>, Refusal> {
        match self.fresh() {
            Some(snapshot) => Ok(snapshot),
            // Boxed, so that those who need not refresh need no room for it.
            None => Box::pin(self.compare_in_time())
                .await
                .map(Guard::from_inner),
        }
    }

    /// Returns the version stamp of rows that are read from now on. A caller takes it before it looks for a row, so
    /// that a row is not kept that was changed while it was read. While a refresh is due there is none,
    /// and a caller that needs a row asks the catalogue.
    pub(super) fn rows_at(&self) -> Option<RowsAt> {
        self.fresh().map(|snapshot| RowsAt {
            version: snapshot.rows_version,
            reloads: snapshot.reloads,
        })
    }

    fn fresh(&self) -> Option<Guard<Arc<Snapshot>>> {
        let snapshot = self.snapshot.current.load();
        let is_fresh =
            |confirmed| self.clock.coarse_elapsed().saturating_sub(confirmed) < STALENESS_MAX;
        let is_own = snapshot.own_changes == self.snapshot.own_changes();
        (is_own && snapshot.confirmed.is_some_and(is_fresh)).then_some(snapshot)
    }

    /// Makes a change of an organization when its turn has come, as [`Gateway::changing`] does.
    pub(super) async fn changing_of<T>(
        &self,
        organization: &OrganizationId,
        change: Answer<'_, T>,
    ) -> Result<T, Refusal> {
        let _queued = self.changes.enter(Some(organization.clone())).await?;
        self.ask(self.changing(change)).await
    }

    /// Waits for a change of what may be in memory: whoever asks after it answered is answered as it is
    /// then. Others go on meanwhile.
    pub(super) async fn changing<T>(&self, change: Answer<'_, T>) -> Result<T, CatalogError> {
        let mut own = OwnChange {
            snapshot: &self.snapshot,
            is_settled: false,
        };
        let outcome = change.await;
        own.is_settled = if outcome.is_ok() {
            // A process that has read nothing yet, as most commands, need not begin with everything now.
            let has_read = self.snapshot.current.load().position.is_some();
            has_read && Box::pin(self.compare_in_time()).await.is_ok()
        } else {
            matches!(
                outcome,
                Err(CatalogError::NotFound { .. }
                    | CatalogError::Conflict { .. }
                    | CatalogError::Limit { .. }
                    | CatalogError::NoSpace { .. })
            )
        };
        outcome
    }

    /// Forgets the denied links in the snapshot that are dead anyway.
    pub(super) async fn forget_dead_links(&self) {
        let one_at_a_time = Arc::clone(&self.snapshot.refreshing).lock_owned().await;
        let (snapshot, dead_by) = (Arc::clone(&self.snapshot), self.denials_dead_by());
        let forget = move || {
            let _one_at_a_time = one_at_a_time;
            let mut next = Snapshot::clone(&snapshot.current.load());
            Arc::make_mut(&mut next.written).forget_dead(dead_by);
            snapshot.replace(next);
        };
        // It goes through all of them, off the threads that serve requests.
        if let Err(error) = tokio::task::spawn_blocking(forget).await {
            tracing::error!(%error, "forgetting dead links failed");
        }
    }

    /// Forgets entries of the change feed that nobody follows any more, and some of what was revoked in earlier epochs, of
    /// one organization after another: `cleared` is the one that had its turn last, so that none that revokes without end
    /// keeps the others from theirs.
    ///
    /// # Errors
    /// The refusal of a catalogue that fails.
    pub async fn trim_changes(&self, cleared: &mut Option<OrganizationId>) -> Result<(), Refusal> {
        for _ in 0..TRIMS_MAX {
            let trim = self.catalog.trim_changes(CHANGES_KEPT, TRIMMED_AT_ONCE);
            if self.ask(trim).await? == 0 {
                break;
            }
        }
        for _ in 0..TRIMS_MAX {
            let after = cleared.take();
            let clear = self
                .catalog
                .clear_superseded(after.as_ref(), TRIMMED_AT_ONCE);
            *cleared = self.ask(clear).await?;
            // Behind the last one it begins again, unless there was none at all.
            if cleared.is_none() && after.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Has every refresh wait until the guard is dropped, as behind a catalogue that hangs.
    #[cfg(test)]
    pub(crate) async fn stall_refreshes(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.snapshot.refreshing).lock_owned().await
    }

    async fn compare_in_time(&self) -> Result<Arc<Snapshot>, Refusal> {
        let late = |_| Refusal::Unavailable("the catalogue did not say what was changed".into());
        tokio::time::timeout(REFRESH_WAIT_MAX, self.compare())
            .await
            .map_err(late)?
    }

    async fn compare(&self) -> Result<Arc<Snapshot>, Refusal> {
        let begun = self.clock.elapsed();
        let mut own_turn = pin!(Arc::clone(&self.snapshot.refreshing).lock_owned());
        let one_at_a_time = loop {
            let refreshed = self.snapshot.refreshed.notified();
            let turn = tokio::select! {
                biased;
                turn = &mut own_turn => Some(turn),
                () = refreshed => None,
            };
            if let Some(snapshot) = self.snapshot.confirmed_after(begun) {
                return Ok(snapshot);
            }
            if let Some(turn) = turn {
                break turn;
            }
        };
        match self.follow().await? {
            Followed::Led(snapshot) => Ok(snapshot),
            Followed::Ended { has_gap } => self.reload(one_at_a_time, has_gap).await,
        }
    }

    /// Follows the change feed from the snapshot's position. Each page is put in place as it comes, so that a caller that
    /// gives up on the way leaves less to the next one.
    async fn follow(&self) -> Result<Followed, Refusal> {
        loop {
            let mut next = Snapshot::clone(&self.snapshot.current.load());
            let Some(position) = next.position else {
                return Ok(Followed::Ended { has_gap: false });
            };
            let (own_changes, confirmed) = (self.snapshot.own_changes(), self.clock.elapsed());
            let page = match self.catalog.changes(position).await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(Followed::Ended { has_gap: true }),
                Err(error) => {
                    let is_damaged = matches!(error, CatalogError::Corrupt { .. });
                    let refusal = self.refusal(error);
                    // An entry that cannot be read is behind the newest one, from which everything is read.
                    return match is_damaged {
                        true => Ok(Followed::Ended { has_gap: false }),
                        false => Err(refusal),
                    };
                }
            };
            if !self.apply(page.changes, &mut next) {
                return Ok(Followed::Ended { has_gap: false });
            }
            next.position = Some(page.position);
            if !page.has_more {
                (next.own_changes, next.confirmed) = (own_changes, Some(confirmed));
                return Ok(Followed::Led(self.snapshot.replace(next)));
            }
            self.snapshot.replace(next);
        }
    }

    /// Applies entries of the change feed to a snapshot, and has the cache forget what they name. Answers `false` at one
    /// after which everything is to be read anew.
    fn apply(&self, changes: Vec<(u64, Change)>, next: &mut Snapshot) -> bool {
        let dead_by = self.denials_dead_by();
        for (version, change) in changes {
            match change {
                Change::LinkDenied {
                    organization,
                    link,
                    expires,
                } => {
                    let revocations = Arc::make_mut(&mut next.written);
                    revocations.deny(&organization, [(link, expires)]);
                    revocations.forget_dead_if_due(&organization, dead_by);
                }
                Change::RevisionSet {
                    organization,
                    file,
                    revision,
                } => {
                    let revocations = Arc::make_mut(&mut next.written);
                    revocations.set_revisions(&organization, [(file, revision)]);
                }
                Change::EpochRaised {
                    organization,
                    epoch,
                } => {
                    Arc::make_mut(&mut next.written).raise_epoch(&organization, epoch);
                }
                Change::FileChanged { organization, file } => {
                    let file = FileRef::new(&organization, &file);
                    self.cache.forget_file(file, version);
                    next.rows_version = version;
                }
                Change::KeyChanged { key } => {
                    self.cache.forget_key(&key, version);
                    next.rows_version = version;
                }
                Change::ShareChanged {
                    organization,
                    share,
                } => {
                    self.cache.forget_share(organization, share, version);
                    next.rows_version = version;
                }
                Change::Everything => return false,
            }
        }
        true
    }

    /// Reads everything anew, in a task of its own: it goes on where its caller gives up.
    async fn reload(
        &self,
        one_at_a_time: OwnedMutexGuard<()>,
        has_gap: bool,
    ) -> Result<Arc<Snapshot>, Refusal> {
        let (catalog, snapshot, cache) = (
            Arc::clone(&self.catalog),
            Arc::clone(&self.snapshot),
            Arc::clone(&self.cache),
        );
        let failures = Arc::clone(&self.catalogue_failures);
        let (own_changes, confirmed) = (snapshot.own_changes(), Some(self.clock.elapsed()));
        let before = snapshot.current.load_full();
        let reloads = before.reloads + 1;
        let dead_by = self.denials_dead_by();
        let reload = async move {
            let revoked = catalog.revoked(dead_by).await;
            let Revoked {
                revocations,
                position,
            } = revoked.map_err(|error| failures.refusal(error))?;
            cache.begin_anew(reloads);
            let is_put_back = older::is_put_back(before.position, position, has_gap);
            let now = snapshot.replace(Snapshot {
                written: Arc::new(revocations),
                revocations: Arc::default(),
                position: Some(position),
                rows_version: position.version,
                reloads,
                put_back: before.put_back + u64::from(is_put_back),
                confirmed,
                own_changes,
                held_version: before.held_version,
            });
            drop(one_at_a_time);
            Ok(now)
        };
        let ended = tokio::spawn(reload).await;
        ended.map_err(|error| Refusal::Internal(format!("reading what was revoked: {error}")))?
    }
}

#[cfg(test)]
mod tests;
