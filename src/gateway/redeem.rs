//! Starting a counted download: a link that may be downloaded so many times gives a ticket, and the ticket the bytes.
//!
//! 1. [`Gateway::verify_counted`] checks the link in memory, and [`Gateway::file_of_counted`] finds its file. Whatever
//!    only looks at a link ends there: nothing is counted.
//! 2. [`Gateway::prepare_redeem`] admits the request: so many a minute, whatever the settings say. It draws the id of the
//!    download before the catalogue is asked, so that an answer that was lost can be asked for again.
//! 3. [`Gateway::redeem`] has the catalogue decide, in one transaction, and signs the ticket.
//! 4. The ticket gives the bytes (`open`), which are counted while they go out (`tickets`).
//!
//! Without the catalogue nothing is started: what is counted is never given uncounted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Gateway;
use super::cache::single_flight::SingleFlight;
use super::download::LinkRequest;
use super::limits::LimitedLink;
use super::refusal::Refusal;
use super::tenants::random;
use crate::catalog::CatalogError;
use crate::catalog::redemptions::{CountedLink, NewTicket, Redeem, Redeemed};
use crate::model::base62;
use crate::model::file::FileRecord;
use crate::model::id::{FileId, OrganizationId};
use crate::model::redemption::{RedemptionId, Subject};
use crate::model::revocation::LinkId;
use crate::model::time::UnixSeconds;
use crate::sign::keyring::Kid;
use crate::sign::ticket::{SignedTicket, TicketGrant};
use crate::sign::verify::Rejection;

pub use self::client::Redeemer;
pub use self::of_share::{ShareTicketRequest, StartOfShare};
pub use self::open::{OpenedArchive, OpenedTicket, PreparedRestart, TicketRequest};
pub use self::tickets::RunningAnswer;
pub use crate::sign::counted::{RedeemMethod, VerifiedCounted};

mod client;
mod of_share;
mod open;
pub(super) mod tickets;

/// The reads of tickets' rows that are under way.
pub(super) type TicketReads = SingleFlight<RedemptionId, Arc<tickets::TicketRow>>;

/// The longest that a ticket opens, in seconds: a day. It never outlives its link.
const TICKET_SECONDS_MAX: u64 = 86_400;

/// A start that was let in, whose id is drawn.
#[derive(Debug)]
pub struct PreparedRedeem {
    redeem: Redeem,
    /// The file of a counted link.
    file: Option<Arc<FileRecord>>,
    /// The name that the bytes are saved under.
    name: String,
    kid: Kid,
    link: LinkId,
}

impl PreparedRedeem {
    /// The file that is downloaded, of a counted link.
    pub const fn file(&self) -> Option<&Arc<FileRecord>> {
        self.file.as_ref()
    }
}

/// A download that was started, or had been by the same client.
#[derive(Clone)]
pub struct Started {
    /// The organization that owns what is downloaded.
    pub organization: OrganizationId,
    /// The file; `None` of an archive.
    pub file: Option<FileId>,
    /// The counted link, or the share.
    pub link: LinkId,
    /// From when on no request by the ticket begins.
    pub expires: UnixSeconds,
    /// How many more downloads may be started.
    pub downloads_left: u64,
    /// False where the client has the download already.
    pub is_new: bool,
    /// The name that the bytes are saved under.
    pub name: String,
    /// The ticket. It is a credential.
    ticket: SignedTicket,
}

/// Shows nothing of the ticket.
impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Started");
        shown
            .field("link", &self.link)
            .field("is_new", &self.is_new);
        shown.finish_non_exhaustive()
    }
}

impl Started {
    /// The URL of the ticket of a counted link; `base` goes before `/v1`. It is a credential.
    pub fn url(&self, base: &str) -> String {
        self.ticket.url(base, &self.name)
    }

    /// The ticket itself, the segment of a path. It is a credential.
    pub fn ticket(&self) -> &str {
        self.ticket.as_str()
    }
}

impl LimitedLink for VerifiedCounted<'_> {
    fn link_id(&self) -> LinkId {
        self.link_id()
    }

    fn organization(&self) -> &str {
        self.file().organization()
    }
}

