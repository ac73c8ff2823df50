//! Rate limits of one API key, client address, link and organization: requests a minute, downloads and uploads at
//! once, bytes a second. But for uploads everything is off unless configured, and what is off costs nothing.
//!
//! - **Requests** are counted by the generic cell rate algorithm (`gcra`): a minute's worth goes at once, and
//!   from then on one each time that it is due. A refused request is not counted, and its refusal says
//!   how long to wait: a client that waits as long gets through, unless another of the same key, address or link
//!   came first.
//! - **Downloads** count from the moment that the link is known to be good until the connection has taken the
//!   last byte, or the client is gone. Nobody knows when a download ends: the refusal says one second.
//! - **Uploads** count from the moment that the caller may upload, before a byte of the body is read, until they are
//!   answered or the client is gone (`uploads`).
//! - **Bytes** are not refused but paced: a second's worth goes at once, then a piece at a time, each when
//!   its turn has come. The turns of all connections are one queue, and each piece is a small part of a second,
//!   so that all get on. A waiting connection holds no lock and no thread, and one that goes away gives its turn back.
//!
//! An IPv6 address counts by its first 64 bits, which is what one customer has. An unknown address, such as
//! a Unix socket's, is not limited. A link names no API key, so what its bytes are counted for besides itself
//! and its client is its organization.
//!
//! # What is guaranteed
//!
//! Each kind of thing has a table of at most [`ENTRIES_MAX`] entries; no client can make it larger. An entry is
//! let go of only when it says no more than a new one would: all of its requests and bytes are paid for, and no
//! download of it goes on. So forgetting it changes nothing, and nobody who is at a limit gets rid of it by
//! making others come. Where all entries are in use, all newcomers of one part of the table share one entry, and
//! that counts on in the entry that they get later. So a flood of addresses can slow other new addresses
//! down, but neither those that are there already, nor can it get more than its limits; the only thing that
//! is not carried over is how many downloads go on.
//!
//! An entry of an API key is made when the key is known to work, and one of a link when its MAC is good. What
//! is not authenticated counts for its address alone.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::principal::{Principal, Recognized};
use super::refusal::Refusal;
use crate::model::id::ApiKeyId;
use crate::model::redemption::Subject;
use crate::model::revocation::LinkId;
use crate::sign::verify::Verified;

use gcra::Rate;
use guesses::Guesses;
use table::{Entry, LimitTable, SECOND};
use uploads::Uploads;

mod gcra;
mod guesses;
mod table;
#[cfg(test)]
mod tests;
mod uploads;

pub use guesses::{GUESSES_FOR_NEWCOMERS, GUESSES_PER_HOUR, Guess};
pub use table::ENTRIES_MAX;
pub use uploads::UploadPermit;

/// The smallest piece that goes out at once however low the rate is, in bytes, and the largest.
const PIECE_BYTES: (u64, u64) = (1024, 1024 * 1024);

/// The number of pieces that a second's bytes are cut into.
const PIECES_A_SECOND: u64 = 32;

/// The least wait that a refused download or upload answers with: nobody knows when another one ends.
const PLACE_WAIT: Duration = Duration::from_secs(1);

/// The number of entries that limit a download: address, link, organization.
const KINDS: usize = 3;

/// The most starts of counted downloads a minute, of one link and one client's network, whatever is configured: each
/// is a transaction of the catalogue.
pub const REDEEMS_PER_MINUTE: u64 = 30;

/// The limits of one kind of thing. 0 is none, which is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The most requests a minute.
    pub requests_per_minute: u64,
    /// The most downloads, or uploads, at once.
    pub at_once: u64,
    /// The most bytes a second of all downloads together.
    pub bytes_per_second: u64,
}

/// `limits.…`, but for the quotas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Of an API key; it has no downloads.
    pub api_key: Rule,
    /// Of a client's address.
    pub address: Rule,
    /// Of a link.
    pub link: Rule,
    /// Of an organization; it has no requests.
    pub organization: Rule,
    /// The most uploads of an API key at once.
    pub api_key_uploads: u64,
    /// The most uploads of an organization at once.
    pub organization_uploads: u64,
}

/// Everybody who is limited, and what they have had.
pub struct Limits {
    clock: Arc<dyn Clock>,
    keys: Option<LimitTable<ApiKeyId>>,
    addresses: Option<LimitTable<u128>>,
    links: Option<LimitTable<LinkId>>,
    organizations: Option<LimitTable<Arc<str>>>,
    uploads: Uploads,
    /// Starts of counted downloads, of a subject and a client's network; 0 is one for all clients that are not known.
    redeems: Option<LimitTable<(Subject, u128)>>,
    guesses: Guesses,
}

