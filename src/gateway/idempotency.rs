//! Idempotency keys of uploads (IETF HTTPAPI working group, "The Idempotency-Key HTTP Header Field"): a request
//! that is sent again is answered again, and stores nothing twice.
//!
//! 1. A request claims its key before its body is read. Another one that has it is being worked on, or was
//!    completed.
//! 2. A claim is a lease, renewed while the request is worked on: the key of a process that died is free again
//!    [`LEASE_SECONDS`] later. A request that is refused, or whose client is gone, gives it up.
//! 3. The answer is kept under the key in the transaction that adds the files, together with a digest of what
//!    was asked. Where that transaction fails, nothing is kept.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::Gateway;
use super::principal::Principal;
use super::refusal::Refusal;
use super::tenants::random;
use super::upload::{NewFile, StagedFile};
use crate::catalog::CatalogError;
use crate::catalog::idempotency::{Claim, Claimed, Completion};
use crate::model::digest::Sha256Digest;
use crate::model::file::FileRecord;
use crate::model::media::MediaType;

pub use crate::catalog::idempotency::Completed;

/// The longest key, in characters.
pub const KEY_CHARS_MAX: usize = 255;

/// The seconds that a claim holds without renewal: longer than a catalogue that is busy takes to renew it.
pub const LEASE_SECONDS: u64 = 20;

/// The interval between two renewals of a claim.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// The key of a request that is being worked on. Dropped before it is completed, it is given up.
pub struct HeldKey {
    gateway: Arc<Gateway>,
    claim: Claim,
    renewing: AbortHandle,
    /// True if there is nothing to give up any more.
    is_done: bool,
}

/// A digest of what a request asks for, part by part.
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// Begins with the API dialect that was spoken, and whether a batch was sent.
    pub fn new(dialect: &str, is_batch: bool) -> Self {
        let mut all = Self(Sha256::new());
        all.field(dialect.as_bytes());
        all.field(&[u8::from(is_batch)]);
        all
    }

    /// Adds a file: its description, and the digest of its bytes.
    pub fn add(&mut self, new: &NewFile, sha256: Option<Sha256Digest>) {
        self.field(new.name.as_str().as_bytes());
        self.field(sha256.as_ref().map_or(&[], |digest| digest.as_bytes()));
        let media_type = new.media_type.as_ref().map_or("", MediaType::as_str);
        self.field(media_type.as_bytes());
        self.field(new.purpose.as_str().as_bytes());
        for (key, value) in new.metadata.pairs() {
            self.field(key.as_bytes());
            self.field(value.as_bytes());
        }
        // No file is there for no second at all.
        self.field(&new.expires_in.unwrap_or(0).to_be_bytes());
    }

    /// Adds a file that was refused by itself: its bytes were not kept.
    pub fn add_refused(&mut self, filename: &str) {
        self.field(filename.as_bytes());
    }

    /// Returns the digest.
    pub fn finish(self) -> Sha256Digest {
        Sha256Digest::new(self.0.finalize().into())
    }

    /// Adds one field with its length, so that no two lists of fields are one text.
    fn field(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }
}

/// The result of looking up an idempotency key.
pub enum UnderKey {
    /// Nothing: it is to be worked on.
    Nothing(HeldKey),
    /// The result of an earlier request.
    Completed(Completed),
}

impl Drop for HeldKey {
    fn drop(&mut self) {
        self.renewing.abort();
        if self.is_done {
            return;
        }
        let (gateway, claim) = (Arc::clone(&self.gateway), self.claim.clone());
        // The lease ends by itself where no runtime is any more.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { gateway.release_key(&claim).await });
        }
    }
}

impl HeldKey {
    /// Gives the key up before the answer, so that whoever asks again after it finds the key free.
    pub async fn release(mut self) {
        self.is_done = true;
        self.renewing.abort();
        self.gateway.release_key(&self.claim).await;
    }
}

