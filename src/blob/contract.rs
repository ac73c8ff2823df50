//! The conformance suite: it checks the port's contract on any adapter.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{Blob, BlobError, BlobStore, StoredBlob};
use crate::model::file::{BlobLocation, InPlace};
use crate::model::id::BlobKey;

/// Every check, one after the other. The store must be empty, and is empty again at the end.
pub(crate) async fn all(store: &dyn BlobStore) {
    a_committed_blob_reads_back(store).await;
    an_empty_blob_reads_back(store).await;
    odd_chunks_make_the_same_blob(store).await;
    nothing_is_visible_before_the_commit(store).await;
    a_dropped_stage_leaves_nothing(store).await;
    a_key_that_is_taken_keeps_its_blob(store).await;
    another_size_is_damage(store).await;
    what_is_not_there_is_damage(store).await;
    a_part_outside_the_blob_is_an_error(store).await;
    a_removed_blob_is_gone_but_reads_on_where_it_is_open(store).await;
    lists_go_in_key_order_and_in_pages(store).await;
    a_sweep_leaves_live_stages_alone(store).await;
    a_path_below_no_root_is_refused(store).await;
    assert_eq!(store.list(None, 1).await.unwrap(), [], "all tidied up");
}

/// A key that begins with these two bytes.
pub(crate) fn key(first: u8, second: u8) -> BlobKey {
    let mut bytes = [0x5a; 16];
    (bytes[0], bytes[1]) = (first, second);
    BlobKey::from_random(bytes)
}

/// `length` bytes that do not repeat in step with any buffer.
pub(crate) fn sample(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

/// Writes the chunks and commits.
pub(crate) async fn put(store: &dyn BlobStore, key: BlobKey, chunks: &[&[u8]]) -> StoredBlob {
    let mut staged = store.stage(key).await.unwrap();
    for chunk in chunks {
        staged.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    staged.commit().await.unwrap()
}

/// All bytes of an open blob.
pub(crate) async fn read(blob: &Blob) -> Bytes {
    let length = usize::try_from(blob.size()).unwrap();
    blob.read_at(0, length).await.unwrap()
}

/// Asserts that the answer is `Damaged`, and returns its text.
#[track_caller]
pub(crate) fn damage<T: std::fmt::Debug>(answer: Result<T, BlobError>) -> String {
    match answer {
        Err(BlobError::Damaged { what }) => what,
        other => panic!("expected damage: {other:?}"),
    }
}

/// Asserts that the answer is `Refused`, and returns its text.
#[track_caller]
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, BlobError>) -> &'static str {
    match answer {
        Err(BlobError::Refused { why, .. }) => why,
        other => panic!("expected a refusal: {other:?}"),
    }
}

async fn open(store: &dyn BlobStore, key: BlobKey, size: usize) -> Result<Blob, BlobError> {
    store.open(&BlobLocation::Stored(key), size as u64).await
}

async fn a_committed_blob_reads_back(store: &dyn BlobStore) {
    let key = key(1, 1);
    let stored = put(store, key, &[b"hello, ", b"", b"world"]).await;
    assert_eq!(stored.key, key);
    assert_eq!(stored.size, 12);
    let digest: [u8; 32] = Sha256::digest(b"hello, world").into();
    assert_eq!(stored.sha256.as_bytes(), &digest);
    // `printf %s "hello, world" | gzip -c | tail -c8 | od -An -N4 -tx4`
    assert_eq!(stored.crc32.get(), 0xffab_723a);

    let blob = open(store, key, 12).await.unwrap();
    assert_eq!(blob.size(), 12);
    assert_eq!(read(&blob).await, "hello, world");
    assert_eq!(blob.read_at(7, 5).await.unwrap(), "world");
    assert_eq!(blob.read_at(12, 0).await.unwrap(), "");
    store.remove(key).await.unwrap();
}

