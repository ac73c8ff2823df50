//! Tests of giving rows identities, and of remembering failures.

use super::identity::NOTED_EVERY;
use super::*;
use crate::catalog::Catalog as _;
use crate::catalog::contract::{at, changes_since, file, organization, position};
use crate::catalog::maintenance::Maintenance as _;
use crate::catalog::testing::TestCatalog;
use crate::model::digest::{Crc32, Sha256Digest};
use crate::model::text::TextDetector;

fn place(device: u64) -> InPlace {
    InPlace {
        path: "/srv/a".into(),
        inode: 1,
        modified_nanos: 7,
        device: Some(device),
        changed_nanos: Some(7),
    }
}

fn reread(device: u64) -> Reread {
    Reread::of(Registered {
        file: place(device),
        size: 0,
        sha256: Sha256Digest::new([0; 32]),
        crc32: Crc32::new(7),
        text: TextDetector::default().finish(),
    })
}

/// A catalogue and the row of a file in place, of device 0.
async fn one_file(is_text: Option<bool>) -> (TestCatalog, FileRecord) {
    let catalog = TestCatalog::new().await;
    let owner = organization(&catalog, "a").await;
    let row = FileRecord {
        location: BlobLocation::InPlace(place(0)),
        is_text,
        crc32: is_text.map(|_| Crc32::new(7)),
        ..file(&owner, "f", 1)
    };
    catalog.add_file(&row).await.unwrap();
    (catalog, row)
}

async fn row(catalog: &TestCatalog, of: &FileRecord) -> FileRecord {
    let row = catalog.file(&of.organization, &of.id).await.unwrap();
    row.unwrap()
}

/// Two gateways to which the file is on two devices: each row is another's to one of them. `is_old` is whether the
/// second one's row in memory is still the first.
#[tokio::test]
async fn gateways_that_see_two_identities_raise_the_version_once_each() {
    for (is_old, raised_max) in [(false, 2), (true, 1)] {
        let (catalog, first) = one_file(Some(true)).await;
        let gateways = [reread(1), reread(2)];
        let mut raised = 0;
        for round in 0..5 {
            let now = NOTED_EVERY * round;
            for gateway in &gateways {
                let seen = match is_old {
                    true => first.clone(),
                    false => row(&catalog, &first).await,
                };
                let before = position(&catalog).await;
                if gateway.begin_noting(now) {
                    gateway.note(&catalog, &seen).await.unwrap();
                }
                let changes = changes_since(&catalog, before).await;
                raised += u32::from(!changes.is_empty());
            }
        }
        assert_eq!(raised, raised_max);
    }
}

#[tokio::test]
async fn a_row_that_could_not_be_given_an_identity_is_tried_again_later() {
    let (catalog, first) = one_file(None).await;
    let found = reread(1);
    assert!(found.begin_noting(Duration::ZERO));
    assert!(!found.begin_noting(NOTED_EVERY - Duration::from_nanos(1)));
    assert!(found.begin_noting(NOTED_EVERY));
    // An attempt that failed wrote the identity, and not the text.
    let (owner, id) = (&first.organization, &first.id);
    let (old, new) = (place(0), place(1));
    let replaced = catalog.replace_identity(owner, id, &old, &new);
    replaced.await.unwrap();
    found.note(&catalog, &first).await.unwrap();
    let noted = row(&catalog, &first).await;
    assert_eq!(noted.is_text, Some(true));
    assert_eq!(noted.crc32, Some(Crc32::new(7)));
    assert!(!found.begin_noting(NOTED_EVERY * 9));
}

#[tokio::test]
async fn nothing_is_written_for_a_file_that_was_removed_or_has_another_identity() {
    let (catalog, first) = one_file(None).await;
    let (owner, id) = (&first.organization, &first.id);
    let (old, new) = (place(0), place(2));
    let replaced = catalog.replace_identity(owner, id, &old, &new);
    replaced.await.unwrap();
    let unchanged = async |seen: &FileRecord| {
        let before = position(&catalog).await;
        reread(1).note(&catalog, seen).await.unwrap();
        assert_eq!(position(&catalog).await, before);
    };
    unchanged(&first).await;
    let second = row(&catalog, &first).await;
    assert_eq!(second.location, BlobLocation::InPlace(place(2)));
    catalog.delete_file(owner, id, at(50)).await.unwrap();
    catalog.mark_swept(owner, id).await.unwrap();
    unchanged(&second).await;
}

/// A file that changed twice before its row was read again.
#[tokio::test]
async fn an_earlier_identity_of_the_same_device_is_replaced_and_a_later_one_is_kept() {
    let at_time = |nanos| InPlace {
        changed_nanos: Some(nanos),
        ..place(1)
    };
    for (noted, kept) in [(6, 7), (8, 8)] {
        let (catalog, first) = one_file(Some(true)).await;
        let (owner, id) = (&first.organization, &first.id);
        let (old, new) = (place(0), at_time(noted));
        let replaced = catalog.replace_identity(owner, id, &old, &new);
        replaced.await.unwrap();
        reread(1).note(&catalog, &first).await.unwrap();
        let now = row(&catalog, &first).await;
        assert_eq!(now.location, BlobLocation::InPlace(at_time(kept)));
    }
}

#[tokio::test]
async fn a_failure_counts_for_its_identity_and_for_so_long() {
    let (_catalog, first) = one_file(None).await;
    let (rereads, file) = (Rereads::default(), first.address());
    let since = Duration::from_secs(100);
    let known = Known {
        outcome: Err("why".into()),
        found: place(1),
        since,
    };
    rereads.known.insert(file.clone(), known);
    assert!(rereads.known(&file, &place(1), since).is_some());
    assert!(rereads.known(&file, &place(2), since).is_none());
    let late = since + FAILED_FOR;
    assert!(rereads.known(&file, &place(1), late).is_none());
}
