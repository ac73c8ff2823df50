//! What is kept is as good as what the catalogue and the disk would say.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::blob::BlobStore;
use crate::blob::memory::MemoryBlobs;
use crate::catalog::Catalog;
use crate::catalog::contract::organization;
use crate::catalog::testing::TestCatalog;
use crate::gateway::Gateway;
use crate::gateway::batch::{BatchOutcome, BatchRequest};
use crate::gateway::download::LinkRequest;
use crate::gateway::mint::MintOptions;
use crate::gateway::principal::Principal;
use crate::gateway::refusal::Refusal;
use crate::gateway::revocations::STALENESS_MAX;
use crate::gateway::tenants::NewApiKey;
use crate::gateway::testing::{self, NOW};
use crate::gateway::upload::NewFile;
use crate::model::file::{BlobLocation, Purpose};
use crate::model::id::FileId;
use crate::model::key::{ApiKeyState, Scopes};
use crate::model::metadata::Metadata;
use crate::model::name::FileName;
use crate::model::time::UnixSeconds;
use crate::sign::url;

mod by_key;
mod disk;
mod herd;

/// A gateway with the organization `a`, and an API key of it.
struct Place {
    catalog: Arc<TestCatalog>,
    blobs: Arc<dyn BlobStore>,
    gateway: Arc<Gateway>,
    key: (ApiKey, String),
}

async fn place() -> Place {
    let blobs = MemoryBlobs::new(|| UnixSeconds::new(NOW).unwrap());
    place_with(Arc::new(blobs), testing::CACHE).await
}

async fn place_with(blobs: Arc<dyn BlobStore>, limits: CacheLimits) -> Place {
    let catalog = Arc::new(TestCatalog::new().await);
    let owner = organization(&catalog.other, "a").await;
    let shared: Arc<dyn Catalog> = Arc::clone(&catalog) as _;
    let gateway = testing::gateway_with(shared, Arc::clone(&blobs), limits);
    let new = NewApiKey {
        organization: owner,
        name: String::new(),
        scopes: Scopes::ALL,
        expires_in: None,
        text: None,
    };
    let key = gateway.create_api_key(new).await.unwrap();
    // As a running gateway does all the time.
    gateway.refresh().await.unwrap();
    Place {
        catalog,
        blobs,
        gateway: Arc::new(gateway),
        key,
    }
}

fn new_file(organization: &OrganizationId, id: &str) -> NewFile {
    NewFile {
        organization: organization.clone(),
        space: SpaceId::default_space(),
        id: Some(FileId::parse(id).unwrap()),
        name: FileName::from_client("x.txt").unwrap(),
        media_type: None,
        purpose: Purpose::UserUpload,
        metadata: Metadata::default(),
        created_at: None,
        uploaded_by: None,
        expires_in: None,
    }
}

impl Place {
    fn owner(&self) -> &OrganizationId {
        &self.key.0.organization
    }

    async fn add(&self, id: &str, bytes: impl Into<Bytes>) -> Arc<FileRecord> {
        let mut upload = self.gateway.begin_upload().await.unwrap();
        upload.write(bytes.into()).await.unwrap();
        let new = new_file(self.owner(), id);
        let added = Arc::clone(&self.gateway).finish_upload(upload, new).await;
        Arc::new(added.unwrap())
    }

    async fn caller(&self) -> Result<Principal, Refusal> {
        let recognized = self.gateway.recognize(&self.key.1).await?;
        self.gateway.limits().admit_caller(recognized)
    }

    async fn mint(&self, id: &str) -> Result<String, Refusal> {
        let caller = self.caller().await?;
        let options = MintOptions::default();
        let minted = self.gateway.mint(&caller, id, &options).await?;
        Ok(minted.download_url)
    }

    /// All the bytes that a link opens.
    async fn get(&self, link: &str) -> Result<Bytes, Refusal> {
        let (organization, file, query) = url::split(link).unwrap();
        let request = LinkRequest {
            organization,
            file,
            query,
            client: None,
        };
        let verified = self.gateway.verify_link(&request).await?;
        let opened = self.gateway.open_verified(verified).await?;
        let size = usize::try_from(opened.file.size).unwrap();
        opened.content.read(0, size).await
    }

    /// How often the catalogue is asked for it.
    async fn calls<T>(&self, work: impl Future<Output = T>) -> (T, u64) {
        self.catalog.calls();
        let done = work.await;
        (done, self.catalog.calls())
    }

    /// Forgets all that is kept, as after everything was read once.
    fn forget_all(&self) {
        self.gateway.cache.begin_anew(1);
    }

