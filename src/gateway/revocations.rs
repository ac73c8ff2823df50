//! A snapshot of what was revoked, held in memory, and how it stays true.
//!
//! Epochs, link revisions and denied links are under every link that is opened, so they are held in
//! memory; rows are kept there as they are asked for ([`super::cache`]). A running gateway calls
//! [`Gateway::refresh_in_time`] every [`REFRESH_EVERY`], and as soon as [`Gateway::notified`] answers. A refresh
//! reloads what was revoked when anybody revoked something, and lets go of the rows when anybody changed one. A
//! snapshot that nobody compared for [`STALENESS_MAX`] is not answered from: a request that opens or makes a link
//! refreshes by itself, and is refused as unavailable if that fails. So does the first one after this process
//! changed something.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::Notify;

use super::Gateway;
use super::refusal::Refusal;
use crate::catalog::{Answer, CatalogError, Versions};
use crate::model::revocation::Revocations;

/// The interval at which a running gateway compares its snapshot with the catalogue.
pub const REFRESH_EVERY: Duration = Duration::from_millis(250);

/// The staleness bound of a snapshot since it was last compared. What others changed is seen within this.
pub const STALENESS_MAX: Duration = Duration::from_secs(1);

/// The most time that a request that finds the snapshot too old waits for its own refresh.
pub const REFRESH_WAIT_MAX: Duration = Duration::from_secs(2);

/// The snapshot of one gateway, and what refreshes it. It is read for every request, so nobody ever waits for
/// it: a refresh puts a new one in its place.
#[derive(Debug, Default)]
pub(super) struct SnapshotCell {
    current: ArcSwap<Snapshot>,
    /// Held by the one refresh that runs: the others wait for it and find its result. A reload holds this too.
    refreshing: Arc<tokio::sync::Mutex<()>>,
    /// Notifies all who wait at once when a refresh is over: a lock that is handed on from one to the next would
    /// cost the last of hundreds as many turns, each behind everybody else's work.
    refreshed: Notify,
    /// The number of changes that this process made to rows that may be in memory. A snapshot from before the last
    /// of them answers nothing.
    own_changes: AtomicU64,
}

/// The result of one refresh: what is known without asking the catalogue.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) revocations: Arc<Revocations>,
    /// The catalogue's, when they were read, or before.
    versions: Versions,
    /// On the gateway's own clock: when the refresh that confirmed this began. Never, at the start.
    confirmed: Option<Duration>,
    /// The number of this process's own changes by then.
    own_changes: u64,
}

/// A moment between two changes of rows. A row that was read at one may be answered with as long as that
/// lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RowsAt {
    version: u64,
    own_changes: u64,
}

#[cfg(test)]
impl RowsAt {
    /// A moment of its own for each number.
    pub(super) const fn sample(version: u64) -> Self {
        Self {
            version,
            own_changes: 0,
        }
    }
}

/// Notes a change by this process when it is dropped: when it was answered for, and also when its caller
/// gave up, or nobody knows whether it happened.
struct OwnChange<'a> {
    gateway: &'a Gateway,
    may_have_happened: bool,
}

impl Drop for OwnChange<'_> {
    fn drop(&mut self) {
        if self.may_have_happened {
            let own_changes = &self.gateway.snapshot.own_changes;
            own_changes.fetch_add(1, Ordering::SeqCst);
            self.gateway.cache.clear();
        }
    }
}

impl SnapshotCell {
    /// Returns what was revoked, as it was last read.
    pub(super) fn revocations(&self) -> Arc<Revocations> {
        Arc::clone(&self.current.load().revocations)
    }

    /// Returns the snapshot, if somebody's refresh that began after this moment says the same as one of now would.
    fn confirmed_after(&self, begun: Duration) -> Option<Arc<Snapshot>> {
        let snapshot = self.current.load_full();
        let is_later = snapshot.confirmed.is_some_and(|other| other > begun);
        (is_later && snapshot.own_changes == self.own_changes()).then_some(snapshot)
    }

