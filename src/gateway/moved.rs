//! Files in place whose identity moved while their size and modification time stayed: a file that was restored
//! from a backup, whose mode or link count was changed, or that somebody rewrote and gave its old time back.
//!
//! Only their bytes can tell. So they are hashed again before they are served, each file by one reader and two
//! files at once in the whole process. What was found is remembered for as long as the identity stays, a failure for
//! [`FAILED_FOR`] at most. If the bytes are its own, the row takes the identity in the background: no download waits
//! for that. Gateways that see one file under two identities (a network file system has another device number on each
//! host) give the row at most one each, and go on serving the file by the remembered hash.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, watch};

use super::Gateway;
use super::clock::Clock;
use super::refusal::with_causes;
use crate::blob::{Blob, BlobError, BlobStore, Registered};
use crate::catalog::maintenance::Text;
use crate::catalog::{Catalog, CatalogError};
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

/// The pause before a row is tried again to which its file's identity could not be given.
const NOTED_EVERY: Duration = Duration::from_secs(10);

/// The most tries in a row to give a row an identity, where others change it meanwhile.
const NOTING_TRIES: usize = 3;

const READING: &str = "reading a file in place again";

/// A file that was hashed again.
pub(super) struct Reread {
    pub(super) registered: Registered,
    noting: Mutex<Noting>,
}

/// The state of giving a row the identity that was found.
#[derive(Clone, Copy, Debug, Default)]
enum Noting {
    /// Not begun.
    #[default]
    Due,
    /// Under way, or failed: to be begun again at this time, by the gateway's own clock.
    Again(Duration),
    /// The row took the identity, is gone, or had been given one by somebody else. Not to be begun again.
    Done,
}

/// The result of a reading, or the reason why it failed. Cloning is a reference count.
type Outcome = Result<Arc<Reread>, Arc<str>>;

/// An outcome, the identity that the reading was begun for, and when it ended, by the gateway's own clock.
#[derive(Clone)]
struct Known {
    outcome: Outcome,
    found: InPlace,
    since: Duration,
}

/// The files that are hashed again, and those that were.
pub(super) struct Rereads {
    known: Cache<FileAddress, Known>,
    under_way: Mutex<HashMap<FileAddress, watch::Receiver<Option<Outcome>>>>,
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
    fn under_way(&self) -> MutexGuard<'_, HashMap<FileAddress, watch::Receiver<Option<Outcome>>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the known outcome of a file whose identity is `found` now, if that still counts.
    fn known(&self, file: &FileAddress, found: &InPlace, now: Duration) -> Option<Outcome> {
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
    ) -> Option<watch::Receiver<Option<Outcome>>> {
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

    /// Checks that the bytes are those of the file's row, where its identity was `found`.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] where they are others.
    pub(super) fn expect_own(&self, file: &FileRecord, found: &InPlace) -> Result<(), BlobError> {
        expect_own(&self.registered, file, found)
    }

    /// Returns whether the row is to be given the identity now. If so, that counts as under way.
    fn begin_noting(&self, now: Duration) -> bool {
        let mut noting = self.noting();
        let is_due = match *noting {
            Noting::Due => true,
            Noting::Again(at) => at <= now,
            Noting::Done => false,
        };
        if is_due {
            *noting = Noting::Again(now.saturating_add(NOTED_EVERY));
        }
        is_due
    }

    fn noting(&self) -> MutexGuard<'_, Noting> {
        self.noting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a row the identity, if it still has the one that `file` has or an earlier one of the same device, and says
    /// whether its bytes are text where nobody has. A row that has another one by now keeps it: another gateway sees
    /// the file so. That, and a file that was removed, is no error. Only after an error it is to be begun again.
    async fn note(&self, catalog: &dyn Catalog, file: &FileRecord) -> Result<(), CatalogError> {
        self.note_once(catalog, file).await?;
        *self.noting() = Noting::Done;
        Ok(())
    }

    async fn note_once(
        &self,
        catalog: &dyn Catalog,
        file: &FileRecord,
    ) -> Result<(), CatalogError> {
        let (owner, id) = (&file.organization, &file.id);
        let found = &self.registered.file;
        let mut row = file.clone();
        for _ in 0..NOTING_TRIES {
            let BlobLocation::InPlace(seen) = &row.location else {
                return Ok(());
            };
            if seen == found {
                return self.note_text(catalog, &row).await;
            }
            match catalog.replace_identity(owner, id, seen, found).await {
                Err(CatalogError::NotFound { .. }) => return Ok(()),
                // The row in memory was old.
                Err(CatalogError::Conflict { .. }) => match catalog.file(owner, id).await? {
                    Some(now) if is_behind(&now, found) => row = now,
                    _ => return Ok(()),
                },
                noted => {
                    noted?;
                    return self.note_text(catalog, &row).await;
                }
            }
        }
        Ok(())
    }

    async fn note_text(&self, catalog: &dyn Catalog, row: &FileRecord) -> Result<(), CatalogError> {
        if row.is_text.is_some() {
            return Ok(());
        }
        let text = Text {
            organization: row.organization.clone(),
            file: row.id.clone(),
            is_text: self.registered.text.is_utf8,
        };
        catalog.set_text(&[text]).await
    }
}

/// Returns whether a row has the identity `found`, or one that the file had before on the same device.
fn is_behind(row: &FileRecord, found: &InPlace) -> bool {
    let BlobLocation::InPlace(row) = &row.location else {
        return false;
    };
    let is_same_device = row.device.is_none() || row.device == found.device;
    is_same_device && row.changed_nanos <= found.changed_nanos
}

fn expect_own(
    registered: &Registered,
    file: &FileRecord,
    found: &InPlace,
) -> Result<(), BlobError> {
    if (registered.size, registered.sha256) == (file.size, file.sha256) {
        return Ok(());
    }
    Err(BlobError::Damaged {
        what: format!(
            "{}: its identity moved, and its SHA-256 is {}, not {}",
            found.path.display(),
            registered.sha256.to_hex(),
            file.sha256.to_hex()
        ),
    })
}

impl Gateway {
    /// Opens the bytes of a file. A file in place whose identity moved is hashed again first, and its row takes the
    /// new one in the background if the hash is its own; else it is damage.
    ///
    /// # Errors
    /// As [`BlobStore::open`], but never [`BlobError::Moved`]; and [`BlobError::Unavailable`] where the hashing takes
    /// more than [`WAIT_MAX`] or failed lately, after which it is worth trying again.
    pub(super) async fn open_bytes(&self, file: &FileRecord) -> Result<Blob, BlobError> {
        match self.blobs.open(&file.location, file.size).await {
            Err(BlobError::Moved { found }) => Box::pin(self.open_moved(file, *found)).await,
            opened => opened,
        }
    }

