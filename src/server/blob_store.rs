//! The blob-store factory: opens the store that the configuration names, and warns of its risks at the start.

use std::sync::Arc;

use super::StartError;
use crate::blob::disk::Disk;
use crate::blob::s3::{S3, StoreSettings};
use crate::blob::{BlobError, BlobStore};
use crate::config::Config;
use crate::gateway::clock::Clock;
use crate::model::id::InstallationId;

/// The store that the configuration names, that of `blobs.url` or the data directory, for the bytes of this
/// installation.
pub(super) fn open(
    config: &Config,
    owner: InstallationId,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn BlobStore>, StartError> {
    let blobs = &config.blobs;
    let opened: Result<Arc<dyn BlobStore>, BlobError> = match settings(config, owner) {
        None => {
            let directory = config.server.data_dir.as_path();
            Disk::open(directory, &blobs.in_place_roots, blobs.mode)
                .and_then(|disk| disk.with_min_free_space(config.uploads.free_min))
                .map(|disk| Arc::new(disk) as _)
        }
        Some(settings) => {
            settings
                .check()
                .map_err(|why| StartError::Setup(why.into()))?;
            let clock = Arc::clone(clock);
            S3::open(&settings, move || clock.now()).map(|store| Arc::new(store) as _)
        }
    };
    opened.map_err(|error| match error {
        BlobError::Refused { path, why } => {
            let (key, path) = ("blobs.secret_access_key_file", path.display());
            StartError::Setup(format!("{key}: {path}: {why}"))
        }
        unfit @ BlobError::Unfit { .. } => StartError::Setup(unfit.to_string()),
        other if blobs.url.is_none() => {
            let directory = config.server.data_dir.as_path();
            StartError::in_directory("opening the blob store", directory, other)
        }
        other => StartError::failed("opening the blob store", other),
    })
}

/// The most bytes that one blob can have there.
pub fn blob_bytes_max(config: &Config) -> u64 {
    let settings = settings(config, InstallationId::from_random([0; 16]));
    settings.map_or(u64::MAX, |settings| settings.blob_bytes_max())
}

/// Warns in the log if others may read the traffic with the store.
pub(super) fn warn_if_in_the_clear(config: &Config) {
    let settings = settings(config, InstallationId::from_random([0; 16]));
    if settings.is_some_and(|settings| settings.is_in_the_clear()) {
        tracing::warn!(
            "the store's URL begins with http:// and is not on this machine: whoever is on the way can read \
             all bytes; use https://"
        );
    }
}

/// Warns of the risks of a store on other machines, and checks that its bytes are this installation's. A store that
/// is away is only warned of: requests that need no bytes are answered meanwhile, and nothing is written to it before
/// its ownership marker was read.
pub(super) async fn check(blobs: &dyn BlobStore, config: &Config) -> Result<(), StartError> {
    let Some(settings) = settings(config, InstallationId::from_random([0; 16])) else {
        return Ok(());
    };
    warn_if_in_the_clear(config);
    if config.catalog.url.is_none() {
        tracing::warn!(
            "the bytes are in {} and the catalogue is a file on this machine: this must be the only gateway on \
             them; several need one database (catalog.url)",
            settings.bucket
        );
    }
    match take_ownership(blobs, config).await {
        Err(error @ StartError::Setup(_)) => Err(error),
        Err(error) => {
            tracing::warn!(%error, "the store cannot be looked at yet");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Checks that the store belongs to this installation, and marks it if it has no mark.
pub(super) async fn take_ownership(
    blobs: &dyn BlobStore,
    config: &Config,
) -> Result<(), StartError> {
    let Err(error) = blobs.take_ownership().await else {
        return Ok(());
    };
    let BlobError::Foreign { mark, .. } = &error else {
        return Err(StartError::failed("looking whose bytes they are", error));
    };
    Err(StartError::Setup(format!(
        "blobs.url: {error}. Two catalogues would remove each other's bytes there: give this one a prefix of its \
         own. If the other one is gone for good, and this catalogue ({ours}) knows these bytes, remove the \
         object {mark} and start again",
        ours = super::catalogue::named(config)
    )))
}

/// Returns the settings of the store of `blobs.url`, if there is one.
fn settings(config: &Config, owner: InstallationId) -> Option<StoreSettings> {
    let blobs = &config.blobs;
    let (id, secret) = (&blobs.access_key_id, &blobs.secret_access_key_file);
    Some(StoreSettings {
        bucket: blobs.url.clone()?,
        endpoint: blobs.endpoint.as_ref().map(|url| url.as_str().to_owned()),
        region: blobs.region.clone(),
        path_style: blobs.path_style,
        key: id.clone().zip(secret.clone()),
        ambient: config.ambient.clone(),
        size_max: config.uploads.size_max,
        memory_max: blobs.memory_max,
        owner: Some(owner),
    })
}
