//! The CRC-32 of a file, which is taken on its way in, whichever way that is.

use hallpass::model::id::{FileId, OrganizationId};
use serde_json::Value;

use super::*;

/// The check value of this CRC (Williams, "A Painless Guide to CRC Error Detection Algorithms").
const CHECK: (&[u8], u32) = (b"123456789", 0xcbf4_3926);

async fn crc32(app: &TestApp, id: &str) -> Option<u32> {
    let organization = OrganizationId::parse("org_123").unwrap();
    let id = FileId::parse(id).unwrap();
    let outside = app.catalogue_from_outside().await;
    let row = outside.file(&organization, &id).await.unwrap().unwrap();
    row.crc32.map(|crc32| crc32.get())
}

/// On whichever database, disk or store the tests run.
#[tokio::test]
async fn uploads_have_one_in_every_dialect() {
    let app = TestApp::start().await.with_org_123().await;
    let paths = [
        "/v1/organizations/org_123/files/upload",
        "/v1/files",
        "/api/v1/cloud/files",
    ];
    for (path, key) in paths.into_iter().zip([KEY, BEARER, BEARER]) {
        let form = Form::default().file("a.bin", CHECK.0);
        let file = uploaded(&app, (path, key), form).await;
        let ids = ids_in(&file);
        assert_eq!(ids.len(), 1, "{file}");
        assert_eq!(crc32(&app, &ids[0]).await, Some(CHECK.1), "{path}");
    }
    let mut several = Form::default();
    for name in ["one", "two"] {
        let head = format!("Content-Disposition: form-data; name=\"files\"; filename=\"{name}\"");
        several = several.part(&head, CHECK.0);
    }
    let reply = post(&app, UPLOADS[0], &several.close()).await;
    let batch: Value = serde_json::from_slice(&reply.body).unwrap();
    let ids = ids_in(&batch);
    assert_eq!(ids.len(), 2, "{batch}");
    for id in ids {
        assert_eq!(crc32(&app, &id).await, Some(CHECK.1));
    }
}

/// Returns all ids of files in an answer.
fn ids_in(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(ids_in).collect(),
        Value::Object(fields) => {
            let own = ["id", "file_id"].iter().find_map(|name| fields.get(*name));
            let own = own.and_then(Value::as_str).map(str::to_owned);
            own.into_iter()
                .chain(fields.values().flat_map(ids_in))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Larger than what a stage or a part of an upload gathers.
#[tokio::test]
async fn a_large_file_has_that_of_all_its_bytes() {
    let app = TestApp::start().await.with_org_123().await;
    let bytes: Vec<u8> = (0..=255).cycle().take(9 * 1024 * 1024 + 5).collect();
    let file = app.add("large", "a.bin", &bytes).await;
    assert_eq!(
        crc32(&app, file.id.as_str()).await,
        Some(crc32fast::hash(&bytes))
    );
}

#[tokio::test]
async fn a_file_in_place_has_one() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().canonicalize().unwrap();
    let path = root.join("a.bin");
    std::fs::write(&path, CHECK.0).unwrap();
    // Files in place are for gateways whose own blobs are on a disk.
    let settings = [
        ("blobs.in_place_roots", root.to_str().unwrap()),
        ("blobs.mode", "0600"),
    ];
    let app = TestApp::start_with(&settings).await.with_org_123().await;
    app.register("file_place", &path).await;
    assert_eq!(crc32(&app, "file_place").await, Some(CHECK.1));
}
