//! Files that somebody else keeps, registered where they lie.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::beneath_root::{self, Unfit};
use super::{failed, named};
use crate::blob::blocking::blocking;
use crate::blob::content::{ContentFindings, ContentHasher};
use crate::blob::{Blob, BlobError, Identified, Registered, Stamp};
use crate::model::file::InPlace;

/// Bytes hashed in one go on the blocking pool; a dropped answer waits for no more than that.
const STEP_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes read at once.
const READ_BYTES: usize = 128 * 1024;

const REGISTERING: &str = "registering a file in place";
const CHANGED: &str = "it changed while it was read";

/// The directories below which files may be registered.
pub(super) struct Roots(Vec<Root>);

struct Root {
    /// The operator's path, made absolute.
    configured: PathBuf,
    /// Without symbolic links.
    canonical: PathBuf,
    directory: File,
}

/// A file below a root, open.
pub(super) struct Candidate {
    file: File,
    metadata: Metadata,
    /// Its path, without symbolic links.
    path: PathBuf,
}

impl Roots {
    /// Opens the roots. One that is not there or no directory is an error that names it.
    pub(super) fn open(paths: &[PathBuf]) -> io::Result<Self> {
        let roots = paths
            .iter()
            .map(|path| Root::open(path).map_err(named(path)));
        roots.collect::<io::Result<_>>().map(Self)
    }

    /// Opens a file that has `size` bytes and still is the registered one. Of another size or modification time, or
    /// gone, it is `Damaged`; where anything else of its identity moved, or is not known, it is `Moved`.
    pub(super) fn open_registered(&self, file: &InPlace, size: u64) -> Result<Blob, BlobError> {
        let damaged = |what: String| BlobError::Damaged {
            what: format!("{path}: {what}", path = file.path.display()),
        };
        let found = match self.find(&file.path) {
            Ok(found) => found,
            Err(Unfit::Odd(why)) => return Err(damaged(why.to_owned())),
            Err(Unfit::Failed(error)) => return Err(failed("opening a file in place")(error)),
        };
        let expected = (size, Some(file.modified_nanos));
        let is = (found.metadata.len(), modified_nanos(&found.metadata));
        if is != expected {
            return Err(damaged(format!(
                "(bytes, modified at in ns) expected {expected:?}, found {is:?}"
            )));
        }
        let now = identity(&found.metadata, file.path.clone(), file.modified_nanos);
        if !file.is(&now) {
            return Err(BlobError::Moved {
                found: Box::new(now),
            });
        }
        Ok(Blob::File {
            opened: Some(Stamp::of_foreign(&found.metadata)),
            file: Arc::new(found.file),
            size,
        })
    }

    /// Opens a file to be registered.
    pub(super) fn candidate(&self, path: &Path) -> Result<Candidate, BlobError> {
        self.find(path).map_err(|unfit| match unfit {
            Unfit::Odd(why) => refused(path, why),
            Unfit::Failed(error) => failed(REGISTERING)(error),
        })
    }

    fn find(&self, path: &Path) -> Result<Candidate, Unfit> {
        let below = |root: &'_ Root| {
            let rest = path
                .strip_prefix(&root.canonical)
                .or_else(|_| path.strip_prefix(&root.configured));
            rest.ok().map(Path::to_owned)
        };
        let (root, rest) = self
            .0
            .iter()
            .find_map(|root| Some((root, below(root)?)))
            .ok_or(Unfit::Odd("it lies below no configured root"))?;
        if !rest
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            return Err(Unfit::Odd("its path is not plain"));
        }
        // Doubled and single dots go with the components.
        let rest: PathBuf = rest.components().collect();
        let (file, metadata) = beneath_root::regular(&root.directory, &rest)?;
        Ok(Candidate {
            file,
            metadata,
            path: root.canonical.join(rest),
        })
    }
}

