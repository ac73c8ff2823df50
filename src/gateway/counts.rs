//! Counting downloads: in memory as they happen, and every few seconds in the catalogue.
//!
//! What a link's download adds is kept under the link, in one of a few maps with a lock each, so that
//! counting is one look into a map and, for a link that is in it already, allocates nothing. [`FLUSH_EVERY`],
//! and as soon as a map is half full, whoever runs a gateway calls [`Gateway::flush_counts`], which empties the maps
//! into the catalogue: first for the files, then for the links, each in batches of rows that lie side by side there. What
//! the catalogue did not take is kept, within [`LINKS_COUNTED_MAX`], and tried again.
//!
//! Of one organization so many links have counts of their own as `limits.organization_link_counts` says. Downloads with
//! further links are counted for their files alone, whose counts are whole in any case.
//!
//! A process that is killed loses what it counted since the last flush, and nothing else. A catalogue that
//! did not say whether it counted may have counted that batch twice.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::Gateway;
use super::refusal::Refusal;
use crate::catalog::CatalogError;
use crate::catalog::counters::COUNTS_ADDED_MAX;
use crate::model::address::FileAddress;
use crate::model::count::{Counted, Counts, FileCount, LinkCount};
use crate::model::file::FileRecord;
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::LinkId;
use crate::model::time::UnixSeconds;

pub use crate::catalog::redemptions::LinkAllowance;

/// The name that [`Refusal::Missing`] has for a link by which nobody has started a download.
pub const COUNTED_DOWNLOAD: &str = "a download by this link";

/// The interval between two flushes of the pending counters into the catalogue: a process that is killed may lose
/// as much.
pub const FLUSH_EVERY: Duration = Duration::from_secs(2);

/// The most links that are counted between two flushes that the catalogue takes.
pub const LINKS_COUNTED_MAX: usize = 65_536;

/// The number of maps that the pending counters are spread over.
const SHARDS: usize = 16;

/// The most links in one of them.
const LINKS_OF_SHARD_MAX: usize = LINKS_COUNTED_MAX / SHARDS;

/// The pending counters: downloads that are not in the catalogue yet.
#[derive(Default)]
pub(super) struct PendingCounts {
    shards: [Mutex<Shard>; SHARDS],
    /// Notified when one of them becomes half full.
    are_due: Notify,
    /// Downloads that were not counted, since there was no room.
    lost: AtomicU64,
    /// True if the log already reports those.
    is_said: AtomicBool,
    /// True if the log said that links of some organization are counted for their files alone.
    are_folded: AtomicBool,
    /// One flush at a time, so that what one gives back is not taken by another before.
    flushing: tokio::sync::Mutex<()>,
}

type Shard = HashMap<CountedLink, Added>;

/// A link and one of its files: the link of a share may have several.
struct CountedLink {
    link: LinkId,
    file: Arc<FileRecord>,
}

/// The counts to add for a link and for its file. They differ where the catalogue took those for the file alone.
#[derive(Clone, Copy)]
struct Added {
    expires: UnixSeconds,
    of_link: Counts,
    of_file: Counts,
}

/// The counts of one flush, in the order of the catalogue's keys, so that a batch changes few of its pages.
struct Flush {
    links: Vec<(CountedLink, Added)>,
    files: Vec<FileCount>,
}

impl CountedLink {
    /// The key of its row.
    fn row(&self) -> (&OrganizationId, LinkId) {
        (&self.file.organization, self.link)
    }

    /// The key of its file's row.
    fn file_row(&self) -> (&OrganizationId, &FileId) {
        (&self.file.organization, &self.file.id)
    }
}

impl Hash for CountedLink {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.link.hash(state);
    }
}

impl PartialEq for CountedLink {
    fn eq(&self, other: &Self) -> bool {
        let is_same = |file: &FileRecord| {
            file.id == self.file.id && file.organization == self.file.organization
        };
        self.link == other.link && (Arc::ptr_eq(&self.file, &other.file) || is_same(&other.file))
    }
}

impl Eq for CountedLink {}

