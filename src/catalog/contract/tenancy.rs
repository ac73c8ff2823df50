//! Organizations, spaces and folders.

use std::slice;

use super::*;

pub(super) async fn all(catalog: &dyn Catalog) {
    organizations_come_with_a_space(catalog).await;
    organizations_are_listed_by_id(catalog).await;
    spaces_belong_to_their_organization(catalog).await;
    folders_have_members_that_exist(catalog).await;
    folders_are_shared_and_unshared(catalog).await;
    folders_hold_ready_files(catalog).await;
}

async fn organizations_come_with_a_space(catalog: &dyn Catalog) {
    let made = Organization {
        id: organization_id("tenancy_a"),
        name: "A \u{1f600}".into(),
        epoch: 4,
        created_at: at(1_779_118_492),
    };
    assert_eq!(catalog.organization(&made.id).await.unwrap(), None);
    catalog.create_organization(&made).await.unwrap();
    assert_eq!(
        catalog.organization(&made.id).await.unwrap(),
        Some(made.clone())
    );

    let spaces = catalog.spaces(&made.id).await.unwrap();
    let ids: Vec<&str> = spaces.iter().map(|space| space.id.as_str()).collect();
    assert_eq!(ids, ["space_default"]);

    let again = Organization {
        name: "other".into(),
        epoch: 0,
        ..made.clone()
    };
    assert_taken(catalog.create_organization(&again).await);
    assert_eq!(catalog.organization(&made.id).await.unwrap(), Some(made));
}

async fn organizations_are_listed_by_id(catalog: &dyn Catalog) {
    for id in ["tenancy_list_b", "tenancy_list_B", "tenancy_list_a"] {
        organization(catalog, id).await;
    }
    let listed = catalog.organizations().await.unwrap();
    let ids: Vec<&str> = listed
        .iter()
        .map(|organization| organization.id.as_str())
        .filter(|id| id.starts_with("tenancy_list_"))
        .collect();
    assert_eq!(ids, ["tenancy_list_B", "tenancy_list_a", "tenancy_list_b"]);
    assert!(listed.is_sorted_by(|one, next| one.id < next.id));
}

async fn spaces_belong_to_their_organization(catalog: &dyn Catalog) {
    let nobody = organization_id("tenancy_nobody");
    assert_missing(catalog.create_space(&space(&nobody, "s")).await);
    assert_eq!(catalog.spaces(&nobody).await.unwrap(), []);

    let a = organization(catalog, "tenancy_space_a").await;
    let b = organization(catalog, "tenancy_space_b").await;
    let made = space(&a, "s");
    catalog.create_space(&made).await.unwrap();
    assert_eq!(
        catalog.space(&a, &made.id).await.unwrap(),
        Some(made.clone())
    );
    assert_eq!(catalog.space(&b, &made.id).await.unwrap(), None);
    assert_taken(catalog.create_space(&made).await);
    catalog.create_space(&space(&b, "s")).await.unwrap();
    catalog.create_space(&space(&a, "a")).await.unwrap();

    let spaces = catalog.spaces(&a).await.unwrap();
    let ids: Vec<&str> = spaces.iter().map(|space| space.id.as_str()).collect();
    assert_eq!(ids, ["a", "s", "space_default"]);
}

async fn folders_have_members_that_exist(catalog: &dyn Catalog) {
    let nobody = organization_id("tenancy_nobody");
    let owner = organization(catalog, "tenancy_folder").await;
    let b = organization(catalog, "tenancy_folder_b").await;
    let c = organization(catalog, "tenancy_folder_c").await;
    assert_missing(catalog.create_folder(&folder(&nobody, "f", &[])).await);
    assert_missing(
        catalog
            .create_folder(&folder(&owner, "f", &[&b, &nobody]))
            .await,
    );
    assert_eq!(catalog.folders(&owner).await.unwrap(), []);
    assert_eq!(catalog.folders(&nobody).await.unwrap(), []);

    catalog
        .create_folder(&folder(&owner, "f", &[&c, &b, &c]))
        .await
        .unwrap();
    assert_taken(catalog.create_folder(&folder(&owner, "f", &[])).await);
    catalog
        .create_folder(&folder(&owner, "e", &[]))
        .await
        .unwrap();
    catalog.create_folder(&folder(&b, "f", &[])).await.unwrap();
    let wanted = [folder(&owner, "e", &[]), folder(&owner, "f", &[&b, &c])];
    assert_eq!(catalog.folders(&owner).await.unwrap(), wanted);
}

