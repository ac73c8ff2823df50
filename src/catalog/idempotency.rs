//! The sub-trait for idempotency keys: a request that is sent again is answered again, not done again.
//!
//! A request claims its key before it is worked on, and completes it in the transaction that adds its files
//! ([`Quotas::add_files_within`](super::quota::Quotas::add_files_within)). In between the claim is a lease: a
//! process that died holds nobody up for longer than that. Clocks that differ can only make two requests of
//! one key work at the same time, never both be completed.

use super::Answer;
use crate::model::digest::Sha256Digest;
use crate::model::id::{ApiKeyId, OrganizationId};
use crate::model::time::UnixSeconds;

/// The most keys of one organization; those claimed longest ago go first.
pub const KEYS_MAX: u32 = 10_000;

/// The time that a key means its first request, from the claim on.
pub const KEY_SECONDS: u64 = 86_400;

/// Keeps idempotency keys, under the contract of [`Catalog`](super::Catalog). Nothing in here is
/// in the change feed.
pub trait Idempotency: Send + Sync {
    /// Claims a key until `until`. Of any number of calls for one key that nobody holds, one gets it. A key
    /// whose claim is over, or that is [`KEY_SECONDS`] old, is free. Where the organization has more than
    /// [`KEYS_MAX`] then, the oldest go. `NotFound` for an unknown organization.
    fn claim<'a>(
        &'a self,
        claim: &'a Claim,
        now: UnixSeconds,
        until: UnixSeconds,
    ) -> Answer<'a, Claimed>;

    /// Holds a claim until `until`. `Conflict` where the key is not this claim's any more.
    fn renew<'a>(&'a self, claim: &'a Claim, until: UnixSeconds) -> Answer<'a, ()>;

    /// Gives a claim up: the key is free. Does nothing where it is completed or not this claim's any more.
    fn release<'a>(&'a self, claim: &'a Claim) -> Answer<'a, ()>;

    /// Forgets up to `limit` keys that were claimed at or before `before`. Answers how many.
    fn forget_keys(&self, before: UnixSeconds, limit: u32) -> Answer<'_, u64>;
}

/// One request's claim to a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The organization that the request is for.
    pub organization: OrganizationId,
    /// The API key that it came with: each has its own keys.
    pub api_key: ApiKeyId,
    /// The key, as the client drew it.
    pub key: String,
    /// Random; tells this request from every other.
    pub owner: [u8; 16],
}

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The key is this request's now.
    Ours,
    /// Another request of this key is being worked on.
    AtWork,
    /// A request of this key was completed.
    Completed(Completed),
}

/// A request that was completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// A digest of what was asked.
    pub fingerprint: Sha256Digest,
    /// The outcome, in the gateway's own words.
    pub outcome: String,
}

/// Completes a claim, in the transaction that adds its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The claim. It must still hold the key: `Conflict` otherwise, and nothing is added.
    pub claim: Claim,
    /// The outcome that is kept under the key.
    pub completed: Completed,
}

/// A row of a key, as it is moved between catalogues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// The last claim.
    pub claim: Claim,
    /// The time of the claim.
    pub created_at: UnixSeconds,
    /// Until when it is held.
    pub held_until: UnixSeconds,
    /// The outcome, once it was completed.
    pub completed: Option<Completed>,
}