async fn an_empty_blob_reads_back(store: &dyn BlobStore) {
    let key = key(1, 2);
    let stored = put(store, key, &[]).await;
    assert_eq!((stored.size, stored.crc32.get()), (0, 0));
    let digest: [u8; 32] = Sha256::digest(b"").into();
    assert_eq!(stored.sha256.as_bytes(), &digest);
    assert_eq!(read(&open(store, key, 0).await.unwrap()).await, "");
    store.remove(key).await.unwrap();
}

async fn odd_chunks_make_the_same_blob(store: &dyn BlobStore) {
    let whole = sample(3 * 1024 * 1024 + 17);
    let digest: [u8; 32] = Sha256::digest(&whole).into();
    let crc32 = crc32fast::hash(&whole);
    // The larger ones are about, at and above the size of any buffer in between.
    for chunk in [
        4_099,
        65_536,
        262_143,
        262_144,
        262_145,
        1_048_577,
        whole.len(),
    ] {
        let key = key(1, 3);
        let chunks: Vec<&[u8]> = whole.chunks(chunk).collect();
        let stored = put(store, key, &chunks).await;
        assert_eq!(stored.size, whole.len() as u64, "in chunks of {chunk}");
        assert_eq!(stored.sha256.as_bytes(), &digest, "in chunks of {chunk}");
        assert_eq!(stored.crc32.get(), crc32, "in chunks of {chunk}");
        let blob = open(store, key, whole.len()).await.unwrap();
        assert!(read(&blob).await == whole, "in chunks of {chunk}");
        store.remove(key).await.unwrap();
    }
}

async fn nothing_is_visible_before_the_commit(store: &dyn BlobStore) {
    let key = key(1, 4);
    let bytes = sample(1_000_000);
    let mut staged = store.stage(key).await.unwrap();
    for length in [0, bytes.len()] {
        damage(open(store, key, length).await);
        assert_eq!(store.list(None, 9).await.unwrap(), []);
        staged.write(Bytes::copy_from_slice(&bytes)).await.unwrap();
    }
    damage(open(store, key, bytes.len()).await);
    staged.commit().await.unwrap();
    open(store, key, 2 * bytes.len()).await.unwrap();
    store.remove(key).await.unwrap();
}

