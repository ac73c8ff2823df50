//! An installation with rows of every kind, for what copies rows.

use super::*;
use crate::catalog::apps::Apps as _;
use crate::catalog::integrity::Integrity as _;
use crate::catalog::testing::TestCatalog;
use crate::model::app::{App, AppSecret};
use crate::model::count::Counts;
use crate::model::id::AppId;

/// An installation in memory with rows of every kind, in every state.
pub(crate) async fn original(prefix: &str) -> TestCatalog {
    let original = TestCatalog::new().await;
    let [a, b] = ["a", "b"].map(|name| format!("{prefix}_{name}"));
    let a = organization(&original, &a).await;
    let b = organization(&original, &b).await;
    original.raise_epoch(&b).await.unwrap();
    original.create_space(&space(&a, "s-1")).await.unwrap();
    let key = two_api_keys(&original, &a, &b, prefix).await;
    let folder = folder(&a, "shared", &[&a, &b]);
    original.create_folder(&folder).await.unwrap();
    let rich = rich_file(&a, "rich");
    original.add_file(&rich).await.unwrap();
    for id in ["ready", "deleted", "swept", "damaged"] {
        original.add_file(&file(&a, id, 10)).await.unwrap();
    }
    let ids = ["rich", "ready", "deleted"].map(file_id);
    let filled = original.add_to_folder(&a, &folder.id, &ids);
    filled.await.unwrap();
    for id in ["deleted", "swept"] {
        let id = file_id(id);
        original.delete_file(&a, &id, at(20)).await.unwrap();
    }
    original.mark_swept(&a, &file_id("swept")).await.unwrap();
    let damaged = file_id("damaged");
    original
        .mark_damaged(&a, &damaged, Some(at(30)))
        .await
        .unwrap();
    let link = LinkId::parse("transfer_AAA").unwrap();
    let denial = denial(&a, link, 99);
    original.deny_link(&denial, at(0), MANY).await.unwrap();
    let counts = Counts {
        downloads: 3,
        whole: 2,
        bytes_sent: 1 << 40,
        last_at: Some(at(50)),
    };
    let count = Count {
        file: rich.address(),
        link,
        expires: at(60),
        counts,
    };
    add_counts(&original, &[count], u64::MAX).await;
    idempotency::two_keys(&original, &a, &key, prefix).await;
    redemptions::in_every_state(&original, &a).await;
    original
}

/// Adds a key that expires and a paused one with an app. Returns the id of the first.
async fn two_api_keys(
    original: &TestCatalog,
    a: &OrganizationId,
    b: &OrganizationId,
    prefix: &str,
) -> ApiKeyId {
    let mut key = api_key(a, 1, 5);
    (key.id, key.digest) = drawn(prefix, 1);
    key.expires_at = Some(at(77));
    original.create_api_key(&key).await.unwrap();
    let mut other = api_key(b, 2, 6);
    (other.id, other.digest) = drawn(prefix, 2);
    other.name = String::new();
    let app = App {
        id: AppId::from_random([prefix.as_bytes()[0]; 16]),
        key: other.id.clone(),
        secret: AppSecret::parse("s3cret~of-an-app").unwrap(),
        created_at: at(9),
    };
    original.create_app(&other, &app).await.unwrap();
    let paused = original.set_api_key_state(&other.id, ApiKeyState::Paused);
    paused.await.unwrap();
    key.id
}

fn drawn(prefix: &str, number: u8) -> (ApiKeyId, Sha256Digest) {
    let mut bytes = [number; 32];
    bytes[..prefix.len().min(31)].copy_from_slice(&prefix.as_bytes()[..prefix.len().min(31)]);
    let mut id = [number; 16];
    id[..prefix.len().min(15)].copy_from_slice(&prefix.as_bytes()[..prefix.len().min(15)]);
    (ApiKeyId::from_random(id), Sha256Digest::new(bytes))
}
