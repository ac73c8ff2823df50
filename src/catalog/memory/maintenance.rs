//! Background tasks' calls, in memory.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::Memory;
use super::rows::{count, is_swept};
use crate::catalog::maintenance::{Maintenance, TEXTS_SET_MAX, Text};
use crate::catalog::{Answer, CatalogError, FILE, missing, taken};
use crate::model::file::{BlobLocation, FileRecord, FileState, InPlace};
use crate::model::id::{FileId, OrganizationId};
use crate::model::time::UnixSeconds;

impl Maintenance for Memory {
    fn files_of_unknown_text<'a>(
        &'a self,
        after: Option<&'a (OrganizationId, FileId)>,
        limit: u32,
    ) -> Answer<'a, Vec<FileRecord>> {
        self.look(move |rows| {
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            let files = rows.files.range((start, Bound::Unbounded));
            let unknown = files
                .map(|(_, file)| file)
                .filter(|file| file.state == FileState::Ready && file.is_text.is_none());
            Ok(unknown.take(count(limit)).cloned().collect())
        })
    }

    fn set_text<'a>(&'a self, texts: &'a [Text]) -> Answer<'a, ()> {
        self.change(move |rows| {
            if texts.len() > TEXTS_SET_MAX {
                return Err(CatalogError::Limit {
                    what: "files read at once",
                    limit: TEXTS_SET_MAX as u64,
                });
            }
            for text in texts {
                if let Ok(file) = rows.file_mut(&text.organization, &text.file) {
                    file.is_text = Some(text.is_text);
                }
            }
            rows.versions.rows += u64::from(!texts.is_empty());
            Ok(())
        })
    }

    fn replace_identity<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        seen: &'a InPlace,
        found: &'a InPlace,
    ) -> Answer<'a, ()> {
        self.change(move |rows| {
            let file = rows.file_mut(organization, id)?;
            if is_swept(file) {
                return Err(missing(FILE));
            }
            match &mut file.location {
                BlobLocation::InPlace(place) if place == seen => {
                    *place = InPlace {
                        path: seen.path.clone(),
                        ..found.clone()
                    };
                }
                _ => return Err(taken("another identity of the file")),
            }
            rows.versions.rows += 1;
            Ok(())
        })
    }

    fn expired_files(&self, now: UnixSeconds, limit: u32) -> Answer<'_, Vec<FileRecord>> {
        self.look(move |rows| {
            let ready = rows
                .files
                .iter()
                .filter(|(_, file)| file.state == FileState::Ready);
            let expired = ready.filter_map(|(key, file)| {
                let at = file.expires_at.filter(|at| *at <= now)?;
                Some(((at, key), file))
            });
            let in_order: BTreeMap<_, _> = expired.collect();
            Ok(in_order.into_values().take(count(limit)).cloned().collect())
        })
    }
}
