//! Blobs as objects of an S3-compatible store: AWS S3, Ceph, MinIO, Garage and others.
//!
//! A blob is the object `PREFIX/blobs/<32 hex>`. Any number of processes may work on one prefix; nothing else may
//! write below it, and an ownership marker beside the blobs names their installation. A small blob is put in one
//! request, a larger one in parts that are sent while more comes in, and is an object from the moment on that the
//! store has completed them. Either way the store holds every request to a signed SHA-256 of its bytes.
//!
//! A store that does not answer, or refuses for a reason of its own, is [`BlobError::Unavailable`]: the blobs in it
//! may be good. Idempotent requests are made again, a bounded number of times (`retry.rs`).

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use http::Method;
use object_store::aws::AmazonS3;
use object_store::client::HttpClient;
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore as _, ObjectStoreExt as _};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::{Blob, BlobError, BlobFuture, BlobStore, Identified, Presign, Registered, Staged};
use crate::model::file::BlobLocation;
use crate::model::id::{BlobKey, InstallationId};
use crate::model::time::UnixSeconds;

mod connect;
mod fault;
mod memory_budget;
mod ownership_marker;
mod read;
mod retry;
mod settings;
mod stage;
#[cfg(test)]
mod tests;
mod uploads;
mod wire;
mod write;

pub use read::HELD_BYTES_MAX;
pub use settings::{Ambient, Bucket, StoreSettings, VARIABLES};

use fault::{fault, is_missing, late};
use memory_budget::MemoryBudget;
use read::Object;
use retry::{in_time, retried};
use stage::S3Stage;
use uploads::UPLOAD_SECONDS_MAX;

/// The longest time that the store may take to begin an answer to a request without a body.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The most requests without a body that wait for their answers at once. A crowd is served in turns: all at once they
/// would time out together.
const ASKED_AT_ONCE_MAX: usize = 64;

/// The longest wait of a request for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(20);

/// The longest silence of the store in the middle of an answer.
const BYTES_WITHIN: Duration = Duration::from_secs(20);

/// The longest time that the store may take for a request that has a part of a blob in it, sent and answered.
const SENT_WITHIN: Duration = Duration::from_secs(120);

/// The most names in one answer to a list.
const PAGE: usize = 1000;

/// Why it takes no file where it lies.
const NO_DISK: &str = "the bytes are kept in an S3 store, not on a disk";

/// A blob store in a bucket. Cloning is a reference count.
#[derive(Clone)]
pub struct S3 {
    shared: Arc<Shared>,
}

/// The state of a store, which every blob being read or written shares.
struct Shared {
    store: AmazonS3,
    /// The client for requests that `store` has no call for.
    http: HttpClient,
    bucket: String,
    /// The prefix of the names of all our objects.
    prefix: String,
    /// The installation that the objects must belong to.
    owner: Option<InstallationId>,
    /// True if they belonged to it at the last check.
    is_owned: AtomicBool,
    /// True if the last write was good.
    is_writable: AtomicBool,
    memory: MemoryBudget,
    /// The bytes of each part of a larger blob, but for its last one.
    part_bytes: usize,
    turns: Semaphore,
    now: Box<dyn Fn() -> UnixSeconds + Send + Sync>,
}

impl S3 {
    /// A store that is reached like this. Nothing is asked of it yet. The secret's file must be there, and
    /// be for its owner alone; it is read again while the process runs. `now` tells the time by which uploads
    /// that nobody finished are told from those under way.
    ///
    /// # Errors
    /// [`BlobError`] if the file of the secret cannot be used.
    pub fn open(
        settings: &StoreSettings,
        now: impl Fn() -> UnixSeconds + Send + Sync + 'static,
    ) -> Result<Self, BlobError> {
        let shared = connect::connect(settings, Box::new(now))?;
        Ok(Self {
            shared: Arc::new(shared),
        })
    }
}

impl Shared {
    fn path(&self, key: BlobKey) -> Path {
        Path::from(format!("{}{key}", self.blobs()))
    }

