//! The bytes that each organization has staged, which its quota bounds together while they come in.
//!
//! A quota is enforced when the rows of files are added. Until then their bytes lie on the disk, so that the uploads of
//! an organization that are under way must fit together into what its quota leaves. Each gateway counts its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::model::id::OrganizationId;

/// The least number of organizations at which those that stage nothing any more are looked for.
const FORGOTTEN_FROM: usize = 64;

/// The staged bytes of the organizations that upload now.
#[derive(Debug, Default)]
pub(in crate::gateway) struct StagedBytes(Mutex<Counters>);

#[derive(Debug, Default)]
struct Counters {
    of: HashMap<OrganizationId, Weak<Counter>>,
    /// The number of organizations at which those that stage nothing any more are forgotten.
    forget_at: usize,
}

/// The counter of one organization.
#[derive(Debug, Default)]
struct Counter {
    /// The bytes of uploads under way.
    staged: AtomicU64,
    /// The bytes of those that came to their end since this counter was made: others count them as staged yet, who looked
    /// what is kept before.
    ended: AtomicU64,
}

/// The remaining quota of an organization, in bytes, as of the last read, and what all uploads that are under way take
/// of it.
#[derive(Clone, Debug)]
pub struct RemainingQuota {
    left: u64,
    limit: u64,
    ended_before: u64,
    counter: Arc<Counter>,
}

/// The bytes of one upload, counted until this is dropped.
#[derive(Debug)]
pub(super) struct StagedShare {
    quota: RemainingQuota,
    bytes: u64,
}

impl StagedBytes {
    /// Returns the remaining quota of an organization of which so many bytes are left, of so many.
    pub(in crate::gateway) fn remaining(
        &self,
        organization: &OrganizationId,
        left: u64,
        limit: u64,
    ) -> RemainingQuota {
        let counter = self.counter(organization);
        RemainingQuota {
            left,
            limit,
            ended_before: counter.ended.load(Relaxed),
            counter,
        }
    }

    fn counter(&self, organization: &OrganizationId) -> Arc<Counter> {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = counters.of.get(organization).and_then(Weak::upgrade) {
            return counter;
        }
        if counters.of.len() >= counters.forget_at {
            counters.of.retain(|_, counter| counter.strong_count() > 0);
            counters.forget_at = (2 * counters.of.len()).max(FORGOTTEN_FROM);
        }
        let counter = Arc::default();
        let weak = Arc::downgrade(&counter);
        counters.of.insert(organization.clone(), weak);
        counter
    }
}

impl RemainingQuota {
    /// Returns the share of an upload, of which no byte has come yet.
    pub(super) const fn share(self) -> StagedShare {
        StagedShare {
            quota: self,
            bytes: 0,
        }
    }
}

impl StagedShare {
    /// Counts more bytes of the upload. Returns the quota in bytes if all that is under way is more than it leaves.
    pub(super) fn add(&mut self, bytes: u64) -> Result<(), u64> {
        let RemainingQuota {
            left,
            limit,
            ended_before,
            counter,
        } = &self.quota;
        self.bytes = self.bytes.saturating_add(bytes);
        let staged = counter
            .staged
            .fetch_add(bytes, Relaxed)
            .saturating_add(bytes);
        let ended = counter.ended.load(Relaxed).saturating_sub(*ended_before);
        if staged.saturating_add(ended) > *left {
            return Err(*limit);
        }
        Ok(())
    }

    /// Counts the upload as ended: its row is about to be added.
    pub(super) fn end(self) {
        self.quota.counter.ended.fetch_add(self.bytes, Relaxed);
    }
}

impl Drop for StagedShare {
    fn drop(&mut self) {
        self.quota.counter.staged.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_under_way_fits_into_what_is_left() {
        let all = StagedBytes::default();
        let [one, other] = ["one", "other"].map(|id| OrganizationId::parse(id).unwrap());
        let share = |of, left| all.remaining(of, left, 100).share();
        let mut first = share(&one, 10);
        let mut second = share(&one, 10);
        first.add(6).unwrap();
        second.add(4).unwrap();
        share(&other, 10).add(10).unwrap();
        assert_eq!(second.add(1), Err(100));
        drop(second);
        let mut third = share(&one, 10);
        third.add(4).unwrap();
        // Its bytes are kept, which only who looks from now on knows.
        first.end();
        assert_eq!(third.add(1), Err(100));
        drop(third);
        share(&one, 4).add(4).unwrap();
    }

    #[test]
    fn organizations_that_stage_nothing_are_forgotten() {
        let all = StagedBytes::default();
        for number in 0..1_000 {
            let id = OrganizationId::parse(&format!("o{number}")).unwrap();
            drop(all.remaining(&id, 1, 1));
        }
        assert!(all.0.lock().unwrap().of.len() <= FORGOTTEN_FROM);
    }
}
