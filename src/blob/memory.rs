//! Blobs in memory: for tests.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};

use super::content::ContentHasher;
use super::{
    Blob, BlobError, BlobFuture, BlobStore, Identified, Presign, Registered, Staged, StoredBlob,
};
use crate::model::file::BlobLocation;
use crate::model::id::BlobKey;
use crate::model::time::UnixSeconds;

/// A blob store that lives as long as the process, and grows with its blobs without a bound.
pub struct MemoryBlobs {
    state: Arc<MemoryState>,
}

struct MemoryState {
    now: Box<dyn Fn() -> UnixSeconds + Send + Sync>,
    blobs: Mutex<BTreeMap<BlobKey, (Bytes, UnixSeconds)>>,
}

struct MemoryStage {
    state: Arc<MemoryState>,
    key: BlobKey,
    bytes: BytesMut,
}

impl MemoryBlobs {
    /// An empty store. `now` tells the time that a commit is listed with.
    pub fn new(now: impl Fn() -> UnixSeconds + Send + Sync + 'static) -> Self {
        Self {
            state: Arc::new(MemoryState {
                now: Box::new(now),
                blobs: Mutex::default(),
            }),
        }
    }
}

impl BlobStore for MemoryBlobs {
    fn stage(&self, key: BlobKey) -> BlobFuture<'_, Box<dyn Staged>> {
        Box::pin(async move {
            Ok(Box::new(MemoryStage {
                state: Arc::clone(&self.state),
                key,
                bytes: BytesMut::new(),
            }) as Box<dyn Staged>)
        })
    }

    fn open<'a>(&'a self, location: &'a BlobLocation, size: u64) -> BlobFuture<'a, Blob> {
        Box::pin(async move {
            let damaged = |what| Err(BlobError::Damaged { what });
            let BlobLocation::Stored(key) = location else {
                return damaged(format!("a store in memory holds no {location:?}"));
            };
            let found = self.state.blobs().get(key).map(|(bytes, _)| bytes.clone());
            match found {
                Some(bytes) if bytes.len() as u64 == size => Ok(Blob::Memory(bytes)),
                Some(bytes) => damaged(format!(
                    "blob {key}: {size} bytes expected, {found} found",
                    found = bytes.len()
                )),
                None => damaged(format!("blob {key}: it is not there")),
            }
        })
    }

    fn path_below(&self, _location: &BlobLocation) -> Option<PathBuf> {
        None
    }

    fn presign<'a>(
        &'a self,
        _location: &'a BlobLocation,
        _asked: &'a Presign<'a>,
    ) -> BlobFuture<'a, Option<String>> {
        Box::pin(async { Ok(None) })
    }

    fn take_ownership(&self) -> BlobFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn expect_no_other(&self) -> BlobFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn is_reachable(&self, _probe: BlobKey) -> BlobFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn remove(&self, key: BlobKey) -> BlobFuture<'_, ()> {
        Box::pin(async move {
            self.state.blobs().remove(&key);
            Ok(())
        })
    }

    fn register<'a>(&'a self, path: &'a Path) -> BlobFuture<'a, Registered> {
        Box::pin(async move {
            Err(BlobError::Refused {
                path: path.to_owned(),
                why: "this store has no disk",
            })
        })
    }

    fn identify<'a>(&'a self, path: &'a Path) -> BlobFuture<'a, Identified> {
        Box::pin(async move {
            Err(BlobError::Refused {
                path: path.to_owned(),
                why: "this store has no disk",
            })
        })
    }

    fn sweep_stages(&self, _limit: usize) -> BlobFuture<'_, usize> {
        // The stages of a process that is gone went with it.
        Box::pin(async { Ok(0) })
    }

    fn abandoned_stages(&self) -> BlobFuture<'_, usize> {
        Box::pin(async { Ok(0) })
    }

    fn list(
        &self,
        after: Option<BlobKey>,
        limit: usize,
    ) -> BlobFuture<'_, Vec<(BlobKey, UnixSeconds)>> {
        Box::pin(async move {
            let first = after.map_or(Bound::Unbounded, Bound::Excluded);
            let blobs = self.state.blobs();
            let following = blobs.range((first, Bound::Unbounded)).take(limit);
            Ok(following.map(|(key, (_, at))| (*key, *at)).collect())
        })
    }
}

impl Staged for MemoryStage {
    fn write(&mut self, chunk: Bytes) -> BlobFuture<'_, ()> {
        Box::pin(async move {
            self.bytes.extend_from_slice(&chunk);
            Ok(())
        })
    }

    fn commit(self: Box<Self>) -> BlobFuture<'static, StoredBlob> {
        Box::pin(async move {
            let Self { state, key, bytes } = *self;
            let mut hasher = ContentHasher::default();
            hasher.update(&bytes);
            let findings = hasher.finish();
            let stored = StoredBlob {
                key,
                size: bytes.len() as u64,
                sha256: findings.sha256,
                crc32: findings.crc32,
                text: findings.text,
            };
            let mut blobs = state.blobs();
            if blobs.contains_key(&key) {
                return Err(BlobError::Io {
                    doing: "committing a blob",
                    source: io::ErrorKind::AlreadyExists.into(),
                });
            }
            blobs.insert(key, (bytes.freeze(), (state.now)()));
            Ok(stored)
        })
    }
}

impl MemoryState {
    fn blobs(&self) -> MutexGuard<'_, BTreeMap<BlobKey, (Bytes, UnixSeconds)>> {
        // No code panics half-way through a change, so the map of a poisoned lock is whole.
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_in_memory_keeps_the_contract() {
        let store = MemoryBlobs::new(|| UnixSeconds::EPOCH.plus(86_400));
        super::super::contract::all(&store).await;
    }

    #[tokio::test]
    async fn a_commit_is_listed_with_the_time_handed_in() {
        let at = UnixSeconds::EPOCH.plus(7);
        let store = MemoryBlobs::new(move || at);
        let key = BlobKey::from_random([1; 16]);
        store.stage(key).await.unwrap().commit().await.unwrap();
        assert_eq!(store.list(None, 9).await.unwrap(), [(key, at)]);
    }
}
