//! Moving an installation: its rows to another catalogue, its bytes to another store, or one of the two.
//!
//! 1. Both catalogues are read side by side, kind by kind, in the order of the keys (`merge`). What only the
//!    source has is put, what differs is put again, what only the copy has is removed. So every run, and every
//!    pass of it, does just what is left to do, wherever the last one was broken off.
//! 2. A file's row is put when its bytes are there (`bytes`): written, durable, and read back with the SHA-256
//!    of the row. So a row in the copy says that its bytes were seen there, and they are not copied again. Where
//!    the rows stay there is no such row, and each run reads what is there.
//! 3. The source is only read. Gateways may run on it: what they change meanwhile, the next pass brings.
//! 4. The copy says of itself that it is one, and whether it is whole; nothing opens it before it is. Whoever
//!    changes it makes it an installation of its own, which is never written to again.
//!
//! A file whose bytes are damaged, or cannot be read, keeps its row, marked as damaged, so that its id stays
//! taken and nothing is served in its place. Files registered in place have a blob of their own in the copy.

use std::sync::Arc;

use super::clock::Clock;
use super::progress::PassProgress;
use crate::blob::{BlobError, BlobStore};
use crate::catalog::transfer::{CopyNote, Kind, Row, Totals};
use crate::catalog::{Catalog, CatalogError};
use crate::model::file::FileRecord;

mod bytes;
mod merge;
mod pass;
#[cfg(test)]
mod tests;

use merge::{Merge, Step};

/// The most passes of one run: changes that come faster are left to the last run, when nothing is changed any more.
pub const PASSES_MAX: u32 = 3;

/// The most files whose bytes are copied at once. Each holds a megabyte, and as much more as the store does of a
/// blob that is being written: two parts of S3's.
pub const COPIES_AT_ONCE_MAX: usize = 8;

/// The most blobs of a store that are listed to tell whether they are ours, and the most broken uploads that are
/// swept in one go.
const BLOBS_LOOKED_AT: usize = 1_000;

/// The source and the destination of a migration.
#[derive(Clone)]
pub struct Ends {
    /// The catalogue that is read.
    pub catalog: Arc<dyn Catalog>,
    /// The store that is read.
    pub blobs: Arc<dyn BlobStore>,
    /// The catalogue that is written; `None` where the rows stay.
    pub to_catalog: Option<Arc<dyn Catalog>>,
    /// The store that is written; `None` where the bytes stay.
    pub to_blobs: Option<Arc<dyn BlobStore>>,
    /// A text that tells that store from any other; empty where the bytes stay.
    pub blobs_place: String,
    /// The most bytes that one blob can have there: a file served in place may have more.
    pub blob_bytes_max: u64,
    /// True if the blobs that an earlier run saw there are read once more.
    pub verify: bool,
}

/// The work of a pass, or of several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Rows that were put.
    pub rows_copied: u64,
    /// Rows that were removed from the copy.
    pub rows_removed: u64,
    /// Blobs that were written.
    pub files_copied: u64,
    /// Bytes of those.
    pub bytes_copied: u64,
    /// Files whose bytes were there.
    pub files_there: u64,
    /// Files whose bytes are damaged, cannot be read, or are too many for one blob.
    pub left_out: u64,
    /// Files that are served in place and stay there, since their rows stay.
    pub in_place: u64,
    /// Rows that changed while they were looked at: the next pass brings them.
    pub unsettled: u64,
}

impl Moved {
    /// Returns whether there was nothing left to do.
    pub const fn is_nothing(&self) -> bool {
        self.rows_copied == 0
            && self.rows_removed == 0
            && self.files_copied == 0
            && self.unsettled == 0
    }

    /// Adds up the work that was done, and takes over the findings of the `next` pass.
    const fn and_then(self, next: Self) -> Self {
        Self {
            rows_copied: self.rows_copied + next.rows_copied,
            rows_removed: self.rows_removed + next.rows_removed,
            files_copied: self.files_copied + next.files_copied,
            bytes_copied: self.bytes_copied + next.bytes_copied,
            ..next
        }
    }
}

