//! The recheck of links whose downloads are under way: a link that is revoked while its bytes go out is not to be
//! good for all of them.
//!
//! It asks the snapshot of revocations that is held in memory, and never the catalogue.

use std::sync::Arc;

use super::Gateway;
use crate::model::file::FileRecord;
use crate::model::revocation::{LinkId, Revocations};
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

impl Gateway {
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
    pub fn is_revoked(&self, file: &FileRecord, link: LinkId, verified: &InForce) -> bool {
        let (organization, known) = (&file.organization, &self.revocations);
        known.refuses(organization.as_str(), Some(file.id.as_str()), link)
            || known.epoch(organization) != verified.epoch
            || known.revision(organization, &file.id) != verified.link_revision
            || self.is_retired(&verified.kid)
    }

    /// Returns whether a signing key is retired, or there is none of this name.
    pub fn is_retired(&self, kid: &Kid) -> bool {
        let key = self.keyring.key(kid);
        key.is_none_or(|key| key.state == KeyState::Retired)
    }
}