    /// Returns the prefix of the names of all blobs.
    fn blobs(&self) -> String {
        format!("{}blobs/", self.prefix)
    }

    /// Returns the answer to a request, if it comes in time. The request begins when a permit is free.
    async fn within<T>(
        &self,
        doing: &'static str,
        asked: impl Future<Output = T>,
    ) -> Result<T, BlobError> {
        let _permit = self.permit(doing).await?;
        in_time(doing, ANSWER_WITHIN, asked).await
    }

    /// Waits until one more request may be under way; none, once the store is closed, which it never is.
    async fn permit(&self, doing: &'static str) -> Result<Option<SemaphorePermit<'_>>, BlobError> {
        let permit = timeout(TURN_WITHIN, self.turns.acquire()).await;
        Ok(permit.map_err(|_| late(doing, TURN_WITHIN))?.ok())
    }

    /// An object's length and tag, if it is there.
    async fn look(&self, path: &Path) -> Result<Option<ObjectMeta>, BlobError> {
        const DOING: &str = "looking at a blob";
        // An answer to HEAD does not say whether it is the bucket that is missing; one to GET does.
        for head in [true, false] {
            let options = GetOptions {
                head,
                range: (!head).then_some(GetRange::Bounded(0..1)),
                ..GetOptions::default()
            };
            let get = || self.store.get_opts(path, options.clone());
            match self.ask(DOING, get).await? {
                Ok(found) => return Ok(Some(found.meta)),
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(fault(DOING, &error)),
            }
        }
        Ok(None)
    }

    async fn list(
        &self,
        after: Option<BlobKey>,
        limit: usize,
    ) -> Result<Vec<(BlobKey, UnixSeconds)>, BlobError> {
        const DOING: &str = "listing blobs";
        let blobs = self.blobs();
        let mut offset = after.map(|key| format!("{blobs}{key}"));
        let mut found = Vec::new();
        while found.len() < limit {
            let options = PaginatedListOptions {
                offset: offset.clone(),
                max_keys: Some(PAGE.min(limit - found.len())),
                ..PaginatedListOptions::default()
            };
            let list = || self.store.list_paginated(Some(&blobs), options.clone());
            let page = self.ask(DOING, list).await?;
            let page = page.map_err(|error| fault(DOING, &error))?;
            let objects = page.result.objects;
            for object in &objects {
                let name = object.location.to_string();
                if offset.as_ref().is_some_and(|before| name <= *before) {
                    return Err(stuck(DOING));
                }
                offset = Some(name);
            }
            // Objects that are none of ours are passed over.
            found.extend(objects.iter().filter_map(|object| {
                let key = BlobKey::parse(object.location.as_ref().strip_prefix(&blobs)?)?;
                Some((key, committed_at(object)))
            }));
            if page.page_token.is_none() {
                break;
            }
            if objects.is_empty() {
                return Err(stuck(DOING));
            }
        }
        Ok(found)
    }

    async fn remove(&self, key: BlobKey) -> Result<(), BlobError> {
        const DOING: &str = "removing a blob";
        let path = self.path(key);
        match self.ask(DOING, || self.store.delete(&path)).await? {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(fault(DOING, &error)),
        }
    }

    async fn presign(&self, path: &Path, asked: &Presign<'_>) -> Result<String, BlobError> {
        const DOING: &str = "signing a URL of the store";
        let options = SignedUrlOptions::default().with_query([
            ("response-cache-control", asked.cache_control),
            ("response-content-disposition", asked.disposition),
            ("response-content-type", asked.content_type),
        ]);
        let method = if asked.is_head {
            Method::HEAD
        } else {
            Method::GET
        };
        let lives = Duration::from_secs(asked.seconds);
        let sign = || {
            let method = method.clone();
            self.store.signed_url_opts(method, path, lives, &options)
        };
        // Nothing is asked of the store, so it is nobody's turn; who gives us credentials may be slow.
        let url = retried(DOING, ANSWER_WITHIN, sign).await?;
        Ok(url.map_err(|error| fault(DOING, &error))?.into())
    }
}

impl BlobStore for S3 {
    fn stage(&self, key: BlobKey) -> BlobFuture<'_, Box<dyn Staged>> {
        Box::pin(async move {
            self.shared.expect_owned().await?;
            let stage = S3Stage::new(Arc::clone(&self.shared), key)?;
            Ok(Box::new(stage) as Box<dyn Staged>)
        })
    }

