//! Bulk import: takes many files in beside each other, for `add`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use super::audit::Recorder;
use super::failure::Failure;
use super::path_expansion::{FoundFile, Walk};
use super::store::{FileLabels, Intake, Progress};
use crate::gateway::upload::{Kept, NewFile};
use crate::model::file::FileRecord;

/// The number of files that are imported at once for each core: one waits for the disk while another is hashed.
const FILES_PER_CORE: usize = 2;
/// The most files that are done and not reported because one before them is not: a large file holds the rest up only
/// when so many small ones have passed it.
const AHEAD_MAX: usize = 1_000;

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
    running: JoinSet<(usize, PathBuf, Result<Kept, Failure>)>,
    running_max: usize,
    /// The number of files found.
    found: usize,
    /// Files that are done, but not reported.
    done: BTreeMap<usize, Result<FileRecord, Failure>>,
    /// The number of files reported.
    told: usize,
}

impl BulkImport {
    /// Imports every file of the walk, and reports the result of each in the order of the walk, once its row is there.
    /// An error of `tell` ends the import: unfinished files are given up, and leave at most bytes without a row, for
    /// the sweeper. Once the command is interrupted, no file is begun, those that are being read are given up and leave
    /// nothing, and those that were read get their rows. Returns whether every file had its turn.
    pub(super) async fn all(
        self: &Arc<Self>,
        walk: Walk,
        mut tell: impl FnMut(Result<FileRecord, Failure>) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut work = ImportQueue {
            import: Arc::clone(self),
            walk,
            walked: false,
            running: JoinSet::new(),
            running_max: cores * FILES_PER_CORE,
            is_whole: true,
            found: 0,
            done: BTreeMap::new(),
            told: 0,
        };
        while !(work.walked && work.told == work.found) {
            work.start();
            work.finish().await?;
            while let Some(taken) = work.done.remove(&work.told) {
                work.told += 1;
                work.is_whole &= !matches!(taken, Err(Failure::Interrupted(..)));
                self.progress.aside(|| tell(taken))?;
            }
        }
        Ok(work.is_whole)
    }

    async fn keep(&self, found: &FoundFile, new: NewFile) -> Result<Kept, Failure> {
        if self.in_place {
            self.intake.keep_in_place(found, new).await
        } else {
            self.intake.keep(found, new, &self.progress).await
        }
    }
}

impl ImportQueue {
    /// Begins with as many files as may be on their way. Their ids are drawn here, so that they are
    /// listed in the order in which they were found.
    fn start(&mut self) {
        while self.running.len() < self.running_max && self.found - self.told < AHEAD_MAX {
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
                    self.done.insert(number, Err(failure));
                    continue;
                }
            };
        }
    }

    /// Waits for a file whose bytes are kept, and makes its row together with those of all others that
    /// have come so far.
    async fn finish(&mut self) -> Result<(), Failure> {
        let Some(first) = self.running.join_next().await else {
            return Ok(());
        };
        let mut ended = vec![first];
        ended.extend(std::iter::from_fn(|| self.running.try_join_next()));
        let (mut names, mut kept) = (Vec::new(), Vec::new());
        for ended in ended {
            let (number, path, result) =
                ended.map_err(|error| Failure::Failed(format!("taking a file in: {error}")))?;
            match result {
                Ok(file) => {
                    names.push((number, path));
                    kept.push(file);
                }
                Err(failure) => {
                    self.done.insert(number, Err(failure));
                }
            }
        }
        if kept.is_empty() {
            return Ok(());
        }
        let added = self.import.intake.gateway.add_kept(kept).await;
        let recorder = self.import.recorder.lock();
        let mut recorder = recorder.unwrap_or_else(PoisonError::into_inner);
        for ((number, path), added) in names.into_iter().zip(added) {
            if let Ok(file) = &added {
                recorder.uploaded(file);
            }
            let taken = added.map_err(|refusal| self.import.intake.refused(&path, &refusal));
            self.done.insert(number, taken);
        }
        Ok(())
    }
}
