//! The sub-trait for shares: files behind a page for people, which can be changed after its address was sent.
//!
//! A share is found by the digest of its code. Whether the code is good, and whether the share opens for whoever asks,
//! is for the caller to judge: the row has all that it takes. What its downloads count is in
//! [`Redemptions`](super::redemptions::Redemptions), under the subject of the share.

use super::Answer;
use crate::model::count::Counts;
use crate::model::digest::Sha256Digest;
use crate::model::id::{ApiKeyId, FileId, OrganizationId, ShareId};
use crate::model::share::{
    PasswordHash, Share, ShareCounts, ShareNetwork, ShareOptions, WholeShare,
};
use crate::model::time::UnixSeconds;

/// The most records of what was counted of shares that are added at once: few enough that nobody waits long.
pub const SHARE_COUNTS_ADDED_MAX: usize = 1_000;

/// The time in which wrong passwords are counted together, in seconds.
pub const GUESS_SECONDS: u64 = 3_600;

/// The name of a share in [`CatalogError`](super::CatalogError).
pub const SHARE: &str = "the share";

/// The name of the state of a share that is revoked, where it was to be changed.
pub const SHARE_REVOKED: &str = "the share's revocation";

/// The name of another revision of a share, where it was to be rotated.
pub const SHARE_ROTATED: &str = "another rotation of the share";

/// Keeps shares, under the contract of [`Catalog`](super::Catalog).
///
/// Each change of a share, of its files, and that it is gone adds an entry to the change feed; that one is made does
/// not, nor what is counted of it.
pub trait Shares: Send + Sync {
    /// Makes a share of these files, in their order, and answers it with them. Each file is put there with the link
    /// revision that it has then; positions are given from 1 on, whatever the row says.
    ///
    /// `NotFound` for an unknown organization or a file that is not `Ready`, and then nothing is made; `Conflict`
    /// while its id or its code's digest is taken, and where two files have one path; `Limit` for more files than
    /// [`SHARE_FILES_MAX`](crate::model::share::SHARE_FILES_MAX), or a number that the adapter cannot keep.
    fn create_share<'a>(&'a self, share: &'a NewShare) -> Answer<'a, WholeShare>;

    /// The share, if its organization has one of this id, with its files, both of one moment.
    fn share<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a ShareId,
    ) -> Answer<'a, Option<WholeShare>>;

    /// The share whose code has this digest, in whatever state, as [`Shares::share`] answers it.
    fn share_of_code<'a>(&'a self, digest: &'a Sha256Digest) -> Answer<'a, Option<WholeShare>>;

    /// Up to `limit` shares of an organization, or of those that one API key made, newest first by their ids: from the
    /// one after `after`, which need not be there, on. Costs the same at every place.
    fn shares<'a>(
        &'a self,
        organization: &'a OrganizationId,
        created_by: Option<&'a ApiKeyId>,
        after: Option<&'a ShareId>,
        limit: u32,
    ) -> Answer<'a, Vec<ListedShare>>;

    /// Returns how many shares an organization has, and how many files are in them; neither is counted beyond its bound.
    fn share_usage<'a>(
        &'a self,
        organization: &'a OrganizationId,
        bound: ShareUsage,
    ) -> Answer<'a, ShareUsage>;

    /// Changes a share as the edit says, and answers it as it is then. A file that stays keeps its link revision and its
    /// position; one that is new there gets those of now. An edit of nothing changes nothing, and adds no entry.
    ///
    /// `NotFound` for an unknown share, and for a file that is new there and not `Ready`; `Conflict` of
    /// [`SHARE_REVOKED`] for one that is revoked, and where two files have one path; `Limit` as for
    /// [`Shares::create_share`].
    fn edit_share<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a ShareId,
        edit: &'a ShareEdit,
    ) -> Answer<'a, WholeShare>;

    /// Gives a share another code, and answers it as it is then: its revision and the revision of its password are
    /// raised by one. `NotFound` for an unknown share; `Conflict` of [`SHARE_REVOKED`] for one that is revoked, and of
    /// [`SHARE_ROTATED`] for one whose revision is not the rotation's.
    fn rotate_share<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a ShareId,
        rotation: &'a ShareRotation,
    ) -> Answer<'a, WholeShare>;

    /// Ends a share for ever, and answers it as it is then. One that is revoked already stays so, since then, and
    /// nothing is written. `NotFound` for an unknown share.
    fn revoke_share<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a ShareId,
        now: UnixSeconds,
    ) -> Answer<'a, WholeShare>;

    /// Returns what was counted of a share; nothing of an unknown one.
    fn share_counts<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a ShareId,
    ) -> Answer<'a, ShareCounts>;

    /// Adds to what was counted of shares, all of it or nothing; a share that is not there is passed over. Sums stay at
    /// the largest number that is kept. `Limit` for more than [`SHARE_COUNTS_ADDED_MAX`].
    ///
    /// After [`Unavailable`](super::CatalogError::Unavailable) nobody knows whether they were added.
    fn add_share_counts<'a>(&'a self, counts: &'a [ShareCount]) -> Answer<'a, ()>;

    /// Returns how many passwords were wrong in the hour of `now`, which begins with the first of them.
    fn guesses<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a ShareId,
        now: UnixSeconds,
    ) -> Answer<'a, u64>;

    /// Counts a wrong password, and answers how many there were in the hour of `now`, this one included. `NotFound` for
    /// an unknown share.
    fn add_guess<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a ShareId,
        now: UnixSeconds,
    ) -> Answer<'a, u64>;

    /// Forgets up to `limit` shares that were revoked, or expired, at or before `before`: their files, what was counted
    /// of them, and the downloads that were started by them. Answers how many.
    fn forget_shares(&self, before: UnixSeconds, limit: u32) -> Answer<'_, u64>;
}

