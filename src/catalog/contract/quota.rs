//! How much an organization may keep.

use futures_util::future::join_all;

use super::*;
use crate::catalog::KeyEnd;
use crate::catalog::quota::{BYTES_KEPT, FILES_KEPT, Quota, Usage};

pub(super) async fn all(catalog: &dyn Catalog) {
    what_is_within_a_quota_is_added(catalog).await;
    the_last_room_is_taken_once(catalog).await;
    room_is_made_when_bytes_go(catalog).await;
    together_they_are_added_or_none_is(catalog).await;
    sums_that_are_no_number_are_refused(catalog).await;
    what_is_kept_is_what_the_rows_are(catalog).await;
    a_key_that_has_ended_adds_nothing(catalog).await;
}

fn files(limit: u64) -> Quota {
    Quota {
        files: Some(limit),
        ..Quota::NONE
    }
}

fn bytes(limit: u64) -> Quota {
    Quota {
        bytes: Some(limit),
        ..Quota::NONE
    }
}

fn sized(organization: &OrganizationId, id: &str, size: u64) -> FileRecord {
    FileRecord {
        size,
        ..file(organization, id, 1)
    }
}

#[track_caller]
fn assert_full(outcome: Result<(), CatalogError>, wanted: (&'static str, u64)) {
    match outcome {
        Err(CatalogError::Limit { what, limit }) => assert_eq!((what, limit), wanted),
        other => panic!("{other:?}"),
    }
}

async fn what_is_within_a_quota_is_added(catalog: &dyn Catalog) {
    let owner = organization(catalog, "quota_within").await;
    let other = organization(catalog, "quota_within_other").await;
    let add = async |file, quota| catalog.add_files_within(&[file], quota, None).await;
    add(sized(&owner, "a", 100), bytes(100)).await.unwrap();
    assert_full(
        add(sized(&owner, "b", 1), bytes(100)).await,
        (BYTES_KEPT, 100),
    );
    add(sized(&owner, "empty", 0), bytes(100)).await.unwrap();
    assert_full(add(sized(&owner, "b", 0), files(2)).await, (FILES_KEPT, 2));
    let b = file_id("b");
    assert_eq!(found(catalog, &owner, &b).await, None);
    let page = catalog.numbered_page(&owner, 0, 10, at(0)).await.unwrap();
    assert_eq!(page.total, 2);
    // Another's room is its own, and what has no quota is counted all the same.
    add(sized(&other, "a", 100), bytes(100)).await.unwrap();
    catalog.add_file(&sized(&owner, "b", 50)).await.unwrap();
    assert_full(
        add(sized(&owner, "c", 1), bytes(150)).await,
        (BYTES_KEPT, 150),
    );
    add(sized(&owner, "c", 1), bytes(151)).await.unwrap();
    // What is there stays, however small the quota is by now.
    assert_full(add(sized(&owner, "d", 0), bytes(7)).await, (BYTES_KEPT, 7));
    catalog.add_files_within(&[], bytes(7), None).await.unwrap();
    assert!(found(catalog, &owner, &b).await.is_some());
}

async fn the_last_room_is_taken_once(catalog: &dyn Catalog) {
    let owner = organization(catalog, "quota_race").await;
    let rivals: Vec<[FileRecord; 1]> = (0..20)
        .map(|n| [sized(&owner, &format!("f{n}"), 10)])
        .collect();
    for (quota, kept) in [(files(1), 1), (bytes(29), 2), (files(5), 5)] {
        let calls = rivals
            .iter()
            .map(|file| catalog.add_files_within(file, quota, None));
        join_all(calls).await;
        let page = catalog.numbered_page(&owner, 0, 100, at(0)).await.unwrap();
        assert_eq!(page.total, kept, "{quota:?}");
    }
}

async fn room_is_made_when_bytes_go(catalog: &dyn Catalog) {
    let owner = organization(catalog, "quota_room").await;
    let id = file_id("f");
    catalog.add_file(&sized(&owner, "f", 100)).await.unwrap();
    let one_more = async |id| {
        let more = [sized(&owner, id, 100)];
        catalog.add_files_within(&more, files(1), None).await?;
        catalog.delete_file(&owner, &file_id(id), at(9)).await?;
        catalog.mark_swept(&owner, &file_id(id)).await
    };
    assert_full(one_more("g").await, (FILES_KEPT, 1));
    catalog.delete_file(&owner, &id, at(9)).await.unwrap();
    assert_full(one_more("g").await, (FILES_KEPT, 1));
    catalog.mark_swept(&owner, &id).await.unwrap();
    assert_missing(catalog.mark_swept(&owner, &id).await);
    for id in ["g", "h"] {
        one_more(id).await.unwrap();
    }
    // Forgetting them makes no more room: they had none.
    catalog.forget_swept(at(10), 1_000).await.unwrap();
    let full = [sized(&owner, "full", 100)];
    catalog
        .add_files_within(&full, bytes(100), None)
        .await
        .unwrap();
    let more = [sized(&owner, "more", 1)];
    assert_full(
        catalog.add_files_within(&more, bytes(100), None).await,
        (BYTES_KEPT, 100),
    );
}

async fn together_they_are_added_or_none_is(catalog: &dyn Catalog) {
    let owner = organization(catalog, "quota_together").await;
    let other = organization(catalog, "quota_together_other").await;
    let all = [
        sized(&owner, "a", 10),
        sized(&other, "a", 10),
        sized(&owner, "b", 10),
    ];
    let add = async |quota| catalog.add_files_within(&all, quota, None).await;
    assert_full(add(files(1)).await, (FILES_KEPT, 1));
    assert_full(add(bytes(19)).await, (BYTES_KEPT, 19));
    for owner in [&owner, &other] {
        let page = catalog.numbered_page(owner, 0, 10, at(0)).await.unwrap();
        assert_eq!(page.total, 0);
    }
    add(bytes(20)).await.unwrap();
    assert_full(
        catalog
            .add_files_within(&[sized(&owner, "c", 1)], bytes(20), None)
            .await,
        (BYTES_KEPT, 20),
    );
}

async fn a_key_that_has_ended_adds_nothing(catalog: &dyn Catalog) {
    let owner = organization(catalog, "quota_keys").await;
    let other = organization(catalog, "quota_keys_other").await;
    let key = ApiKey {
        expires_at: Some(at(100)),
        ..api_key(&owner, 0xd1, 1)
    };
    catalog.create_api_key(&key).await.unwrap();
    let add = async |owner: &OrganizationId, id: &str, now| {
        let file = FileRecord {
            uploaded_by: Some(key.id.clone()),
            updated_at: at(now),
            ..file(owner, id, 1)
        };
        let whole = [sized(owner, &format!("beside_{id}"), 1), file];
        catalog.add_files_within(&whole, Quota::NONE, None).await
    };
    let ended = async |owner: &OrganizationId, now, wanted: KeyEnd| {
        let outcome = add(owner, "ended", now).await;
        let is_wanted = matches!(outcome, Err(CatalogError::KeyEnded(end)) if end == wanted);
        assert!(is_wanted, "{wanted:?}: {outcome:?}");
    };
    add(&owner, "works", 99).await.unwrap();
    ended(&owner, 100, KeyEnd::Expired).await;
    ended(&other, 99, KeyEnd::Unknown).await;
    for (state, wanted) in [
        (ApiKeyState::Paused, KeyEnd::Paused),
        (ApiKeyState::Deactivated, KeyEnd::Deactivated),
    ] {
        catalog.set_api_key_state(&key.id, state).await.unwrap();
        ended(&owner, 99, wanted).await;
    }
    assert_eq!(catalog.usage(&owner).await.unwrap().files, 2);
    assert_eq!(catalog.usage(&other).await.unwrap().files, 0);
}

async fn what_is_kept_is_what_the_rows_are(catalog: &dyn Catalog) {
    let owner = organization(catalog, "quota_recount").await;
    let is = async |ready, files, bytes| {
        let kept = Usage {
            ready,
            files,
            bytes,
        };
        assert_eq!(catalog.usage(&owner).await.unwrap(), kept);
        for mend in [false, true] {
            let recount = catalog.recount(&owner, mend).await.unwrap();
            assert_eq!((recount.counted, recount.found), (kept, kept), "{mend}");
            assert!(recount.is_right(), "{mend}");
        }
    };
    is(0, 0, 0).await;
    for (id, size) in [("a", 100), ("b", 20), ("c", 3)] {
        catalog.add_file(&sized(&owner, id, size)).await.unwrap();
    }
    is(3, 3, 123).await;
    for id in ["a", "b"] {
        catalog
            .delete_file(&owner, &file_id(id), at(9))
            .await
            .unwrap();
    }
    is(1, 3, 123).await;
    catalog.mark_swept(&owner, &file_id("a")).await.unwrap();
    is(1, 2, 23).await;
    let nobody = organization_id("quota_nobody");
    assert_missing(catalog.usage(&nobody).await);
    for mend in [false, true] {
        assert_missing(catalog.recount(&nobody, mend).await);
    }
}

async fn sums_that_are_no_number_are_refused(catalog: &dyn Catalog) {
    let owner = organization(catalog, "quota_sums").await;
    let huge = i64::MAX.cast_unsigned();
    let all = [sized(&owner, "a", huge), sized(&owner, "b", huge)];
    for file in &all {
        if let Err(error) = catalog.add_file(file).await {
            assert!(matches!(error, CatalogError::Limit { .. }), "{error:?}");
        }
    }
    let more = [sized(&owner, "c", 0)];
    let within = catalog.add_files_within(&more, bytes(1), None).await;
    assert_full(within, (BYTES_KEPT, 1));
}
