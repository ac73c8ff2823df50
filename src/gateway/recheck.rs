//! The recheck of links whose downloads are under way: a link that is revoked while its bytes go out is not to be
//! good for all of them.
//!
//! Of links it asks the snapshot of revocations that is held in memory, and never the catalogue. A share says itself
//! whether it opens: one that was changed since it was read is read again.

use std::collections::HashSet;
use std::sync::Arc;

use super::Gateway;
use super::cache::ShareAddress;
use super::refusal::Refusal;
use crate::model::id::{FileId, OrganizationId, ShareId};
use crate::model::revocation::{LinkId, Revocations};
use crate::model::share::{ShareState, WholeShare};
use crate::model::time::UnixSeconds;
use crate::sign::keyring::{KeyState, Keyring, Kid};

/// The signing key, the epoch and the link revision that a link was verified with.
pub use crate::sign::verify::InForce;

/// The longest interval in seconds at which downloads that are under way are compared with what was revoked.
pub const RECHECK_SECONDS_MAX: u64 = 3_600;

/// The revocations and the signing keys of one moment, for all downloads to be compared with.
pub struct Recheck {
    revocations: Arc<Revocations>,
    keyring: Arc<Keyring>,
}

/// A share by which downloads are under way, and the revision of the address that they began by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunningShare {
    /// Its owner.
    pub organization: OrganizationId,
    /// The share.
    pub id: ShareId,
    /// Raised by each rotation.
    pub revision: u64,
}

impl Gateway {
    /// Returns those of these shares that open nothing more at the address which they had: that were paused, revoked or
    /// rotated. One of which the catalogue does not say is not among them.
    pub async fn closed_shares(&self, running: HashSet<RunningShare>) -> HashSet<RunningShare> {
        let mut closed = HashSet::new();
        for share in running {
            let Ok(found) = self.running_share(&share).await else {
                break;
            };
            let is_open = found.is_some_and(|whole| {
                let row = &whole.share;
                row.state == ShareState::Active && row.revision == share.revision
            });
            if !is_open {
                closed.insert(share);
            }
        }
        closed
    }

    async fn running_share(
        &self,
        share: &RunningShare,
    ) -> Result<Option<Arc<WholeShare>>, Refusal> {
        let RunningShare {
            organization, id, ..
        } = share;
        let address = ShareAddress {
            organization: organization.clone(),
            share: id.clone(),
        };
        if let Some(kept) = self.cache.shares.get(&address, self.rows_at()) {
            return Ok(Some(kept));
        }
        let found = self.catalog.share(organization, id);
        Ok(self.read_of(organization, found).await?.map(Arc::new))
    }

    /// Returns the revocations and the signing keys of now, as far as this process knows of them.
    pub fn recheck(&self) -> Recheck {
        Recheck {
            revocations: self.snapshot.revocations(),
            keyring: self.keyring.load_full(),
        }
    }

    /// Returns the time by which a link must have ended for its denial to be of no use: a download that began before
    /// is still compared with it.
    pub(super) fn denials_dead_by(&self) -> UnixSeconds {
        self.clock.now().minus(RECHECK_SECONDS_MAX)
    }
}

impl Recheck {
    /// Returns whether a link that was good when its download began was revoked since: by itself, or with all links of
    /// its file, of its organization, or of its signing key. That its time is over is no revocation.
    /// Where it opens no single file, the files that it opens are not looked at.
    pub fn is_revoked(
        &self,
        (organization, file): (&OrganizationId, Option<&FileId>),
        link: LinkId,
        verified: &InForce,
    ) -> bool {
        let known = &self.revocations;
        let is_file_revoked =
            |file: &FileId| known.revision(organization, file) != verified.link_revision;
        known.refuses(organization.as_str(), file.map(FileId::as_str), link)
            || known.epoch(organization) != verified.epoch
            || file.is_some_and(is_file_revoked)
            || self.is_retired(&verified.kid)
    }

    /// Returns whether a signing key is retired, or there is none of this name.
    pub fn is_retired(&self, kid: &Kid) -> bool {
        let key = self.keyring.key(kid);
        key.is_none_or(|key| key.state == KeyState::Retired)
    }
}