impl Root {
    fn open(path: &Path) -> io::Result<Self> {
        let canonical = path.canonicalize()?;
        let directory = File::open(&canonical)?;
        if !directory.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self {
            configured: std::path::absolute(path)?,
            canonical,
            directory,
        })
    }
}

impl Candidate {
    /// Returns the identity that the file has now, and reads none of it.
    pub(super) fn identify(self) -> Result<Identified, BlobError> {
        Ok(Identified {
            size: self.metadata.len(),
            file: known_identity(&self.metadata, self.path)?,
        })
    }

    /// Hashes the file, and returns the identity that it must keep. One that changes meanwhile is `Refused`.
    pub(super) async fn register(self) -> Result<Registered, BlobError> {
        let Self {
            file,
            metadata,
            path,
        } = self;
        let identity = known_identity(&metadata, path.clone())?;
        let file = Arc::new(file);
        let findings = match digest(&file, metadata.len()).await {
            Err(BlobError::Io { source, .. }) if source.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(refused(&path, CHANGED));
            }
            digest => digest?,
        };
        let after = blocking(REGISTERING, move || {
            file.metadata().map_err(failed(REGISTERING))
        });
        if stamp(&after.await?) != stamp(&metadata) {
            return Err(refused(&path, CHANGED));
        }
        Ok(Registered {
            file: identity,
            size: metadata.len(),
            sha256: findings.sha256,
            crc32: findings.crc32,
            text: findings.text,
        })
    }
}

/// The whole identity of a file, as a row keeps it.
fn known_identity(metadata: &Metadata, path: PathBuf) -> Result<InPlace, BlobError> {
    match (modified_nanos(metadata), changed_nanos(metadata)) {
        (Some(modified_nanos), Some(_)) => Ok(identity(metadata, path, modified_nanos)),
        _ => Err(refused(&path, "one of its times is out of range")),
    }
}

/// The identity of a file. The time of its last change, which nobody can set back, moves whenever its bytes do.
fn identity(metadata: &Metadata, path: PathBuf, modified_nanos: i64) -> InPlace {
    InPlace {
        path,
        inode: metadata.ino(),
        modified_nanos,
        device: Some(metadata.dev()),
        changed_nanos: changed_nanos(metadata),
    }
}

/// All that moves when a file's bytes do.
fn stamp(metadata: &Metadata) -> (u64, Option<i64>, Option<i64>) {
    let (modified, changed) = (modified_nanos(metadata), changed_nanos(metadata));
    (metadata.len(), modified, changed)
}

/// `None` where the time does not fit: before 1678 or after 2262.
fn modified_nanos(metadata: &Metadata) -> Option<i64> {
    nanos(metadata.mtime(), metadata.mtime_nsec())
}

fn changed_nanos(metadata: &Metadata) -> Option<i64> {
    nanos(metadata.ctime(), metadata.ctime_nsec())
}

fn nanos(seconds: i64, nanos: i64) -> Option<i64> {
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

async fn digest(file: &Arc<File>, size: u64) -> Result<ContentFindings, BlobError> {
    let mut hasher = ContentHasher::default();
    let mut offset = 0;
    while offset < size {
        let end = size.min(offset + STEP_BYTES);
        let file = Arc::clone(file);
        hasher = blocking(REGISTERING, move || {
            step(&file, offset, end, &mut hasher).map_err(failed(REGISTERING))?;
            Ok(hasher)
        })
        .await?;
        offset = end;
    }
    Ok(hasher.finish())
}

fn step(file: &File, mut offset: u64, end: u64, hasher: &mut ContentHasher) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    while offset < end {
        let left = usize::try_from(end - offset).unwrap_or(READ_BYTES);
        buffer.truncate(left);
        file.read_exact_at(&mut buffer, offset)?;
        hasher.update(&buffer);
        offset += buffer.len() as u64;
    }
    Ok(())
}

fn refused(path: &Path, why: &'static str) -> BlobError {
    BlobError::Refused {
        path: path.to_owned(),
        why,
    }
}