impl PendingCounts {
    fn shard(&self, link: LinkId) -> MutexGuard<'_, Shard> {
        // The characters of a MAC are as good as random.
        let [first, ..] = link.as_bytes();
        #[expect(clippy::indexing_slicing, reason = "a remainder is below their number")]
        let shard = &self.shards[usize::from(*first) % SHARDS];
        lock(shard)
    }

    /// Returns whether its map became half full.
    fn add(&self, key: CountedLink, more: Added) -> bool {
        let mut shard = self.shard(key.link);
        if let Some(added) = shard.get_mut(&key) {
            added.expires = added.expires.max(more.expires);
            added.of_link.add(&more.of_link);
            added.of_file.add(&more.of_file);
        } else if shard.len() < LINKS_OF_SHARD_MAX {
            shard.insert(key, more);
            return shard.len() == LINKS_OF_SHARD_MAX / 2;
        } else {
            drop(shard);
            // Of one that the catalogue has for its file nothing is missing there.
            self.lost.fetch_add(more.of_file.downloads, Relaxed);
            if !self.is_said.swap(true, Relaxed) {
                tracing::error!(
                    "downloads are not counted: the catalogue does not take their counts"
                );
            }
        }
        false
    }

    /// Takes everything out of the maps, which keep their room.
    fn take(&self) -> Vec<(CountedLink, Added)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(lock(shard).drain());
        }
        all
    }
}

impl Flush {
    /// Puts them in order, which takes some milliseconds for many.
    fn of(mut links: Vec<(CountedLink, Added)>) -> Self {
        links.sort_unstable_by(|(one, _), (other, _)| one.row().cmp(&other.row()));
        let mut of_files: Vec<_> = links
            .iter()
            .filter(|(_, added)| added.of_file != Counts::default())
            .collect();
        of_files.sort_unstable_by(|(one, _), (other, _)| one.file_row().cmp(&other.file_row()));
        let files = of_files.chunk_by(|(one, _), (other, _)| one.file_row() == other.file_row());
        let files = files.filter_map(|links| {
            let mut counts = Counts::default();
            for (_, added) in links {
                counts.add(&added.of_file);
            }
            let (link, _) = links.first()?;
            Some(FileCount {
                file: link.file.address(),
                counts,
            })
        });
        Self {
            files: files.collect(),
            links,
        }
    }

    /// Returns the next batch for files.
    fn next_files(&mut self) -> Vec<FileCount> {
        let rest = self.files.len().saturating_sub(COUNTS_ADDED_MAX);
        self.files.split_off(rest)
    }