    /// Puts what a refresh found in the place of what was known, and notifies all who wait for one.
    fn replace(&self, snapshot: &Arc<Snapshot>) {
        self.current.store(Arc::clone(snapshot));
        self.refreshed.notify_waiters();
    }

    fn own_changes(&self) -> u64 {
        self.own_changes.load(Ordering::SeqCst)
    }
}

impl Gateway {
    /// Compares the snapshot with the catalogue: reloads what was revoked if that changed, and lets
    /// go of the rows if any of them did. What was committed before the call began is known when it
    /// answers.
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

    /// Returns what may be answered from now: at most [`STALENESS_MAX`] old, and not older than what this process
    /// changed last. Refreshes where that is due.
    pub(super) async fn current(&self) -> Result<Guard<Arc<Snapshot>>, Refusal> {
        match self.fresh() {
            Some(snapshot) => Ok(snapshot),
            // Boxed, so that those who need not refresh need no room for it.
            None => Box::pin(self.compare_in_time())
                .await
                .map(Guard::from_inner),
        }
    }

    /// Returns the version stamp that rows in memory must bear to be answered with now. A caller takes it before it
    /// looks for a row, so that a change while the row is read makes it old. While a refresh is due there is none,
    /// and a caller that needs a row asks the catalogue.
    pub(super) fn rows_at(&self) -> Option<RowsAt> {
        self.fresh().map(|snapshot| RowsAt {
            version: snapshot.versions.rows,
            own_changes: snapshot.own_changes,
        })
    }

    fn fresh(&self) -> Option<Guard<Arc<Snapshot>>> {
        let snapshot = self.snapshot.current.load();
        let is_fresh = |confirmed| self.clock.elapsed().saturating_sub(confirmed) < STALENESS_MAX;
        let is_own = snapshot.own_changes == self.snapshot.own_changes();
        (is_own && snapshot.confirmed.is_some_and(is_fresh)).then_some(snapshot)
    }

    /// Waits for a change of what may be in memory: whoever asks after it answered is answered as it is
    /// then.
    pub(super) async fn changing<T>(&self, change: Answer<'_, T>) -> Result<T, CatalogError> {
        let mut noted = OwnChange {
            gateway: self,
            may_have_happened: true,
        };
        let outcome = change.await;
        noted.may_have_happened = !matches!(
            outcome,
            Err(CatalogError::NotFound { .. }
                | CatalogError::Conflict { .. }
                | CatalogError::Limit { .. })
        );
        outcome
    }

