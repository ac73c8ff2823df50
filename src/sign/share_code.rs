//! The code of a share: what stands in the address of its page, and the only credential of a share without a password.
//!
//! It is derived from what the share's row says, so that nobody needs to keep it: a stolen catalogue opens nothing, and
//! whoever has the keyring can say it again. The row has its SHA-256, by which a code that came in is looked up; then
//! it is derived again and compared, so that a row that was made elsewhere opens nothing here.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::derived::KeyKind;
use super::encoding::base64url;
use super::keyring::{KeyState, Keyring, Kid};
use super::message::share_code_message;
use super::token;
use super::verify::{Conditions, Rejection};
use crate::model::base62;
use crate::model::digest::Sha256Digest;
use crate::model::id::{OrganizationId, ShareId};
use crate::model::revocation::LinkId;

/// The code of a share: 22 letters and digits. It is a credential: `Debug` shows nothing of it.
pub struct ShareCode(String);

impl ShareCode {
    /// Takes 22 letters and digits.
    pub fn parse(text: &str) -> Option<Self> {
        base62::is_drawn(text).then(|| Self(text.to_owned()))
    }

    /// The 22 characters, for whoever may open the share.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns the SHA-256 of its characters, which gives it away to nobody.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::new(Sha256::digest(&self.0).into())
    }

    /// The address of the share's page. `base` goes before `/s/`.
    pub fn url(&self, base: &str) -> String {
        format!("{}/s/{}", base.trim_end_matches('/'), self.0)
    }
}

impl fmt::Debug for ShareCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShareCode(..)")
    }
}

/// The parts of a share's row that its code is derived from.
#[derive(Clone, Copy, Debug)]
pub struct ShareTerms<'a> {
    /// The organization that owns it.
    pub organization: &'a OrganizationId,
    /// The share.
    pub share: &'a ShareId,
    /// The signing key that it was made, or rotated last, under.
    pub kid: &'a Kid,
    /// The epoch of its organization then.
    pub epoch: u64,
    /// Raised by each rotation.
    pub revision: u64,
}

/// A code that was derived.
#[derive(Debug)]
pub struct DerivedShare {
    /// The code.
    pub code: ShareCode,
    /// The share's name in logs, by which it is denied.
    pub link_id: LinkId,
}

/// The proof that a code is the one of a share under the keyring and the epoch in force, and was not denied. Only the
/// verifier can make one, and it cannot be copied. It opens nothing yet: whether the share is paused or over, and whom
/// it is for, its row says.
#[derive(Debug)]
pub struct VerifiedShare {
    organization: OrganizationId,
    share: ShareId,
    link_id: LinkId,
    kid: Kid,
    epoch: u64,
    revision: u64,
}

impl VerifiedShare {
    /// The organization that owns the share.
    pub const fn organization(&self) -> &OrganizationId {
        &self.organization
    }

    /// The share.
    pub const fn share(&self) -> &ShareId {
        &self.share
    }

    /// The share's name in logs, as long as it is not rotated.
    pub const fn link_id(&self) -> LinkId {
        self.link_id
    }

    /// The signing key that its code is derived from.
    pub const fn kid(&self) -> &Kid {
        &self.kid
    }

    /// The epoch of its organization.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The revision of its code.
    pub const fn revision(&self) -> u64 {
        self.revision
    }
}

impl Keyring {
    /// Derives the code of a share. The same terms give the same code. `None` if there is no such signing key, or it is
    /// retired. The epoch is not judged: [`Keyring::verify_share`] does that.
    #[expect(
        clippy::expect_used,
        reason = "43 characters of base64url begin with a link id"
    )]
    pub fn share_code(&self, of: &ShareTerms<'_>) -> Option<DerivedShare> {
        let secret = self.key(of.kid)?.secret.as_ref()?;
        let key = self.signer(KeyKind::Gateway, of.kid, secret, of.organization, of.epoch);
        let (organization, share) = (of.organization.as_str(), of.share.as_str());
        let mac = key.mac(|message| share_code_message(organization, share, of.revision, message));
        Some(DerivedShare {
            code: ShareCode(base62::drawn(mac)),
            link_id: token::link_id(&base64url(&mac)).expect("the alphabet of link ids"),
        })
    }

    /// Checks a code against the row that its digest has found: that the row's signing key is not retired, its epoch is
    /// the one in force, the code is the row's own, and it was not denied. Time, address and state of the share are
    /// for the caller to check, who has the row.
    ///
    /// # Errors
    /// [`Rejection`], of the first check that fails.
    pub fn verify_share(
        &self,
        code: &ShareCode,
        of: &ShareTerms<'_>,
        conditions: &Conditions<'_>,
    ) -> Result<VerifiedShare, Rejection> {
        match self.key(of.kid).map(|key| key.state) {
            None => return Err(Rejection::KidUnknown),
            Some(KeyState::Retired) => return Err(Rejection::KidRetired),
            Some(KeyState::Active | KeyState::VerifyOnly) => {}
        }
        if conditions.revocations.epoch(of.organization) != of.epoch {
            return Err(Rejection::OrganizationRevoked);
        }
        let own = self.share_code(of).ok_or(Rejection::KidRetired)?;
        let is_own: bool = own.code.0.as_bytes().ct_eq(code.0.as_bytes()).into();
        if !is_own {
            return Err(Rejection::MacMismatch);
        }
        conditions.check_denied(of.organization.as_str(), None, own.link_id)?;
        Ok(VerifiedShare {
            organization: of.organization.clone(),
            share: of.share.clone(),
            link_id: own.link_id,
            kid: of.kid.clone(),
            epoch: of.epoch,
            revision: of.revision,
        })
    }
}
