//! Checking every row against its bytes, and what lies about that no row names.
//!
//! Safe beside any number of running gateways: what looks damaged is looked at again in the catalogue, in case
//! it was deleted meanwhile, and what is being written counts as no leftover.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use super::Gateway;
use super::refusal::{Refusal, with_causes};
use crate::blob::{BlobError, BlobStore};
use crate::model::digest::Sha256Digest;
use crate::model::file::{FileRecord, FileState};

/// How many rows are looked at in one go.
const ROWS: u32 = 100;

/// How much of a file is in memory at once, in bytes.
const CHUNK_BYTES: u64 = 1024 * 1024;

/// How far a check has come, for whoever shows it.
#[derive(Debug, Default)]
pub struct Tally {
    files: AtomicU64,
    bytes: AtomicU64,
}

/// What is the matter with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// Its bytes are gone, of another length, or not those that its row says.
    Damaged(String),
    /// The disk did not give them. They may be good.
    Unreadable(String),
    /// It is marked as damaged, and its bytes are whole.
    Healed,
}

/// A file that something is the matter with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its row, as the check left it.
    pub file: FileRecord,
    /// What it is.
    pub complaint: Complaint,
}

/// What no row names and no living process writes. Every running gateway sweeps it within an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Uploads that broke off with their process.
    pub stages: usize,
    /// Blobs without a row, older than any upload may be.
    pub orphans: usize,
}

impl Tally {
    /// Files that were read to their end, or as far as they are.
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Bytes that were read.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Gateway {
    /// Reads the bytes of every file that has any, deleted or not, `at_once` files at a time with a
    /// megabyte of each in memory, and hands each finding to `report`. With `mend`, damaged files are marked,
    /// after which no gateway serves them, and the mark is taken from those that are whole again; nothing
    /// else changes. Dropping the future stops between two chunks.
    pub async fn check_files(
        &self,
        mend: bool,
        at_once: usize,
        tally: &Arc<Tally>,
        mut report: impl FnMut(Finding),
    ) -> Result<(), Refusal> {
        let mut checks = JoinSet::new();
        let mut last = None;
        loop {
            let page = self.catalog.files_with_bytes(last.as_ref(), ROWS).await?;
            let Some(file) = page.last() else {
                break;
            };
            last = Some((file.organization.clone(), file.id.clone()));
            for file in page {
                if checks.len() >= at_once.max(1)
                    && let Some(checked) = checks.join_next().await
                    && let Some(finding) = self.settle(mend, checked).await?
                {
                    report(finding);
                }
                checks.spawn(check(Arc::clone(&self.blobs), file, Arc::clone(tally)));
            }
        }
        while let Some(checked) = checks.join_next().await {
            if let Some(finding) = self.settle(mend, checked).await? {
                report(finding);
            }
        }
        Ok(())
    }

    /// Counts what a sweep would remove, but for deleted files whose days in the recycle bin are over.
    pub async fn leftovers(&self) -> Result<Leftovers, Refusal> {
        let mut leftovers = Leftovers {
            stages: self.blobs.abandoned_stages().await?,
            orphans: 0,
        };
        let mut after = None;
        while let Some((last, orphans)) = self.orphans(after).await? {
            leftovers.orphans += orphans.len();
            after = Some(last);
        }
        Ok(leftovers)
    }

    /// What is to be said of a checked file, and with `mend` done. Its row is read again: bytes of a file
    /// that was deleted and swept meanwhile may well be gone.
    async fn settle(
        &self,
        mend: bool,
        checked: Result<(FileRecord, Option<Complaint>), tokio::task::JoinError>,
    ) -> Result<Option<Finding>, Refusal> {
        let broke = |error| Refusal::Internal(format!("checking a file: {error}"));
        let (seen, complaint) = checked.map_err(broke)?;
        let Some(complaint) = complaint else {
            return Ok(None);
        };
        let (organization, id) = (&seen.organization, &seen.id);
        let now = self.catalog.file(organization, id).await?;
        let same = |file: &FileRecord| {
            !matches!(file.state, FileState::Swept { .. }) && file.location == seen.location
        };
        let Some(mut file) = now.filter(same) else {
            return Ok(None);
        };
        let mark = match complaint {
            Complaint::Damaged(_) => file.damaged_at.or(Some(self.clock.now())),
            Complaint::Unreadable(_) => file.damaged_at,
            Complaint::Healed => None,
        };
        if mend && mark != file.damaged_at {
            self.catalog.mark_damaged(organization, id, mark).await?;
            file.damaged_at = mark;
        }
        Ok(Some(Finding { file, complaint }))
    }
}

/// Reads a file's bytes to their end, and says what is the matter with them.
async fn check(
    blobs: Arc<dyn BlobStore>,
    file: FileRecord,
    tally: Arc<Tally>,
) -> (FileRecord, Option<Complaint>) {
    let complaint = match digest(blobs.as_ref(), &file, &tally).await {
        Ok(sha256) if sha256 != file.sha256 => Some(Complaint::Damaged(format!(
            "its SHA-256 is {sha256}, not {expected}",
            sha256 = sha256.to_hex(),
            expected = file.sha256.to_hex()
        ))),
        Ok(_) => file.damaged_at.map(|_| Complaint::Healed),
        Err(BlobError::Damaged { what }) => Some(Complaint::Damaged(what)),
        Err(error) => Some(Complaint::Unreadable(with_causes(&error))),
    };
    tally.files.fetch_add(1, Ordering::Relaxed);
    (file, complaint)
}

async fn digest(
    blobs: &dyn BlobStore,
    file: &FileRecord,
    tally: &Tally,
) -> Result<Sha256Digest, BlobError> {
    let blob = blobs.open(&file.location, file.size).await?;
    let mut hasher = Sha256::new();
    let mut offset = 0;
    while offset < file.size {
        let length = (file.size - offset).min(CHUNK_BYTES);
        let chunk = blob
            .read_at(offset, usize::try_from(length).unwrap_or_default())
            .await?;
        hasher.update(&chunk);
        offset += length;
        tally.bytes.fetch_add(length, Ordering::Relaxed);
    }
    Ok(Sha256Digest::new(hasher.finalize().into()))
}
