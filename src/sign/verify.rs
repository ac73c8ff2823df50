//! The verifier: the one place where a link becomes a [`Verified`].

use std::borrow::Cow;
use std::fmt;
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use super::claims::{ClaimName, Claims};
use super::derived::DerivedFrom;
use super::encoding;
use super::keyring::{KeyState, Keyring, Kid};
use super::mac::{Keyed, download_message};
use super::organization_key::derive;
use super::query::Parameters;
use super::token::Token;
use crate::model::address::{FileAddress, FileRef};
use crate::model::id::OrganizationId;
use crate::model::network::Network;
use crate::model::revocation::{LinkId, Revocations, SignedFor};
use crate::model::time::UnixSeconds;

/// The most earlier pairs of epoch and link revision that [`Keyring::explain`] tries.
pub const EXPLAIN_TRIES_MAX: usize = 1_000;

/// The most earlier pairs of epoch and link revision that [`Keyring::recognize_ended`] tries: a caller who asks again
/// for what was just done is found by the first of them.
pub const RECOGNIZE_TRIES_MAX: usize = 256;

/// A link as a client sent it. It is a credential, so it has no `Debug`.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The path segment that names the organization, not decoded.
    pub organization: &'a str,
    /// The path segment that names the file, not decoded.
    pub file: &'a str,
    /// The text behind the `?`, not decoded; empty if there is none.
    pub query: &'a str,
}

/// The conditions that a link is verified under.
#[derive(Clone, Copy, Debug)]
pub struct Conditions<'a> {
    /// The time.
    pub now: UnixSeconds,
    /// The furthest that `expires` may lie ahead, in seconds.
    pub lifetime_max: u64,
    /// The time by which `not-before` may be passed early, in seconds, for clocks that disagree.
    pub not_before_leeway: u64,
    /// The client's address. Unknown: no `ip` claim lets the link through.
    pub client: Option<IpAddr>,
    /// The snapshot of revocations.
    pub revocations: &'a Revocations,
}

/// The proof that a link is good: whose file it opens, until when, under which claims. Only the
/// verifier can make one, and it cannot be copied. It borrows the ids from the request.
#[derive(Debug)]
pub struct Verified<'a> {
    file: FileRef<'a>,
    expires: UnixSeconds,
    claims: Claims,
    link_id: LinkId,
    in_force: InForce,
}

/// The signing key, the epoch and the link revision that a link was verified with. Whoever revokes more than one link
/// puts others in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The signing key of the link.
    pub kid: Kid,
    /// The epoch of its organization.
    pub epoch: u64,
    /// The link revision of its file.
    pub link_revision: u64,
}

impl<'a> Verified<'a> {
    /// Returns the file's address.
    pub const fn file(&self) -> FileRef<'a> {
        self.file
    }

    /// The first second at which the link is dead.
    pub fn expires(&self) -> UnixSeconds {
        self.expires
    }

    /// Returns the other claims of the link.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Returns the other claims of the link, which are no longer a proof of it.
    pub fn into_claims(self) -> Claims {
        self.claims
    }

    /// The link's name in logs.
    pub fn link_id(&self) -> LinkId {
        self.link_id
    }

    /// The signing key it was made with.
    pub fn kid(&self) -> &Kid {
        &self.in_force.kid
    }

    /// Returns the signing key and the counters that it was verified with.
    pub const fn in_force(&self) -> &InForce {
        &self.in_force
    }
}

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

/// The reason why a link opens nothing. For logs, metrics and the operator; a client is never told which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// It is not spelled as a link, or a claim means nothing.
    Malformed,
    /// No signing key has its kid.
    KidUnknown,
    /// Its signing key is retired.
    KidRetired,
    /// It was not signed so, or with another key, or before a revocation.
    MacMismatch,
    /// Its time is over.
    Expired,
    /// It would live longer than any link may.
    TooFar,
    /// Its `not-before` has not come.
    NotYetValid,
    /// Its `ip` is not the client's.
    IpMismatch,
    /// This one link was revoked.
    LinkRevoked,
    /// All links of its file were revoked. Only [`Keyring::explain`] says so.
    FileRevoked,
    /// All links of its organization were revoked. Only [`Keyring::explain`] says so.
    OrganizationRevoked,
}

