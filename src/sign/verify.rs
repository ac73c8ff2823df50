//! The verifier: the one place where a link becomes a [`Verified`].

use std::borrow::Cow;
use std::fmt;
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;

use hmac::digest::Update;
use subtle::ConstantTimeEq as _;

use super::claims::{Claims, LinkKind};
use super::derived::{DerivedFrom, KeyKind};
use super::encoding;
use super::keyring::{KeyState, Keyring, Kid};
use super::mac::Keyed;
use super::message::{LinkLines, claim_lines, link_message};
use super::query::Parameters;
use super::token::Token;
use crate::model::address::FileRef;
use crate::model::id::OrganizationId;
use crate::model::network::Network;
use crate::model::revocation::{LinkId, Revocations};
use crate::model::time::UnixSeconds;

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
    /// This one link was revoked, or all of its file or its organization were and that is not written yet.
    LinkRevoked,
    /// All links of its file were revoked. Only [`Keyring::explain`] says so.
    FileRevoked,
    /// All links of its organization were revoked. Of a link only [`Keyring::explain`] says so; the row of a share does.
    OrganizationRevoked,
    /// The share is paused.
    Paused,
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
            Self::Paused => "paused",
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
        let (epoch, link_revision) = link.in_force(conditions.revocations);
        self.check_mac(&link, epoch, link_revision)?;
        let Proven {
            file,
            expires,
            claims,
            token,
        } = link.check_the_rest(conditions)?;
        Ok(Verified {
            file,
            expires,
            claims,
            link_id: token.link_id,
            in_force: InForce {
                kid: token.kid,
                epoch,
                link_revision,
            },
        })
    }

    /// Checks 2 and 3, of whatever is signed. What is refused costs one derived key and one MAC: where the kid is
    /// unknown or retired, and also where the derived key is in the cache, which would tell in its time that
    /// links of that organization were opened of late. Only a good link saves the derivation, and only a good
    /// link puts a key into the cache.
    pub(super) fn check_mac<T: Unproven>(
        &self,
        thing: &T,
        epoch: u64,
        link_revision: u64,
    ) -> Result<(), Rejection> {
        let key = self.key(&thing.token().kid);
        let usable = key.and_then(|key| Some((&key.kid, key.secret.as_ref()?)));
        let (kid, secret) = usable.unwrap_or_else(|| self.active_key());
        let organization = thing.organization();
        let from = DerivedFrom {
            kid,
            organization,
            epoch,
        };
        let derive = || T::KEY.derive(secret, organization, epoch);
        let derived = self.derived(T::KEY);
        let kept = derived.get(from);
        let (matches, fresh) = match &kept {
            Some(kept) => (mac_matches(thing, kept, link_revision), None),
            None => {
                let fresh = derive();
                (mac_matches(thing, &fresh, link_revision), Some(fresh))
            }
        };
        match key.map(|key| key.state) {
            Some(KeyState::Active | KeyState::VerifyOnly) if matches => {
                if let Some(fresh) = fresh {
                    derived.keep(from, &thing.to_organization(), Arc::new(fresh));
                }
                return Ok(());
            }
            _ if kept.is_some() => drop(black_box(derive())),
            _ => {}
        }
        Err(match key.map(|key| key.state) {
            None => Rejection::KidUnknown,
            Some(KeyState::Retired) => Rejection::KidRetired,
            Some(KeyState::Active | KeyState::VerifyOnly) => Rejection::MacMismatch,
        })
    }
}

/// A signed thing of the right shape that nothing proves yet.
pub(super) trait Unproven {
    /// The kind of key that signs it.
    const KEY: KeyKind;

    fn organization(&self) -> &str;

    fn to_organization(&self) -> OrganizationId;

    fn token(&self) -> &Token;

    /// Writes the message that its MAC is of, if it is good.
    fn write_message(&self, link_revision: u64, message: &mut impl Update);
}

fn mac_matches(thing: &impl Unproven, key: &Keyed, link_revision: u64) -> bool {
    let mac = key.mac(|message| thing.write_message(link_revision, message));
    mac.as_slice().ct_eq(&thing.token().mac).into()
}

