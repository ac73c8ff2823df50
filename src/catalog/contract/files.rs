//! Files one by one: added once, read back whole, deleted once.

use futures_util::future::join_all;

use super::*;

pub(super) async fn all(catalog: &dyn Catalog) {
    files_read_back_as_they_were_added(catalog).await;
    files_need_an_organization_and_a_space(catalog).await;
    added_files_are_ready(catalog).await;
    too_large_a_number_is_refused(catalog).await;
    one_id_is_added_once(catalog).await;
    files_are_deleted_once(catalog).await;
}

async fn files_read_back_as_they_were_added(catalog: &dyn Catalog) {
    let owner = organization(catalog, "files_read").await;
    let other = organization(catalog, "files_read_other").await;
    for made in [file(&owner, "plain", 0), rich_file(&owner, "rich")] {
        assert_eq!(found(catalog, &owner, &made.id).await, None);
        catalog.add_file(&made).await.unwrap();
        assert_eq!(found(catalog, &owner, &made.id).await, Some(made.clone()));
        assert_eq!(found(catalog, &other, &made.id).await, None);
    }
    let purposes = Purpose::ALL.into_iter().enumerate();
    for (place, purpose) in purposes {
        let made = FileRecord {
            purpose,
            ..file(&owner, &format!("purpose_{place}"), 1)
        };
        catalog.add_file(&made).await.unwrap();
        assert_eq!(found(catalog, &owner, &made.id).await, Some(made));
    }
}

async fn files_need_an_organization_and_a_space(catalog: &dyn Catalog) {
    let owner = organization(catalog, "files_need").await;
    let other = organization(catalog, "files_need_other").await;
    catalog
        .create_space(&space(&other, "theirs"))
        .await
        .unwrap();
    let nowhere = FileRecord {
        space: SpaceId::parse("theirs").unwrap(),
        ..file(&owner, "f", 1)
    };
    let what = |outcome: Result<(), CatalogError>| match outcome {
        Err(CatalogError::NotFound { what }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        what(catalog.add_file(&nowhere).await),
        crate::catalog::SPACE
    );
    let nobodys = file(&organization_id("files_nobody"), "f", 1);
    assert_eq!(what(catalog.add_file(&nobodys).await), "the organization");
    assert_eq!(
        catalog
            .numbered_page(&owner, 0, 10, at(0))
            .await
            .unwrap()
            .total,
        0
    );
}

async fn added_files_are_ready(catalog: &dyn Catalog) {
    let owner = organization(catalog, "files_ready").await;
    let made = file(&owner, "f", 1);
    let state = FileState::Swept { at: at(3) };
    catalog
        .add_file(&FileRecord {
            state,
            ..made.clone()
        })
        .await
        .unwrap();
    assert_eq!(found(catalog, &owner, &made.id).await, Some(made));
}

/// An adapter may keep all 64 bits or refuse what it cannot keep; it never keeps another number.
async fn too_large_a_number_is_refused(catalog: &dyn Catalog) {
    let owner = organization(catalog, "files_large").await;
    let made = FileRecord {
        size: u64::MAX,
        ..file(&owner, "f", 1)
    };
    match catalog.add_file(&made).await {
        Ok(()) => assert_eq!(found(catalog, &owner, &made.id).await, Some(made)),
        Err(error) => {
            assert!(matches!(error, CatalogError::Limit { .. }), "{error:?}");
            assert_eq!(found(catalog, &owner, &made.id).await, None);
        }
    }
}

async fn one_id_is_added_once(catalog: &dyn Catalog) {
    let owner = organization(catalog, "files_once").await;
    let other = organization(catalog, "files_once_other").await;
    let rivals: Vec<FileRecord> = (0..50)
        .map(|size| FileRecord {
            size,
            ..file(&owner, "same", 1)
        })
        .collect();
    let outcomes = join_all(rivals.iter().map(|rival| catalog.add_file(rival))).await;
    let mut winners = Vec::new();
    for (rival, outcome) in rivals.iter().zip(outcomes) {
        match outcome {
            Ok(()) => winners.push(rival.clone()),
            Err(CatalogError::Conflict { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(
        found(catalog, &owner, &file_id("same")).await,
        winners.pop()
    );
    assert_eq!(
        catalog
            .numbered_page(&owner, 0, 10, at(0))
            .await
            .unwrap()
            .total,
        1
    );
    catalog.add_file(&file(&other, "same", 1)).await.unwrap();
}

async fn files_are_deleted_once(catalog: &dyn Catalog) {
    let owner = organization(catalog, "files_deleted").await;
    let other = organization(catalog, "files_deleted_other").await;
    let made = file(&owner, "f", 1);
    assert_missing(catalog.delete_file(&owner, &made.id, at(9)).await);
    catalog.add_file(&made).await.unwrap();
    assert_missing(catalog.delete_file(&other, &made.id, at(9)).await);

    let calls = (0..10).map(|_| catalog.delete_file(&owner, &made.id, at(9)));
    let mut deleted: Vec<FileRecord> = Vec::new();
    for outcome in join_all(calls).await {
        match outcome {
            Ok(file) => deleted.push(file),
            Err(CatalogError::NotFound { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    let wanted = FileRecord {
        state: FileState::Deleted { at: at(9) },
        ..made.clone()
    };
    assert_eq!(deleted, std::slice::from_ref(&wanted));
    assert_eq!(found(catalog, &owner, &made.id).await, Some(wanted));
    assert_eq!(
        catalog
            .numbered_page(&owner, 0, 10, at(0))
            .await
            .unwrap()
            .total,
        0
    );
    assert_taken(catalog.add_file(&made).await);
}
