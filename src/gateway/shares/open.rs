//! The look-up of a share by the code that came in: the one way to what is shared.

use std::net::IpAddr;
use std::sync::Arc;

use super::super::Gateway;
use super::super::cache::single_flight::SingleFlight;
use super::super::recheck::RunningShare;
use super::super::refusal::Refusal;
use super::SharedEntry;
use crate::model::address::FileRef;
use crate::model::digest::Sha256Digest;
use crate::model::file::FileRecord;
use crate::model::revocation::{LinkId, Revocations};
use crate::model::share::{Share, ShareState, SharedFile, WholeShare};
use crate::sign::keyring::Kid;
use crate::sign::share_code::{ShareCode, ShareTerms, VerifiedShare};
use crate::sign::verify::Rejection;

/// The reads of shares by their codes that are under way.
pub(in crate::gateway) type ShareReads = SingleFlight<Sha256Digest, Arc<WholeShare>>;

/// The proof that a share opens now for whoever asks, its password and the number of its downloads aside. Only
/// [`Gateway::open_share`] makes one, and it cannot be copied.
#[derive(Debug)]
pub struct OpenShare {
    verified: VerifiedShare,
    whole: Arc<WholeShare>,
}

impl OpenShare {
    /// The share.
    pub fn share(&self) -> &Share {
        &self.whole.share
    }

    /// Its files, in the order of their positions.
    pub fn files(&self) -> &[SharedFile] {
        &self.whole.files
    }

    /// The file of this position, if the share has it.
    pub fn file(&self, position: u64) -> Option<&SharedFile> {
        let files = self.files();
        let place = files.binary_search_by_key(&position, |file| file.position);
        files.get(place.ok()?)
    }

    /// The share's name in logs, by which it counts against limits.
    pub const fn link_id(&self) -> LinkId {
        self.verified.link_id()
    }

    /// What downloads by it are held against while they go on.
    pub fn running(&self) -> RunningShare {
        RunningShare {
            organization: self.share().organization.clone(),
            id: self.share().id.clone(),
            revision: self.verified.revision(),
        }
    }

    /// The share with its files.
    pub(in crate::gateway) const fn whole(&self) -> &Arc<WholeShare> {
        &self.whole
    }

    /// What its code was verified with.
    pub const fn verified(&self) -> &VerifiedShare {
        &self.verified
    }
}

impl Gateway {
    /// Finds the share of a code, and says whether it opens for a client of this address: that its signing key and its
    /// epoch are in force, and it was not denied, paused or revoked, that it has begun, has not ended, and is for this
    /// client. A change of this gateway is seen at once, any other within
    /// [`STALENESS_MAX`](crate::gateway::revocations::STALENESS_MAX).
    ///
    /// # Errors
    /// `Link` with the reason, which nobody but the operator is told; the refusal of a catalogue that fails.
    pub async fn open_share(
        &self,
        code: &str,
        client: Option<IpAddr>,
    ) -> Result<OpenShare, Refusal> {
        let code = ShareCode::parse(code).ok_or(Refusal::Link(Rejection::Malformed))?;
        let found = self.share_of_code(code.digest()).await?;
        let whole = found.ok_or(Refusal::Link(Rejection::MacMismatch))?;
        let known = self.current().await?;
        let verified = self.verified_share(&code, &whole.share, client, &known.revocations);
        let verified = verified.map_err(Refusal::Link)?;
        Ok(OpenShare { verified, whole })
    }

    /// Judges a share in the order of a link: its key, its epoch, its code, its time, its client, and what was revoked.
    pub(in crate::gateway) fn verified_share(
        &self,
        code: &ShareCode,
        share: &Share,
        client: Option<IpAddr>,
        known: &Revocations,
    ) -> Result<VerifiedShare, Rejection> {
        let conditions = self.conditions(client, known);
        let kid = Kid::parse(&share.kid).ok_or(Rejection::KidUnknown)?;
        let terms = ShareTerms {
            organization: &share.organization,
            share: &share.id,
            kid: &kid,
            epoch: share.epoch,
            revision: share.revision,
        };
        let verified = self.keyring().verify_share(code, &terms, &conditions)?;
        let now = conditions.now;
        match share.state {
            ShareState::Revoked { .. } => return Err(Rejection::LinkRevoked),
            ShareState::Paused => return Err(Rejection::Paused),
            ShareState::Active => {}
        }
        if share.expires.is_some_and(|end| end <= now) {
            return Err(Rejection::Expired);
        }
        if share.not_before.is_some_and(|begin| begin > now) {
            return Err(Rejection::NotYetValid);
        }
        if let Some(network) = &share.ip
            && !client.is_some_and(|address| network.network().contains(address))
        {
            return Err(Rejection::IpMismatch);
        }
        Ok(verified)
    }

    /// The share whose code has this digest, or had before it was rotated; perhaps from memory.
    pub(in crate::gateway) async fn share_of_code(
        &self,
        digest: Sha256Digest,
    ) -> Result<Option<Arc<WholeShare>>, Refusal> {
        let at = self.rows_at();
        let address = self.cache.share_codes.get(&digest, at);
        let kept = address.and_then(|address| self.cache.shares.get(&address, at));
        if kept.is_some() {
            return Ok(kept);
        }
        let look = || async {
            let found = self.catalog.share_of_code(&digest);
            let found = self.read_of_stranger(found).await?.map(Arc::new);
            if let Some(whole) = &found {
                self.cache.keep_share(whole, at);
            }
            Ok(found)
        };
        self.share_reads.read(digest, at, look).await
    }

    /// The file of a share, if it is there and opens: not deleted, nor damaged, nor were its links revoked since it was
    /// put into the share.
    ///
    /// # Errors
    /// `FileNotFound`, `Link` for one whose links were revoked, and the refusal of a file that is damaged or of a
    /// catalogue that fails.
    pub async fn file_of_share(
        &self,
        open: &OpenShare,
        shared: &SharedFile,
    ) -> Result<Arc<FileRecord>, Refusal> {
        let organization = &open.share().organization;
        let known = self.current().await?;
        let known = &known.revocations;
        let (text, file) = (organization.as_str(), shared.file.as_str());
        if known.refuses(text, Some(file), open.link_id()) {
            return Err(Refusal::Link(Rejection::LinkRevoked));
        }
        if known.revision(text, file) != shared.link_revision {
            return Err(Refusal::Link(Rejection::FileRevoked));
        }
        self.whole_file(FileRef::new(organization, &shared.file))
            .await
    }

    /// All files of a share as they are now, in the order of their positions.
    ///
    /// # Errors
    /// The refusal of a catalogue that fails.
    pub async fn files_of_share(&self, open: &OpenShare) -> Result<Vec<SharedEntry>, Refusal> {
        let known = self.current().await?;
        let organization = &open.share().organization;
        self.entries(organization, open.files(), &known.revocations)
            .await
    }
}
