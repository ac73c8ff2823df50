//! The two ends of a migration: the source, which is read, and the destination, which is written.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::installation::{Installation, keep_others_out};
use super::setup::{SetupPolicy, setup_lock};
use super::{StartError, blob_store, catalogue};
use crate::catalog::{Missing, postgres};
use crate::config::Config;
use crate::gateway::clock::Clock;
use crate::gateway::migrate::Ends;

/// The destination of a migration: the configuration that each half has there, or `None` where it stays.
#[derive(Clone, Debug, Default)]
pub struct MigrationTarget {
    /// The rows.
    pub catalog: Option<Config>,
    /// The bytes.
    pub blobs: Option<Config>,
}

/// Both ends of a migration, open.
pub struct OpenMigration {
    /// The source and the destination.
    pub ends: Ends,
    /// Keeps others from setting up or using the copy meanwhile.
    _locks: Locks,
}

struct Locks {
    _rows: Option<File>,
    _bytes: Option<File>,
    _database: Option<postgres::SetupLock>,
}

impl MigrationTarget {
    /// Drops each half that is there already: of a whole configuration only one half may differ.
    #[must_use]
    pub fn without_same(mut self, source: &Config) -> Self {
        self.catalog.take_if(|to| is_same_catalogue(to, source));
        self.blobs
            .take_if(|to| blobs_place(to) == blobs_place(source));
        self
    }

    /// Opens both ends, and makes an empty destination; another installation's is not changed. The source is opened
    /// as by any command that reads. `verify`: bytes that were copied before are read once more.
    ///
    /// # Errors
    /// [`StartError::Setup`] if the halves cannot be migrated there, and an end that cannot be opened.
    pub async fn open(
        &self,
        source: &Config,
        clock: Arc<dyn Clock>,
        verify: bool,
    ) -> Result<OpenMigration, StartError> {
        self.check(source)?;
        let from = Installation::open(source, SetupPolicy::Existing, Arc::clone(&clock)).await?;
        let id = from.catalog.installation().await;
        let id = id.map_err(|error| StartError::failed("reading the catalogue", error))?;
        let locks = Locks::take(self, source).await?;
        let mut ends = Ends {
            catalog: from.catalog,
            blobs: from.blobs,
            to_catalog: None,
            to_blobs: None,
            blobs_place: self.blobs.as_ref().map(blobs_place).unwrap_or_default(),
            blob_bytes_max: self
                .blobs
                .as_ref()
                .map_or(u64::MAX, blob_store::blob_bytes_max),
            verify,
        };
        if let Some(to) = &self.catalog {
            catalogue::warn_if_exposed(to);
            ends.to_catalog = Some(catalogue::open_with(to, Missing::MakeAndChangeNone).await?);
        }
        if let Some(to) = &self.blobs {
            blob_store::warn_if_in_the_clear(to);
            // The copy goes by the id of its original, and so do its bytes. Whose they are now is asked once
            // it is known that the copy may begin.
            ends.to_blobs = Some(blob_store::open(to, id, &clock)?);
        }
        Ok(OpenMigration {
            ends,
            _locks: locks,
        })
    }

    /// Looks whether it is a place to move to, before anything is opened.
    fn check(&self, source: &Config) -> Result<(), StartError> {
        let refused = |why: String| Err(StartError::Setup(why));
        let (rows, bytes) = (self.catalog.as_ref(), self.blobs.as_ref());
        if rows.is_some_and(|to| is_same_catalogue(to, source)) {
            return refused("--to-catalog names where the rows are already".into());
        }
        if bytes.is_some_and(|to| blobs_place(to) == blobs_place(source)) {
            return refused("--to-blobs names where the bytes are already".into());
        }
        let ends_in = (rows.unwrap_or(source), bytes.unwrap_or(source));
        if let (Some(rows), Some(bytes)) = (rows_directory(ends_in.0), bytes_directory(ends_in.1))
            && real(rows) != real(bytes)
        {
            return refused(format!(
                "the rows would be in the directory {} and the bytes in {}, but an installation has one data \
                 directory: name the same one with --to-catalog and --to-blobs",
                rows.display(),
                bytes.display()
            ));
        }
        if let Some(to) = bytes
            && let Some(directory) = bytes_directory(to)
            && catalogue::file(to).exists()
            && !self.has_rows_in(directory, source)
        {
            return refused(format!(
                "{} is the data directory of another installation, whose catalogue would not know these bytes: \
                 name an empty one",
                directory.display()
            ));
        }
        Ok(())
    }

