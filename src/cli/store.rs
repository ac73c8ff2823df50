//! Taking a file from the disk into the catalogue, for `add` and `share`.

use std::io::IsTerminal as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::fs::OFlags;
use tokio::io::AsyncReadExt as _;

use super::failure::Failure;
use super::interrupt::Interrupt;
use super::path_expansion::{FoundFile, Walk};
use super::terminal::printable;
use crate::config::Config;
use crate::gateway::Gateway;
use crate::gateway::refusal::Refusal;
use crate::gateway::upload::{NewFile, RemainingQuota, StagedFile, Upload};
use crate::model::amount::ByteAmount;
use crate::model::file::Purpose;
use crate::model::id::{FileId, OrganizationId, SpaceId};
use crate::model::media::MediaType;
use crate::model::metadata::Metadata;
use crate::model::name::FileName;
use crate::model::time::UnixSeconds;
use crate::server::{blob_bytes_max, disk};

/// The bytes of one read, and all of a file that is in memory.
const CHUNK_BYTES: usize = 256 * 1024;

/// The labels of new files: everything about them besides their bytes.
#[derive(Clone, Debug)]
pub(super) struct FileLabels {
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
    /// For how many seconds they are there; else until somebody deletes them.
    pub(super) expires_in: Option<u64>,
}

impl FileLabels {
    /// Returns the labels of a file that no flag describes.
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
            expires_in: None,
        }
    }

    /// Returns the labels of the file at this path. Fails if its name is no file name.
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
            expires_in: self.expires_in,
        })
    }
}

