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
    let other = api_key(&owner, 105, 10);
    assert_missing(catalog.create_app(&other, &made).await);
    assert_eq!(catalog.api_key(&other.digest).await.unwrap(), None);
    assert!(catalog.app(&made.id).await.unwrap().is_none());
    catalog.create_app(&key, &made).await.unwrap();
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
    let [key, other] = [api_key(&owner, 101, 1), api_key(&owner, 102, 1)];
    let first = app(&key, 2, 1, "first");
    catalog.create_app(&key, &first).await.unwrap();
    let again = app(&key, 3, 1, "again");
    assert_taken(catalog.create_app(&key, &again).await);
    assert!(catalog.app(&again.id).await.unwrap().is_none());
    // An id that is taken leaves no key without its app.
    let second = app(&other, 2, 1, "second");
    assert_taken(catalog.create_app(&other, &second).await);
    assert_eq!(catalog.api_key(&other.digest).await.unwrap(), None);
    let (found, _) = catalog.app(&first.id).await.unwrap().unwrap();
    assert_eq!(parts(&found), parts(&first));
}

async fn apps_are_listed_by_creation(catalog: &dyn Catalog) {
    let owner = organization(catalog, "apps_list").await;
    let other = organization(catalog, "apps_list_other").await;
    let mine = [103, 106, 107].map(|id| api_key(&owner, id, 1));
    let theirs = api_key(&other, 104, 1);
    let late = app(&mine[0], 10, 9, "a");
    let second = app(&mine[1], 12, 8, "b");
    let first = app(&mine[2], 11, 8, "c");
    let keys = mine.iter().chain([&theirs]);
    for (key, app) in keys.zip([&late, &second, &first, &app(&theirs, 13, 1, "d")]) {
        catalog.create_app(key, app).await.unwrap();
    }
    let listed = catalog.apps(Some(&owner)).await.unwrap();
    let wanted = [&first, &second, &late].map(|app| (app.id.clone(), app.key.clone()));
    assert_eq!(listed, wanted);
    let nobody = organization_id("apps_nobody");
    assert!(catalog.apps(Some(&nobody)).await.unwrap().is_empty());
    let everyones = catalog.apps(None).await.unwrap();
    assert!(everyones.iter().any(|(_, key)| *key == theirs.id));
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
