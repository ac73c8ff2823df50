//! Taking files in: bytes first, then the row, and only then a yes.
//!
//! A crash between the two leaves bytes without a row, which the sweeper removes; a row without bytes
//! cannot come to be.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::Gateway;
use super::refusal::{FieldFault, Refusal};
use crate::blob::{BlobError, Staged};
use crate::catalog::CatalogError;
use crate::model::digest::Sha256Digest;
use crate::model::file::{BlobLocation, FileRecord, FileState, Purpose};
use crate::model::id::{ApiKeyId, FileId, OrganizationId, SpaceId};
use crate::model::media::MediaType;
use crate::model::metadata::Metadata;
use crate::model::name::FileName;
use crate::model::time::UnixSeconds;

/// What is said of a file besides its bytes.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// Whose it is.
    pub organization: OrganizationId,
    /// Where it lies.
    pub space: SpaceId,
    /// Its id; drawn if `None`.
    pub id: Option<FileId>,
    /// Its name.
    pub name: FileName,
    /// Its type.
    pub media_type: MediaType,
    /// What it is for.
    pub purpose: Purpose,
    /// The uploader's own words.
    pub metadata: Metadata,
    /// When it was made; the drawn id's own time, or now, if `None`.
    pub created_at: Option<UnixSeconds>,
    /// The API key it came with; `None` from the command line.
    pub uploaded_by: Option<ApiKeyId>,
}

/// Bytes on their way in. Dropping it leaves nothing behind.
pub struct Upload {
    stage: Box<dyn Staged>,
    size: u64,
    size_max: u64,
}

impl Upload {
    /// Appends bytes; `TooLarge` once they are more than `uploads.size_max`. After a no the upload can
    /// only be dropped.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), Refusal> {
        self.size = self.size.saturating_add(chunk.len() as u64);
        if self.size > self.size_max {
            return Err(Refusal::TooLarge {
                limit: self.size_max,
            });
        }
        Ok(self.stage.write(chunk).await?)
    }
}

impl Gateway {
    /// Begins to take bytes in.
    pub async fn begin_upload(&self) -> Result<Upload, Refusal> {
        let stage = self.blobs.stage(self.new_blob_key()?).await?;
        Ok(Upload {
            stage,
            size: 0,
            size_max: self.settings.upload_size_max,
        })
    }

    /// Makes the bytes durable, then the row, and answers the record of the ready file. From here on
    /// a caller that goes away changes nothing: both happen, or the bytes are removed again.
    pub async fn finish_upload(
        self: &Arc<Self>,
        upload: Upload,
        new: NewFile,
    ) -> Result<FileRecord, Refusal> {
        let gateway = Arc::clone(self);
        let work = tokio::spawn(async move {
            let stored = upload.stage.commit().await?;
            let location = BlobLocation::Stored(stored.key);
            let file = gateway.record(new, stored.size, stored.sha256, location)?;
            match gateway.catalog.add_file(&file).await {
                Ok(()) => Ok(file),
                // The row may be there or not: the bytes stay, and the sweeper decides once it can see.
                Err(error @ CatalogError::Unavailable { .. }) => Err(error.into()),
                Err(error) => {
                    gateway.blobs.remove(stored.key).await?;
                    Err(Refusal::from(error))
                }
            }
        });
        work.await
            .map_err(|error| Refusal::Internal(format!("finishing an upload: {error}")))?
    }

    /// Registers a file that lies on disk already, without copying it. It must be a regular file below
    /// one of `blobs.in_place_roots`, and is held to its size, modification time and inode from now on.
    pub async fn add_in_place(&self, path: &Path, new: NewFile) -> Result<FileRecord, Refusal> {
        let registered = self
            .blobs
            .register(path)
            .await
            .map_err(|error| match error {
                BlobError::Refused { why, .. } => {
                    let why = format!("cannot be registered in place: {why}");
                    Refusal::Field(FieldFault::new("path", path.display().to_string(), why))
                }
                other => other.into(),
            })?;
        let location = BlobLocation::InPlace(registered.file);
        let file = self.record(new, registered.size, registered.sha256, location)?;
        self.catalog.add_file(&file).await?;
        Ok(file)
    }

    fn record(
        &self,
        new: NewFile,
        size: u64,
        sha256: Sha256Digest,
        location: BlobLocation,
    ) -> Result<FileRecord, Refusal> {
        let now = self.clock.now();
        let (id, own_time) = match new.id {
            Some(id) => (id, now),
            None => self.new_file_id(),
        };
        Ok(FileRecord {
            organization: new.organization,
            id,
            space: new.space,
            name: new.name,
            media_type: new.media_type,
            size,
            sha256,
            purpose: new.purpose,
            state: FileState::Ready,
            metadata: new.metadata,
            created_at: new.created_at.unwrap_or(own_time),
            updated_at: now,
            uploaded_by: new.uploaded_by,
            damaged_at: None,
            link_revision: 0,
            location,
        })
    }
}
