//! The connection to a store, and our credentials.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use object_store::client::{HttpConnector as _, ReqwestConnector};
use object_store::{ClientOptions, CredentialProvider, RetryConfig};
use tokio::sync::Semaphore;

use super::fault::fault;
use super::memory_budget::MemoryBudget;
use super::settings::ENDPOINTS;
use super::{ASKED_AT_ONCE_MAX, SENT_WITHIN, Shared, StoreSettings};
use crate::blob::BlobError;
use crate::model::time::UnixSeconds;

const OPENING: &str = "opening a store of blobs";

/// The least bytes that a store takes as a part, but for the last one.
const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;

/// The most parts that a store makes one object of.
const PARTS_MAX: u64 = 10_000;

/// The region where none is named: stores without regions expect this one.
const REGION: &str = "us-east-1";

/// The longest time that a connection may take to come about.
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);

/// The most connections to the store that stay open unused. Each may hold a buffer of 408 KiB.
const IDLE_MAX: usize = 64;

/// After how long the secret's file is read again.
const SECRET_AGE_MAX: Duration = Duration::from_secs(5);

/// The longest secret, in bytes.
const SECRET_BYTES_MAX: u64 = 4096;

/// Our credentials, from a file that may be replaced.
struct SecretFile {
    id: String,
    path: PathBuf,
    read: Mutex<(Arc<AwsCredential>, Instant)>,
}

pub(super) fn connect(
    settings: &StoreSettings,
    now: Box<dyn Fn() -> UnixSeconds + Send + Sync>,
) -> Result<Shared, BlobError> {
    let failed = |error: object_store::Error| fault(OPENING, &error);
    let options = ClientOptions::new()
        .with_allow_http(true)
        .with_http1_only()
        .with_connect_timeout(CONNECTED_WITHIN)
        .with_timeout_disabled()
        .with_pool_max_idle_per_host(IDLE_MAX)
        .with_read_timeout(SENT_WITHIN);
    // The client makes no request again by itself, nor asks twice for credentials: `retry.rs` does.
    let no_retries = RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    };
    let mut builder = AmazonS3Builder::new();
    let ambient = settings.ambient.pairs();
    // Those are in `StoreSettings::endpoint_url`.
    for (name, value) in ambient.filter(|(name, _)| !ENDPOINTS.contains(name)) {
        let key: AmazonS3ConfigKey = name.to_ascii_lowercase().parse().map_err(failed)?;
        builder = builder.with_config(key, value);
    }
    let region = settings.region.as_deref().or_else(|| {
        let ambient = |name| settings.ambient.get(name);
        ambient("AWS_REGION").or_else(|| ambient("AWS_DEFAULT_REGION"))
    });
    builder = builder
        .with_bucket_name(&settings.bucket.name)
        .with_region(region.unwrap_or(REGION))
        .with_virtual_hosted_style_request(!settings.path_style)
        .with_disable_bulk_delete(true)
        .with_retry(no_retries)
        .with_client_options(options.clone());
    let endpoint = settings.endpoint_url().map_err(|why| BlobError::Io {
        doing: OPENING,
        source: io::Error::new(io::ErrorKind::InvalidInput, why),
    })?;
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some((id, path)) = &settings.key {
        let secret = SecretFile::open(id, path.clone())?;
        builder = builder.with_credentials(Arc::new(secret));
    }
    let part_bytes = part_bytes(settings.size_max);
    Ok(Shared {
        store: builder.build().map_err(failed)?,
        http: ReqwestConnector::default()
            .connect(&options)
            .map_err(failed)?,
        bucket: settings.bucket.name.clone(),
        prefix: settings.bucket.prefix.clone(),
        owner: settings.owner,
        is_owned: AtomicBool::new(false),
        is_writable: AtomicBool::new(false),
        memory: MemoryBudget::new(settings.memory_max, part_bytes),
        part_bytes,
        turns: Semaphore::new(ASKED_AT_ONCE_MAX),
        now,
    })
}

impl StoreSettings {
    /// The most bytes that one blob can have in as many parts as there may be.
    pub fn blob_bytes_max(&self) -> u64 {
        let part_bytes = u64::try_from(part_bytes(self.size_max)).unwrap_or(u64::MAX);
        part_bytes.saturating_mul(PARTS_MAX)
    }
}

