//! The sub-trait for counted downloads: a link or a share that may be downloaded so many times, and no more often.
//!
//! A download is *started* by [`redeem`](Redemptions::redeem), which holds one of the subject's downloads, and takes
//! as many requests by its ticket as it likes. It is *done* when the bytes that were sent are as many as the file
//! has. One that sent nothing for [`LAPSE_SECONDS`] *lapses*
//! once another start finds nothing left: it gives back what it held, and its bytes are kept
//! ([`DownloadCounts`]). A lapsed one may be started again.
//!
//! Why bytes are counted, and not requests or ranges: a download manager asks eight times for one file, and a video
//! player twenty times. The sum of bytes means the same for all of them, on any number of gateways, in any order.

use super::Answer;
use crate::model::id::{FileId, OrganizationId};
use crate::model::redemption::{DownloadCounts, RedemptionId, RedemptionState, Subject};
use crate::model::revocation::LinkId;
use crate::model::time::UnixSeconds;

pub use crate::model::redemption::{DONE_SECONDS, LAPSE_SECONDS};

/// The most open downloads that one start has lapse: few enough that nobody waits long behind it.
pub const LAPSED_MAX: u32 = 100;

/// The most records of sent bytes that are added at once, for the same reason.
pub const SENT_ADDED_MAX: usize = 1_000;

/// The time for which a ticket or an allowance is kept after its end, in seconds.
pub const KEPT_SECONDS: u64 = 86_400;

/// The name of a started download in [`CatalogError`](super::CatalogError).
pub const REDEMPTION: &str = "the started download";

/// Counts downloads, under the contract of [`Catalog`](super::Catalog). Nothing in here is in the change feed.
///
/// What counts first locks the allowances that it counts in, in the order of their keys: so calls for one subject follow
/// each other, on any number of gateways, and those for different subjects never wait for each other.
pub trait Redemptions: Send + Sync {
    /// Starts a download where one is left. Of any number of calls for one subject at once, no more start one than
    /// are allowed. Whether the link was revoked is for the caller to know. What a share allows, from when and until when,
    /// its row says, which is read in the same transaction: a start of one that is paused or revoked, or was given
    /// another revision of its password, is `Expired`.
    ///
    /// One of no bytes is done at once, as is one of which the caller says so. Where none is left, up to [`LAPSED_MAX`] open ones that may lapse do so first,
    /// those without bytes for longest before others. Then the client's own download is answered again, if it is open
    /// or was done in the last [`DONE_SECONDS`], and is one of the same file under the same password. Nothing but that
    /// lapse is written unless a download is started.
    ///
    /// A call that is made again with the same id starts nothing more, and answers `Fresh`: so the outcome of one that
    /// was [`Unavailable`](super::CatalogError::Unavailable) is found out. `Conflict` for the id of another subject's
    /// download, `NotFound` for an unknown organization or share, `Limit` for a number that the adapter cannot keep.
    fn redeem<'a>(&'a self, redeem: &'a Redeem) -> Answer<'a, Redeemed>;

    /// Adds bytes that were sent, in one transaction; of an unknown download they are passed over, and a record of no
    /// bytes says nothing. An open one that has sent its whole size then is done, once, as of the record's time. Bytes
    /// of a lapsed one count as lapsed. `Limit` for more than [`SENT_ADDED_MAX`]; sums stay at the largest number that
    /// is kept.
    ///
    /// Answers the downloads that are damaged, or whose allowance is, in no order: nothing was added to them, and
    /// everything to all others.
    ///
    /// After [`Unavailable`](super::CatalogError::Unavailable) nobody knows whether they were added: a caller tries the
    /// same batch again, which adds nothing if they were, and answers no damaged ones then.
    fn add_redeemed<'a>(&'a self, batch: &'a SentBatch) -> Answer<'a, Vec<RedemptionId>>;

