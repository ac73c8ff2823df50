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
use crate::gateway::upload::{Kept, NewFile, Upload};
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
    /// Else the name and the first bytes decide.
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

    /// What is said of the file at this path. Fails where its name can be none.
    pub(super) fn of(&self, path: &Path) -> Result<NewFile, Failure> {
        let name = match &self.filename {
            Some(name) => name.clone(),
            None => name_of(path)?,
        };
        Ok(NewFile {
            organization: self.organization.clone(),
            space: self.space.clone(),
            id: self.id.clone(),
            media_type: self.media_type.clone(),
            name,
            purpose: self.purpose,
            metadata: self.metadata.clone(),
            created_at: self.created_at,
            uploaded_by: None,
            expires_in: None,
        })
    }
}

/// A bar for bytes, on standard error and only where that is a terminal, if `shown`.
pub(super) fn bytes_bar(shown: bool) -> ProgressBar {
    let target = if shown {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {wide_msg}") {
        bar.set_style(style);
    }
    bar
}

/// A bar for the bytes of all files, on standard error and only where that is a terminal. It is gone when
/// this is dropped.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Shows a bar, if `shown` and there is a terminal.
    pub(super) fn new(shown: bool) -> Self {
        Self(bytes_bar(shown))
    }

    /// Does what may print, with the bar out of the way.
    pub(super) fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.suspend(work)
    }

    fn begin(&self, path: &Path, size: u64) {
        self.0.inc_length(size);
        self.0.set_message(printable(&path.display().to_string()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
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
    let new = labels.of(&found.path)?;
    let upload = read(gateway, found, progress).await?;
    let record = gateway.finish_upload(upload, new).await;
    record.map_err(|refusal| refused(&found.path, &refusal))
}

/// Copies the file's bytes into the blob store, and leaves its row to be made.
pub(super) async fn keep(
    gateway: &Gateway,
    found: &Found,
    new: NewFile,
    progress: &Progress,
) -> Result<Kept, Failure> {
    let upload = read(gateway, found, progress).await?;
    let kept = gateway.keep(upload, new).await;
    kept.map_err(|refusal| refused(&found.path, &refusal))
}

/// Looks at the file where it lies, and leaves its row to be made.
pub(super) async fn keep_in_place(
    gateway: &Gateway,
    found: &Found,
    new: NewFile,
) -> Result<Kept, Failure> {
    let path = &found.path;
    let absolute = tokio::fs::canonicalize(path)
        .await
        .map_err(|error| Failure::io(path.display(), &error))?;
    let kept = gateway.keep_in_place(&absolute, new).await;
    kept.map_err(|refusal| match refusal {
        Refusal::Field(fault) => {
            let why = fault.why;
            Failure::Failed(format!("{}: {why} (blobs.in_place_roots)", path.display()))
        }
        refusal => refused(path, &refusal),
    })
}

/// What it means for the command that a file was refused.
pub(super) fn refused(path: &Path, refusal: &Refusal) -> Failure {
    Failure::Failed(format!("{}: {refusal}", path.display()))
}

async fn read(gateway: &Gateway, found: &Found, progress: &Progress) -> Result<Upload, Failure> {
    let path = &found.path;
    let failed = |error: std::io::Error| Failure::io(path.display(), &error);
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
    progress.begin(path, metadata.len());
    let begun = gateway.begin_upload().await;
    let mut upload = begun.map_err(|refusal| refused(path, &refusal))?;
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(CHUNK_BYTES);
        let read = file.read_buf(&mut buffer).await.map_err(failed)?;
        if read == 0 {
            return Ok(upload);
        }
        progress.0.inc(read as u64);
        let chunk = buffer.split().freeze();
        let written = upload.write(chunk).await;
        written.map_err(|refusal| refused(path, &refusal))?;
    }
}

fn name_of(path: &Path) -> Result<FileName, Failure> {
    let last = path.file_name().unwrap_or_default().to_string_lossy();
    FileName::from_command_line(&last)
        .map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}
