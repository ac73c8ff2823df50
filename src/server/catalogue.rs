//! Which catalogue it is: the one place that chooses, by the configuration.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use super::StartError;
use super::installation::{Access, lock_for_setup};
use crate::catalog::postgres::{self, Address, Postgres};
use crate::catalog::sqlite::Sqlite;
use crate::catalog::{Catalog, CatalogError};
use crate::config::Config;

const CATALOGUE: &str = "catalogue.sqlite3";

/// The catalogue that the configuration names, opened. An empty one is made where `access` lets it. A copy that
/// is not whole is refused, and one that is about to be changed is a copy no longer.
pub(super) async fn open(config: &Config, access: Access) -> Result<Arc<dyn Catalog>, StartError> {
    let catalog = open_any(config, access).await?;
    let failed = |error| StartError::failed("looking whether the catalogue is a copy", error);
    match catalog.copy_note().await.map_err(failed)? {
        Some(note) if !note.is_whole => Err(StartError::Setup(format!(
            "{} is a copy that `hallpass migrate` has begun and not finished: run it again",
            named(config)
        ))),
        Some(_) if access != Access::Existing => {
            catalog.note_copy(None).await.map_err(failed)?;
            Ok(catalog)
        }
        _ => Ok(catalog),
    }
}

/// The same, whatever it is.
pub(super) async fn open_any(
    config: &Config,
    access: Access,
) -> Result<Arc<dyn Catalog>, StartError> {
    let opened: Result<Arc<dyn Catalog>, CatalogError> = match &config.catalog.url {
        None => match access {
            Access::SetUp => Sqlite::open(&file(config)).await,
            Access::Existing | Access::Change => Sqlite::open_existing(&file(config)).await,
        }
        .map(|catalog| Arc::new(catalog) as _),
        Some(address) => {
            let connections = config.catalog.connections_max;
            let connections = u32::try_from(connections).unwrap_or(u32::MAX);
            match access {
                Access::SetUp => Postgres::open(address, connections).await,
                Access::Existing | Access::Change => {
                    Postgres::open_existing(address, connections).await
                }
            }
            .map(|catalog| Arc::new(catalog) as _)
        }
    };
    opened.map_err(|error| match error {
        CatalogError::Corrupt { .. } => StartError::setup("opening the catalogue", error),
        CatalogError::NotFound { .. } => StartError::Failed(format!(
            "there is no installation in {}: `hallpass serve`, `hallpass share` and `hallpass add` set one up",
            named(config)
        )),
        other => StartError::failed("opening the catalogue", other),
    })
}

/// Says in the log where others may read or change what goes to the database and back.
pub(super) fn warn_if_exposed(config: &Config) {
    if let Some(sslmode) = config.catalog.url.as_ref().and_then(Address::exposed_by) {
        tracing::warn!(
            sslmode,
            "the server of catalog.url is on another machine, and nobody checks that it is the right one: whoever \
             is between can read and change all that is asked and answered; add sslmode=verify-full and sslrootcert"
        );
    }
}

/// The SQLite file, where there is no database.
pub(super) fn file(config: &Config) -> PathBuf {
    config.server.data_dir.join(CATALOGUE)
}

/// What a person calls it. A database's URL is not printed: it may hold a password.
pub(super) fn named(config: &Config) -> String {
    match config.catalog.url {
        None => file(config).display().to_string(),
        Some(_) => "the database of catalog.url".into(),
    }
}

/// Keeps others from setting the same installation up at once: in its data directory, and in its database,
/// which other machines may be about to set up.
#[must_use = "the lock is given back when this is dropped"]
pub struct SetupLock {
    _directory: File,
    _database: Option<postgres::SetupLock>,
}

impl SetupLock {
    /// Makes the data directory where there is none, and waits for both locks.
    pub async fn take(config: &Config) -> Result<Self, StartError> {
        let directory = lock_for_setup(&config.server.data_dir)?;
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
