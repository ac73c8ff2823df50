//! Moving, in memory: what a pass does with each row and each blob, and with a store that says no.

use std::collections::BTreeSet;

use ::bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::blob::memory::MemoryBlobs;
use crate::catalog::Catalog;
use crate::catalog::contract::original::original;
use crate::catalog::contract::transfer::rows_of;
use crate::catalog::contract::{at, file, file_id, organization, revoked};
use crate::catalog::testing::TestCatalog;
use crate::catalog::transfer::{Kind, Transfer as _};
use crate::gateway::clock::ManualClock;
use crate::gateway::testing::NOW;
use crate::gateway::testing::stubborn::Stubborn;
use crate::model::digest::{Crc32, Sha256Digest};
use crate::model::file::BlobLocation;
use crate::model::id::{BlobKey, OrganizationId};

mod promises;

struct Move {
    catalog: Arc<TestCatalog>,
    blobs: Arc<Stubborn>,
    to_catalog: Arc<TestCatalog>,
    to_blobs: Arc<MemoryBlobs>,
    owner: OrganizationId,
}

fn memory_blobs() -> MemoryBlobs {
    MemoryBlobs::new(|| at(NOW))
}

fn key(number: u8) -> BlobKey {
    BlobKey::from_random([number; 16])
}

async fn put(blobs: &dyn BlobStore, key: BlobKey, bytes: &[u8]) {
    let mut stage = blobs.stage(key).await.unwrap();
    stage.write(Bytes::copy_from_slice(bytes)).await.unwrap();
    stage.commit().await.unwrap();
}

fn bytes_of(number: u8) -> Vec<u8> {
    vec![number; 3 * usize::from(number)]
}

impl Move {
    /// So many files with bytes of their own, of which those with these numbers cannot be read.
    async fn of(count: u8, fails: &[u8]) -> Self {
        let catalog = TestCatalog::new().await;
        let owner = organization(&catalog, "a").await;
        let blobs = Stubborn {
            inner: memory_blobs(),
            fails: fails.iter().map(|number| key(*number)).collect(),
            stages: false,
            is_unavailable: false,
        };
        for number in 0..count {
            let bytes = bytes_of(number);
            put(&blobs, key(number), &bytes).await;
            let made = FileRecord {
                size: bytes.len() as u64,
                sha256: Some(Sha256Digest::new(Sha256::digest(&bytes).into())),
                crc32: Some(Crc32::new(crc32fast::hash(&bytes))),
                location: BlobLocation::Stored(key(number)),
                ..file(&owner, &format!("f{number:03}"), 1)
            };
            catalog.add_file(&made).await.unwrap();
        }
        Self {
            catalog: Arc::new(catalog),
            blobs: Arc::new(blobs),
            to_catalog: Arc::new(TestCatalog::new().await),
            to_blobs: Arc::new(memory_blobs()),
            owner,
        }
    }

    fn ends(&self) -> Ends {
        Ends {
            catalog: Arc::clone(&self.catalog) as _,
            blobs: Arc::clone(&self.blobs) as _,
            to_catalog: Some(Arc::clone(&self.to_catalog) as _),
            to_blobs: Some(Arc::clone(&self.to_blobs) as _),
            blobs_place: "there".into(),
            blob_bytes_max: u64::MAX,
            verify: false,
        }
    }

    async fn run(&self) -> (MigrationOutcome, Vec<String>) {
        run(&self.ends()).await.unwrap()
    }

    async fn copied(&self) -> Vec<FileRecord> {
        let page = self
            .to_catalog
            .numbered_page(&self.owner, 0, 999, at(0))
            .await;
        page.unwrap().files
    }
}

async fn run(ends: &Ends) -> Result<(MigrationOutcome, Vec<String>), MigrateError> {
    let clock = ManualClock::at(NOW * 1_000);
    let (tally, mut left_out) = (Arc::default(), Vec::new());
    let tell = |told: Told<'_>| {
        if let Told::LeftOut(file, _) = told {
            left_out.push(file.id.to_string());
        }
    };
    let outcome = migrate(ends, &clock, &tally, tell).await?;
    left_out.sort();
    Ok((outcome, left_out))
}

