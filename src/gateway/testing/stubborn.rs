//! A blob store that does not do as it is told.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::blob::memory::MemoryBlobs;
use crate::blob::{self, Blob, BlobError, BlobStore, Identified, Presign, Registered, Staged};
use crate::model::file::BlobLocation;
use crate::model::id::BlobKey;
use crate::model::time::UnixSeconds;

/// Blobs in memory, some of which the disk does not let go of, nor gives.
pub(crate) struct Stubborn {
    pub(crate) inner: MemoryBlobs,
    /// Those that can be neither removed nor read.
    pub(crate) fails: BTreeSet<BlobKey>,
    /// True if the store says of these that it is out of reach.
    pub(crate) is_unavailable: bool,
    /// Whether stages cannot be swept either.
    pub(crate) stages: bool,
}

impl Stubborn {
    fn failure<T: Send + 'static>(&self) -> blob::BlobFuture<'static, T> {
        let error = if self.is_unavailable {
            BlobError::Unavailable {
                doing: "testing",
                why: String::new(),
            }
        } else {
            BlobError::Io {
                doing: "testing",
                source: std::io::ErrorKind::PermissionDenied.into(),
            }
        };
        Box::pin(async { Err(error) })
    }
}

impl BlobStore for Stubborn {
    fn stage(&self, key: BlobKey) -> blob::BlobFuture<'_, Box<dyn Staged>> {
        self.inner.stage(key)
    }

    fn open<'a>(&'a self, location: &'a BlobLocation, size: u64) -> blob::BlobFuture<'a, Blob> {
        if matches!(location, BlobLocation::Stored(key) if self.fails.contains(key)) {
            return self.failure();
        }
        self.inner.open(location, size)
    }

    fn path_below(&self, location: &BlobLocation) -> Option<PathBuf> {
        self.inner.path_below(location)
    }

    fn presign<'a>(
        &'a self,
        location: &'a BlobLocation,
        asked: &'a Presign<'a>,
    ) -> blob::BlobFuture<'a, Option<String>> {
        self.inner.presign(location, asked)
    }

    fn take_ownership(&self) -> blob::BlobFuture<'_, ()> {
        self.inner.take_ownership()
    }

    fn expect_no_other(&self) -> blob::BlobFuture<'_, ()> {
        self.inner.expect_no_other()
    }

    fn is_reachable(&self, probe: BlobKey) -> blob::BlobFuture<'_, ()> {
        self.inner.is_reachable(probe)
    }

    fn remove(&self, key: BlobKey) -> blob::BlobFuture<'_, ()> {
        if self.fails.contains(&key) {
            return self.failure();
        }
        self.inner.remove(key)
    }

    fn register<'a>(&'a self, path: &'a Path) -> blob::BlobFuture<'a, Registered> {
        self.inner.register(path)
    }

    fn identify<'a>(&'a self, path: &'a Path) -> blob::BlobFuture<'a, Identified> {
        self.inner.identify(path)
    }

    fn sweep_stages(&self, limit: usize) -> blob::BlobFuture<'_, usize> {
        if self.stages {
            return self.failure();
        }
        self.inner.sweep_stages(limit)
    }

    fn abandoned_stages(&self) -> blob::BlobFuture<'_, usize> {
        self.inner.abandoned_stages()
    }

    fn list(
        &self,
        after: Option<BlobKey>,
        limit: usize,
    ) -> blob::BlobFuture<'_, Vec<(BlobKey, UnixSeconds)>> {
        self.inner.list(after, limit)
    }
}
