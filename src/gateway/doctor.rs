//! Checking every row against its bytes, and what lies about that no row names.
//!
//! Safe beside any number of running gateways: what looks damaged is looked at again in the catalogue, in case
//! it was deleted meanwhile, and what is being written counts as no leftover.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::Gateway;
use super::pieces::{self, Digests};
use super::progress::PassProgress;
use super::refusal::{Refusal, with_causes};
use crate::blob::{BlobError, BlobStore};
use crate::catalog::maintenance::{Checksum, READ_FILES_SET_MAX};
use crate::catalog::quota::Usage;
use crate::model::digest::Sha256Digest;
use crate::model::file::{BlobLocation, FileRecord, FileState, InPlace};
use crate::model::id::OrganizationId;
use crate::model::tenancy::Organization;

/// The number of rows that are read in one go.
const ROWS: u32 = 100;

/// The kind of a finding about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// Its bytes are gone, of another length, or not those that its row says.
    Damaged(String),
    /// The disk did not give them. They may be good.
    Unreadable(String),
    /// It is marked as damaged, and its bytes are whole.
    Healed,
    /// It is a file in place whose bytes are its own, under another identity than its row has: it was restored, say.
    Moved {
        /// True if its row has the new one now.
        is_noted: bool,
    },
}

/// A file whose bytes were read.
struct Checked {
    file: FileRecord,
    complaint: Option<Complaint>,
    /// The identity of its bytes, where that is another one than its row's and they are its own.
    moved: Option<InPlace>,
    /// The CRC-32 of its bytes, where they are its own and its row says another one or none.
    checksum: Option<Checksum>,
}

/// A file that something is the matter with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its row, as the check left it.
    pub file: FileRecord,
    /// The kind of the finding.
    pub complaint: Complaint,
}

/// An organization whose counters are not what its rows are: of its files, and of what quotas are held to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miscount {
    /// The organization that was miscounted.
    pub organization: OrganizationId,
    /// The totals by its counters.
    pub counted: Usage,
    /// The totals by its rows.
    pub found: Usage,
    /// The anchors of its list that are wrong.
    pub wrong_anchors: u64,
    /// The links and shares whose open downloads are counted wrongly.
    pub wrong_allowances: u64,
    /// By how much the counter of its links that have counts is wrong.
    pub wrong_links: u64,
}

/// Stages and blobs that no row names and no living process writes. Every running gateway sweeps them within an
/// hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Uploads that broke off with their process.
    pub stages: usize,
    /// Blobs without a row, older than any upload may be.
    pub orphans: usize,
}

impl Gateway {
    /// Reads the bytes of every file that has any, deleted or not, `at_once` files at a time with a
    /// megabyte of each in memory, and hands each finding to `report`. With `mend`, damaged files are marked,
    /// after which no gateway serves them, the mark is taken from those that are whole again, rows of files in
    /// place take the identity that the files have now, and rows without a CRC-32 take that; nothing else changes. Dropping the future stops between two
    /// chunks.
    pub async fn check_files(
        &self,
        mend: bool,
        at_once: usize,
        progress: &Arc<PassProgress>,
        mut report: impl FnMut(Finding),
    ) -> Result<(), Refusal> {
        let mut checks = JoinSet::new();
        let (mut last, mut checksums) = (None, Vec::new());
        loop {
            let page = self
                .ask(self.catalog.files_with_bytes(last.as_ref(), ROWS))
                .await?;
            let Some(file) = page.last() else {
                break;
            };
            last = Some((file.organization.clone(), file.id.clone()));
            for file in page {
                if checks.len() >= at_once.max(1)
                    && let Some(checked) = checks.join_next().await
                    && let Some(finding) = self.settle(mend, checked, &mut checksums).await?
                {
                    report(finding);
                }
                checks.spawn(check(Arc::clone(&self.blobs), file, Arc::clone(progress)));
            }
        }
        while let Some(checked) = checks.join_next().await {
            if let Some(finding) = self.settle(mend, checked, &mut checksums).await? {
                report(finding);
            }
        }
        self.write_checksums(&mut checksums).await
    }

    /// Compares every organization's counters with its rows, and hands each that is counted wrongly to
    /// `report`; with `mend`, its counters are set right. Who changes files of that organization waits
    /// meanwhile.
    pub async fn check_counts(
        &self,
        mend: bool,
        mut report: impl FnMut(Miscount),
    ) -> Result<(), Refusal> {
        for Organization { id, .. } in self.ask(self.catalog.organizations()).await? {
            let mut recount = self.ask(self.catalog.recount(&id, false)).await?;
            if mend && !recount.is_right() {
                recount = self.ask(self.catalog.recount(&id, true)).await?;
            }
            if !recount.is_right() {
                report(Miscount {
                    organization: id,
                    counted: recount.counted,
                    found: recount.found,
                    wrong_anchors: recount.wrong_anchors,
                    wrong_allowances: recount.wrong_allowances,
                    wrong_links: recount.wrong_links,
                });
            }
        }
        Ok(())
    }

