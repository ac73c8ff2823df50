//! Files that their owner alone may read: the keyring and the first API key.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Writes `bytes` to `path`, mode 0600, in place of the file that was there: whole or not at all, also through a
/// crash. The file's directory is synchronised too, or a crash could bring the old file back.
///
/// # Errors
/// The first error of the file system; the file that was there stays.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut stage_name = name.to_owned();
    stage_name.push(format!(".{}.tmp", std::process::id()));
    let stage = directory.join(stage_name);
    // A process of this id may have died between creating and renaming.
    match std::fs::remove_file(&stage) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_synced(&stage, bytes).and_then(|()| std::fs::rename(&stage, path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&stage);
    }
    written?;
    File::open(directory)?.sync_all()
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