/// Something that counts as a link: it is known to be good.
pub trait LimitedLink {
    /// The link's id.
    fn link_id(&self) -> LinkId;

    /// The organization of its file.
    fn organization(&self) -> &str;
}

impl LimitedLink for Verified<'_> {
    fn link_id(&self) -> LinkId {
        self.link_id()
    }

    fn organization(&self) -> &str {
        self.file().organization()
    }
}

/// A download that was let in. Dropping it gives its places back.
pub struct Admitted {
    clock: Arc<dyn Clock>,
    entries: [Option<Arc<Entry>>; KINDS],
}

/// The pace of one download, or of one part of it. Dropping it gives back what it was granted and did not
/// spend.
pub struct Pace {
    clock: Arc<dyn Clock>,
    entries: [Option<Arc<Entry>>; KINDS],
    granted: u64,
}

impl Limits {
    /// Nobody has had anything yet.
    pub fn new(settings: &RateLimits, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            keys: LimitTable::new(&settings.api_key),
            addresses: LimitTable::new(&settings.address),
            links: LimitTable::new(&settings.link),
            organizations: LimitTable::new(&settings.organization),
            uploads: Uploads::new(settings),
            redeems: LimitTable::new(&Rule {
                requests_per_minute: REDEEMS_PER_MINUTE,
                ..Rule::default()
            }),
            guesses: Guesses::new(),
        }
    }

    /// Counts a request of this address, or refuses it.
    pub fn admit_address(&self, client: Option<IpAddr>) -> Result<(), Refusal> {
        let Some(address) = client.map(block) else {
            return Ok(());
        };
        self.admit(
            self.addresses.as_ref(),
            &address,
            || address,
            "requests of one address",
        )
    }

    /// Returns the wait of this address for its next request, whatever else may keep it waiting.
    pub fn address_wait(&self, client: Option<IpAddr>) -> Duration {
        let table = self.addresses.as_ref();
        let wait = table
            .zip(client.map(block))
            .map(|(table, address)| table.wait(&address, self.now()));
        Duration::from_nanos(wait.unwrap_or_default())
    }

    /// Counts a request with this API key, which works, or refuses it.
    pub fn admit_key(&self, key: &ApiKeyId) -> Result<(), Refusal> {
        self.admit(
            self.keys.as_ref(),
            key,
            || key.clone(),
            "requests with one API key",
        )
    }

    /// Counts a request of a caller whose API key works, and lets it in, or refuses it.
    pub fn admit_caller(&self, recognized: Recognized) -> Result<Principal, Refusal> {
        self.admit_key(recognized.key())?;
        Ok(recognized.0)
    }

    /// Counts a request with this link, or refuses it.
    pub fn admit_link(&self, link: &impl LimitedLink) -> Result<(), Refusal> {
        let id = link.link_id();
        self.admit(self.links.as_ref(), &id, || id, "requests with one link")
    }

    /// Counts a start of one of this subject's downloads by a client, or refuses it.
    pub(super) fn admit_redeem(
        &self,
        subject: &Subject,
        client: Option<IpAddr>,
    ) -> Result<(), Refusal> {
        let key = (subject.clone(), client.map_or(0, block));
        let table = self.redeems.as_ref();
        self.admit(
            table,
            &key,
            || key.clone(),
            "downloads started with one link",
        )
    }

    /// Takes a place for a download with this link, everywhere that one is needed, or refuses it. `None`
    /// where nothing limits it.
    pub fn admit_download(
        &self,
        link: &impl LimitedLink,
        client: Option<IpAddr>,
    ) -> Result<Option<Admitted>, Refusal> {
        if self.addresses.is_none() && self.links.is_none() && self.organizations.is_none() {
            return Ok(None);
        }
        let (id, organization) = (link.link_id(), link.organization());
        let now = self.now();
        let addresses = self.addresses.as_ref().zip(client.map(block));
        let entries = [
            addresses.and_then(|(table, address)| entry(Some(table), &address, now, || address)),
            entry(self.links.as_ref(), &id, now, || id),
            entry(self.organizations.as_ref(), organization, now, || {
                organization.into()
            }),
        ];
        if entries.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut admitted = Admitted {
            clock: Arc::clone(&self.clock),
            entries: [const { None }; KINDS],
        };
        let whats = [
            "downloads of one address",
            "downloads with one link",
            "downloads of one organization",
        ];
        for ((place, entry), what) in admitted.entries.iter_mut().zip(entries).zip(whats) {
            let Some(entry) = entry else { continue };
            if !entry.begin() {
                let of_the_link = self.links.as_ref().map(|table| table.wait(&id, now));
                let wait = Duration::from_nanos(of_the_link.unwrap_or_default());
                let wait = wait.max(PLACE_WAIT);
                return Err(Refusal::TooMany { what, wait });
            }
            *place = Some(entry);
        }
        Ok(Some(admitted))
    }

    /// Takes a permit for an upload of this caller, or refuses it.
    ///
    /// # Errors
    /// `TooMany` where its API key or its organization has as many as it may.
    pub fn admit_upload(&self, caller: &Principal) -> Result<UploadPermit, Refusal> {
        self.uploads.admit(caller, self.now())
    }

    fn admit<K, Q>(
        &self,
        table: Option<&LimitTable<K>>,
        key: &Q,
        own: impl FnOnce() -> K,
        what: &'static str,
    ) -> Result<(), Refusal>
    where
        K: Borrow<Q> + Eq + Hash,
        Q: Eq + Hash + ?Sized,
    {
        let Some(table) = table.and_then(LimitTable::of_requests) else {
            return Ok(());
        };
        let now = self.now();
        let taken = table.ask(key, now, own, |entry| entry.take_request(now));
        taken.map_err(|wait| Refusal::TooMany {
            what,
            wait: Duration::from_nanos(wait),
        })
    }

    fn now(&self) -> u64 {
        nanos(self.clock.as_ref())
    }
}

