//! The sub-trait for counters of downloads.

use super::Answer;
use crate::model::count::{Counted, Counts, FileCount, LinkCount};
use crate::model::id::OrganizationId;
use crate::model::time::UnixSeconds;

/// The most counts that are added at once: few enough that nobody waits long behind them.
pub const COUNTS_ADDED_MAX: usize = 1_000;

/// The largest number that is kept; one that would be larger stays at it.
pub const COUNT_MAX: u64 = i64::MAX.cast_unsigned();

/// Keeps how often files and links were downloaded, under the contract of [`Catalog`](super::Catalog).
///
/// Nothing in here is in the change feed: what was counted is in nobody's memory.
pub trait Counters: Send + Sync {
    /// Adds to the counts of files, all of them or none. One that is not there any more is passed over. `Limit` for more than
    /// [`COUNTS_ADDED_MAX`].
    ///
    /// After [`CatalogError::Unavailable`](super::CatalogError::Unavailable) nobody knows whether they were
    /// added: a caller that tries again may count them twice.
    fn add_file_counts(&self, counts: Vec<FileCount>) -> Answer<'_, ()>;

    /// Adds to the counts of links, as [`Counters::add_file_counts`] does to those of files. One whose organization is not
    /// there is passed over. The end of a link is the latest with which it was counted.
    ///
    /// Of one organization `links_max` links have counts of their own, and any number of calls at once make no more:
    /// beyond that, a further link has none, and is counted for its file alone, whose counts are those of all of its
    /// links all the same. Links that have counts go on, also where there are more than that. Answers how many links
    /// were not counted so.
    fn add_link_counts(&self, counts: Vec<LinkCount>, links_max: u64) -> Answer<'_, u64>;

    /// Returns the counts of a file, in whatever state, or of a link; none of one that was never
    /// downloaded, is not there, was forgotten, or is a link that counts for its file alone.
    fn counts<'a>(
        &'a self,
        organization: &'a OrganizationId,
        of: Counted<'a>,
    ) -> Answer<'a, Counts>;

    /// Returns how many links of an organization have counts of their own.
    fn counted_links<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, u64>;

    /// Forgets the counts of up to `limit` links that are dead at `now`, or of fewer, but of some where there are any
    /// that nobody is adding to. Answers how many. A file's own counts go when its id is forgotten.
    fn forget_counts(&self, now: UnixSeconds, limit: u32) -> Answer<'_, u64>;
}
