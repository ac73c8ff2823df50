//! Each call of the port: which statements it is made of, and what is said where it fails.

use super::calls::{Committing, answer, call};
use super::{Postgres, files, folders, keys, quota, revocation, tenancy};
use crate::catalog::quota::Quota;
use crate::catalog::{Answer, Catalog, Filter, NumberedPage, Place, Versions};
use crate::model::digest::Sha256Digest;
use crate::model::file::FileRecord;
use crate::model::id::{ApiKeyId, BlobKey, FileId, FolderId, OrganizationId, SpaceId};
use crate::model::key::{ApiKey, ApiKeyState};
use crate::model::revocation::{LinkId, Revocations};
use crate::model::tenancy::{Folder, Organization, Space};
use crate::model::time::UnixSeconds;

impl Catalog for Postgres {
    fn create_organization<'a>(&'a self, organization: &'a Organization) -> Answer<'a, ()> {
        call!(self, "making an organization", change, |connection| {
            tenancy::create_organization(connection, organization)
        })
    }

    fn organization<'a>(&'a self, id: &'a OrganizationId) -> Answer<'a, Option<Organization>> {
        call!(self, "looking for an organization", look, |connection| {
            tenancy::organization(connection, id)
        })
    }

    fn organizations(&self) -> Answer<'_, Vec<Organization>> {
        call!(self, "listing the organizations", look, |connection| {
            tenancy::organizations(connection)
        })
    }

    fn create_space<'a>(&'a self, space: &'a Space) -> Answer<'a, ()> {
        call!(self, "making a space", change, |connection| {
            tenancy::create_space(connection, space)
        })
    }

    fn space<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a SpaceId,
    ) -> Answer<'a, Option<Space>> {
        call!(self, "looking for a space", look, |connection| {
            tenancy::space(connection, organization, id)
        })
    }

    fn spaces<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, Vec<Space>> {
        call!(self, "listing the spaces", look, |connection| {
            tenancy::spaces(connection, organization)
        })
    }

    fn create_folder<'a>(&'a self, folder: &'a Folder) -> Answer<'a, ()> {
        call!(self, "making a folder", change, |connection| {
            folders::create(connection, folder)
        })
    }

    fn folders<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, Vec<Folder>> {
        call!(self, "listing the folders", moment, |connection| {
            folders::list(connection, organization)
        })
    }

    fn add_to_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        files: &'a [FileId],
    ) -> Answer<'a, ()> {
        call!(self, "putting files into a folder", change, |connection| {
            folders::add_files(connection, organization, folder, files)
        })
    }

    fn remove_from_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        files: &'a [FileId],
    ) -> Answer<'a, ()> {
        call!(self, "taking files out of a folder", change, |connection| {
            folders::remove_files(connection, organization, folder, files)
        })
    }

    fn folder_files<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
    ) -> Answer<'a, Vec<FileId>> {
        call!(
            self,
            "listing the files of a folder",
            moment,
            |connection| folders::files(connection, organization, folder)
        )
    }

    fn share_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        members: &'a [OrganizationId],
    ) -> Answer<'a, ()> {
        call!(self, "sharing a folder", change, |connection| {
            folders::share(connection, organization, folder, members)
        })
    }

    fn unshare_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        members: &'a [OrganizationId],
    ) -> Answer<'a, ()> {
        call!(self, "ending a folder's sharing", change, |connection| {
            folders::unshare(connection, organization, folder, members)
        })
    }

    fn add_file<'a>(&'a self, file: &'a FileRecord) -> Answer<'a, ()> {
        call!(self, "adding a file", change, |connection| files::add(
            connection,
            std::slice::from_ref(file),
            &Quota::NONE
        ))
    }

    fn add_files<'a>(&'a self, files: &'a [FileRecord]) -> Answer<'a, ()> {
        call!(self, "adding files", change, |connection| files::add(
            connection,
            files,
            &Quota::NONE
        ))
    }

    fn file<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
    ) -> Answer<'a, Option<FileRecord>> {
        call!(self, "looking for a file", look, |connection| files::file(
            connection,
            organization,
            id
        ))
    }

    fn page<'a>(
        &'a self,
        organization: &'a OrganizationId,
        filter: Filter<'a>,
        place: Place<'a>,
        limit: u32,
        now: UnixSeconds,
    ) -> Answer<'a, Vec<FileRecord>> {
        call!(self, "listing files", look, |connection| files::page(
            connection,
            organization,
            filter,
            place,
            limit,
            now
        ))
    }

    fn numbered_page<'a>(
        &'a self,
        organization: &'a OrganizationId,
        offset: u64,
        limit: u32,
        now: UnixSeconds,
    ) -> Answer<'a, NumberedPage> {
        call!(self, "listing files", moment, |connection| {
            files::numbered_page(connection, organization, offset, limit, now)
        })
    }

    fn delete_file<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        now: UnixSeconds,
    ) -> Answer<'a, FileRecord> {
        call!(self, "deleting a file", change, |connection| files::delete(
            connection,
            organization,
            id,
            now
        ))
    }

    fn deleted_files(&self, before: UnixSeconds, limit: u32) -> Answer<'_, Vec<FileRecord>> {
        call!(self, "listing deleted files", look, |connection| {
            files::deleted(connection, before, limit)
        })
    }

    fn mark_swept<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
    ) -> Answer<'a, ()> {
        call!(self, "marking a file swept", change, |connection| {
            quota::mark_swept(connection, organization, id)
        })
    }

    fn forget_swept(&self, before: UnixSeconds, limit: u32) -> Answer<'_, u64> {
        call!(self, "forgetting swept files", change, |connection| {
            files::forget_swept(connection, before, limit)
        })
    }

    fn blobs_in_use<'a>(&'a self, keys: &'a [BlobKey]) -> Answer<'a, Vec<BlobKey>> {
        call!(self, "looking for blobs", look, |connection| {
            files::blobs_in_use(connection, keys)
        })
    }

    fn create_api_key<'a>(&'a self, key: &'a ApiKey) -> Answer<'a, ()> {
        call!(
            self,
            "making an API key",
            change,
            |connection| keys::create(connection, key)
        )
    }

    fn api_key<'a>(&'a self, digest: &'a Sha256Digest) -> Answer<'a, Option<ApiKey>> {
        call!(self, "looking for an API key", look, |connection| {
            keys::of_digest(connection, digest)
        })
    }

    fn api_keys<'a>(&'a self, organization: Option<&'a OrganizationId>) -> Answer<'a, Vec<ApiKey>> {
        call!(self, "listing the API keys", look, |connection| keys::list(
            connection,
            organization
        ))
    }

    fn set_api_key_state<'a>(&'a self, id: &'a ApiKeyId, state: ApiKeyState) -> Answer<'a, ApiKey> {
        call!(self, "changing an API key", change, |connection| {
            keys::set_state(connection, id, state)
        })
    }

    fn revocations(&self, now: UnixSeconds) -> Answer<'_, Revocations> {
        call!(self, "reading what was revoked", moment, |connection| {
            revocation::all(connection, now)
        })
    }

    fn raise_link_revision<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        revisions_max: u64,
    ) -> Answer<'a, u64> {
        call!(self, "revoking a file's links", change, |connection| {
            revocation::raise_link_revision(connection, organization, id, revisions_max)
        })
    }

    fn raise_epoch<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, u64> {
        call!(
            self,
            "revoking an organization's links",
            change,
            |connection| revocation::raise_epoch(connection, organization)
        )
    }

    fn deny_link<'a>(
        &'a self,
        organization: &'a OrganizationId,
        link: LinkId,
        expires: UnixSeconds,
        denied_max: u64,
    ) -> Answer<'a, ()> {
        call!(self, "revoking a link", change, |connection| {
            revocation::deny_link(connection, organization, link, expires, denied_max)
        })
    }

    fn forget_denied(&self, now: UnixSeconds) -> Answer<'_, u64> {
        call!(self, "forgetting dead links", change, |connection| {
            revocation::forget_denied(connection, now)
        })
    }

    fn versions(&self) -> Answer<'_, Versions> {
        answer("looking for changes", Committing::default(), self.watch())
    }

    fn changed(&self) -> Answer<'_, ()> {
        Box::pin(async {
            self.ears.hear().await;
            Ok(())
        })
    }
}
