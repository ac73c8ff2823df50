//! What a caller is told of a link who may know more than a client: which link it is, whatever keeps it from opening,
//! and why it does not.

use super::claims::{Claims, LinkKind};
use super::counted::{CountedClaims, VerifiedCounted};
use super::keyring::Keyring;
use super::ticket::{TicketAttempt, UnprovenTicket, VerifiedTicket};
use super::url::SignedUrl;
use super::verify::{Attempt, Conditions, Rejection, UnprovenLink, Verified};
use crate::model::address::FileAddress;
use crate::model::id::OrganizationId;
use crate::model::revocation::{LinkId, Revocations, SignedFor};
use crate::model::time::UnixSeconds;

/// The most earlier pairs of epoch and link revision that [`Keyring::explain`] tries.
pub const EXPLAIN_TRIES_MAX: usize = 1_000;

/// The most earlier pairs of epoch and link revision that [`Keyring::recognize_ended`] tries: a caller who asks again
/// for what was just done is found by the first of them.
pub const RECOGNIZE_TRIES_MAX: usize = 256;

/// A link whose MAC is good, whatever else may keep it from opening. It opens nothing: it says which link
/// somebody means who wants it revoked.
#[derive(Debug)]
pub struct RecognizedLink {
    /// The organization of the link's file.
    pub organization: OrganizationId,
    /// Names the link.
    pub link_id: LinkId,
    /// The first second at which the link is dead.
    pub expires: UnixSeconds,
    /// The link's file, and the counters that it was signed with.
    pub signed: SignedFor,
}

impl Keyring {
    /// Checks 1 to 3 alone: whether a link, counted or not, is one of ours under the epoch and the link revision in
    /// force, also where its time is over or has not come, or its claims mean nothing. A ticket is no link.
    ///
    /// # Errors
    /// [`Rejection`], of the first check that fails.
    pub fn recognize(
        &self,
        url: &SignedUrl<'_>,
        revocations: &Revocations,
    ) -> Result<RecognizedLink, Rejection> {
        match url {
            SignedUrl::Download(link) => self.recognize_as::<Claims>(link, revocations),
            SignedUrl::Counted(link) => self.recognize_as::<CountedClaims>(link, revocations),
            SignedUrl::Ticket(_) => Err(Rejection::Malformed),
        }
    }

    /// Recognizes a link that opened until all links of its file or of its organization were revoked, not long before.
    /// Costs up to [`RECOGNIZE_TRIES_MAX`] times as much as [`Keyring::recognize`], so it is for callers with an API
    /// key, who want a link revoked.
    pub fn recognize_ended(
        &self,
        url: &SignedUrl<'_>,
        revocations: &Revocations,
    ) -> Option<RecognizedLink> {
        match url {
            SignedUrl::Download(link) => self.recognize_ended_as::<Claims>(link, revocations),
            SignedUrl::Counted(link) => self.recognize_ended_as::<CountedClaims>(link, revocations),
            SignedUrl::Ticket(_) => None,
        }
    }

