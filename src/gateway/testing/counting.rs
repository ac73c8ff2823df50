//! A catalogue that counts how often it is asked.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::oneshot;

use crate::catalog::apps::Apps;
use crate::catalog::batch::{Batch, SharedFiles};
use crate::catalog::checkup::Checkup;
use crate::catalog::counters::Counters;
use crate::catalog::idempotency::Completion;
use crate::catalog::memory::Memory;
use crate::catalog::quota::{Kept, Quota, Quotas, Recount};
use crate::catalog::transfer::{CopyNote, Kind, Row, Totals, Transfer};
use crate::catalog::{Answer, Catalog, CatalogError, Filter, NumberedPage, Place, Versions};
use crate::model::app::App;
use crate::model::count::{Count, Counted, Counts};
use crate::model::digest::Sha256Digest;
use crate::model::file::FileRecord;
use crate::model::id::{
    ApiKeyId, AppId, BlobKey, FileId, FolderId, InstallationId, OrganizationId, SpaceId,
};
use crate::model::key::{ApiKey, ApiKeyState};
use crate::model::revocation::{LinkId, Revocations};
use crate::model::tenancy::{Folder, Organization, Space};
use crate::model::time::UnixSeconds;

mod tasks;

/// The catalogue in memory, and how many calls of its port there were.
#[derive(Default)]
pub(crate) struct Counting {
    /// The same catalogue as another process has it: not counted.
    pub(crate) kept: Memory,
    calls: AtomicU64,
    hesitation: Mutex<Option<Hesitation>>,
    /// Whether files that are added together are added, and nobody is told.
    silent: AtomicBool,
}

/// What the next look for a file does when it has seen the row: says so, and waits before it answers.
struct Hesitation {
    seen: oneshot::Sender<()>,
    go_on: oneshot::Receiver<()>,
}

impl Counting {
    /// How many calls there were since this was asked last.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.swap(0, Ordering::Relaxed)
    }

    /// Has the next look for a file hesitate. Answers when it has seen the row, and lets it answer.
    pub(crate) fn hesitate(&self) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let (seen, is_seen) = oneshot::channel();
        let (let_go, go_on) = oneshot::channel();
        *self.hesitation.lock().unwrap() = Some(Hesitation { seen, go_on });
        (is_seen, let_go)
    }

    /// From now on files that are added together are added, and the answer is that nobody knows.
    pub(crate) fn fall_silent(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }

    fn counted(&self) -> &Memory {
        self.calls.fetch_add(1, Ordering::Relaxed);
        &self.kept
    }
}

impl Batch for Counting {
    fn files<'a>(
        &'a self,
        organization: &'a OrganizationId,
        ids: &'a [FileId],
    ) -> Answer<'a, Vec<FileRecord>> {
        self.counted().files(organization, ids)
    }

    fn shared_files<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        ids: &'a [FileId],
    ) -> Answer<'a, Option<SharedFiles>> {
        self.counted().shared_files(organization, folder, ids)
    }
}

impl Checkup for Counting {
    fn files_with_bytes<'a>(
        &'a self,
        after: Option<&'a (OrganizationId, FileId)>,
        limit: u32,
    ) -> Answer<'a, Vec<FileRecord>> {
        self.counted().files_with_bytes(after, limit)
    }

    fn mark_damaged<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        since: Option<UnixSeconds>,
    ) -> Answer<'a, ()> {
        self.counted().mark_damaged(organization, id, since)
    }

    fn installation(&self) -> Answer<'_, InstallationId> {
        self.counted().installation()
    }
}

impl Counters for Counting {
    fn add_counts<'a>(&'a self, counts: &'a [Count]) -> Answer<'a, ()> {
        self.counted().add_counts(counts)
    }

