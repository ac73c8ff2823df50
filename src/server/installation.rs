//! The data directory of an installation: its layout, and the set-up of an empty one.
//!
//! ```text
//! DATA_DIR/               0700, or 0710 where a group may read the bytes (blobs.mode)
//!   catalogue.sqlite3     the rows (with -wal, -shm and -lock beside it), unless they are in a database
//!   keyring.toml          0600, the signing keys (or wherever keyring.file says)
//!   catalogue-seen        0600, the newest change that a gateway has seen (beside the keyring)
//!   reserve               0600, disk space set aside for revocations, deletes and keys on a full disk
//!   gateway-….toml        0600, the prefix of a running gateway's links, one file for each
//!   .gitignore            keeps all of it out of a repository
//!   blobs/ab/cd/…         the bytes, where no other store keeps them (blobs.url)
//!   blobs/stage/          bytes on their way in
//!   setup.lock            held by the process that sets the directory up
//! ```
//!
//! Several processes may use one directory at once.

mod machine;

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::blob::BlobStore;
use crate::catalog::Catalog;
use crate::catalog::quota::Quota;
use crate::config::Config;
use crate::config::keyring_file;
use crate::gateway::cache::CacheLimits;
use crate::gateway::clock::Clock;
use crate::gateway::limits::{self, Rule};
use crate::gateway::{Gateway, GatewaySettings};
use crate::model::revocation::RevocationBounds;
use crate::sign::keyring::{Keyring, Kid};
use crate::web::offload::CountedHandover;

use super::setup::{CatalogSetupLock, SetupPolicy};
use super::{StartError, blob_store, catalogue};

const BLOBS: &str = "blobs";

/// The opened parts of an installation.
pub struct Installation {
    /// The rows.
    pub catalog: Arc<dyn Catalog>,
    /// The bytes.
    pub blobs: Arc<dyn BlobStore>,
    /// The signing keys.
    pub keyring: Keyring,
    /// The keyring's file, to be watched; `None` where the keys came from the environment.
    pub keyring_file: Option<PathBuf>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// True if it goes with this process, so that no disk space is set aside for what is revoked later.
    pub is_temporary: bool,
}

impl Installation {
    /// Opens the installation that the configuration names; an empty one is set up first, where `access`
    /// lets it: the directory, a keyring with a fresh key, the organization `org_default`.
    ///
    /// # Errors
    /// Whatever keeps the program from starting: no installation where none may be set up, and files, a database or a
    /// store that cannot be opened.
    pub async fn open(
        config: &Config,
        access: SetupPolicy,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        super::shutdown::survive_file_size_limit();
        let directory = config.server.data_dir.as_path();
        let set_up = match access {
            SetupPolicy::Existing | SetupPolicy::Change => {
                must_exist(config)?;
                None
            }
            SetupPolicy::SetUp | SetupPolicy::Temporary => {
                Some(Box::pin(CatalogSetupLock::take(config)).await?)
            }
        };
        keep_others_out(directory)?;
        must_be_directories(&config.blobs.in_place_roots)?;
        let keyring = keyring(config, set_up.is_some(), clock.as_ref())?;
        let catalog = Box::pin(catalogue::open(config, access)).await?;
        let id = catalog.installation().await;
        let id = id.map_err(|error| StartError::failed("reading the catalogue", error))?;
        let blobs = blob_store::open(config, id, &clock)?;
        let installation = Self {
            catalog,
            blobs,
            keyring,
            keyring_file: config.keyring_text.is_none().then(|| config.keyring_file()),
            clock,
            is_temporary: access == SetupPolicy::Temporary,
        };
        if set_up.is_some() {
            installation.finish_set_up(config).await?;
        }
        Ok(installation)
    }

