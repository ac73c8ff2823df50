//! The parameter `token`: `{kid}.{mac}`.

use super::encoding::{BASE64URL_CHARS, from_base64url, push_base64url};
use super::kid::Kid;
use crate::model::revocation::{LINK_ID_CHARS, LinkId};

/// A token of the right shape. Nothing says yet that its MAC is good.
pub(super) struct Token {
    pub(super) kid: Kid,
    pub(super) mac: [u8; 32],
    pub(super) link_id: LinkId,
}

impl Token {
    /// Takes exactly the spelling that [`write()`] gives.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kid, mac_text) = text.split_at_checked(text.len().checked_sub(BASE64URL_CHARS)?)?;
        Self::of(kid.strip_suffix('.')?, mac_text)
    }

    /// Takes the two parts of a token, each in its one spelling.
    pub(super) fn of(kid: &str, mac_text: &str) -> Option<Self> {
        let kid = Kid::parse(kid)?;
        let mac = from_base64url(mac_text)?;
        let link_id = link_id(mac_text)?;
        Some(Self { kid, mac, link_id })
    }
}

/// The token of a fresh MAC, and the link's id.
#[expect(
    clippy::expect_used,
    reason = "43 characters of base64url begin with a link id"
)]
pub(super) fn write(kid: &Kid, mac: &[u8; 32]) -> (String, LinkId) {
    let kid = kid.as_str();
    let mut token = String::with_capacity(kid.len() + 1 + BASE64URL_CHARS);
    token.push_str(kid);
    token.push('.');
    push_base64url(mac, &mut token);
    let mac_text = token.get(kid.len() + 1..).expect("the MAC behind the dot");
    let link_id = link_id(mac_text).expect("base64url is the alphabet of link ids");
    (token, link_id)
}

/// The link's id: the first characters of the MAC in base64url.
pub(super) fn link_id(mac_text: &str) -> Option<LinkId> {
    mac_text.get(..LINK_ID_CHARS).and_then(LinkId::parse)
}
