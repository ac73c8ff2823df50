//! Bulk import for `add`: many files are taken in beside each other.
//!
//! 1. A task of its own reads files, several at once, and makes the row of each as soon as its bytes are durable. It
//!    never waits for a reader of our output: bytes without a row are an orphan, which a gateway removes within hours.
//! 2. The command prints what became of each in the order of the walk.
//!
//! The first is [`AHEAD_MAX`] files ahead of the second at most.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::audit::Recorder;
use super::failure::Failure;
use super::path_expansion::{FoundFile, Walk};
use super::store::{FileLabels, Intake, Progress};
use crate::gateway::upload::{NewFile, StagedFile};
use crate::model::file::FileRecord;

/// The number of files that are imported at once for each core: one waits for the disk while another is hashed.
const FILES_PER_CORE: usize = 2;

/// The most files that are done and not reported because one before them is not: a large file holds the rest up only
/// when so many small ones have passed it.
const AHEAD_MAX: usize = 1_000;

/// The longest wait for the rows of files that are durable, once nothing else is waited for any more.
const ROWS_WITHIN: Duration = Duration::from_secs(2);

/// The result of a file, by its place in the walk.
type Taken = (usize, Result<FileRecord, Failure>);

/// An import of many files.
pub(super) struct BulkImport {
    pub(super) intake: Intake,
    pub(super) labels: FileLabels,
    /// True if the bytes stay where they are.
    pub(super) in_place: bool,
    pub(super) progress: Progress,
    pub(super) recorder: Mutex<Recorder>,
}

/// The files of an import, each numbered by its place in the walk.
struct ImportQueue {
    import: Arc<BulkImport>,
    walk: Walk,
    walked: bool,
    /// True if no file was left out because the command was interrupted.
    is_whole: bool,
    running: JoinSet<(usize, PathBuf, Result<StagedFile, Failure>)>,
    running_max: usize,
    /// The number of files found.
    found: usize,
    /// The number of files reported.
    told: watch::Receiver<usize>,
    taken: mpsc::UnboundedSender<Taken>,
}

impl BulkImport {
    /// Imports every file of the walk, and reports the result of each in the order of the walk, once its row is there.
    /// An error of `tell` ends the import: unfinished files are given up, and leave at most bytes without a row, for
    /// the sweeper. Once the command is interrupted, no file is begun, those that are being read are given up and leave
    /// nothing, and those that were read get their rows; once it is interrupted again, only the rows that are being
    /// made are waited for, [`ROWS_WITHIN`] at most. Returns whether every file had its turn.
    pub(super) async fn all(
        self: &Arc<Self>,
        walk: Walk,
        mut tell: impl FnMut(Result<FileRecord, Failure>) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (taken, mut outcomes) = mpsc::unbounded_channel();
        let (advance, told) = watch::channel(0);
        let work = ImportQueue {
            import: Arc::clone(self),
            walk,
            walked: false,
            running: JoinSet::new(),
            running_max: cores * FILES_PER_CORE,
            is_whole: true,
            found: 0,
            told,
            taken,
        };
        // A set of one task ends it when it is dropped.
        let mut working = JoinSet::new();
        working.spawn(work.run());
        let mut done = BTreeMap::new();
        let mut next = 0;
        while let Some((number, outcome)) = outcomes.recv().await {
            done.insert(number, outcome);
            while let Some(outcome) = done.remove(&next) {
                next += 1;
                advance.send_replace(next);
                tell(outcome)?;
            }
        }
        // The results behind a file that was given up.
        for outcome in done.into_values() {
            tell(outcome)?;
        }
        match working.join_next().await {
            Some(Ok(is_whole)) => is_whole,
            Some(Err(error)) => Err(Failure::Failed(format!("taking files in: {error}"))),
            None => Ok(false),
        }
    }

