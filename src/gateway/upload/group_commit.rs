//! Group commit of uploads: those of one organization that are ready at once get their rows in one transaction.
//!
//! All files of an organization are counted in its one row, which a transaction holds until it is durable. One
//! transaction for each upload is no more of them a second than a disk, or a database far away, makes commits. So one is
//! under way at a time for each organization, and what becomes ready meanwhile goes with the next: that waits no longer
//! than it would have waited for the row, and quotas are as exact as before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::StagedFile;
use crate::gateway::Gateway;
use crate::gateway::refusal::Refusal;
use crate::model::file::FileRecord;
use crate::model::id::OrganizationId;

/// The most files of a group, unless one caller has more of them.
const GROUP_FILES_MAX: usize = 128;

/// The outcome of each file of a caller.
type Added = Vec<Result<FileRecord, Refusal>>;

/// The organizations that files are being added to now, each with those that wait for the next transaction.
#[derive(Debug, Default)]
pub(in crate::gateway) struct PendingGroups(Mutex<HashMap<OrganizationId, Vec<Waiting>>>);

/// The files of a caller that waits.
#[derive(Debug)]
struct Waiting {
    files: Vec<StagedFile>,
    added: oneshot::Sender<Added>,
}

/// The caller that adds files to an organization now, and then the groups of those that wait. Dropped before it has found
/// that nobody waits, it refuses those that do: their files have no rows.
struct GroupLeader {
    gateway: Arc<Gateway>,
    organization: OrganizationId,
    is_over: bool,
}

impl PendingGroups {
    fn lock(&self) -> MutexGuard<'_, HashMap<OrganizationId, Vec<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gateway {
    /// Makes the rows of files of one organization as [`Gateway::add_staged`] does, together with those of other callers
    /// that are ready meanwhile.
    ///
    /// A future that is dropped while it waits leaves its files to be added, or not: a caller that must know calls this in
    /// a task of its own.
    pub async fn add_in_group(self: &Arc<Self>, files: Vec<StagedFile>) -> Added {
        let Some(StagedFile(first)) = files.first() else {
            return Vec::new();
        };
        let organization = first.organization.clone();
        let count = files.len();
        let waiting = {
            let mut queues = self.adding.lock();
            if let Some(queue) = queues.get_mut(&organization) {
                let (added, outcome) = oneshot::channel();
                queue.push(Waiting { files, added });
                Err(outcome)
            } else {
                queues.insert(organization.clone(), Vec::new());
                Ok(files)
            }
        };
        match waiting {
            Ok(files) => {
                let mut leader = GroupLeader {
                    gateway: Arc::clone(self),
                    organization,
                    is_over: false,
                };
                let added = self.add_staged(files).await;
                // The caller has its answer, and others wait.
                if let Some(next) = leader.next() {
                    tokio::spawn(leader.serve(next));
                }
                added
            }
            Err(outcome) => outcome.await.unwrap_or_else(|_| {
                let ended = || Refusal::Unavailable("the files were not added".into());
                (0..count).map(|_| Err(ended())).collect()
            }),
        }
    }
}

impl GroupLeader {
    /// Takes those that wait, first come, first served, and [`GROUP_FILES_MAX`] files at most; `None` once nobody
    /// waits: the next caller leads again.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let mut queues = self.gateway.adding.lock();
        let queue = queues.get_mut(&self.organization)?;
        let mut files = 0;
        let fit = queue.iter().take_while(|waiting| {
            files += waiting.files.len();
            files <= GROUP_FILES_MAX
        });
        let count = fit.count().max(1).min(queue.len());
        if count == 0 {
            queues.remove(&self.organization);
            self.is_over = true;
            return None;
        }
        Some(queue.drain(..count).collect())
    }

    async fn serve(mut self, mut waiting: Vec<Waiting>) {
        loop {
            let counts: Vec<usize> = waiting.iter().map(|one| one.files.len()).collect();
            let (files, callers): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .map(|Waiting { files, added }| (files, added))
                .unzip();
            let files = files.into_iter().flatten().collect();
            let added = self.gateway.add_staged(files).await;
            let is_unavailable = matches!(added.last(), Some(Err(Refusal::Unavailable(_))));
            let mut added = added.into_iter();
            for (caller, count) in callers.into_iter().zip(counts) {
                // One that is gone has its files all the same.
                let _ = caller.send(added.by_ref().take(count).collect());
            }
            // A catalogue that does not answer is not waited for once more by each group that waits.
            waiting = match self.next() {
                Some(next) if !is_unavailable => next,
                _ => return,
            };
        }
    }
}

impl Drop for GroupLeader {
    fn drop(&mut self) {
        // Else the entry is that of a later leader.
        if !self.is_over {
            self.gateway.adding.lock().remove(&self.organization);
        }
    }
}

#[cfg(test)]
mod tests;
