//! The cache of rows and bytes: a request for a hot file asks neither the catalogue nor the disk.
//!
//! Every entry knows between which changes of rows it was read (`RowsAt`, taken before the reading
//! began), and is answered with only while no row was changed since: by this process or, as far as a look
//! has found, by another. So a change that comes while a row is being read can never be lost: the row is
//! old as soon as it is kept. What is not there is never kept.
//!
//! Of many who ask at once for a row that is not there, one asks the catalogue (`single_flight`); of many who open a
//! file that is not, or is to be looked at again, one asks the blob store.
//!
//! Each cache is bounded, and what was used least makes room. They are `quick_cache`'s: many small locks
//! instead of one, no task of their own, and their keys can be looked up without being copied.

use std::hash::Hash;
use std::sync::Arc;

use quick_cache::sync::{Cache as Bounded, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter};

use self::single_flight::SingleFlight;
use super::download::OpenFile;
use super::observe::{CacheState, ShardedCounter};
use super::revocations::RowsAt;
use crate::model::address::{FileAddress, FileRef};
use crate::model::app::App;
use crate::model::digest::Sha256Digest;
use crate::model::file::FileRecord;
use crate::model::id::{AppId, OrganizationId, SpaceId};
use crate::model::key::ApiKey;

mod single_flight;

/// The bytes that a row costs besides its texts: its fields, its key, and its place in a cache.
const ROW_BYTES: u64 = 1_024;

/// The memory budgets of the caches. A budget of 0 keeps nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// `cache.rows_bytes`: of rows of files; and as much again at most of API keys, apps and spaces.
    pub rows_bytes: u64,
    /// `cache.open_files`: files that stay open.
    pub open_files: u64,
    /// `cache.small_files_bytes`: of files whose bytes are kept instead.
    pub small_files_bytes: u64,
    /// `cache.small_file_max`: how many bytes such a file has at most.
    pub small_file_max: u64,
}

/// All that one gateway keeps.
pub(super) struct Cache {
    pub(super) files: BoundedCache<FileAddress, Arc<FileRecord>>,
    pub(super) keys: BoundedCache<Sha256Digest, Arc<ApiKey>>,
    pub(super) apps: BoundedCache<AppId, Arc<(App, ApiKey)>>,
    pub(super) spaces: BoundedCache<SpaceAddress, ()>,
    pub(super) open: BoundedCache<FileAddress, Arc<OpenFile>>,
    small: BoundedCache<FileAddress, Arc<OpenFile>>,
    /// Open files that are being looked at, and whether they were found whole.
    pub(super) checks: SingleFlight<FileAddress, bool>,
    small_file_max: u64,
}

/// A bounded number of values, each true between two changes of rows. Without a bound there are none.
pub(super) struct BoundedCache<K: Eq + Hash, V> {
    bounded: Option<Bounded<K, CacheEntry<V>, Weights>>,
    /// The reads of values that are not in it. Each puts its value there before it answers.
    pub(super) flights: SingleFlight<K, V>,
    hits: ShardedCounter,
    misses: ShardedCounter,
}

#[derive(Clone)]
struct CacheEntry<V> {
    value: V,
    at: RowsAt,
    weight: u64,
}

#[derive(Clone)]
struct Weights;

impl<K, V> Weighter<K, CacheEntry<V>> for Weights {
    fn weight(&self, _: &K, entry: &CacheEntry<V>) -> u64 {
        entry.weight
    }
}

/// A space of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SpaceAddress {
    pub(super) organization: OrganizationId,
    pub(super) space: SpaceId,
}

impl Cache {
    pub(super) fn new(limits: &CacheLimits) -> Self {
        let beside = limits.rows_bytes / 3;
        Self {
            files: BoundedCache::new(limits.rows_bytes, ROW_BYTES),
            keys: BoundedCache::new(beside, ROW_BYTES),
            apps: BoundedCache::new(beside, ROW_BYTES),
            spaces: BoundedCache::new(beside, ROW_BYTES),
            open: BoundedCache::new(limits.open_files, 1),
            small: BoundedCache::new(limits.small_files_bytes, ROW_BYTES),
            checks: SingleFlight::default(),
            small_file_max: limits.small_file_max,
        }
    }

    /// All of them as they are now. Small files and open ones are looked for in one after the other.
    pub(super) fn states(&self) -> Vec<CacheState> {
        vec![
            self.files.state("files"),
            self.keys.state("api_keys"),
            self.apps.state("apps"),
            self.spaces.state("spaces"),
            self.open.state("open_files"),
            self.small.state("small_files"),
        ]
    }

