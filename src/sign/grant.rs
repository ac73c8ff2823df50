//! The grant of a link, and the link itself.

use std::fmt;

use super::claims::{Claims, LinkKind};
use super::encoding::percent_encode;
use super::kid::Kid;
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::LinkId;
use crate::model::time::UnixSeconds;

/// The most characters that a minter lets a URL have for the sake of a name: 900. Mail may not have longer
/// lines than 998 characters (RFC 5322, §2.1.1), and programs that write mail break those that are.
pub const URL_CHARS_MAX: usize = 900;

/// The beginning of the claim that a URL begins its parameters with.
const NOT_BEFORE: &str = "not-before=";

/// Bytes of a URL without claims besides its ids and its token.
const PLAIN_URL_BYTES: usize = 80;

/// One file of one organization until a moment, under claims, whose kind is that of the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant<K = Claims> {
    /// The organization that owns the file.
    pub organization: OrganizationId,
    /// The file's id.
    pub file: FileId,
    /// The first second at which the link is dead.
    pub expires: UnixSeconds,
    /// The claims.
    pub claims: K,
}

/// A minted link, for as long as the grant that it was minted for is there. It is a credential: `Debug`
/// shows its id only.
#[derive(Clone)]
pub struct SignedLink<'a, K = Claims> {
    /// The value of the parameter `token`.
    pub token: String,
    /// Names the link where it must not be given away.
    pub link_id: LinkId,
    /// The first second at which the link is dead.
    pub expires: UnixSeconds,
    /// The signing key it was made with.
    pub kid: Kid,
    grant: &'a Grant<K>,
    /// The lines of its claims, as they were signed: in a URL they are spelled alike.
    claims: String,
}

impl<'a, K: LinkKind> SignedLink<'a, K> {
    pub(super) fn new(
        grant: &'a Grant<K>,
        kid: &Kid,
        claims: String,
        token: String,
        link_id: LinkId,
    ) -> Self {
        Self {
            token,
            link_id,
            expires: grant.expires,
            kid: kid.clone(),
            grant,
            claims,
        }
    }

    /// The whole URL. `base` goes before `/v1`: scheme, host, and a path perhaps; slashes at its
    /// end are dropped.
    ///
    /// `not-before` is the first parameter, then `expires`, the other claims in their order, and the token.
    /// HTML reads `&not` as a sign of its own, even without a semicolon (HTML Living Standard, "Named
    /// character references"), and a link must survive in HTML that nobody escaped.
    pub fn url(&self, base: &str) -> String {
        self.url_with(base, "")
    }

    /// `segment` follows the route as it is.
    fn url_with(&self, base: &str, segment: &str) -> String {
        let Grant {
            organization, file, ..
        } = self.grant;
        let base = base.trim_end_matches('/');
        let (organization, file) = (organization.as_str(), file.as_str());
        let ids = organization.len() + file.len();
        let room = base.len() + ids + segment.len() + self.token.len() + self.claims.len();
        let mut url = String::with_capacity(room + PLAIN_URL_BYTES);
        for part in [base, "/v1/organizations/", organization, "/files/", file] {
            url.push_str(part);
        }
        for part in ["/", K::ROUTE, segment, "?"] {
            url.push_str(part);
        }
        let is_first = |claim: &&str| claim.starts_with(NOT_BEFORE);
        for claim in self.claims.split_terminator('\n').filter(is_first) {
            url.push_str(claim);
            url.push('&');
        }
        url.push_str("expires=");
        url.push_str(itoa::Buffer::new().format(self.expires.get()));
        let claims = self.claims.split_terminator('\n');
        for claim in claims.filter(|claim| !is_first(claim)) {
            url.push('&');
            url.push_str(claim);
        }
        url.push_str("&token=");
        url.push_str(&self.token);
        url
    }
}

impl SignedLink<'_> {
    /// The whole URL with the file's name as its last segment, for programs that save a file under that. The
    /// name is not signed. It is left out where the URL would be longer than [`URL_CHARS_MAX`] with it.
    pub fn url_with_name(&self, base: &str, name: &str) -> String {
        let segment = format!("/{}", percent_encode(name));
        let url = self.url_with(base, &segment);
        if url.len() <= URL_CHARS_MAX {
            url
        } else {
            self.url(base)
        }
    }
}

impl<K> fmt::Debug for SignedLink<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedLink({})", self.link_id)
    }
}
