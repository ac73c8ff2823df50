//! The cell in which a gateway has its snapshot of what was revoked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::held::HeldRevocations;
use crate::catalog::changes::FeedPosition;
use crate::model::revocation::Revocations;

/// The snapshot of one gateway, and what refreshes it. It is read for every request, so nobody ever waits for
/// it: a refresh puts a new one in its place.
#[derive(Debug, Default)]
pub(in crate::gateway) struct SnapshotCell {
    pub(super) current: ArcSwap<Snapshot>,
    /// Held by the one refresh that runs: the others wait for it and find its result. A reload holds this too.
    pub(super) refreshing: Arc<tokio::sync::Mutex<()>>,
    /// Notifies all who wait at once when a refresh is over: a lock that is handed on from one to the next would
    /// cost the last of hundreds as many turns, each behind everybody else's work.
    pub(super) refreshed: Notify,
    /// The number of changes of this process of which nobody knows whether a snapshot has them. A snapshot from
    /// before the last of them answers nothing.
    own_changes: AtomicU64,
    /// What the catalogue had no room for. Whoever replaces the snapshot has it locked.
    held: Mutex<HeldRevocations>,
}

/// The result of one refresh: what is known without asking the catalogue.
#[derive(Clone, Debug, Default)]
pub(in crate::gateway) struct Snapshot {
    /// What was revoked: as the catalogue says, and what it had no room for.
    pub(in crate::gateway) revocations: Arc<Revocations>,
    /// What the catalogue says.
    pub(in crate::gateway) written: Arc<Revocations>,
    /// The position in the change feed. `None` at the start, before everything was read.
    pub(super) position: Option<FeedPosition>,
    /// The last change of a row that the cache has forgotten.
    pub(super) rows_version: u64,
    /// The number of times that everything was read.
    pub(super) reloads: u64,
    /// The number of times that it was of an older catalogue then.
    pub(super) put_back: u64,
    /// On the gateway's own clock: when the refresh that confirmed this began. Never, at the start.
    pub(super) confirmed: Option<Duration>,
    /// The number of this process's own changes by then.
    pub(super) own_changes: u64,
    /// The version of what is held that `revocations` has.
    pub(super) held_version: u64,
}

/// A version stamp: the last change of rows before a row was read. The row may be kept unless a later change of it
/// was applied, or everything was read anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::gateway) struct RowsAt {
    pub(in crate::gateway) version: u64,
    pub(in crate::gateway) reloads: u64,
}

#[cfg(test)]
impl RowsAt {
    /// A moment of its own for each number.
    pub(in crate::gateway) const fn sample(version: u64) -> Self {
        Self {
            version,
            reloads: 0,
        }
    }
}

/// Notes when it is dropped that this process changed something that no snapshot may have: its caller gave up, or
/// nobody knows whether it happened, or no refresh has read it.
pub(super) struct OwnChange<'a> {
    pub(super) snapshot: &'a SnapshotCell,
    pub(super) is_settled: bool,
}

impl Drop for OwnChange<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            self.snapshot.own_changes.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl SnapshotCell {
    /// Returns what was revoked, as it was last read, and what is held.
    pub(in crate::gateway) fn revocations(&self) -> Arc<Revocations> {
        Arc::clone(&self.current.load().revocations)
    }

    /// Returns the snapshot, if somebody's refresh that began after this moment says the same as one of now would.
    pub(super) fn confirmed_after(&self, begun: Duration) -> Option<Arc<Snapshot>> {
        let snapshot = self.current.load_full();
        let is_later = snapshot.confirmed.is_some_and(|other| other > begun);
        (is_later && snapshot.own_changes == self.own_changes()).then_some(snapshot)
    }

    /// Puts what a refresh found in the place of what was known, and notifies all who wait for one.
    pub(super) fn replace(&self, mut snapshot: Snapshot) -> Arc<Snapshot> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.current.load();
        let is_same = Arc::ptr_eq(&before.written, &snapshot.written)
            && before.held_version == held.version();
        snapshot.revocations = match is_same {
            true => Arc::clone(&before.revocations),
            false => held.over(&snapshot.written),
        };
        snapshot.held_version = held.version();
        let snapshot = Arc::new(snapshot);
        self.current.store(Arc::clone(&snapshot));
        drop(held);
        self.refreshed.notify_waiters();
        snapshot
    }

    /// Changes what is held, and has the snapshot say so from now on.
    pub(super) fn change_held<T>(&self, change: impl FnOnce(&mut HeldRevocations) -> T) -> T {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.current.load_full();
        let done = change(&mut held);
        if held.version() != before.held_version {
            self.current.store(Arc::new(Snapshot {
                revocations: held.over(&before.written),
                held_version: held.version(),
                ..Snapshot::clone(&before)
            }));
        }
        done
    }

    /// Looks at what is held now.
    pub(super) fn held<T>(&self, look: impl FnOnce(&HeldRevocations) -> T) -> T {
        look(&self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn own_changes(&self) -> u64 {
        self.own_changes.load(Ordering::SeqCst)
    }
}
