//! Numbered pages deep in a list, which begin beside an anchor.

use hallpass::model::file::{BlobLocation, FileRecord};
use hallpass::model::id::{BlobKey, FileId, OrganizationId};
use hallpass::model::time::UnixSeconds;
use serde_json::json;

use crate::support::app::TestApp;

const KEY: &[(&str, &str)] = &[("X-API-Key", "k1")];

/// So many files that a list has several anchors.
const FILES: u64 = 3_000;

fn id(number: u64) -> String {
    format!("f{number:04}")
}

/// Adds files without bytes, each a second older than the one before it.
async fn fill(app: &TestApp) {
    let organization = OrganizationId::parse("org_123").unwrap();
    let one = FileId::parse("file_abc123").unwrap();
    let one = app.gateway.ready_file(&organization, &one).await.unwrap();
    let made = (0..FILES).map(|number| FileRecord {
        id: FileId::parse(&id(number)).unwrap(),
        created_at: UnixSeconds::new(1_000_000 - number).unwrap(),
        location: BlobLocation::Stored(BlobKey::from_random([7; 16])),
        ..one.clone()
    });
    let made: Vec<FileRecord> = made.collect();
    let catalog = app.catalogue_from_outside().await;
    catalog.add_files(&made).await.unwrap();
}

/// Asks for a page of 50, and answers its first and its last id. Two newer files are on the first one.
async fn ends_of_page(app: &TestApp, page: u64) -> [String; 2] {
    let target = format!("/v1/organizations/org_123/files?limit=50&page={page}");
    let list = app.client.get(&target, KEY).await.json();
    assert_eq!(list["total"], FILES + 2);
    assert_eq!(list["has_more"], page * 50 < FILES + 2);
    let files = list["files"].as_array().unwrap();
    [files.first(), files.last()].map(|file| file.unwrap()["id"].as_str().unwrap().to_owned())
}

fn ends(page: u64) -> [String; 2] {
    let last = (page * 50 - 3).min(FILES - 1);
    [id((page - 1) * 50 - 2), id(last)]
}

#[tokio::test]
async fn a_page_deep_in_a_list_begins_beside_an_anchor() {
    let app = TestApp::start().await.with_org_123().await;
    fill(&app).await;
    let pages = [2, 20, 21, 22, 23, 41, 42, 60, 61];
    for page in pages {
        assert_eq!(ends_of_page(&app, page).await, ends(page), "{page}");
    }
    // Nobody passes over all that is newer: what the anchors count is believed.
    app.sql("UPDATE list_anchor SET files = files + 50 WHERE organization = 'org_123'");
    assert_eq!(ends_of_page(&app, 20).await, ends(20), "near the newest");
    assert_ne!(ends_of_page(&app, 55).await, ends(55), "deep");
    let mut wrong = Vec::new();
    let report = |miscount| wrong.push(miscount);
    app.gateway.check_counts(true, report).await.unwrap();
    assert!(wrong[0].wrong_anchors > 0, "{wrong:?}");
    for page in pages {
        assert_eq!(ends_of_page(&app, page).await, ends(page), "{page}");
    }
}

#[tokio::test]
async fn a_page_past_the_end_is_empty() {
    let app = TestApp::start().await.with_org_123().await;
    let mut found = Vec::new();
    for (page, has_more) in [("1", true), ("2", false)] {
        let target = format!("/v1/organizations/org_123/files?limit=1&page={page}");
        let list = app.client.get(&target, KEY).await.json();
        let files = list["files"].as_array().unwrap();
        assert_eq!(
            (files.len(), &list["has_more"]),
            (1, &json!(has_more)),
            "{page}"
        );
        found.push(files[0]["id"].as_str().unwrap().to_owned());
    }
    found.sort();
    assert_eq!(found, ["file_abc123", "file_def456"]);
    for page in ["3", "100000000", "18446744073709551615"] {
        let target = format!("/v1/organizations/org_123/files?limit=1&page={page}");
        let list = app.client.get(&target, KEY).await.json();
        assert_eq!(list["files"], json!([]), "{page}");
        assert_eq!(
            (&list["total"], &list["has_more"]),
            (&json!(2), &json!(false))
        );
    }
}
