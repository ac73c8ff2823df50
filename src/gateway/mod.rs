//! The rules: who may mint, what a link opens, how bytes come in, what is listed and deleted.
//!
//! There is no HTTP, no SQL and no disk in here; the stores are handed in behind their ports, and so
//! are the time and the keyring. Five flows go through it:
//!
//! 1. **Mint** ([`mint`], [`batch`]): authenticate the API key, check the options, find the file, look whether
//!    anything was revoked, sign.
//! 2. **Download** ([`download`]): verify the whole link in memory, then find the row, then open the
//!    bytes. Only a [`Verified`](crate::sign::verify::Verified) link reaches the last two steps.
//! 3. **Redeem** ([`redeem`]): a counted link starts a download, and its ticket opens the bytes.
//! 4. **Share** ([`shares`]): a row with files is made and changed, and found again by the code in its address.
//! 5. **Upload** ([`upload`]): stage the bytes, make them durable, then the row, then say yes.
//!
//! Who may have how much of all this is for [`limits`] to say, once each flow knows who asks.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use uuid::{ContextV7, Timestamp, Uuid};

use crate::blob::BlobStore;
use crate::catalog::Catalog;
use crate::catalog::quota::Quota;
use crate::model::id::{AppId, BlobKey, FileId};
use crate::model::revocation::RevocationBounds;
use crate::model::time::UnixSeconds;
use crate::sign::keyring::Keyring;

use clock::Clock;
use refusal::Refusal;
use tenant_queue::{QueueBounds, TenantQueues};
use upload::staged_bytes::StagedBytes;

pub mod apps;
pub mod archives;
pub mod batch;
pub mod cache;
mod catalogue_failures;
pub mod checksums;
pub mod clock;
pub mod counts;
pub mod doctor;
pub mod download;
pub mod explain;
pub mod files;
pub mod idempotency;
pub mod limits;
pub mod migrate;
pub mod mint;
mod moved;
pub mod observe;
pub mod passwords;
mod pieces;
pub mod principal;
pub mod progress;
pub mod recheck;
pub mod redeem;
pub mod refusal;
pub mod revocations;
pub mod revoke;
pub mod share_access;
pub mod share_counts;
pub mod share_files;
pub mod shares;
pub mod sweep;
mod tenant_queue;
pub mod tenants;
#[cfg(test)]
pub mod testing;
mod text;
pub mod upload;
mod warm_windows;

/// The gateway's own settings, checked.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// The beginning of every minted URL, without a trailing slash.
    pub public_base_url: String,
    /// `links.lifetime`, seconds.
    pub lifetime: u64,
    /// `links.lifetime_max`, seconds.
    pub lifetime_max: u64,
    /// `links.expiry_window`, seconds; 0 is off.
    pub expiry_window: u64,
    /// `links.denied_max`, `links.denied_ids_max` and `links.revisions_max`, of each organization.
    pub revocation_bounds: RevocationBounds,
    /// `links.revoke_reserve`: how much more of each the operator may revoke.
    pub revoke_reserve: u64,
    /// `links.name_in_url`: whether the URLs of the APIs' mints end with the file's name.
    pub name_in_url: bool,
    /// `links.not_before_leeway`, seconds.
    pub not_before_leeway: u64,
    /// `shares.lifetime_max`, seconds; `None` where a share may have no end.
    pub share_lifetime_max: Option<u64>,
    /// `shares.preview_names`: whether programs that look at the address of a share learn what it shares.
    pub share_preview_names: bool,
    /// `uploads.size_max`, bytes.
    pub upload_size_max: u64,
    /// `limits.…` of keys, addresses, links and organizations.
    pub limits: limits::RateLimits,
    /// `limits.organization_files` and `limits.organization_bytes`.
    pub quota: Quota,
    /// `limits.organization_link_counts`: how many links of an organization have counts of their own.
    pub link_counts_max: u64,
    /// `handover.counted`: whether a counted download is spent when it is started, and not once its bytes were sent.
    pub counts_at_start: bool,
    /// `files.recycle_days`.
    pub recycle_days: u64,
    /// `cache.…`: what is kept in memory.
    pub cache: cache::CacheLimits,
}

