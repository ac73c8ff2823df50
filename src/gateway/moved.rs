//! Files in place whose identity moved while their size and modification time stayed: a file that was restored
//! from a backup, whose mode or link count was changed, or that somebody rewrote and gave its old time back.
//!
//! Only their bytes can tell. So they are hashed again before they are served, each file by one reader and two
//! files at once in the whole process. What was found is remembered for as long as the identity stays, a failure for
//! [`FAILED_FOR`] at most. If the bytes are its own, the row takes the identity in the background: no download waits
//! for that. Gateways that see one file under two identities (a network file system has another device number on each
//! host) give the row at most one each, and go on serving the file by the remembered hash.

mod identity;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, watch};

use self::identity::Noting;
use super::Gateway;
use super::clock::Clock;
use super::refusal::{Refusal, with_causes};
use crate::blob::{Blob, BlobError, BlobStore, Registered};
use crate::model::address::FileAddress;
use crate::model::file::{BlobLocation, FileRecord, InPlace};

/// The most files that are hashed at once.
const READERS_MAX: usize = 2;

/// The most files that wait to be hashed, in all.
const WAITING_MAX: usize = 1_000;

/// The most files whose hashes are remembered.
const REMEMBERED_MAX: usize = 10_000;

/// The most time that a request waits. The reading goes on, for the next one.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The pause before a file that could not be read is read again.
const FAILED_FOR: Duration = Duration::from_secs(10);

const READING: &str = "reading a file in place again";

/// A file that was hashed again.
pub(super) struct Reread {
    pub(super) registered: Registered,
    noting: Mutex<Noting>,
}

/// The result of a reading, or the reason why it failed. Cloning is a reference count.
type RereadOutcome = Result<Arc<Reread>, Arc<str>>;

/// A reading that is under way, or has just ended: its outcome, once there is one.
type Reading = watch::Receiver<Option<RereadOutcome>>;

/// An outcome, the identity that the reading was begun for, and when it ended, by the gateway's own clock.
#[derive(Clone)]
struct Known {
    outcome: RereadOutcome,
    found: InPlace,
    since: Duration,
}

/// The files that are hashed again, and those that were.
pub(super) struct Rereads {
    known: Cache<FileAddress, Known>,
    under_way: Mutex<HashMap<FileAddress, Reading>>,
    readers: Semaphore,
}

/// Takes a reading from those under way when it ends, however it ends.
struct ReadingGuard {
    rereads: Arc<Rereads>,
    file: FileAddress,
}

impl Drop for ReadingGuard {
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
    fn under_way(&self) -> MutexGuard<'_, HashMap<FileAddress, Reading>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the known outcome of a file whose identity is `found` now, if that still counts.
    fn known(&self, file: &FileAddress, found: &InPlace, now: Duration) -> Option<RereadOutcome> {
        let known = self.known.get(file)?;
        let counts = match &known.outcome {
            Ok(reread) => reread.registered.file.is(found),
            Err(_) => known.found == *found && now.saturating_sub(known.since) < FAILED_FOR,
        };
        counts.then_some(known.outcome)
    }

    /// Returns the outcome of the reading of this file that is under way, or that is begun for the identity `found`.
    /// `None` where too many are.
    fn join(
        self: &Arc<Self>,
        (blobs, clock): (&Arc<dyn BlobStore>, &Arc<dyn Clock>),
        file: &FileAddress,
        found: &InPlace,
    ) -> Option<Reading> {
        let mut under_way = self.under_way();
        if let Some(outcome) = under_way.get(file) {
            return Some(outcome.clone());
        }
        if under_way.len() >= WAITING_MAX {
            return None;
        }
        let (tell, outcome) = watch::channel(None);
        under_way.insert(file.clone(), outcome.clone());
        let this = ReadingGuard {
            rereads: Arc::clone(self),
            file: file.clone(),
        };
        let (blobs, clock, found) = (Arc::clone(blobs), Arc::clone(clock), found.clone());
        tokio::spawn(async move {
            let rereads = Arc::clone(&this.rereads);
            let Ok(_reader) = rereads.readers.acquire().await else {
                return;
            };
            let outcome = match blobs.register(&found.path).await {
                Ok(registered) => Ok(Arc::new(Reread::of(registered))),
                Err(error) => Err(with_causes(&error).into()),
            };
            let known = Known {
                outcome: outcome.clone(),
                found,
                since: clock.elapsed(),
            };
            rereads.known.insert(this.file.clone(), known);
            // A request that comes now finds it known.
            drop(this);
            tell.send_replace(Some(outcome));
        });
        Some(outcome)
    }
}

impl Reread {
    fn of(registered: Registered) -> Self {
        Self {
            registered,
            noting: Mutex::default(),
        }
    }
}

/// Says of a file that nobody had read that it is another one now: nothing tells whether its bytes are.
fn changed_since_registered(found: &InPlace) -> BlobError {
    BlobError::Damaged {
        what: format!(
            "{}: it was changed or replaced since it was looked at",
            found.path.display()
        ),
    }
}

/// Checks that the bytes that were read are those of the file's row, where its identity was `found`.
///
/// # Errors
/// [`BlobError::Damaged`] where they are others.
pub(super) fn expect_own(
    registered: &Registered,
    file: &FileRecord,
    found: &InPlace,
) -> Result<(), BlobError> {
    let Some(sha256) = file.sha256 else {
        return Err(changed_since_registered(found));
    };
    if (registered.size, registered.sha256) == (file.size, sha256) {
        return Ok(());
    }
    Err(BlobError::Damaged {
        what: format!(
            "{}: its identity moved, and its SHA-256 is {}, not {}",
            found.path.display(),
            registered.sha256.to_hex(),
            sha256.to_hex()
        ),
    })
}