/// A progress bar of this length, on standard error and only where that is a terminal, if `shown`.
pub(super) fn progress_bar(length: Option<u64>, template: &str, shown: bool) -> ProgressBar {
    let target = if shown {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(length, target);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// The most files whose sizes are added up before any is taken in: their names are looked at twice.
const MEASURED_FILES_MAX: usize = 100_000;

/// A bar for the bytes of all files, on standard error and only where that is a terminal. It is gone when
/// this is dropped.
pub(super) struct Progress {
    pub(super) bar: ProgressBar,
    /// True if the bytes of all files are known. Else they are added up as the files are begun.
    is_measured: bool,
}

impl Progress {
    /// Shows a bar, if `shown` and there is a terminal.
    pub(super) fn new(shown: bool) -> Self {
        let template = "{bar:20} {bytes}/{total_bytes} {bytes_per_sec} {wide_msg}";
        Self {
            bar: progress_bar(Some(0), template, shown),
            is_measured: false,
        }
    }

    /// Shows a bar for all files of this walk, which is gone through for their sizes: how much is done, how fast, and how
    /// long the rest will take. Of more than [`MEASURED_FILES_MAX`] files nobody knows how many bytes they have.
    pub(super) fn of_all(shown: bool, walk: impl FnOnce() -> Walk) -> Self {
        let growing = Self::new(shown);
        if growing.bar.is_hidden() {
            return growing;
        }
        let (mut bytes, mut files) = (0_u64, 0);
        // What cannot be read is named when its turn comes.
        for found in walk().silent().filter_map(Result::ok) {
            files += 1;
            if files > MEASURED_FILES_MAX {
                return growing;
            }
            let size = std::fs::metadata(&found.path).map_or(0, |metadata| metadata.len());
            bytes = bytes.saturating_add(size);
        }
        let template = "{bar:20} {bytes}/{total_bytes} {bytes_per_sec} {eta} left {wide_msg}";
        Self {
            bar: progress_bar(Some(bytes), template, shown),
            is_measured: true,
        }
    }

    /// Does what may print, with the bar out of the way.
    pub(super) fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        // The thread that moves the bar waits until the work is done: it must not wait for a reader of our output.
        if self.bar.is_hidden() {
            return work();
        }
        self.bar.suspend(work)
    }

    /// Does what prints on standard output alone, which the bar is only in the way of on a terminal.
    pub(super) fn beside<T>(&self, work: impl FnOnce() -> T) -> T {
        if std::io::stdout().is_terminal() {
            self.aside(work)
        } else {
            work()
        }
    }

    fn begin(&self, path: &Path, size: u64) {
        if !self.is_measured {
            self.bar.inc_length(size);
        }
        let name = printable(&path.display().to_string());
        self.bar.set_message(name);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// The size limit of one file, and its origin. `uploads.size_max` is for the network: a user who types commands here
/// has the disk anyway.
#[derive(Clone, Copy, Debug)]
struct SizeLimit {
    bytes: u64,
    /// The beginning of a sentence that the limit ends.
    said_by: &'static str,
    /// The remedy, to be printed behind the limit.
    remedy: &'static str,
}

impl SizeLimit {
    fn new(config: &Config, size_max: Option<u64>) -> Self {
        // A store takes an upload in so many parts, and their size is fixed when it is opened.
        let store = Self {
            bytes: blob_bytes_max(config),
            said_by: "one object in the store of blobs.url has at most",
            remedy: ": raise uploads.size_max, by which the parts of an upload are measured",
        };
        match size_max {
            Some(bytes) if bytes <= store.bytes => Self {
                bytes,
                said_by: "--size-max is",
                remedy: "",
            },
            _ => store,
        }
    }

    fn check(self, path: &Path, size: u64) -> Result<(), Failure> {
        if size <= self.bytes {
            return Ok(());
        }
        let Self {
            bytes,
            said_by,
            remedy,
        } = self;
        Err(Failure::Failed(format!(
            "{}: the file has {}, and {said_by} {}{remedy}",
            path.display(),
            ByteAmount(size),
            ByteAmount(bytes)
        )))
    }
}

/// Takes files in, within the limits of the command, until it is interrupted. Cloning is a few reference counts.
#[derive(Clone)]
pub(super) struct Intake {
    pub(super) gateway: Arc<Gateway>,
    pub(super) interrupt: Interrupt,
    limit: SizeLimit,
    /// The full disk or store, if one is full, and the remedy.
    where_it_is_full: String,
}

impl Intake {
    /// Takes files of up to `size_max` bytes into this gateway's stores.
    pub(super) fn new(
        gateway: Arc<Gateway>,
        config: &Config,
        size_max: Option<u64>,
        interrupt: Interrupt,
    ) -> Self {
        Self {
            gateway,
            interrupt,
            limit: SizeLimit::new(config, size_max),
            where_it_is_full: disk::is_full(config),
        }
    }

    /// Copies the file's bytes into the blob store, and leaves its row to be made.
    pub(super) async fn keep(
        &self,
        found: &FoundFile,
        new: NewFile,
        progress: &Progress,
    ) -> Result<StagedFile, Failure> {
        let upload = self.read(found, &new.organization, progress).await?;
        let kept = self.gateway.keep(upload, new).await;
        kept.map_err(|refusal| self.refused(&found.path, &refusal))
    }

    /// Looks at the file where it lies, and leaves its row to be made.
    pub(super) async fn keep_in_place(
        &self,
        found: &FoundFile,
        new: NewFile,
        progress: &Progress,
    ) -> Result<StagedFile, Failure> {
        let path = &found.path;
        let unreadable = |error| Failure::unreadable(path, &error);
        let absolute = tokio::fs::canonicalize(path).await.map_err(unreadable)?;
        let metadata = tokio::fs::metadata(&absolute).await.map_err(unreadable)?;
        let size = metadata.len();
        self.expect_remaining_quota(path, &new.organization, size)
            .await?;
        progress.begin(path, size);
        let kept = tokio::select! {
            kept = self.gateway.keep_in_place(&absolute, new) => kept,
            () = self.interrupt.first() => return Err(self.interrupted(path)),
        };
        progress.bar.inc(size);
        kept.map_err(|refusal| match refusal {
            Refusal::Field(fault) => {
                let why = fault.why;
                Failure::Failed(format!("{}: {why} (blobs.in_place_roots)", path.display()))
            }
            refusal => self.refused(path, &refusal),
        })
    }

    /// Returns the failure of a file that was refused.
    pub(super) fn refused(&self, path: &Path, refusal: &Refusal) -> Failure {
        let path = path.display();
        Failure::Failed(match (refusal, refusal.setting()) {
            (Refusal::NoSpace, _) => format!("{path}: {}", self.where_it_is_full),
            (_, Some(setting)) => format!("{path}: {refusal} ({setting})"),
            (_, None) => format!("{path}: {refusal}"),
        })
    }

    /// Refuses a file of this size where it is too large.
    pub(super) fn expect_size(&self, path: &Path, size: u64) -> Result<(), Failure> {
        self.limit.check(path, size)
    }

    /// Refuses a file of this size before its bytes are read, where it is too large or the organization has no room
    /// for it. Returns the bytes that still fit.
    async fn expect_remaining_quota(
        &self,
        path: &Path,
        organization: &OrganizationId,
        size: u64,
    ) -> Result<Option<RemainingQuota>, Failure> {
        self.limit.check(path, size)?;
        let room = self.gateway.remaining_quota(organization, size).await;
        room.map_err(|refusal| self.refused(path, &refusal))
    }

    fn interrupted(&self, path: &Path) -> Failure {
        let stopped = format!("stopped while {} was taken in", path.display());
        self.interrupt.failure(stopped)
    }

    /// Copies the file's bytes into a stage of the blob store. A file that fails, or whose bytes are still being read
    /// when the command is interrupted, leaves nothing behind; the failure names it.
    pub(super) async fn read(
        &self,
        found: &FoundFile,
        organization: &OrganizationId,
        progress: &Progress,
    ) -> Result<Upload, Failure> {
        let path = &found.path;
        let unreadable = |error| Failure::unreadable(path, &error);
        let mut file = open(found).await.map_err(unreadable)?;
        let metadata = file.metadata().await.map_err(unreadable)?;
        if !metadata.is_file() {
            let why = format!("{}: it is no regular file", path.display());
            return Err(Failure::Failed(why));
        }
        let room = self
            .expect_remaining_quota(path, organization, metadata.len())
            .await?;
        progress.begin(path, metadata.len());
        let begun = self.gateway.begin_upload_up_to(self.limit.bytes).await;
        let begun = begun.map_err(|refusal| self.refused(path, &refusal))?;
        let mut upload = begun.within(room);
        let (mut buffer, mut size) = (BytesMut::new(), 0_u64);
        loop {
            buffer.reserve(CHUNK_BYTES);
            let read = tokio::select! {
                // The stop is polled first: a file whose bytes are all at hand would never wait.
                biased;
                () = self.interrupt.first() => return Err(self.interrupted(path)),
                read = file.read_buf(&mut buffer) => read.map_err(unreadable)? as u64,
            };
            if read == 0 {
                return Ok(upload);
            }
            progress.bar.inc(read);
            size += read;
            // It may grow while it is read.
            self.limit.check(path, size)?;
            let chunk = buffer.split().freeze();
            let written = upload.write(chunk).await;
            written.map_err(|refusal| self.refused(path, &refusal))?;
        }
    }
}

async fn open(found: &FoundFile) -> std::io::Result<tokio::fs::File> {
    // A path that was a file a moment ago may be a pipe now, which would not open, or a link.
    let mut flags = OFlags::NONBLOCK;
    if !found.named {
        flags |= OFlags::NOFOLLOW;
    }
    let mut options = std::fs::OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    tokio::fs::OpenOptions::from(options)
        .open(&found.path)
        .await
}

fn name_of(path: &Path) -> Result<FileName, Failure> {
    let last = path.file_name().unwrap_or_default().to_string_lossy();
    FileName::from_command_line(&last)
        .map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}
