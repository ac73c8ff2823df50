//! Numbers about a gateway's inside for an operator, and nobody's names.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::Gateway;
use super::refusal::Refusal;
use super::revocations::REFRESH_WAIT_MAX;
use crate::model::revocation::RevocationCounts;
use crate::sign::keyring::KeyState;
use crate::sign::verify::Rejection;

/// The number of shards of a counter that every request moves, so that no two processors fight for it.
const SHARDS: usize = 8;

/// A number that only grows. Adding to it is one relaxed addition.
#[derive(Debug, Default)]
pub(super) struct ShardedCounter([OwnLine; SHARDS]);

/// A number on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct OwnLine(AtomicU64);

/// One cache, as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheState {
    /// The kind of values that it keeps.
    pub name: &'static str,
    /// Lookups that found a value, still true.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Values that it keeps.
    pub entries: u64,
    /// The weight of those: bytes, as far as they are known; open files weigh 1 each.
    pub weight: u64,
}

/// The reasons why a link opens nothing, each at its own place.
const REASONS: [Rejection; 12] = [
    Rejection::Malformed,
    Rejection::KidUnknown,
    Rejection::KidRetired,
    Rejection::MacMismatch,
    Rejection::Expired,
    Rejection::TooFar,
    Rejection::NotYetValid,
    Rejection::IpMismatch,
    Rejection::LinkRevoked,
    Rejection::FileRevoked,
    Rejection::OrganizationRevoked,
    Rejection::Paused,
];

/// The words for why a link opens nothing.
pub fn rejection_labels() -> impl Iterator<Item = &'static str> {
    REASONS.into_iter().map(Rejection::label)
}

/// At which place of [`rejection_labels`] the word of this reason is.
pub const fn rejection_place(why: Rejection) -> usize {
    why as usize
}

impl ShardedCounter {
    /// One more.
    pub(super) fn note(&self) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
        }
        let mut place = PLACE.get();
        if place == usize::MAX {
            place = NEXT.fetch_add(1, Relaxed) % SHARDS;
            PLACE.set(place);
        }
        if let Some(OwnLine(number)) = self.0.get(place) {
            number.fetch_add(1, Relaxed);
        }
    }

    /// Returns the sum of all shards.
    pub(super) fn sum(&self) -> u64 {
        self.0
            .iter()
            .map(|OwnLine(number)| number.load(Relaxed))
            .sum()
    }
}

impl Gateway {
    /// Returns whether requests can be answered: looks at the catalogue, and whether the blob store can be read and
    /// written. Unavailable where one of them does not answer in [`REFRESH_WAIT_MAX`].
    ///
    /// A look at a store costs it two syncs, so there is one at a time, and of many who ask meanwhile the next
    /// one looks for all. A look at a store that hangs is the only one until it ends.
    pub async fn ready(&self) -> Result<(), Refusal> {
        self.refresh_in_time().await?;
        let unavailable = |why: &str| Refusal::Unavailable(format!("the blob store {why}"));
        let (asked, key) = (self.clock.elapsed(), self.new_blob_key()?);
        let looking = Arc::clone(&self.looking_at_blobs).lock_owned();
        let Ok(mut last) = tokio::time::timeout(REFRESH_WAIT_MAX, looking).await else {
            return Err(unavailable("is being looked at, which takes long"));
        };
        if last.is_some_and(|began| began >= asked) {
            return Ok(());
        }
        let (blobs, begun) = (Arc::clone(&self.blobs), self.clock.elapsed());
        let look = tokio::spawn(async move {
            let found = blobs.is_reachable(key).await;
            *last = found.is_ok().then_some(begun);
            found
        });
        match tokio::time::timeout(REFRESH_WAIT_MAX, look).await {
            Ok(Ok(found)) => Ok(found?),
            Ok(Err(_)) => Err(unavailable("cannot be looked at")),
            Err(_) => Err(unavailable("does not answer in time")),
        }
    }

    /// Every cache as it is now.
    pub fn caches(&self) -> Vec<CacheState> {
        self.cache.states()
    }

    /// Returns the number of signing keys in each state.
    pub fn signing_keys(&self) -> [(&'static str, u64); 3] {
        let keyring = self.keyring();
        [KeyState::Active, KeyState::VerifyOnly, KeyState::Retired].map(|state| {
            let of_state = keyring.keys().iter().filter(|key| key.state == state);
            (state.as_str(), of_state.count() as u64)
        })
    }

    /// Returns the numbers of revocations in this process's snapshot.
    pub fn revocation_counts(&self) -> RevocationCounts {
        self.snapshot.revocations().counts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_at_its_own_place() {
        for (place, reason) in REASONS.into_iter().enumerate() {
            assert_eq!(rejection_place(reason), place, "{reason}");
        }
    }

    #[test]
    fn a_sharded_counter_adds_up_over_threads() {
        let counter = ShardedCounter::default();
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| (0..50).for_each(|_| counter.note()));
            }
        });
        assert_eq!(counter.sum(), 1_000);
    }
}