impl Gateway {
    /// Claims an idempotency key for a request of this caller.
    ///
    /// # Errors
    /// [`Refusal::KeyAtWork`] while another request has it; as the catalogue fails.
    pub async fn claim_key(
        self: &Arc<Self>,
        caller: &Principal,
        key: &str,
    ) -> Result<UnderKey, Refusal> {
        let claim = Claim {
            organization: caller.organization.clone(),
            api_key: caller.key.clone(),
            key: key.to_owned(),
            owner: random()?,
        };
        let now = self.clock.now();
        let until = now.plus(LEASE_SECONDS);
        match self.ask(self.catalog.claim(&claim, now, until)).await? {
            Claimed::Completed(completed) => Ok(UnderKey::Completed(completed)),
            Claimed::AtWork => Err(Refusal::KeyAtWork),
            Claimed::Ours => {
                let renewing = tokio::spawn(renew(Arc::clone(self), claim.clone()));
                Ok(UnderKey::Nothing(HeldKey {
                    gateway: Arc::clone(self),
                    claim,
                    renewing: renewing.abort_handle(),
                    is_done: false,
                }))
            }
        }
    }

    async fn release_key(&self, claim: &Claim) {
        if let Err(error) = self.catalog.release(claim).await {
            tracing::debug!(%error, "an idempotency key is free when its lease is over");
        }
    }

    /// Makes the rows of files whose bytes are kept, and completes the key with them: all in one transaction.
    /// `answer` writes what is kept under the key. Files that there is no room for are left out, each with the
    /// reason; where none is left, nothing is kept under the key. The bytes of what is left out are removed.
    ///
    /// # Errors
    /// [`Refusal::KeyAtWork`] if the claim was lost meanwhile; as the catalogue fails. No row is there then,
    /// unless it is `Unavailable`.
    pub async fn complete_key(
        &self,
        mut held: HeldKey,
        kept: Vec<StagedFile>,
        fingerprint: Sha256Digest,
        answer: impl Fn(&[Result<FileRecord, Refusal>]) -> Result<String, Refusal>,
    ) -> Result<Vec<Result<FileRecord, Refusal>>, Refusal> {
        let outcomes = self.complete(&mut held, kept, fingerprint, answer).await;
        let is_unavailable = matches!(outcomes, Err(Refusal::Unavailable(_)));
        if !held.is_done && !is_unavailable {
            held.release().await;
        }
        outcomes
    }

    async fn complete(
        &self,
        held: &mut HeldKey,
        kept: Vec<StagedFile>,
        fingerprint: Sha256Digest,
        answer: impl Fn(&[Result<FileRecord, Refusal>]) -> Result<String, Refusal>,
    ) -> Result<Vec<Result<FileRecord, Refusal>>, Refusal> {
        let kept = kept.into_iter().map(|StagedFile(file)| Ok(file));
        let mut outcomes: Vec<Result<FileRecord, Refusal>> = kept.collect();
        loop {
            let files: Vec<FileRecord> = outcomes.iter().flatten().cloned().collect();
            let Some(last) = outcomes.iter().rposition(Result::is_ok) else {
                return Ok(outcomes);
            };
            let completion = Completion {
                claim: held.claim.clone(),
                completed: Completed {
                    fingerprint,
                    outcome: answer(&outcomes)?,
                },
            };
            let (catalog, quota) = (&self.catalog, self.settings.quota);
            let organization = held.claim.organization.clone();
            let queued = self.keyed.enter(Some(organization)).await?;
            let adding = catalog.add_files_within(&files, quota, Some(&completion));
            let added = self.ask(adding).await;
            drop(queued);
            let Err(refusal) = added else {
                held.is_done = true;
                return Ok(outcomes);
            };
            // The rows may be there or not: the bytes stay, and the sweeper decides once it can see.
            if matches!(refusal, Refusal::Unavailable(_)) {
                return Err(refusal);
            }
            if !matches!(refusal, Refusal::Quota { .. }) {
                for file in &files {
                    self.remove_stored(file).await?;
                }
                return Err(match refusal {
                    Refusal::Exists { .. } => Refusal::KeyAtWork,
                    refusal => refusal,
                });
            }
            // The last one goes first; those before it may fit without it.
            if let Some(slot) = outcomes.get_mut(last)
                && let Ok(file) = std::mem::replace(slot, Err(refusal))
            {
                self.remove_stored(&file).await?;
            }
        }
    }
}

async fn renew(gateway: Arc<Gateway>, claim: Claim) {
    let mut tick = interval(RENEW_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.tick().await;
    loop {
        tick.tick().await;
        let until = gateway.clock.now().plus(LEASE_SECONDS);
        let renewed = gateway.catalog.renew(&claim, until).await;
        // Somebody else has it, or it is completed. After any other error, whether it still holds shows when it
        // is completed.
        if matches!(renewed, Err(CatalogError::Conflict { .. })) {
            return;
        }
    }
}
