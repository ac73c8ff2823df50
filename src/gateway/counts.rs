//! Counting downloads: in memory as they happen, and every few seconds in the catalogue.
//!
//! What a link's download adds is kept under the link, in one of a few maps with a lock each, so that
//! counting is one look into a map and, for a link that is in it already, allocates nothing. [`FLUSH_EVERY`],
//! and as soon as a map is half full, whoever runs a gateway calls [`Gateway::flush_counts`], which empties the maps
//! into the catalogue. What the catalogue did not take is kept, within [`LINKS_COUNTED_MAX`], and tried again.
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

use super::Gateway;
use super::refusal::Refusal;
use crate::catalog::counters::COUNTS_ADDED_MAX;
use crate::model::count::{Count, Counted, Counts};
use crate::model::file::FileRecord;
use crate::model::id::OrganizationId;
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

/// A link and its file. Links of two files never have one id but by somebody's own doing.
struct CountedLink {
    link: LinkId,
    file: Arc<FileRecord>,
}

#[derive(Clone, Copy)]
struct Added {
    expires: UnixSeconds,
    counts: Counts,
}

impl CountedLink {
    /// The key of its row.
    fn row(&self) -> (&OrganizationId, LinkId) {
        (&self.file.organization, self.link)
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
            added.counts.add(&more.counts);
        } else if shard.len() < LINKS_OF_SHARD_MAX {
            shard.insert(key, more);
            return shard.len() == LINKS_OF_SHARD_MAX / 2;
        } else {
            drop(shard);
            self.lost.fetch_add(more.counts.downloads, Relaxed);
            if !self.is_said.swap(true, Relaxed) {
                tracing::error!(
                    "downloads are not counted: the catalogue does not take their counts"
                );
            }
        }
        false
    }
}

