//! Tickets: what a download that was started is fetched with, as often as its holder likes.
//!
//! A ticket stands in the path of its URL, so that a program which saves the file, or goes on where it stopped, needs no
//! query. Its redemption's id is drawn for it alone, so it names the file, and everything else that is to be asked of
//! the catalogue; but only once the MAC is good.

use std::fmt;

use super::derived::KeyKind;
use super::encoding::{percent_encode, push_base64url, seconds};
use super::keyring::{Keyring, Kid};
use super::message::ticket_message;
use super::token::Token;
use super::verify::{Conditions, Rejection, Unproven};
use crate::model::id::OrganizationId;
use crate::model::redemption::RedemptionId;
use crate::model::revocation::Revocations;
use crate::model::time::UnixSeconds;

/// A ticket as a client sent it. It is a credential, so it has no `Debug`.
#[derive(Clone, Copy)]
pub struct TicketAttempt<'a> {
    /// The path segment that names the organization, not decoded.
    pub organization: &'a str,
    /// The path segment that is the ticket, not decoded.
    pub ticket: &'a str,
}

/// The terms of a ticket: whose download it opens, and until when.
#[derive(Clone, Copy, Debug)]
pub struct TicketGrant<'a> {
    /// The organization that owns what is downloaded.
    pub organization: &'a OrganizationId,
    /// The started download.
    pub redemption: RedemptionId,
    /// From then on no request by the ticket begins.
    pub expires: UnixSeconds,
}

/// A ticket that was made. It is a credential: `Debug` shows nothing of it.
#[derive(Clone)]
pub struct SignedTicket {
    organization: OrganizationId,
    text: String,
}

impl SignedTicket {
    /// The segment of its URL's path.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The whole URL. `base` goes before `/v1`, as in a link; `name` is the file's, for programs that save a file under
    /// the last segment. It is not signed.
    pub fn url(&self, base: &str, name: &str) -> String {
        let base = base.trim_end_matches('/');
        let (organization, ticket) = (&self.organization, &self.text);
        let name = percent_encode(name);
        format!("{base}/v1/organizations/{organization}/tickets/{ticket}/{name}")
    }
}

impl fmt::Debug for SignedTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedTicket(..)")
    }
}

/// The proof that a ticket is good. Only the verifier can make one, and it cannot be copied. Which file it opens, and
/// whether it still does, is in its redemption's row.
#[derive(Debug)]
pub struct VerifiedTicket {
    organization: OrganizationId,
    redemption: RedemptionId,
    expires: UnixSeconds,
    kid: Kid,
    epoch: u64,
}

impl VerifiedTicket {
    /// The organization that owns what is downloaded.
    pub const fn organization(&self) -> &OrganizationId {
        &self.organization
    }

    /// The started download.
    pub const fn redemption(&self) -> RedemptionId {
        self.redemption
    }

    /// From then on no request by the ticket begins.
    pub const fn expires(&self) -> UnixSeconds {
        self.expires
    }

    /// The signing key it was made with.
    pub const fn kid(&self) -> &Kid {
        &self.kid
    }

    /// The epoch of its organization that it was made in.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }
}

impl Keyring {
    /// Makes the ticket with the key of the gateway that the signing key `kid` gives for the organization at `epoch`.
    /// The same arguments give the same ticket. `None` if there is no such signing key, or it is retired.
    pub fn mint_ticket(
        &self,
        kid: &Kid,
        grant: &TicketGrant<'_>,
        epoch: u64,
    ) -> Option<SignedTicket> {
        let secret = self.key(kid)?.secret.as_ref()?;
        let key = self.signer(KeyKind::Gateway, kid, secret, grant.organization, epoch);
        let mut digits = itoa::Buffer::new();
        let expires = digits.format(grant.expires.get());
        let (organization, redemption) = (grant.organization.as_str(), grant.redemption.as_str());
        let mac = key.mac(|message| {
            ticket_message(organization, redemption, expires.as_bytes(), message);
        });
        let mut text = format!("{kid}.{expires}.{redemption}.");
        push_base64url(&mac, &mut text);
        Some(SignedTicket {
            organization: grant.organization.clone(),
            text,
        })
    }

    /// Checks a ticket: its syntax, its signing key, its MAC, its end, and that it was not revoked by its own id, the
    /// first 12 characters of its MAC. Nothing is looked up. How far ahead its end may lie is not asked: only a gateway
    /// makes tickets. Whether its link was revoked is for the caller to ask, who has its row.
    ///
    /// # Errors
    /// [`Rejection`], of the first check that fails.
    pub fn verify_ticket(
        &self,
        attempt: &TicketAttempt<'_>,
        conditions: &Conditions<'_>,
    ) -> Result<VerifiedTicket, Rejection> {
        let ticket = UnprovenTicket::parse(attempt).ok_or(Rejection::Malformed)?;
        let epoch = ticket.epoch(conditions.revocations);
        self.check_mac(&ticket, epoch, 0)?;
        if conditions.now >= ticket.expires {
            return Err(Rejection::Expired);
        }
        conditions.check_denied(ticket.organization.as_str(), None, ticket.token.link_id)?;
        Ok(VerifiedTicket {
            organization: ticket.organization,
            redemption: ticket.redemption,
            expires: ticket.expires,
            kid: ticket.token.kid,
            epoch,
        })
    }
}

/// A ticket of the right shape that nothing proves yet.
pub(super) struct UnprovenTicket<'a> {
    organization: OrganizationId,
    redemption: RedemptionId,
    expires: UnixSeconds,
    /// In its one spelling, as it was signed.
    expires_text: &'a str,
    token: Token,
}

impl<'a> UnprovenTicket<'a> {
    pub(super) fn parse(attempt: &TicketAttempt<'a>) -> Option<Self> {
        let mut parts = attempt.ticket.split('.');
        let mut next = || parts.next();
        let (kid, expires_text, redemption, mac) = (next()?, next()?, next()?, next()?);
        if next().is_some() {
            return None;
        }
        Some(Self {
            organization: OrganizationId::parse(attempt.organization).ok()?,
            redemption: RedemptionId::parse(redemption)?,
            expires: seconds(expires_text)?,
            expires_text,
            token: Token::of(kid, mac)?,
        })
    }

    /// The organization's epoch.
    pub(super) fn epoch(&self, revocations: &Revocations) -> u64 {
        revocations.epoch(self.organization.as_str())
    }
}

impl Unproven for UnprovenTicket<'_> {
    const KEY: KeyKind = KeyKind::Gateway;

    fn organization(&self) -> &str {
        self.organization.as_str()
    }

    fn to_organization(&self) -> OrganizationId {
        self.organization.clone()
    }

    fn token(&self) -> &Token {
        &self.token
    }

    /// A ticket has no link revision.
    fn write_message(&self, _: u64, message: &mut impl hmac::digest::Update) {
        let redemption = self.redemption.as_str();
        let expires = self.expires_text.as_bytes();
        ticket_message(self.organization.as_str(), redemption, expires, message);
    }
}