    /// Counts what a sweep would remove, but for deleted files whose days in the recycle bin are over. Of another
    /// installation's store nothing is counted: it is an error. Changes nothing.
    pub async fn leftovers(&self) -> Result<Leftovers, Refusal> {
        self.blobs.expect_no_other().await?;
        let stages = self.blobs.abandoned_stages().await?;
        let orphans = self.find_orphans().await?.orphans;
        Ok(Leftovers {
            stages,
            orphans: usize::try_from(orphans).unwrap_or(usize::MAX),
        })
    }

    /// Returns the finding about a checked file, and with `mend` mends it; its checksum waits among `checksums` until there
    /// are enough of them. Its row is read again: bytes of a file
    /// that was deleted and swept meanwhile may well be gone.
    async fn settle(
        &self,
        mend: bool,
        checked: Result<Checked, tokio::task::JoinError>,
        checksums: &mut Vec<Checksum>,
    ) -> Result<Option<Finding>, Refusal> {
        let broke = |error| Refusal::Internal(format!("checking a file: {error}"));
        let Checked {
            file: seen,
            mut complaint,
            moved,
            checksum,
        } = checked.map_err(broke)?;
        if mend && let Some(checksum) = checksum {
            checksums.push(checksum);
            if checksums.len() == READ_FILES_SET_MAX {
                self.write_checksums(checksums).await?;
            }
        }
        if mend && let Some(now) = &moved {
            self.ask(self.note_identity(&seen, now)).await?;
            if let Some(Complaint::Moved { is_noted }) = &mut complaint {
                *is_noted = true;
            }
        }
        let Some(complaint) = complaint else {
            return Ok(None);
        };
        let (organization, id) = (&seen.organization, &seen.id);
        let now = self.ask(self.catalog.file(organization, id)).await?;
        let same = |file: &FileRecord| {
            let is_same = match (&file.location, &seen.location) {
                (BlobLocation::InPlace(now), BlobLocation::InPlace(seen)) => now.path == seen.path,
                (now, seen) => now == seen,
            };
            is_same && !matches!(file.state, FileState::Swept { .. })
        };
        let Some(mut file) = now.filter(same) else {
            return Ok(None);
        };
        let mark = match complaint {
            Complaint::Damaged(_) => file.damaged_at.or(Some(self.clock.now())),
            Complaint::Unreadable(_) | Complaint::Moved { .. } => file.damaged_at,
            Complaint::Healed => None,
        };
        if mend && mark != file.damaged_at {
            let marking = self.catalog.mark_damaged(organization, id, mark);
            self.ask(self.changing(marking)).await?;
            file.damaged_at = mark;
        }
        Ok(Some(Finding { file, complaint }))
    }
}

/// Says no to a file that a check marked: its bytes may be there, and are not what they were.
pub(super) fn expect_whole(file: &FileRecord) -> Result<(), Refusal> {
    let Some(since) = file.damaged_at else {
        return Ok(());
    };
    let (organization, id) = (&file.organization, &file.id);
    let why = format!("file {id} of {organization} is marked as damaged since {since}");
    Err(Refusal::Internal(why))
}

/// Reads a file's bytes to their end, and says what is the matter with them.
async fn check(
    blobs: Arc<dyn BlobStore>,
    file: FileRecord,
    progress: Arc<PassProgress>,
) -> Checked {
    let mut checksum = None;
    let (complaint, moved) = match digests(blobs.as_ref(), &file, &progress).await {
        Ok((_, Some(_))) if file.sha256.is_none() => {
            let why = "it was changed or replaced, and nobody had read it before";
            (Some(Complaint::Damaged(why.into())), None)
        }
        Ok((found, _)) if file.sha256.is_some_and(|was| was != found.sha256) => {
            let was = file.sha256.map(Sha256Digest::to_hex).unwrap_or_default();
            let why = format!("its SHA-256 is {}, not {was}", found.sha256.to_hex());
            (Some(Complaint::Damaged(why)), None)
        }
        Ok((Digests { crc32, .. }, moved)) => {
            if file.crc32 != Some(crc32) {
                checksum = Some(Checksum::of(&file, crc32));
            }
            (whole(&file, moved.as_ref()), moved)
        }
        Err(BlobError::Damaged { what }) => (Some(Complaint::Damaged(what)), None),
        Err(error) => (Some(Complaint::Unreadable(with_causes(&error))), None),
    };
    progress.add_file();
    Checked {
        file,
        complaint,
        moved,
        checksum,
    }
}

/// Returns the finding about a file whose bytes are its own. A row from before that lacks some of its identity is
/// no finding.
fn whole(file: &FileRecord, moved: Option<&InPlace>) -> Option<Complaint> {
    if file.damaged_at.is_some() {
        return Some(Complaint::Healed);
    }
    match (&file.location, moved) {
        (BlobLocation::InPlace(row), Some(now)) if !row.may_be(now) => {
            Some(Complaint::Moved { is_noted: false })
        }
        _ => None,
    }
}

