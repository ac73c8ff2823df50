//! Which version stamps are too old to keep a value that was read by them.
//!
//! A change is applied in two steps, behind one lock: its version is noted, and the value is removed. A value that was
//! read is kept behind the same lock, if its stamp is not older than what is noted. So whichever comes first, no value
//! of before the change stays. There are a few locks, for as many groups of keys: a value that is not kept since
//! another one of its group was changed is only read once more. Lookups take none.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::gateway::revocations::RowsAt;

/// The number of groups of keys.
const GROUPS: usize = 64;

/// The last changes of the values of one cache.
pub(super) struct Invalidations {
    groups: [Mutex<RowsAt>; GROUPS],
    hashing: RandomState,
}

impl Default for Invalidations {
    fn default() -> Self {
        let never = RowsAt {
            version: 0,
            reloads: 0,
        };
        Self {
            groups: std::array::from_fn(|_| Mutex::new(never)),
            hashing: RandomState::new(),
        }
    }
}

impl Invalidations {
    /// Returns a guard under which a value may be kept that was read after `at`; `None` if it may have been changed since.
    pub(super) fn unchanged_since<Q: Hash + ?Sized>(
        &self,
        key: &Q,
        at: RowsAt,
    ) -> Option<MutexGuard<'_, RowsAt>> {
        let last = self.group(key)?;
        (at.reloads == last.reloads && at.version >= last.version).then_some(last)
    }

    /// Notes the change of a value, and returns a guard under which it is to be removed.
    pub(super) fn changed<Q: Hash + ?Sized>(
        &self,
        key: &Q,
        version: u64,
    ) -> Option<MutexGuard<'_, RowsAt>> {
        let mut last = self.group(key)?;
        last.version = last.version.max(version);
        Some(last)
    }

    /// Notes that any value may have been changed. What is removed after this stays away.
    pub(super) fn all_changed(&self, version: u64) {
        for group in &self.groups {
            let mut last = lock(group);
            last.version = last.version.max(version);
        }
    }

    /// Notes that everything was read anew, so many times by now. What is removed after this stays away.
    pub(super) fn begin_anew(&self, reloads: u64) {
        for group in &self.groups {
            *lock(group) = RowsAt {
                version: 0,
                reloads,
            };
        }
    }

    fn group<Q: Hash + ?Sized>(&self, key: &Q) -> Option<MutexGuard<'_, RowsAt>> {
        let hash = self.hashing.hash_one(key) % GROUPS as u64;
        let group = self.groups.get(usize::try_from(hash).ok()?);
        group.map(lock)
    }
}

fn lock(group: &Mutex<RowsAt>) -> MutexGuard<'_, RowsAt> {
    group.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(version: u64, reloads: u64) -> RowsAt {
        RowsAt { version, reloads }
    }

    #[test]
    fn a_row_that_was_read_before_its_change_is_not_cached() {
        let invalidations = Invalidations::default();
        let is_kept = |key: &str, at| invalidations.unchanged_since(key, at).is_some();
        assert!(is_kept("a", at(0, 0)));
        drop(invalidations.changed("a", 7));
        assert!(!is_kept("a", at(6, 0)) && is_kept("a", at(7, 0)));
        let others = (0..100).map(|number| format!("other{number}"));
        let kept = others.filter(|key| is_kept(key, at(6, 0))).count();
        assert!(kept > 90, "{kept}");
        invalidations.all_changed(8);
        assert!(!is_kept("b", at(7, 0)) && is_kept("b", at(8, 0)));
        // The versions of a catalogue that was put back are lower.
        invalidations.begin_anew(1);
        assert!(!is_kept("a", at(9, 0)) && is_kept("a", at(3, 1)));
    }
}
