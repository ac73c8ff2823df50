//! Files in place whose identity moved while their size and modification time stayed: a file that was restored
//! from a backup, whose mode or link count was changed, or that somebody rewrote and gave its old time back.
//!
//! Only their bytes can tell. So they are hashed again before they are served, each file by one reader and two
//! files at once in the whole process. What was found is remembered for as long as the identity stays, and the row
//! takes the identity if the bytes are its own.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, watch};

use super::Gateway;
use crate::blob::{Blob, BlobError, BlobStore, Registered};
use crate::catalog::CatalogError;
use crate::model::address::FileAddress;
use crate::model::file::{BlobLocation, FileRecord, InPlace};

/// How many files are hashed at once.
const READERS_MAX: usize = 2;

/// How many files may be waiting to be hashed, in all.
const WAITING_MAX: usize = 1_000;

/// How many files' hashes are remembered.
const REMEMBERED_MAX: usize = 10_000;

/// How long a request waits. The reading goes on, for the next one.
const WAIT_MAX: Duration = Duration::from_secs(5);

const READING: &str = "reading a file in place again";

/// A file that was hashed again.
struct Reread {
    registered: Registered,
    /// Whether its row has the new identity, as far as this process knows, or is getting it.
    is_noted: AtomicBool,
}

/// The outcome of a reading, once there is one.
type Outcome = Option<Result<Arc<Reread>, String>>;

/// The files that are hashed again, and those that were.
pub(super) struct Rereads {
    known: Cache<FileAddress, Arc<Reread>>,
    under_way: Mutex<HashMap<FileAddress, watch::Receiver<Outcome>>>,
    readers: Semaphore,
}

/// Takes a reading from those under way when it ends, however it ends.
struct UnderWay {
    rereads: Arc<Rereads>,
    file: FileAddress,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.rereads.under_way().remove(&self.file);
    }
}

impl Default for Rereads {
    fn default() -> Self {
        Self {
            known: Cache::new(REMEMBERED_MAX),
            under_way: Mutex::default(),
            readers: Semaphore::new(READERS_MAX),
        }
    }
}

impl Rereads {
    fn under_way(&self) -> MutexGuard<'_, HashMap<FileAddress, watch::Receiver<Outcome>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Hashes the file at `path`, or waits for whoever does, [`WAIT_MAX`] at most.
    async fn read(
        self: &Arc<Self>,
        blobs: &Arc<dyn BlobStore>,
        file: &FileAddress,
        path: &Path,
    ) -> Result<Arc<Reread>, BlobError> {
        let unavailable = |why: String| BlobError::Unavailable {
            doing: READING,
            why: format!("{}: {why}", path.display()),
        };
        let Some(mut outcome) = self.join(blobs, file, path) else {
            let why = format!("{WAITING_MAX} files wait to be read again");
            return Err(unavailable(why));
        };
        let there = outcome.wait_for(Option::is_some);
        match tokio::time::timeout(WAIT_MAX, there).await {
            Ok(Ok(outcome)) => match &*outcome {
                Some(Ok(reread)) => Ok(Arc::clone(reread)),
                Some(Err(why)) => Err(unavailable(why.clone())),
                None => Err(unavailable("nothing was found".to_owned())),
            },
            Ok(Err(_)) => Err(unavailable("the reading ended early".to_owned())),
            Err(_) => Err(unavailable(
                "its identity moved, and it is read again".to_owned(),
            )),
        }
    }

    /// The outcome of the reading of this file that is under way, or that is begun. `None` where too many are.
    fn join(
        self: &Arc<Self>,
        blobs: &Arc<dyn BlobStore>,
        file: &FileAddress,
        path: &Path,
    ) -> Option<watch::Receiver<Outcome>> {
        let mut under_way = self.under_way();
        if let Some(outcome) = under_way.get(file) {
            return Some(outcome.clone());
        }
        if under_way.len() >= WAITING_MAX {
            return None;
        }
        let (tell, outcome) = watch::channel(None);
        under_way.insert(file.clone(), outcome.clone());
        let this = UnderWay {
            rereads: Arc::clone(self),
            file: file.clone(),
        };
        let (blobs, path) = (Arc::clone(blobs), path.to_owned());
        tokio::spawn(async move {
            let rereads = Arc::clone(&this.rereads);
            let Ok(_reader) = rereads.readers.acquire().await else {
                return;
            };
            let registered = blobs.register(&path).await;
            let found = registered.map(|registered| {
                let reread = Arc::new(Reread {
                    registered,
                    is_noted: AtomicBool::new(false),
                });
                rereads.known.insert(this.file.clone(), Arc::clone(&reread));
                reread
            });
            let found = found.map_err(|error| super::refusal::with_causes(&error));
            // Whoever comes now finds it known, or begins anew.
            drop(this);
            tell.send_replace(Some(found));
        });
        Some(outcome)
    }
}

impl Gateway {
    /// Opens the bytes of a file. A file in place whose identity moved is hashed again first, and its row takes the
    /// new one if the hash is its own; else it is damage.
    ///
    /// # Errors
    /// As [`BlobStore::open`], but never [`BlobError::Moved`]; and [`BlobError::Unavailable`] where the hashing takes
    /// more than [`WAIT_MAX`], after which it is worth trying again.
    pub(super) async fn open_bytes(&self, file: &FileRecord) -> Result<Blob, BlobError> {
        match self.blobs.open(&file.location, file.size).await {
            Err(BlobError::Moved { found }) => Box::pin(self.open_moved(file, *found)).await,
            opened => opened,
        }
    }

    async fn open_moved(&self, file: &FileRecord, found: InPlace) -> Result<Blob, BlobError> {
        let address = file.address();
        let known = self.rereads.known.get(&address);
        let reread = match known.filter(|known| known.registered.file.is(&found)) {
            Some(reread) => reread,
            None => {
                self.rereads
                    .read(&self.blobs, &address, &found.path)
                    .await?
            }
        };
        let Registered {
            file: now,
            size,
            sha256,
            // The same bytes are the same text, which the row says already.
            text: _,
        } = &reread.registered;
        if (*size, *sha256) != (file.size, file.sha256) {
            return Err(BlobError::Damaged {
                what: format!(
                    "{}: its identity moved, and its SHA-256 is {}, not {}",
                    found.path.display(),
                    sha256.to_hex(),
                    file.sha256.to_hex()
                ),
            });
        }
        let opened = self
            .blobs
            .open(&BlobLocation::InPlace(now.clone()), *size)
            .await;
        let blob = opened.map_err(|error| match error {
            BlobError::Moved { .. } => BlobError::Unavailable {
                doing: READING,
                why: format!("{}: it goes on changing", found.path.display()),
            },
            other => other,
        })?;
        if !reread.is_noted.swap(true, Ordering::Relaxed)
            && let Err(error) = self.note_identity(file, now).await
        {
            reread.is_noted.store(false, Ordering::Relaxed);
            tracing::warn!(%error, "the new identity of a file in place is not in its row yet");
        }
        Ok(blob)
    }

    /// Gives a row its file's new identity. That somebody else did, or that the file was removed, is no error.
    pub(super) async fn note_identity(
        &self,
        file: &FileRecord,
        now: &InPlace,
    ) -> Result<(), CatalogError> {
        let BlobLocation::InPlace(seen) = &file.location else {
            return Ok(());
        };
        let (owner, id) = (&file.organization, &file.id);
        let change = self.catalog.replace_identity(owner, id, seen, now);
        match self.changing(change).await {
            Err(CatalogError::NotFound { .. } | CatalogError::Conflict { .. }) => Ok(()),
            noted => noted,
        }
    }
}