async fn a_dropped_stage_leaves_nothing(store: &dyn BlobStore) {
    let key = key(1, 5);
    for length in [0, 1, 1_000_000] {
        let mut staged = store.stage(key).await.unwrap();
        staged.write(sample(length).into()).await.unwrap();
        drop(staged);
        damage(open(store, key, length).await);
        assert_eq!(store.list(None, 9).await.unwrap(), []);
        // The key is free again, if not at once.
        let again = async {
            loop {
                match store.stage(key).await {
                    Ok(staged) => break staged,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let again = tokio::time::timeout(Duration::from_secs(10), again).await;
        again.unwrap().commit().await.unwrap();
        store.remove(key).await.unwrap();
    }
}

async fn a_key_that_is_taken_keeps_its_blob(store: &dyn BlobStore) {
    let key = key(1, 6);
    put(store, key, &[b"first"]).await;
    let second = async {
        let mut staged = store.stage(key).await?;
        staged.write(Bytes::from_static(b"other")).await?;
        staged.commit().await
    };
    assert!(matches!(second.await, Err(BlobError::Io { .. })));
    assert_eq!(read(&open(store, key, 5).await.unwrap()).await, "first");
    store.remove(key).await.unwrap();
}

async fn another_size_is_damage(store: &dyn BlobStore) {
    let key = key(1, 7);
    put(store, key, &[b"four"]).await;
    for size in [0, 3, 5] {
        let what = damage(open(store, key, size).await);
        assert!(what.contains(&key.to_string()), "{what}");
        assert!(
            what.contains(&format!("{size} bytes expected, 4 found")),
            "{what}"
        );
    }
    store.remove(key).await.unwrap();
}

async fn what_is_not_there_is_damage(store: &dyn BlobStore) {
    damage(open(store, key(1, 8), 0).await);
    let in_place = BlobLocation::InPlace(InPlace {
        path: "/nowhere/file".into(),
        inode: 1,
        modified_nanos: 1,
        device: None,
        changed_nanos: None,
    });
    damage(store.open(&in_place, 1).await);
}

async fn a_part_outside_the_blob_is_an_error(store: &dyn BlobStore) {
    let key = key(1, 9);
    put(store, key, &[b"four"]).await;
    let blob = open(store, key, 4).await.unwrap();
    for (offset, length) in [(0, 5), (4, 1), (5, 0), (u64::MAX, 1), (1, usize::MAX)] {
        let answer = blob.read_at(offset, length).await;
        assert!(
            matches!(&answer, Err(BlobError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::InvalidInput),
            "{answer:?}"
        );
    }
    store.remove(key).await.unwrap();
}

async fn a_removed_blob_is_gone_but_reads_on_where_it_is_open(store: &dyn BlobStore) {
    let key = key(1, 10);
    put(store, key, &[b"still here"]).await;
    let blob = open(store, key, 10).await.unwrap();
    for _ in 0..2 {
        store.remove(key).await.unwrap();
        damage(open(store, key, 10).await);
    }
    match &blob {
        // Nobody can keep a store from forgetting what it removed.
        Blob::Object(_) => drop(damage(blob.read_at(0, 10).await)),
        Blob::File { .. } | Blob::Memory(_) => assert_eq!(read(&blob.clone()).await, "still here"),
    }
    store.remove(self::key(0xee, 0xee)).await.unwrap();
}

async fn lists_go_in_key_order_and_in_pages(store: &dyn BlobStore) {
    let mut same_directory = [0x5a; 16];
    same_directory[15] = 0x5b;
    same_directory[..2].copy_from_slice(&[2, 1]);
    let sorted = [
        key(0, 0xff),
        key(2, 0),
        key(2, 1),
        BlobKey::from_random(same_directory),
        key(2, 0xa0),
        key(0xff, 0),
    ];
    for at in [3, 0, 5, 2, 4, 1] {
        put(store, sorted[at], &[b"x"]).await;
    }
    for page in [1, 2, 4, 6, 7] {
        let mut listed = Vec::new();
        loop {
            let next = store.list(listed.last().copied(), page).await.unwrap();
            assert!(next.len() <= page);
            if next.is_empty() {
                break;
            }
            listed.extend(next.into_iter().map(|(key, _)| key));
        }
        assert_eq!(listed, sorted, "in pages of {page}");
    }
    assert_eq!(store.list(None, 0).await.unwrap(), []);
    // From a key that is not there, and behind the last one.
    let after = store.list(Some(key(2, 0x20)), 1).await.unwrap();
    assert_eq!(after[0].0, key(2, 0xa0));
    assert_eq!(store.list(Some(key(0xff, 1)), 9).await.unwrap(), []);
    for key in sorted {
        store.remove(key).await.unwrap();
    }
}

async fn a_sweep_leaves_live_stages_alone(store: &dyn BlobStore) {
    let key = key(1, 11);
    let mut staged = store.stage(key).await.unwrap();
    assert_eq!(store.sweep_stages(100).await.unwrap(), 0);
    staged.write(Bytes::from_static(b"alive")).await.unwrap();
    assert_eq!(store.sweep_stages(100).await.unwrap(), 0);
    staged.commit().await.unwrap();
    assert_eq!(read(&open(store, key, 5).await.unwrap()).await, "alive");
    store.remove(key).await.unwrap();
}

async fn a_path_below_no_root_is_refused(store: &dyn BlobStore) {
    for path in ["/etc/hostname", "/nowhere", "relative", ""] {
        refusal(store.register(Path::new(path)).await);
        refusal(store.identify(Path::new(path)).await);
    }
}
