//! The cache of rows and bytes: a request for a hot file asks neither the catalogue nor the disk.
//!
//! An entry is kept until it is changed: by this process or, as far as a refresh has found, by another. A refresh
//! forgets what was changed by its key, and nothing else (`invalidation`). A row that was changed while it was being
//! read is not kept: whoever reads takes a version stamp before (`RowsAt`). What is not there is not kept either, but for
//! API keys: a caller with a bad one, which asks again and again, costs one read in ten seconds.
//! Everything is forgotten only where everything is read anew: where the change feed does not lead on, or says so.
//!
//! Of many who ask at once for a row that is not there, one asks the catalogue (`single_flight`); of many who open a
//! file that is not, or is to be looked at again, one asks the blob store.
//!
//! Each cache is bounded, and what was used least makes room. They are `quick_cache`'s: many small locks
//! instead of one, no task of their own, and their keys can be looked up without being copied.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::{Cache as Bounded, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter};

use self::invalidation::Invalidations;
use self::single_flight::SingleFlight;
use super::archives::CachedArchive;
use super::download::OpenFile;
use super::observe::{CacheState, ShardedCounter};
use super::revocations::RowsAt;
use crate::model::address::{FileAddress, FileRef};
use crate::model::app::App;
use crate::model::digest::Sha256Digest;
use crate::model::file::FileRecord;
use crate::model::id::{ApiKeyId, AppId, OrganizationId, ShareId, SpaceId};
use crate::model::key::ApiKey;
use crate::model::share::{SharedFile, WholeShare};

mod invalidation;
pub(super) mod single_flight;

/// The bytes that a row costs besides its texts: its fields, its key, and its place in a cache.
const ROW_BYTES: u64 = 1_024;

/// The bytes that the archive of a share costs, about: of a thousand files.
const ARCHIVE_BYTES: u64 = 256 * 1_024;

/// The time for which it is kept that there is no API key of some digest. One that is made ends it.
pub(super) const UNKNOWN_FOR: Duration = Duration::from_secs(10);

/// The most API keys of which that is kept.
const UNKNOWN_KEYS_MAX: u64 = 1_024;

/// The memory budgets of the caches. A budget of 0 keeps nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// `cache.rows_bytes`: of rows of files; and as much again at most of API keys, apps and spaces, and a
    /// sixth as much of shares, and of their archives.
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
    /// The digests of API keys that there are not, each with the time until which that is kept, by the gateway's clock.
    pub(super) unknown_keys: BoundedCache<Sha256Digest, Duration>,
    pub(super) apps: BoundedCache<AppId, Arc<(App, ApiKey)>>,
    pub(super) spaces: BoundedCache<SpaceAddress, ()>,
    /// Shares with their files.
    pub(super) shares: BoundedCache<ShareAddress, Arc<WholeShare>>,
    /// Archives of shares.
    pub(super) archives: BoundedCache<ShareAddress, Arc<CachedArchive>>,
    /// Which share a code's digest was of, now or before it was rotated: no share ever has that of another one.
    pub(super) share_codes: BoundedCache<Sha256Digest, ShareAddress>,
    pub(super) open: BoundedCache<FileAddress, Arc<OpenFile>>,
    small: BoundedCache<FileAddress, Arc<OpenFile>>,
    /// Open files that are being looked at, and whether they were found whole.
    pub(super) checks: SingleFlight<FileAddress, bool>,
    small_file_max: u64,
}

/// A bounded number of values, each true until it is forgotten. Without a bound there are none.
pub(super) struct BoundedCache<K: Eq + Hash, V> {
    bounded: Option<Bounded<K, CacheEntry<V>, Weights>>,
    invalidations: Invalidations,
    /// The reads of values that are not in it. Each puts its value there before it answers.
    pub(super) flights: SingleFlight<K, V>,
    hits: ShardedCounter,
    misses: ShardedCounter,
}

#[derive(Clone)]
struct CacheEntry<V> {
    value: V,
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

/// A share of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ShareAddress {
    pub(super) organization: OrganizationId,
    pub(super) share: ShareId,
}

impl ShareAddress {
    /// The address of a share.
    pub(super) fn of(whole: &WholeShare) -> Self {
        Self {
            organization: whole.share.organization.clone(),
            share: whole.share.id.clone(),
        }
    }
}

impl Cache {
    pub(super) fn new(limits: &CacheLimits) -> Self {
        let (beside, of_shares) = (limits.rows_bytes / 3, limits.rows_bytes / 6);
        Self {
            files: BoundedCache::new(limits.rows_bytes, ROW_BYTES),
            keys: BoundedCache::new(beside, ROW_BYTES),
            unknown_keys: BoundedCache::new(beside.min(UNKNOWN_KEYS_MAX), 1),
            apps: BoundedCache::new(beside, ROW_BYTES),
            spaces: BoundedCache::new(beside, ROW_BYTES),
            shares: BoundedCache::new(of_shares, ROW_BYTES),
            share_codes: BoundedCache::new(of_shares, ROW_BYTES),
            archives: BoundedCache::new(of_shares, ARCHIVE_BYTES),
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
            self.shares.state("shares"),
            self.archives.state("archives"),
            self.open.state("open_files"),
            self.small.state("small_files"),
        ]
    }