/// Returns the size of a part, for the largest blob to fit into the most parts that there may be. The same for all
/// parts of all blobs, which some stores want.
fn part_bytes(size_max: u64) -> usize {
    let step = 1024 * 1024;
    let wanted = size_max
        .div_ceil(PARTS_MAX)
        .next_multiple_of(step)
        .max(PART_BYTES_MIN);
    usize::try_from(wanted).unwrap_or(usize::MAX)
}

impl SecretFile {
    fn open(id: &str, path: PathBuf) -> Result<Self, BlobError> {
        let read = read_secret(id, &path).map_err(|source| BlobError::Refused {
            path: path.clone(),
            why: match source.kind() {
                io::ErrorKind::NotFound => "it is not there",
                io::ErrorKind::PermissionDenied => "it must be readable for its owner alone",
                io::ErrorKind::InvalidData => "it must hold one secret, as text",
                _ => "it cannot be read",
            },
        })?;
        Ok(Self {
            id: id.to_owned(),
            path,
            read: Mutex::new((Arc::new(read), Instant::now())),
        })
    }

    fn lock(&self) -> MutexGuard<'_, (Arc<AwsCredential>, Instant)> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The secret as it is in the file now, or was when that could last be read.
    async fn current(&self) -> Arc<AwsCredential> {
        let (kept, since) = self.lock().clone();
        if since.elapsed() < SECRET_AGE_MAX {
            return kept;
        }
        let (id, path) = (self.id.clone(), self.path.clone());
        let read = tokio::task::spawn_blocking(move || read_secret(&id, &path));
        let now = match read.await {
            Ok(Ok(read)) => Arc::new(read),
            _ => {
                let path = self.path.display();
                tracing::warn!(%path, "the store's secret cannot be read again: the old one counts");
                kept
            }
        };
        *self.lock() = (Arc::clone(&now), Instant::now());
        now
    }
}

impl CredentialProvider for SecretFile {
    type Credential = AwsCredential;

    fn get_credential<'a, 'b>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<AwsCredential>>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async { Ok(self.current().await) })
    }
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretFile(..)")
    }
}

fn read_secret(id: &str, path: &PathBuf) -> io::Result<AwsCredential> {
    let file = File::open(path)?;
    if file.metadata()?.mode() & 0o077 != 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut text = String::new();
    file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text)?;
    let secret = text.trim();
    let is_one = !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_one || text.len() as u64 > SECRET_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(AwsCredential {
        key_id: id.to_owned(),
        secret_key: secret.to_owned(),
        token: None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_largest_blob_fits_into_its_parts() {
        for (size_max, wanted) in [
            (1, PART_BYTES_MIN),
            (1 << 30, PART_BYTES_MIN),
            (PART_BYTES_MIN * PARTS_MAX, PART_BYTES_MIN),
            (PART_BYTES_MIN * PARTS_MAX + 1, 6 << 20),
            (5 << 40, 525 << 20),
        ] {
            let bytes = part_bytes(size_max) as u64;
            assert_eq!(bytes, wanted, "{size_max}");
            assert!(bytes * PARTS_MAX >= size_max);
        }
    }

    #[test]
    fn a_secret_is_its_owners_alone_and_is_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let why = |path: &PathBuf| match SecretFile::open("id", path.clone()) {
            Err(BlobError::Refused { why, .. }) => why,
            other => panic!("{:?}", other.map(|_| "a secret")),
        };
        assert_eq!(why(&path), "it is not there");
        for bad in ["", "\n", "two words", &"x".repeat(5000)] {
            write(&path, bad).unwrap();
            set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            assert_eq!(why(&path), "it must hold one secret, as text", "{bad}");
        }
        write(&path, "very-secret\n").unwrap();
        let good = SecretFile::open("id", path.clone()).unwrap();
        assert_eq!(good.lock().0.secret_key, "very-secret");
        assert_eq!(format!("{good:?}"), "SecretFile(..)");
        set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(why(&path), "it must be readable for its owner alone");
    }
}
