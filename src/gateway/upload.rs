//! Taking files in: bytes first, then the row, and only then a yes.
//!
//! A crash between the two leaves bytes without a row, which the sweeper removes; a row without bytes
//! cannot come to be.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::Gateway;
use super::refusal::{FieldFault, Refusal, with_causes};
use crate::blob::{BlobError, BlobStore, Identified, Staged, StoredBlob};
use crate::catalog::quota::{BYTES_KEPT, Quota};
use crate::model::digest::{Crc32, Sha256Digest};
use crate::model::file::{BlobLocation, FileRecord, FileState, Purpose};
use crate::model::id::{ApiKeyId, FileId, OrganizationId, SpaceId};
use crate::model::media::MediaType;
use crate::model::metadata::Metadata;
use crate::model::name::FileName;
use crate::model::text::{DetectedText, TextDetector};
use crate::model::time::UnixSeconds;

mod group_commit;
pub(super) mod staged_bytes;

use staged_bytes::StagedShare;

pub(super) use group_commit::PendingGroups;
pub use staged_bytes::RemainingQuota;

/// The longest time after which a file ends that was given an end, in seconds: a hundred years.
pub const FILE_LIFETIME_MAX: u64 = 100 * 365 * 86_400;

/// The most bytes that are read of a file which is registered unread: all of most texts, whose charset is known then.
pub const TYPE_BYTES_MAX: usize = 64 * 1024;

/// The description of a new file, without its bytes.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// The organization that it belongs to.
    pub organization: OrganizationId,
    /// The space that it lies in.
    pub space: SpaceId,
    /// Its id; drawn if `None`.
    pub id: Option<FileId>,
    /// Its name.
    pub name: FileName,
    /// The type that was declared, if one was. A placeholder counts as none; then the name and the first
    /// bytes decide.
    pub media_type: Option<MediaType>,
    /// Its purpose.
    pub purpose: Purpose,
    /// The uploader's own words.
    pub metadata: Metadata,
    /// The time of its making; the drawn id's own time, or now, if `None`.
    pub created_at: Option<UnixSeconds>,
    /// The API key it came with; `None` from the command line.
    pub uploaded_by: Option<ApiKeyId>,
    /// For how many seconds the file is there, up to [`FILE_LIFETIME_MAX`]; `None`: until somebody deletes it.
    pub expires_in: Option<u64>,
}

/// Bytes on their way in. Dropping it leaves nothing behind.
pub struct Upload {
    stage: Box<dyn Staged>,
    size: u64,
    size_max: u64,
    /// The bytes that it takes of its organization's quota, where one holds.
    share: Option<StagedShare>,
}

/// Bytes that are durable, of a file that is not described yet. Dropped before they are, they are removed in
/// the background; what a crash leaves of them the sweeper removes.
#[must_use]
pub struct StoredBytes {
    stored: Option<StoredBlob>,
    share: Option<StagedShare>,
    blobs: Arc<dyn BlobStore>,
}

impl StoredBytes {
    /// Returns the digest of the bytes; `None` once they are described.
    pub fn sha256(&self) -> Option<Sha256Digest> {
        self.stored.as_ref().map(|stored| stored.sha256)
    }
}

impl Drop for StoredBytes {
    fn drop(&mut self) {
        let (Some(stored), Ok(runtime)) = (self.stored.take(), Handle::try_current()) else {
            return;
        };
        let blobs = Arc::clone(&self.blobs);
        runtime.spawn(async move {
            if let Err(error) = blobs.remove(stored.key).await {
                tracing::warn!(error = %with_causes(&error), "the bytes of a refused upload are left to the sweeper");
            }
        });
    }
}

/// The findings about a file's bytes on their way in.
struct Content {
    size: u64,
    /// Its digests; `None` where nobody has read it.
    digests: Option<(Sha256Digest, Crc32)>,
    /// True if all of it is text; `None` where nobody has read it to its end.
    is_text: Option<bool>,
    begins_as_text: bool,
}

