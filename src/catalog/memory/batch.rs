//! Many files at once, in memory.

use std::collections::BTreeSet;

use super::Memory;
use super::rows::Rows;
use crate::catalog::Answer;
use crate::catalog::batch::{Batch, SharedFiles};
use crate::model::file::FileRecord;
use crate::model::id::{FileId, FolderId, OrganizationId};

impl Batch for Memory {
    fn files<'a>(
        &'a self,
        organization: &'a OrganizationId,
        ids: &'a [FileId],
    ) -> Answer<'a, Vec<FileRecord>> {
        self.look(|rows| {
            let wanted: BTreeSet<&FileId> = ids.iter().collect();
            Ok(rows.files_of(organization, wanted))
        })
    }

    fn shared_files<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        ids: &'a [FileId],
    ) -> Answer<'a, Option<SharedFiles>> {
        self.look(|rows| {
            let own = rows.folder(organization, folder).ok();
            let theirs = || {
                let mut folders = rows.folders.values();
                folders.find_map(|of_one| {
                    let found = of_one.get(folder)?;
                    found.members.contains(organization).then_some(found)
                })
            };
            let Some(found) = own.or_else(theirs) else {
                return Ok(None);
            };
            let owner = found.folder.organization.clone();
            let inside = ids.iter().filter(|id| found.files.contains(*id)).collect();
            let files = rows.files_of(&owner, inside);
            Ok(Some(SharedFiles { owner, files }))
        })
    }
}

impl Rows {
    fn files_of(&self, organization: &OrganizationId, ids: BTreeSet<&FileId>) -> Vec<FileRecord> {
        let record = |id: &FileId| self.files.get(&(organization.clone(), id.clone()));
        ids.into_iter().filter_map(record).cloned().collect()
    }
}
