//! Opens the catalogue that the configuration names: the one place that chooses.

use std::path::PathBuf;
use std::sync::Arc;

use super::setup::SetupPolicy;
use super::{StartError, disk};
use crate::catalog::postgres::{Address, Postgres};
use crate::catalog::sqlite::Sqlite;
use crate::catalog::{Catalog, CatalogError, Missing};
use crate::config::Config;
use crate::gateway::refusal::with_causes;

const CATALOGUE: &str = "catalogue.sqlite3";

/// The catalogue that the configuration names, opened. An empty one is made where `access` lets it. A copy that
/// is not whole is refused, and one that is about to be changed is a copy no longer.
pub(super) async fn open(
    config: &Config,
    access: SetupPolicy,
) -> Result<Arc<dyn Catalog>, StartError> {
    let missing = match access {
        SetupPolicy::SetUp => Missing::Make,
        SetupPolicy::Temporary => Missing::MakeTemporary,
        SetupPolicy::Existing | SetupPolicy::Change => Missing::Refuse,
    };
    let catalog = open_with(config, missing).await?;
    let failed = |error| StartError::failed("looking whether the catalogue is a copy", error);
    let begun = || {
        Err(StartError::Setup(format!(
            "{} is a copy that `hallpass migrate` has begun and not finished: run it again",
            named(config)
        )))
    };
    match catalog.copy_note().await.map_err(failed)? {
        Some(note) if !note.is_whole => begun(),
        Some(_) if access != SetupPolicy::Existing => match catalog.note_copy(None).await {
            Ok(()) => Ok(catalog),
            // A run has begun since the note was read.
            Err(CatalogError::Conflict { .. }) => begun(),
            Err(error) => Err(failed(error)),
        },
        _ => Ok(catalog),
    }
}

/// Opens the catalogue that the configuration names, of either kind, with a policy on one that is missing or of an
/// older version. Rows are migrated to one that is empty or of this version: the owner of an older one may not want
/// another version yet.
pub(super) async fn open_with(
    config: &Config,
    missing: Missing,
) -> Result<Arc<dyn Catalog>, StartError> {
    let opened: Result<Arc<dyn Catalog>, CatalogError> = match &config.catalog.url {
        None => {
            let opened = Sqlite::open_with(&file(config), missing).await;
            opened.map(|catalog| Arc::new(catalog) as _)
        }
        Some(address) => {
            let opened = Postgres::open_with(address, connections(config), missing).await;
            opened.map(|catalog| Arc::new(catalog) as _)
        }
    };
    opened.map_err(|error| unopened(config, error))
}

fn connections(config: &Config) -> u32 {
    u32::try_from(config.catalog.connections_max).unwrap_or(u32::MAX)
}

fn unopened(config: &Config, error: CatalogError) -> StartError {
    match error {
        CatalogError::Corrupt { .. } => StartError::setup("opening the catalogue", error),
        CatalogError::Conflict { .. } => StartError::Setup(format!(
            "{} is of an older version, and stays so: name an empty one",
            named(config)
        )),
        CatalogError::NotFound { .. } => StartError::Failed(format!(
            "there is no installation in {}: `hallpass serve`, `hallpass share` and `hallpass add` set one up",
            named(config)
        )),
        CatalogError::Unavailable { source, .. } => {
            let doing = format!("opening the catalogue, {}", named(config));
            let source: &(dyn std::error::Error + 'static) = source.as_ref();
            let advice = match config.catalog.url {
                None => disk::advice(&config.server.data_dir, source),
                Some(_) => None,
            };
            let why = advice.unwrap_or_else(|| with_causes(source));
            StartError::Failed(format!("{doing}: {why}"))
        }
        other if config.catalog.url.is_none() => {
            let doing = format!("opening the catalogue, {}", named(config));
            StartError::in_directory(&doing, &config.server.data_dir, other)
        }
        other => StartError::failed("opening the catalogue", other),
    }
}

/// Warns in the log if others may read or change the traffic with the database.
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

/// Returns the catalogue's name for a person. A database's URL is not printed: it may hold a password.
pub(super) fn named(config: &Config) -> String {
    match config.catalog.url {
        None => file(config).display().to_string(),
        Some(_) => "the database of catalog.url".into(),
    }
}
