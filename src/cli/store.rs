//! Taking a file from the disk into the catalogue, for `add` and `share`.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::fs::OFlags;
use tokio::io::AsyncReadExt as _;

use super::failure::Failure;
use super::output::printable;
use super::walk::Found;
use crate::gateway::Gateway;
use crate::gateway::refusal::Refusal;
use crate::gateway::upload::NewFile;
use crate::model::file::{FileRecord, Purpose};
use crate::model::id::{FileId, OrganizationId, SpaceId};
use crate::model::media::MediaType;
use crate::model::metadata::Metadata;
use crate::model::name::FileName;
use crate::model::time::UnixSeconds;

/// How many bytes are read at once, which is all that is held of a file.
const CHUNK_BYTES: usize = 256 * 1024;

/// What is said of files besides their bytes.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    pub(super) organization: OrganizationId,
    pub(super) space: SpaceId,
    pub(super) purpose: Purpose,
    pub(super) id: Option<FileId>,
    /// Else the last part of the path.
    pub(super) filename: Option<FileName>,
    /// Else what the name stands for.
    pub(super) media_type: Option<MediaType>,
    pub(super) metadata: Metadata,
    pub(super) created_at: Option<UnixSeconds>,
}

impl Labels {
    /// What a file gets that nothing is said of.
    pub(super) fn usual() -> Self {
        Self {
            organization: OrganizationId::default_organization(),
            space: SpaceId::default_space(),
            purpose: Purpose::UserUpload,
            id: None,
            filename: None,
            media_type: None,
            metadata: Metadata::default(),
            created_at: None,
        }
    }

    fn of(&self, path: &Path) -> Result<NewFile, Failure> {
        let name = match &self.filename {
            Some(name) => name.clone(),
            None => name_of(path)?,
        };
        let media_type = self.media_type.clone();
        Ok(NewFile {
            organization: self.organization.clone(),
            space: self.space.clone(),
            id: self.id.clone(),
            media_type: media_type.unwrap_or_else(|| MediaType::of_name(&name)),
            name,
            purpose: self.purpose,
            metadata: self.metadata.clone(),
            created_at: self.created_at,
            uploaded_by: None,
        })
    }
}

/// A bar for each file while it is read, on standard error and only where that is a terminal.
pub(super) struct Progress {
    shown: bool,
}

impl Progress {
    /// Shows bars, if `shown` and there is a terminal.
    pub(super) const fn new(shown: bool) -> Self {
        Self { shown }
    }

    fn begin(&self, path: &Path, size: u64) -> ProgressBar {
        let target = if self.shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(size), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {wide_msg}")
        {
            bar.set_style(style);
        }
        bar.with_message(printable(&path.display().to_string()))
    }
}

/// Copies the file's bytes into the blob store and then makes its row. A file that fails leaves nothing
/// behind, and the failure names it.
pub(super) async fn copy(
    gateway: &Arc<Gateway>,
    found: &Found,
    labels: &Labels,
    progress: &Progress,
) -> Result<FileRecord, Failure> {
    let path = &found.path;
    let new = labels.of(path)?;
    let failed = |error: std::io::Error| Failure::io(path.display(), &error);
    let refused = |refusal| Failure::Failed(format!("{}: {refusal}", path.display()));
    // What was a file a moment ago may be a pipe now, which would not open, or a link.
    let mut flags = OFlags::NONBLOCK;
    if !found.named {
        flags |= OFlags::NOFOLLOW;
    }
    let mut options = std::fs::OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    let mut file = tokio::fs::OpenOptions::from(options)
        .open(path)
        .await
        .map_err(failed)?;
    let metadata = file.metadata().await.map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(std::io::Error::other("it is no regular file")));
    }
    let bar = progress.begin(path, metadata.len());
    let mut upload = gateway.begin_upload().await.map_err(refused)?;
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(CHUNK_BYTES);
        let read = file.read_buf(&mut buffer).await.map_err(failed)?;
        if read == 0 {
            break;
        }
        bar.inc(read as u64);
        let chunk = buffer.split().freeze();
        upload.write(chunk).await.map_err(refused)?;
    }
    let record = gateway.finish_upload(upload, new).await.map_err(refused);
    bar.finish_and_clear();
    record
}

/// Registers the file where it lies.
pub(super) async fn register(
    gateway: &Gateway,
    found: &Found,
    labels: &Labels,
) -> Result<FileRecord, Failure> {
    let path = &found.path;
    let new = labels.of(path)?;
    let refused = |refusal| match refusal {
        Refusal::Field(fault) => {
            let why = fault.why;
            Failure::Failed(format!("{}: {why} (blobs.in_place_roots)", path.display()))
        }
        refusal => Failure::Failed(format!("{}: {refusal}", path.display())),
    };
    let absolute = tokio::fs::canonicalize(path)
        .await
        .map_err(|error| Failure::io(path.display(), &error))?;
    gateway.add_in_place(&absolute, new).await.map_err(refused)
}

fn name_of(path: &Path) -> Result<FileName, Failure> {
    let last = path.file_name().unwrap_or_default().to_string_lossy();
    FileName::from_client(&last)
        .map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}
