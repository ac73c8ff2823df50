//! Shares: files behind a page for people, which can be changed after its address was sent.
//!
//! 1. [`Gateway::create_share`] and [`Gateway::edit_share`] check what is asked (`fields`), look the files up, and write
//!    the row and its files (`make`).
//! 2. [`Gateway::rotate_share`] gives a share another address, [`Gateway::revoke_share`] ends it for ever.
//! 3. [`Gateway::open_share`] finds the share of a code that came in, and says whether it opens (`open`). Only an
//!    [`OpenShare`] leads to what is shared.
//!
//! An address is derived from the row and the keyring and kept nowhere, so it can be said again at any time. A share
//! that was made under a signing key that is retired, or before all links of its organization were revoked, opens nothing
//! until it is rotated: it is *stale*.

use std::sync::Arc;

use super::Gateway;
use super::principal::Principal;
use super::refusal::Refusal;
use crate::catalog::shares as rows;
use crate::catalog::shares::ShareRotation;
use crate::model::file::FileRecord;
use crate::model::id::{ApiKeyId, OrganizationId, ShareId};
use crate::model::key::Scope;
use crate::model::revocation::{LinkId, Revocations};
use crate::model::share::{Share, ShareCounts, ShareState, SharedFile, WholeShare};
use crate::sign::keyring::Kid;
use crate::sign::share_code::{DerivedShare, ShareTerms};

pub use crate::catalog::shares::SHARE;

pub use self::fields::{
    SHARE_LIFETIME_DEFAULT, SHARE_NOTE_CHARS_MAX, SHARE_TITLE_CHARS_MAX, ShareFields,
};
pub use self::make::{SHARED_FILES_MAX, SHARES_MAX};
pub use self::open::OpenShare;
pub(super) use self::open::ShareReads;

mod entries;
mod fields;
mod make;
mod open;

/// The time for which a share is kept after it was revoked or expired, in seconds: 30 days.
pub const SHARE_KEPT_SECONDS: u64 = 2_592_000;

/// How often a rotation is tried where others rotate the same share meanwhile.
const ROTATIONS_MAX: usize = 3;

/// On whose word shares are made and changed.
#[derive(Clone, Debug)]
pub enum ShareManager {
    /// An API key's: its own ones; with the scope `admin` all of its organization.
    Key(Principal),
    /// The operator's: all of this organization.
    Operator(OrganizationId),
}

impl ShareManager {
    /// The organization whose shares they are.
    pub const fn organization(&self) -> &OrganizationId {
        match self {
            Self::Key(caller) => &caller.organization,
            Self::Operator(organization) => organization,
        }
    }

    /// The API key that shares which are made now are of.
    fn key(&self) -> Option<&ApiKeyId> {
        match self {
            Self::Key(caller) => Some(&caller.key),
            Self::Operator(_) => None,
        }
    }

    /// Says no to a share that an API key did not make, unless it has the scope `admin`.
    fn may_manage(&self, share: &Share) -> Result<(), Refusal> {
        match self {
            Self::Key(caller) if share.created_by.as_ref() != Some(&caller.key) => {
                caller.allows(Scope::Admin)
            }
            Self::Key(_) | Self::Operator(_) => Ok(()),
        }
    }
}

/// What keeps a share from opening, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareStanding {
    /// It opens, from its `not_before` on.
    Active,
    /// It is paused.
    Paused,
    /// Its time is over.
    Expired,
    /// Its signing key is retired, or all links of its organization were revoked since: it can be rotated.
    Stale,
    /// It was revoked.
    Revoked,
}

impl ShareStanding {
    /// The word in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Expired => "expired",
            Self::Stale => "stale",
            Self::Revoked => "revoked",
        }
    }
}

/// A file of a share, as it is now.
#[derive(Clone, Debug)]
pub struct SharedEntry {
    /// The file in the share.
    pub shared: SharedFile,
    /// The file, if it is there.
    pub file: Option<Arc<FileRecord>>,
    /// What keeps it from opening.
    pub standing: FileStanding,
}

/// What keeps a file of a share from opening, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileStanding {
    /// It opens.
    Ready,
    /// It was deleted, or its time is over.
    Deleted,
    /// Its links were revoked since it was put into the share.
    Revoked,
    /// Its bytes are known to be damaged.
    Damaged,
}