/// What a run is refused for.
async fn refusal(ends: &Ends) -> String {
    match run(ends).await {
        Err(MigrateError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

async fn keys_in(blobs: &dyn BlobStore) -> BTreeSet<BlobKey> {
    let all = blobs.list(None, 9_999).await.unwrap();
    all.into_iter().map(|(key, _)| key).collect()
}

#[tokio::test]
async fn every_row_and_every_byte_is_moved_once() {
    let place = Move::of(250, &[]).await;
    let (first, left_out) = place.run().await;
    assert_eq!(left_out, [""; 0]);
    assert_eq!((first.passes, first.is_in_step), (2, true));
    assert_eq!(first.moved.files_copied, 250);
    let bytes: u64 = (0..250).map(|number| number * 3).sum();
    assert_eq!(first.moved.bytes_copied, bytes);
    assert_eq!(first.moved.files_there, 250, "as the second pass says");
    for kind in [Kind::Organization, Kind::Space, Kind::File] {
        let [ours, theirs] = [&place.catalog, &place.to_catalog];
        assert_eq!(
            rows_of(ours.as_ref(), kind, 99).await,
            rows_of(theirs.as_ref(), kind, 99).await
        );
    }
    let all = keys_in(place.blobs.as_ref()).await;
    assert_eq!(keys_in(place.to_blobs.as_ref()).await, all);
    let note = place.to_catalog.copy_note().await.unwrap().unwrap();
    assert!(note.is_whole);
    let (again, _) = place.run().await;
    assert_eq!((again.passes, again.is_in_step), (1, true));
    assert_eq!(again.moved.rows_copied + again.moved.files_copied, 0);
}

#[tokio::test]
async fn rows_of_every_kind_are_moved_and_follow_what_changes() {
    let catalog = Arc::new(original("migrate").await);
    let copy = Arc::new(TestCatalog::new().await);
    let ends = Ends {
        catalog: Arc::clone(&catalog) as _,
        blobs: Arc::new(memory_blobs()),
        to_catalog: Some(Arc::clone(&copy) as _),
        to_blobs: None,
        blobs_place: String::new(),
        blob_bytes_max: u64::MAX,
        verify: false,
    };
    let same = async || {
        run(&ends).await.unwrap();
        for kind in Kind::ALL {
            let ours = rows_of(catalog.as_ref(), kind, 99).await;
            assert_eq!(rows_of(copy.as_ref(), kind, 99).await, ours, "{kind:?}");
        }
        assert_eq!(
            copy.totals().await.unwrap(),
            catalog.totals().await.unwrap()
        );
        let ours = revoked(catalog.as_ref(), 0).await;
        assert_eq!(revoked(copy.as_ref(), 0).await, ours);
    };
    same().await;
    let owner = crate::catalog::contract::organization_id("migrate_a");
    catalog.raise_epoch(&owner).await.unwrap();
    let ready = file_id("ready");
    catalog.delete_file(&owner, &ready, at(40)).await.unwrap();
    same().await;
    for id in ["ready", "deleted"] {
        catalog.mark_swept(&owner, &file_id(id)).await.unwrap();
    }
    assert_eq!(catalog.forget_swept(at(99), 99).await.unwrap(), 3);
    same().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_left_out_and_marked_until_it_can() {
    let mut place = Move::of(9, &[2, 5]).await;
    let other = vec![0; 3 * 7];
    place.blobs.inner.remove(key(7)).await.unwrap();
    put(&place.blobs.inner, key(7), &other).await;
    place.blobs.inner.remove(key(8)).await.unwrap();
    for _ in 0..2 {
        let (outcome, left_out) = place.run().await;
        assert_eq!(outcome.moved.left_out, 4);
        assert!(outcome.is_in_step, "{outcome:?}");
        assert_eq!(left_out.iter().collect::<BTreeSet<_>>().len(), 4);
        let copied = place.copied().await;
        let marked = copied
            .iter()
            .filter(|file| file.damaged_at == Some(at(NOW)));
        let marked: BTreeSet<&str> = marked.map(|file| file.id.as_str()).collect();
        assert_eq!(marked, ["f002", "f005", "f007", "f008"].into());
        let there = keys_in(place.to_blobs.as_ref()).await;
        assert_eq!(there, [0, 1, 3, 4, 6].map(key).into());
    }
    // The disk is mended, and one comes back from a backup.
    let Some(blobs) = Arc::get_mut(&mut place.blobs) else {
        panic!("nobody else has it");
    };
    blobs.fails.clear();
    put(&place.blobs.inner, key(8), &bytes_of(8)).await;
    let (outcome, left_out) = place.run().await;
    assert_eq!(outcome.moved.files_copied, 3);
    assert_eq!(BTreeSet::from_iter(left_out), ["f007".to_owned()].into());
    let copied = place.copied().await;
    let marked = copied.iter().filter(|file| file.damaged_at.is_some());
    assert_eq!(marked.count(), 1);
}

#[tokio::test]
async fn what_was_written_without_a_row_is_read_and_other_bytes_are_replaced() {
    let place = Move::of(5, &[]).await;
    put(place.to_blobs.as_ref(), key(1), &bytes_of(1)).await;
    put(place.to_blobs.as_ref(), key(2), b"others").await;
    put(place.to_blobs.as_ref(), key(3), b"of another length").await;
    let (outcome, _) = place.run().await;
    assert_eq!(outcome.moved.files_copied, 4);
    for number in 0..5 {
        let location = BlobLocation::Stored(key(number));
        let bytes = bytes_of(number);
        let blob = place.to_blobs.open(&location, bytes.len() as u64).await;
        let read = blob.unwrap().read_at(0, bytes.len()).await.unwrap();
        assert_eq!(read, bytes);
    }
    // What rots there later is found where somebody asks for it.
    place.to_blobs.remove(key(4)).await.unwrap();
    put(place.to_blobs.as_ref(), key(4), &[9; 12]).await;
    assert_eq!(place.run().await.0.moved.files_copied, 0);
    let ends = Ends {
        verify: true,
        ..place.ends()
    };
    let (outcome, _) = run(&ends).await.unwrap();
    assert_eq!(outcome.moved.files_copied, 1);
    assert_eq!((outcome.passes, outcome.is_in_step), (2, true));
}

#[tokio::test]
async fn bytes_alone_are_moved_and_rows_alone() {
    let place = Move::of(9, &[]).await;
    let bytes_alone = Ends {
        to_catalog: None,
        ..place.ends()
    };
    let (outcome, _) = run(&bytes_alone).await.unwrap();
    assert_eq!(outcome.moved.files_copied, 9);
    assert_eq!(outcome.moved.rows_copied, 0);
    let (outcome, _) = run(&bytes_alone).await.unwrap();
    assert_eq!(
        (outcome.moved.files_copied, outcome.moved.files_there),
        (0, 9)
    );
    // No row says that these were seen, so they are read.
    place.to_blobs.remove(key(4)).await.unwrap();
    put(place.to_blobs.as_ref(), key(4), &[9; 12]).await;
    let (outcome, _) = run(&bytes_alone).await.unwrap();
    assert_eq!(outcome.moved.files_copied, 1);
    assert_eq!(place.to_catalog.organizations().await.unwrap(), []);
    let rows_alone = Ends {
        to_blobs: None,
        blobs_place: String::new(),
        ..place.ends()
    };
    let (outcome, _) = run(&rows_alone).await.unwrap();
    assert_eq!(outcome.moved.files_copied, 0);
    assert_eq!(place.copied().await.len(), 9);
    let why = refusal(&place.ends()).await;
    assert!(
        why.contains("an earlier run left them where they were"),
        "{why}"
    );
}

#[tokio::test]
async fn what_is_not_ours_is_refused_and_stays_as_it_is() {
    let place = Move::of(3, &[]).await;
    let why = refusal(&Ends {
        catalog: Arc::new(TestCatalog::new().await),
        ..place.ends()
    })
    .await;
    assert!(why.contains("nothing to move"), "{why}");

    let used = Arc::new(TestCatalog::new().await);
    organization(used.as_ref(), "b").await;
    let why = refusal(&Ends {
        to_catalog: Some(Arc::clone(&used) as _),
        ..place.ends()
    })
    .await;
    assert!(why.contains("in use"), "{why}");
    assert_eq!(used.organizations().await.unwrap().len(), 1);

    let foreign = Arc::new(memory_blobs());
    put(foreign.as_ref(), key(99), b"another's").await;
    let why = refusal(&Ends {
        to_blobs: Some(Arc::clone(&foreign) as _),
        ..place.ends()
    })
    .await;
    assert!(why.contains("does not know"), "{why}");
    assert_eq!(place.to_catalog.copy_note().await.unwrap(), None);
    assert_eq!(keys_in(foreign.as_ref()).await, [key(99)].into());

    place.run().await;
    let other = Move::of(2, &[]).await;
    let why = refusal(&Ends {
        to_catalog: Some(Arc::clone(&place.to_catalog) as _),
        ..other.ends()
    })
    .await;
    assert!(why.contains("another installation"), "{why}");
    let why = refusal(&Ends {
        blobs_place: "elsewhere".into(),
        ..place.ends()
    })
    .await;
    assert!(why.contains("an earlier run took them to there"), "{why}");
    // An organization that the copy alone has was made there.
    organization(place.to_catalog.as_ref(), "b").await;
    let why = refusal(&place.ends()).await;
    assert!(
        why.contains("the organization b, which the source has not"),
        "{why}"
    );
    let note = place.to_catalog.copy_note().await.unwrap().unwrap();
    assert!(note.is_whole, "it can be used as before");
    place.to_catalog.note_copy(None).await.unwrap();
    assert!(refusal(&place.ends()).await.contains("in use"));
}