    /// Checks that a file's bytes can be opened and, where their identity moved, that they are its own, however long
    /// that takes. Changes nothing.
    ///
    /// # Errors
    /// As [`BlobStore::open`], but never [`BlobError::Moved`]; and as [`BlobStore::register`].
    pub(super) async fn check_bytes(&self, file: &FileRecord) -> Result<(), BlobError> {
        match self.blobs.open(&file.location, file.size).await {
            Err(BlobError::Moved { found }) => {
                expect_own(&self.blobs.register(&found.path).await?, file, &found)
            }
            opened => opened.map(drop),
        }
    }

    async fn open_moved(&self, file: &FileRecord, found: InPlace) -> Result<Blob, BlobError> {
        let reread = self.reread(file, &found, Some(WAIT_MAX)).await?;
        reread.expect_own(file, &found)?;
        let Registered {
            file: now, size, ..
        } = &reread.registered;
        let opened = self
            .blobs
            .open(&BlobLocation::InPlace(now.clone()), *size)
            .await;
        let blob = opened.map_err(|error| match error {
            BlobError::Moved { .. } => unavailable(&found.path, "it goes on changing"),
            other => other,
        })?;
        self.note_in_background(file, &reread);
        Ok(blob)
    }

    /// Returns whether [`Self::reread`] answers from memory.
    pub(super) fn is_reread(&self, file: &FileRecord, found: &InPlace) -> bool {
        let now = self.clock.elapsed();
        self.rereads.known(&file.address(), found, now).is_some()
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
            Err(_) => Err(unavailable(
                path,
                "its identity moved, and it is read again",
            )),
        }
    }

    /// Gives a row its file's new identity while the download goes on, and says whether its bytes are text where the
    /// row does not. After an error it is tried again, every [`NOTED_EVERY`] at most.
    fn note_in_background(&self, file: &FileRecord, reread: &Arc<Reread>) {
        if !reread.begin_noting(self.clock.elapsed()) {
            return;
        }
        let (catalog, file) = (Arc::clone(&self.catalog), file.clone());
        let reread = Arc::clone(reread);
        // The row in memory is as good as the new one until the next refresh of the snapshot.
        tokio::spawn(async move {
            if let Err(error) = reread.note(catalog.as_ref(), &file).await {
                tracing::warn!(%error, "the new identity of a file in place is not in its row yet");
            }
        });
    }

    /// Gives a row the identity of a file that was read again, unless this gateway did so before.
    pub(super) async fn note_reread(
        &self,
        file: &FileRecord,
        reread: &Reread,
    ) -> Result<(), CatalogError> {
        if matches!(*reread.noting(), Noting::Done) {
            return Ok(());
        }
        self.note_identity(file, &reread.registered.file).await?;
        *reread.noting() = Noting::Done;
        Ok(())
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
        unless_gone(self.changing(change).await)
    }
}

/// That somebody else changed a row, or that the file was removed, is no error.
fn unless_gone(noted: Result<(), CatalogError>) -> Result<(), CatalogError> {
    match noted {
        Err(CatalogError::NotFound { .. } | CatalogError::Conflict { .. }) => Ok(()),
        noted => noted,
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