impl Content {
    fn read(size: u64, digests: (Sha256Digest, Crc32), text: DetectedText) -> Self {
        Self {
            size,
            digests: Some(digests),
            is_text: Some(text.is_utf8),
            begins_as_text: text.begins_as_text,
        }
    }
}

/// A file whose bytes are durable, and which has no row yet. Dropped before it has one, its bytes are
/// garbage, which the sweeper removes.
#[derive(Debug)]
#[must_use]
pub struct StagedFile(pub(super) FileRecord);

impl Upload {
    /// Returns how many bytes were written.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Holds it to this room, together with all others of the organization that are under way: bytes that there is
    /// none for are refused when they come.
    #[must_use]
    pub fn within(mut self, room: Option<RemainingQuota>) -> Self {
        self.share = room.map(RemainingQuota::share);
        self
    }

    /// Appends bytes; `TooLarge` once they are more than the file may have, `Quota` once they are more than
    /// there is room for. After a no the upload can only be dropped.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), Refusal> {
        self.size = self.size.saturating_add(chunk.len() as u64);
        if self.size > self.size_max {
            return Err(Refusal::TooLarge {
                limit: self.size_max,
            });
        }
        if let Some(share) = &mut self.share {
            let what = BYTES_KEPT;
            let added = share.add(chunk.len() as u64);
            added.map_err(|limit| Refusal::Quota { what, limit })?;
        }
        Ok(self.stage.write(chunk).await?)
    }
}

impl Gateway {
    /// Begins to take bytes in that come over the network: at most `uploads.size_max` of them.
    ///
    /// # Errors
    /// `NoSpace`, `Unavailable` or `Internal` where the store takes none.
    pub async fn begin_upload(&self) -> Result<Upload, Refusal> {
        self.begin_upload_up_to(self.settings.upload_size_max).await
    }

    /// Begins to take bytes in from the operator of this machine, whom `uploads.size_max` does not bind: at most
    /// `size_max` of them.
    ///
    /// # Errors
    /// As [`Gateway::begin_upload`].
    pub async fn begin_upload_up_to(&self, size_max: u64) -> Result<Upload, Refusal> {
        let stage = self.blobs.stage(self.new_blob_key()?).await?;
        Ok(Upload {
            stage,
            size: 0,
            size_max,
            share: None,
        })
    }

    /// Returns the remaining quota of an organization, in bytes; `None` where it may keep any number. `Quota` where
    /// it may keep no file more, or not `at_least` bytes more. This is only a look, so that nobody sends what there
    /// is no room for: the quota is enforced when the file is added.
    pub async fn remaining_quota(
        &self,
        organization: &OrganizationId,
        at_least: u64,
    ) -> Result<Option<RemainingQuota>, Refusal> {
        let quota = self.settings.quota;
        if quota == Quota::NONE {
            return Ok(None);
        }
        let kept = self.catalog.usage(organization);
        let kept = self.read_of(organization, kept).await?;
        let files = kept.files.saturating_add(1);
        let allowed = quota.allow(files, kept.bytes.saturating_add(at_least));
        allowed.map_err(|error| self.refusal(error))?;
        let remaining = |limit: u64| {
            let left = limit.saturating_sub(kept.bytes);
            self.staged.remaining(organization, left, limit)
        };
        Ok(quota.bytes.map(remaining))
    }

    /// Makes the bytes durable, then the row, and answers the record of the ready file. A future that is
    /// dropped in the midst may leave bytes without a row, or a row that nobody was told of: whoever must
    /// know calls this in a task of its own.
    pub async fn finish_upload(&self, upload: Upload, new: NewFile) -> Result<FileRecord, Refusal> {
        let kept = self.keep(upload, new).await?;
        self.add_one(kept).await
    }