/// Takes everything out of a map, in the order of the catalogue's keys: batches of rows that lie side by side there change
/// fewer of its pages. The map keeps its room.
fn take(shard: &Mutex<Shard>) -> Vec<(CountedLink, Added)> {
    let mut all: Vec<_> = lock(shard).drain().collect();
    all.sort_unstable_by(|(one, _), (other, _)| one.row().cmp(&other.row()));
    all
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
        if self.waiting.add(key, Added { expires, counts }) {
            self.waiting.are_due.notify_one();
        }
    }

    /// Answers once so many links were counted that they are to be put into the catalogue at once.
    pub async fn counts_are_due(&self) {
        self.waiting.are_due.notified().await;
    }

    /// Puts what was counted into the catalogue, and answers of how many links. What the catalogue does
    /// not take is kept for the next time. Dropping the future may lose what it was about to put there: those of one map.
    pub async fn flush_counts(&self) -> Result<usize, Refusal> {
        let _one_at_a_time = self.waiting.flushing.lock().await;
        let (mut done, mut folded) = (0, 0);
        for shard in &self.waiting.shards {
            let all = take(shard);
            let mut taken = 0;
            for some in all.chunks(COUNTS_ADDED_MAX) {
                let counts: Vec<Count> = some.iter().map(count).collect();
                let links_max = self.settings.link_counts_max;
                match self.catalog.add_counts(&counts, links_max).await {
                    Ok(more) => folded += more,
                    Err(error) => {
                        // Nobody is told that they are due: the next flush tries again.
                        for (key, added) in all.into_iter().skip(taken) {
                            self.waiting.add(key, added);
                        }
                        return Err(self.refusal(error));
                    }
                }
                taken += some.len();
            }
            done += taken;
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

fn count((key, added): &(CountedLink, Added)) -> Count {
    Count {
        file: key.file.address(),
        link: key.link,
        expires: added.expires,
        counts: added.counts,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::catalog::Catalog;
    use crate::catalog::contract::{file, organization};
    use crate::catalog::sqlite::Sqlite;
    use crate::gateway::download::LinkRequest;
    use crate::gateway::mint::{MintOptions, Minted};
    use crate::gateway::testing::{NOW, gateway, memory_blobs};
    use crate::gateway::upload::NewFile;
    use crate::model::file::Purpose;
    use crate::model::id::SpaceId;
    use crate::model::metadata::Metadata;
    use crate::model::name::FileName;
    use crate::sign::url;

    fn one(bytes_sent: u64) -> Counts {
        Counts {
            downloads: 1,
            whole: 1,
            bytes_sent,
            last_at: UnixSeconds::new(NOW),
        }
    }

    fn link(number: usize) -> LinkId {
        LinkId::parse(&format!("{number:012}")).unwrap()
    }

    /// A new catalogue at this path, a gateway on it, and the one file that it has.
    async fn with_file(path: &Path) -> (Arc<Sqlite>, Gateway, Arc<FileRecord>) {
        let catalog = Arc::new(Sqlite::open(path).await.unwrap());
        let owner = organization(catalog.as_ref(), "o").await;
        let some = Arc::new(file(&owner, "f", 1));
        catalog.add_file(&some).await.unwrap();
        let gateway = gateway(Arc::clone(&catalog) as _, memory_blobs());
        (catalog, gateway, some)
    }

    #[tokio::test]
    async fn what_the_catalogue_does_not_take_is_kept_within_bounds_and_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalogue.sqlite3");
        let (first, gateway, some) = with_file(&path).await;
        let owner = some.organization.clone();
        let expires = UnixSeconds::new(NOW + 60).unwrap();
        first.close().await;
        for _ in 0..3 {
            gateway.count_download(&some, link(1), expires, one(10));
        }
        let refused = gateway.flush_counts().await;
        assert!(
            matches!(refused, Err(Refusal::Unavailable(_))),
            "{refused:?}"
        );
        gateway.count_download(&some, link(1), expires, one(10));
        // Every one begins with the same character, so they are all in one map.
        let room = LINKS_COUNTED_MAX / SHARDS;
        for number in 2..room + 8 {
            gateway.count_download(&some, link(number), expires, one(1));
        }
        assert_eq!(gateway.uncounted_downloads(), 7);
        gateway.flush_counts().await.unwrap_err();

        let again: Arc<dyn Catalog> = Arc::new(Sqlite::open(&path).await.unwrap());
        let gateway = Gateway {
            catalog: Arc::clone(&again),
            ..gateway
        };
        assert_eq!(gateway.flush_counts().await.unwrap(), room);
        assert_eq!(gateway.flush_counts().await.unwrap(), 0);
        let of_link = gateway.counts(&owner, Counted::Link(link(1)));
        let of_link = of_link.await.unwrap();
        assert_eq!((of_link.downloads, of_link.bytes_sent), (4, 40));
        let of_file = gateway.counts(&owner, Counted::File(&some.id));
        let of_file = of_file.await.unwrap();
        assert_eq!(of_file.downloads, 4 + room as u64 - 1);
    }

    /// At full speed a gateway counts more links between two ticks than there is room for.
    #[tokio::test]
    async fn links_are_due_once_a_map_is_half_full_and_no_failure_makes_them_due_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalogue.sqlite3");
        let (catalog, gateway, some) = with_file(&path).await;
        let expires = UnixSeconds::new(NOW + 60).unwrap();
        let count = |number| gateway.count_download(&some, link(number), expires, one(1));
        let are_due = || gateway.counts_are_due().now_or_never().is_some();
        // Every one begins with the same character, so they are all in one map.
        let half = LINKS_OF_SHARD_MAX / 2;
        (1..half).for_each(count);
        count(1);
        assert!(!are_due());
        count(half);
        assert!(are_due() && !are_due());
        assert_eq!(gateway.flush_counts().await.unwrap(), half);
        (1..=half).for_each(count);
        assert!(are_due(), "once more");
        catalog.close().await;
        gateway.flush_counts().await.unwrap_err();
        assert!(
            !are_due(),
            "a catalogue that is away is not asked again at once"
        );
        assert_eq!(gateway.uncounted_downloads(), 0);
    }

    /// Two gateways on one catalogue, as two processes have it: what one counts empties no cache of the
    /// other, nor its own.
    #[tokio::test]
    async fn a_flush_lets_nobody_go_of_what_is_kept_in_memory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalogue.sqlite3");
        let [mine, theirs]: [Arc<dyn Catalog>; 2] = [
            Arc::new(Sqlite::open(&path).await.unwrap()),
            Arc::new(Sqlite::open(&path).await.unwrap()),
        ];
        let owner = organization(mine.as_ref(), "o").await;
        let blobs = memory_blobs();
        let [one_gateway, other] =
            [mine, theirs].map(|catalog| Arc::new(gateway(catalog, Arc::clone(&blobs))));
        let mut upload = one_gateway.begin_upload().await.unwrap();
        upload.write("bytes".into()).await.unwrap();
        let name = FileName::from_client("a.txt").unwrap();
        let new = NewFile {
            organization: owner.clone(),
            space: SpaceId::default_space(),
            id: None,
            media_type: None,
            name,
            purpose: Purpose::UserUpload,
            metadata: Metadata::default(),
            created_at: None,
            uploaded_by: None,
            expires_in: None,
        };
        let record = one_gateway.finish_upload(upload, new).await.unwrap();
        let options = MintOptions::default();
        let minted = one_gateway.mint_for(&owner, record.id.as_str(), &options);
        let minted: Minted = minted.await.unwrap();
        let opened = async |gateway: &Gateway| {
            gateway.refresh().await.unwrap();
            let (organization, file, query) = url::split(&minted.download_url).unwrap();
            let request = LinkRequest {
                organization,
                file,
                query,
                client: None,
            };
            let verified = gateway.verify_link(&request).await.unwrap();
            gateway.open_verified(verified).await.unwrap().file
        };
        let before = [opened(&one_gateway).await, opened(&other).await];
        for (gateway, file) in [&one_gateway, &other].into_iter().zip(&before) {
            assert!(
                Arc::ptr_eq(&opened(gateway).await, file),
                "it is kept at all"
            );
        }
        one_gateway.count_download(&before[0], minted.link_id, minted.expires, one(5));
        other.count_download(&before[1], minted.link_id, minted.expires, one(5));
        assert_eq!(one_gateway.flush_counts().await.unwrap(), 1);
        assert_eq!(other.flush_counts().await.unwrap(), 1);
        for (gateway, file) in [&one_gateway, &other].into_iter().zip(&before) {
            assert!(Arc::ptr_eq(&opened(gateway).await, file), "it was let go");
        }
        let counted = other.counts(&owner, Counted::File(&record.id));
        let counted = counted.await.unwrap();
        assert_eq!((counted.downloads, counted.bytes_sent), (2, 10));
        // What does change a row is seen, so the check above can fail.
        one_gateway.delete(&owner, &record.id).await.unwrap();
        other.refresh().await.unwrap();
        assert!(other.ready_file(&owner, &record.id).await.is_err());
    }
}