    /// The gateway over these parts. Its links begin with `public_base_url`.
    pub fn into_gateway(self, config: &Config, public_base_url: String) -> Gateway {
        let settings = GatewaySettings {
            public_base_url,
            lifetime: config.links.lifetime,
            lifetime_max: config.links.lifetime_max,
            expiry_window: config.links.expiry_window,
            name_in_url: config.links.name_in_url,
            revocation_bounds: RevocationBounds {
                links: config.links.denied_max,
                ids: config.links.denied_ids_max,
                files: config.links.revisions_max,
            },
            revoke_reserve: config.links.revoke_reserve,
            not_before_leeway: config.links.not_before_leeway,
            share_lifetime_max: config.shares.lifetime_max,
            share_preview_names: config.shares.preview_names,
            upload_size_max: config.uploads.size_max,
            limits: limits(config),
            quota: Quota {
                files: some(config.limits.organization_files),
                bytes: some(config.limits.organization_bytes),
            },
            link_counts_max: some(config.limits.organization_link_counts).unwrap_or(u64::MAX),
            counts_at_start: config.handover.counted == CountedHandover::AtStart,
            recycle_days: config.files.recycle_days,
            cache: CacheLimits {
                rows_bytes: config.cache.rows_bytes.unwrap_or_else(rows_bytes),
                open_files: config.cache.open_files,
                small_files_bytes: config
                    .cache
                    .small_files_bytes
                    .unwrap_or_else(small_files_bytes),
                small_file_max: config.cache.small_file_max,
            },
        };
        Gateway::new(self.catalog, self.blobs, self.clock, self.keyring, settings)
    }

    /// Makes `org_default` in an empty catalogue, unless there are bytes already: then the catalogue that
    /// knew them was lost, and an empty one in its place would have them swept.
    async fn finish_set_up(&self, config: &Config) -> Result<(), StartError> {
        let known = self.catalog.organizations().await;
        let known = known.map_err(|error| StartError::failed("reading the catalogue", error))?;
        if !known.is_empty() {
            return Ok(());
        }
        let blobs = self.blobs.list(None, 1).await;
        let blobs = blobs.map_err(|error| StartError::failed("reading the blob store", error))?;
        if !blobs.is_empty() {
            let directory = config.server.data_dir.as_path();
            let on_disk = || directory.join(BLOBS).display().to_string();
            let store = config.blobs.url.as_ref();
            return Err(StartError::Setup(format!(
                "{} is empty but there are bytes in {}: put the catalogue back from a backup, or move the bytes away",
                catalogue::named(config),
                store.map_or_else(on_disk, ToString::to_string)
            )));
        }
        blob_store::take_ownership(self.blobs.as_ref(), config).await?;
        crate::gateway::tenants::create_default_organization(
            self.catalog.as_ref(),
            self.clock.now(),
        )
        .await
        .map_err(|error| StartError::failed("setting the catalogue up", error))
    }
}

fn limits(config: &Config) -> limits::RateLimits {
    let limits = &config.limits;
    limits::RateLimits {
        api_key: Rule {
            requests_per_minute: limits.api_key_requests_per_minute,
            ..Rule::default()
        },
        address: Rule {
            requests_per_minute: limits.address_requests_per_minute,
            at_once: limits.address_downloads,
            bytes_per_second: limits.address_bytes_per_second,
        },
        link: Rule {
            requests_per_minute: limits.link_requests_per_minute,
            at_once: limits.link_downloads,
            bytes_per_second: limits.link_bytes_per_second,
        },
        organization: Rule {
            at_once: limits.organization_downloads,
            bytes_per_second: limits.organization_bytes_per_second,
            ..Rule::default()
        },
        api_key_uploads: limits.api_key_uploads,
        organization_uploads: limits.organization_uploads,
    }
}

/// A limit, which 0 is not.
const fn some(limit: u64) -> Option<u64> {
    if limit == 0 { None } else { Some(limit) }
}

fn must_exist(config: &Config) -> Result<(), StartError> {
    let directory = config.server.data_dir.as_path();
    if config.catalog.url.is_some() {
        return Ok(());
    }
    match catalogue::file(config).try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => Err(StartError::Failed(format!(
            "there is no installation in {}: `hallpass serve`, `hallpass share` and `hallpass add` set one up",
            directory.display()
        ))),
        Err(error) => {
            let doing = format!("looking for an installation in {}", directory.display());
            Err(StartError::in_directory(&doing, directory, error))
        }
    }
}