    /// Notes that the catalogue took what was to be added for the files from this one on, or from the first on.
    fn note_files(&mut self, from: Option<&FileAddress>) {
        let from = from.map(|file| (&file.organization, &file.file));
        for (link, added) in &mut self.links {
            if from.is_none_or(|from| link.file_row() >= from) {
                added.of_file = Counts::default();
            }
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gateway {
    /// Counts what came to pass by a link. Never waits for the catalogue; allocates nothing for a link
    /// that was counted since the last flush.
    pub fn count_download(
        &self,
        file: &Arc<FileRecord>,
        link: LinkId,
        expires: UnixSeconds,
        counts: Counts,
    ) {
        let key = CountedLink {
            link,
            file: Arc::clone(file),
        };
        let added = Added {
            expires,
            of_link: counts,
            of_file: counts,
        };
        if self.waiting.add(key, added) {
            self.waiting.are_due.notify_one();
        }
    }

    /// Answers once so many links were counted that they are to be put into the catalogue at once.
    pub async fn counts_are_due(&self) {
        self.waiting.are_due.notified().await;
    }

    /// Puts what was counted into the catalogue, and answers of how many links. What the catalogue does
    /// not take is kept for the next time. Dropping the future may lose what it was about to put there.
    pub async fn flush_counts(&self) -> Result<usize, Refusal> {
        let _one_at_a_time = self.waiting.flushing.lock().await;
        let all = self.waiting.take();
        if all.is_empty() {
            return Ok(0);
        }
        // On a thread that may take its time.
        #[expect(clippy::expect_used, reason = "nothing in it panics")]
        let mut flush = spawn_blocking(|| Flush::of(all)).await.expect("an order");
        let flushed = match self.flush_files(&mut flush).await {
            Ok(()) => self.flush_links(&mut flush).await,
            Err(error) => Err(error),
        };
        // Nobody is told that they are due: the next flush tries again.
        for (key, added) in flush.links {
            self.waiting.add(key, added);
        }
        flushed.map_err(|error| self.refusal(error))
    }

    /// Puts what was counted for files into the catalogue.
    async fn flush_files(&self, flush: &mut Flush) -> Result<(), CatalogError> {
        let mut from = None;
        loop {
            let some = flush.next_files();
            let Some(first) = some.first().map(|count| count.file.clone()) else {
                flush.note_files(None);
                return Ok(());
            };
            if let Err(error) = self.catalog.add_file_counts(some).await {
                if from.is_some() {
                    flush.note_files(from.as_ref());
                }
                return Err(error);
            }
            from = Some(first);
        }
    }

    /// Puts what was counted for links into the catalogue, takes out what that took, and answers of how many.
    #[expect(clippy::expect_used, reason = "the rest is no more than there is")]
    async fn flush_links(&self, flush: &mut Flush) -> Result<usize, CatalogError> {
        let (mut done, mut folded) = (0, 0);
        let links_max = self.settings.link_counts_max;
        while !flush.links.is_empty() {
            let rest = flush.links.len().saturating_sub(COUNTS_ADDED_MAX);
            let some = flush.links.get(rest..).expect("the last links");
            let counts = some.iter().map(link_count).collect();
            folded += self.catalog.add_link_counts(counts, links_max).await?;
            done += some.len();
            flush.links.truncate(rest);
        }
        self.waiting.is_said.store(false, Relaxed);
        if folded > 0 && !self.waiting.are_folded.swap(true, Relaxed) {
            let setting = "limits.organization_link_counts";
            tracing::warn!(
                setting,
                "an organization has as many links with counts as it may: downloads with others are counted for their files alone"
            );
        }
        Ok(done)
    }

    /// Returns the number of downloads that were never counted, since the catalogue did not take counts for too
    /// long.
    pub fn uncounted_downloads(&self) -> u64 {
        self.waiting.lost.load(Relaxed)
    }

    /// Returns the counts of a file or a link, by all gateways, as of their last flushes.
    pub async fn counts(
        &self,
        organization: &OrganizationId,
        of: Counted<'_>,
    ) -> Result<Counts, Refusal> {
        let counts = self.catalog.counts(organization, of);
        self.read_of(organization, counts).await
    }

    /// Returns the counts of a link, by all gateways, as of their last flushes; `None` of one that has none of its own, where
    /// its organization has as many links with counts as it may: then downloads with it may be counted for its file alone.
    ///
    /// # Errors
    /// The refusal of a catalogue that fails.
    pub async fn counts_of_link(
        &self,
        organization: &OrganizationId,
        link: LinkId,
    ) -> Result<Option<Counts>, Refusal> {
        let counts = self.counts(organization, Counted::Link(link)).await?;
        if counts.downloads > 0 {
            return Ok(Some(counts));
        }
        let links = self.catalog.counted_links(organization);
        let links = self.read_of(organization, links).await?;
        Ok((links < self.settings.link_counts_max).then_some(counts))
    }

    /// Returns what was counted of a counted link, by all gateways, as of their last flushes.
    ///
    /// # Errors
    /// [`Refusal::Missing`] for a link by which nobody has started a download, of whatever kind it is, and for one
    /// whose counters were forgotten, a day after its end.
    pub async fn allowance_of_link(
        &self,
        organization: &OrganizationId,
        link: LinkId,
    ) -> Result<LinkAllowance, Refusal> {
        let found = self.catalog.allowance_of_link(organization, link);
        let found = self.read_of(organization, found).await?;
        found.ok_or(Refusal::Missing {
            what: COUNTED_DOWNLOAD,
        })
    }
}

fn link_count((key, added): &(CountedLink, Added)) -> LinkCount {
    LinkCount {
        organization: key.file.organization.clone(),
        link: key.link,
        expires: added.expires,
        counts: added.of_link,
    }
}

#[cfg(test)]
mod tests;
