//! The number that tells whether anything was revoked.

use super::*;
use crate::model::revocation::LinkId;

/// Runs the checks on one catalogue through two handles, which may be the same: what one changes, the
/// other sees.
pub(crate) async fn all(one: &dyn Catalog, other: &dyn Catalog) {
    what_revokes_nothing_leaves_it(one, other).await;
    what_revokes_moves_it(one, other).await;
    what_is_imported_moves_it(one, other).await;
    what_forgets_a_revocation_moves_it(one, other).await;
}

/// The version, which is the same on both handles.
async fn version(one: &dyn Catalog, other: &dyn Catalog) -> u64 {
    let [here, there] = [one, other].map(Catalog::version);
    let (here, there) = (here.await.unwrap(), there.await.unwrap());
    assert_eq!(here, there);
    here
}

async fn what_revokes_nothing_leaves_it(one: &dyn Catalog, other: &dyn Catalog) {
    // What other checks left.
    one.forget_swept(at(9_999), 1_000).await.unwrap();
    let before = version(one, other).await;
    let owner = organization(one, "version_same").await;
    one.create_space(&space(&owner, "s")).await.unwrap();
    let shared = folder(&owner, "f", &[]);
    one.create_folder(&shared).await.unwrap();
    let ids = ["a", "b"].map(file_id);
    for id in ["a", "b"] {
        one.add_file(&file(&owner, id, 1)).await.unwrap();
    }
    one.add_to_folder(&owner, &shared.id, &ids).await.unwrap();
    one.create_api_key(&api_key(&owner, 0xee, 1)).await.unwrap();
    one.delete_file(&owner, &ids[0], at(30)).await.unwrap();
    one.mark_swept(&owner, &ids[0]).await.unwrap();
    assert_eq!(one.forget_swept(at(30), 100).await.unwrap(), 1);
    assert_eq!(one.forget_denied(at(0)).await.unwrap(), 0);
    one.revocations(at(0)).await.unwrap();
    assert_missing(one.raise_link_revision(&owner, &ids[0], 1_000).await);
    assert_eq!(version(one, other).await, before);
}

async fn what_revokes_moves_it(one: &dyn Catalog, other: &dyn Catalog) {
    let owner = organization(one, "version_moved").await;
    one.add_file(&file(&owner, "f", 1)).await.unwrap();
    let (id, link) = (file_id("f"), LinkId::parse("dddddddddddd").unwrap());
    let mut seen = vec![version(one, other).await];
    for _ in 0..2 {
        one.raise_link_revision(&owner, &id, 1_000).await.unwrap();
        seen.push(version(one, other).await);
        one.raise_epoch(&owner).await.unwrap();
        seen.push(version(one, other).await);
    }
    for expires in [500, 600] {
        one.deny_link(&owner, link, at(expires), 1_000)
            .await
            .unwrap();
        seen.push(version(one, other).await);
    }
    let mut distinct = seen.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), seen.len(), "{seen:?}");
}

async fn what_is_imported_moves_it(one: &dyn Catalog, other: &dyn Catalog) {
    let before = version(one, other).await;
    let imported = Organization {
        id: organization_id("version_imported"),
        name: String::new(),
        epoch: 1,
        created_at: at(1),
    };
    one.create_organization(&imported).await.unwrap();
    let epoch = version(one, other).await;
    assert_ne!(epoch, before);
    let files = ["a", "b"].map(|id| FileRecord {
        link_revision: u64::from(id == "b"),
        ..file(&imported.id, id, 1)
    });
    one.add_files(&files).await.unwrap();
    assert_ne!(version(one, other).await, epoch);
}

async fn what_forgets_a_revocation_moves_it(one: &dyn Catalog, other: &dyn Catalog) {
    let owner = organization(one, "version_forgotten").await;
    let made = file(&owner, "f", 1);
    one.add_file(&made).await.unwrap();
    one.raise_link_revision(&owner, &made.id, 1_000)
        .await
        .unwrap();
    one.delete_file(&owner, &made.id, at(30)).await.unwrap();
    one.mark_swept(&owner, &made.id).await.unwrap();
    let before = version(one, other).await;
    assert_eq!(one.forget_swept(at(30), 100).await.unwrap(), 1);
    let swept = version(one, other).await;
    assert_ne!(swept, before);

    let link = LinkId::parse("eeeeeeeeeeee").unwrap();
    one.deny_link(&owner, link, at(1), 1_000).await.unwrap();
    let denied = version(one, other).await;
    assert_eq!(one.forget_denied(at(1)).await.unwrap(), 1);
    assert_ne!(version(one, other).await, denied);
}
