//! The files of a share as they are now: which of them are there, and what keeps the others from opening.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::Gateway;
use super::super::refusal::Refusal;
use super::{FileStanding, SharedEntry};
use crate::model::address::FileRef;
use crate::model::archive_file::ArchiveFile;
use crate::model::file::{FileRecord, FileState};
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::Revocations;
use crate::model::share::SharedFile;
use crate::model::time::UnixSeconds;

impl Gateway {
    /// The files of a share as they are now, in the order of their positions. One read, however many they are.
    pub(in crate::gateway) async fn entries(
        &self,
        organization: &OrganizationId,
        files: &[SharedFile],
        known: &Revocations,
    ) -> Result<Vec<SharedEntry>, Refusal> {
        let ids: Vec<&FileId> = files.iter().map(|of| &of.file).collect();
        let rows = self.rows(organization, &ids).await?;
        let now = self.clock.now();
        let entry = |(shared, file): (&SharedFile, Option<Arc<FileRecord>>)| {
            let file = file.filter(|file| !matches!(file.state, FileState::Swept { .. }));
            SharedEntry {
                standing: standing_of(organization, shared, file.as_ref(), known, now),
                file,
                shared: shared.clone(),
            }
        };
        Ok(files.iter().zip(rows).map(entry).collect())
    }

    /// Those files of a share that open now, each with its path in the share and what an archive has of it, in the order
    /// of their positions. One read at most, however many they are, and less than rows where they are not in memory.
    ///
    /// # Errors
    /// The refusal of a catalogue that fails.
    pub(in crate::gateway) async fn archive_files<'a>(
        &self,
        organization: &OrganizationId,
        files: &'a [SharedFile],
        known: &Revocations,
    ) -> Result<Vec<(&'a str, ArchiveFile)>, Refusal> {
        let (at, now) = (self.rows_at(), self.clock.now());
        let mut found: HashMap<FileId, ArchiveFile> = HashMap::with_capacity(files.len());
        let mut unknown = Vec::new();
        for SharedFile { file, .. } in files {
            match self.cache.files.get(&FileRef::new(organization, file), at) {
                Some(kept) if kept.state == FileState::Ready && kept.damaged_at.is_none() => {
                    found.insert(file.clone(), ArchiveFile::from(&*kept));
                }
                Some(_) => {}
                None => unknown.push(file.clone()),
            }
        }
        if !unknown.is_empty() {
            let read = self.catalog.archive_files(organization, &unknown);
            let read = self.read_of(organization, read).await?;
            found.extend(read.into_iter().map(|file| (file.id.clone(), file)));
        }
        let opens = |shared: &SharedFile, file: &ArchiveFile| {
            file.expires_at.is_none_or(|end| now < end) && is_in_force(organization, shared, known)
        };
        let of_one = |shared: &'a SharedFile| {
            let file = found.get(&shared.file)?;
            opens(shared, file).then(|| (shared.path.as_str(), file.clone()))
        };
        Ok(files.iter().filter_map(of_one).collect())
    }
}

/// Returns whether a file of a share opens.
fn standing_of(
    organization: &OrganizationId,
    shared: &SharedFile,
    file: Option<&Arc<FileRecord>>,
    known: &Revocations,
    now: UnixSeconds,
) -> FileStanding {
    match file {
        Some(file) if file.state_at(now) == FileState::Ready => match file.damaged_at {
            _ if !is_in_force(organization, shared, known) => FileStanding::Revoked,
            Some(_) => FileStanding::Damaged,
            None => FileStanding::Ready,
        },
        _ => FileStanding::Deleted,
    }
}

/// Returns whether the links of a file were not revoked since it was put into a share.
fn is_in_force(organization: &OrganizationId, shared: &SharedFile, known: &Revocations) -> bool {
    known.revision(organization, &shared.file) == shared.link_revision
        && !known.is_suspended(organization, &shared.file)
}