    /// Lets go of everything.
    pub(super) fn clear(&self) {
        self.files.clear();
        self.keys.clear();
        self.apps.clear();
        self.spaces.clear();
        self.open.clear();
        self.small.clear();
    }

    /// Returns whether the bytes of a file of this size are kept themselves.
    pub(super) const fn is_small(&self, size: u64) -> bool {
        self.small.bounded.is_some() && size <= self.small_file_max
    }

    /// A file that is open, or whose bytes are here.
    pub(super) fn open_file(&self, file: FileRef<'_>, at: Option<RowsAt>) -> Option<Arc<OpenFile>> {
        self.small
            .get(&file, at)
            .or_else(|| self.open.get(&file, at))
    }

    pub(super) fn keep_open_file(&self, file: &Arc<OpenFile>, at: Option<RowsAt>) {
        let address = file.record.address();
        match file.content.bytes() {
            Some(bytes) => {
                let weight = bytes.len() as u64 + row_weight(&file.record);
                self.small.keep(address, Arc::clone(file), at, weight);
            }
            None => self.open.keep(address, Arc::clone(file), at, 1),
        }
    }

    pub(super) fn forget_open_file(&self, file: FileRef<'_>) {
        self.small.forget(&file);
        self.open.forget(&file);
    }

    pub(super) fn keep_file(&self, file: &Arc<FileRecord>, at: Option<RowsAt>) {
        let weight = row_weight(file);
        self.files
            .keep(file.address(), Arc::clone(file), at, weight);
    }
}

impl<K: Eq + Hash, V: Clone> BoundedCache<K, V> {
    /// Makes a cache for values of this weight in all. One weighs about `usual`.
    fn new(limit: u64, usual: u64) -> Self {
        let items = usize::try_from(limit.div_ceil(usual)).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(items)
            .weight_capacity(limit)
            .build();
        // Only a missing capacity is refused.
        let options = options.ok().filter(|_| limit > 0);
        let bounded = |options| {
            let (hashing, life) = (DefaultHashBuilder::default(), DefaultLifecycle::default());
            Bounded::with_options(options, Weights, hashing, life)
        };
        Self {
            bounded: options.map(bounded),
            flights: SingleFlight::default(),
            hits: ShardedCounter::default(),
            misses: ShardedCounter::default(),
        }
    }

    fn state(&self, name: &'static str) -> CacheState {
        let cache = self.bounded.as_ref();
        CacheState {
            name,
            hits: self.hits.sum(),
            misses: self.misses.sum(),
            entries: cache.map_or(0, |cache| cache.len() as u64),
            weight: cache.map_or(0, |cache| cache.weight()),
        }
    }

    /// The value, if it is still true.
    pub(super) fn get<Q>(&self, key: &Q, at: Option<RowsAt>) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let entry = self.bounded.as_ref()?.get(key);
        let entry = entry.filter(|entry| Some(entry.at) == at);
        match &entry {
            Some(_) => self.hits.note(),
            None => self.misses.note(),
        }
        entry.map(|entry| entry.value)
    }

    /// Keeps a value that was read no earlier than `at`, if that is known.
    pub(super) fn keep(&self, key: K, value: V, at: Option<RowsAt>, weight: u64) {
        if let (Some(cache), Some(at)) = (&self.bounded, at) {
            cache.insert(key, CacheEntry { value, at, weight });
        }
    }

    /// Caches a row that has no texts of any length, as [`BoundedCache::keep`] does.
    pub(super) fn keep_row(&self, key: K, value: V, at: Option<RowsAt>) {
        self.keep(key, value, at, ROW_BYTES);
    }

    fn forget<Q>(&self, key: &Q)
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        if let Some(cache) = &self.bounded {
            cache.remove(key);
        }
    }

    fn clear(&self) {
        if let Some(cache) = &self.bounded {
            cache.clear();
        }
    }
}

impl Equivalent<FileAddress> for FileRef<'_> {
    fn equivalent(&self, address: &FileAddress) -> bool {
        self.is_of(address)
    }
}

fn row_weight(file: &FileRecord) -> u64 {
    let texts = file.metadata.pairs();
    let texts: usize = texts.map(|(key, value)| key.len() + value.len()).sum();
    ROW_BYTES + texts as u64
}

#[cfg(test)]
mod tests;
