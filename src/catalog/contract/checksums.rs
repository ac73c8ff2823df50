//! The CRC-32 of files that came in without.

use super::maintenance::changed;
use super::*;
use crate::catalog::maintenance::{Checksum, READ_FILES_SET_MAX};

pub(super) async fn all(catalog: &dyn Catalog) {
    files_of_unknown_crc32_come_once_until_it_is_set(catalog).await;
    so_many_checksums_at_once_and_no_more(catalog).await;
}

async fn files_of_unknown_crc32_come_once_until_it_is_set(catalog: &dyn Catalog) {
    let owner = organization(catalog, "crc32_unknown").await;
    let known = |number| Some(Crc32::new(number));
    for (id, crc32) in [("a", None), ("b", known(0)), ("deleted", None), ("z", None)] {
        let made = FileRecord {
            crc32,
            ..file(&owner, id, 1)
        };
        catalog.add_file(&made).await.unwrap();
    }
    let id = file_id("deleted");
    let deleted = catalog.delete_file(&owner, &id, at(50)).await.unwrap();
    for limit in [1, 1_000] {
        assert_eq!(unknown(catalog, &owner, limit).await, ["a", "z"]);
    }
    let checksum = |id: &str, number| Checksum {
        organization: owner.clone(),
        file: file_id(id),
        fingerprint: deleted.fingerprint(),
        crc32: Crc32::new(number),
    };
    let of_other_bytes = Checksum {
        fingerprint: Sha256Digest::new([8; 32]),
        ..checksum("z", 9)
    };
    let before = position(catalog).await;
    let checksums = [
        checksum("a", u32::MAX),
        checksum("nobody", 1),
        of_other_bytes,
        checksum("deleted", 2),
        checksum("b", 3),
    ];
    catalog.set_crc32(&checksums).await.unwrap();
    let wanted = ["a", "nobody", "z", "deleted", "b"].map(|id| changed(&owner, id));
    assert_eq!(changes_since(catalog, before).await, wanted);
    assert_eq!(unknown(catalog, &owner, 10).await, ["z"]);
    for (id, number) in [
        ("a", known(u32::MAX)),
        ("z", None),
        ("deleted", known(2)),
        ("b", known(3)),
    ] {
        let found = found(catalog, &owner, &file_id(id)).await.unwrap();
        assert_eq!(found.crc32, number, "{id}");
    }
    catalog
        .mark_swept(&owner, &file_id("deleted"))
        .await
        .unwrap();
    catalog.set_crc32(&[checksum("deleted", 4)]).await.unwrap();
    let swept = catalog.file(&owner, &file_id("deleted")).await.unwrap();
    assert_eq!(swept.unwrap().crc32, known(2));
    let after = position(catalog).await;
    catalog.set_crc32(&[]).await.unwrap();
    assert_eq!(position(catalog).await, after);
}

/// Returns the files of an organization whose CRC-32 nobody knows, read so many at a time.
async fn unknown(catalog: &dyn Catalog, owner: &OrganizationId, limit: u32) -> Vec<String> {
    let mut seen: Vec<(OrganizationId, FileId)> = Vec::new();
    loop {
        let page = catalog.files_of_unknown_crc32(seen.last(), limit);
        let page = page.await.unwrap();
        assert!(page.len() <= limit as usize);
        if page.is_empty() {
            break;
        }
        assert!(page.iter().all(|file| file.crc32.is_none()));
        seen.extend(page.into_iter().map(|file| (file.organization, file.id)));
    }
    assert!(seen.is_sorted() && seen.windows(2).all(|two| two[0] != two[1]));
    let ours = seen.into_iter().filter(|(of, _)| of == owner);
    ours.map(|(_, id)| id.to_string()).collect()
}

async fn so_many_checksums_at_once_and_no_more(catalog: &dyn Catalog) {
    let owner = organization(catalog, "crc32_many").await;
    let checksum = |number| Checksum {
        organization: owner.clone(),
        file: file_id(&format!("f{number}")),
        fingerprint: Sha256Digest::new([0; 32]),
        crc32: Crc32::new(0),
    };
    let mut checksums: Vec<Checksum> = (0..READ_FILES_SET_MAX).map(checksum).collect();
    catalog.set_crc32(&checksums).await.unwrap();
    checksums.push(checksum(READ_FILES_SET_MAX));
    let outcome = catalog.set_crc32(&checksums).await;
    let is_limit = matches!(outcome, Err(CatalogError::Limit { limit: 500, .. }));
    assert!(is_limit, "{outcome:?}");
}