    fn counts<'a>(
        &'a self,
        organization: &'a OrganizationId,
        of: Counted<'a>,
    ) -> Answer<'a, Counts> {
        self.counted().counts(organization, of)
    }

    fn forget_counts(&self, now: UnixSeconds, limit: u32) -> Answer<'_, u64> {
        self.counted().forget_counts(now, limit)
    }
}

impl Apps for Counting {
    fn create_app<'a>(&'a self, key: &'a ApiKey, app: &'a App) -> Answer<'a, ()> {
        self.counted().create_app(key, app)
    }

    fn app<'a>(&'a self, id: &'a AppId) -> Answer<'a, Option<(App, ApiKey)>> {
        self.counted().app(id)
    }

    fn apps<'a>(
        &'a self,
        organization: Option<&'a OrganizationId>,
    ) -> Answer<'a, Vec<(AppId, ApiKeyId)>> {
        self.counted().apps(organization)
    }
}

impl Quotas for Counting {
    fn add_files_within<'a>(
        &'a self,
        files: &'a [FileRecord],
        quota: Quota,
        key: Option<&'a Completion>,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            self.counted().add_files_within(files, quota, key).await?;
            if self.silent.load(Ordering::Relaxed) {
                let doing = "adding files";
                let source = "it fell silent".into();
                return Err(CatalogError::Unavailable { doing, source });
            }
            Ok(())
        })
    }

    fn kept<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, Kept> {
        self.counted().kept(organization)
    }

    fn recount<'a>(&'a self, organization: &'a OrganizationId, mend: bool) -> Answer<'a, Recount> {
        self.counted().recount(organization, mend)
    }
}

impl Transfer for Counting {
    fn rows<'a>(&'a self, kind: Kind, after: Option<&'a Row>, limit: u32) -> Answer<'a, Vec<Row>> {
        self.counted().rows(kind, after, limit)
    }

    fn put_rows<'a>(&'a self, rows: &'a [Row]) -> Answer<'a, u64> {
        self.counted().put_rows(rows)
    }

    fn remove_rows<'a>(&'a self, rows: &'a [Row]) -> Answer<'a, u64> {
        self.counted().remove_rows(rows)
    }

    fn totals(&self) -> Answer<'_, Totals> {
        self.counted().totals()
    }

    fn copy_note(&self) -> Answer<'_, Option<CopyNote>> {
        self.counted().copy_note()
    }

    fn note_copy<'a>(&'a self, note: Option<&'a CopyNote>) -> Answer<'a, ()> {
        self.counted().note_copy(note)
    }
}

impl Catalog for Counting {
    fn create_organization<'a>(&'a self, organization: &'a Organization) -> Answer<'a, ()> {
        self.counted().create_organization(organization)
    }

    fn organization<'a>(&'a self, id: &'a OrganizationId) -> Answer<'a, Option<Organization>> {
        self.counted().organization(id)
    }