    /// What another process does to a file.
    async fn delete_elsewhere(&self, id: &str) {
        let (id, now) = (FileId::parse(id).unwrap(), self.gateway.clock().now());
        let deleted = self.catalog.other.delete_file(self.owner(), &id, now);
        deleted.await.unwrap();
    }
}

#[track_caller]
fn assert_gone(outcome: Result<Bytes, Refusal>) {
    assert!(
        matches!(outcome, Err(Refusal::FileNotFound)),
        "{:?}",
        outcome.err()
    );
}

#[tokio::test]
async fn a_hot_file_is_opened_and_minted_for_without_asking_anybody() {
    let place = place().await;
    let file = place.add("f", "some bytes").await;
    let link = place.mint("f").await.unwrap();
    assert_eq!(place.get(&link).await.unwrap(), "some bytes");
    // Now nobody can be asked for the bytes.
    let BlobLocation::Stored(blob) = file.location else {
        panic!("it is stored")
    };
    place.blobs.remove(blob).await.unwrap();
    let (bytes, calls) = place.calls(place.get(&link)).await;
    assert_eq!((bytes.unwrap().as_ref(), calls), (&b"some bytes"[..], 0));
    let (minted, calls) = place.calls(place.mint("f")).await;
    assert_eq!((minted.unwrap(), calls), (link, 0));
}

#[tokio::test]
async fn an_app_is_known_until_its_key_is_paused() {
    let place = place().await;
    let new = NewApiKey {
        organization: place.owner().clone(),
        name: String::new(),
        scopes: Scopes::USUAL,
        expires_in: None,
        text: None,
    };
    let secret = Some("secret");
    let (key, _, app) = place.gateway.create_app(new, secret).await.unwrap();
    let (unknown, gateway) = (format!("app_{:032x}", 0), &place.gateway);
    let ask = |signature| gateway.recognize_app(app.id.as_str(), "message", signature);
    let (good, bad) = (&signed("secret", "message"), &[0; 32]);
    // A refusal costs a query that finds an app and two that find none, whether it is known or kept;
    // and keeps nothing. The first one that is unknown looks which apps there are, once.
    let nobody = || gateway.recognize_app(&unknown, "message", bad);
    assert!(matches!(nobody().await, Err(Refusal::KeyUnknown)));
    for _ in 0..2 {
        let (refused, calls) = place.calls(ask(bad)).await;
        assert!(matches!(refused, Err(Refusal::KeyUnknown)) && calls == 3);
        let (refused, calls) = place.calls(nobody()).await;
        assert!(matches!(refused, Err(Refusal::KeyUnknown)) && calls == 3);
    }
    assert_eq!(place.calls(ask(good)).await.1, 1, "a good one is looked up");
    let (again, calls) = place.calls(ask(good)).await;
    assert!(again.is_ok() && calls == 0, "{calls}");
    let (refused, calls) = place.calls(ask(bad)).await;
    assert!(matches!(refused, Err(Refusal::KeyUnknown)) && calls == 3);
    place
        .gateway
        .set_api_key_state(&key.id, ApiKeyState::Paused)
        .await
        .unwrap();
    assert!(matches!(ask(good).await, Err(Refusal::KeyPaused)));
    assert!(matches!(ask(bad).await, Err(Refusal::KeyUnknown)));
}

/// The HMAC-SHA256 of a text under a secret.
fn signed(secret: &str, text: &str) -> [u8; 32] {
    use hmac::{KeyInit as _, Mac as _};
    let mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.chain_update(text).finalize().into_bytes().into()
}

#[tokio::test]
async fn what_this_process_changed_is_seen_by_its_next_request() {
    let place = place().await;
    place.add("f", "bytes").await;
    let link = place.mint("f").await.unwrap();
    place.get(&link).await.unwrap();

    let (id, state) = (place.key.0.id.clone(), ApiKeyState::Paused);
    place.gateway.set_api_key_state(&id, state).await.unwrap();
    let paused = place.mint("f").await.unwrap_err();
    assert!(matches!(paused, Refusal::KeyPaused), "{paused:?}");
    let state = ApiKeyState::Active;
    place.gateway.set_api_key_state(&id, state).await.unwrap();
    place.mint("f").await.unwrap();
    place.get(&link).await.unwrap();

    let file = FileId::parse("f").unwrap();
    place.gateway.delete(place.owner(), &file).await.unwrap();
    assert_gone(place.get(&link).await);
    let gone = place.mint("f").await.unwrap_err();
    assert!(matches!(gone, Refusal::FileNotFound), "{gone:?}");
    let batch = BatchRequest {
        folder: None,
        space: "space_default",
        files: &["f".to_owned()],
        options: &MintOptions::default(),
        default_disposition: None,
    };
    let caller = place.caller().await.unwrap();
    let outcomes = place.gateway.mint_batch(&caller, &batch).await.unwrap();
    assert!(matches!(outcomes[..], [BatchOutcome::Deleted(_)]));
}

