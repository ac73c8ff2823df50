//! What a store is left with that has other bytes, gives others than were written, or is another's.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::*;
use crate::blob::{Blob, BlobFuture, Identified, Presign, Registered, Staged};
use crate::model::id::InstallationId;
use crate::model::time::UnixSeconds;

/// A destination of which others can be the owner, and whose disk may lie.
struct Odd {
    inner: MemoryBlobs,
    /// Whether what is committed reads otherwise.
    lies: bool,
    is_foreign: bool,
    is_claimed: AtomicBool,
}

impl Odd {
    fn new() -> Self {
        Self {
            inner: memory_blobs(),
            lies: false,
            is_foreign: false,
            is_claimed: AtomicBool::new(false),
        }
    }
}

impl BlobStore for Odd {
    fn stage(&self, key: BlobKey) -> BlobFuture<'_, Box<dyn Staged>> {
        self.inner.stage(key)
    }

    fn open<'a>(&'a self, location: &'a BlobLocation, size: u64) -> BlobFuture<'a, Blob> {
        Box::pin(async move {
            let blob = self.inner.open(location, size).await?;
            match blob {
                Blob::Memory(bytes) if self.lies => {
                    let other: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
                    Ok(Blob::Memory(other.into()))
                }
                other => Ok(other),
            }
        })
    }

    fn path_below(&self, location: &BlobLocation) -> Option<PathBuf> {
        self.inner.path_below(location)
    }

    fn take_ownership(&self) -> BlobFuture<'_, ()> {
        Box::pin(async {
            if self.is_foreign {
                return Err(BlobError::Foreign {
                    mark: "a mark".into(),
                    found: "of another one".into(),
                    ours: InstallationId::from_random([1; 16]),
                });
            }
            self.is_claimed.store(true, Ordering::Relaxed);
            Ok(())
        })
    }

    fn presign<'a>(
        &'a self,
        location: &'a BlobLocation,
        asked: &'a Presign<'a>,
    ) -> BlobFuture<'a, Option<String>> {
        self.inner.presign(location, asked)
    }

    fn expect_no_other(&self) -> BlobFuture<'_, ()> {
        self.inner.expect_no_other()
    }

    fn is_reachable(&self, probe: BlobKey) -> BlobFuture<'_, ()> {
        self.inner.is_reachable(probe)
    }

    fn remove(&self, key: BlobKey) -> BlobFuture<'_, ()> {
        self.inner.remove(key)
    }

    fn register<'a>(&'a self, path: &'a Path) -> BlobFuture<'a, Registered> {
        self.inner.register(path)
    }

    fn identify<'a>(&'a self, path: &'a Path) -> BlobFuture<'a, Identified> {
        self.inner.identify(path)
    }

    fn sweep_stages(&self, limit: usize) -> BlobFuture<'_, usize> {
        self.inner.sweep_stages(limit)
    }

    fn abandoned_stages(&self) -> BlobFuture<'_, usize> {
        self.inner.abandoned_stages()
    }

    fn list(
        &self,
        after: Option<BlobKey>,
        limit: usize,
    ) -> BlobFuture<'_, Vec<(BlobKey, UnixSeconds)>> {
        self.inner.list(after, limit)
    }
}

fn to(place: &Move, blobs: &Arc<Odd>) -> Ends {
    Ends {
        to_blobs: Some(Arc::clone(blobs) as _),
        ..place.ends()
    }
}

#[tokio::test]
async fn what_reads_otherwise_than_it_was_written_is_not_copied() {
    let place = Move::of(2, &[0]).await;
    let blobs = Arc::new(Odd {
        lies: true,
        ..Odd::new()
    });
    let outcome = run(&to(&place, &blobs)).await;
    assert!(
        matches!(
            outcome,
            Err(MigrateError::Blobs {
                end: End::Destination,
                source: BlobError::Damaged { .. }
            })
        ),
        "{outcome:?}"
    );
    assert_eq!(keys_in(blobs.as_ref()).await, [].into());
    let rows = rows_of(place.to_catalog.as_ref(), Kind::File, 9).await;
    assert!(rows.iter().all(|row| row.key()[1] != "f001"), "{rows:?}");
    let note = place.to_catalog.copy_note().await.unwrap().unwrap();
    assert!(!note.is_whole);
}

