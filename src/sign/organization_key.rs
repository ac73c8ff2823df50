//! The key that signs the links of one organization.

use std::fmt;

use hmac::digest::Update as _;
use zeroize::Zeroizing;

use super::claims::LinkKind;
use super::encoding::{base64url, from_base64url};
use super::grant::{Grant, SignedLink};
use super::kid::Kid;
use super::mac::Keyed;
use super::message::{LinkLines, claim_lines, link_message, organization_message};
use super::secret::Secret;
use super::token;
use crate::model::id::OrganizationId;

/// A signing key narrowed down to one organization at one epoch. It may be handed to that tenant for
/// signing offline: it opens nothing of another one, and dies when the epoch is raised. Wiped when
/// dropped; `Debug` shows nothing of it, and it cannot be cloned.
pub struct OrganizationKey(Zeroizing<[u8; 32]>);

impl OrganizationKey {
    /// The key that `secret` gives this organization at this epoch.
    pub fn derive(secret: &Secret, organization: &OrganizationId, epoch: u64) -> Self {
        Self(derive(secret, organization.as_str(), epoch))
    }

    /// Reads the 43 characters that [`Self::reveal_base64url`] gave, and no other spelling.
    pub fn from_base64url(text: &str) -> Option<Self> {
        from_base64url(text).map(Zeroizing::new).map(Self)
    }

    /// The key in the clear, as 43 base64url characters: for handing it to its tenant.
    pub fn reveal_base64url(&self) -> Zeroizing<String> {
        Zeroizing::new(base64url(&self.0))
    }

    /// Makes the link. `kid` is the signing key that this one was derived from, `link_revision` the
    /// file's own. The grant must be of the organization that this key was derived for, else the link
    /// opens nothing. The same arguments give the same link.
    pub fn mint<'a, K: LinkKind>(
        &self,
        kid: &Kid,
        grant: &'a Grant<K>,
        link_revision: u64,
    ) -> SignedLink<'a, K> {
        seal(&Keyed::new(&*self.0), kid, grant, link_revision)
    }
}

/// The bytes of the key that `secret` gives an organization at an epoch.
pub(super) fn derive(secret: &Secret, organization: &str, epoch: u64) -> Zeroizing<[u8; 32]> {
    let keyed = secret.keyed();
    Zeroizing::new(keyed.mac(|message| organization_message(organization, epoch, message)))
}

/// The link under an organization's key.
pub(super) fn seal<'a, K: LinkKind>(
    key: &Keyed,
    kid: &Kid,
    grant: &'a Grant<K>,
    link_revision: u64,
) -> SignedLink<'a, K> {
    let mut digits = itoa::Buffer::new();
    let lines = LinkLines {
        organization: grant.organization.as_str(),
        file: grant.file.as_str(),
        expires: digits.format(grant.expires.get()).as_bytes(),
        link_revision,
    };
    let claims = claim_lines(grant.claims.signed_texts());
    let mac = key.mac(|message| {
        link_message(K::LABEL, lines, message);
        message.update(claims.as_bytes());
    });
    let (token, link_id) = token::write(kid, &mac);
    SignedLink::new(grant, kid, claims, token, link_id)
}

impl fmt::Debug for OrganizationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OrganizationKey(..)")
    }
}