    /// Verifies like [`Keyring::verify`], and looks for the reason behind a MAC that does not match: whether it would
    /// at an earlier link revision or epoch. Costs up to [`EXPLAIN_TRIES_MAX`] times as much, so it is for an operator,
    /// never for a request.
    ///
    /// # Errors
    /// [`Rejection`], with its reason.
    pub fn explain<'a>(
        &self,
        attempt: &Attempt<'a>,
        conditions: &Conditions<'_>,
    ) -> Result<Verified<'a>, Rejection> {
        self.verify(attempt, conditions)
            .map_err(|rejection| self.reason::<Claims>(attempt, conditions, rejection))
    }

    /// As [`Keyring::explain`], of a counted link.
    ///
    /// # Errors
    /// [`Rejection`], with its reason.
    pub fn explain_counted<'a>(
        &self,
        attempt: &Attempt<'a>,
        conditions: &Conditions<'_>,
    ) -> Result<VerifiedCounted<'a>, Rejection> {
        self.verify_counted(attempt, conditions)
            .map_err(|rejection| self.reason::<CountedClaims>(attempt, conditions, rejection))
    }

    /// As [`Keyring::explain`], of a ticket.
    ///
    /// # Errors
    /// [`Rejection`], with its reason.
    pub fn explain_ticket(
        &self,
        attempt: &TicketAttempt<'_>,
        conditions: &Conditions<'_>,
    ) -> Result<VerifiedTicket, Rejection> {
        let rejection = match self.verify_ticket(attempt, conditions) {
            Err(Rejection::MacMismatch) => Rejection::MacMismatch,
            settled => return settled,
        };
        let ticket = UnprovenTicket::parse(attempt).ok_or(Rejection::Malformed)?;
        let earlier = (0..ticket.epoch(conditions.revocations)).rev();
        let mut tried = earlier.take(EXPLAIN_TRIES_MAX);
        match tried.any(|epoch| self.check_mac(&ticket, epoch, 0).is_ok()) {
            true => Err(Rejection::OrganizationRevoked),
            false => Err(rejection),
        }
    }

    fn recognize_as<K: LinkKind>(
        &self,
        attempt: &Attempt<'_>,
        revocations: &Revocations,
    ) -> Result<RecognizedLink, Rejection> {
        let link = UnprovenLink::<K>::parse(attempt).ok_or(Rejection::Malformed)?;
        let (epoch, revision) = link.in_force(revocations);
        self.check_mac(&link, epoch, revision)?;
        Ok(link.recognized(epoch, revision))
    }

    fn recognize_ended_as<K: LinkKind>(
        &self,
        attempt: &Attempt<'_>,
        revocations: &Revocations,
    ) -> Option<RecognizedLink> {
        let link = UnprovenLink::<K>::parse(attempt)?;
        let (epoch, revision) = link.in_force(revocations);
        let matches =
            |&(epoch, revision): &(u64, u64)| self.check_mac(&link, epoch, revision).is_ok();
        let (epoch, revision) = earlier(epoch, revision, RECOGNIZE_TRIES_MAX).find(matches)?;
        Some(link.recognized(epoch, revision))
    }

    /// Returns the reason behind a rejection, which is the rejection itself but for a MAC that matched before.
    fn reason<K: LinkKind>(
        &self,
        attempt: &Attempt<'_>,
        conditions: &Conditions<'_>,
        rejection: Rejection,
    ) -> Rejection {
        let link = UnprovenLink::<K>::parse(attempt);
        let Some(link) = link.filter(|_| rejection == Rejection::MacMismatch) else {
            return rejection;
        };
        let (epoch, revision) = link.in_force(conditions.revocations);
        let matches =
            |&(epoch, revision): &(u64, u64)| self.check_mac(&link, epoch, revision).is_ok();
        match earlier(epoch, revision, EXPLAIN_TRIES_MAX).find(matches) {
            Some((of, _)) if of == epoch => Rejection::FileRevoked,
            Some(_) => Rejection::OrganizationRevoked,
            None => rejection,
        }
    }
}

/// The pairs of epoch and link revision that were in force before these, likely ones first, so many at most. Raising
/// the epoch sets the revisions back to 0, so under an earlier epoch any revision may have been.
fn earlier(epoch: u64, revision: u64, tries_max: usize) -> impl Iterator<Item = (u64, u64)> {
    let tries_of_this_epoch = if epoch == 0 { tries_max } else { tries_max / 2 };
    let of_this_epoch = (0..revision).rev().map(move |revision| (epoch, revision));
    // By how far the epoch lies back and how high the revision is, in sum.
    let of_earlier_epochs = (1..=tries_max as u64)
        .flat_map(move |sum| (1..=sum.min(epoch)).map(move |back| (epoch - back, sum - back)));
    of_this_epoch
        .take(tries_of_this_epoch)
        .chain(of_earlier_epochs)
        .take(tries_max)
}

impl<K: LinkKind> UnprovenLink<'_, K> {
    /// The link as one that was signed with these counters.
    fn recognized(&self, epoch: u64, link_revision: u64) -> RecognizedLink {
        let FileAddress { organization, file } = self.file.to_address();
        RecognizedLink {
            organization,
            link_id: self.token.link_id,
            expires: self.expires,
            signed: SignedFor {
                file,
                epoch,
                link_revision,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_pairs_are_bounded_and_likely_ones_come_first() {
        let all = |epoch, revision| earlier(epoch, revision, EXPLAIN_TRIES_MAX);
        let first = |epoch, revision| all(epoch, revision).take(6).collect::<Vec<_>>();
        assert_eq!(first(0, 0), []);
        assert_eq!(first(0, 2), [(0, 1), (0, 0)]);
        assert_eq!(
            first(2, 1),
            [(2, 0), (1, 0), (1, 1), (0, 0), (1, 2), (0, 1)]
        );
        for (epoch, revision) in [(0, 5_000), (5_000, 0), (u64::MAX, u64::MAX), (1, 1)] {
            assert_eq!(all(epoch, revision).count(), EXPLAIN_TRIES_MAX);
        }
    }
}
