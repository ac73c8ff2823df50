//! What is counted of shares: how often their pages were opened, and their downloads. Kept in memory as it happens, and put
//! into the catalogue every few seconds with the other counts.
//!
//! What the catalogue does not take is kept within [`SHARES_COUNTED_MAX`], and tried again. A process that is killed loses
//! what it counted since the last flush; a catalogue that did not say whether it counted may have counted twice. The
//! downloads that a share allows are not counted here: those are exact (`redeem.rs`).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Gateway;
use super::refusal::Refusal;
use super::share_access::UnlockedShare;
use super::shares::OpenShare;
use crate::catalog::shares::{SHARE_COUNTS_ADDED_MAX, ShareCount};
use crate::model::count::Counts;
use crate::model::id::{OrganizationId, ShareId};
use crate::model::time::UnixSeconds;

/// The most shares that are counted between two flushes that the catalogue takes. More are not counted.
pub const SHARES_COUNTED_MAX: usize = 16_384;

/// What is not in the catalogue yet.
#[derive(Default)]
pub(super) struct PendingShareCounts {
    counts: Mutex<HashMap<(OrganizationId, ShareId), Added>>,
    /// One flush at a time, so that what one gives back is not taken by another before.
    flushing: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy, Default)]
struct Added {
    counts: Counts,
    opened: u64,
    first_opened_at: Option<UnixSeconds>,
}

impl Added {
    fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.opened = self.opened.saturating_add(other.opened);
        // Nothing is later than anything.
        let earliest = self
            .first_opened_at
            .into_iter()
            .chain(other.first_opened_at);
        self.first_opened_at = earliest.min();
    }
}

impl PendingShareCounts {
    fn counts(&self) -> MutexGuard<'_, HashMap<(OrganizationId, ShareId), Added>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, key: (OrganizationId, ShareId), more: &Added) {
        let mut counts = self.counts();
        if let Some(added) = counts.get_mut(&key) {
            added.add(more);
        } else if counts.len() < SHARES_COUNTED_MAX {
            counts.insert(key, *more);
        }
    }
}

impl Gateway {
    /// Counts what came to pass by a share. Never waits for the catalogue.
    pub fn count_share_download(
        &self,
        organization: &OrganizationId,
        share: &ShareId,
        counts: Counts,
    ) {
        let key = (organization.clone(), share.clone());
        let added = Added {
            counts,
            ..Added::default()
        };
        self.share_counts.add(key, &added);
    }

    /// Counts that the page of a share was shown with what it shares.
    pub fn note_share_opened(&self, open: &OpenShare) {
        let share = open.share();
        let added = Added {
            opened: 1,
            first_opened_at: Some(self.clock.now()),
            ..Added::default()
        };
        let key = (share.organization.clone(), share.id.clone());
        self.share_counts.add(key, &added);
    }

    /// Puts what was counted of shares into the catalogue, and answers of how many. What the catalogue does not take is
    /// kept for the next time.
    ///
    /// # Errors
    /// The refusal of the catalogue.
    pub async fn flush_share_counts(&self) -> Result<usize, Refusal> {
        let _one_at_a_time = self.share_counts.flushing.lock().await;
        let all: Vec<_> = self.share_counts.counts().drain().collect();
        let mut done = 0;
        for some in all.chunks(SHARE_COUNTS_ADDED_MAX) {
            let counts: Vec<ShareCount> = some.iter().map(count).collect();
            if let Err(error) = self.catalog.add_share_counts(&counts).await {
                for (key, added) in all.iter().skip(done) {
                    self.share_counts.add(key.clone(), added);
                }
                return Err(self.refusal(error));
            }
            done += some.len();
        }
        Ok(done)
    }

    /// Returns how many more downloads a share may start that allows so many, as the catalogue has it now.
    ///
    /// # Errors
    /// The refusal of a catalogue that does not answer.
    pub async fn downloads_left(
        &self,
        unlocked: UnlockedShare<'_>,
        allowed: u64,
    ) -> Result<u64, Refusal> {
        let share = unlocked.open().share();
        let counts = self.catalog.share_counts(&share.organization, &share.id);
        let counts = self.read_of(&share.organization, counts).await?;
        Ok(allowed.saturating_sub(counts.done.saturating_add(counts.open)))
    }
}

fn count(((organization, share), added): &((OrganizationId, ShareId), Added)) -> ShareCount {
    ShareCount {
        organization: organization.clone(),
        share: share.clone(),
        counts: added.counts,
        opened: added.opened,
        first_opened_at: added.first_opened_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_summed_and_the_first_opening_stays() {
        let at = |seconds| UnixSeconds::new(seconds);
        let mut added = Added::default();
        for (opened, first) in [(0, None), (1, at(9)), (2, at(7)), (1, at(8)), (0, None)] {
            added.add(&Added {
                opened,
                first_opened_at: first,
                counts: Counts {
                    downloads: 1,
                    ..Counts::default()
                },
            });
        }
        assert_eq!((added.opened, added.first_opened_at), (4, at(7)));
        assert_eq!(added.counts.downloads, 5);
    }

    #[test]
    fn no_more_than_so_many_shares_wait() {
        let pending = PendingShareCounts::default();
        let organization = OrganizationId::parse("org_1").unwrap();
        let key = |number: usize| {
            let share = ShareId::parse(&format!("share_{number}")).unwrap();
            (organization.clone(), share)
        };
        for number in 0..SHARES_COUNTED_MAX + 9 {
            pending.add(key(number), &Added::default());
        }
        assert_eq!(pending.counts().len(), SHARES_COUNTED_MAX);
        let one = Added {
            opened: 1,
            ..Added::default()
        };
        pending.add(key(0), &one);
        assert_eq!(pending.counts().get(&key(0)).unwrap().opened, 1);
    }
}
