//! The sub-trait for the change feed: which revocation, file, API key or share was changed, one entry a change.
//!
//! A process that keeps something of the catalogue in memory follows the feed: it holds a [`FeedPosition`], reads what
//! comes behind it, and changes what it keeps. The entry at its position proves that the feed is still the one that it
//! followed: an older catalogue that was put back, and a server that took over without its last changes, have
//! another one there, or none.

use super::Answer;
use crate::model::id::{ApiKeyId, FileId, OrganizationId, ShareId};
use crate::model::revocation::{LinkId, Revocations};
use crate::model::time::UnixSeconds;

/// The number of entries that a feed keeps at least. Whoever is further behind reads everything anew. That is more
/// than a minute's worth of what a database commits, and a process is never behind by more than a few seconds.
pub const CHANGES_KEPT: u64 = 100_000;

/// The most entries of a page of the feed.
pub const CHANGES_READ_MAX: u32 = 10_000;

/// The change feed of a catalogue, under the contract of [`Catalog`](super::Catalog).
///
/// An entry belongs to the transaction of its change: it is there as soon as the change is, and whoever has seen it
/// has seen all entries before it, on every handle to the catalogue. What only adds a file, a share or an organization has no
/// entry, nor has what happens to a file after it was deleted, nor that dead links are forgotten: nobody keeps that one
/// of these is not there. An API key that was made has one, since processes keep for a while that there is none.
pub trait Changes: Send + Sync {
    /// Returns everything that was ever revoked and still matters at `now`, and the position of the feed, both of
    /// one moment.
    fn revoked(&self, now: UnixSeconds) -> Answer<'_, Revoked>;

    /// Returns the entries behind a position, up to [`CHANGES_READ_MAX`]; `None` where the feed does not lead on from
    /// it. Costs as much as there are entries, and waits for no other call.
    fn changes(&self, after: FeedPosition) -> Answer<'_, Option<FeedPage>>;

    /// Forgets up to `limit` entries that are older than the newest `kept`, oldest first; never the newest one.
    /// Answers how many. Writes nothing where there are none. An installation keeps [`CHANGES_KEPT`].
    fn trim_changes(&self, kept: u64, limit: u32) -> Answer<'_, u64>;

    /// Answers once somebody may have added an entry, so that it is read sooner than at its next turn. It may
    /// answer for nothing, and it need never answer: who must know reads. The only wait of a catalogue that is
    /// not bounded. Of several callers one is answered.
    fn changed(&self) -> Answer<'_, ()>;
}

/// A position in the change feed: at an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedPosition {
    /// The entry's number. Later entries have higher ones.
    pub version: u64,
    /// Random bits of the entry, which no other one of this number has.
    pub stamp: i64,
}

/// The revocations at a position of the feed.
#[derive(Clone, Debug)]
pub struct Revoked {
    /// All of them.
    pub revocations: Revocations,
    /// The newest entry then.
    pub position: FeedPosition,
}

/// A page of the change feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPage {
    /// The entries in their order, each with its number.
    pub changes: Vec<(u64, Change)>,
    /// The position of the last one, or the one that was asked from.
    pub position: FeedPosition,
    /// True if there may be more behind it.
    pub has_more: bool,
}

/// An entry of the change feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A link was denied.
    LinkDenied {
        /// The owner of the link.
        organization: OrganizationId,
        /// The link.
        link: LinkId,
        /// The time from which on it is dead anyway.
        expires: UnixSeconds,
    },
    /// A file's link revision was set: raised, or back to 0 as its id is free again.
    RevisionSet {
        /// The owner of the file.
        organization: OrganizationId,
        /// The file.
        file: FileId,
        /// The revision that is in force.
        revision: u64,
    },
    /// An organization's epoch was raised, and its link revisions and denied links forgotten.
    EpochRaised {
        /// The organization.
        organization: OrganizationId,
        /// The epoch that is in force.
        epoch: u64,
    },
    /// A file that was `Ready` may be answered otherwise than before, but for its link revision.
    FileChanged {
        /// The owner of the file.
        organization: OrganizationId,
        /// The file.
        file: FileId,
    },
    /// An API key, and with it its apps, may be answered otherwise than before: it was made, or its state was changed.
    KeyChanged {
        /// The key.
        key: ApiKeyId,
    },
    /// A share, or what is in it, may be answered otherwise than before.
    ShareChanged {
        /// The owner of the share.
        organization: OrganizationId,
        /// The share.
        share: ShareId,
    },
    /// Anything may be otherwise than before.
    Everything,
}
