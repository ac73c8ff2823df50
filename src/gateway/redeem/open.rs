//! Opening a ticket: what a request by it gets, judged as its link itself would be.
//!
//! 1. The ticket is verified in memory: a bad one costs no look at the catalogue.
//! 2. Its row is found: in memory, where it was read within the staleness bound, else in the catalogue, on the spot where
//!    that waits for nothing.
//! 3. Its link is judged again: revoked, over, or not for this client.
//! 4. Its file is opened. A download that is done gives bytes for a while more.
//! 5. One that lapsed is started again before bytes are sent, if there is one left.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::tickets::{FoundTicket, RunningAnswer, TicketOf, TicketRow};
use crate::catalog::redemptions::{DONE_SECONDS, Ticket};
use crate::gateway::Gateway;
use crate::gateway::archives::Archive;
use crate::gateway::download::Download;
use crate::gateway::limits::LimitedLink;
use crate::gateway::recheck::RunningShare;
use crate::gateway::refusal::Refusal;
use crate::model::address::FileRef;
use crate::model::file::FileRecord;
use crate::model::id::OrganizationId;
use crate::model::name::FileName;
use crate::model::redemption::{RedemptionId, RedemptionState};
use crate::model::revocation::{LinkId, Revocations};
use crate::model::time::UnixSeconds;
use crate::sign::claims::{ClaimName, Claims, LinkKind as _};
use crate::sign::counted::CountedClaims;
use crate::sign::keyring::Kid;
use crate::sign::link_of_ticket::LinkOfTicket;
use crate::sign::ticket::{TicketAttempt, VerifiedTicket};
use crate::sign::verify::{InForce, Rejection};

/// A request by a ticket, as it was sent. That is a credential, so it has no `Debug`.
#[derive(Clone, Copy)]
pub struct TicketRequest<'a> {
    /// The organization in the path, not decoded.
    pub organization: &'a str,
    /// The ticket in the path, not decoded.
    pub ticket: &'a str,
    /// The client's address, where it is known.
    pub client: Option<IpAddr>,
}

/// The archive that a ticket opens, as its files are now.
#[derive(Debug)]
pub struct OpenedArchive {
    /// The archive.
    pub archive: Arc<Archive>,
    /// The name that it is saved under.
    pub name: FileName,
}

/// A ticket that is good now. Its download may have lapsed.
#[derive(Debug)]
pub struct OpenedTicket {
    pub(super) row: Arc<TicketRow>,
    /// The signing key of the ticket.
    pub(super) kid: Kid,
    pub(super) link: LinkId,
    pub(super) share: Option<RunningShare>,
    /// What it opens, where that is no single file.
    pub(super) archive: Option<OpenedArchive>,
    pub(super) in_force: InForce,
    pub(super) expires: UnixSeconds,
    pub(super) link_expires: UnixSeconds,
    /// The downloads that the link, or the share, allows now.
    pub(super) allowed: u64,
}

/// A lapsed download that may be started again, if there is one left.
#[derive(Debug)]
pub struct PreparedRestart {
    organization: OrganizationId,
    rid: RedemptionId,
}

impl OpenedTicket {
    /// The counted link, or the share, that started the download.
    pub const fn link(&self) -> LinkId {
        self.link
    }

    /// The share that started it, if it was one.
    pub const fn share(&self) -> Option<&RunningShare> {
        self.share.as_ref()
    }

    /// What it opens, where that is an archive; else [`Gateway::open_ticket`] opens its file.
    pub const fn archive(&self) -> Option<&OpenedArchive> {
        self.archive.as_ref()
    }

    /// Returns the signing key and the counters that the link was verified with.
    pub const fn in_force(&self) -> &InForce {
        &self.in_force
    }

    /// From when on the link no longer starts a download.
    pub const fn link_expires(&self) -> UnixSeconds {
        self.link_expires
    }

    /// Returns whether its download is done, so that its bytes need not be counted.
    pub fn is_done(&self) -> bool {
        self.row.ticket.redemption.state == RedemptionState::Done
    }

    fn rid(&self) -> RedemptionId {
        self.row.ticket.redemption.ticket.rid
    }
}

impl LimitedLink for OpenedTicket {
    fn link_id(&self) -> LinkId {
        self.link
    }

    fn organization(&self) -> &str {
        self.row.ticket.redemption.organization.as_str()
    }
}

