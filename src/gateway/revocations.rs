//! What this process holds in memory of the catalogue, and how it stays true.
//!
//! Epochs, link revisions and denied links are under every link that is opened, so they are held in
//! memory. Whoever runs a gateway calls [`Gateway::look`] every [`LOOK_EVERY`]; it reloads them when
//! anybody changed the catalogue. Memory that nobody compared for [`TRUSTED_FOR`] is not answered from:
//! the request looks by itself, and is refused as unavailable if that fails.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::Gateway;
use super::refusal::Refusal;
use crate::model::revocation::Revocations;

/// How often a running gateway looks whether others changed the catalogue.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long memory is trusted after it was last compared. What others revoked is refused within this.
pub const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// How long a request that finds the memory too old waits for its own look.
const LOOK_WAIT_MAX: Duration = Duration::from_secs(2);

/// The revocations in memory.
#[derive(Debug, Default)]
pub(super) struct Held {
    memory: RwLock<Option<Memory>>,
    /// Only one look at a time: the others wait for it and find its result.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Memory {
    revocations: Arc<Revocations>,
    /// The catalogue's version that they were read at, or after.
    version: u64,
    /// On the gateway's own clock: when the look that confirmed them began.
    confirmed: Duration,
}

impl Held {
    fn memory(&self) -> Option<Memory> {
        self.memory
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn remember(&self, memory: Memory) {
        *self.memory.write().unwrap_or_else(PoisonError::into_inner) = Some(memory);
    }
}

impl Gateway {
    /// Compares the revocations in memory with the catalogue and reloads them if it changed. What was
    /// committed before the call began is in memory when it answers.
    pub async fn look(&self) -> Result<Arc<Revocations>, Refusal> {
        let _one_at_a_time = self.held.looking.lock().await;
        let confirmed = self.clock.elapsed();
        let version = self.catalog.version().await?;
        let known = self
            .held
            .memory()
            .filter(|memory| memory.version == version);
        let revocations = match known {
            Some(memory) => memory.revocations,
            None => Arc::new(self.catalog.revocations(self.clock.now()).await?),
        };
        self.held.remember(Memory {
            revocations: Arc::clone(&revocations),
            version,
            confirmed,
        });
        Ok(revocations)
    }

    /// The revocations, at most [`TRUSTED_FOR`] old.
    pub(super) async fn revocations(&self) -> Result<Arc<Revocations>, Refusal> {
        if let Some(memory) = self.held.memory()
            && self.clock.elapsed().saturating_sub(memory.confirmed) < TRUSTED_FOR
        {
            return Ok(memory.revocations);
        }
        self.look_in_time().await
    }

    /// [`Gateway::look`], given up after a bound: unavailable then.
    pub async fn look_in_time(&self) -> Result<Arc<Revocations>, Refusal> {
        let late = |_| Refusal::Unavailable("the catalogue did not say what was revoked".into());
        tokio::time::timeout(LOOK_WAIT_MAX, self.look())
            .await
            .map_err(late)?
    }
}