    /// Returns whether the rows are in this directory, or will be.
    fn has_rows_in(&self, directory: &Path, source: &Config) -> bool {
        let mut configs = [Some(source), self.catalog.as_ref()].into_iter().flatten();
        configs
            .any(|config| rows_directory(config).is_some_and(|rows| real(rows) == real(directory)))
    }
}

impl Locks {
    /// Takes the set-up locks of the destination, and none of the source: gateways may run there.
    async fn take(to: &MigrationTarget, source: &Config) -> Result<Self, StartError> {
        let rows = to.catalog.as_ref().and_then(rows_directory);
        let bytes = to.blobs.as_ref().and_then(bytes_directory);
        let bytes = bytes.filter(|directory| !to.has_rows_in(directory, source));
        let database = match to.catalog.as_ref().and_then(|to| to.catalog.url.as_ref()) {
            None => None,
            Some(address) => Some(postgres::SetupLock::take(address).await.map_err(|error| {
                let doing = "waiting for the destination's catalogue, which another process may be setting up";
                StartError::failed(doing, error)
            })?),
        };
        Ok(Self {
            _rows: rows.map(lock).transpose()?,
            _bytes: bytes.map(lock).transpose()?,
            _database: database,
        })
    }
}

/// The lock of a data directory, which is made where there is none.
fn lock(directory: &Path) -> Result<File, StartError> {
    let lock = setup_lock(directory)?;
    keep_others_out(directory)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StartError::Failed(format!(
            "another process is setting {} up: another move, perhaps",
            directory.display()
        ))),
        Err(TryLockError::Error(error)) => {
            let doing = format!("locking the data directory {}", directory.display());
            Err(StartError::failed(&doing, error))
        }
    }
}

/// Returns the directory of the rows, if they are in one.
fn rows_directory(config: &Config) -> Option<&Path> {
    let is_here = config.catalog.url.is_none();
    is_here.then_some(config.server.data_dir.as_path())
}

/// Returns the directory of the bytes, if they are in one.
fn bytes_directory(config: &Config) -> Option<&Path> {
    let is_here = config.blobs.url.is_none();
    is_here.then_some(config.server.data_dir.as_path())
}

fn is_same_catalogue(one: &Config, other: &Config) -> bool {
    match (&one.catalog.url, &other.catalog.url) {
        (Some(one), Some(other)) => one == other,
        (None, None) => real(&one.server.data_dir) == real(&other.server.data_dir),
        _ => false,
    }
}

/// Returns a text that tells the place of the bytes from any other. Holds no secret.
fn blobs_place(config: &Config) -> String {
    match &config.blobs.url {
        Some(bucket) => {
            let endpoint = config.blobs.endpoint.as_ref().map(|url| url.as_str());
            let endpoint = endpoint.or_else(|| config.ambient.endpoint());
            format!("{bucket} at {}", endpoint.unwrap_or("AWS"))
        }
        None => {
            let blobs = real(&config.server.data_dir).join("blobs");
            blobs.display().to_string()
        }
    }
}

/// Resolves the directory. Of one that is not there yet, the part that is there is resolved.
fn real(directory: &Path) -> PathBuf {
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.into());
    let there = directory.ancestors().find_map(|above| {
        let real = above.canonicalize().ok()?;
        Some(real.join(directory.strip_prefix(above).ok()?))
    });
    there.unwrap_or(directory)
}