/// All the rules over one catalogue, one blob store and one keyring.
pub struct Gateway {
    catalog: Arc<dyn Catalog>,
    catalogue_failures: Arc<catalogue_failures::CatalogueFailures>,
    blobs: Arc<dyn BlobStore>,
    clock: Arc<dyn Clock>,
    keyring: ArcSwap<Keyring>,
    snapshot: Arc<revocations::SnapshotCell>,
    cache: Arc<cache::Cache>,
    /// The queues of the organizations that revoke or delete now.
    changes: TenantQueues,
    /// The queues of those that read single things from the catalogue now.
    reads: TenantQueues,
    /// The queues of those that read lists.
    lists: TenantQueues,
    /// The queues of organizations that upload with idempotency keys.
    keyed: TenantQueues,
    /// The queues of organizations whose counted downloads are started.
    redeems: TenantQueues,
    /// The tickets in use.
    tickets: Arc<redeem::tickets::Tickets>,
    /// The reads of tickets that are under way.
    ticket_reads: redeem::TicketReads,
    passwords: passwords::PasswordWorker,
    /// The archives that are being sent.
    archives: Arc<archives::Archives>,
    /// The reads of shares by their codes that are under way.
    share_reads: shares::ShareReads,
    /// What is yet to be counted of shares.
    share_counts: share_counts::PendingShareCounts,
    /// The uploads that wait for their rows.
    adding: upload::PendingGroups,
    /// The bytes that organizations are staging.
    staged: StagedBytes,
    limits: Arc<limits::Limits>,
    /// An app that there is, for `apps` to look for where another one is not there.
    some_app: OnceLock<AppId>,
    /// Downloads that are yet to be counted in the catalogue.
    waiting: counts::PendingCounts,
    /// Files in place that are hashed again, as their identity moved.
    rereads: Arc<moved::Rereads>,
    /// Held by whoever looks whether the blob store answers: when the last look that was good began, by the
    /// clock's own time.
    looking_at_blobs: Arc<tokio::sync::Mutex<Option<Duration>>>,
    /// Keeps ids that are drawn in one millisecond in order.
    file_ids: Mutex<ContextV7>,
    settings: GatewaySettings,
}

impl Gateway {
    /// Joins the parts. Nothing is read yet.
    pub fn new(
        catalog: Arc<dyn Catalog>,
        blobs: Arc<dyn BlobStore>,
        clock: Arc<dyn Clock>,
        keyring: Keyring,
        settings: GatewaySettings,
    ) -> Self {
        let readers = catalog.readers();
        Self {
            catalog,
            catalogue_failures: Arc::default(),
            blobs,
            limits: Arc::new(limits::Limits::new(&settings.limits, Arc::clone(&clock))),
            clock,
            keyring: ArcSwap::from_pointee(keyring),
            snapshot: Arc::default(),
            cache: Arc::new(cache::Cache::new(&settings.cache)),
            changes: TenantQueues::new(QueueBounds::CHANGES),
            reads: TenantQueues::new(QueueBounds::reads(readers)),
            lists: TenantQueues::new(QueueBounds::lists(readers)),
            keyed: TenantQueues::new(QueueBounds::KEYED),
            redeems: TenantQueues::new(QueueBounds::REDEEMS),
            tickets: Arc::default(),
            ticket_reads: redeem::TicketReads::default(),
            passwords: passwords::PasswordWorker::new(),
            archives: Arc::default(),
            share_reads: shares::ShareReads::default(),
            share_counts: share_counts::PendingShareCounts::default(),
            adding: upload::PendingGroups::default(),
            staged: StagedBytes::default(),
            some_app: OnceLock::new(),
            waiting: counts::PendingCounts::default(),
            rereads: Arc::default(),
            looking_at_blobs: Arc::default(),
            file_ids: Mutex::new(ContextV7::new()),
            settings,
        }
    }

    /// The keyring that signs and verifies now.
    pub fn keyring(&self) -> Guard<Arc<Keyring>> {
        self.keyring.load()
    }

    /// A text of a caller's as logs and the audit stream may have it: its length and a keyed hash. `hallpass
    /// log-hash` prints the same.
    pub fn log_hash(&self, text: &[u8]) -> String {
        self.keyring().log_key().hash(text).to_string()
    }

    /// Signs and verifies with another keyring from the next request on.
    pub fn replace_keyring(&self, keyring: Keyring) {
        self.keyring.store(Arc::new(keyring));
    }

    /// The gateway's clock.
    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// Returns the limits on requests, downloads and bytes.
    pub fn limits(&self) -> &limits::Limits {
        &self.limits
    }

    /// The gateway's settings.
    pub const fn settings(&self) -> &GatewaySettings {
        &self.settings
    }

    /// Draws a file id, a UUIDv7 whose order is the order of drawing, and its own time.
    fn new_file_id(&self) -> (FileId, UnixSeconds) {
        let (uuid, now) = self.new_uuid();
        (FileId::from_uuid(uuid), now)
    }

    /// Draws a UUIDv7 whose order is the order of drawing, and its own time.
    fn new_uuid(&self) -> ([u8; 16], UnixSeconds) {
        let millis = self.clock.unix_millis();
        let nanos = u32::try_from(millis % 1000).unwrap_or_default() * 1_000_000;
        let order = self.file_ids.lock().unwrap_or_else(PoisonError::into_inner);
        let timestamp = Timestamp::from_unix(&*order, millis / 1000, nanos);
        let uuid = Uuid::new_v7(timestamp).into_bytes();
        (uuid, UnixSeconds::EPOCH.plus(millis / 1000))
    }

    fn new_blob_key(&self) -> Result<BlobKey, Refusal> {
        Ok(BlobKey::from_random(tenants::random()?))
    }
}