    /// Draws the id and takes the time of a file that has neither yet. Files that are taken in beside each
    /// other are then listed in the order of these calls, whichever is there first.
    pub fn begin_file(&self, mut new: NewFile) -> NewFile {
        if new.id.is_none() {
            let (id, own_time) = self.new_file_id();
            new.id = Some(id);
            new.created_at.get_or_insert(own_time);
        }
        new
    }

    /// Makes the bytes durable, for [`Gateway::add_staged`].
    pub async fn keep(&self, upload: Upload, new: NewFile) -> Result<StagedFile, Refusal> {
        let bytes = self.store(upload).await?;
        self.describe(bytes, new)
    }

    /// Makes the bytes of an upload durable, for [`Gateway::describe`].
    ///
    /// # Errors
    /// `NoSpace`, `Unavailable` or `Internal`, as the store fails.
    pub async fn store(&self, upload: Upload) -> Result<StoredBytes, Refusal> {
        Ok(StoredBytes {
            stored: Some(upload.stage.commit().await?),
            share: upload.share,
            blobs: Arc::clone(&self.blobs),
        })
    }

    /// Describes a file whose bytes are durable, for [`Gateway::add_staged`].
    ///
    /// # Errors
    /// `Internal` where no id can be drawn.
    pub fn describe(&self, mut bytes: StoredBytes, new: NewFile) -> Result<StagedFile, Refusal> {
        let none = || Refusal::Internal("bytes were described twice".into());
        let stored = bytes.stored.take().ok_or_else(none)?;
        let location = BlobLocation::Stored(stored.key);
        let digests = (stored.sha256, stored.crc32);
        let content = Content::read(stored.size, digests, stored.text);
        let file = self.record(new, content, location)?;
        if let Some(share) = bytes.share.take() {
            share.end();
        }
        Ok(StagedFile(file))
    }

    /// Registers a file that lies on disk already, without copying it, for [`Gateway::add_staged`]. It must be a regular
    /// file below one of `blobs.in_place_roots`, and is held to its size, modification time and inode from now on.
    pub async fn keep_in_place(&self, path: &Path, new: NewFile) -> Result<StagedFile, Refusal> {
        let registered = self.blobs.register(path).await;
        let registered = registered.map_err(|error| unfit(path, error))?;
        let location = BlobLocation::InPlace(registered.file);
        let digests = (registered.sha256, registered.crc32);
        let content = Content::read(registered.size, digests, registered.text);
        let file = self.record(new, content, location)?;
        Ok(StagedFile(file))
    }

    /// Registers a file as [`Gateway::keep_in_place`] does, and reads no more of it than tells its type: at most its first
    /// [`TYPE_BYTES_MAX`] bytes. It has no SHA-256 then, and is told from others by its identity.
    ///
    /// # Errors
    /// As [`Gateway::keep_in_place`]; `Internal` where it changed meanwhile, or cannot be read.
    pub async fn keep_unread(&self, path: &Path, new: NewFile) -> Result<StagedFile, Refusal> {
        let identified = self.blobs.identify(path).await;
        let Identified { file, size } = identified.map_err(|error| unfit(path, error))?;
        let location = BlobLocation::InPlace(file);
        let blob = self.blobs.open(&location, size).await?;
        let head = usize::try_from(size).map_or(TYPE_BYTES_MAX, |size| size.min(TYPE_BYTES_MAX));
        let is_whole = head as u64 == size;
        let mut detector = TextDetector::default();
        detector.update(&blob.read_at(0, head).await?);
        let text = detector.finish();
        let content = Content {
            size,
            digests: None,
            // A byte that is no text is enough to know that not all of it is.
            is_text: (is_whole || !detector.may_be_utf8()).then_some(text.is_utf8),
            begins_as_text: text.begins_as_text,
        };
        Ok(StagedFile(self.record(new, content, location)?))
    }

