//! Checking rows, in memory.

use std::ops::Bound;

use super::Memory;
use super::rows::is_swept;
use crate::catalog::checkup::Checkup;
use crate::catalog::{Answer, CatalogError, FILE, missing};
use crate::model::file::FileRecord;
use crate::model::id::{FileId, InstallationId, OrganizationId};
use crate::model::time::UnixSeconds;

impl Checkup for Memory {
    fn files_with_bytes<'a>(
        &'a self,
        after: Option<&'a (OrganizationId, FileId)>,
        limit: u32,
    ) -> Answer<'a, Vec<FileRecord>> {
        self.look(move |rows| {
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            let files = rows.files.range((start, Bound::Unbounded));
            let with_bytes = files.map(|(_, file)| file).filter(|file| !is_swept(file));
            Ok(with_bytes.take(limit as usize).cloned().collect())
        })
    }

    fn mark_damaged<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        since: Option<UnixSeconds>,
    ) -> Answer<'a, ()> {
        self.change(move |rows| {
            let file = rows.files.get_mut(&(organization.clone(), id.clone()));
            let file = file.filter(|file| !is_swept(file)).ok_or(missing(FILE))?;
            file.damaged_at = since;
            rows.versions.rows += 1;
            Ok(())
        })
    }

    fn installation(&self) -> Answer<'_, InstallationId> {
        self.change(|rows| {
            if let Some(id) = rows.installation {
                return Ok(id);
            }
            let mut random = [0; 16];
            let drawn = getrandom::fill(&mut random);
            drawn.map_err(|error| CatalogError::Unavailable {
                doing: "drawing an id",
                source: error.into(),
            })?;
            Ok(*rows
                .installation
                .insert(InstallationId::from_random(random)))
        })
    }
}