    /// Starts a lapsed download again at `now`, where one of its subject's is left and its ticket has not ended, and
    /// answers its state then: `Lapsed` is a refusal. Its bytes are no lapsed ones any more; one that has sent its
    /// whole size is `Done` at once. One of a share that is not active stays. Others that may lapse do so as in [`Redemptions::redeem`]. Writes nothing where
    /// it is open or done. `NotFound` for an unknown one.
    fn reopen<'a>(
        &'a self,
        organization: &'a OrganizationId,
        rid: RedemptionId,
        now: UnixSeconds,
    ) -> Answer<'a, RedemptionState>;

    /// Returns a started download and its subject's allowance, both of one moment, if the organization has it.
    fn redemption<'a>(
        &'a self,
        organization: &'a OrganizationId,
        rid: RedemptionId,
    ) -> Answer<'a, Option<Ticket>>;

    /// The same as [`Redemptions::redemption`], read synchronously as [`Catalog::file_on_the_spot`](super::Catalog::file_on_the_spot)
    /// reads a file: `None` where that is not to be had, and then `redemption` answers.
    fn redemption_on_the_spot(
        &self,
        organization: &OrganizationId,
        rid: RedemptionId,
    ) -> Option<Option<Ticket>>;

    /// Says that a ticket is used at `at`, and answers when that was first said: of several calls one counts.
    /// `NotFound` for an unknown one.
    fn first_used<'a>(
        &'a self,
        organization: &'a OrganizationId,
        rid: RedemptionId,
        at: UnixSeconds,
    ) -> Answer<'a, UnixSeconds>;

    /// Returns what was counted of a link; `None` where nobody has started a download by it, or that is forgotten.
    fn allowance_of_link<'a>(
        &'a self,
        organization: &'a OrganizationId,
        link: LinkId,
    ) -> Answer<'a, Option<LinkAllowance>>;

    /// Forgets, each up to `limit`: the clients of tickets that are dead; downloads whose tickets ended
    /// [`KEPT_SECONDS`] ago, which lapse first, unless they still send; allowances that ended as long ago and
    /// have no download any more; and writers that added nothing for as long. Answers how many rows that were: none once
    /// there is no more. Downloads that are damaged, or whose allowance is, stay.
    fn forget_redemptions(&self, now: UnixSeconds, limit: u32) -> Answer<'_, u64>;
}

/// A download that is to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redeem {
    /// The owner of the subject.
    pub organization: OrganizationId,
    /// The thing whose downloads are counted.
    pub subject: Subject,
    /// The signing key of the subject, by which its clients are known.
    pub kid: String,
    /// The epoch of that key.
    pub epoch: u64,
    /// The counted link, if the subject is one.
    pub link: Option<CountedLink>,
    /// The downloads that a link allows. Of a share its row says so, and this is not looked at.
    pub allowed: u64,
    /// The end of a link: from then on none is started. Of a share its row says so.
    pub expires: Option<UnixSeconds>,
    /// The ticket that is made for it.
    pub ticket: NewTicket,
    /// The file; `None` where it is no single one.
    pub file: Option<FileId>,
    /// The number of bytes at which it is done.
    pub size: u64,
    /// True if it is done at once, as its bytes are not counted.
    pub is_done_at_start: bool,
    /// A keyed digest of the client, if it is known.
    pub client: Option<[u8; 16]>,
    /// A keyed digest of the network that the request came from, if that is the client's own.
    pub starter: Option<[u8; 32]>,
    /// The revision of a share's password that was in force when it was opened; `None` of a link.
    pub pass_revision: Option<u64>,
    /// The time of the request.
    pub now: UnixSeconds,
}

/// The signed parts of a counted link, by which its tickets are judged as it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedLink {
    /// The link's id, by which it is denied.
    pub id: LinkId,
    /// The link's file.
    pub file: FileId,
    /// The link revision of the file that it was signed with.
    pub link_revision: u64,
    /// Its claims, in the words of the layer that signs.
    pub claims: String,
}

