//! The pass of a share: what whoever gave its password has, so that it is asked for once an hour and not at every click.
//!
//! A pass names one share and one state of its password. It is a cookie's value, sent with whatever is asked for below
//! the share's own path; the share and the revision of its password are those of the row that the path has found, so
//! that the pass of another share is none here, nor is one of an earlier password.

use std::fmt;

use super::derived::KeyKind;
use super::encoding::{push_base64url, seconds};
use super::keyring::{Keyring, Kid};
pub use super::message::PassTerms;
use super::message::share_pass_message;
use super::token::Token;
use super::verify::{Conditions, Rejection, Unproven};
use crate::model::id::{OrganizationId, ShareId};
use crate::model::time::UnixSeconds;

/// The most characters of a pass: a kid, seconds and a MAC, with room to spare. A longer text is not read.
pub const PASS_CHARS_MAX: usize = 128;

/// A pass that was made. It is a credential: `Debug` shows nothing of it.
pub struct SignedPass(String);

impl SignedPass {
    /// The value of the cookie: letters, digits, `.`, `-` and `_`.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SignedPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedPass(..)")
    }
}

/// The proof that the password of one share was given. Only the verifier can make one, and it cannot be copied.
#[derive(Debug)]
pub struct VerifiedPass {
    share: ShareId,
    pass_revision: u64,
    expires: UnixSeconds,
}

impl VerifiedPass {
    /// The share.
    pub const fn share(&self) -> &ShareId {
        &self.share
    }

    /// The revision of the password that was given.
    pub const fn pass_revision(&self) -> u64 {
        self.pass_revision
    }

    /// From then on the password is asked for again.
    pub const fn expires(&self) -> UnixSeconds {
        self.expires
    }
}

impl Keyring {
    /// Makes the pass with the key of the gateway that the signing key `kid` gives for the organization at `epoch`. The
    /// same arguments give the same pass. `None` if there is no such signing key, or it is retired.
    pub fn mint_pass(
        &self,
        kid: &Kid,
        of: &PassTerms<'_>,
        epoch: u64,
        expires: UnixSeconds,
    ) -> Option<SignedPass> {
        let secret = self.key(kid)?.secret.as_ref()?;
        let key = self.signer(KeyKind::Gateway, kid, secret, of.organization, epoch);
        let mut digits = itoa::Buffer::new();
        let expires = digits.format(expires.get());
        let mac = key.mac(|message| share_pass_message(of, expires.as_bytes(), message));
        let mut text = format!("{kid}.{expires}.");
        push_base64url(&mac, &mut text);
        debug_assert!(text.len() <= PASS_CHARS_MAX, "a kid is short");
        Some(SignedPass(text))
    }

    /// Checks a pass of this share: its syntax, its signing key, its MAC, and its end. How far ahead that may lie is not
    /// asked: only a gateway makes passes. Whether the share is there is for the caller to know.
    ///
    /// # Errors
    /// [`Rejection`], of the first check that fails.
    pub fn verify_pass(
        &self,
        pass: &str,
        of: &PassTerms<'_>,
        conditions: &Conditions<'_>,
    ) -> Result<VerifiedPass, Rejection> {
        let pass = UnprovenPass::parse(pass, *of).ok_or(Rejection::Malformed)?;
        let epoch = conditions.revocations.epoch(of.organization);
        self.check_mac(&pass, epoch, 0)?;
        if conditions.now >= pass.expires {
            return Err(Rejection::Expired);
        }
        Ok(VerifiedPass {
            share: of.share.clone(),
            pass_revision: of.pass_revision,
            expires: pass.expires,
        })
    }
}

/// A pass of the right shape that nothing proves yet.
struct UnprovenPass<'a> {
    of: PassTerms<'a>,
    expires: UnixSeconds,
    /// In its one spelling, as it was signed.
    expires_text: &'a str,
    token: Token,
}

impl<'a> UnprovenPass<'a> {
    fn parse(pass: &'a str, of: PassTerms<'a>) -> Option<Self> {
        if pass.len() > PASS_CHARS_MAX {
            return None;
        }
        let (kid, rest) = pass.split_once('.')?;
        let (expires_text, mac) = rest.split_once('.')?;
        Some(Self {
            of,
            expires: seconds(expires_text)?,
            expires_text,
            token: Token::of(kid, mac)?,
        })
    }
}

impl Unproven for UnprovenPass<'_> {
    const KEY: KeyKind = KeyKind::Gateway;

    fn organization(&self) -> &str {
        self.of.organization.as_str()
    }

    fn to_organization(&self) -> OrganizationId {
        self.of.organization.clone()
    }

    fn token(&self) -> &Token {
        &self.token
    }

    /// A pass has no link revision.
    fn write_message(&self, _: u64, message: &mut impl hmac::digest::Update) {
        share_pass_message(&self.of, self.expires_text.as_bytes(), message);
    }
}
