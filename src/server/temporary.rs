//! Temporary installations: a private directory with a catalogue and a keyring of its own, which goes with the process
//! that made it.
//!
//! ```text
//! PLACE/hallpass-share-0123456789abcdef/    0700
//!   running.lock                            0600, held for as long as the process lives
//!   …                                       what every data directory has
//! ```
//!
//! 1. It is made with a name of its own, and its lock is taken before it has its name: whoever finds the file finds it
//!    locked.
//! 2. Dropped, the directory is removed. The kernel drops the lock of a process that is killed, so the next one that is made
//!    in the same place removes what that left.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::blob::disk::Readers;
use crate::config::Config;
use crate::model::time::UnixSeconds;
use crate::web::offload::OffloadMode;

/// The prefix of the directory's name.
const PREFIX: &str = "hallpass-share-";

/// The lock, and its name before it is held.
const LOCK: &str = "running.lock";
const LOCK_NEW: &str = "running.lock.new";

/// How often the directory is tried to be removed, while others may make and remove files in it.
const REMOVALS_MAX: usize = 5;

/// The age in seconds from which a directory without a lock was left by a process that died while it made it.
const UNLOCKED_SECONDS_MAX: u64 = 3_600;

/// A temporary installation's directory. Dropped, it is gone.
#[derive(Debug)]
pub struct TemporaryDirectory {
    path: PathBuf,
    _lock: File,
}

impl TemporaryDirectory {
    /// Makes one in the first of these places that takes it, and removes what processes that were killed left there. It is
    /// `now`.
    ///
    /// # Errors
    /// That of the last place, which it names.
    pub fn make(places: &[PathBuf], now: UnixSeconds) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for place in places {
            sweep(place, now);
            match Self::make_in(place) {
                Ok(made) => return Ok(made),
                Err(error) => {
                    let named = format!("{}: {error}", place.display());
                    last = io::Error::new(error.kind(), named);
                }
            }
        }
        Err(last)
    }

    fn make_in(place: &Path) -> io::Result<Self> {
        let mut drawn = [0; 8];
        getrandom::fill(&mut drawn).map_err(io::Error::other)?;
        let path = place.join(format!("{PREFIX}{:016x}", u64::from_be_bytes(drawn)));
        DirBuilder::new().mode(0o700).create(&path)?;
        let locked = lock(&path);
        if locked.is_err() {
            let _ = fs::remove_dir_all(&path);
        }
        Ok(Self {
            _lock: locked?,
            path,
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the settings of an installation in this directory, whose files lie below `roots`. Whatever says where rows,
    /// keys and bytes are kept, or how many there may be, is of the installation that the configuration names, and
    /// not of this one; how it is served, and to whom, is what the configuration says.
    pub fn config(&self, config: &Config, roots: Vec<PathBuf>) -> Config {
        let mut config = config.clone();
        config.server.data_dir.clone_from(&self.path);
        config.catalog.url = None;
        config.keyring.file = None;
        config.keyring_text = None;
        config.blobs.url = None;
        config.blobs.mode = Readers::Owner;
        config.blobs.in_place_roots = roots;
        config.limits.organization_files = 0;
        config.limits.organization_bytes = 0;
        // A proxy or a store knows nothing of these bytes.
        config.handover.mode = OffloadMode::Stream;
        config
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let mut removed = fs::remove_dir_all(&self.path);
        // The threads of the catalogue may be tidying up there at the same time.
        for _ in 1..REMOVALS_MAX {
            if removed.is_err() {
                removed = fs::remove_dir_all(&self.path);
            }
        }
        if let Err(error) = removed {
            let path = self.path.display();
            tracing::warn!(%error, "{path} is left: the next share removes it");
        }
    }
}

/// Takes the lock of a directory that nobody else knows yet.
fn lock(directory: &Path) -> io::Result<File> {
    let new = directory.join(LOCK_NEW);
    let file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&new)?;
    file.lock()?;
    fs::rename(&new, directory.join(LOCK))?;
    Ok(file)
}

/// Removes what processes of this user that live no more left in a place. What cannot be looked at is left.
fn sweep(place: &Path, now: UnixSeconds) {
    let Ok(entries) = fs::read_dir(place) else {
        return;
    };
    for entry in entries.flatten() {
        if is_ours(&entry.file_name()) && is_abandoned(&entry.path(), now).unwrap_or(false) {
            // Another process may be removing it just now.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_ours(name: &OsStr) -> bool {
    let id = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
    id.is_some_and(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Returns whether a directory of this user belongs to no process any more.
fn is_abandoned(directory: &Path, now: UnixSeconds) -> io::Result<bool> {
    // In a place that all may write to, a name can be anybody's, and a link to anything.
    let found = fs::symlink_metadata(directory)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        return Ok(false);
    }
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let lock = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(directory.join(LOCK));
    match lock {
        Ok(lock) => Ok(lock.try_lock().is_ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = u64::try_from(found.mtime()).unwrap_or_default();
            Ok(now.get().saturating_sub(made) > UNLOCKED_SECONDS_MAX)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Makes one long before anything that is there was left unlocked.
    fn make(places: &[PathBuf]) -> io::Result<TemporaryDirectory> {
        TemporaryDirectory::make(places, UnixSeconds::EPOCH)
    }

    fn names(place: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(place).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn it_is_private_and_goes_when_it_is_dropped() {
        let place = tempfile::tempdir().unwrap();
        let nowhere = place.path().join("nowhere");
        let made = make(&[nowhere, place.path().to_owned()]).unwrap();
        let mode = made.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        fs::create_dir(made.path().join("blobs")).unwrap();
        fs::write(made.path().join("blobs/a"), "bytes").unwrap();
        drop(made);
        assert!(names(place.path()).is_empty());
        let error = make(&[place.path().join("nowhere")]).unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
    }

    #[test]
    fn what_a_killed_process_left_goes_with_the_next_and_nothing_else_does() {
        let place = tempfile::tempdir().unwrap();
        let here = [place.path().to_owned()];
        let living = make(&here).unwrap();
        let dead = place.path().join("hallpass-share-00000000000000ff");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::write(dead.join("keyring.toml"), "secret").unwrap();
        // Somebody's own, one that is being made, and a link to something.
        let own = place.path().join("hallpass-share-notes");
        let begun = place.path().join("hallpass-share-00000000000000aa");
        for directory in [&own, &begun] {
            fs::create_dir(directory).unwrap();
        }
        fs::write(own.join(LOCK), "").unwrap();
        let link = place.path().join("hallpass-share-00000000000000bb");
        std::os::unix::fs::symlink(&own, &link).unwrap();
        let next = make(&here).unwrap();
        let mut left = names(place.path());
        left.sort();
        let mut wanted = [
            living.path().to_owned(),
            next.path().to_owned(),
            own,
            begun,
            link,
        ];
        wanted.sort();
        assert_eq!(left, wanted);
    }
}
