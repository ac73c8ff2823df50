//! Blobs in memory: for tests.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};

use super::content::ContentHasher;
use super::{Answer, Blob, BlobError, BlobStore, Presign, Registered, Staged, Stored};
use crate::model::file::BlobLocation;
use crate::model::id::BlobKey;
use crate::model::time::UnixSeconds;

/// A blob store that lives as long as the process, and grows with its blobs without a bound.
pub struct Memory {
    shelf: Arc<Shelf>,
}

struct Shelf {
    now: Box<dyn Fn() -> UnixSeconds + Send + Sync>,
    blobs: Mutex<BTreeMap<BlobKey, (Bytes, UnixSeconds)>>,
}

struct MemoryStage {
    shelf: Arc<Shelf>,
    key: BlobKey,
    bytes: BytesMut,
}

impl Memory {
    /// An empty store. `now` tells the time that a commit is listed with.
    pub fn new(now: impl Fn() -> UnixSeconds + Send + Sync + 'static) -> Self {
        Self {
            shelf: Arc::new(Shelf {
                now: Box::new(now),
                blobs: Mutex::default(),
            }),
        }
    }
}

impl BlobStore for Memory {
    fn stage(&self, key: BlobKey) -> Answer<'_, Box<dyn Staged>> {
        Box::pin(async move {
            Ok(Box::new(MemoryStage {
                shelf: Arc::clone(&self.shelf),
                key,
                bytes: BytesMut::new(),
            }) as Box<dyn Staged>)
        })
    }

    fn open<'a>(&'a self, location: &'a BlobLocation, size: u64) -> Answer<'a, Blob> {
        Box::pin(async move {
            let damaged = |what| Err(BlobError::Damaged { what });
            let BlobLocation::Stored(key) = location else {
                return damaged(format!("a store in memory holds no {location:?}"));
            };
            let found = self.shelf.blobs().get(key).map(|(bytes, _)| bytes.clone());
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
    ) -> Answer<'a, Option<String>> {
        Box::pin(async { Ok(None) })
    }

    fn claim(&self) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn expect_no_other(&self) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn is_reachable(&self, _probe: BlobKey) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn remove(&self, key: BlobKey) -> Answer<'_, ()> {
        Box::pin(async move {
            self.shelf.blobs().remove(&key);
            Ok(())
        })
    }

    fn register<'a>(&'a self, path: &'a Path) -> Answer<'a, Registered> {
        Box::pin(async move {
            Err(BlobError::Refused {
                path: path.to_owned(),
                why: "this store has no disk",
            })
        })
    }

    fn sweep_stages(&self, _limit: usize) -> Answer<'_, usize> {
        // The stages of a process that is gone went with it.
        Box::pin(async { Ok(0) })
    }

    fn abandoned_stages(&self) -> Answer<'_, usize> {
        Box::pin(async { Ok(0) })
    }

    fn list(
        &self,
        after: Option<BlobKey>,
        limit: usize,
    ) -> Answer<'_, Vec<(BlobKey, UnixSeconds)>> {
        Box::pin(async move {
            let first = after.map_or(Bound::Unbounded, Bound::Excluded);
            let blobs = self.shelf.blobs();
            let following = blobs.range((first, Bound::Unbounded)).take(limit);
            Ok(following.map(|(key, (_, at))| (*key, *at)).collect())
        })
    }
}

impl Staged for MemoryStage {
    fn write(&mut self, chunk: Bytes) -> Answer<'_, ()> {
        Box::pin(async move {
            self.bytes.extend_from_slice(&chunk);
            Ok(())
        })
    }

    fn commit(self: Box<Self>) -> Answer<'static, Stored> {
        Box::pin(async move {
            let Self { shelf, key, bytes } = *self;
            let mut hasher = ContentHasher::default();
            hasher.update(&bytes);
            let (sha256, text) = hasher.finish();
            let stored = Stored {
                key,
                size: bytes.len() as u64,
                sha256,
                text,
            };
            let mut blobs = shelf.blobs();
            if blobs.contains_key(&key) {
                return Err(BlobError::Io {
                    doing: "committing a blob",
                    source: io::ErrorKind::AlreadyExists.into(),
                });
            }
            blobs.insert(key, (bytes.freeze(), (shelf.now)()));
            Ok(stored)
        })
    }
}

impl Shelf {
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
        let store = Memory::new(|| UnixSeconds::EPOCH.plus(86_400));
        super::super::contract::all(&store).await;
    }

    #[tokio::test]
    async fn a_commit_is_listed_with_the_time_handed_in() {
        let at = UnixSeconds::EPOCH.plus(7);
        let store = Memory::new(move || at);
        let key = BlobKey::from_random([1; 16]);
        store.stage(key).await.unwrap().commit().await.unwrap();
        assert_eq!(store.list(None, 9).await.unwrap(), [(key, at)]);
    }
}