impl FileStanding {
    /// The word in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Deleted => "deleted",
            Self::Revoked => "revoked",
            Self::Damaged => "damaged",
        }
    }
}

/// A share as those who manage it see it.
#[derive(Clone, Debug)]
pub struct ShareView {
    /// Its row.
    pub share: Share,
    /// Whether it opens.
    pub standing: ShareStanding,
    /// The address of its page, unless it is stale. It is a credential.
    pub url: Option<String>,
    /// Its name in logs, unless it is stale.
    pub link_id: Option<LinkId>,
    /// Its counters.
    pub counts: ShareCounts,
    /// The number of its files.
    pub file_count: u64,
    /// Its files, where they were asked for.
    pub files: Vec<SharedEntry>,
}

impl Gateway {
    /// A page of shares, newest first, without their files: of an API key without the scope `admin` its own.
    ///
    /// # Errors
    /// The refusal of a catalogue that fails.
    pub async fn shares(
        &self,
        manager: &ShareManager,
        after: Option<&ShareId>,
        limit: u32,
    ) -> Result<Vec<ShareView>, Refusal> {
        let organization = manager.organization();
        let own = match manager {
            ShareManager::Key(caller) if caller.allows(Scope::Admin).is_err() => manager.key(),
            ShareManager::Key(_) | ShareManager::Operator(_) => None,
        };
        let page = self.catalog.shares(organization, own, after, limit);
        let page = self.list_of(organization, page).await?;
        let known = self.known_to(manager).await?;
        let view = |listed: rows::ListedShare| ShareView {
            file_count: listed.files,
            counts: listed.counts,
            ..self.view_of(listed.share, &known)
        };
        Ok(page.into_iter().map(view).collect())
    }

    /// One share with its files.
    ///
    /// # Errors
    /// `Missing` for an unknown one; the refusal of a caller who may not manage it, or of a catalogue that fails.
    pub async fn share(&self, manager: &ShareManager, id: &ShareId) -> Result<ShareView, Refusal> {
        let whole = self.managed(manager, id).await?;
        self.whole_view(manager, whole).await
    }

    /// Gives a share another address; those that were given before, and whatever was started by them, open nothing from
    /// the next request of this gateway on.
    ///
    /// # Errors
    /// As [`Gateway::share`]; `ShareRevoked`; `Exists` where others rotate it all the time.
    pub async fn rotate_share(
        &self,
        manager: &ShareManager,
        id: &ShareId,
    ) -> Result<ShareView, Refusal> {
        for _ in 0..ROTATIONS_MAX {
            let whole = self.managed(manager, id).await?;
            let known = self.known_to(manager).await?;
            let share = &whole.share;
            let (next, derived) = self.next_code(share, &known)?;
            let rotation = ShareRotation {
                from: share.revision,
                kid: next.kid.to_string(),
                epoch: next.epoch,
                code_digest: derived.code.digest(),
            };
            let organization = manager.organization();
            let rotate = self.catalog.rotate_share(organization, id, &rotation);
            match self.changing_of(organization, rotate).await {
                Err(Refusal::Exists { what }) if what == rows::SHARE_ROTATED => {}
                rotated => return self.whole_view(manager, settled(rotated)?).await,
            }
        }
        Err(Refusal::Exists {
            what: rows::SHARE_ROTATED,
        })
    }

    /// Ends a share for ever: it opens nothing from the next request of this gateway on.
    ///
    /// # Errors
    /// As [`Gateway::share`].
    pub async fn revoke_share(
        &self,
        manager: &ShareManager,
        id: &ShareId,
    ) -> Result<ShareView, Refusal> {
        self.managed(manager, id).await?;
        let organization = manager.organization();
        let revoke = self
            .catalog
            .revoke_share(organization, id, self.clock.now());
        let whole = self.changing_of(organization, revoke).await?;
        self.whole_view(manager, whole).await
    }

    /// The share, as the catalogue has it now, if the caller may manage it.
    async fn managed(&self, manager: &ShareManager, id: &ShareId) -> Result<WholeShare, Refusal> {
        let organization = manager.organization();
        let found = self.catalog.share(organization, id);
        let found = self.read_of(organization, found).await?;
        let whole = found.ok_or(Refusal::Missing { what: SHARE })?;
        manager.may_manage(&whole.share)?;
        Ok(whole)
    }