    fn organizations(&self) -> Answer<'_, Vec<Organization>> {
        self.counted().organizations()
    }

    fn create_space<'a>(&'a self, space: &'a Space) -> Answer<'a, ()> {
        self.counted().create_space(space)
    }

    fn space<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a SpaceId,
    ) -> Answer<'a, Option<Space>> {
        self.counted().space(organization, id)
    }

    fn spaces<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, Vec<Space>> {
        self.counted().spaces(organization)
    }

    fn create_folder<'a>(&'a self, folder: &'a Folder) -> Answer<'a, ()> {
        self.counted().create_folder(folder)
    }

    fn folders<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, Vec<Folder>> {
        self.counted().folders(organization)
    }

    fn add_to_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        files: &'a [FileId],
    ) -> Answer<'a, ()> {
        self.counted().add_to_folder(organization, folder, files)
    }

    fn remove_from_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        files: &'a [FileId],
    ) -> Answer<'a, ()> {
        self.counted()
            .remove_from_folder(organization, folder, files)
    }

    fn folder_files<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
    ) -> Answer<'a, Vec<FileId>> {
        self.counted().folder_files(organization, folder)
    }

    fn share_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        members: &'a [OrganizationId],
    ) -> Answer<'a, ()> {
        self.counted().share_folder(organization, folder, members)
    }

    fn unshare_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        members: &'a [OrganizationId],
    ) -> Answer<'a, ()> {
        self.counted().unshare_folder(organization, folder, members)
    }

    fn add_file<'a>(&'a self, file: &'a FileRecord) -> Answer<'a, ()> {
        self.counted().add_file(file)
    }

    fn add_files<'a>(&'a self, files: &'a [FileRecord]) -> Answer<'a, ()> {
        self.add_files_within(files, Quota::NONE, None)
    }

    fn file<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
    ) -> Answer<'a, Option<FileRecord>> {
        let hesitation = self.hesitation.lock().unwrap().take();
        Box::pin(async move {
            let found = self.counted().file(organization, id).await;
            if let Some(Hesitation { seen, go_on }) = hesitation {
                seen.send(()).unwrap();
                go_on.await.unwrap();
            }
            found
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
        self.counted().page(organization, filter, place, limit, now)
    }

    fn numbered_page<'a>(
        &'a self,
        organization: &'a OrganizationId,
        offset: u64,
        limit: u32,
        now: UnixSeconds,
    ) -> Answer<'a, NumberedPage> {
        self.counted()
            .numbered_page(organization, offset, limit, now)
    }

    fn delete_file<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        now: UnixSeconds,
    ) -> Answer<'a, FileRecord> {
        self.counted().delete_file(organization, id, now)
    }

    fn deleted_files(&self, before: UnixSeconds, limit: u32) -> Answer<'_, Vec<FileRecord>> {
        self.counted().deleted_files(before, limit)
    }

    fn mark_swept<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
    ) -> Answer<'a, ()> {
        self.counted().mark_swept(organization, id)
    }

    fn forget_swept(&self, before: UnixSeconds, limit: u32) -> Answer<'_, u64> {
        self.counted().forget_swept(before, limit)
    }

    fn blobs_in_use<'a>(&'a self, keys: &'a [BlobKey]) -> Answer<'a, Vec<BlobKey>> {
        self.counted().blobs_in_use(keys)
    }

    fn create_api_key<'a>(&'a self, key: &'a ApiKey) -> Answer<'a, ()> {
        self.counted().create_api_key(key)
    }

    fn api_key<'a>(&'a self, digest: &'a Sha256Digest) -> Answer<'a, Option<ApiKey>> {
        self.counted().api_key(digest)
    }

    fn api_keys<'a>(&'a self, organization: Option<&'a OrganizationId>) -> Answer<'a, Vec<ApiKey>> {
        self.counted().api_keys(organization)
    }

    fn set_api_key_state<'a>(&'a self, id: &'a ApiKeyId, state: ApiKeyState) -> Answer<'a, ApiKey> {
        self.counted().set_api_key_state(id, state)
    }

    fn revocations(&self, now: UnixSeconds) -> Answer<'_, Revocations> {
        self.counted().revocations(now)
    }

    fn raise_link_revision<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        revisions_max: u64,
    ) -> Answer<'a, u64> {
        self.counted()
            .raise_link_revision(organization, id, revisions_max)
    }

    fn raise_epoch<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, u64> {
        self.counted().raise_epoch(organization)
    }

    fn deny_link<'a>(
        &'a self,
        organization: &'a OrganizationId,
        link: LinkId,
        expires: UnixSeconds,
        denied_max: u64,
    ) -> Answer<'a, ()> {
        self.counted()
            .deny_link(organization, link, expires, denied_max)
    }

    fn forget_denied(&self, now: UnixSeconds) -> Answer<'_, u64> {
        self.counted().forget_denied(now)
    }

    fn versions(&self) -> Answer<'_, Versions> {
        self.counted().versions()
    }

    fn changed(&self) -> Answer<'_, ()> {
        self.kept.changed()
    }
}