    /// Has every refresh wait until the guard is dropped, as behind a catalogue that hangs.
    #[cfg(test)]
    pub(crate) async fn stall_refreshes(&self) -> tokio::sync::OwnedMutexGuard<()> {
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
        let before = self.snapshot.current.load_full();
        let own_changes = self.snapshot.own_changes();
        let confirmed = Some(self.clock.elapsed());
        let versions = self.ask(self.catalog.versions()).await?;
        let (snapshot, cache) = (Arc::clone(&self.snapshot), Arc::clone(&self.cache));
        let rows_before = before.versions.rows;
        let replace = move |revocations| {
            let now = Arc::new(Snapshot {
                revocations,
                versions,
                confirmed,
                own_changes,
            });
            snapshot.replace(&now);
            if rows_before != versions.rows {
                cache.clear();
            }
            now
        };
        if before.confirmed.is_some() && before.versions.revocations == versions.revocations {
            return Ok(replace(Arc::clone(&before.revocations)));
        }
        let catalog = Arc::clone(&self.catalog);
        let failures = Arc::clone(&self.catalogue_failures);
        let now = self.clock.now();
        let reload = async move {
            let revocations = catalog.revocations(now).await;
            let revocations = revocations.map_err(|error| failures.refusal(error))?;
            let now = replace(Arc::new(revocations));
            drop(one_at_a_time);
            Ok(now)
        };
        let ended = tokio::spawn(reload).await;
        ended.map_err(|error| Refusal::Internal(format!("reading what was revoked: {error}")))?
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::catalog::contract::{file, file_id, organization};
    use crate::catalog::sqlite::Sqlite;
    use crate::catalog::{Catalog, FILES_ADDED_MAX};
    use crate::gateway::mint::MintOptions;
    use crate::gateway::principal::Principal;
    use crate::gateway::testing;
    use crate::model::file::FileRecord;
    use crate::model::id::{ApiKeyId, OrganizationId};
    use crate::model::key::Scopes;

    struct Place {
        _directory: tempfile::TempDir,
        catalog: Arc<Sqlite>,
        gateway: Gateway,
        owner: OrganizationId,
    }

    /// A gateway on a disk, and `raised` files whose links were revoked once.
    async fn place(raised: usize) -> Place {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalogue.sqlite3");
        let catalog = Arc::new(Sqlite::open(&path).await.unwrap());
        let owner = organization(catalog.as_ref(), "a").await;
        let files: Vec<FileRecord> = (0..raised)
            .map(|number| FileRecord {
                link_revision: 1,
                ..file(&owner, &format!("f{number}"), 1)
            })
            .collect();
        for some in files.chunks(FILES_ADDED_MAX) {
            catalog.add_files(some).await.unwrap();
        }
        let shared: Arc<dyn Catalog> = Arc::clone(&catalog) as _;
        Place {
            _directory: directory,
            catalog,
            gateway: testing::gateway(shared, testing::memory_blobs()),
            owner,
        }
    }

    #[tokio::test]
    async fn an_upload_costs_no_reload_of_what_was_revoked() {
        let place = place(100_000).await;
        let begun = Instant::now();
        let before = place.gateway.refresh().await.unwrap();
        println!(
            "the first look, of 100,000 revisions: {:?}",
            begun.elapsed()
        );
        let upload = file(&place.owner, "upload", 1);
        place.catalog.add_file(&upload).await.unwrap();
        let begun = Instant::now();
        let after = place.gateway.refresh().await.unwrap();
        println!("the look after an upload: {:?}", begun.elapsed());
        assert!(Arc::ptr_eq(&before, &after), "nothing was read again");

        let raised = place
            .catalog
            .raise_link_revision(&place.owner, &upload.id, 200_000);
        raised.await.unwrap();
        let begun = Instant::now();
        let after = place.gateway.refresh().await.unwrap();
        println!("the look after a revocation: {:?}", begun.elapsed());
        assert_eq!(after.revision(&place.owner, &upload.id), 1);
    }

    #[tokio::test]
    async fn a_reload_goes_on_when_the_one_who_waited_gives_up() {
        let place = place(20_000).await;
        let patience = Duration::from_millis(20);
        let none = Duration::from_micros(1);
        assert!(
            tokio::time::timeout(none, place.gateway.refresh())
                .await
                .is_err(),
            "reading so much takes longer"
        );
        let begun = Instant::now();
        let known = loop {
            if let Ok(known) = tokio::time::timeout(patience, place.gateway.refresh()).await {
                break known.unwrap();
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "never ready");
        };
        assert_eq!(known.revision(&place.owner, file_id("f0")), 1);
    }

    #[tokio::test]
    async fn minting_does_not_wait_longer_than_a_request_may() {
        let place = place(0).await;
        place
            .catalog
            .add_file(&file(&place.owner, "f", 1))
            .await
            .unwrap();
        let caller = Principal {
            key: ApiKeyId::from_random([1; 16]),
            organization: place.owner.clone(),
            scopes: Scopes::USUAL,
        };
        let _stalled = place.gateway.stall_refreshes().await;
        let options = MintOptions::default();
        let minting = place.gateway.mint(&caller, "f", &options);
        let outcome = tokio::time::timeout(REFRESH_WAIT_MAX * 2, minting).await;
        let outcome = outcome.expect("an answer in time");
        assert!(
            matches!(outcome, Err(Refusal::Unavailable(_))),
            "{outcome:?}"
        );
    }
}
