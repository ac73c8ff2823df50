//! The disk reserve of the data directory ([`crate::catalog::reserve`]): a gateway makes it and fills it up, and changes of
//! the keyring's file may spend it.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use crate::blob::disk;
use crate::catalog::reserve::{DiskReserve, Filled, RESERVE_BYTES, Share};
use crate::config::Config;

/// The interval at which a gateway fills it up.
pub(super) const FILL_EVERY: Duration = Duration::from_secs(5);

/// The reserve of a running gateway.
#[derive(Clone, Debug)]
pub(super) struct ReserveUpkeep {
    reserve: DiskReserve,
    free_min: Option<u64>,
    /// The last result, which is said when it changes.
    said: Option<Said>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Whole,
    Missing,
    Failed,
}

impl ReserveUpkeep {
    /// Returns the upkeep of this configuration's reserve.
    pub(super) fn of(config: &Config) -> Self {
        Self {
            reserve: DiskReserve::in_directory(&config.server.data_dir),
            free_min: config.uploads.free_min,
            said: None,
        }
    }

    /// Fills the reserve up if there is room, and says in the log when that is another result than before. Waits on the
    /// disk.
    pub(super) fn fill(&mut self) {
        let free_min = self.free_min;
        let least = move |file: &File| disk::least_free(file, free_min);
        let filled = self.reserve.fill(least);
        let said = match filled {
            Ok(Filled::Whole) => Said::Whole,
            Ok(Filled::Missing { .. }) => Said::Missing,
            Err(_) => Said::Failed,
        };
        let before = self.said.replace(said);
        if before == Some(said) || (before, said) == (None, Said::Whole) {
            return;
        }
        let path = self.reserve.path().display();
        match filled {
            Ok(Filled::Whole) => tracing::info!("the disk reserve is whole again, {path}"),
            Ok(Filled::Missing { bytes }) => tracing::warn!(
                missing_bytes = bytes,
                "the disk has no room for the whole reserve, {path}, with which links can be revoked on a full disk: make \
                 room there"
            ),
            Err(error) => tracing::warn!(
                %error,
                "cannot set disk space aside, {path}: on a full disk no link could be revoked"
            ),
        }
    }
}

/// Returns how many bytes of the reserve are missing, where there is one that is not whole.
pub fn missing(data_dir: &Path) -> Option<u64> {
    let missing = DiskReserve::in_directory(data_dir).missing();
    missing
        .ok()
        .filter(|missing| (1..RESERVE_BYTES).contains(missing))
}

/// Writes a file of the data directory by `write`, and once more with blocks of the reserve where there was no room.
/// Waits on the disk.
///
/// # Errors
/// The last error of `write`.
pub fn spend_if_full<T, E>(
    data_dir: &Path,
    is_full: impl FnOnce(&E) -> bool,
    write: impl Fn() -> Result<T, E>,
) -> Result<T, E> {
    match write() {
        Err(error) if is_full(&error) => {
            match DiskReserve::in_directory(data_dir).lend(Share::Changes) {
                Ok(Some(_loan)) => write(),
                Ok(None) | Err(_) => Err(error),
            }
        }
        written => written,
    }
}
