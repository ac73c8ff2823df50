//! The catalogue in memory: the whole contract, and nothing left when it is dropped. For tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::rows::{Rows, SharedFolder, count, is_swept, values};
use super::{Answer, Catalog, CatalogError, Filter, NumberedPage, Place, Versions, missing, taken};
use crate::catalog::{DELETED_FILE, FILE};
use crate::model::digest::Sha256Digest;
use crate::model::file::{BlobLocation, FileRecord, FileState};
use crate::model::id::{ApiKeyId, BlobKey, FileId, FolderId, OrganizationId, SpaceId};
use crate::model::key::{ApiKey, ApiKeyState};
use crate::model::revocation::{LinkId, Revocations};
use crate::model::tenancy::{Folder, Organization, Space};
use crate::model::time::UnixSeconds;

mod apps;
mod batch;
mod checkup;
mod counters;
mod idempotency;
mod maintenance;
mod quota;
mod rows;
mod transfer;

/// A catalogue in memory. Empty at first; several tasks and threads may share it.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Rows>);

impl Memory {
    /// A catalogue with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks. No lock is held across an await, so none of this waits for long.
    fn look<'a, T>(
        &'a self,
        look: impl FnOnce(&Rows) -> Result<T, CatalogError> + Send + 'a,
    ) -> Answer<'a, T> {
        Box::pin(async move { look(&self.rows()) })
    }

    /// Changes. A change checks everything before it writes anything, so an error leaves the rows as
    /// they were.
    fn change<'a, T>(
        &'a self,
        change: impl FnOnce(&mut Rows) -> Result<T, CatalogError> + Send + 'a,
    ) -> Answer<'a, T> {
        Box::pin(async move { change(&mut self.rows()) })
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Catalog for Memory {
    fn create_organization<'a>(&'a self, organization: &'a Organization) -> Answer<'a, ()> {
        self.change(|rows| rows.create_organization(organization))
    }

    fn organization<'a>(&'a self, id: &'a OrganizationId) -> Answer<'a, Option<Organization>> {
        self.look(|rows| Ok(rows.organizations.get(id).cloned()))
    }

    fn organizations(&self) -> Answer<'_, Vec<Organization>> {
        self.look(|rows| Ok(rows.organizations.values().cloned().collect()))
    }

    fn create_space<'a>(&'a self, space: &'a Space) -> Answer<'a, ()> {
        self.change(|rows| rows.create_space(space))
    }

    fn space<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a SpaceId,
    ) -> Answer<'a, Option<Space>> {
        self.look(|rows| {
            let spaces = rows.spaces.get(organization);
            Ok(spaces.and_then(|spaces| spaces.get(id)).cloned())
        })
    }

    fn spaces<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, Vec<Space>> {
        self.look(|rows| Ok(values(rows.spaces.get(organization)).cloned().collect()))
    }

    fn create_folder<'a>(&'a self, folder: &'a Folder) -> Answer<'a, ()> {
        self.change(|rows| rows.create_folder(folder))
    }

    fn folders<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, Vec<Folder>> {
        self.look(|rows| {
            let folders = values(rows.folders.get(organization));
            Ok(folders.map(SharedFolder::as_it_is).collect())
        })
    }

    fn add_to_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        files: &'a [FileId],
    ) -> Answer<'a, ()> {
        self.change(|rows| {
            rows.folder(organization, folder)?;
            if !files.iter().all(|file| rows.is_ready(organization, file)) {
                return Err(missing(FILE));
            }
            let folder = rows.folder_mut(organization, folder)?;
            folder.files.extend(files.iter().cloned());
            Ok(())
        })
    }

    fn remove_from_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        files: &'a [FileId],
    ) -> Answer<'a, ()> {
        self.change(|rows| {
            let folder = rows.folder_mut(organization, folder)?;
            folder.files.retain(|file| !files.contains(file));
            Ok(())
        })
    }

    fn folder_files<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
    ) -> Answer<'a, Vec<FileId>> {
        self.look(|rows| {
            let folder = rows.folder(organization, folder)?;
            Ok(folder.files.iter().cloned().collect())
        })
    }

    fn share_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        members: &'a [OrganizationId],
    ) -> Answer<'a, ()> {
        self.change(|rows| {
            rows.folder(organization, folder)?;
            rows.know_members(members)?;
            let folder = rows.folder_mut(organization, folder)?;
            folder.members.extend(members.iter().cloned());
            Ok(())
        })
    }

    fn unshare_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        members: &'a [OrganizationId],
    ) -> Answer<'a, ()> {
        self.change(|rows| {
            let folder = rows.folder_mut(organization, folder)?;
            folder.members.retain(|member| !members.contains(member));
            Ok(())
        })
    }

    fn add_file<'a>(&'a self, file: &'a FileRecord) -> Answer<'a, ()> {
        self.add_files(std::slice::from_ref(file))
    }

    fn add_files<'a>(&'a self, files: &'a [FileRecord]) -> Answer<'a, ()> {
        self.change(|rows| rows.add_files(files))
    }

    fn file<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
    ) -> Answer<'a, Option<FileRecord>> {
        let key = (organization.clone(), id.clone());
        self.look(move |rows| Ok(rows.files.get(&key).cloned()))
    }

    fn page<'a>(
        &'a self,
        organization: &'a OrganizationId,
        filter: Filter<'a>,
        place: Place<'a>,
        limit: u32,
        now: UnixSeconds,
    ) -> Answer<'a, Vec<FileRecord>> {
        self.look(move |rows| Ok(rows.page(organization, filter, place, count(limit), now)))
    }

    fn numbered_page<'a>(
        &'a self,
        organization: &'a OrganizationId,
        offset: u64,
        limit: u32,
        now: UnixSeconds,
    ) -> Answer<'a, NumberedPage> {
        self.look(move |rows| {
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            let is_shown = |file: &&FileRecord| file.state_at(now) == FileState::Ready;
            let newest_first = rows.oldest_first(organization).rev().filter(is_shown);
            let files = newest_first.clone().skip(offset);
            Ok(NumberedPage {
                files: files.take(count(limit)).cloned().collect(),
                total: newest_first.count() as u64,
            })
        })
    }

    fn delete_file<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        now: UnixSeconds,
    ) -> Answer<'a, FileRecord> {
        self.change(move |rows| rows.delete_file(organization, id, now))
    }

    fn deleted_files(&self, before: UnixSeconds, limit: u32) -> Answer<'_, Vec<FileRecord>> {
        self.look(move |rows| {
            let deleted = rows
                .files
                .iter()
                .filter_map(|(key, file)| match file.state {
                    FileState::Deleted { at } if at <= before => Some(((at, key), file)),
                    _ => None,
                });
            let oldest_first: BTreeMap<_, _> = deleted.collect();
            Ok(oldest_first
                .into_values()
                .take(count(limit))
                .cloned()
                .collect())
        })
    }

    fn mark_swept<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
    ) -> Answer<'a, ()> {
        self.change(|rows| {
            let file = rows.file_mut(organization, id)?;
            let FileState::Deleted { at } = file.state else {
                return Err(missing(DELETED_FILE));
            };
            file.state = FileState::Swept { at };
            let file = file.clone();
            rows.kept
                .entry(organization.clone())
                .or_default()
                .take(&file);
            Ok(())
        })
    }

    fn forget_swept(&self, before: UnixSeconds, limit: u32) -> Answer<'_, u64> {
        self.change(move |rows| Ok(rows.forget_swept(before, limit)))
    }

    fn blobs_in_use<'a>(&'a self, keys: &'a [BlobKey]) -> Answer<'a, Vec<BlobKey>> {
        self.look(move |rows| {
            let kept = rows.files.values().filter(|file| !is_swept(file));
            let stored: BTreeSet<BlobKey> = kept
                .filter_map(|file| match file.location {
                    BlobLocation::Stored(key) => Some(key),
                    BlobLocation::InPlace(_) => None,
                })
                .collect();
            let wanted: BTreeSet<BlobKey> = keys.iter().copied().collect();
            Ok(wanted.intersection(&stored).copied().collect())
        })
    }

    fn create_api_key<'a>(&'a self, key: &'a ApiKey) -> Answer<'a, ()> {
        self.change(|rows| rows.create_api_key(key))
    }

    fn api_key<'a>(&'a self, digest: &'a Sha256Digest) -> Answer<'a, Option<ApiKey>> {
        self.look(move |rows| {
            Ok(rows
                .keys
                .values()
                .find(|key| key.digest == *digest)
                .cloned())
        })
    }

    fn api_keys<'a>(&'a self, organization: Option<&'a OrganizationId>) -> Answer<'a, Vec<ApiKey>> {
        self.look(move |rows| {
            let of = |key: &&ApiKey| organization.is_none_or(|wanted| key.organization == *wanted);
            let mut keys: Vec<ApiKey> = rows.keys.values().filter(of).cloned().collect();
            // The sort is stable, so keys of one second stay in the order of their ids.
            keys.sort_by_key(|key| key.created_at);
            Ok(keys)
        })
    }

    fn set_api_key_state<'a>(&'a self, id: &'a ApiKeyId, state: ApiKeyState) -> Answer<'a, ApiKey> {
        self.change(move |rows| {
            let key = rows.keys.get_mut(id).ok_or(missing("the API key"))?;
            if key.state == ApiKeyState::Deactivated && state != ApiKeyState::Deactivated {
                return Err(taken("the API key's deactivation"));
            }
            key.state = state;
            let key = key.clone();
            rows.versions.rows += 1;
            Ok(key)
        })
    }

    fn revocations(&self, now: UnixSeconds) -> Answer<'_, Revocations> {
        self.look(move |rows| Ok(rows.revocations(now)))
    }

    fn raise_link_revision<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        revisions_max: u64,
    ) -> Answer<'a, u64> {
        self.change(move |rows| rows.raise_link_revision(organization, id, revisions_max))
    }

    fn raise_epoch<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, u64> {
        self.change(|rows| {
            let found = rows.organizations.get_mut(organization);
            let found = found.ok_or(missing("the organization"))?;
            found.epoch += 1;
            let epoch = found.epoch;
            let files = rows.files.values_mut();
            for file in files.filter(|file| file.organization == *organization) {
                file.link_revision = 0;
            }
            rows.denied.remove(organization);
            rows.versions.revocations += 1;
            Ok(epoch)
        })
    }

    fn deny_link<'a>(
        &'a self,
        organization: &'a OrganizationId,
        link: LinkId,
        expires: UnixSeconds,
        denied_max: u64,
    ) -> Answer<'a, ()> {
        self.change(move |rows| rows.deny_link(organization, link, expires, denied_max))
    }

    fn forget_denied(&self, now: UnixSeconds) -> Answer<'_, u64> {
        self.change(move |rows| {
            let mut forgotten = 0;
            for denied in rows.denied.values_mut() {
                let before = denied.len();
                denied.retain(|_, expires| *expires > now);
                forgotten += before - denied.len();
            }
            rows.versions.revocations += u64::from(forgotten > 0);
            Ok(forgotten as u64)
        })
    }

    fn versions(&self) -> Answer<'_, Versions> {
        self.look(|rows| Ok(rows.versions))
    }

    fn changed(&self) -> Answer<'_, ()> {
        Box::pin(std::future::pending())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_keeps_the_contract() {
        crate::catalog::contract::all(&Memory::new()).await;
        crate::catalog::contract::transfer::notes(&Memory::new()).await;
    }
}
