//! The set-up lock: of several processes that find no installation, one makes it.
//!
//! It is two locks. One is held on a file of the data directory, the other, where the rows are in a database, in that
//! database, which other machines may be about to set up.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use super::StartError;
use crate::catalog::postgres;
use crate::config::Config;

const SETUP_LOCK: &str = "setup.lock";
const GITIGNORE: &str = ".gitignore";

/// The interval of tries at a lock that another process holds.
const LOCKED_EVERY: Duration = Duration::from_millis(20);

/// The permission to set up an empty data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupPolicy {
    /// A command that writes may set one up.
    SetUp,
    /// A command sets one up that goes with it.
    Temporary,
    /// A command that changes what is there: there must be an installation.
    Change,
    /// A command that only reads: there must be an installation.
    Existing,
}

/// Keeps others from setting the same installation up at once: in its data directory, and in its database,
/// which other machines may be about to set up.
#[must_use = "the lock is given back when this is dropped"]
pub struct CatalogSetupLock {
    _directory: File,
    _database: Option<postgres::SetupLock>,
}

impl CatalogSetupLock {
    /// Makes the data directory where there is none, and waits for both locks. Dropping the future ends the waiting.
    ///
    /// # Errors
    /// A directory or a database that cannot be opened or locked.
    pub async fn take(config: &Config) -> Result<Self, StartError> {
        let directory = lock_for_setup(&config.server.data_dir).await?;
        let database = match &config.catalog.url {
            None => None,
            Some(address) => {
                Some(postgres::SetupLock::take(address).await.map_err(|error| {
                    StartError::failed("waiting to set the catalogue up", error)
                })?)
            }
        };
        Ok(Self {
            _directory: directory,
            _database: database,
        })
    }
}

/// Makes the directory and takes the lock that keeps two processes from setting it up at once; waits for
/// one that has it. The lock is given back when the file is dropped.
///
/// It is asked for again and again: a thread that waits for it in the kernel would hear no signal, and keep the process
/// from ending.
///
/// # Errors
/// A directory that cannot be made, or a file in it that cannot be locked.
pub async fn lock_for_setup(directory: &Path) -> Result<File, StartError> {
    let lock = setup_lock(directory)?;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => sleep(LOCKED_EVERY).await,
            Err(TryLockError::Error(error)) => {
                let doing = format!("locking the data directory {}", directory.display());
                return Err(StartError::in_directory(&doing, directory, error));
            }
        }
    }
}

/// Opens the lock file of a set-up, without locking it.
pub(super) fn setup_lock(directory: &Path) -> Result<File, StartError> {
    let doing = format!("making the data directory {}", directory.display());
    open_setup_lock(directory).map_err(|error| StartError::in_directory(&doing, directory, error))
}

fn open_setup_lock(directory: &Path) -> io::Result<File> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let is_new = std::fs::read_dir(directory)?.next().is_none();
    let lock = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(directory.join(SETUP_LOCK))?;
    if is_new {
        keep_out_of_repositories(directory)?;
    }
    Ok(lock)
}

/// Tells git to leave the directory alone, keys and bytes, wherever it was made. Of two processes that make it at
/// once, one may find the file there.
fn keep_out_of_repositories(directory: &Path) -> io::Result<()> {
    use io::Write as _;
    let made = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(directory.join(GITIGNORE));
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made?.write_all(b"*\n"),
    }
}