/// The result of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationOutcome {
    /// The work of all passes together.
    pub moved: Moved,
    /// The number of passes.
    pub passes: u32,
    /// True if the last one found nothing to do.
    pub is_in_step: bool,
}

/// An event of a run, reported on the way.
#[derive(Debug)]
pub enum Told<'a> {
    /// A pass begins, over so much.
    Begun(u32, Totals),
    /// A file whose bytes are not copied, and why.
    LeftOut(&'a FileRecord, &'a str),
    /// A pass is over.
    Passed(u32, &'a Moved),
}

/// The reason why an installation was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// It cannot be moved there; nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// One of the two catalogues did not do as asked.
    #[error("{end}")]
    Catalog {
        /// The catalogue that failed.
        end: End,
        /// Its error.
        #[source]
        source: CatalogError,
    },
    /// One of the two stores did not do as asked.
    #[error("{end}")]
    Blobs {
        /// The store that failed.
        end: End,
        /// Its error.
        #[source]
        source: BlobError,
    },
    /// The source no longer has what it had when the run began, and what is never taken away.
    #[error("{0}")]
    Strayed(String),
    /// A task of ours broke.
    #[error("copying a file: {0}")]
    Broke(#[from] tokio::task::JoinError),
}

/// The side of a migration at which something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The side that is read.
    Source,
    /// The side that is written.
    Destination,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Source => "the source",
            Self::Destination => "the destination",
        })
    }
}

impl End {
    fn catalog(self) -> impl FnOnce(CatalogError) -> MigrateError {
        move |source| MigrateError::Catalog { end: self, source }
    }

    fn blobs(self) -> impl FnOnce(BlobError) -> MigrateError {
        move |source| MigrateError::Blobs { end: self, source }
    }
}