impl Rejection {
    /// A word that stays the same from version to version.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::KidUnknown => "kid_unknown",
            Self::KidRetired => "kid_retired",
            Self::MacMismatch => "mac_mismatch",
            Self::Expired => "expired",
            Self::TooFar => "too_far",
            Self::NotYetValid => "not_yet_valid",
            Self::IpMismatch => "ip_mismatch",
            Self::LinkRevoked => "link_revoked",
            Self::FileRevoked => "file_revoked",
            Self::OrganizationRevoked => "organization_revoked",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl std::error::Error for Rejection {}

impl Keyring {
    /// Checks a link in the order that [`crate::sign`] gives. A revoked file or organization is a
    /// [`Rejection::MacMismatch`] here. Never fails in another way, whatever was sent, and its work
    /// grows with the length of the link only. Allocates nothing but for claims, for percent-encoded
    /// parameters, and for the first good link of an organization.
    ///
    /// # Errors
    /// [`Rejection`], of the first check that fails.
    pub fn verify<'a>(
        &self,
        attempt: &Attempt<'a>,
        conditions: &Conditions<'_>,
    ) -> Result<Verified<'a>, Rejection> {
        let link = UnprovenLink::parse(attempt).ok_or(Rejection::Malformed)?;
        let (epoch, revision) = link.in_force(conditions.revocations);
        self.check_mac(&link, epoch, revision)?;
        link.check_the_rest(epoch, revision, conditions)
    }

    /// Checks 1 to 3 alone: whether a link is one of ours under the epoch and the link revision in force,
    /// also where its time is over or has not come, or its claims mean nothing.
    ///
    /// # Errors
    /// [`Rejection`], of the first check that fails.
    pub fn recognize(
        &self,
        attempt: &Attempt<'_>,
        revocations: &Revocations,
    ) -> Result<RecognizedLink, Rejection> {
        let link = UnprovenLink::parse(attempt).ok_or(Rejection::Malformed)?;
        let (epoch, revision) = link.in_force(revocations);
        self.check_mac(&link, epoch, revision)?;
        Ok(link.recognized(epoch, revision))
    }

    /// Recognizes a link that opened until all links of its file or of its organization were revoked, not long before.
    /// Costs up to [`RECOGNIZE_TRIES_MAX`] times as much as [`Keyring::recognize`], so it is for callers with an API
    /// key, who want a link revoked.
    pub fn recognize_ended(
        &self,
        attempt: &Attempt<'_>,
        revocations: &Revocations,
    ) -> Option<RecognizedLink> {
        let link = UnprovenLink::parse(attempt)?;
        let (epoch, revision) = link.in_force(revocations);
        let matches =
            |&(epoch, revision): &(u64, u64)| self.check_mac(&link, epoch, revision).is_ok();
        let (epoch, revision) = earlier(epoch, revision, RECOGNIZE_TRIES_MAX).find(matches)?;
        Some(link.recognized(epoch, revision))
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
        let rejection = match self.verify(attempt, conditions) {
            Err(Rejection::MacMismatch) => Rejection::MacMismatch,
            settled => return settled,
        };
        let link = UnprovenLink::parse(attempt).ok_or(Rejection::Malformed)?;
        let (epoch, revision) = link.in_force(conditions.revocations);
        let matches =
            |&(epoch, revision): &(u64, u64)| self.check_mac(&link, epoch, revision).is_ok();
        match earlier(epoch, revision, EXPLAIN_TRIES_MAX).find(matches) {
            Some((of, _)) if of == epoch => Err(Rejection::FileRevoked),
            Some(_) => Err(Rejection::OrganizationRevoked),
            None => Err(rejection),
        }
    }

    /// Checks 2 and 3. Every link that is refused costs one derived key and one MAC: where the kid is unknown
    /// or retired, and also where the organization's key is in the cache, which would tell in its time that
    /// links of that organization were opened of late. Only a good link saves the derivation, and only a good
    /// link puts a key into the cache.
    fn check_mac(
        &self,
        link: &UnprovenLink<'_>,
        epoch: u64,
        revision: u64,
    ) -> Result<(), Rejection> {
        let key = self.key(&link.token.kid);
        let usable = key.and_then(|key| Some((&key.kid, key.secret.as_ref()?)));
        let (kid, secret) = usable.unwrap_or_else(|| self.active_key());
        let organization = link.file.organization();
        let from = DerivedFrom {
            kid,
            organization,
            epoch,
        };
        let derived = || Keyed::new(&*derive(secret, organization, epoch));
        let kept = self.derived.get(from);
        let (matches, fresh) = match &kept {
            Some(kept) => (link.mac_matches(kept, revision), None),
            None => {
                let fresh = derived();
                (link.mac_matches(&fresh, revision), Some(fresh))
            }
        };
        match key.map(|key| key.state) {
            Some(KeyState::Active | KeyState::VerifyOnly) if matches => {
                if let Some(fresh) = fresh {
                    let organization = link.file.to_address().organization;
                    self.derived.keep(from, &organization, Arc::new(fresh));
                }
                return Ok(());
            }
            _ if kept.is_some() => drop(black_box(derived())),
            _ => {}
        }
        Err(match key.map(|key| key.state) {
            None => Rejection::KidUnknown,
            Some(KeyState::Retired) => Rejection::KidRetired,
            Some(KeyState::Active | KeyState::VerifyOnly) => Rejection::MacMismatch,
        })
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

/// A link of the right shape that nothing proves yet.
struct UnprovenLink<'a> {
    file: FileRef<'a>,
    expires: UnixSeconds,
    /// In its one spelling, as it was signed.
    expires_text: Cow<'a, str>,
    claims: Vec<(ClaimName, Cow<'a, str>)>,
    token: Token,
}

impl<'a> UnprovenLink<'a> {
    /// Check 1.
    fn parse(attempt: &Attempt<'a>) -> Option<Self> {
        let parameters = Parameters::parse(attempt.query)?;
        Some(Self {
            file: FileRef::parse(attempt.organization, attempt.file).ok()?,
            expires: encoding::seconds(&parameters.expires)?,
            expires_text: parameters.expires,
            claims: parameters.claims,
            token: Token::parse(&parameters.token)?,
        })
    }

    /// The organization's epoch and the file's link revision.
    fn in_force(&self, revocations: &Revocations) -> (u64, u64) {
        let epoch = revocations.epoch(self.file.organization());
        (
            epoch,
            revocations.revision(self.file.organization(), self.file.file()),
        )
    }

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

    fn mac_matches(&self, organization_key: &Keyed, revision: u64) -> bool {
        let mac = organization_key.mac(|message| {
            let claims = self.claims.iter().map(|(name, text)| (*name, &**text));
            let (organization, file) = (self.file.organization(), self.file.file());
            let expires = self.expires_text.as_bytes();
            download_message(organization, file, expires, revision, claims, message);
        });
        mac.as_slice().ct_eq(&self.token.mac).into()
    }

    /// Checks 4 to 9, of a link whose MAC is good under this epoch and this link revision.
    fn check_the_rest(
        self,
        epoch: u64,
        link_revision: u64,
        conditions: &Conditions<'_>,
    ) -> Result<Verified<'a>, Rejection> {
        if conditions.now >= self.expires {
            return Err(Rejection::Expired);
        }
        if self.expires.since(conditions.now) > conditions.lifetime_max {
            return Err(Rejection::TooFar);
        }
        let mut claims = Claims::none();
        for (name, text) in self.claims {
            let more = claims.with(name, text);
            claims = more.map_err(|_| Rejection::Malformed)?;
        }
        let latest_start = conditions.now.plus(conditions.not_before_leeway);
        if claims
            .not_before()
            .is_some_and(|start| start > latest_start)
        {
            return Err(Rejection::NotYetValid);
        }
        let client_is_in = |network: Network| {
            let client = conditions.client;
            client.is_some_and(|address| network.contains(address))
        };
        if !claims.ip().is_none_or(client_is_in) {
            return Err(Rejection::IpMismatch);
        }
        let link_id = self.token.link_id;
        let organization = self.file.organization();
        if conditions.revocations.is_denied(organization, link_id) {
            return Err(Rejection::LinkRevoked);
        }
        Ok(Verified {
            file: self.file,
            expires: self.expires,
            claims,
            link_id,
            in_force: InForce {
                kid: self.token.kid,
                epoch,
                link_revision,
            },
        })
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