    /// Forgets everything, as everything was read anew, so many times by now. Keeps no row that was read before.
    pub(super) fn begin_anew(&self, reloads: u64) {
        self.files.begin_anew(reloads);
        self.keys.begin_anew(reloads);
        self.unknown_keys.begin_anew(reloads);
        self.apps.begin_anew(reloads);
        self.spaces.begin_anew(reloads);
        self.shares.begin_anew(reloads);
        self.share_codes.begin_anew(reloads);
        self.archives.begin_anew(reloads);
        self.open.begin_anew(reloads);
        self.small.begin_anew(reloads);
    }

    /// Forgets a file that the change of this version changed: its row, and its bytes.
    pub(super) fn forget_file(&self, file: FileRef<'_>, version: u64) {
        self.files.invalidate(&file, version);
        self.open.invalidate(&file, version);
        self.small.invalidate(&file, version);
        let is_beside =
            |cached: &Arc<CachedArchive>| cached.organization().as_str() == file.organization();
        self.archives.invalidate_all(version, is_beside);
    }

    /// Forgets an API key that the change of this version changed, and its apps, and which keys there are not: it may be
    /// one of them. Costs as much as there are keys in
    /// memory, which change rarely.
    pub(super) fn forget_key(&self, id: &ApiKeyId, version: u64) {
        self.keys.invalidate_all(version, |key| key.id == *id);
        self.unknown_keys.invalidate_all(version, |_| true);
        self.apps.invalidate_all(version, |app| app.1.id == *id);
    }

    /// Forgets a share that the change of this version changed.
    pub(super) fn forget_share(&self, organization: OrganizationId, share: ShareId, version: u64) {
        let address = ShareAddress {
            organization,
            share,
        };
        self.shares.invalidate(&address, version);
        self.archives.invalidate(&address, version);
    }

    /// Caches the archive of a share whose rows were read after `at`.
    pub(super) fn cache_archive(&self, archive: &Arc<CachedArchive>, at: Option<RowsAt>) {
        let weight = archive.bytes() + share_weight(&archive.whole);
        let address = ShareAddress::of(&archive.whole);
        self.archives.keep(address, Arc::clone(archive), at, weight);
    }

    /// Evicts such archives, to make room.
    pub(super) fn evict_archives(&self, is_evicted: impl Fn(&CachedArchive) -> bool) {
        self.archives.forget_all(|cached| is_evicted(cached));
    }

    /// Keeps a share that was read after `at`, and by which digest its code is found.
    pub(super) fn keep_share(&self, whole: &Arc<WholeShare>, at: Option<RowsAt>) {
        let address = ShareAddress::of(whole);
        self.share_codes
            .keep_row(whole.share.code_digest, address.clone(), at);
        self.shares
            .keep(address, Arc::clone(whole), at, share_weight(whole));
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
            invalidations: Invalidations::default(),
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

    /// The value, if it is kept. Without a version stamp nothing in memory is believed.
    pub(super) fn get<Q>(&self, key: &Q, at: Option<RowsAt>) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let cache = self.bounded.as_ref()?;
        let entry = at.and_then(|_| cache.get(key));
        match &entry {
            Some(_) => self.hits.note(),
            None => self.misses.note(),
        }
        entry.map(|entry| entry.value)
    }

    /// Keeps a value that was read after `at`, unless it may have been changed since.
    pub(super) fn keep(&self, key: K, value: V, at: Option<RowsAt>, weight: u64) {
        if let (Some(cache), Some(at)) = (&self.bounded, at)
            && let Some(_not_now) = self.invalidations.unchanged_since(&key, at)
        {
            cache.insert(key, CacheEntry { value, weight });
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

    /// Forgets such values.
    fn forget_all(&self, is_forgotten: impl Fn(&V) -> bool) {
        if let Some(cache) = &self.bounded {
            cache.retain(|_, entry| !is_forgotten(&entry.value));
        }
    }

    /// Forgets a value that the change of this version changed, and keeps none that was read before.
    fn invalidate<Q>(&self, key: &Q, version: u64)
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        if let Some(cache) = &self.bounded {
            let _not_now = self.invalidations.changed(key, version);
            cache.remove(key);
        }
    }

    /// Forgets the values that `is_changed` by the change of this version, and keeps none that was read before.
    fn invalidate_all(&self, version: u64, is_changed: impl Fn(&V) -> bool) {
        if let Some(cache) = &self.bounded {
            self.invalidations.all_changed(version);
            cache.retain(|_, entry| !is_changed(&entry.value));
        }
    }

    fn begin_anew(&self, reloads: u64) {
        if let Some(cache) = &self.bounded {
            self.invalidations.begin_anew(reloads);
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

fn share_weight(whole: &WholeShare) -> u64 {
    /// What a file of a share costs besides its texts.
    const SHARED_FILE_BYTES: u64 = 128;
    let texts = |file: &SharedFile| (file.path.len() + file.file.as_str().len()) as u64;
    let files = whole.files.iter();
    let files: u64 = files.map(|file| SHARED_FILE_BYTES + texts(file)).sum();
    let texts = whole.share.title.len() + whole.share.note.len();
    ROW_BYTES + texts as u64 + files
}

#[cfg(test)]
mod tests;
