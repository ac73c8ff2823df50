//! Counted links: a link that starts a download so many times, and no more often.
//!
//! It opens no bytes itself. What it starts is fetched with a ticket ([`super::ticket`]).

use sha2::{Digest as _, Sha256};

pub use super::counted_claims::{
    CountedClaimName, CountedClaims, DOWNLOADS_MAX, MaxDownloads, Nonce, RedeemMethod,
};
use super::encoding::base64url;
use super::keyring::{Keyring, Kid};
use super::verify::{Attempt, Conditions, InForce, Proven, Rejection, UnprovenLink};
use crate::model::address::FileRef;
use crate::model::digest::Sha256Digest;
use crate::model::revocation::LinkId;
use crate::model::time::UnixSeconds;

/// The proof that a counted link is good. Only the verifier can make one, and it cannot be copied. It opens no bytes:
/// it starts a download.
#[derive(Debug)]
pub struct VerifiedCounted<'a> {
    file: FileRef<'a>,
    expires: UnixSeconds,
    claims: CountedClaims,
    link_id: LinkId,
    in_force: InForce,
    mac_digest: Sha256Digest,
}

impl<'a> VerifiedCounted<'a> {
    /// Returns the file's address.
    pub const fn file(&self) -> FileRef<'a> {
        self.file
    }

    /// The first second at which the link is dead.
    pub const fn expires(&self) -> UnixSeconds {
        self.expires
    }

    /// Returns the other claims of the link.
    pub const fn claims(&self) -> &CountedClaims {
        &self.claims
    }

    /// The link's name in logs.
    pub const fn link_id(&self) -> LinkId {
        self.link_id
    }

    /// The signing key it was made with.
    pub const fn kid(&self) -> &Kid {
        &self.in_force.kid
    }

    /// Returns the signing key and the counters that it was verified with.
    pub const fn in_force(&self) -> &InForce {
        &self.in_force
    }

    /// Returns the SHA-256 of the 43 characters of its MAC, which names its downloads and gives the link away to nobody.
    pub const fn mac_digest(&self) -> Sha256Digest {
        self.mac_digest
    }
}

impl Keyring {
    /// Checks a counted link in the order that [`crate::sign`] gives, as [`Keyring::verify`] does any other.
    ///
    /// # Errors
    /// [`Rejection`], of the first check that fails.
    pub fn verify_counted<'a>(
        &self,
        attempt: &Attempt<'a>,
        conditions: &Conditions<'_>,
    ) -> Result<VerifiedCounted<'a>, Rejection> {
        let link = UnprovenLink::parse(attempt).ok_or(Rejection::Malformed)?;
        let (epoch, link_revision) = link.in_force(conditions.revocations);
        self.check_mac(&link, epoch, link_revision)?;
        let Proven {
            file,
            expires,
            claims,
            token,
        } = link.check_the_rest(conditions)?;
        Ok(VerifiedCounted {
            file,
            expires,
            claims,
            link_id: token.link_id,
            mac_digest: Sha256Digest::new(Sha256::digest(base64url(&token.mac)).into()),
            in_force: InForce {
                kid: token.kid,
                epoch,
                link_revision,
            },
        })
    }
}