/// A user who may write to the directory may put a keyring of their own there.
pub(super) fn keep_others_out(directory: &Path) -> Result<(), StartError> {
    let doing = format!("looking at the data directory {}", directory.display());
    let found = directory.metadata().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StartError::Failed(format!(
            "there is no data directory {}: name the right one (--data-dir, or server.data_dir); `hallpass serve` and \
             `hallpass key generate` make it",
            directory.display()
        )),
        _ => StartError::in_directory(&doing, directory, error),
    })?;
    let mode = found.mode() & 0o7777;
    if mode & 0o022 == 0 {
        return Ok(());
    }
    Err(StartError::Setup(format!(
        "others may write to the data directory {} (mode {mode:04o}): chmod go-w it",
        directory.display()
    )))
}

fn must_be_directories(roots: &[PathBuf]) -> Result<(), StartError> {
    match roots.iter().find(|root| !root.is_dir()) {
        None => Ok(()),
        Some(root) => Err(StartError::Setup(format!(
            "blobs.in_place_roots: {} is no directory",
            root.display()
        ))),
    }
}

/// The signing keys: from the environment, from their file, or, in a directory that is being set up, new. Beside
/// a database none is made by itself: of two gateways that start at once each would have its own.
fn keyring(config: &Config, may_set_up: bool, clock: &dyn Clock) -> Result<Keyring, StartError> {
    if let Some(text) = &config.keyring_text {
        let keyring = keyring_file::parse(text.reveal());
        return keyring.map_err(|error| StartError::setup("reading HALLPASS_KEYRING", error));
    }
    let path = config.keyring_file();
    if path.exists() {
        return keyring_file::read(&path)
            .map_err(|error| StartError::setup("reading the keyring", error));
    }
    if config.keyring.file.is_some() {
        return Err(StartError::Setup(format!(
            "keyring.file names {}, which does not exist",
            path.display()
        )));
    }
    if config.catalog.url.is_some() {
        return Err(StartError::Setup(format!(
            "there is no keyring {}: every gateway on one database needs the same. `hallpass key generate` makes \
             the first one; copy it to every gateway, or set HALLPASS_KEYRING",
            path.display()
        )));
    }
    if catalogue::file(config).exists() || !may_set_up {
        return Err(StartError::Setup(format!(
            "there is a catalogue but no keyring {}: put it back from a backup (a new one is made by \
             `hallpass key generate`; every link made so far then stops working)",
            path.display()
        )));
    }
    new_keyring(&path, clock)
}

fn new_keyring(path: &Path, clock: &dyn Clock) -> Result<Keyring, StartError> {
    let failed = |error| match error {
        keyring_file::KeyringFileError::Io { .. } => {
            let directory = path.parent().unwrap_or(path);
            StartError::in_directory("making the keyring", directory, error)
        }
        other => StartError::setup("making the keyring", other),
    };
    let (kid, secret) = drawn_key()?;
    let keyring = keyring_file::generate(None, kid, secret, clock.now()).map_err(failed)?;
    keyring_file::write(path, &keyring).map_err(failed)?;
    Ok(keyring)
}

/// A fresh key's id and its 32 random bytes, from the operating system.
///
/// # Errors
/// An operating system that gives no random bytes.
pub fn drawn_key() -> Result<(Kid, [u8; 32]), StartError> {
    let failed = |error| StartError::failed("drawing random bytes", error);
    let (mut name, mut secret) = ([0; 4], [0; 32]);
    getrandom::fill(&mut name).map_err(failed)?;
    getrandom::fill(&mut secret).map_err(failed)?;
    Ok((Kid::from_random(name), secret))
}

/// Returns the memory for rows where nothing is said of it: enough for all of a hundred thousand files on a machine of 8 GiB.
fn rows_bytes() -> u64 {
    machine::share_of_memory(64, (8 << 20, 256 << 20))
}

/// Returns the memory for small files where nothing is said of it.
fn small_files_bytes() -> u64 {
    machine::share_of_memory(64, (16 << 20, 256 << 20))
}