impl Gateway {
    /// Opens the bytes of a file. A file in place whose identity moved is hashed again first, and its row takes the
    /// new one in the background if the hash is its own; else it is damage.
    ///
    /// # Errors
    /// Those of [`BlobStore::open`] but [`BlobError::Moved`], and [`BlobError::Unavailable`] where the hashing takes more
    /// than [`WAIT_MAX`] or failed lately, after which it is worth trying again.
    pub(super) async fn open_bytes(&self, file: &FileRecord) -> Result<Blob, BlobError> {
        match self.blobs.open(&file.location, file.size).await {
            Err(BlobError::Moved { found }) if file.sha256.is_none() => {
                Err(changed_since_registered(&found))
            }
            Err(BlobError::Moved { found }) => Box::pin(self.open_moved(file, *found)).await,
            opened => opened,
        }
    }

    /// Checks that a file's bytes can be opened and, where their identity moved, that they are its own, however long
    /// that takes. Changes nothing.
    ///
    /// # Errors
    /// Those of [`BlobStore::open`] but [`BlobError::Moved`], and those of [`BlobStore::register`].
    pub(super) async fn check_bytes(&self, file: &FileRecord) -> Result<(), BlobError> {
        match self.blobs.open(&file.location, file.size).await {
            Err(BlobError::Moved { found }) if file.sha256.is_none() => {
                Err(changed_since_registered(&found))
            }
            Err(BlobError::Moved { found }) => {
                expect_own(&self.blobs.register(&found.path).await?, file, &found)
            }
            opened => opened.map(drop),
        }
    }

    async fn open_moved(&self, file: &FileRecord, found: InPlace) -> Result<Blob, BlobError> {
        let reread = self.reread(file, &found, Some(WAIT_MAX)).await?;
        let now = &reread.registered;
        expect_own(now, file, &found)?;
        let location = BlobLocation::InPlace(now.file.clone());
        let opened = self.blobs.open(&location, now.size).await;
        let blob = opened.map_err(|error| match error {
            BlobError::Moved { .. } => unavailable(&found.path, "it goes on changing"),
            other => other,
        })?;
        self.note_in_background(file, &reread);
        Ok(blob)
    }

    /// Returns whether [`Self::reread`] answers from memory.
    fn is_reread(&self, file: &FileRecord, found: &InPlace) -> bool {
        let now = self.clock.elapsed();
        self.rereads.known(&file.address(), found, now).is_some()
    }

    /// Hashes a file in place whose identity is `found` now, unless its hash is remembered, and has its row take the
    /// identity if the bytes are its own. Returns what was read of it, `None` where it cannot be read or is another file, and
    /// how many bytes were hashed for that.
    ///
    /// # Errors
    /// The refusal of the catalogue.
    pub(super) async fn taken_back(
        &self,
        file: &FileRecord,
        found: &InPlace,
    ) -> Result<(Option<Arc<Reread>>, u64), Refusal> {
        let is_remembered = self.is_reread(file, found);
        let Ok(reread) = self.reread(file, found, None).await else {
            return Ok((None, 0));
        };
        let hashed = match is_remembered {
            true => 0,
            false => reread.registered.size,
        };
        if expect_own(&reread.registered, file, found).is_err() {
            return Ok((None, hashed));
        }
        self.ask(self.note_reread(file, &reread)).await?;
        Ok((Some(reread), hashed))
    }

    /// Returns the result of reading a file whose identity is `found` now. A file without one is hashed, or the
    /// hashing that is under way is waited for, `wait` at most. The hashing goes on, for the next request.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`] where it is not known in time, or the reading for this identity failed in the last
    /// [`FAILED_FOR`].
    pub(super) async fn reread(
        &self,
        file: &FileRecord,
        found: &InPlace,
        wait: Option<Duration>,
    ) -> Result<Arc<Reread>, BlobError> {
        let (address, path) = (file.address(), &found.path);
        let failed = |why: Arc<str>| unavailable(path, &why);
        let now = self.clock.elapsed();
        if let Some(outcome) = self.rereads.known(&address, found, now) {
            return outcome.map_err(failed);
        }
        let stores = (&self.blobs, &self.clock);
        let Some(mut outcome) = self.rereads.join(stores, &address, found) else {
            let why = format!("{WAITING_MAX} files wait to be read again");
            return Err(unavailable(path, &why));
        };
        let there = outcome.wait_for(Option::is_some);
        let there = match wait {
            Some(wait) => tokio::time::timeout(wait, there).await,
            None => Ok(there.await),
        };
        match there {
            Ok(Ok(outcome)) => match &*outcome {
                Some(outcome) => outcome.clone().map_err(failed),
                None => Err(unavailable(path, "nothing was found")),
            },
            Ok(Err(_)) => Err(unavailable(path, "the reading ended early")),
            Err(_) => {
                let why = "its identity moved, and it is read again";
                Err(unavailable(path, why))
            }
        }
    }
}

fn unavailable(path: &Path, why: &str) -> BlobError {
    BlobError::Unavailable {
        doing: READING,
        why: format!("{}: {why}", path.display()),
    }
}

#[cfg(test)]
mod tests;