impl Gateway {
    /// Verifies a counted link in memory, as [`Gateway::verify_link`] does any other. It is spent by nothing but
    /// [`Gateway::redeem`].
    ///
    /// # Errors
    /// The refusal of a link that is not good, or of a catalogue that does not say what was revoked.
    pub async fn verify_counted<'a>(
        &self,
        request: &LinkRequest<'a>,
    ) -> Result<VerifiedCounted<'a>, Refusal> {
        let known = self.current().await?;
        let conditions = self.conditions(request.client, &known.revocations);
        let verified = self
            .keyring()
            .verify_counted(&request.attempt(), &conditions);
        verified.map_err(Refusal::Link)
    }

    /// The file of a counted link, if it is there, without opening it.
    ///
    /// # Errors
    /// As [`Gateway::file_of`].
    pub async fn file_of_counted(
        &self,
        link: &VerifiedCounted<'_>,
    ) -> Result<Arc<FileRecord>, Refusal> {
        self.whole_file(link.file()).await
    }

    /// Draws what a page gives its client to be known by again: 22 letters and digits.
    ///
    /// # Errors
    /// The refusal of a machine without random bytes.
    pub fn draw_client_cookie(&self) -> Result<String, Refusal> {
        Ok(base62::drawn(random()?))
    }

    /// Admits a start by this link, and draws its id. Nothing is counted yet.
    ///
    /// # Errors
    /// `TooMany` for more than [`REDEEMS_PER_MINUTE`](super::limits::REDEEMS_PER_MINUTE) of one network; the refusal of a file that is not there.
    pub async fn prepare_redeem(
        &self,
        link: &VerifiedCounted<'_>,
        redeemer: &Redeemer<'_>,
    ) -> Result<PreparedRedeem, Refusal> {
        let subject = Subject::of_link(link.mac_digest());
        self.limits.admit_redeem(&subject, redeemer.counted)?;
        let file = self.file_of_counted(link).await?;
        let (in_force, now, keyring) = (link.in_force(), self.clock.now(), self.keyring());
        let organization = file.organization.clone();
        let client = redeemer.identity().and_then(|identity| {
            let key = (&in_force.kid, in_force.epoch);
            keyring.client_digest(key, &organization, &subject, identity.as_signed())
        });
        let kid = keyring.active().clone();
        let redeem = Redeem {
            organization,
            subject,
            kid: in_force.kid.as_str().to_owned(),
            epoch: in_force.epoch,
            link: Some(CountedLink {
                id: link.link_id(),
                file: file.id.clone(),
                link_revision: in_force.link_revision,
                claims: link.claims().to_text(),
            }),
            allowed: u64::from(link.claims().max_downloads().get()),
            expires: Some(link.expires()),
            ticket: NewTicket {
                rid: drawn_id()?,
                kid: kid.as_str().to_owned(),
                expires: link.expires().min(now.plus(TICKET_SECONDS_MAX)),
            },
            file: Some(file.id.clone()),
            size: file.size,
            is_done_at_start: self.settings.counts_at_start,
            client,
            // Only a password asks who started a download.
            starter: None,
            pass_revision: None,
            now,
        };
        Ok(PreparedRedeem {
            redeem,
            name: file.name.as_str().to_owned(),
            file: Some(file),
            kid,
            link: link.link_id(),
        })
    }

    /// Starts a download, or finds the one that the client has. Of any number of calls at once, on any number of
    /// gateways, no more start one than the link allows.
    ///
    /// # Errors
    /// `DownloadsExhausted` and `DownloadsHeld` where none is left; `Unavailable` where the catalogue did not say,
    /// asked twice: one may be started then, of which the same client is told when it asks again.
    pub async fn redeem(&self, prepared: PreparedRedeem) -> Result<Started, Refusal> {
        let PreparedRedeem {
            redeem,
            file: _,
            name,
            kid,
            link,
        } = prepared;
        let (ticket, downloads_left, is_new) = match self.decide(&redeem).await? {
            Redeemed::Fresh { left } => (redeem.ticket.clone(), left, true),
            Redeemed::Same { ticket, left } => (ticket, left, false),
            Redeemed::Held { until } => {
                let wait = until.since(self.clock.now());
                let wait = Duration::from_secs(wait);
                return Err(Refusal::DownloadsHeld { wait });
            }
            Redeemed::Exhausted => return Err(Refusal::DownloadsExhausted),
            Redeemed::Expired => return Err(Refusal::Link(Rejection::Expired)),
        };
        let of = |kid: &Kid| self.sign_ticket(&redeem, &ticket, kid);
        // The same client has the same ticket, unless that opens no more: its signing key was retired.
        let signed = Kid::parse(&ticket.kid).and_then(|kid| of(&kid));
        let signed = signed.or_else(|| of(&kid));
        Ok(Started {
            ticket: signed.ok_or(Refusal::Link(Rejection::KidRetired))?,
            organization: redeem.organization,
            file: redeem.file,
            name,
            link,
            expires: ticket.expires,
            downloads_left,
            is_new,
        })
    }

    fn sign_ticket(&self, redeem: &Redeem, ticket: &NewTicket, kid: &Kid) -> Option<SignedTicket> {
        let grant = TicketGrant {
            organization: &redeem.organization,
            redemption: ticket.rid,
            expires: ticket.expires,
        };
        self.keyring().mint_ticket(kid, &grant, redeem.epoch)
    }

    /// Asks the catalogue, once more where it did not say what came of it: by the id that was drawn, it then says the
    /// same.
    async fn decide(&self, redeem: &Redeem) -> Result<Redeemed, Refusal> {
        let organization: &OrganizationId = &redeem.organization;
        let _queued = self.redeems.enter(Some(organization.clone())).await?;
        match self.catalog.redeem(redeem).await {
            Err(CatalogError::Unavailable { .. }) => self.ask(self.catalog.redeem(redeem)).await,
            answer => answer.map_err(|error| self.refusal(error)),
        }
    }
}

/// Draws the id of a download.
fn drawn_id() -> Result<RedemptionId, Refusal> {
    let id = RedemptionId::parse(&base62::drawn(random()?));
    id.ok_or_else(|| Refusal::Internal("a drawn id is none".into()))
}
