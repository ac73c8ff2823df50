//! A memory budget for bodies that are read before anybody knows who signed them.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::gateway::refusal::Refusal;

/// The bytes that one permit stands for. A hundred ids of 128 characters are fewer.
const PERMIT_BYTES: u64 = 16 * 1024;

/// All permits: 64 MiB.
const PERMITS: usize = 4_096;

/// The permits that only bodies of one permit may take, so that long bodies do not shut out ordinary ones.
const PERMITS_FOR_SHORT: usize = PERMITS / 2;

/// A memory budget that all requests of a gateway share.
pub(in crate::web) struct BodyBudget(Semaphore);

impl BodyBudget {
    /// Returns a budget of which nothing is taken.
    pub(in crate::web) const fn new() -> Self {
        Self(Semaphore::const_new(PERMITS))
    }

    /// Takes room for a body of at most `bytes` bytes, until the permit is dropped.
    ///
    /// # Errors
    /// `Unavailable` where others hold too much: trying again helps, since a body has 30 seconds.
    pub(super) fn take(&self, bytes: u64) -> Result<SemaphorePermit<'_>, Refusal> {
        let full = || Refusal::Unavailable("too many signed bodies are being read".into());
        let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).map_err(|_| full())?;
        let permits = permits.max(1);
        let left = self.0.available_permits();
        if permits > 1 && left < PERMITS_FOR_SHORT + permits as usize {
            return Err(full());
        }
        self.0.try_acquire_many(permits).map_err(|_| full())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_bodies_leave_half_of_it_to_short_ones() {
        let budget = BodyBudget::new();
        let long = 1024 * 1024;
        let mut held: Vec<_> = (0..32).map(|_| budget.take(long).unwrap()).collect();
        assert!(matches!(budget.take(long), Err(Refusal::Unavailable(_))));
        assert!(budget.take(PERMIT_BYTES + 1).is_err());
        held.extend((0..PERMITS_FOR_SHORT).map(|_| budget.take(PERMIT_BYTES).unwrap()));
        assert!(budget.take(0).is_err());
        held.clear();
        assert!(budget.take(long).is_ok());
    }
}
