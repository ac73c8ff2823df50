//! API keys.

use super::*;
use crate::model::key::Scope;

pub(super) async fn all(catalog: &dyn Catalog) {
    keys_read_back_by_their_digest(catalog).await;
    ids_and_digests_are_taken_once(catalog).await;
    keys_are_listed_by_creation(catalog).await;
    a_deactivated_key_stays_so(catalog).await;
}

async fn keys_read_back_by_their_digest(catalog: &dyn Catalog) {
    let owner = organization(catalog, "keys_read").await;
    let plain = api_key(&owner, 1, 10);
    let rich = ApiKey {
        name: "\u{1f600}\"\n".into(),
        scopes: Scopes::of(&[Scope::Admin, Scope::Read]),
        state: ApiKeyState::Paused,
        expires_at: Some(at(99_999_999_999)),
        ..api_key(&owner, 2, 11)
    };
    let idle = ApiKey {
        scopes: Scopes::of(&[]),
        ..api_key(&owner, 3, 12)
    };
    for key in [plain, rich, idle] {
        assert_eq!(catalog.api_key(&key.digest).await.unwrap(), None);
        catalog.create_api_key(&key).await.unwrap();
        assert_eq!(catalog.api_key(&key.digest).await.unwrap(), Some(key));
    }
}

async fn ids_and_digests_are_taken_once(catalog: &dyn Catalog) {
    let owner = organization(catalog, "keys_once").await;
    let nobodys = api_key(&organization_id("keys_nobody"), 10, 1);
    assert_missing(catalog.create_api_key(&nobodys).await);
    let key = api_key(&owner, 10, 1);
    catalog.create_api_key(&key).await.unwrap();
    let other = api_key(&owner, 11, 1);
    let same_id = ApiKey {
        digest: other.digest,
        ..key.clone()
    };
    let same_digest = ApiKey {
        id: other.id.clone(),
        ..key.clone()
    };
    assert_taken(catalog.create_api_key(&key).await);
    assert_taken(catalog.create_api_key(&same_id).await);
    assert_taken(catalog.create_api_key(&same_digest).await);
    assert_eq!(catalog.api_keys(Some(&owner)).await.unwrap(), [key]);
}

async fn keys_are_listed_by_creation(catalog: &dyn Catalog) {
    let owner = organization(catalog, "keys_list").await;
    let other = organization(catalog, "keys_list_other").await;
    let [late, second, first] = [(20, 9), (22, 8), (21, 8)].map(|(id, at)| api_key(&owner, id, at));
    for key in [&late, &second, &first, &api_key(&other, 23, 1)] {
        catalog.create_api_key(key).await.unwrap();
    }
    assert_eq!(
        catalog.api_keys(Some(&owner)).await.unwrap(),
        [first, second, late]
    );
    let nobody = organization_id("keys_nobody");
    assert_eq!(catalog.api_keys(Some(&nobody)).await.unwrap(), []);
    let everyones = catalog.api_keys(None).await.unwrap();
    assert!(everyones.iter().any(|key| key.organization == other));
    assert!(everyones.is_sorted_by_key(|key| (key.created_at, key.id.clone())));
}

async fn a_deactivated_key_stays_so(catalog: &dyn Catalog) {
    let owner = organization(catalog, "keys_state").await;
    let key = api_key(&owner, 30, 1);
    assert_missing(
        catalog
            .set_api_key_state(&key.id, ApiKeyState::Paused)
            .await,
    );
    catalog.create_api_key(&key).await.unwrap();
    let states = [
        ApiKeyState::Paused,
        ApiKeyState::Active,
        ApiKeyState::Active,
    ];
    for state in states.into_iter().chain([ApiKeyState::Deactivated; 2]) {
        let wanted = ApiKey {
            state,
            ..key.clone()
        };
        assert_eq!(
            catalog.set_api_key_state(&key.id, state).await.unwrap(),
            wanted
        );
        assert_eq!(catalog.api_key(&key.digest).await.unwrap(), Some(wanted));
    }
    for state in [ApiKeyState::Active, ApiKeyState::Paused] {
        assert_taken(catalog.set_api_key_state(&key.id, state).await);
    }
    let kept = catalog.api_key(&key.digest).await.unwrap().unwrap();
    assert_eq!(kept.state, ApiKeyState::Deactivated);
}