#[tokio::test]
async fn what_another_process_changed_is_seen_once_somebody_looked() {
    let place = place().await;
    place.add("f", "bytes").await;
    let link = place.mint("f").await.unwrap();
    place.get(&link).await.unwrap();
    place.delete_elsewhere("f").await;
    let id = place.key.0.id.clone();
    let paused = place
        .catalog
        .other
        .set_api_key_state(&id, ApiKeyState::Paused);
    paused.await.unwrap();
    place.gateway.refresh().await.unwrap();
    assert_gone(place.get(&link).await);
    let paused = place.mint("f").await.unwrap_err();
    assert!(matches!(paused, Refusal::KeyPaused), "{paused:?}");
}

/// Without anybody who looks beside the requests: they do it themselves when the second is over.
#[tokio::test]
async fn nobody_is_answered_from_memory_that_is_older_than_a_second() {
    let place = place().await;
    place.add("f", "bytes").await;
    let link = place.mint("f").await.unwrap();
    place.get(&link).await.unwrap();
    place.delete_elsewhere("f").await;
    tokio::time::sleep(STALENESS_MAX + Duration::from_millis(10)).await;
    assert_gone(place.get(&link).await);
}

#[tokio::test]
async fn nothing_is_answered_from_memory_while_nobody_can_look() {
    let place = place().await;
    place.add("f", "bytes").await;
    let link = place.mint("f").await.unwrap();
    place.get(&link).await.unwrap();
    let stalled = place.gateway.stall_refreshes().await;
    tokio::time::sleep(STALENESS_MAX + Duration::from_millis(10)).await;
    let (opened, minted) = tokio::join!(place.get(&link), place.mint("f"));
    assert!(matches!(opened, Err(Refusal::Unavailable(_))));
    assert!(matches!(minted, Err(Refusal::Unavailable(_))));
    drop(stalled);
    assert_eq!(place.get(&link).await.unwrap(), "bytes");
}

/// A look has read the row, and before it answers the file is deleted and everybody knows. What the look
/// brings then must not be kept.
#[tokio::test]
async fn a_row_that_was_read_before_its_file_was_deleted_is_not_answered_with() {
    for by_this_process in [true, false] {
        let place = Arc::new(place().await);
        place.add("f", "bytes").await;
        let link = place.mint("f").await.unwrap();
        // Forgets the row that the mint had.
        place.forget_all();
        let (seen, go_on) = place.catalog.hesitate();
        let late = tokio::spawn({
            let (place, link) = (Arc::clone(&place), link.clone());
            async move { place.get(&link).await }
        });
        seen.await.unwrap();
        let file = FileId::parse("f").unwrap();
        if by_this_process {
            place.gateway.delete(place.owner(), &file).await.unwrap();
        } else {
            place.delete_elsewhere("f").await;
            place.gateway.refresh().await.unwrap();
        }
        assert_gone(place.get(&link).await);
        go_on.send(()).unwrap();
        // It began before the file was deleted, and may be answered as it was then.
        late.await.unwrap().unwrap();
        assert_gone(place.get(&link).await);
        let minted = place.mint("f").await;
        assert!(matches!(minted, Err(Refusal::FileNotFound)), "{minted:?}");
    }
}

/// A caller that is refused changes nothing, and must not be able to make everybody's rows go.
#[tokio::test]
async fn a_change_that_is_refused_lets_go_of_nothing() {
    let place = place().await;
    place.add("f", "bytes").await;
    let link = place.mint("f").await.unwrap();
    place.get(&link).await.unwrap();
    let unknown = FileId::parse("unknown").unwrap();
    let refused = place.gateway.delete(place.owner(), &unknown).await;
    assert!(refused.is_err());
    let (bytes, calls) = place.calls(place.get(&link)).await;
    assert!(bytes.is_ok() && calls == 0, "{calls}");
}

#[tokio::test]
async fn a_limit_of_zero_switches_its_cache_off() {
    let none = CacheLimits {
        rows_bytes: 0,
        open_files: 0,
        small_files_bytes: 0,
        ..testing::CACHE
    };
    let place = place_with(Arc::clone(&place().await.blobs), none).await;
    place.add("f", "bytes").await;
    let link = place.mint("f").await.unwrap();
    for _ in 0..3 {
        let (bytes, calls) = place.calls(place.get(&link)).await;
        assert_eq!((bytes.unwrap().as_ref(), calls), (&b"bytes"[..], 1));
        // The key, and the row.
        assert_eq!(place.calls(place.mint("f")).await.1, 2);
    }
}