    /// What was revoked, for whom shares are managed. A command has all of it to read first, and waits for that as long
    /// as the catalogue takes.
    async fn known_to(&self, manager: &ShareManager) -> Result<Arc<Revocations>, Refusal> {
        match manager {
            ShareManager::Key(_) => Ok(Arc::clone(&self.current().await?.revocations)),
            ShareManager::Operator(_) => self.refresh().await,
        }
    }

    /// The code that a share has once it is rotated, with what it is derived from.
    ///
    /// # Errors
    /// `RevocationHeld` while all links of the organization are revoked and that is not written yet.
    fn next_code(
        &self,
        share: &Share,
        known: &Revocations,
    ) -> Result<(NextTerms, DerivedShare), Refusal> {
        let next = NextTerms {
            kid: self.keyring().active().clone(),
            epoch: known.epoch(&share.organization),
            revision: share.revision + 1,
        };
        let derived = self.code_of(share, &next, known)?;
        Ok((next, derived))
    }

    /// Derives the code of a share under the active key.
    fn code_of(
        &self,
        share: &Share,
        of: &NextTerms,
        known: &Revocations,
    ) -> Result<DerivedShare, Refusal> {
        let terms = ShareTerms {
            organization: &share.organization,
            share: &share.id,
            kid: &of.kid,
            epoch: of.epoch,
            revision: of.revision,
        };
        let derived = self.keyring().share_code(&terms);
        let derived =
            derived.ok_or_else(|| Refusal::Internal("the active key has no secret".into()))?;
        if known.refuses(share.organization.as_str(), None, derived.link_id) {
            return Err(Refusal::RevocationHeld);
        }
        Ok(derived)
    }

    /// A share with its files and what was counted of it.
    async fn whole_view(
        &self,
        manager: &ShareManager,
        whole: WholeShare,
    ) -> Result<ShareView, Refusal> {
        let WholeShare { share, files } = whole;
        let known = self.known_to(manager).await?;
        let (organization, id) = (&share.organization, &share.id);
        let counts = self.catalog.share_counts(organization, id);
        let counts = self.read_of(organization, counts).await?;
        let files = self.entries(organization, &files, &known).await?;
        Ok(ShareView {
            counts,
            file_count: files.len() as u64,
            files,
            ..self.view_of(share, &known)
        })
    }

    /// A share without its files and what was counted of it.
    fn view_of(&self, share: Share, known: &Revocations) -> ShareView {
        let derived = self.code_in_force(&share, known);
        let is_over = |end| end <= self.clock.now();
        let standing = match share.state {
            ShareState::Revoked { .. } => ShareStanding::Revoked,
            _ if derived.is_none() => ShareStanding::Stale,
            _ if share.expires.is_some_and(is_over) => ShareStanding::Expired,
            ShareState::Paused => ShareStanding::Paused,
            ShareState::Active => ShareStanding::Active,
        };
        let base = &self.settings.public_base_url;
        ShareView {
            url: derived.as_ref().map(|derived| derived.code.url(base)),
            link_id: derived.map(|derived| derived.link_id),
            standing,
            share,
            counts: ShareCounts::default(),
            file_count: 0,
            files: Vec::new(),
        }
    }

    /// Derives the code that a share has, unless it is stale.
    fn code_in_force(&self, share: &Share, known: &Revocations) -> Option<DerivedShare> {
        let kid = Kid::parse(&share.kid)?;
        let terms = ShareTerms {
            organization: &share.organization,
            share: &share.id,
            kid: &kid,
            epoch: share.epoch,
            revision: share.revision,
        };
        let derived = self.keyring().share_code(&terms)?;
        let is_in_force = known.epoch(&share.organization) == share.epoch
            && derived.code.digest() == share.code_digest
            && !known.refuses(share.organization.as_str(), None, derived.link_id);
        is_in_force.then_some(derived)
    }
}

/// What the code of a share is derived from that is made, or rotated, now.
struct NextTerms {
    kid: Kid,
    epoch: u64,
    revision: u64,
}

/// The outcome of a change, where one that is revoked is told from others.
fn settled(outcome: Result<WholeShare, Refusal>) -> Result<WholeShare, Refusal> {
    outcome.map_err(|refusal| match refusal {
        Refusal::Exists { what } if what == rows::SHARE_REVOKED => Refusal::ShareRevoked,
        other => other,
    })
}

#[cfg(test)]
mod tests;
