//! The recycle bin: deleted, swept, forgotten.

use super::*;

pub(super) async fn all(catalog: &dyn Catalog) {
    deleted_files_come_oldest_first(catalog).await;
    swept_files_keep_their_id_until_forgotten(catalog).await;
    blobs_are_in_use_until_they_are_swept(catalog).await;
    a_purge_is_a_delete_and_a_sweep_at_once(catalog).await;
}

async fn deleted_files_come_oldest_first(catalog: &dyn Catalog) {
    let owner = organization(catalog, "sweeping_order").await;
    // Earlier than what any other check deletes.
    let deletions = [("a", 4), ("b", 2), ("c", 3), ("kept", 0), ("late", 50)];
    for (id, deleted_at) in deletions {
        let made = file(&owner, id, 1);
        catalog.add_file(&made).await.unwrap();
        if id != "kept" {
            catalog
                .delete_file(&owner, &made.id, at(deleted_at))
                .await
                .unwrap();
        }
    }
    let listed = async |before, limit| {
        let files = catalog.deleted_files(at(before), limit).await.unwrap();
        let ours = files.iter().filter(|file| file.organization == owner);
        ours.map(|file| file.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(listed(4, 100).await, ["b", "c", "a"]);
    assert_eq!(listed(3, 100).await, ["b", "c"], "the time itself counts");
    assert_eq!(listed(4, 2).await, ["b", "c"]);
    assert_eq!(listed(1, 100).await, [""; 0]);
    catalog.mark_swept(&owner, &file_id("b")).await.unwrap();
    assert_eq!(listed(4, 100).await, ["c", "a"], "swept bytes are gone");
}

async fn swept_files_keep_their_id_until_forgotten(catalog: &dyn Catalog) {
    let owner = organization(catalog, "sweeping_forget").await;
    let folder_of = folder(&owner, "f", &[]);
    catalog.create_folder(&folder_of).await.unwrap();
    let made = file(&owner, "f", 1);
    assert_missing(catalog.mark_swept(&owner, &made.id).await);
    catalog.add_file(&made).await.unwrap();
    catalog
        .add_to_folder(&owner, &folder_of.id, std::slice::from_ref(&made.id))
        .await
        .unwrap();
    assert_missing(catalog.mark_swept(&owner, &made.id).await);
    catalog.delete_file(&owner, &made.id, at(20)).await.unwrap();
    // What other checks have swept; a deleted file is not among it.
    catalog.forget_swept(at(99), 100).await.unwrap();

    catalog.mark_swept(&owner, &made.id).await.unwrap();
    assert_missing(catalog.mark_swept(&owner, &made.id).await);
    assert_missing(catalog.delete_file(&owner, &made.id, at(21)).await);
    let state = found(catalog, &owner, &made.id).await.unwrap().state;
    assert_eq!(state, FileState::Swept { at: at(20) });
    assert_taken(catalog.add_file(&made).await);
    let kept = catalog.folder_files(&owner, &folder_of.id).await.unwrap();
    assert_eq!(kept, std::slice::from_ref(&made.id));

    assert_eq!(catalog.forget_swept(at(19), 100).await.unwrap(), 0);
    assert_eq!(catalog.forget_swept(at(20), 0).await.unwrap(), 0);
    assert_eq!(catalog.forget_swept(at(20), 100).await.unwrap(), 1);
    assert_eq!(found(catalog, &owner, &made.id).await, None);
    assert_eq!(
        catalog.folder_files(&owner, &folder_of.id).await.unwrap(),
        []
    );
    catalog.add_file(&made).await.unwrap();
    assert_eq!(
        catalog.folder_files(&owner, &folder_of.id).await.unwrap(),
        []
    );
}

async fn blobs_are_in_use_until_they_are_swept(catalog: &dyn Catalog) {
    let owner = organization(catalog, "sweeping_blobs").await;
    for id in ["blob_ready", "blob_deleted", "blob_swept"] {
        catalog.add_file(&file(&owner, id, 1)).await.unwrap();
    }
    catalog
        .add_file(&rich_file(&owner, "blob_in_place"))
        .await
        .unwrap();
    for id in ["blob_deleted", "blob_swept"] {
        catalog
            .delete_file(&owner, &file_id(id), at(60))
            .await
            .unwrap();
    }
    catalog
        .mark_swept(&owner, &file_id("blob_swept"))
        .await
        .unwrap();

    let names = [
        "blob_swept",
        "blob_deleted",
        "blob_unknown",
        "blob_ready",
        "blob_ready",
    ];
    let mut found = catalog.blobs_in_use(&names.map(blob)).await.unwrap();
    found.sort();
    let mut wanted = ["blob_deleted", "blob_ready"].map(blob);
    wanted.sort();
    assert_eq!(found, wanted);
    assert_eq!(catalog.blobs_in_use(&[]).await.unwrap(), []);
}

async fn a_purge_is_a_delete_and_a_sweep_at_once(catalog: &dyn Catalog) {
    let owner = organization(catalog, "sweeping_purge").await;
    assert_missing(catalog.purge_file(&owner, &file_id("f"), at(1)).await);
    for (id, deleted_at) in [("ready", None), ("deleted", Some(5))] {
        let made = file(&owner, id, 1);
        catalog.add_file(&made).await.unwrap();
        if let Some(deleted_at) = deleted_at {
            let deleted = catalog.delete_file(&owner, &made.id, at(deleted_at));
            deleted.await.unwrap();
        }
    }
    let page = async || {
        let page = catalog.numbered_page(&owner, 0, 9, at(9)).await.unwrap();
        (page.files.len(), page.total)
    };
    assert_eq!(page().await, (1, 1));
    for (id, deleted_at) in [("ready", 9), ("deleted", 5)] {
        let id = file_id(id);
        let purged = catalog.purge_file(&owner, &id, at(9)).await.unwrap();
        let (deleted, swept) = (at(deleted_at), at(deleted_at));
        assert_eq!(purged.state, FileState::Deleted { at: deleted });
        let found = catalog.file(&owner, &id).await.unwrap().unwrap();
        assert_eq!(found.state, FileState::Swept { at: swept });
        assert_missing(catalog.purge_file(&owner, &id, at(10)).await);
    }
    assert_eq!(page().await, (0, 0));
    let usage = catalog.usage(&owner).await.unwrap();
    assert_eq!((usage.ready, usage.files, usage.bytes), (0, 0, 0));
    assert!(catalog.recount(&owner, false).await.unwrap().is_right());
}
