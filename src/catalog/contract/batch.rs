//! Many files at once, in an organization and in a shared folder.

use std::slice;

use super::*;
use crate::model::archive_file::ArchiveFile;

pub(super) async fn all(catalog: &dyn Catalog) {
    files_are_found_each_once(catalog).await;
    archives_have_what_rows_say(catalog).await;
    folders_show_their_files_to_their_members(catalog).await;
    of_folders_with_one_id_the_own_counts(catalog).await;
}

fn sorted(mut files: Vec<FileRecord>) -> Vec<FileRecord> {
    files.sort_by(|one, next| one.id.cmp(&next.id));
    files
}

async fn files_are_found_each_once(catalog: &dyn Catalog) {
    let owner = organization(catalog, "batch_files").await;
    let other = organization(catalog, "batch_files_other").await;
    let ready = rich_file(&owner, "ready");
    let gone = file(&owner, "gone", 1);
    let swept = file(&owner, "swept", 1);
    for made in [&ready, &gone, &swept, &file(&other, "theirs", 1)] {
        catalog.add_file(made).await.unwrap();
    }
    let deleted = catalog.delete_file(&owner, &gone.id, at(5)).await.unwrap();
    catalog.delete_file(&owner, &swept.id, at(6)).await.unwrap();
    catalog.mark_swept(&owner, &swept.id).await.unwrap();
    let swept = FileRecord {
        state: FileState::Swept { at: at(6) },
        ..swept
    };

    let wanted = ["swept", "theirs", "ready", "gone", "never", "ready"].map(file_id);
    let found = catalog.files(&owner, &wanted).await.unwrap();
    assert_eq!(sorted(found), [deleted, ready.clone(), swept]);
    assert_eq!(catalog.files(&owner, &[]).await.unwrap(), []);
    let nobody = organization_id("batch_nobody");
    assert_eq!(catalog.files(&nobody, &wanted).await.unwrap(), []);

    let many: Vec<FileId> = (0..2_000).map(|n| file_id(&format!("many_{n}"))).collect();
    let many = [many.as_slice(), slice::from_ref(&ready.id)].concat();
    assert_eq!(catalog.files(&owner, &many).await.unwrap(), [ready]);
}

/// Both ways to read files say the same of each.
async fn archives_have_what_rows_say(catalog: &dyn Catalog) {
    let owner = organization(catalog, "batch_archive").await;
    let rich = rich_file(&owner, "rich");
    let plain = file(&owner, "plain", 1);
    let in_place = |id: &str, device, changed_nanos| FileRecord {
        sha256: None,
        location: BlobLocation::InPlace(InPlace {
            path: "/in place/a, b".into(),
            inode: u64::MAX,
            modified_nanos: -7,
            device,
            changed_nanos,
        }),
        ..file(&owner, id, 1)
    };
    let mut all = vec![
        rich,
        plain,
        in_place("placed", Some(u64::MAX), Some(-8)),
        in_place("placed_before", None, None),
        FileRecord {
            size: 0,
            crc32: Some(Crc32::new(u32::MAX)),
            expires_at: Some(at(9)),
            ..file(&owner, "empty", 1)
        },
    ];
    for made in &all {
        catalog.add_file(made).await.unwrap();
    }
    let (gone, damaged) = (file(&owner, "gone", 1), file(&owner, "damaged", 1));
    for made in [&gone, &damaged] {
        catalog.add_file(made).await.unwrap();
    }
    catalog.delete_file(&owner, &gone.id, at(5)).await.unwrap();
    let marked = catalog.mark_damaged(&owner, &damaged.id, Some(at(5)));
    marked.await.unwrap();
    let plain = file_id("plain");
    let raised = catalog.raise_link_revision(&owner, &plain, 1_000);
    raised.await.unwrap();
    let ids = ["plain", "rich", "gone", "damaged", "never", "plain"].map(file_id);
    let ids: Vec<FileId> = all.iter().map(|file| file.id.clone()).chain(ids).collect();
    all = sorted(catalog.files(&owner, &ids).await.unwrap());
    all.retain(|file| !["gone", "damaged"].contains(&file.id.as_str()));
    assert_eq!(all.len(), 5);
    let mut found = catalog.archive_files(&owner, &ids).await.unwrap();
    found.sort_by(|one, next| one.id.cmp(&next.id));
    let wanted: Vec<ArchiveFile> = all.iter().map(ArchiveFile::from).collect();
    assert_eq!(found, wanted);
    assert!(found.iter().any(|file| file.link_revision == 1));
    assert_eq!(catalog.archive_files(&owner, &[]).await.unwrap(), []);
    let nobody = organization_id("batch_nobody");
    assert_eq!(catalog.archive_files(&nobody, &ids).await.unwrap(), []);
}

async fn folders_show_their_files_to_their_members(catalog: &dyn Catalog) {
    let owner = organization(catalog, "batch_folder").await;
    let member = organization(catalog, "batch_folder_member").await;
    let stranger = organization(catalog, "batch_folder_stranger").await;
    let f = folder_id("batch_f");
    for made in [folder(&owner, "batch_f", &[]), folder(&owner, "empty", &[])] {
        catalog.create_folder(&made).await.unwrap();
    }
    let [inside, outside] = ["inside", "outside"].map(|id| file(&owner, id, 1));
    for made in [&inside, &outside, &file(&member, "outside", 1)] {
        catalog.add_file(made).await.unwrap();
    }
    catalog
        .add_to_folder(&owner, &f, slice::from_ref(&inside.id))
        .await
        .unwrap();
    let wanted = ["outside", "inside", "never", "inside"].map(file_id);
    let look = async |who: &OrganizationId, folder: &FolderId| {
        let found = catalog.shared_files(who, folder, &wanted).await.unwrap();
        found.map(|found| (found.owner, found.files))
    };
    let whole = Some((owner.clone(), vec![inside.clone()]));
    assert_eq!(look(&owner, &f).await, whole);
    assert_eq!(look(&member, &f).await, None);
    let to = slice::from_ref(&member);
    catalog.share_folder(&owner, &f, to).await.unwrap();
    assert_eq!(look(&member, &f).await, whole);
    assert_eq!(look(&stranger, &f).await, None);
    assert_eq!(look(&member, &folder_id("empty")).await, None);
    assert_eq!(look(&owner, &folder_id("never")).await, None);
    let empty = Some((owner.clone(), vec![]));
    assert_eq!(look(&owner, &folder_id("empty")).await, empty);

    let deleted = catalog.delete_file(&owner, &inside.id, at(5)).await;
    let deleted = Some((owner.clone(), vec![deleted.unwrap()]));
    assert_eq!(look(&member, &f).await, deleted);
    catalog.unshare_folder(&owner, &f, to).await.unwrap();
    assert_eq!(look(&member, &f).await, None);
}

async fn of_folders_with_one_id_the_own_counts(catalog: &dyn Catalog) {
    let reader = organization(catalog, "batch_same_reader").await;
    let owners = ["batch_same_b", "batch_same_a", "batch_same_z"];
    for owner in owners {
        let owner = organization(catalog, owner).await;
        let made = folder(&owner, "same", &[&reader]);
        catalog.create_folder(&made).await.unwrap();
    }
    let same = folder_id("same");
    let owner = async || {
        let found = catalog.shared_files(&reader, &same, &[]).await.unwrap();
        found.unwrap().owner
    };
    assert_eq!(owner().await.as_str(), "batch_same_a");
    let own = folder(&reader, "same", &[]);
    catalog.create_folder(&own).await.unwrap();
    assert_eq!(owner().await, reader);
}
