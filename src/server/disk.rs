//! Advice on directories that cannot be written to: the reason, and the remedy.

use std::error::Error;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::blob::BlobError;
use crate::catalog::CatalogError;
use crate::config::Config;

/// The advice to name another data directory.
const ELSEWHERE: &str = "name another directory (--data-dir, or server.data_dir)";

/// Returns the reason why `directory` takes nothing, and the remedy, if `error` or a cause of it says that its disk is
/// full, that its file system is mounted read-only, that this user may not enter or write there, or that it is no
/// directory. `None` of any other error.
pub fn advice(directory: &Path, error: &(dyn Error + 'static)) -> Option<String> {
    let shown = directory.display();
    match cause(error)? {
        io::ErrorKind::StorageFull => Some(format!(
            "the disk of {shown} is full: make room there, or {ELSEWHERE}"
        )),
        io::ErrorKind::QuotaExceeded => Some(format!(
            "this user's disk quota for {shown} is used up: make room there, or {ELSEWHERE}"
        )),
        io::ErrorKind::ReadOnlyFilesystem => Some(format!(
            "the file system of {shown} is mounted read-only: mount it for writing, or {ELSEWHERE}"
        )),
        io::ErrorKind::PermissionDenied => Some(denied(directory)),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists if !directory.is_dir() => {
            Some(format!(
                "{shown} cannot be a data directory, as there is a file in its way: {ELSEWHERE}"
            ))
        }
        _ => None,
    }
}

/// Returns the place where this installation's files or rows no longer fit, and the remedy.
pub fn is_full(config: &Config) -> String {
    let directory = config.server.data_dir.display();
    // Uploads do not fill a disk to its last byte.
    let left = "uploads leave room for other changes (uploads.free_min)";
    match (&config.catalog.url, &config.blobs.url) {
        (None, None) => {
            format!("the disk of {directory} is full: make room there, or {ELSEWHERE}; {left}")
        }
        (None, Some(bucket)) => {
            format!("the disk of {directory}, or the store {bucket}, is full: make room there")
        }
        (Some(_), None) => {
            format!(
                "the disk of {directory}, or the database of catalog.url, is full: make room; {left}"
            )
        }
        (Some(_), Some(bucket)) => {
            format!("the database of catalog.url, or the store {bucket}, is full: make room there")
        }
    }
}

/// Returns the kind of the operating system's error among the causes of this one, or one that means the same.
fn cause(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        let is_full = matches!(error.downcast_ref(), Some(CatalogError::NoSpace { .. }))
            || matches!(error.downcast_ref(), Some(BlobError::NoSpace { .. }));
        if is_full {
            return Some(io::ErrorKind::StorageFull);
        }
        at = error.source();
    }
    None
}

/// Names the owner of the directory, or of something in it or above it that this user cannot have made.
fn denied(directory: &Path) -> String {
    let user = rustix::process::geteuid().as_raw();
    let is_others = |path: &Path| {
        let owner = path.metadata().ok()?.uid();
        (owner != user).then(|| (path.to_owned(), owner))
    };
    let below = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let foreign = absolute
        .ancestors()
        .find(|above| above.exists())
        .and_then(is_others)
        .or_else(|| below.into_iter().find_map(|entry| is_others(&entry.path())));
    let shown = directory.display();
    let whose = match foreign {
        Some((path, owner)) => format!("; {} belongs to user {owner}", path.display()),
        None => String::new(),
    };
    format!(
        "user {user} may not read and write {shown}{whose}: run this as the user whose the installation is, give the \
         directory to this one (chown -R), or {ELSEWHERE}"
    )
}