async fn folders_are_shared_and_unshared(catalog: &dyn Catalog) {
    let nobody = organization_id("tenancy_nobody");
    let owner = organization(catalog, "tenancy_share").await;
    let b = organization(catalog, "tenancy_share_b").await;
    let c = organization(catalog, "tenancy_share_c").await;
    let f = folder_id("f");
    let members = async || catalog.folders(&owner).await.unwrap().remove(0).members;
    assert_missing(catalog.share_folder(&owner, &f, slice::from_ref(&b)).await);
    assert_missing(catalog.unshare_folder(&owner, &f, &[]).await);
    catalog
        .create_folder(&folder(&owner, "f", &[&c]))
        .await
        .unwrap();

    let unknown = [b.clone(), nobody.clone()];
    assert_missing(catalog.share_folder(&owner, &f, &unknown).await);
    assert_eq!(members().await, slice::from_ref(&c));
    catalog
        .share_folder(&owner, &f, &[c.clone(), b.clone()])
        .await
        .unwrap();
    assert_eq!(members().await, [b.clone(), c.clone()]);
    catalog
        .unshare_folder(&owner, &f, &[c.clone(), nobody])
        .await
        .unwrap();
    assert_eq!(members().await, slice::from_ref(&b));
    assert_missing(catalog.unshare_folder(&b, &f, slice::from_ref(&b)).await);
}

async fn folders_hold_ready_files(catalog: &dyn Catalog) {
    let owner = organization(catalog, "tenancy_files").await;
    let other = organization(catalog, "tenancy_files_other").await;
    let f = folder_id("f");
    assert_missing(catalog.folder_files(&owner, &f).await);
    assert_missing(catalog.add_to_folder(&owner, &f, &[]).await);
    assert_missing(catalog.remove_from_folder(&owner, &f, &[]).await);
    catalog
        .create_folder(&folder(&owner, "f", &[]))
        .await
        .unwrap();
    for id in ["a", "b", "gone"] {
        catalog.add_file(&file(&owner, id, 1)).await.unwrap();
    }
    catalog.add_file(&file(&other, "theirs", 1)).await.unwrap();
    let [a, b, gone, theirs] = ["a", "b", "gone", "theirs"].map(file_id);
    catalog.delete_file(&owner, &gone, at(5)).await.unwrap();

    assert_missing(
        catalog
            .add_to_folder(&owner, &f, &[a.clone(), gone.clone()])
            .await,
    );
    assert_missing(
        catalog
            .add_to_folder(&owner, &f, &[a.clone(), theirs])
            .await,
    );
    assert_eq!(catalog.folder_files(&owner, &f).await.unwrap(), []);
    catalog
        .add_to_folder(&owner, &f, &[b.clone(), a.clone(), b.clone()])
        .await
        .unwrap();
    catalog
        .add_to_folder(&owner, &f, slice::from_ref(&b))
        .await
        .unwrap();
    assert_eq!(
        catalog.folder_files(&owner, &f).await.unwrap(),
        [a.clone(), b.clone()]
    );
    assert_missing(catalog.folder_files(&other, &f).await);

    catalog
        .remove_from_folder(&owner, &f, &[a, gone])
        .await
        .unwrap();
    let left = catalog.folder_files(&owner, &f).await.unwrap();
    assert_eq!(left, slice::from_ref(&b));
    catalog.delete_file(&owner, &b, at(6)).await.unwrap();
    assert_eq!(catalog.folder_files(&owner, &f).await.unwrap(), [b]);
}
