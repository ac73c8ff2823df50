//! The numbers that tell whether anything was revoked, or taken away.

use super::*;
use crate::catalog::Versions;
use crate::model::app::{App, AppSecret};
use crate::model::id::AppId;
use crate::model::revocation::LinkId;

/// Runs the checks on one catalogue through two handles, which may be the same: what one changes, the
/// other sees.
pub(crate) async fn all(one: &dyn Catalog, other: &dyn Catalog) {
    what_revokes_nothing_leaves_it(one, other).await;
    what_revokes_moves_it(one, other).await;
    what_is_imported_moves_it(one, other).await;
    what_forgets_a_revocation_moves_it(one, other).await;
    what_adds_and_what_revokes_leave_the_rows(one, other).await;
    what_changes_a_row_moves_the_rows(one, other).await;
    what_changes_no_row_leaves_the_rows(one, other).await;
}

/// Both numbers, which are the same on both handles.
async fn versions(one: &dyn Catalog, other: &dyn Catalog) -> Versions {
    let [here, there] = [one, other].map(Catalog::versions);
    let (here, there) = (here.await.unwrap(), there.await.unwrap());
    assert_eq!(here, there);
    here
}

/// The number of what was revoked.
async fn version(one: &dyn Catalog, other: &dyn Catalog) -> u64 {
    versions(one, other).await.revocations
}

/// The number of the rows.
async fn rows(one: &dyn Catalog, other: &dyn Catalog) -> u64 {
    versions(one, other).await.rows
}

async fn what_revokes_nothing_leaves_it(one: &dyn Catalog, other: &dyn Catalog) {
    // Other checks left swept files.
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
    assert_distinct(&seen);
}

#[track_caller]
fn assert_distinct(seen: &[u64]) {
    let distinct: std::collections::HashSet<_> = seen.iter().collect();
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

async fn what_adds_and_what_revokes_leave_the_rows(one: &dyn Catalog, other: &dyn Catalog) {
    let before = rows(one, other).await;
    let [owner, friend] = ["rows_same", "rows_friend"].map(|id| organization(one, id));
    let (owner, friend) = (owner.await, friend.await);
    one.create_space(&space(&owner, "s")).await.unwrap();
    let shared = folder(&owner, "f", &[]);
    one.create_folder(&shared).await.unwrap();
    let ids = ["a", "b"].map(file_id);
    one.add_file(&file(&owner, "a", 1)).await.unwrap();
    one.add_files(&[file(&owner, "b", 1)]).await.unwrap();
    one.add_to_folder(&owner, &shared.id, &ids).await.unwrap();
    one.share_folder(&owner, &shared.id, std::slice::from_ref(&friend))
        .await
        .unwrap();
    one.create_api_key(&api_key(&owner, 0xe0, 1)).await.unwrap();
    let key = api_key(&owner, 0xe1, 1);
    let app = App {
        id: AppId::from_random([0xe1; 16]),
        key: key.id.clone(),
        secret: AppSecret::parse("secret").unwrap(),
        created_at: at(1),
    };
    one.create_app(&key, &app).await.unwrap();
    one.raise_link_revision(&owner, &ids[0], 1_000)
        .await
        .unwrap();
    one.raise_epoch(&owner).await.unwrap();
    let link = LinkId::parse("ffffffffffff").unwrap();
    one.deny_link(&owner, link, at(1), 1_000).await.unwrap();
    one.forget_denied(at(1)).await.unwrap();
    assert_eq!(rows(one, other).await, before);
}

async fn what_changes_a_row_moves_the_rows(one: &dyn Catalog, other: &dyn Catalog) {
    let owner = organization(one, "rows_moved").await;
    one.add_file(&file(&owner, "f", 1)).await.unwrap();
    let key = api_key(&owner, 0xe2, 1);
    one.create_api_key(&key).await.unwrap();
    let mut seen = vec![rows(one, other).await];
    one.delete_file(&owner, &file_id("f"), at(30))
        .await
        .unwrap();
    seen.push(rows(one, other).await);
    for state in [
        ApiKeyState::Paused,
        ApiKeyState::Active,
        ApiKeyState::Deactivated,
    ] {
        one.set_api_key_state(&key.id, state).await.unwrap();
        seen.push(rows(one, other).await);
    }
    assert_distinct(&seen);
}

/// What fails, and what becomes of a file that nobody can have any more.
async fn what_changes_no_row_leaves_the_rows(one: &dyn Catalog, other: &dyn Catalog) {
    let owner = organization(one, "rows_gone").await;
    let key = api_key(&owner, 0xe3, 1);
    one.create_api_key(&key).await.unwrap();
    one.set_api_key_state(&key.id, ApiKeyState::Deactivated)
        .await
        .unwrap();
    let id = file_id("f");
    one.add_file(&file(&owner, "f", 1)).await.unwrap();
    one.delete_file(&owner, &id, at(30)).await.unwrap();
    let before = rows(one, other).await;
    assert_missing(one.delete_file(&owner, &id, at(31)).await);
    assert_taken(one.set_api_key_state(&key.id, ApiKeyState::Active).await);
    one.mark_swept(&owner, &id).await.unwrap();
    assert_eq!(one.forget_swept(at(30), 100).await.unwrap(), 1);
    assert_eq!(rows(one, other).await, before);
}
