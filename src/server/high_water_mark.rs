//! A high-water mark of the change feed: the newest change that a gateway has seen, in a file beside the keyring. A
//! catalogue that was put back to an earlier moment, as from a backup, does not have it, and what was revoked since then
//! is not revoked.
//!
//! The file has one line: the kind of the catalogue, the number of the change, and the random bits that no other change
//! of this number has. Each gateway with the keyring's directory writes it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::catalog::changes::FeedPosition;
use crate::config::{Config, private_file};
use crate::gateway::Gateway;
use crate::gateway::refusal::Refusal;
use crate::gateway::revocations::REVOCATIONS_LOST;

/// The name of the file.
const FILE: &str = "catalogue-seen";

/// The interval at which the file is written, where anything was changed.
pub(super) const WRITE_EVERY: Duration = Duration::from_secs(10);

/// The file, and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct HighWaterMark {
    path: PathBuf,
    /// The kind of the catalogue: rows that were moved from one to the other have another change feed.
    kind: &'static str,
    /// True where the catalogue does not have the change of the file. It then stays until somebody removes it.
    is_ahead: bool,
    /// The number of times, by the last check, that an older catalogue was put back under the gateway.
    put_back: u64,
    /// True once it could not be written, which is said once.
    has_failed: bool,
}

impl HighWaterMark {
    /// Returns the file of this configuration.
    pub(super) fn of(config: &Config) -> Self {
        let keyring = config.keyring_file();
        let kind = match config.catalog.url {
            Some(_) => "postgres",
            None => "sqlite",
        };
        Self::in_directory(keyring.parent().unwrap_or(Path::new("")), kind)
    }

    /// Returns the file in this directory, for a catalogue of this kind.
    pub(super) fn in_directory(directory: &Path, kind: &'static str) -> Self {
        Self {
            path: directory.join(FILE),
            kind,
            is_ahead: false,
            put_back: 0,
            has_failed: false,
        }
    }

    /// Compares the file with the catalogue, and warns where it does not have the file's change.
    ///
    /// # Errors
    /// The refusal of a catalogue that fails.
    pub(super) async fn check(&mut self, gateway: &Gateway) -> Result<(), Refusal> {
        let Some(seen) = self.read() else {
            return Ok(());
        };
        self.is_ahead = !gateway.has_change(seen).await?;
        if self.is_ahead {
            let path = self.path.display();
            tracing::warn!(
                "the catalogue is older than it was when a gateway last ran here: {REVOCATIONS_LOST}; then remove {path}, \
                 or this is said at every start"
            );
        }
        Ok(())
    }

    /// Writes the newest change that the gateway knows of, unless the file has it or a later one. Blocks on a small
    /// file.
    pub(super) fn write(&mut self, gateway: &Gateway) {
        let Some(newest) = gateway.newest_change() else {
            return;
        };
        let (seen, put_back) = (self.read(), gateway.times_put_back());
        self.is_ahead |= put_back > self.put_back;
        self.put_back = put_back;
        self.is_ahead &= seen.is_some();
        if self.is_ahead || seen.is_some_and(|seen| seen.version >= newest.version) {
            return;
        }
        let line = format!("{} {} {}\n", self.kind, newest.version, newest.stamp);
        let written = private_file::write(&self.path, line.as_bytes());
        let has_failed = std::mem::replace(&mut self.has_failed, written.is_err());
        if let Err(error) = written
            && !has_failed
        {
            let path = self.path.display();
            tracing::warn!(%error, "cannot write {path}: a catalogue that is put back would not be noticed");
        }
    }

    /// Returns the change of the file; `None` where there is none of a catalogue of this kind.
    fn read(&self) -> Option<FeedPosition> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, "cannot read {}", self.path.display());
                }
                return None;
            }
        };
        let mut words = text.split_whitespace();
        let is_here = words.next() == Some(self.kind);
        let (version, stamp) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        is_here.then_some(FeedPosition { version, stamp })
    }
}