/// Moves everything that has to be moved, and says what is to be known on the way. Dropped on its way, or
/// after an error, it leaves a copy that the next run completes, and that nothing else opens until then;
/// where it is `Refused`, nothing was changed.
pub async fn migrate(
    ends: &Ends,
    clock: &dyn Clock,
    progress: &Arc<PassProgress>,
    mut tell: impl FnMut(Told<'_>),
) -> Result<MigrationOutcome, MigrateError> {
    let mut ends = ends.clone();
    let note = ends.may_begin().await?;
    ends.claim().await?;
    ends.note(&note, false).await?;
    // No row says what an earlier run saw of the bytes.
    ends.verify |= ends.to_catalog.is_none();
    ends.sweep_stages().await?;
    let mut outcome = MigrationOutcome {
        moved: Moved::default(),
        passes: 0,
        is_in_step: false,
    };
    while outcome.passes < PASSES_MAX && !outcome.is_in_step {
        let kept = ends.catalog.totals().await.map_err(End::Source.catalog())?;
        progress.begin();
        tell(Told::Begun(outcome.passes + 1, kept));
        // A run reads the blobs that were there only once, in its first pass.
        ends.verify &= outcome.passes == 0;
        let moved = pass::pass(&ends, clock.now(), progress, &mut tell).await?;
        outcome.passes += 1;
        outcome.is_in_step = moved.is_nothing();
        outcome.moved = outcome.moved.and_then(moved);
        tell(Told::Passed(outcome.passes, &moved));
    }
    // A copy behind the source may lack what was revoked there since: no gateway opens it.
    ends.note(&note, outcome.is_in_step).await?;
    Ok(outcome)
}

/// Returns the message about a row that the copy alone has, of a kind that is never taken away.
fn stray(row: &Row) -> String {
    format!(
        "the destination has the {noun} {key}, which the source has not: it was made there, or the source was put \
         back from an older backup; begin with an empty catalogue",
        noun = row.kind().noun(),
        key = row.key().join(" ").trim_end()
    )
}

impl Ends {
    /// Looks whether the source has anything, and whether the destination is ours. Changes nothing.
    async fn may_begin(&self) -> Result<CopyNote, MigrateError> {
        let (from, to) = (End::Source, End::Destination);
        let refused = |why: &str| Err(MigrateError::Refused(why.into()));
        let installation = self.catalog.installation().await.map_err(from.catalog())?;
        let owners = self.catalog.organizations().await.map_err(from.catalog())?;
        if owners.is_empty() {
            return refused("there is nothing to move: the source has no organization");
        }
        let note = CopyNote {
            installation,
            blobs: self.blobs_place.clone(),
            is_whole: false,
        };
        let mut is_ours = false;
        if let Some(copy) = &self.to_catalog {
            let noted = copy.copy_note().await.map_err(to.catalog())?;
            let owners = copy.organizations().await.map_err(to.catalog())?;
            match noted {
                None if owners.is_empty() => {}
                None => {
                    return refused(
                        "the destination's catalogue is in use: only an empty one is written to, or a copy \
                         that nothing was changed in since",
                    );
                }
                Some(noted) if noted.installation != installation => {
                    return refused(
                        "the destination's catalogue is a copy of another installation",
                    );
                }
                Some(noted) if noted.blobs != note.blobs => {
                    let before = match noted.blobs.as_str() {
                        "" => "left them where they were".into(),
                        place => format!("took them to {place}"),
                    };
                    return Err(MigrateError::Refused(format!(
                        "the bytes of this copy are elsewhere: an earlier run {before}; do as then, or begin with \
                         an empty catalogue"
                    )));
                }
                Some(_) => is_ours = true,
            }
        }
        if is_ours {
            self.know_rows().await?;
        } else {
            self.know_blobs().await?;
        }
        Ok(note)
    }

    /// Looks whether the copy has something that the source has not, and that is never taken away.
    async fn know_rows(&self) -> Result<(), MigrateError> {
        for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_forgotten()) {
            let mut rows = Merge::of(kind, &self.catalog, self.to_catalog.as_ref());
            while let Some(step) = rows.next().await? {
                if let Step::Lacks(row) = step {
                    return Err(MigrateError::Refused(stray(&row)));
                }
            }
        }
        Ok(())
    }

    /// Sees that the bytes will be this installation's, and marks them where they are nobody's: the first thing
    /// that is changed.
    async fn claim(&self) -> Result<(), MigrateError> {
        let Some(blobs) = &self.to_blobs else {
            return Ok(());
        };
        blobs.take_ownership().await.map_err(|error| match error {
            BlobError::Foreign { .. } => {
                MigrateError::Refused(format!("{error}: name a prefix of its own"))
            }
            other => End::Destination.blobs()(other),
        })
    }

    /// Keys are drawn at random: a store that has one of ours has what we copied.
    async fn know_blobs(&self) -> Result<(), MigrateError> {
        let Some(blobs) = &self.to_blobs else {
            return Ok(());
        };
        let found = blobs.list(None, BLOBS_LOOKED_AT).await;
        let found = found.map_err(End::Destination.blobs())?;
        let keys: Vec<_> = found.into_iter().map(|(key, _)| key).collect();
        let ours = self.catalog.blobs_in_use(&keys).await;
        if keys.is_empty() || !ours.map_err(End::Source.catalog())?.is_empty() {
            return Ok(());
        }
        Err(MigrateError::Refused(format!(
            "there are bytes in {} that this installation does not know: name an empty place",
            self.blobs_place
        )))
    }

    /// Clears away what a run that was killed was about to write: it stands in the way of the same blobs.
    async fn sweep_stages(&self) -> Result<(), MigrateError> {
        let Some(blobs) = &self.to_blobs else {
            return Ok(());
        };
        loop {
            let swept = blobs.sweep_stages(BLOBS_LOOKED_AT).await;
            if swept.map_err(End::Destination.blobs())? < BLOBS_LOOKED_AT {
                return Ok(());
            }
        }
    }

    async fn note(&self, note: &CopyNote, is_whole: bool) -> Result<(), MigrateError> {
        let Some(copy) = &self.to_catalog else {
            return Ok(());
        };
        let note = CopyNote {
            is_whole,
            ..note.clone()
        };
        copy.note_copy(Some(&note))
            .await
            .map_err(End::Destination.catalog())
    }
}
