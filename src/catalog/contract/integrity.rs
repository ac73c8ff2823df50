//! Going through all rows, and the mark of a damaged one.

use super::*;
use crate::catalog::{Filter, Place};

pub(super) async fn all(catalog: &dyn Catalog) {
    every_file_that_has_bytes_comes_once(catalog).await;
    a_mark_is_in_the_record_and_moves_the_rows(catalog).await;
    an_installation_has_one_id(catalog).await;
}

async fn an_installation_has_one_id(catalog: &dyn Catalog) {
    let id = catalog.installation().await.unwrap();
    organization(catalog, "integrity_id").await;
    assert_eq!(catalog.installation().await.unwrap(), id);
}

async fn every_file_that_has_bytes_comes_once(catalog: &dyn Catalog) {
    let owners = [
        organization(catalog, "integrity_b").await,
        organization(catalog, "integrity_a").await,
    ];
    for owner in &owners {
        for id in ["f-1", "F", "f_1", "gone", "swept"] {
            catalog.add_file(&file(owner, id, 1)).await.unwrap();
        }
        for id in ["gone", "swept"] {
            let deleted = catalog.delete_file(owner, &file_id(id), at(50)).await;
            deleted.unwrap();
        }
        catalog.mark_swept(owner, &file_id("swept")).await.unwrap();
    }
    for limit in [1, 3, 1_000] {
        let mut seen = Vec::new();
        loop {
            let page = catalog.files_with_bytes(seen.last(), limit).await.unwrap();
            assert!(page.len() <= limit as usize);
            if page.is_empty() {
                break;
            }
            seen.extend(page.into_iter().map(|file| (file.organization, file.id)));
        }
        assert!(seen.is_sorted() && seen.windows(2).all(|two| two[0] != two[1]));
        seen.retain(|(owner, _)| owners.contains(owner));
        let ids = ["F", "f-1", "f_1", "gone"].map(file_id);
        let [b, a] = &owners;
        let of = |owner: &OrganizationId| ids.clone().map(|id| (owner.clone(), id));
        assert_eq!(seen, [of(a), of(b)].concat());
    }
}

async fn a_mark_is_in_the_record_and_moves_the_rows(catalog: &dyn Catalog) {
    let owner = organization(catalog, "integrity_mark").await;
    let id = file_id("f");
    let mark = async |since| catalog.mark_damaged(&owner, &id, since).await;
    assert_missing(mark(Some(at(7))).await);
    let given = FileRecord {
        damaged_at: Some(at(3)),
        ..file(&owner, "f", 1)
    };
    catalog.add_file(&given).await.unwrap();
    let stored = async || found(catalog, &owner, &id).await.unwrap().damaged_at;
    assert_eq!(stored().await, None, "what is added is whole");
    for since in [Some(at(7)), None, Some(at(9))] {
        let before = position(catalog).await;
        mark(since).await.unwrap();
        assert_eq!(stored().await, since);
        let changed = Change::FileChanged {
            organization: owner.clone(),
            file: id.clone(),
        };
        assert_eq!(changes_since(catalog, before).await, [changed]);
    }
    let page = catalog
        .page(&owner, Filter::Ready, Place::Newest, 9, at(0))
        .await
        .unwrap();
    assert_eq!(page[0].damaged_at, Some(at(9)));
    catalog.delete_file(&owner, &id, at(50)).await.unwrap();
    mark(None).await.unwrap();
    catalog.mark_swept(&owner, &id).await.unwrap();
    assert_missing(mark(Some(at(7))).await);
}