    /// Makes the rows of files whose bytes are kept, all at once where that goes, and answers for each in
    /// turn as [`Gateway::finish_upload`] does. The bytes of one that is refused are removed again.
    ///
    /// It halves a batch of which some are refused, so that a few of them cost a few calls.
    pub async fn add_staged(&self, staged: Vec<StagedFile>) -> Vec<Result<FileRecord, Refusal>> {
        let files: Vec<FileRecord> = staged.into_iter().map(|StagedFile(file)| file).collect();
        let count = files.len();
        let (mut added, mut left) = (Vec::with_capacity(count), vec![files]);
        while let Some(mut files) = left.pop() {
            if files.len() < 2 {
                for file in files {
                    added.push(self.add_one(StagedFile(file)).await);
                }
            } else {
                let adding = self
                    .catalog
                    .add_files_within(&files, self.settings.quota, None);
                match self.ask(adding).await {
                    Ok(()) => added.extend(files.into_iter().map(Ok)),
                    // The rows may be there or not, and asking again could only confuse them with another's.
                    Err(Refusal::Unavailable(why)) => {
                        let refusals = files.iter().map(|_| Err(Refusal::Unavailable(why.clone())));
                        added.extend(refusals);
                    }
                    // None is there.
                    Err(_) => {
                        let rest = files.split_off(files.len() / 2);
                        left.extend([rest, files]);
                    }
                }
            }
            // A catalogue that does not answer is not asked for each of the others.
            if let Some(Err(Refusal::Unavailable(why))) = added.last() {
                let why = why.clone();
                added.resize_with(count, || Err(Refusal::Unavailable(why.clone())));
                break;
            }
        }
        added
    }

    /// Removes the bytes of files that get no rows.
    ///
    /// # Errors
    /// The refusal of a store that fails; the sweeper removes the rest.
    pub async fn discard(&self, kept: Vec<StagedFile>) -> Result<(), Refusal> {
        for StagedFile(file) in kept {
            self.remove_stored(&file).await?;
        }
        Ok(())
    }

    /// Removes the bytes of a file that has no row, unless they are somebody else's.
    pub(super) async fn remove_stored(&self, file: &FileRecord) -> Result<(), Refusal> {
        match file.location {
            BlobLocation::Stored(key) => Ok(self.blobs.remove(key).await?),
            BlobLocation::InPlace(_) => Ok(()),
        }
    }

    async fn add_one(&self, StagedFile(file): StagedFile) -> Result<FileRecord, Refusal> {
        let (one, quota) = (std::slice::from_ref(&file), self.settings.quota);
        let adding = self.catalog.add_files_within(one, quota, None);
        let Err(refusal) = self.ask(adding).await else {
            return Ok(file);
        };
        // The row may be there or not: the bytes stay, and the sweeper decides once it can see.
        if !matches!(refusal, Refusal::Unavailable(_)) {
            self.remove_stored(&file).await?;
        }
        Err(refusal)
    }

    fn record(
        &self,
        new: NewFile,
        content: Content,
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
            media_type: MediaType::of_file(new.media_type, &new.name, content.begins_as_text),
            name: new.name,
            size: content.size,
            sha256: content.digests.map(|(sha256, _)| sha256),
            purpose: new.purpose,
            state: FileState::Ready,
            metadata: new.metadata,
            created_at: new.created_at.unwrap_or(own_time),
            updated_at: now,
            uploaded_by: new.uploaded_by,
            damaged_at: None,
            link_revision: 0,
            location,
            is_text: content.is_text,
            crc32: content.digests.map(|(_, crc32)| crc32),
            expires_at: new.expires_in.map(|seconds| now.plus(seconds)),
        })
    }
}

/// Says that a file cannot be registered in place as a fault of its path.
fn unfit(path: &Path, error: BlobError) -> Refusal {
    match error {
        BlobError::Refused { why, .. } => {
            let why = format!("cannot be registered in place: {why}");
            Refusal::Field(FieldFault::new("path", path.display().to_string(), why))
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests;
