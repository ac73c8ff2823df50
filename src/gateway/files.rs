//! Looking at files, and deleting them.

use super::Gateway;
use super::refusal::Refusal;
use crate::catalog::{NumberedPage, Place, Position};
use crate::model::file::{BlobLocation, FileRecord, FileState, Purpose};
use crate::model::id::{FileId, OrganizationId};

impl Gateway {
    /// The file, if it is ready.
    pub async fn ready_file(
        &self,
        organization: &OrganizationId,
        id: &FileId,
    ) -> Result<FileRecord, Refusal> {
        let found = self.catalog.file(organization, id).await?;
        found
            .filter(|file| file.state == FileState::Ready)
            .ok_or(Refusal::FileNotFound)
    }

    /// Page `page` (from 1) of an organization's ready files in pages of `limit`, newest first, and how
    /// many there are in all. A page past the end is empty.
    pub async fn numbered_page(
        &self,
        organization: &OrganizationId,
        page: u64,
        limit: u32,
    ) -> Result<NumberedPage, Refusal> {
        let offset = page.saturating_sub(1).saturating_mul(u64::from(limit));
        Ok(self
            .catalog
            .numbered_page(organization, offset, limit)
            .await?)
    }

    /// Up to `limit` ready files of an organization, newest first, after a position or from the newest on.
    pub async fn page(
        &self,
        organization: &OrganizationId,
        purpose: Option<Purpose>,
        after: Option<&Position>,
        limit: u32,
    ) -> Result<Vec<FileRecord>, Refusal> {
        let place = after.map_or(Place::Newest, Place::After);
        Ok(self
            .catalog
            .page(organization, purpose, place, limit)
            .await?)
    }

    /// Deletes a ready file: from now on it and its links are not found. Its bytes stay in the recycle
    /// bin for `files.recycle_days`; nothing restores it.
    pub async fn delete(
        &self,
        organization: &OrganizationId,
        id: &FileId,
    ) -> Result<FileRecord, Refusal> {
        Ok(self
            .catalog
            .delete_file(organization, id, self.clock.now())
            .await?)
    }

    /// Deletes a file, if that was not done before, and removes its bytes at once. A file registered in
    /// place is only forgotten: its bytes are not ours.
    pub async fn purge(
        &self,
        organization: &OrganizationId,
        id: &FileId,
    ) -> Result<FileRecord, Refusal> {
        let found = self
            .catalog
            .file(organization, id)
            .await?
            .ok_or(Refusal::FileNotFound)?;
        let file = match found.state {
            FileState::Ready => self.delete(organization, id).await?,
            FileState::Deleted { .. } => found,
            FileState::Swept { .. } => return Err(Refusal::FileNotFound),
        };
        self.remove_bytes(&file).await?;
        Ok(file)
    }

    /// Lets a deleted file's bytes go: first the row says so, then they are removed. Bytes that a crash
    /// in between leaves are found by the sweep for orphans.
    pub(super) async fn remove_bytes(&self, file: &FileRecord) -> Result<(), Refusal> {
        self.catalog
            .mark_swept(&file.organization, &file.id)
            .await?;
        match &file.location {
            BlobLocation::Stored(key) => Ok(self.blobs.remove(*key).await?),
            BlobLocation::InPlace(_) => Ok(()),
        }
    }
}