impl Conditions<'_> {
    /// Checks 4 and 5.
    pub(super) fn check_end(&self, expires: UnixSeconds) -> Result<(), Rejection> {
        if self.now >= expires {
            return Err(Rejection::Expired);
        }
        if expires.since(self.now) > self.lifetime_max {
            return Err(Rejection::TooFar);
        }
        Ok(())
    }

    /// Checks 7 and 8.
    pub(super) fn check_claims(&self, claims: &Claims) -> Result<(), Rejection> {
        let latest_start = self.now.plus(self.not_before_leeway);
        if claims
            .not_before()
            .is_some_and(|start| start > latest_start)
        {
            return Err(Rejection::NotYetValid);
        }
        let client_is_in = |network: Network| {
            let client = self.client;
            client.is_some_and(|address| network.contains(address))
        };
        if !claims.ip().is_none_or(client_is_in) {
            return Err(Rejection::IpMismatch);
        }
        Ok(())
    }

    /// Check 9. The file of a ticket is not known.
    pub(super) fn check_denied(
        &self,
        organization: &str,
        file: Option<&str>,
        link_id: LinkId,
    ) -> Result<(), Rejection> {
        if self.revocations.refuses(organization, file, link_id) {
            return Err(Rejection::LinkRevoked);
        }
        Ok(())
    }
}

/// A link of the kind `K`, of the right shape, that nothing proves yet.
pub(super) struct UnprovenLink<'a, K: LinkKind> {
    pub(super) file: FileRef<'a>,
    pub(super) expires: UnixSeconds,
    /// In its one spelling, as it was signed.
    expires_text: Cow<'a, str>,
    claims: Vec<(K::Name, Cow<'a, str>)>,
    pub(super) token: Token,
}

impl<'a, K: LinkKind> UnprovenLink<'a, K> {
    /// Check 1.
    pub(super) fn parse(attempt: &Attempt<'a>) -> Option<Self> {
        let parameters = Parameters::<K>::parse(attempt.query)?;
        Some(Self {
            file: FileRef::parse(attempt.organization, attempt.file).ok()?,
            expires: encoding::seconds(&parameters.expires)?,
            expires_text: parameters.expires,
            claims: parameters.claims,
            token: Token::parse(&parameters.token)?,
        })
    }

    /// The organization's epoch and the file's link revision.
    pub(super) fn in_force(&self, revocations: &Revocations) -> (u64, u64) {
        let epoch = revocations.epoch(self.file.organization());
        (
            epoch,
            revocations.revision(self.file.organization(), self.file.file()),
        )
    }

    /// Checks 4 to 9, of a link whose MAC is good.
    pub(super) fn check_the_rest(
        self,
        conditions: &Conditions<'_>,
    ) -> Result<Proven<'a, K>, Rejection> {
        conditions.check_end(self.expires)?;
        let claims = K::judge(self.claims).ok_or(Rejection::Malformed)?;
        conditions.check_claims(claims.plain())?;
        let (organization, file) = (self.file.organization(), self.file.file());
        conditions.check_denied(organization, Some(file), self.token.link_id)?;
        Ok(Proven {
            file: self.file,
            expires: self.expires,
            claims,
            token: self.token,
        })
    }
}

impl<K: LinkKind> Unproven for UnprovenLink<'_, K> {
    const KEY: KeyKind = KeyKind::Organization;

    fn organization(&self) -> &str {
        self.file.organization()
    }

    fn to_organization(&self) -> OrganizationId {
        self.file.to_address().organization
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn write_message(&self, link_revision: u64, message: &mut impl Update) {
        let claims = self.claims.iter();
        let claims = claims.map(|(name, text)| (K::name(*name), &**text));
        let lines = LinkLines {
            organization: self.file.organization(),
            file: self.file.file(),
            expires: self.expires_text.as_bytes(),
            link_revision,
        };
        link_message(K::LABEL, lines, message);
        message.update(claim_lines(claims).as_bytes());
    }
}

/// A link of the kind `K` that passed every check. A proof of its kind is made of it.
pub(super) struct Proven<'a, K> {
    pub(super) file: FileRef<'a>,
    pub(super) expires: UnixSeconds,
    pub(super) claims: K,
    pub(super) token: Token,
}