impl Gateway {
    /// Verifies a ticket, and judges its link as that would be. Nothing is changed.
    ///
    /// # Errors
    /// The refusal of a bad link, for whatever ended; `Unavailable` where the catalogue does not say.
    pub async fn verify_ticket(
        &self,
        request: &TicketRequest<'_>,
    ) -> Result<OpenedTicket, Refusal> {
        // 1.
        let attempt = TicketAttempt {
            organization: request.organization,
            ticket: request.ticket,
        };
        let verified = self.verify_any_ticket(&attempt, request.client).await?;
        // 2.
        let found = self.ticket_row(&verified).await?;
        // 3. By what was revoked when the row was there.
        let known = self.current().await?;
        let judged = self.judge(&found.row, request.client, &known.revocations)?;
        // 4.
        self.expect_alive(&found)?;
        let row = Arc::clone(&found.row);
        Ok(OpenedTicket {
            kid: verified.kid().clone(),
            expires: verified.expires(),
            share: None,
            archive: None,
            link: judged.id,
            in_force: judged.in_force.clone(),
            link_expires: judged.expires,
            allowed: row.ticket.allowance.allowed.ok_or_else(no_link)?,
            row,
        })
    }

    /// Verifies a ticket in memory, whatever started its download.
    pub(super) async fn verify_any_ticket(
        &self,
        attempt: &TicketAttempt<'_>,
        client: Option<IpAddr>,
    ) -> Result<VerifiedTicket, Refusal> {
        let known = self.current().await?;
        let conditions = self.conditions(client, &known.revocations);
        let verified = self.keyring().verify_ticket(attempt, &conditions);
        verified.map_err(Refusal::Link)
    }

    /// Opens the file of a ticket. Of a download that lapsed nothing is sent before [`Gateway::restart`], and nothing
    /// is said of it before [`Gateway::expect_left`].
    ///
    /// # Errors
    /// As [`Gateway::open_verified`].
    pub async fn open_ticket(&self, ticket: &OpenedTicket) -> Result<Download, Refusal> {
        // 4.
        let of = &ticket.row.ticket;
        let file = of.redemption.file.as_ref().ok_or_else(no_link)?;
        let file = FileRef::new(&of.redemption.organization, file);
        let claims = || match &ticket.row.of {
            TicketOf::Link { claims, .. } => claims.plain().clone(),
            TicketOf::Share => saved(),
        };
        self.open_file(file, ticket.expires, claims).await
    }

    /// The file of a ticket, if it is there, without opening it.
    ///
    /// # Errors
    /// As [`Gateway::file_of`].
    pub async fn file_of_ticket(&self, ticket: &OpenedTicket) -> Result<Arc<FileRecord>, Refusal> {
        let of = &ticket.row.ticket.redemption;
        let file = of.file.as_ref().ok_or_else(no_link)?;
        self.whole_file(FileRef::new(&of.organization, file)).await
    }

    /// Expects that the download of a ticket did not lapse, or that there is one left. Starts none.
    ///
    /// # Errors
    /// The refusal of a bad link where none is left.
    pub fn expect_left(&self, ticket: &OpenedTicket) -> Result<(), Refusal> {
        let of = &ticket.row.ticket;
        match of.redemption.state {
            RedemptionState::Lapsed => expect_left(of, ticket.allowed),
            RedemptionState::Open | RedemptionState::Done => Ok(()),
        }
    }

    /// Admits that the download of a ticket is started again, if it lapsed.
    ///
    /// # Errors
    /// `TooMany` as for a start.
    pub fn prepare_restart(
        &self,
        ticket: &OpenedTicket,
        client: Option<IpAddr>,
    ) -> Result<Option<PreparedRestart>, Refusal> {
        // 5.
        let of = &ticket.row.ticket.redemption;
        if of.state != RedemptionState::Lapsed {
            return Ok(None);
        }
        self.limits.admit_redeem(&of.subject, client)?;
        let organization = of.organization.clone();
        let rid = ticket.rid();
        Ok(Some(PreparedRestart { organization, rid }))
    }