    fn open<'a>(&'a self, location: &'a BlobLocation, size: u64) -> BlobFuture<'a, Blob> {
        Box::pin(async move {
            let damaged = |what| Err(BlobError::Damaged { what });
            let BlobLocation::Stored(key) = location else {
                return damaged(format!("a store without a disk holds no {location:?}"));
            };
            let path = self.shared.path(*key);
            match self.shared.look(&path).await? {
                Some(found) if found.size == size => Ok(Blob::Object(Arc::new(Object {
                    shared: Arc::clone(&self.shared),
                    path,
                    e_tag: found.e_tag,
                    size,
                }))),
                Some(found) => damaged(format!(
                    "blob {key}: {size} bytes expected, {found} found",
                    found = found.size
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
        location: &'a BlobLocation,
        asked: &'a Presign<'a>,
    ) -> BlobFuture<'a, Option<String>> {
        Box::pin(async move {
            let BlobLocation::Stored(key) = location else {
                return Ok(None);
            };
            let url = self.shared.presign(&self.shared.path(*key), asked).await?;
            Ok(Some(url))
        })
    }

    fn take_ownership(&self) -> BlobFuture<'_, ()> {
        Box::pin(self.shared.take_ownership())
    }

    fn expect_no_other(&self) -> BlobFuture<'_, ()> {
        Box::pin(self.shared.expect_no_other())
    }

    fn is_reachable(&self, _probe: BlobKey) -> BlobFuture<'_, ()> {
        Box::pin(self.shared.look_around())
    }

    fn remove(&self, key: BlobKey) -> BlobFuture<'_, ()> {
        Box::pin(self.shared.remove(key))
    }

    fn register<'a>(&'a self, path: &'a FilePath) -> BlobFuture<'a, Registered> {
        Box::pin(async move {
            Err(BlobError::Refused {
                path: path.to_owned(),
                why: NO_DISK,
            })
        })
    }

    fn identify<'a>(&'a self, path: &'a FilePath) -> BlobFuture<'a, Identified> {
        Box::pin(async move {
            Err(BlobError::Refused {
                path: path.to_owned(),
                why: NO_DISK,
            })
        })
    }

    fn sweep_stages(&self, limit: usize) -> BlobFuture<'_, usize> {
        Box::pin(self.shared.sweep_uploads(limit))
    }

    fn abandoned_stages(&self) -> BlobFuture<'_, usize> {
        Box::pin(self.shared.abandoned_uploads())
    }

    fn list(
        &self,
        after: Option<BlobKey>,
        limit: usize,
    ) -> BlobFuture<'_, Vec<(BlobKey, UnixSeconds)>> {
        Box::pin(self.shared.list(after, limit))
    }
}

/// The error of a list that goes on without getting on.
fn stuck(doing: &'static str) -> BlobError {
    let why = "the store's list is not in order, or does not go on where it was told to".into();
    BlobError::Unavailable { doing, why }
}

/// Returns the time at which an object was committed, at the latest. Some stores say of one that was made of parts when
/// that was begun; their tags have a dash in them.
fn committed_at(object: &ObjectMeta) -> UnixSeconds {
    // It is only compared.
    let at = UnixSeconds::clamped(object.last_modified.timestamp());
    let is_of_parts = object.e_tag.as_ref().is_some_and(|tag| tag.contains('-'));
    at.plus(if is_of_parts { UPLOAD_SECONDS_MAX } else { 0 })
}
