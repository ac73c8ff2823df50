//! The link of a ticket, which is judged anew at every request by the ticket: what would not open any more, or not for
//! this client, gives no bytes of a download that it started before either.

use super::claims::LinkKind as _;
use super::counted_claims::CountedClaims;
use super::keyring::{KeyState, Keyring};
use super::verify::{Conditions, InForce, Rejection};
use crate::model::address::FileRef;
use crate::model::revocation::LinkId;
use crate::model::time::UnixSeconds;

/// The counted link that started a download, as it was verified then.
#[derive(Clone, Copy, Debug)]
pub struct LinkOfTicket<'a> {
    /// The file's address.
    pub file: FileRef<'a>,
    /// The first second at which the link is dead.
    pub expires: UnixSeconds,
    /// Its claims.
    pub claims: &'a CountedClaims,
    /// Its name in logs, by which it is denied.
    pub id: LinkId,
    /// The signing key and the counters that it was verified with.
    pub in_force: &'a InForce,
}

impl Keyring {
    /// Checks all of a counted link that may have changed since it was verified: its signing key, the counters that it
    /// was signed with, its time, its claims, and that it was not revoked.
    ///
    /// # Errors
    /// [`Rejection`], of the first check that fails, in the order of a link.
    pub fn check_link_of_ticket(
        &self,
        link: &LinkOfTicket<'_>,
        conditions: &Conditions<'_>,
    ) -> Result<(), Rejection> {
        let (known, of) = (conditions.revocations, link.in_force);
        match self.key(&of.kid).map(|key| key.state) {
            None => return Err(Rejection::KidUnknown),
            Some(KeyState::Retired) => return Err(Rejection::KidRetired),
            Some(KeyState::Active | KeyState::VerifyOnly) => {}
        }
        let organization = link.file.organization();
        let is_in_force = known.epoch(organization) == of.epoch
            && known.revision(organization, link.file.file()) == of.link_revision;
        if !is_in_force {
            return Err(Rejection::MacMismatch);
        }
        conditions.check_end(link.expires)?;
        conditions.check_claims(link.claims.plain())?;
        conditions.check_denied(organization, Some(link.file.file()), link.id)
    }
}
