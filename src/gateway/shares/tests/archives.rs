//! The archive of a share: kept from one request to the next, and never behind what is known.

use super::*;
use crate::catalog::integrity::Integrity as _;
use crate::gateway::archives::Archive;
use crate::gateway::revoke::Revoker;
use crate::model::digest::Crc32;
use crate::model::id::FileId;

/// A place with files whose CRC-32 is known, and a share of them.
async fn shared(place: &Place, ids: &[&str]) -> ShareView {
    for id in ids {
        let mut record = file(&place.owner, id, 1);
        record.crc32 = Some(Crc32::new(7));
        place.catalog.add_file(&record).await.unwrap();
    }
    place.made(of_files(ids)).await
}

async fn archive(place: &Place, made: &ShareView) -> Arc<Archive> {
    let open = place.opened(&url(made)).await.unwrap();
    place.gateway.archive_of_share(&open).await.unwrap()
}

#[tokio::test]
async fn it_is_laid_out_once_for_many_requests() {
    let place = Place::new().await;
    let made = shared(&place, &["x", "y"]).await;
    let first = archive(&place, &made).await;
    let address = Arc::as_ptr(&first).addr();
    drop(first);
    place.catalog.calls();
    let again = archive(&place, &made).await;
    assert_eq!(Arc::as_ptr(&again).addr(), address);
    assert_eq!(place.catalog.calls(), 0);
    // What others delete or revoke is nothing to it.
    let other = organization(place.catalog.as_ref(), "org_2").await;
    for id in ["x", "z"] {
        let theirs = file(&other, id, 1);
        place.catalog.add_file(&theirs).await.unwrap();
    }
    let x = file_id("x");
    let revoked = place
        .gateway
        .revoke_links_of_file(&other, &x, Revoker::Operator);
    revoked.await.unwrap();
    let deleted = place.gateway.delete(&other, &file_id("z")).await;
    deleted.unwrap();
    assert!(Arc::ptr_eq(&archive(&place, &made).await, &again));
}

#[tokio::test]
async fn it_has_what_is_there_when_it_is_asked_for() {
    let place = Place::new().await;
    let ids = ["x", "y", "z", "v", "w"];
    let made = shared(&place, &ids).await;
    let id = made.share.id.clone();
    let entries = async || archive(&place, &made).await.layout().entries();
    assert_eq!(entries().await, 5);
    let [x, y, z]: [FileId; 3] = ["x", "y", "z"].map(file_id);
    place.gateway.delete(&place.owner, &x).await.unwrap();
    assert_eq!(entries().await, 4);
    let revoked = place
        .gateway
        .revoke_links_of_file(&place.owner, &y, Revoker::Operator);
    revoked.await.unwrap();
    assert_eq!(entries().await, 3);
    // What another gateway does is seen with the next refresh.
    let damaged =
        place
            .catalog
            .mark_damaged(&place.owner, &z, Some(UnixSeconds::new(NOW).unwrap()));
    damaged.await.unwrap();
    place.gateway.refresh().await.unwrap();
    assert_eq!(entries().await, 2);
    place.edited(&id, of_files(&["v", "w", "a"])).await;
    assert_eq!(entries().await, 3);
    place.edited(&id, of_files(&["w"])).await;
    assert_eq!(entries().await, 1);
}

#[tokio::test]
async fn a_file_that_expires_leaves_it() {
    let place = Place::new().await;
    let mut record = file(&place.owner, "short", 1);
    record.crc32 = Some(Crc32::new(7));
    record.expires_at = UnixSeconds::new(NOW + 60);
    place.catalog.add_file(&record).await.unwrap();
    let made = shared(&place, &["x"]).await;
    let made = place
        .edited(&made.share.id, of_files(&["x", "short"]))
        .await;
    assert_eq!(archive(&place, &made).await.layout().entries(), 2);
    place.clock.set((NOW + 59) * 1_000);
    assert_eq!(archive(&place, &made).await.layout().entries(), 2);
    place.clock.set((NOW + 60) * 1_000);
    assert_eq!(archive(&place, &made).await.layout().entries(), 1);
}

/// A revocation that the catalogue has no room for holds in this process alone.
#[tokio::test]
async fn a_held_revocation_takes_a_file_out_of_it() {
    let place = Place::new().await;
    let made = shared(&place, &["x", "y"]).await;
    assert_eq!(archive(&place, &made).await.layout().entries(), 2);
    place.catalog.set_full(true);
    let (x, by) = (file_id("x"), Revoker::Organization);
    let held = place.gateway.revoke_links_of_file(&place.owner, &x, by);
    assert!(held.await.unwrap().is_held);
    assert_eq!(archive(&place, &made).await.layout().entries(), 1);
}

/// One whose CRC-32s are not known may have an entity tag the next time.
#[tokio::test]
async fn one_without_an_entity_tag_is_not_kept() {
    let place = Place::new().await;
    let made = place.made(of_files(&["a", "b"])).await;
    let first = archive(&place, &made).await;
    assert_eq!(first.layout().etag(), None);
    let cached = place.gateway.cache.states();
    let of_archives = cached.iter().find(|of| of.name == "archives").unwrap();
    assert_eq!(of_archives.entries, 0);
}
