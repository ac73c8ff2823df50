//! Apps: kept whole, found by their id together with their key.

use super::*;
use crate::model::app::{App, AppSecret};
use crate::model::id::AppId;

pub(super) async fn all(catalog: &dyn Catalog) {
    apps_read_back_with_their_key(catalog).await;
    app_ids_are_taken_once(catalog).await;
    apps_are_listed_by_creation(catalog).await;
}

async fn apps_read_back_with_their_key(catalog: &dyn Catalog) {
    let owner = organization(catalog, "apps_read").await;
    let key = api_key(&owner, 100, 10);
    let longest: String = ('!'..='~').cycle().take(256).collect();
    let made = app(&key, 1, 11, &longest);
    assert_missing(catalog.create_app(&made).await);
    catalog.create_api_key(&key).await.unwrap();
    assert!(catalog.app(&made.id).await.unwrap().is_none());
    catalog.create_app(&made).await.unwrap();
    let (found, found_key) = catalog.app(&made.id).await.unwrap().unwrap();
    assert_eq!(parts(&found), parts(&made));
    assert_eq!(found_key, key);

    catalog
        .set_api_key_state(&key.id, ApiKeyState::Paused)
        .await
        .unwrap();
    let (_, paused) = catalog.app(&made.id).await.unwrap().unwrap();
    assert_eq!(paused.state, ApiKeyState::Paused);
}

async fn app_ids_are_taken_once(catalog: &dyn Catalog) {
    let owner = organization(catalog, "apps_once").await;
    let keys = [api_key(&owner, 101, 1), api_key(&owner, 102, 1)];
    for key in &keys {
        catalog.create_api_key(key).await.unwrap();
    }
    let first = app(&keys[0], 2, 1, "first");
    catalog.create_app(&first).await.unwrap();
    assert_taken(catalog.create_app(&first).await);
    assert_taken(catalog.create_app(&app(&keys[1], 2, 1, "second")).await);
    let (found, _) = catalog.app(&first.id).await.unwrap().unwrap();
    assert_eq!(parts(&found), parts(&first));
}

async fn apps_are_listed_by_creation(catalog: &dyn Catalog) {
    let owner = organization(catalog, "apps_list").await;
    let other = organization(catalog, "apps_list_other").await;
    let [mine, theirs] = [api_key(&owner, 103, 1), api_key(&other, 104, 1)];
    for key in [&mine, &theirs] {
        catalog.create_api_key(key).await.unwrap();
    }
    let late = app(&mine, 10, 9, "a");
    let second = app(&mine, 12, 8, "b");
    let first = app(&mine, 11, 8, "c");
    for app in [&late, &second, &first, &app(&theirs, 13, 1, "d")] {
        catalog.create_app(app).await.unwrap();
    }
    let listed = catalog.apps(Some(&owner)).await.unwrap();
    let listed: Vec<_> = listed.iter().map(parts).collect();
    assert_eq!(listed, [parts(&first), parts(&second), parts(&late)]);
    let nobody = organization_id("apps_nobody");
    assert!(catalog.apps(Some(&nobody)).await.unwrap().is_empty());
    let everyones = catalog.apps(None).await.unwrap();
    assert!(everyones.iter().any(|app| app.key == theirs.id));
    assert!(everyones.is_sorted_by_key(|app| (app.created_at, app.id.clone())));
}

fn app(key: &ApiKey, id: u8, created_at: u64, secret: &str) -> App {
    App {
        id: AppId::from_random([id; 16]),
        key: key.id.clone(),
        secret: AppSecret::parse(secret).unwrap(),
        created_at: at(created_at),
    }
}

/// A secret has no equality of its own, lest anybody compare one in variable time.
fn parts(app: &App) -> (&AppId, &ApiKeyId, &str, UnixSeconds) {
    (&app.id, &app.key, app.secret.reveal(), app.created_at)
}
