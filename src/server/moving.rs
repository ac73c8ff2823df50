//! The two ends of a move: what is read, and what is written.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::installation::{Access, Installation, keep_others_out, setup_lock};
use super::{StartError, catalogue, store};
use crate::catalog::postgres;
use crate::config::Config;
use crate::gateway::clock::Clock;
use crate::gateway::migrate::Ends;

/// Where an installation is to be moved: the configuration that each half has there, or `None` where it stays.
#[derive(Clone, Debug, Default)]
pub struct Destination {
    /// The rows.
    pub catalog: Option<Config>,
    /// The bytes.
    pub blobs: Option<Config>,
}

/// Both ends, open.
pub struct Open {
    /// What is read and what is written.
    pub ends: Ends,
    /// Keeps others from setting up or using the copy meanwhile.
    _locks: Locks,
}

#[derive(Default)]
struct Locks {
    _directory: Option<File>,
    _database: Option<postgres::SetupLock>,
}

impl Destination {
    /// Leaves out what is where it is already: of a whole configuration only one half may differ.
    #[must_use]
    pub fn without_same(mut self, source: &Config) -> Self {
        self.catalog.take_if(|to| is_same_catalogue(to, source));
        self.blobs
            .take_if(|to| blobs_place(to) == blobs_place(source));
        self
    }

    /// Opens both ends, an empty destination is made. The source is opened as by any command that reads.
    /// `verify` has what was copied before read once more.
    pub async fn open(
        &self,
        source: &Config,
        clock: Arc<dyn Clock>,
        verify: bool,
    ) -> Result<Open, StartError> {
        if self
            .catalog
            .as_ref()
            .is_some_and(|to| is_same_catalogue(to, source))
        {
            let why = "--to-catalog names where the rows are already";
            return Err(StartError::Setup(why.into()));
        }
        let place = self.blobs.as_ref().map(blobs_place);
        if place.as_ref() == Some(&blobs_place(source)) {
            let why = "--to-blobs names where the bytes are already";
            return Err(StartError::Setup(why.into()));
        }
        let from = Installation::open(source, Access::Existing, Arc::clone(&clock)).await?;
        let id = from.catalog.installation().await;
        let id = id.map_err(|error| StartError::failed("reading the catalogue", error))?;
        let mut locks = Locks::default();
        let mut ends = Ends {
            catalog: from.catalog,
            blobs: from.blobs,
            to_catalog: None,
            to_blobs: None,
            blobs_place: place.unwrap_or_default(),
            verify,
        };
        if let Some(to) = &self.catalog {
            locks = Locks::take(to).await?;
            ends.to_catalog = Some(catalogue::open_any(to, Access::SetUp).await?);
        }
        if let Some(to) = &self.blobs {
            // The copy goes by the id of its original, and so do its bytes.
            let blobs = store::open(to, id, &clock)?;
            store::claim(blobs.as_ref(), to).await?;
            ends.to_blobs = Some(blobs);
            if to.blobs.url.is_none() {
                keep_others_out(&to.server.data_dir)?;
            }
        }
        Ok(Open {
            ends,
            _locks: locks,
        })
    }
}

impl Locks {
    /// The locks of whoever sets the destination up, and none of the source: gateways may run there.
    async fn take(to: &Config) -> Result<Self, StartError> {
        if let Some(address) = &to.catalog.url {
            let lock = postgres::SetupLock::take(address).await;
            let lock = lock.map_err(|error| {
                let doing = "waiting for the destination's catalogue, which another process may be setting up";
                StartError::failed(doing, error)
            })?;
            return Ok(Self {
                _database: Some(lock),
                ..Self::default()
            });
        }
        let directory = to.server.data_dir.as_path();
        let lock = setup_lock(directory)?;
        keep_others_out(directory)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                _directory: Some(lock),
                ..Self::default()
            }),
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
}

fn is_same_catalogue(one: &Config, other: &Config) -> bool {
    match (&one.catalog.url, &other.catalog.url) {
        (Some(one), Some(other)) => one == other,
        (None, None) => real(&one.server.data_dir) == real(&other.server.data_dir),
        _ => false,
    }
}

/// What tells where the bytes are from any other place. Holds no secret.
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

/// The directory itself, whatever it is called. Of one that is not there yet, what there is of it.
fn real(directory: &Path) -> PathBuf {
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.into());
    let there = directory.ancestors().find_map(|above| {
        let real = above.canonicalize().ok()?;
        Some(real.join(directory.strip_prefix(above).ok()?))
    });
    there.unwrap_or(directory)
}
