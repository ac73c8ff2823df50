//! The calls of the port: the session that each needs, its statements, and what an error says was being done.

use super::calls::calls;
use super::{Database, denial, files, keys, numbered, quota, revocation, tenancy};
use crate::catalog::announcements::Announcements;
use crate::catalog::{Catalog, Filter, NumberedPage, Place};
use crate::model::digest::Sha256Digest;
use crate::model::file::FileRecord;
use crate::model::id::{ApiKeyId, BlobKey, FileId, FolderId, OrganizationId, SpaceId};
use crate::model::key::{ApiKey, ApiKeyState};
use crate::model::revocation::{Denial, Extent, RevocationBounds};
use crate::model::tenancy::{Folder, Organization, Space};
use crate::model::time::UnixSeconds;

impl<D: Database> Catalog for D {
    fn readers(&self) -> usize {
        self.reading_connections()
    }

    fn announcements(&self) -> &dyn Announcements {
        self.channel()
    }

    fn file_on_the_spot(
        &self,
        organization: &OrganizationId,
        id: &FileId,
    ) -> Option<Option<FileRecord>> {
        self.read_on_the_spot(organization, id)
    }

    calls! {
        fn create_organization(organization: &'a Organization) -> ()
            => Write, "making an organization", tenancy::create_organization;
        fn organization(id: &'a OrganizationId) -> Option<Organization>
            => Read, "looking for an organization", tenancy::organization;
        fn organizations() -> Vec<Organization>
            => Read, "listing the organizations", tenancy::organizations;
        fn create_space(space: &'a Space) -> ()
            => Write, "making a space", tenancy::create_space;
        fn space(organization: &'a OrganizationId, id: &'a SpaceId) -> Option<Space>
            => Read, "looking for a space", tenancy::space;
        fn spaces(organization: &'a OrganizationId) -> Vec<Space>
            => Read, "listing the spaces", tenancy::spaces;
        fn create_folder(folder: &'a Folder) -> ()
            => Write, "making a folder", tenancy::create_folder;
        fn folders(organization: &'a OrganizationId) -> Vec<Folder>
            => ReadTransaction, "listing the folders", tenancy::folders;
        fn add_to_folder(
            organization: &'a OrganizationId, folder: &'a FolderId, files: &'a [FileId]
        ) -> ()
            => Write, "putting files into a folder", tenancy::add_to_folder;
        fn remove_from_folder(
            organization: &'a OrganizationId, folder: &'a FolderId, files: &'a [FileId]
        ) -> ()
            => ReservedWrite, "taking files out of a folder", tenancy::remove_from_folder;
        fn folder_files(organization: &'a OrganizationId, folder: &'a FolderId) -> Vec<FileId>
            => ReadTransaction, "listing the files of a folder", tenancy::folder_files;
        fn share_folder(
            organization: &'a OrganizationId, folder: &'a FolderId, members: &'a [OrganizationId]
        ) -> ()
            => Write, "sharing a folder", tenancy::share_folder;
        fn unshare_folder(
            organization: &'a OrganizationId, folder: &'a FolderId, members: &'a [OrganizationId]
        ) -> ()
            => ReservedWrite, "ending a folder's sharing", tenancy::unshare_folder;
        fn add_file(file: &'a FileRecord) -> ()
            => Write, "adding a file", files::add_one;
        fn add_files(files: &'a [FileRecord]) -> ()
            => Write, "adding files", files::add_all;
        fn file(organization: &'a OrganizationId, id: &'a FileId) -> Option<FileRecord>
            => Read, "looking for a file", files::file;
        fn page(
            organization: &'a OrganizationId, filter: Filter<'a>, place: Place<'a>, limit: u32, now: UnixSeconds
        ) -> Vec<FileRecord>
            => Read, "listing files", files::page;
        fn numbered_page(
            organization: &'a OrganizationId, offset: u64, limit: u32, now: UnixSeconds
        ) -> NumberedPage
            => ReadTransaction, "listing files", numbered::numbered_page;
        fn delete_file(organization: &'a OrganizationId, id: &'a FileId, now: UnixSeconds) -> FileRecord
            => ReservedWrite, "deleting a file", files::delete;
        fn deleted_files(before: UnixSeconds, limit: u32) -> Vec<FileRecord>
            => Read, "listing deleted files", files::deleted;
        fn mark_swept(organization: &'a OrganizationId, id: &'a FileId) -> ()
            => PurgeWrite, "marking a file swept", quota::mark_swept;
        fn purge_file(organization: &'a OrganizationId, id: &'a FileId, now: UnixSeconds) -> FileRecord
            => PurgeWrite, "purging a file", quota::purge;
        fn forget_swept(before: UnixSeconds, limit: u32) -> u64
            => Write, "forgetting swept files", files::forget_swept;
        fn blobs_in_use(keys: &'a [BlobKey]) -> Vec<BlobKey>
            => Read, "looking for blobs", files::blobs_in_use;
        fn create_api_key(key: &'a ApiKey) -> ()
            => Write, "making an API key", keys::create;
        fn api_key(digest: &'a Sha256Digest) -> Option<ApiKey>
            => Read, "looking for an API key", keys::of_digest;
        fn api_keys(organization: Option<&'a OrganizationId>) -> Vec<ApiKey>
            => Read, "listing the API keys", keys::list;
        fn set_api_key_state(id: &'a ApiKeyId, state: ApiKeyState) -> ApiKey
            => ReservedWrite, "changing an API key", keys::set_state;
        fn raise_link_revision(
            organization: &'a OrganizationId, id: &'a FileId, revisions_max: u64
        ) -> Extent
            => ReservedWrite, "revoking a file's links", revocation::raise_link_revision;
        fn raise_epoch(organization: &'a OrganizationId) -> u64
            => ReservedWrite, "revoking an organization's links", revocation::raise_epoch;
        fn deny_link(denial: &'a Denial, now: UnixSeconds, bounds: RevocationBounds) -> Extent
            => ReservedWrite, "revoking a link", denial::deny_link;
        fn forget_denied(now: UnixSeconds, limit: u32) -> u64
            => Write, "forgetting dead links", denial::forget_denied;
    }
}
