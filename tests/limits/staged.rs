//! Bytes that come in count for the quota before their rows are there.

use super::*;
use crate::support::form::{FORM, Form};
use crate::support::store::{Store, staged_bytes};
use crate::support::upload::UnderWay;

const K1: (&str, &str) = ("X-API-Key", "k1");
const UPLOAD: &str = "/v1/organizations/org_123/files/upload";

/// What comes in and is held, and more than is gathered before it is written to the disk.
const HELD: usize = 3_000_000;
/// What the quota has place for.
const LEFT: usize = 3_500_000;

const PATIENCE: Duration = Duration::from_secs(30);

fn form(length: usize) -> Vec<u8> {
    Form::default().file("a.bin", &bytes(length)).close()
}

async fn upload(app: &TestApp, length: usize) -> Reply {
    let form = form(length);
    app.client.request("POST", UPLOAD, &[K1, FORM], &form).await
}

/// An upload that came in but for its last bytes.
async fn held(app: &TestApp, key: (&str, &str), target: &str) -> UnderWay {
    let mut upload = UnderWay::begin(app.client.0, target, &[key], form(HELD)).await;
    upload.send_all_but(4).await;
    let are_staged = async {
        while staged_bytes(app.directory.path()) < 1_000_000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, are_staged);
    waited.await.expect("bytes on the disk");
    upload
}

#[tokio::test]
async fn uploads_that_are_held_open_fit_into_the_quota_together() {
    if Store::running().is_some() {
        return;
    }
    let kept = crate::support::app::PNG.len() + b"other bytes".len();
    let quota = (kept + LEFT).to_string();
    let app = start(&[("limits.organization_bytes", &quota)]).await;
    let first = held(&app, K1, UPLOAD).await;
    let refused = upload(&app, HELD).await;
    refused.refused(507, "INSUFFICIENT_STORAGE");
    // Another organization has its own.
    let theirs = UPLOAD.replace("org_123", "org_abc123");
    let headers = [("X-API-Key", "k2"), FORM];
    let bytes = form(HELD);
    let other = app.client.request("POST", &theirs, &headers, &bytes);
    assert_eq!(other.await.status, 201);
    // One that breaks off gives its bytes back, and so does one that was refused.
    drop(first);
    assert_eq!(app.blobs_kept().await, 3);
    let second = held(&app, K1, UPLOAD).await;
    assert_eq!(second.finish().await.status, 201);
    assert_eq!(upload(&app, LEFT - HELD).await.status, 201, "to the byte");
    upload(&app, 1).await.refused(507, "INSUFFICIENT_STORAGE");
}
