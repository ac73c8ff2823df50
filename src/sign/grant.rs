//! What a link grants, and the link itself.

use std::fmt::{self, Write as _};

use super::claims::Claims;
use super::encoding::percent_encode;
use super::keyring::Kid;
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::LinkId;
use crate::model::time::UnixSeconds;

/// Room for what stands in a URL without claims besides its ids and its token.
const PLAIN_URL_BYTES: usize = 80;

/// One file of one organization until a moment, under claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Whose file.
    pub organization: OrganizationId,
    /// Which file.
    pub file: FileId,
    /// The first second at which the link is dead.
    pub expires: UnixSeconds,
    /// What else it says.
    pub claims: Claims,
}

/// A minted link. It is a credential: `Debug` shows its id only.
#[derive(Clone)]
pub struct SignedLink {
    /// What stands in the parameter `token`.
    pub token: String,
    /// Names the link where it must not be given away.
    pub link_id: LinkId,
    /// The first second at which the link is dead.
    pub expires: UnixSeconds,
    /// The signing key it was made with.
    pub kid: Kid,
    grant: Grant,
}

impl SignedLink {
    pub(super) fn new(grant: &Grant, kid: &Kid, token: String, link_id: LinkId) -> Self {
        Self {
            token,
            link_id,
            expires: grant.expires,
            kid: kid.clone(),
            grant: grant.clone(),
        }
    }

    /// The whole URL. `base` is what stands before `/v1`: scheme, host, and a path perhaps; slashes at
    /// its end are dropped.
    pub fn url(&self, base: &str) -> String {
        let Grant {
            organization, file, ..
        } = &self.grant;
        let base = base.trim_end_matches('/');
        let (organization, file) = (organization.as_str(), file.as_str());
        let room = base.len() + organization.len() + file.len() + self.token.len();
        let mut url = String::with_capacity(room + PLAIN_URL_BYTES);
        for part in [base, "/v1/organizations/", organization, "/files/", file] {
            url.push_str(part);
        }
        // Writing to a string cannot fail.
        let _ = write!(url, "/download?expires={}", self.expires.get());
        for (name, text) in self.grant.claims.texts() {
            let _ = write!(url, "&{name}={}", percent_encode(text));
        }
        url + "&token=" + &self.token
    }
}

impl fmt::Debug for SignedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedLink({})", self.link_id)
    }
}