#[tokio::test]
async fn a_store_is_marked_once_nothing_speaks_against_it() {
    let place = Move::of(2, &[]).await;
    let used = Arc::new(TestCatalog::new().await);
    organization(used.as_ref(), "b").await;
    let blobs = Arc::new(Odd::new());
    let into_used = Ends {
        to_catalog: Some(used as _),
        ..to(&place, &blobs)
    };
    assert!(refusal(&into_used).await.contains("in use"));
    put(blobs.as_ref(), key(99), b"another's").await;
    let why = refusal(&to(&place, &blobs)).await;
    assert!(why.contains("does not know"), "{why}");
    assert!(!blobs.is_claimed.load(Ordering::Relaxed));
    blobs.remove(key(99)).await.unwrap();

    let foreign = Arc::new(Odd {
        is_foreign: true,
        ..Odd::new()
    });
    let why = refusal(&to(&place, &foreign)).await;
    assert!(why.contains("of another one"), "{why}");
    assert_eq!(place.to_catalog.copy_note().await.unwrap(), None);

    run(&to(&place, &blobs)).await.unwrap();
    assert!(blobs.is_claimed.load(Ordering::Relaxed));
}

/// As where the same store goes by two names.
#[tokio::test]
async fn nothing_is_removed_for_bytes_that_the_source_has_not() {
    let place = Move::of(3, &[]).await;
    let other = vec![9; bytes_of(1).len()];
    place.blobs.inner.remove(key(1)).await.unwrap();
    put(&place.blobs.inner, key(1), &other).await;
    let before = keys_in(place.blobs.as_ref()).await;
    let onto_itself = Ends {
        to_blobs: Some(Arc::clone(&place.blobs) as _),
        ..place.ends()
    };
    let (outcome, left_out) = run(&onto_itself).await.unwrap();
    assert_eq!((outcome.moved.left_out, outcome.moved.files_copied), (1, 0));
    assert_eq!(BTreeSet::from_iter(left_out), ["f001".to_owned()].into());
    assert_eq!(keys_in(place.blobs.as_ref()).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_behind_opens_for_nobody() {
    let place = Move::of(1, &[]).await;
    let clock = ManualClock::at(NOW * 1_000);
    let ends = place.ends();
    let revoke = |told: Told<'_>| {
        if matches!(told, Told::Begun(..)) {
            let raise = || Handle::current().block_on(place.catalog.raise_epoch(&place.owner));
            block_in_place(raise).unwrap();
        }
    };
    let outcome = migrate(&ends, &clock, &Arc::default(), revoke).await;
    let outcome = outcome.unwrap();
    assert_eq!((outcome.passes, outcome.is_in_step), (PASSES_MAX, false));
    let is_whole = async || {
        let note = place.to_catalog.copy_note().await.unwrap();
        note.unwrap().is_whole
    };
    assert!(!is_whole().await);
    assert!(place.run().await.0.is_in_step);
    assert!(is_whole().await);
}

#[tokio::test]
async fn what_is_too_large_for_the_store_is_left_out_by_name() {
    let place = Move::of(4, &[]).await;
    let ends = Ends {
        blob_bytes_max: 6,
        ..place.ends()
    };
    let (outcome, left_out) = run(&ends).await.unwrap();
    assert_eq!((outcome.moved.files_copied, outcome.moved.left_out), (3, 1));
    assert_eq!(BTreeSet::from_iter(left_out), ["f003".to_owned()].into());
    let there = keys_in(place.to_blobs.as_ref()).await;
    assert_eq!(there, [0, 1, 2].map(key).into());
    assert_eq!(place.run().await.0.moved.files_copied, 1);
}
