//! Each call of the port: which statements it is made of, and what is said where it fails.

use super::{Sqlite, answer, files, folders, keys, quota, revocation, tenancy, versions};
use crate::catalog::quota::Quota;
use crate::catalog::{Answer, Catalog, Filter, NumberedPage, Place, Versions};
use crate::model::digest::Sha256Digest;
use crate::model::file::FileRecord;
use crate::model::id::{ApiKeyId, BlobKey, FileId, FolderId, OrganizationId, SpaceId};
use crate::model::key::{ApiKey, ApiKeyState};
use crate::model::revocation::{LinkId, Revocations};
use crate::model::tenancy::{Folder, Organization, Space};
use crate::model::time::UnixSeconds;

impl Catalog for Sqlite {
    fn create_organization<'a>(&'a self, organization: &'a Organization) -> Answer<'a, ()> {
        answer("making an organization", async move {
            let mut change = self.change().await?;
            tenancy::create_organization(&mut change, organization).await?;
            Ok(change.commit().await?)
        })
    }

    fn organization<'a>(&'a self, id: &'a OrganizationId) -> Answer<'a, Option<Organization>> {
        answer("looking for an organization", async move {
            let mut look = self.look().await?;
            tenancy::organization(&mut look, id).await
        })
    }

    fn organizations(&self) -> Answer<'_, Vec<Organization>> {
        answer("listing the organizations", async move {
            let mut look = self.look().await?;
            tenancy::organizations(&mut look).await
        })
    }

    fn create_space<'a>(&'a self, space: &'a Space) -> Answer<'a, ()> {
        answer("making a space", async move {
            let mut change = self.change().await?;
            tenancy::create_space(&mut change, space).await?;
            Ok(change.commit().await?)
        })
    }

    fn space<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a SpaceId,
    ) -> Answer<'a, Option<Space>> {
        answer("looking for a space", async move {
            let mut look = self.look().await?;
            tenancy::space(&mut look, organization, id).await
        })
    }

    fn spaces<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, Vec<Space>> {
        answer("listing the spaces", async move {
            let mut look = self.look().await?;
            tenancy::spaces(&mut look, organization).await
        })
    }

    fn create_folder<'a>(&'a self, folder: &'a Folder) -> Answer<'a, ()> {
        answer("making a folder", async move {
            let mut change = self.change().await?;
            folders::create(&mut change, folder).await?;
            Ok(change.commit().await?)
        })
    }

    fn folders<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, Vec<Folder>> {
        answer("listing the folders", async move {
            let mut moment = self.moment().await?;
            folders::list(&mut moment, organization).await
        })
    }

    fn add_to_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        files: &'a [FileId],
    ) -> Answer<'a, ()> {
        answer("putting files into a folder", async move {
            let mut change = self.change().await?;
            folders::add_files(&mut change, organization, folder, files).await?;
            Ok(change.commit().await?)
        })
    }

    fn remove_from_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        files: &'a [FileId],
    ) -> Answer<'a, ()> {
        answer("taking files out of a folder", async move {
            let mut change = self.change().await?;
            folders::remove_files(&mut change, organization, folder, files).await?;
            Ok(change.commit().await?)
        })
    }

    fn folder_files<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
    ) -> Answer<'a, Vec<FileId>> {
        answer("listing the files of a folder", async move {
            let mut moment = self.moment().await?;
            folders::files(&mut moment, organization, folder).await
        })
    }

    fn share_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        members: &'a [OrganizationId],
    ) -> Answer<'a, ()> {
        answer("sharing a folder", async move {
            let mut change = self.change().await?;
            folders::share(&mut change, organization, folder, members).await?;
            Ok(change.commit().await?)
        })
    }

    fn unshare_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        members: &'a [OrganizationId],
    ) -> Answer<'a, ()> {
        answer("ending a folder's sharing", async move {
            let mut change = self.change().await?;
            folders::unshare(&mut change, organization, folder, members).await?;
            Ok(change.commit().await?)
        })
    }

    fn add_file<'a>(&'a self, file: &'a FileRecord) -> Answer<'a, ()> {
        answer("adding a file", async move {
            let mut change = self.change().await?;
            files::add(&mut change, std::slice::from_ref(file), &Quota::NONE).await?;
            Ok(change.commit().await?)
        })
    }

    fn add_files<'a>(&'a self, files: &'a [FileRecord]) -> Answer<'a, ()> {
        answer("adding files", async move {
            let mut change = self.change().await?;
            files::add(&mut change, files, &Quota::NONE).await?;
            Ok(change.commit().await?)
        })
    }

    fn file<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
    ) -> Answer<'a, Option<FileRecord>> {
        answer("looking for a file", async move {
            let mut look = self.look().await?;
            files::file(&mut look, organization, id).await
        })
    }

    fn page<'a>(
        &'a self,
        organization: &'a OrganizationId,
        filter: Filter<'a>,
        place: Place<'a>,
        limit: u32,
        now: UnixSeconds,
    ) -> Answer<'a, Vec<FileRecord>> {
        answer("listing files", async move {
            let mut look = self.look().await?;
            files::page(&mut look, organization, filter, place, limit, now).await
        })
    }

    fn numbered_page<'a>(
        &'a self,
        organization: &'a OrganizationId,
        offset: u64,
        limit: u32,
        now: UnixSeconds,
    ) -> Answer<'a, NumberedPage> {
        answer("listing files", async move {
            let mut moment = self.moment().await?;
            files::numbered_page(&mut moment, organization, offset, limit, now).await
        })
    }

    fn delete_file<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        now: UnixSeconds,
    ) -> Answer<'a, FileRecord> {
        answer("deleting a file", async move {
            let mut change = self.change().await?;
            let done = files::delete(&mut change, organization, id, now).await?;
            change.commit().await?;
            Ok(done)
        })
    }

    fn deleted_files(&self, before: UnixSeconds, limit: u32) -> Answer<'_, Vec<FileRecord>> {
        answer("listing deleted files", async move {
            let mut look = self.look().await?;
            files::deleted(&mut look, before, limit).await
        })
    }

    fn mark_swept<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
    ) -> Answer<'a, ()> {
        answer("marking a file swept", async move {
            let mut change = self.change().await?;
            quota::mark_swept(&mut change, organization, id).await?;
            Ok(change.commit().await?)
        })
    }

    fn forget_swept(&self, before: UnixSeconds, limit: u32) -> Answer<'_, u64> {
        answer("forgetting swept files", async move {
            let mut change = self.change().await?;
            let done = files::forget_swept(&mut change, before, limit).await?;
            change.commit().await?;
            Ok(done)
        })
    }

    fn blobs_in_use<'a>(&'a self, keys: &'a [BlobKey]) -> Answer<'a, Vec<BlobKey>> {
        answer("looking for blobs", async move {
            let mut look = self.look().await?;
            files::blobs_in_use(&mut look, keys).await
        })
    }

    fn create_api_key<'a>(&'a self, key: &'a ApiKey) -> Answer<'a, ()> {
        answer("making an API key", async move {
            let mut change = self.change().await?;
            keys::create(&mut change, key).await?;
            Ok(change.commit().await?)
        })
    }

    fn api_key<'a>(&'a self, digest: &'a Sha256Digest) -> Answer<'a, Option<ApiKey>> {
        answer("looking for an API key", async move {
            let mut look = self.look().await?;
            keys::of_digest(&mut look, digest).await
        })
    }

    fn api_keys<'a>(&'a self, organization: Option<&'a OrganizationId>) -> Answer<'a, Vec<ApiKey>> {
        answer("listing the API keys", async move {
            let mut look = self.look().await?;
            keys::list(&mut look, organization).await
        })
    }

    fn set_api_key_state<'a>(&'a self, id: &'a ApiKeyId, state: ApiKeyState) -> Answer<'a, ApiKey> {
        answer("changing an API key", async move {
            let mut change = self.change().await?;
            let done = keys::set_state(&mut change, id, state).await?;
            change.commit().await?;
            Ok(done)
        })
    }

    fn revocations(&self, now: UnixSeconds) -> Answer<'_, Revocations> {
        answer("reading what was revoked", async move {
            let mut moment = self.moment().await?;
            revocation::all(&mut moment, now).await
        })
    }

    fn raise_link_revision<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        revisions_max: u64,
    ) -> Answer<'a, u64> {
        answer("revoking a file's links", async move {
            let mut change = self.change().await?;
            let done =
                revocation::raise_link_revision(&mut change, organization, id, revisions_max)
                    .await?;
            change.commit().await?;
            Ok(done)
        })
    }

    fn raise_epoch<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, u64> {
        answer("revoking an organization's links", async move {
            let mut change = self.change().await?;
            let done = revocation::raise_epoch(&mut change, organization).await?;
            change.commit().await?;
            Ok(done)
        })
    }

    fn deny_link<'a>(
        &'a self,
        organization: &'a OrganizationId,
        link: LinkId,
        expires: UnixSeconds,
        denied_max: u64,
    ) -> Answer<'a, ()> {
        answer("revoking a link", async move {
            let mut change = self.change().await?;
            revocation::deny_link(&mut change, organization, link, expires, denied_max).await?;
            Ok(change.commit().await?)
        })
    }

    fn forget_denied(&self, now: UnixSeconds) -> Answer<'_, u64> {
        answer("forgetting dead links", async move {
            let mut change = self.change().await?;
            let done = revocation::forget_denied(&mut change, now).await?;
            change.commit().await?;
            Ok(done)
        })
    }

    fn versions(&self) -> Answer<'_, Versions> {
        answer("looking for changes", async move {
            let mut watcher = self.watcher.lock().await;
            let watcher = watcher.as_mut().ok_or(sqlx::Error::PoolClosed)?;
            versions::now(watcher).await
        })
    }

    fn changed(&self) -> Answer<'_, ()> {
        Box::pin(std::future::pending())
    }
}