impl Admitted {
    /// The pace of this download, or of one part of it; `None` where any will do.
    pub fn pace(&self) -> Option<Pace> {
        let paced = |entry: &&Arc<Entry>| entry.bounds.bytes.is_some();
        let entries = self.entries.each_ref();
        let entries = entries.map(|entry| entry.as_ref().filter(paced).cloned());
        entries.iter().any(Option::is_some).then(|| Pace {
            clock: Arc::clone(&self.clock),
            entries,
            granted: 0,
        })
    }
}

impl fmt::Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").finish_non_exhaustive()
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        for entry in self.entries.iter().flatten() {
            entry.end();
        }
    }
}

impl Pace {
    /// Returns another pace of the same download, for another part of it.
    pub fn another(&self) -> Self {
        Self {
            clock: Arc::clone(&self.clock),
            entries: self.entries.clone(),
            granted: 0,
        }
    }

    /// Grants the next piece of up to `left` bytes, and says how long to wait for it. What was granted before
    /// must be spent.
    pub fn grant(&mut self, left: u64) -> Duration {
        let pieces = self.rates().map(|(_, rate)| piece_bytes(rate));
        let granted = left.min(pieces.min().unwrap_or(left));
        self.granted = granted;
        self.reserve(granted)
    }

    /// Spends `bytes` at once, if that needs no waiting.
    pub fn spend_at_once(&self, bytes: u64) -> bool {
        let is_at_once = self.reserve(bytes) == Duration::ZERO;
        if !is_at_once {
            self.give_back(bytes);
        }
        is_at_once
    }

    /// Returns the bytes that are left of what was granted.
    pub const fn granted(&self) -> u64 {
        self.granted
    }

    /// So much of what was granted goes out.
    pub const fn spend(&mut self, bytes: u64) {
        self.granted = self.granted.saturating_sub(bytes);
    }

    fn reserve(&self, bytes: u64) -> Duration {
        let now = nanos(self.clock.as_ref());
        let waits = self.rates().map(|(entry, rate)| {
            let ahead = entry.bytes.reserve(now, rate.time_of(bytes));
            ahead.saturating_sub(SECOND.max(rate.time_of(PIECE_BYTES.0)))
        });
        Duration::from_nanos(waits.max().unwrap_or_default())
    }

    fn give_back(&self, bytes: u64) {
        for (entry, rate) in self.rates() {
            entry.bytes.give_back(rate.time_of(bytes));
        }
    }

    fn rates(&self) -> impl Iterator<Item = (&Arc<Entry>, Rate)> {
        let entries = self.entries.iter().flatten();
        entries.filter_map(|entry| Some((entry, entry.bounds.bytes?)))
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        if self.granted > 0 {
            self.give_back(self.granted);
        }
    }
}

/// The entry of `key`, if downloads, or uploads, of its kind are limited.
fn entry<K, Q>(
    table: Option<&LimitTable<K>>,
    key: &Q,
    now: u64,
    own: impl FnOnce() -> K,
) -> Option<Arc<Entry>>
where
    K: Borrow<Q> + Eq + Hash,
    Q: Eq + Hash + ?Sized,
{
    let table = table?.of_transfers()?;
    Some(table.ask(key, now, own, Arc::clone))
}

fn piece_bytes(rate: Rate) -> u64 {
    let (min, max) = PIECE_BYTES;
    (rate.amount() / PIECES_A_SECOND).clamp(min, max)
}

fn nanos(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the key that an address counts under: itself, or the network of 64 bits that it is in.
fn block(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}