async fn digests(
    blobs: &dyn BlobStore,
    file: &FileRecord,
    progress: &PassProgress,
) -> Result<(Digests, Option<InPlace>), BlobError> {
    let (blob, moved) = pieces::open_to_hash(blobs, file).await?;
    let digests = pieces::digests(blob, |bytes| progress.add_bytes(bytes)).await?;
    if let Some(now) = &moved {
        // One that changed while it was read is neither.
        let now = BlobLocation::InPlace(now.clone());
        blobs.open(&now, file.size).await?;
    }
    Ok((digests, moved))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;

    use super::*;
    use crate::blob::memory::MemoryBlobs;
    use crate::catalog::Catalog;
    use crate::catalog::contract::{file, organization};
    use crate::catalog::integrity::Integrity;
    use crate::catalog::testing::TestCatalog;
    use crate::gateway::testing::stubborn::Stubborn;
    use crate::gateway::testing::{NOW, gateway};
    use crate::model::id::BlobKey;
    use crate::model::time::UnixSeconds;

    fn key(number: u8) -> BlobKey {
        BlobKey::from_random([number; 16])
    }

    /// So many files with bytes of their own, of which those with these numbers cannot be read.
    async fn place(count: u8, fails: &[u8]) -> (Arc<TestCatalog>, Gateway) {
        let blobs = Stubborn {
            inner: MemoryBlobs::new(|| UnixSeconds::EPOCH.plus(NOW)),
            fails: fails.iter().map(|number| key(*number)).collect(),
            stages: false,
            is_unavailable: false,
        };
        let catalog = Arc::new(TestCatalog::new().await);
        let owner = organization(catalog.as_ref(), "a").await;
        for number in 0..count {
            let mut stage = blobs.stage(key(number)).await.unwrap();
            let bytes = vec![number; 3 * usize::from(number)];
            stage.write(Bytes::from(bytes)).await.unwrap();
            let stored = stage.commit().await.unwrap();
            let made = FileRecord {
                size: stored.size,
                sha256: Some(stored.sha256),
                location: BlobLocation::Stored(key(number)),
                ..file(&owner, &format!("f{number:03}"), 1)
            };
            catalog.add_file(&made).await.unwrap();
        }
        let gateway = gateway(Arc::clone(&catalog) as _, Arc::new(blobs));
        (catalog, gateway)
    }

    async fn findings(gateway: &Gateway, at_once: usize) -> (Vec<Finding>, Arc<PassProgress>) {
        let progress = Arc::default();
        let mut found = Vec::new();
        let report = |finding| found.push(finding);
        gateway
            .check_files(true, at_once, &progress, report)
            .await
            .unwrap();
        (found, progress)
    }

    #[tokio::test]
    async fn every_file_is_read_however_many_at_once() {
        let (_, gateway) = place(250, &[]).await;
        for at_once in [0, 1, 7, 1_000] {
            let (found, progress) = findings(&gateway, at_once).await;
            assert_eq!(found, []);
            let bytes = (0..250).map(|number| number * 3).sum();
            assert_eq!((progress.files(), progress.bytes()), (250, bytes));
        }
    }

    #[tokio::test]
    async fn rows_without_a_crc32_take_it_where_it_mends() {
        let (catalog, gateway) = place(5, &[]).await;
        let (found, _) = findings(&gateway, 2).await;
        assert_eq!(found, []);
        let page = catalog.files_with_bytes(None, 9).await.unwrap();
        for (number, file) in (0_u8..).zip(page) {
            let crc32 = crc32fast::hash(&vec![number; 3 * usize::from(number)]);
            assert_eq!(file.crc32.map(|crc32| crc32.get()), Some(crc32));
        }
    }

    #[tokio::test]
    async fn what_the_disk_does_not_give_is_said_and_not_marked() {
        let (catalog, gateway) = place(9, &[2, 5]).await;
        let (found, _) = findings(&gateway, 3).await;
        let ids: BTreeSet<String> = found.iter().map(|one| one.file.id.to_string()).collect();
        assert_eq!(ids, ["f002", "f005"].map(str::to_owned).into());
        for one in &found {
            assert!(matches!(one.complaint, Complaint::Unreadable(_)), "{one:?}");
            let file = catalog.file(&one.file.organization, &one.file.id).await;
            assert_eq!(file.unwrap().unwrap().damaged_at, None);
        }
    }

    #[tokio::test]
    async fn a_file_that_went_meanwhile_is_no_finding() {
        let (catalog, gateway) = place(2, &[]).await;
        let page = catalog.files_with_bytes(None, 9).await.unwrap();
        let checked = |file| Checked {
            file,
            complaint: Some(Complaint::Damaged("gone".into())),
            moved: None,
            checksum: None,
        };
        let [first, second] = [0, 1].map(|at: usize| page[at].clone());
        let id = second.id.clone();
        gateway.purge(&second.organization, &id).await.unwrap();
        let settled = gateway
            .settle(true, Ok(checked(second)), &mut Vec::new())
            .await;
        assert_eq!(settled.unwrap(), None);
        let finding = gateway
            .settle(true, Ok(checked(first)), &mut Vec::new())
            .await;
        let finding = finding.unwrap().unwrap();
        assert_eq!(finding.file.damaged_at.map(UnixSeconds::get), Some(NOW));
    }
}
