//! Downloads that were counted, in memory.

use super::Memory;
use crate::catalog::counters::{COUNT_MAX, COUNTS_ADDED_MAX, Counters};
use crate::catalog::{Answer, COUNTS_AT_ONCE, CatalogError};
use crate::model::count::{Count, Counted, Counts};
use crate::model::id::OrganizationId;
use crate::model::time::UnixSeconds;

impl Counters for Memory {
    fn add_counts<'a>(&'a self, counts: &'a [Count]) -> Answer<'a, ()> {
        self.change(move |rows| {
            if counts.len() > COUNTS_ADDED_MAX {
                let (what, limit) = (COUNTS_AT_ONCE, COUNTS_ADDED_MAX as u64);
                return Err(CatalogError::Limit { what, limit });
            }
            for count in counts {
                let (organization, file) = (&count.file.organization, &count.file.file);
                let address = (organization.clone(), file.clone());
                if !rows.files.contains_key(&address) {
                    continue;
                }
                add(rows.file_counts.entry(address).or_default(), &count.counts);
                let link = (organization.clone(), count.link);
                let fresh = (count.expires, Counts::default());
                let (expires, of_link) = rows.link_counts.entry(link).or_insert(fresh);
                *expires = count.expires.max(*expires);
                add(of_link, &count.counts);
            }
            Ok(())
        })
    }

    fn counts<'a>(
        &'a self,
        organization: &'a OrganizationId,
        of: Counted<'a>,
    ) -> Answer<'a, Counts> {
        self.look(move |rows| {
            let organization = organization.clone();
            let found = match of {
                Counted::File(file) => rows.file_counts.get(&(organization, file.clone())),
                Counted::Link(link) => {
                    let of_link = rows.link_counts.get(&(organization, link));
                    of_link.map(|(_, counts)| counts)
                }
            };
            Ok(found.copied().unwrap_or_default())
        })
    }

    fn forget_counts(&self, now: UnixSeconds, limit: u32) -> Answer<'_, u64> {
        self.change(move |rows| {
            let mut left = u64::from(limit);
            rows.link_counts.retain(|_, (expires, _)| {
                let is_forgotten = *expires <= now && left > 0;
                left -= u64::from(is_forgotten);
                !is_forgotten
            });
            Ok(u64::from(limit) - left)
        })
    }
}

fn add(counts: &mut Counts, more: &Counts) {
    counts.add(more);
    for number in [
        &mut counts.downloads,
        &mut counts.whole,
        &mut counts.bytes_sent,
    ] {
        *number = (*number).min(COUNT_MAX);
    }
}