    async fn keep(&self, found: &FoundFile, new: NewFile) -> Result<StagedFile, Failure> {
        if self.in_place {
            self.intake.keep_in_place(found, new, &self.progress).await
        } else {
            self.intake.keep(found, new, &self.progress).await
        }
    }
}

impl ImportQueue {
    /// Imports all files. Returns whether every file had its turn.
    async fn run(mut self) -> Result<bool, Failure> {
        let interrupt = self.import.intake.interrupt.clone();
        loop {
            self.start();
            if self.walked && self.running.is_empty() {
                return Ok(self.is_whole);
            }
            tokio::select! {
                Some(first) = self.running.join_next() => {
                    let mut ended = vec![first.map_err(ended_early)?];
                    while let Some(other) = self.running.try_join_next() {
                        ended.push(other.map_err(ended_early)?);
                    }
                    self.finish(ended).await;
                }
                told = self.told.changed() => if told.is_err() {
                    return Ok(false);
                },
                () = interrupt.second() => return Ok(false),
            }
        }
    }

    /// Begins with as many files as may be on their way. Their ids are drawn here, so that they are
    /// listed in the order in which they were found.
    fn start(&mut self) {
        let told = *self.told.borrow_and_update();
        while self.running.len() < self.running_max && self.found - told < AHEAD_MAX {
            let Some(found) = self.import.progress.aside(|| self.walk.next()) else {
                self.walked = true;
                return;
            };
            if self.import.intake.interrupt.asked().is_some() {
                (self.walked, self.is_whole) = (true, false);
                return;
            }
            let number = self.found;
            self.found += 1;
            let new = found.and_then(|found| {
                let new = self.import.labels.of(&found.path)?;
                Ok((found, self.import.intake.gateway.begin_file(new)))
            });
            let import = Arc::clone(&self.import);
            match new {
                Ok((found, new)) => self.running.spawn(async move {
                    let kept = import.keep(&found, new).await;
                    (number, found.path, kept)
                }),
                Err(failure) => {
                    self.tell(number, Err(failure));
                    continue;
                }
            };
        }
    }

    /// Makes the rows of files whose bytes are kept.
    async fn finish(&mut self, ended: Vec<(usize, PathBuf, Result<StagedFile, Failure>)>) {
        let (mut names, mut kept) = (Vec::new(), Vec::new());
        for (number, path, result) in ended {
            match result {
                Ok(file) => {
                    names.push((number, path));
                    kept.push(file);
                }
                Err(failure) => self.tell(number, Err(failure)),
            }
        }
        if kept.is_empty() {
            return;
        }
        let interrupt = &self.import.intake.interrupt;
        let too_long = async {
            interrupt.second().await;
            tokio::time::sleep(ROWS_WITHIN).await;
        };
        let added = tokio::select! {
            added = self.import.intake.gateway.add_staged(kept) => added,
            () = too_long => {
                for (number, path) in names {
                    self.tell(number, Err(unknown(&path)));
                }
                return;
            }
        };
        for ((number, path), added) in names.into_iter().zip(added) {
            if let Ok(file) = &added {
                let recorder = self.import.recorder.lock();
                let mut recorder = recorder.unwrap_or_else(PoisonError::into_inner);
                recorder.uploaded(file);
            }
            let taken = added.map_err(|refusal| self.import.intake.refused(&path, &refusal));
            self.tell(number, taken);
        }
    }

    fn tell(&mut self, number: usize, outcome: Result<FileRecord, Failure>) {
        self.is_whole &= !matches!(outcome, Err(Failure::Interrupted(..)));
        // If nobody hears it any more, the command has ended.
        let _ = self.taken.send((number, outcome));
    }
}

fn ended_early(error: tokio::task::JoinError) -> Failure {
    Failure::Failed(format!("taking a file in: {error}"))
}

fn unknown(path: &Path) -> Failure {
    Failure::Failed(format!(
        "{}: it may have been stored: `hallpass ls` says whether it was",
        path.display()
    ))
}
