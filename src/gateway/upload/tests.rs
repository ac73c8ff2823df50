//! Bytes first, then the row, and what becomes of both where one fails.

use std::sync::Arc;

use super::*;
use crate::blob::disk::{Disk, Readers};
use crate::catalog::Catalog as _;
use crate::catalog::testing::TestCatalog;
use crate::gateway::testing::{gateway, memory_blobs};

pub(super) async fn place() -> (Arc<TestCatalog>, Arc<Gateway>) {
    place_on(memory_blobs()).await
}

async fn place_on(blobs: Arc<dyn BlobStore>) -> (Arc<TestCatalog>, Arc<Gateway>) {
    let catalog = Arc::new(TestCatalog::new().await);
    let gateway = Arc::new(gateway(Arc::clone(&catalog) as _, blobs));
    let id = OrganizationId::default_organization();
    let made = gateway.create_organization(Some(id), String::new());
    made.await.unwrap();
    (catalog, gateway)
}

pub(super) fn new(id: Option<&str>, space: &str) -> NewFile {
    let name = FileName::from_client("a.txt").unwrap();
    NewFile {
        organization: OrganizationId::default_organization(),
        space: SpaceId::parse(space).unwrap(),
        id: id.map(|id| FileId::parse(id).unwrap()),
        media_type: None,
        name,
        purpose: Purpose::UserUpload,
        metadata: Metadata::default(),
        created_at: None,
        uploaded_by: None,
        expires_in: None,
    }
}

pub(super) async fn staged(gateway: &Arc<Gateway>, new: NewFile) -> StagedFile {
    let mut upload = gateway.begin_upload().await.unwrap();
    upload.write(Bytes::from_static(b"bytes")).await.unwrap();
    gateway.keep(upload, new).await.unwrap()
}

async fn blobs(gateway: &Gateway) -> usize {
    gateway.blobs.list(None, 100).await.unwrap().len()
}

#[tokio::test]
async fn files_whose_bytes_are_kept_get_their_rows_in_one_call() {
    let (catalog, gateway) = place().await;
    let mut all = Vec::new();
    for _ in 0..10 {
        all.push(staged(&gateway, new(None, "space_default")).await);
    }
    let _ = catalog.calls();
    let added = gateway.add_staged(all).await;
    assert_eq!(catalog.calls(), 1);
    assert_eq!(added.len(), 10);
    for file in added {
        let file = file.unwrap();
        let found = catalog.file(&file.organization, &file.id).await.unwrap();
        assert_eq!(found, Some(file));
    }
    assert_eq!(blobs(&gateway).await, 10);
}

#[tokio::test]
async fn a_file_that_is_refused_keeps_no_other_from_its_row_and_loses_its_bytes() {
    let (_, gateway) = place().await;
    let wanted = [
        (Some("one"), "space_default"),
        (Some("one"), "space_default"),
        (Some("two"), "space_unknown"),
        (None, "space_default"),
    ];
    let mut all = Vec::new();
    for (id, space) in wanted {
        all.push(staged(&gateway, new(id, space)).await);
    }
    let added: Vec<bool> = gateway
        .add_staged(all)
        .await
        .iter()
        .map(Result::is_ok)
        .collect();
    assert_eq!(added, [true, false, false, true]);
    assert_eq!(blobs(&gateway).await, 2);
}

#[tokio::test]
async fn files_that_may_have_rows_keep_their_bytes() {
    let (catalog, gateway) = place().await;
    let all = vec![
        staged(&gateway, new(Some("one"), "space_default")).await,
        staged(&gateway, new(Some("two"), "space_default")).await,
    ];
    catalog.fall_silent();
    let added = gateway.add_staged(all).await;
    assert_eq!(added.len(), 2);
    for refusal in added {
        assert!(
            matches!(refusal, Err(Refusal::Unavailable(_))),
            "{refusal:?}"
        );
    }
    assert_eq!(blobs(&gateway).await, 2);
}

#[tokio::test]
async fn files_are_listed_in_the_order_in_which_they_were_begun() {
    let (_, gateway) = place().await;
    let begun: Vec<NewFile> = (0..20)
        .map(|_| gateway.begin_file(new(None, "space_default")))
        .collect();
    let ids: Vec<_> = begun.iter().map(|new| new.id.clone().unwrap()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    assert!(
        begun
            .iter()
            .all(|new| new.created_at == begun[0].created_at)
    );
    let named = gateway.begin_file(new(Some("mine"), "space_default"));
    assert_eq!(
        (named.id.unwrap().as_str(), named.created_at),
        ("mine", None)
    );
}

/// A gateway over a disk, and a directory whose files may be registered in place.
async fn beside_files() -> (tempfile::TempDir, Arc<TestCatalog>, Arc<Gateway>) {
    let root = tempfile::tempdir().unwrap();
    let files = root.path().canonicalize().unwrap().join("files");
    std::fs::create_dir(&files).unwrap();
    let disk = Disk::open(&root.path().join("data"), &[files], Readers::Owner).unwrap();
    let (catalog, gateway) = place_on(Arc::new(disk)).await;
    (root, catalog, gateway)
}

async fn unread(gateway: &Gateway, path: &Path) -> FileRecord {
    let kept = gateway.keep_unread(path, new(None, "space_default")).await;
    gateway.add_one(kept.unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_file_that_is_registered_unread_has_its_identity_and_no_digest() {
    let (root, catalog, gateway) = beside_files().await;
    let path = root.path().canonicalize().unwrap().join("files/a");
    std::fs::write(&path, "text").unwrap();
    let file = unread(&gateway, &path).await;
    assert_eq!((file.size, file.sha256, file.crc32), (4, None, None));
    assert_eq!(file.is_text, Some(true));
    let etag = file.etag();
    assert_eq!((&etag[..3], etag.len()), ("\"m-", 68));
    // The row says as much as the record did, and nobody reads it in the background.
    let row = || async {
        let found = catalog.file(&file.organization, &file.id).await.unwrap();
        found.unwrap()
    };
    assert_eq!(row().await, file);
    assert_eq!(gateway.take_checksums(&mut None).await.unwrap(), 0);
    assert_eq!(gateway.detect_text().await.unwrap(), 0);
    assert_eq!(row().await, file);
    let blob = gateway.open_bytes(&file).await.unwrap();
    assert_eq!(blob.read_at(0, 4).await.unwrap(), "text");
    // Other bytes of the same length and the same time: only the time of the change tells.
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    let mut other = file.clone();
    while other.fingerprint() == file.fingerprint() {
        std::fs::write(&path, "more").unwrap();
        let changed = std::fs::File::options().write(true).open(&path).unwrap();
        changed.set_modified(modified).unwrap();
        other = unread(&gateway, &path).await;
    }
    assert_ne!(other.etag(), etag);
    let refused = gateway.open_bytes(&file).await;
    let is_damage = matches!(&refused, Err(BlobError::Damaged { what }) if what.contains("changed or replaced"));
    assert!(is_damage, "{refused:?}");
    assert!(gateway.open_bytes(&other).await.is_ok());
}

#[tokio::test]
async fn of_a_large_file_only_its_beginning_is_read() {
    let (root, _, gateway) = beside_files().await;
    let path = root.path().canonicalize().unwrap().join("files/a");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    let zeros = unread(&gateway, &path).await;
    assert_eq!((zeros.size, zeros.is_text), (1 << 40, Some(false)));
    std::fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
    assert_eq!(unread(&gateway, &path).await.is_text, None);
    let outside = gateway.keep_unread(Path::new("/etc/hostname"), new(None, "space_default"));
    assert!(matches!(outside.await, Err(Refusal::Field(_))));
}
