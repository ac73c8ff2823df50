//! The recheck of links whose downloads are under way: a link that is revoked while its bytes go out is not to be
//! good for all of them.
//!
//! It asks the snapshot of revocations that is held in memory, and never the catalogue.

use std::sync::Arc;

use super::Gateway;
use crate::model::file::FileRecord;
use crate::model::revocation::{LinkId, Revocations};
use crate::sign::keyring::{KeyState, Keyring};

/// The signing key, the epoch and the link revision that a link was verified with.
pub use crate::sign::verify::InForce;

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
}

impl Recheck {
    /// Returns whether a link that was good when its download began was revoked since: by itself, or with all links of
    /// its file, of its organization, or of its signing key. That its time is over is no revocation.
    pub fn is_revoked(&self, file: &FileRecord, link: LinkId, verified: &InForce) -> bool {
        let (organization, known) = (&file.organization, &self.revocations);
        let key = self.keyring.key(&verified.kid);
        known.is_denied(organization, link)
            || known.epoch(organization) != verified.epoch
            || known.revision(organization, &file.id) != verified.link_revision
            || key.is_none_or(|key| key.state == KeyState::Retired)
    }
}
