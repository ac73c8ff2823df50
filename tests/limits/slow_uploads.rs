//! Uploads that take too long, whatever they bring, and those that bring too little.

use futures_util::future::join_all;

use super::ways::{Gateways, K1, UPLOAD, WAYS, form};
use super::*;
use crate::support::form::FORM;
use crate::support::store::{Store, staged_bytes};
use crate::support::upload::UnderWay;

/// Far longer than anything here takes, for a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A kibibyte each time is more than the minimum rate.
static PIECE: [u8; 1024] = [7; 1024];

async fn upload(app: &TestApp, length: usize) -> u16 {
    let body = form(length);
    let sent = app.client.request("POST", UPLOAD, &[K1, FORM], &body);
    sent.await.status
}

/// An upload that goes on for ever is answered once its time is over, and gives back its place, its stage and its part
/// of the quota.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_has_an_end_over_each_transport() {
    let place = tempfile::tempdir().unwrap();
    let settings = [
        ("uploads.duration_max", "3s"),
        ("limits.api_key_uploads", "1"),
    ];
    let gateways = Gateways::start(&place, &settings).await;
    for way in WAYS {
        let begun = Instant::now();
        let dripping = gateways.drip(way, &PIECE, Duration::from_millis(20));
        let reply = tokio::time::timeout(PATIENCE, dripping).await;
        let reply = reply.unwrap_or_else(|_| panic!("{way:?} has no end"));
        println!("{way:?}, promised after 3 s: {:?}", begun.elapsed());
        assert!(begun.elapsed() >= Duration::from_secs(3), "{way:?}");
        if way.is_http2() {
            assert_eq!(reply.status, 408, "{way:?}");
        } else {
            let error = reply.refused(408, "REQUEST_TIMEOUT");
            let why = "the upload was not whole after 3 seconds";
            assert_eq!(error["system_message"], why, "{way:?}");
            assert_eq!(reply.header("connection"), Some("close"), "{way:?}");
        }
        let next = async || gateways.upload(way, 10).await.status;
        let_through(&format!("after {way:?}"), next).await;
    }
    assert_eq!(gateways.app.blobs_kept().await, 2 + WAYS.len());
}

#[tokio::test]
async fn what_an_upload_staged_is_given_back_at_its_end() {
    if Store::running().is_some() {
        return;
    }
    let kept = crate::support::app::PNG.len() + b"other bytes".len();
    let quota = (kept + 3_500_000).to_string();
    let settings = [
        ("uploads.duration_max", "10s"),
        ("limits.organization_bytes", quota.as_str()),
    ];
    let app = start(&settings).await;
    let mut first = UnderWay::begin(app.client.0, UPLOAD, &[K1], form(3_000_000)).await;
    first.send_all_but(4).await;
    let are_staged = async {
        while staged_bytes(app.directory.path()) < 1_000_000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, are_staged).await.unwrap();
    assert_eq!(upload(&app, 3_000_000).await, 507, "the quota holds it");
    let ended = tokio::time::timeout(PATIENCE, first.ended()).await;
    ended.unwrap().refused(408, "REQUEST_TIMEOUT");
    assert_eq!(app.blobs_kept().await, 2, "no stage is left");
    assert_eq!(upload(&app, 3_500_000).await, 201, "to the byte");
}

/// Of the idempotency key of an upload that took too long, nothing is kept: it may be sent again.
#[tokio::test]
async fn an_upload_that_took_too_long_may_be_sent_again_under_its_key() {
    let app = start(&[("uploads.duration_max", "3s")]).await;
    let key = ("Idempotency-Key", "slow-at-first");
    let first = UnderWay::begin(app.client.0, UPLOAD, &[K1, key], form(10)).await;
    let ended = tokio::time::timeout(PATIENCE, first.ended()).await;
    ended.unwrap().refused(408, "REQUEST_TIMEOUT");
    let body = form(10);
    let headers = [K1, key, FORM];
    let again = app.client.request("POST", UPLOAD, &headers, &body).await;
    assert_eq!(again.status, 201);
}

/// The other half of `connections::deadlines`: a body that drips is as slow as one that stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_brings_less_than_a_kibibyte_in_thirty_seconds_ends_over_each_transport() {
    let place = tempfile::tempdir().unwrap();
    let gateways = Gateways::start(&place, &[]).await;
    let uploads = WAYS.map(async |way| {
        let begun = Instant::now();
        let dripping = gateways.drip(way, b"x", Duration::from_millis(500));
        let reply = tokio::time::timeout(PATIENCE, dripping).await;
        let reply = reply.unwrap_or_else(|_| panic!("{way:?} goes on"));
        println!("{way:?}, promised after 30 s: {:?}", begun.elapsed());
        assert!(begun.elapsed() >= Duration::from_secs(30), "{way:?}");
        assert_eq!(reply.status, 408, "{way:?}");
    });
    join_all(uploads).await;
    assert_eq!(gateways.app.blobs_kept().await, 2);
}
