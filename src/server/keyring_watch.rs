//! Takes up a changed keyring file while the gateway runs. A file that cannot be used keeps the old
//! keyring, and says so once.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::config::keyring_file;
use crate::gateway::Gateway;

/// Watches one keyring file.
pub(super) struct KeyringWatch {
    path: PathBuf,
    seen: Option<Stamp>,
}

/// What changes when the file is replaced or written to.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    mode: u32,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl KeyringWatch {
    /// Watches from now on: the file as it is counts as new, so that a change since it was first read is
    /// not missed.
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    /// Reads the file again if it changed since the last look. Blocks on a small local file.
    pub(super) fn look(&mut self, gateway: &Gateway) {
        let stamp = fs::metadata(&self.path).ok().map(|found| Stamp {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            mode: found.mode(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        });
        if stamp == self.seen && stamp.is_some() {
            return;
        }
        // A file that is missing for a moment is said once, too.
        let first = self.seen.is_none() && stamp.is_some();
        let gone_before = self.seen.is_none() && stamp.is_none();
        self.seen = stamp;
        if !gone_before {
            self.reload(gateway, first);
        }
    }

    /// Reads the file again, changed or not.
    pub(super) fn reload(&self, gateway: &Gateway, quiet: bool) {
        match keyring_file::read(&self.path) {
            Ok(keyring) => {
                let kid = keyring.active().clone();
                gateway.replace_keyring(keyring);
                if !quiet {
                    tracing::info!(%kid, "the keyring was read again");
                }
            }
            Err(error) => {
                tracing::error!(error = %crate::server::with_causes(&error), "the keyring cannot be used: the old one stays");
            }
        }
    }
}
