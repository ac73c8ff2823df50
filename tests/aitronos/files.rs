//! Listing, retrieving and deleting.

use serde_json::{Value, json};

use crate::support::app::{PNG, TestApp};

const FILES: &str = "/v1/organizations/org_123/files";
const KEY: &[(&str, &str)] = &[("X-API-Key", "k1")];

#[tokio::test]
async fn a_file_is_retrieved_as_the_vendors_object() {
    let app = TestApp::start().await.with_org_123().await;
    let reply = app.client.get(&format!("{FILES}/file_abc123"), KEY).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let text = String::from_utf8(reply.body).unwrap();
    assert_eq!(
        text,
        format!(
            "{{\"id\":\"file_abc123\",\"original_filename\":\"report.png\",\"file_size\":{},\
             \"mime_type\":\"image/png\",\"storage_path\":\"files/org_123/file_abc123/report.png\",\
             \"organization_id\":\"org_123\",\"uploaded_by\":null,\"uploaded_by_api_key_id\":null,\
             \"uploaded_at\":\"2026-05-18T15:34:52Z\"}}",
            PNG.len()
        )
    );
}

#[tokio::test]
async fn a_deleted_file_is_gone_and_its_id_stays_taken() {
    let app = TestApp::start().await.with_org_123().await;
    let file = format!("{FILES}/file_abc123");
    let deleted = app.client.request("DELETE", &file, KEY, b"").await;
    assert_eq!(
        (deleted.status, deleted.body.as_slice()),
        (204, b"".as_slice())
    );
    app.client
        .request("DELETE", &file, KEY, b"")
        .await
        .refused(404, "FILE_NOT_FOUND");
    app.client
        .get(&file, KEY)
        .await
        .refused(404, "FILE_NOT_FOUND");
    app.client
        .get(&format!("{file}/content"), KEY)
        .await
        .refused(404, "FILE_NOT_FOUND");
    let list = app.client.get(FILES, KEY).await.json();
    assert_eq!(
        (ids(&list), &list["total"]),
        (vec!["file_def456".to_owned()], &json!(1))
    );
}

#[tokio::test]
async fn deleting_needs_the_scope_to_write() {
    use hallpass::model::key::{Scope, Scopes};
    let app = TestApp::start().await.with_org_123().await;
    app.api_key("org_123", "reader", Scopes::of(&[Scope::Read]))
        .await;
    app.api_key("org_123", "writer", Scopes::of(&[Scope::Write]))
        .await;
    let file = format!("{FILES}/file_abc123");
    let as_reader = [("X-API-Key", "reader")];
    app.client
        .request("DELETE", &file, &as_reader, b"")
        .await
        .refused(403, "INSUFFICIENT_PERMISSIONS");
    assert_eq!(app.client.get(&file, &as_reader).await.status, 200);
    let as_writer = [("X-API-Key", "writer")];
    app.client
        .get(FILES, &as_writer)
        .await
        .refused(403, "INSUFFICIENT_PERMISSIONS");
    assert_eq!(
        app.client
            .request("DELETE", &file, &as_writer, b"")
            .await
            .status,
        204
    );
}

#[tokio::test]
async fn pages_are_numbered_newest_first_and_know_the_total() {
    let app = TestApp::start().await.with_org_123().await;
    for i in 0..5 {
        app.at(i + 1);
        app.add(&format!("file_{i}"), "x.txt", b"x").await;
    }
    let page = async |query: &str| {
        app.client
            .get(&format!("{FILES}?{query}"), KEY)
            .await
            .json()
    };
    let all = page("").await;
    let newest_first = [
        "file_4",
        "file_3",
        "file_2",
        "file_1",
        "file_0",
        "file_def456",
        "file_abc123",
    ];
    assert_eq!(ids(&all), newest_first);
    assert_eq!(
        (&all["total"], &all["page"], &all["limit"]),
        (&json!(7), &json!(1), &json!(50))
    );
    assert_eq!(all["has_more"], false);
    let keys: Vec<_> = all
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys.len(), 5);

    let second = page("limit=3&page=2").await;
    assert_eq!(ids(&second), newest_first[3..6]);
    assert_eq!(second["has_more"], true);
    let third = page("limit=3&page=3").await;
    assert_eq!(
        (ids(&third), &third["has_more"]),
        (vec!["file_abc123".to_owned()], &json!(false))
    );
    for past in [
        "limit=3&page=4",
        "page=18446744073709551615",
        "limit=7&page=2",
    ] {
        let page = page(past).await;
        assert_eq!(
            (ids(&page), &page["total"], &page["has_more"]),
            (vec![], &json!(7), &json!(false))
        );
    }
    assert_eq!(
        page("limit=7").await["has_more"],
        false,
        "a page that is just full is the last"
    );
}

#[tokio::test]
async fn unknown_parameters_are_ignored() {
    let app = TestApp::start().await.with_org_123().await;
    let plain = app.client.get(FILES, KEY).await.json();
    for query in ["utm_source=x", "x=%ff", "%ff=1", "%ff"] {
        let reply = app.client.get(&format!("{FILES}?{query}"), KEY).await;
        assert_eq!(
            (reply.status, reply.json()),
            (200, plain.clone()),
            "{query}"
        );
    }
}

#[tokio::test]
async fn wrong_pages_are_field_faults() {
    let app = TestApp::start().await.with_org_123().await;
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=abc", "limit"),
        ("limit=1.5", "limit"),
        ("limit=", "limit"),
        ("limit=1e2", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("limit=1&limit=2", "limit"),
        ("page=0", "page"),
        ("page=x", "page"),
        ("page=1&page=1", "page"),
        ("page=%ff", "page"),
    ] {
        let reply = app.client.get(&format!("{FILES}?{query}"), KEY).await;
        let error = reply.refused(422, "VALIDATION_ERROR");
        assert_eq!(error["details"]["field"], field, "{query}");
    }
    let reply = app
        .client
        .get(&format!("{FILES}?limit=%31%30&search=x"), KEY)
        .await;
    assert_eq!((reply.status, &reply.json()["limit"]), (200, &json!(10)));
    let long = "9".repeat(300);
    let error = app
        .client
        .get(&format!("{FILES}?limit={long}"), KEY)
        .await
        .refused(422, "VALIDATION_ERROR");
    assert_eq!(
        error["details"]["value"].as_str().unwrap().len(),
        128,
        "a long value is cut"
    );
}

fn ids(list: &Value) -> Vec<String> {
    let files = list["files"].as_array().unwrap();
    files
        .iter()
        .map(|file| file["id"].as_str().unwrap().to_owned())
        .collect()
}