/// A share that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewShare {
    /// Its row.
    pub share: Share,
    /// Its files, each with its path there.
    pub files: Vec<(String, FileId)>,
}

/// A share in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedShare {
    /// The share.
    pub share: Share,
    /// The number of its files.
    pub files: u64,
    /// Its counters.
    pub counts: ShareCounts,
}

/// The numbers of shares, and of files in shares, that an organization has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareUsage {
    /// Shares, in whatever state.
    pub shares: u64,
    /// Files in them; one that is in two counts twice.
    pub files: u64,
}

/// The changes of a share. `None` leaves a thing as it is; of what may be missing, `Some(None)` takes it away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareEdit {
    /// Its heading.
    pub title: Option<String>,
    /// The text under it.
    pub note: Option<String>,
    /// Its end.
    pub expires: Option<Option<UnixSeconds>>,
    /// Its beginning.
    pub not_before: Option<Option<UnixSeconds>>,
    /// The downloads that it allows.
    pub allowed: Option<Option<u64>>,
    /// The clients that it opens for.
    pub ip: Option<Option<ShareNetwork>>,
    /// Its password. The revision of it is raised by one, also where it is the same.
    pub password: Option<Option<PasswordHash>>,
    /// True if it is to be paused, false if it is to open again.
    pub paused: Option<bool>,
    /// What its page offers.
    pub options: Option<ShareOptions>,
    /// All of its files, each with its path there, in the place of those that it has.
    pub files: Option<Vec<(String, FileId)>>,
}

/// The next code of a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareRotation {
    /// The revision that the share has. The code is of the next one.
    pub from: u64,
    /// The signing key that the code is derived from.
    pub kid: String,
    /// The epoch that it is derived in.
    pub epoch: u64,
    /// The code's digest.
    pub code_digest: Sha256Digest,
}

/// What is to be added to what was counted of a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareCount {
    /// The owner of the share.
    pub organization: OrganizationId,
    /// The share.
    pub share: ShareId,
    /// Its downloads.
    pub counts: Counts,
    /// How often its page was shown with what it shares.
    pub opened: u64,
    /// When that was first, if it was.
    pub first_opened_at: Option<UnixSeconds>,
}

/// All that is counted in the row of a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareCountRow {
    /// The counts.
    pub count: ShareCount,
    /// The passwords that were wrong in an hour.
    pub guesses_hour: u64,
    /// The beginning of that hour.
    pub guesses_at: UnixSeconds,
}