    /// Starts a lapsed download again, before bytes of it are sent.
    ///
    /// # Errors
    /// The refusal of a bad link where none is left; `Unavailable` where the catalogue does not say.
    pub async fn restart(&self, prepared: PreparedRestart) -> Result<(), Refusal> {
        let PreparedRestart { organization, rid } = prepared;
        let state = {
            let _queued = self.redeems.enter(Some(organization.clone())).await?;
            let reopened = self.catalog.reopen(&organization, rid, self.clock.now());
            self.ask(reopened).await
        };
        match state {
            Ok(RedemptionState::Open | RedemptionState::Done) => {
                self.tickets.forget_row(rid);
                Ok(())
            }
            Ok(RedemptionState::Lapsed) | Err(Refusal::Missing { .. }) => Err(no_link()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Begins an answer of `due` bytes by a ticket.
    ///
    /// # Errors
    /// `TooMany` where the ticket does not give so many while others are under way; `Overdrawn` where it gives so many
    /// no more.
    pub fn begin_answer(&self, ticket: &OpenedTicket, due: u64) -> Result<RunningAnswer, Refusal> {
        self.tickets.begin(&ticket.row, ticket.kid.clone(), due)
    }

    /// Finds the row of a ticket, as it was within the staleness bound before this request, or later.
    pub(super) async fn ticket_row(&self, ticket: &VerifiedTicket) -> Result<FoundTicket, Refusal> {
        let (organization, rid) = (ticket.organization(), ticket.redemption());
        let begun = self.clock.elapsed();
        if let Some(found) = self.tickets.found(rid, begun) {
            expect_of(&found.row, ticket)?;
            return Ok(found);
        }
        let reading = self.tickets.begin_reading(rid, begun);
        if let Some(found) = self.catalog.redemption_on_the_spot(organization, rid) {
            let row = Arc::new(row_of(found.ok_or_else(no_link)?, reading.begun())?);
            self.tickets
                .keep_row(&row, &reading, self.clock.elapsed())?;
            expect_of(&row, ticket)?;
            return Ok(self.tickets.found_now(row));
        }
        let read = || async {
            let reading = self.tickets.begin_reading(rid, self.clock.elapsed());
            let found = self.catalog.redemption(organization, rid);
            let Some(found) = self.read_of(organization, found).await? else {
                return Ok(None);
            };
            let row = Arc::new(row_of(found, reading.begun())?);
            self.tickets
                .keep_row(&row, &reading, self.clock.elapsed())?;
            Ok(Some(row))
        };
        let read = || async {
            let found = self.ticket_reads.read(rid, self.rows_at(), &read).await?;
            found.ok_or_else(no_link)
        };
        let mut row = read().await?;
        if !row.is_fresh(begun) {
            // It was read for somebody who has waited long. The next reading begins after this request did.
            row = read().await?;
        }
        expect_of(&row, ticket)?;
        Ok(self.tickets.found_now(row))
    }

    /// Judges the link of a ticket at this moment. The ticket of a share is not one of a link: it opens below the share's
    /// own address alone.
    fn judge<'a>(
        &self,
        row: &'a TicketRow,
        client: Option<IpAddr>,
        revocations: &Revocations,
    ) -> Result<LinkOfTicket<'a>, Refusal> {
        let (redemption, allowance) = (&row.ticket.redemption, &row.ticket.allowance);
        let TicketOf::Link { claims, in_force } = &row.of else {
            return Err(no_link());
        };
        let link = allowance.link.as_ref().ok_or_else(no_link)?;
        let expires = allowance.expires.ok_or_else(no_link)?;
        let judged = LinkOfTicket {
            file: FileRef::new(&redemption.organization, &link.file),
            expires,
            claims,
            id: link.id,
            in_force,
        };
        let conditions = self.conditions(client, revocations);
        let checked = self.keyring().check_link_of_ticket(&judged, &conditions);
        checked.map_err(Refusal::Link)?;
        Ok(judged)
    }

    /// A ticket that was done a while ago is dead, and so is one that gave too much.
    pub(super) fn expect_alive(&self, found: &FoundTicket) -> Result<(), Refusal> {
        let redemption = &found.row.ticket.redemption;
        let is_over = redemption
            .done_at
            .is_some_and(|done_at| self.clock.now() >= done_at.plus(DONE_SECONDS));
        if is_over || found.is_overdrawn {
            return Err(Refusal::Link(Rejection::Expired));
        }
        Ok(())
    }
}

/// A ticket is the one of its row.
fn expect_of(row: &TicketRow, ticket: &VerifiedTicket) -> Result<(), Refusal> {
    let redemption = &row.ticket.redemption;
    let is_same = redemption.organization == *ticket.organization()
        && redemption.ticket.expires == ticket.expires();
    is_same.then_some(()).ok_or_else(no_link)
}

fn expect_left(of: &Ticket, allowed: u64) -> Result<(), Refusal> {
    match of.allowance.counts.left(allowed) {
        0 => Err(no_link()),
        _ => Ok(()),
    }
}

/// Reads what the layer that signs wrote into a row.
fn row_of(ticket: Ticket, read_at: Duration) -> Result<TicketRow, Refusal> {
    let allowance = &ticket.allowance;
    let of = match &allowance.link {
        None => TicketOf::Share,
        Some(link) => {
            let damaged =
                || Refusal::Internal("the claims of a counted download are damaged".into());
            TicketOf::Link {
                claims: Box::new(CountedClaims::from_text(&link.claims).ok_or_else(damaged)?),
                in_force: InForce {
                    kid: Kid::parse(&allowance.kid).ok_or_else(damaged)?,
                    epoch: allowance.epoch,
                    link_revision: link.link_revision,
                },
            }
        }
    };
    Ok(TicketRow {
        of,
        ticket,
        read_at,
    })
}

/// The claims of an answer that is to be saved: the button of a page says so.
#[expect(clippy::expect_used, reason = "a word that is a claim")]
fn saved() -> Claims {
    let claims = Claims::none().with(ClaimName::ContentDisposition, "attachment");
    claims.expect("a disposition")
}

pub(super) fn no_link() -> Refusal {
    Refusal::Link(Rejection::Malformed)
}
