//! Who may have what a share shares: whoever has its code, and where it has a password, gave that.
//!
//! 1. [`Gateway::unlock`] lets a client in that has the share's pass, or to a share without a password.
//! 2. [`Gateway::give_password`] takes a password: the guess is admitted first, then hashed, and where it is right a pass
//!    is made. One that is wrong is written, so that all gateways together know how many there were.
//!
//! Whoever has a pass makes no guess, so that no number of wrong ones locks anybody out who was let in.

use std::net::IpAddr;

use super::Gateway;
use super::limits::LimitedLink;
use super::passwords::Password;
use super::refusal::Refusal;
use super::shares::OpenShare;
use crate::model::redemption::Subject;
use crate::model::revocation::LinkId;
use crate::sign::share_pass::PassTerms;
use crate::sign::verify::Rejection;

pub use crate::sign::share_pass::{PASS_CHARS_MAX, SignedPass};

/// The seconds that a pass is good for.
pub const PASS_SECONDS: u64 = 3_600;

/// A share to which a client was let in. Only this file makes one, and bytes of a share are given for one alone.
#[derive(Clone, Copy, Debug)]
pub struct UnlockedShare<'a>(&'a OpenShare);

impl<'a> UnlockedShare<'a> {
    /// The share.
    pub const fn open(&self) -> &'a OpenShare {
        self.0
    }
}

impl LimitedLink for OpenShare {
    fn link_id(&self) -> LinkId {
        self.link_id()
    }

    fn organization(&self) -> &str {
        self.share().organization.as_str()
    }
}

impl Gateway {
    /// Lets a client in: to a share without a password, or with one of these passes that is the share's. Everything is in
    /// memory.
    ///
    /// # Errors
    /// `PasswordNeeded` where it has none; the refusal of a catalogue that does not say what was revoked.
    pub async fn unlock<'a>(
        &self,
        share: &'a OpenShare,
        mut passes: impl Iterator<Item = &str>,
    ) -> Result<UnlockedShare<'a>, Refusal> {
        if share.share().password.is_none() {
            return Ok(UnlockedShare(share));
        }
        let known = self.current().await?;
        let conditions = self.conditions(None, &known.revocations);
        let (keyring, terms) = (self.keyring(), terms(share));
        let has_pass = passes.any(|pass| keyring.verify_pass(pass, &terms, &conditions).is_ok());
        match has_pass {
            true => Ok(UnlockedShare(share)),
            false => Err(Refusal::PasswordNeeded { is_wrong: false }),
        }
    }

    /// Lets a client in that gave the share's password, and makes its pass.
    ///
    /// # Errors
    /// `PasswordNeeded` where it is wrong; `TooMany` where the client, or the share, has guessed too often, also of the
    /// right one; `Unavailable` where too many are being hashed.
    pub async fn give_password<'a>(
        &self,
        share: &'a OpenShare,
        password: String,
        client: Option<IpAddr>,
    ) -> Result<(UnlockedShare<'a>, SignedPass), Refusal> {
        let wrong = || Refusal::PasswordNeeded { is_wrong: true };
        let row = share.share();
        let Some(hash) = &row.password else {
            return Err(Refusal::Internal(
                "a share without a password was asked for it".into(),
            ));
        };
        // What can be no password is not hashed.
        let password = Password::new(password).map_err(|_| wrong())?;
        let (organization, id) = (&row.organization, &row.id);
        let subject = Subject::of_share(id);
        self.limits.expect_guess(organization, &subject, client)?;
        let failed = self.catalog.guesses(organization, id, self.clock.now());
        let failed = self.read_of(organization, failed).await?;
        let guess = self
            .limits
            .admit_guess(organization, &subject, client, failed)?;
        let phc = hash.reveal().to_owned();
        if !self.is_password(organization, phc, password).await? {
            let counted = self.catalog.add_guess(organization, id, self.clock.now());
            let counted = self.ask(counted).await;
            // Only now: until it is written it counts as one that may fail.
            drop(guess);
            counted?;
            return Err(wrong());
        }
        drop(guess);
        let keyring = self.keyring();
        let expires = self.clock.now().plus(PASS_SECONDS);
        let pass = keyring.mint_pass(keyring.active(), &terms(share), row.epoch, expires);
        let pass = pass.ok_or(Refusal::Link(Rejection::KidRetired))?;
        Ok((UnlockedShare(share), pass))
    }
}

fn terms(share: &OpenShare) -> PassTerms<'_> {
    let row = share.share();
    PassTerms {
        organization: &row.organization,
        share: &row.id,
        pass_revision: row.pass_revision,
    }
}