/// A ticket that was not given to anybody yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTicket {
    /// Its id, freshly drawn.
    pub rid: RedemptionId,
    /// The signing key of the key that signs it.
    pub kid: String,
    /// From this time on no request by it begins.
    pub expires: UnixSeconds,
}

/// The answer to a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// It is started.
    Fresh {
        /// How many more may be started.
        left: u64,
    },
    /// The client has one already.
    Same {
        /// Its ticket.
        ticket: NewTicket,
        /// How many more may be started.
        left: u64,
    },
    /// All that is left is held by open downloads.
    Held {
        /// The time from which on the first of them may lapse, if it sends nothing until then. It may have come.
        until: UnixSeconds,
    },
    /// All are spent.
    Exhausted,
    /// The subject or the ticket has ended, or the subject opens nothing now.
    Expired,
}

/// Bytes that were sent by one ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The download.
    pub rid: RedemptionId,
    /// How many more were sent.
    pub bytes: u64,
    /// The time at which the last of them was.
    pub at: UnixSeconds,
}

/// Bytes that were sent by tickets, which are added together, and once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentBatch {
    /// A name that the caller drew for itself. It adds one batch after the other.
    pub writer: String,
    /// The number of the batch, larger than those of all batches that the caller added before.
    pub number: u64,
    /// The time at which it is added.
    pub now: UnixSeconds,
    /// The bytes that were sent, of each download.
    pub sent: Vec<Sent>,
}

/// A started download, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redemption {
    /// The owner of the subject.
    pub organization: OrganizationId,
    /// The thing whose downloads are counted.
    pub subject: Subject,
    /// Its ticket.
    pub ticket: NewTicket,
    /// The file; `None` where it is no single one.
    pub file: Option<FileId>,
    /// The number of bytes at which it is done.
    pub size: u64,
    /// A keyed digest of the client, until the ticket is dead.
    pub client: Option<[u8; 16]>,
    /// A keyed digest of the network that started it, until the ticket is dead.
    pub starter: Option<[u8; 32]>,
    /// The time at which it was started.
    pub opened_at: UnixSeconds,
    /// The time at which bytes were sent last, or it was started.
    pub last_at: UnixSeconds,
    /// The bytes that were sent.
    pub bytes_sent: u64,
    /// Its state.
    pub state: RedemptionState,
    /// The time at which it was done.
    pub done_at: Option<UnixSeconds>,
    /// The revision of the password that was given, if there is one.
    pub pass_revision: Option<u64>,
    /// The time at which its ticket was first used, where somebody said so.
    pub first_at: Option<UnixSeconds>,
}

/// The allowance of a subject, a row that its first download makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The owner of the subject.
    pub organization: OrganizationId,
    /// The thing whose downloads are counted.
    pub subject: Subject,
    /// The signing key of the subject, by which its clients are known.
    pub kid: String,
    /// The epoch of that key.
    pub epoch: u64,
    /// The counted link, if the subject is one.
    pub link: Option<CountedLink>,
    /// The downloads that a link allows; a share says so itself.
    pub allowed: Option<u64>,
    /// The end of a link; a share says so itself.
    pub expires: Option<UnixSeconds>,
    /// The counters.
    pub counts: DownloadCounts,
    /// The bytes that all downloads sent.
    pub bytes: u64,
}

/// A started download and its subject's allowance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The download.
    pub redemption: Redemption,
    /// The allowance.
    pub allowance: Allowance,
}

/// What was counted of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAllowance {
    /// The downloads that it allows.
    pub allowed: u64,
    /// Those that are spent.
    pub done: u64,
    /// Those that are held by open ones.
    pub open: u64,
    /// The answers that carried bytes, as [`Counters`](super::counters::Counters) count them for any link.
    pub downloads: u64,
    /// The bytes that its tickets sent.
    pub bytes_sent: u64,
    /// The time at which the last of those answers ended.
    pub last_download_at: Option<UnixSeconds>,
    /// The end of the link.
    pub expires: UnixSeconds,
}
