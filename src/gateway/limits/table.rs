//! A bounded table of rate-limited keys, addresses, links and organizations.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Rule;
use super::gcra::{Meter, Rate};

/// The number of parts of a table, each with a lock of its own.
const SHARDS: usize = 64;

/// The most entries of one part.
const SHARD_ENTRIES_MAX: usize = 1_024;

/// The most entries of one table, in all 64 parts: at most some 12 MiB, and the texts of ids besides.
pub const ENTRIES_MAX: usize = SHARDS * SHARD_ENTRIES_MAX;

/// The pause before a part that is full of entries in use is searched again, in nanoseconds.
const SEARCH_PAUSE: u64 = 1_000_000_000;

pub(super) const MINUTE: u64 = 60_000_000_000;
pub(super) const SECOND: u64 = 1_000_000_000;

/// The usage of one key, address, link or organization.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) bounds: Bounds,
    requests: Meter,
    /// Downloads, or uploads, that go on.
    at_once: AtomicU64,
    pub(super) bytes: Meter,
}

/// A rule, as it is reckoned with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    requests: Option<Rate>,
    at_once: u64,
    pub(super) bytes: Option<Rate>,
}

/// The entries of one kind of thing. Without a rule there is none.
#[derive(Debug)]
pub(super) struct LimitTable<K> {
    shards: Box<[Mutex<Shard<K>>; SHARDS]>,
    hashing: RandomState,
    bounds: Bounds,
}

#[derive(Debug)]
struct Shard<K> {
    entries: HashMap<K, Arc<Entry>>,
    /// The one entry that newcomers share while the part is full.
    others: Arc<Entry>,
    searched_until: u64,
}

impl Entry {
    /// A new one, which begins where the other stands, but for what is going on there.
    fn like(other: &Self) -> Self {
        Self {
            bounds: other.bounds,
            requests: Meter::like(&other.requests),
            at_once: AtomicU64::new(0),
            bytes: Meter::like(&other.bytes),
        }
    }

    /// Lets a request through, or says in how many nanoseconds it would.
    pub(super) fn take_request(&self, now: u64) -> Result<(), u64> {
        let rate = self.bounds.requests;
        rate.map_or(Ok(()), |rate| self.requests.take_one(now, rate))
    }

    /// In how many nanoseconds a request would be let through.
    pub(super) fn wait(&self, now: u64) -> u64 {
        let rate = self.bounds.requests;
        rate.map_or(0, |rate| self.requests.wait(now, rate))
    }

    /// Counts one more download, or upload, or says no.
    pub(super) fn begin(&self) -> bool {
        let max = self.bounds.at_once;
        let one_more = |count| (max == 0 || count < max).then_some(count + 1);
        self.at_once
            .fetch_update(Relaxed, Relaxed, one_more)
            .is_ok()
    }

    /// Counts one fewer.
    pub(super) fn end(&self) {
        self.at_once.fetch_sub(1, Relaxed);
    }

    /// Returns whether removing the entry changes nothing for any client. Nobody else may hold it.
    fn is_like_new(&self, now: u64) -> bool {
        self.at_once.load(Relaxed) == 0
            && self.requests.is_like_new(now)
            && self.bytes.is_like_new(now)
    }
}

impl<K: Eq + Hash> LimitTable<K> {
    /// An empty table, if there is anything to be limited.
    pub(super) fn new(rule: &Rule) -> Option<Self> {
        if *rule == Rule::default() {
            return None;
        }
        Some(Self::within(Bounds {
            requests: Rate::new(rule.requests_per_minute, MINUTE),
            at_once: rule.at_once,
            bytes: Rate::new(rule.bytes_per_second, SECOND),
        }))
    }

    /// An empty table of requests at this rate.
    pub(super) fn of_rate(requests: Option<Rate>) -> Self {
        Self::within(Bounds {
            requests,
            at_once: 0,
            bytes: None,
        })
    }

    fn within(bounds: Bounds) -> Self {
        let shard = || {
            let others = Entry {
                bounds,
                requests: Meter::default(),
                at_once: AtomicU64::new(0),
                bytes: Meter::default(),
            };
            Mutex::new(Shard {
                entries: HashMap::new(),
                others: Arc::new(others),
                searched_until: 0,
            })
        };
        Self {
            shards: Box::new(std::array::from_fn(|_| shard())),
            hashing: RandomState::new(),
            bounds,
        }
    }

    /// This table, if requests are limited.
    pub(super) fn of_requests(&self) -> Option<&Self> {
        self.bounds.requests.is_some().then_some(self)
    }

    /// This table, if anything else is.
    pub(super) fn of_transfers(&self) -> Option<&Self> {
        let bounds = &self.bounds;
        (bounds.at_once > 0 || bounds.bytes.is_some()).then_some(self)
    }

    /// Asks the entry of `key`, which is made where there is none. No lock is held for longer than that.
    pub(super) fn ask<Q, T>(
        &self,
        key: &Q,
        now: u64,
        own: impl FnOnce() -> K,
        ask: impl FnOnce(&Arc<Entry>) -> T,
    ) -> T
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let mut shard = self.shard(key);
        if let Some(entry) = shard.entries.get(key) {
            return ask(entry);
        }
        if !shard.has_room(now) {
            return ask(&shard.others);
        }
        let entry = Arc::new(Entry::like(&shard.others));
        let answer = ask(&entry);
        shard.entries.insert(own(), entry);
        answer
    }

    /// In how many nanoseconds the next request of `key` would be let through.
    pub(super) fn wait<Q>(&self, key: &Q, now: u64) -> u64
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let shard = self.shard(key);
        let entry = shard.entries.get(key).unwrap_or(&shard.others);
        entry.wait(now)
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> MutexGuard<'_, Shard<K>> {
        // The map inside is hashed with keys of its own. A hash that no index fits does not exist.
        let hash = self.hashing.hash_one(key) % SHARDS as u64;
        let [first, ..] = self.shards.as_ref();
        let shard = usize::try_from(hash)
            .ok()
            .and_then(|at| self.shards.get(at));
        let shard = shard.unwrap_or(first).lock();
        shard.unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let shards = self.shards.iter();
        shards
            .map(|shard| shard.lock().unwrap().entries.len())
            .sum()
    }
}

impl<K: Eq + Hash> Shard<K> {
    /// Makes room among the entries that say no more than new ones would, where there is none.
    fn has_room(&mut self, now: u64) -> bool {
        if self.entries.len() >= SHARD_ENTRIES_MAX && now >= self.searched_until {
            // An entry with a second holder, besides the map, is in use.
            let is_used =
                |entry: &Arc<Entry>| Arc::strong_count(entry) > 1 || !entry.is_like_new(now);
            self.entries.retain(|_, entry| is_used(entry));
            self.searched_until = now.saturating_add(SEARCH_PAUSE);
        }
        self.entries.len() < SHARD_ENTRIES_MAX
    }
}
