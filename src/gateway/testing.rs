//! What tests of the gateway stand on.

use std::sync::Arc;

use super::cache::CacheLimits;
use super::clock::{Clock, ManualClock};
use super::{Gateway, GatewaySettings};
use crate::blob::BlobStore;
use crate::catalog::Catalog;
use crate::catalog::quota::Quota;
use crate::model::revocation::RevocationBounds;
use crate::model::time::UnixSeconds;
use crate::sign::keyring::{KeyState, Keyring, Kid, SigningKey};
use crate::sign::secret::Secret;

pub(crate) mod stubborn;

/// When every test is.
pub(crate) const NOW: u64 = 1_779_118_492;

/// Room for what a test has.
pub(crate) const CACHE: CacheLimits = CacheLimits {
    rows_bytes: 1 << 20,
    open_files: 64,
    small_files_bytes: 1 << 20,
    small_file_max: 1 << 14,
};

/// One active key of this name.
pub(crate) fn keyring(kid: &str) -> Keyring {
    let key = SigningKey {
        kid: Kid::parse(kid).unwrap(),
        state: KeyState::Active,
        secret: Some(Secret::new((0..32).collect()).unwrap()),
        created_at: UnixSeconds::new(NOW).unwrap(),
    };
    Keyring::new(vec![key]).unwrap()
}

pub(crate) fn memory_blobs() -> Arc<dyn BlobStore> {
    Arc::new(crate::blob::memory::MemoryBlobs::new(|| {
        UnixSeconds::new(NOW).unwrap()
    }))
}

/// A gateway whose recycle bin keeps nothing.
pub(crate) fn gateway(catalog: Arc<dyn Catalog>, blobs: Arc<dyn BlobStore>) -> Gateway {
    gateway_with(catalog, blobs, CACHE)
}

/// As [`gateway`], with other limits of what is kept.
pub(crate) fn gateway_with(
    catalog: Arc<dyn Catalog>,
    blobs: Arc<dyn BlobStore>,
    cache: CacheLimits,
) -> Gateway {
    let clock = Arc::new(ManualClock::at(NOW * 1_000));
    gateway_at(catalog, blobs, cache, clock)
}

/// As [`gateway_with`], by a clock of the test's own.
pub(crate) fn gateway_at(
    catalog: Arc<dyn Catalog>,
    blobs: Arc<dyn BlobStore>,
    cache: CacheLimits,
    clock: Arc<dyn Clock>,
) -> Gateway {
    let settings = GatewaySettings {
        public_base_url: "http://localhost".into(),
        lifetime: 3_600,
        lifetime_max: 604_800,
        expiry_window: 0,
        revocation_bounds: RevocationBounds {
            links: 100_000,
            ids: 100_000,
            files: 100_000,
        },
        revoke_reserve: 0,
        name_in_url: false,
        not_before_leeway: 0,
        share_lifetime_max: Some(2_592_000),
        share_preview_names: false,
        upload_size_max: 1 << 20,
        limits: super::limits::RateLimits::default(),
        quota: Quota::NONE,
        link_counts_max: u64::MAX,
        counts_at_start: false,
        recycle_days: 0,
        cache,
    };
    Gateway::new(catalog, blobs, clock, keyring("a"), settings)
}
