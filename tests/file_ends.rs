//! Files that have an end: who says it, where it is told, and that from that second on nothing opens them.

use hallpass::gateway::shares::{ShareFields, ShareManager};
use hallpass::gateway::upload::NewFile;
use hallpass::model::id::OrganizationId;
use serde_json::{Value, json};

use crate::support::app::{TestApp, new_file, target};
use crate::support::client::Reply;
use crate::support::form::{FORM, Form};

const FILES: &str = "/v1/organizations/org_123/files";
const UPLOAD: &str = "/v1/organizations/org_123/files/upload";
const KEY: (&str, &str) = ("X-API-Key", "k1");
const TOKEN: (&str, &str) = ("Authorization", "Bearer k1");
const HTML: (&str, &str) = ("Accept", "text/html");
const EXPIRES_IN: &str = "expires_in_seconds";
/// A minute after the clock of tests, when every file here ends.
const END: &str = "2026-05-18T15:35:52Z";

/// A method, headers, and the status that they are answered with while the file is there.
type Request<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);

async fn send(app: &TestApp, target: &str, form: Form) -> Reply {
    let headers = [KEY, TOKEN, FORM];
    let form = form.close();
    app.client.request("POST", target, &headers, &form).await
}

/// A gateway whose files `file_small`, kept in memory, and `file_large`, kept open, end in a minute.
async fn start(settings: &[(&'static str, &str)]) -> TestApp {
    let app = TestApp::start_with(settings).await.with_org_123().await;
    for (id, bytes) in [
        ("file_small", b"bytes".to_vec()),
        ("file_large", vec![7; 300_000]),
    ] {
        let new = NewFile {
            expires_in: Some(60),
            ..new_file("org_123", id, "brief.bin")
        };
        app.put(new, &bytes).await;
    }
    app
}

#[tokio::test]
async fn an_upload_of_each_api_says_the_end_and_is_told_it() {
    let app = TestApp::start().await.with_org_123().await;
    let form = || Form::default().text(EXPIRES_IN, "60").file("a.txt", b"a");
    for path in [UPLOAD, "/v1/files"] {
        let made = send(&app, path, form()).await;
        assert_eq!(made.status, 201);
        assert_eq!(made.json()["expires_at"], END, "{path}");
        let plain = send(&app, path, Form::default().file("a.txt", b"a")).await;
        assert_eq!(plain.json().get("expires_at"), None, "a vendor's object");
    }
    let head = "Content-Disposition: form-data; name=\"files\"; filename=\"b.txt\"";
    let batch = Form::default()
        .part(head, b"b")
        .text(EXPIRES_IN, "60")
        .part(head, b"c");
    let made = send(&app, UPLOAD, batch).await.json();
    let ends: Vec<&Value> = made["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| &file["expires_at"])
        .collect();
    assert_eq!(ends, [&json!(END); 2]);
    for bad in ["0", "-1", "1.5", "", "3153600001", "30d"] {
        let form = Form::default().text(EXPIRES_IN, bad).file("a.txt", b"a");
        let error = send(&app, UPLOAD, form)
            .await
            .refused(422, "VALIDATION_ERROR");
        assert_eq!(error["details"]["field"], EXPIRES_IN, "{bad}");
        let form = Form::default().text(EXPIRES_IN, bad).file("a.txt", b"a");
        let reply = send(&app, "/v1/files", form).await;
        assert_eq!(
            (reply.status, &reply.json()["error"]["param"]),
            (400, &json!(EXPIRES_IN))
        );
    }
    app.at(60);
    let listed = app.client.get(FILES, &[KEY]).await.json();
    assert_eq!(listed["total"], 4, "those without an end");
}

/// Whatever is in memory of a file from the second before.
#[tokio::test]
async fn from_that_second_on_a_link_that_was_used_until_then_opens_nothing() {
    let app = start(&[("verify.header", "X-Original-URI")]).await;
    for id in ["file_small", "file_large"] {
        app.at(0);
        let link = app.link(id, "").await;
        let first = app.client.get(&link, &[]).await;
        let etag = first.header("etag").unwrap().to_owned();
        let requests: [Request<'_>; 5] = [
            ("GET", &[], 200),
            ("HEAD", &[], 200),
            ("GET", &[("Range", "bytes=0-1")], 206),
            ("GET", &[("If-None-Match", &etag)], 304),
            ("GET", &[("Range", "bytes=999999-")], 416),
        ];
        app.at(59);
        for (method, headers, status) in requests {
            let reply = app.client.request(method, &link, headers, b"").await;
            assert_eq!(reply.status, status, "{method} {headers:?}");
        }
        let asked = [("X-Original-URI", link.as_str())];
        assert_eq!(app.client.get("/verify", &asked).await.status, 204);
        app.at(60);
        for (method, headers, _) in requests {
            let reply = app.client.request(method, &link, headers, b"").await;
            assert_eq!(reply.status, 404, "{method} {headers:?}");
            assert_eq!(reply.header("etag"), None);
            if method == "GET" {
                reply.refused(404, "FILE_NOT_FOUND");
            }
        }
        assert_eq!(app.client.get("/verify", &asked).await.status, 401);
        let page = app.client.get(&link, &[HTML]).await;
        let html = String::from_utf8(page.body).unwrap();
        assert!(html.contains("<h1>This file is not here</h1>"), "{html}");
        for call in [format!("{FILES}/{id}"), format!("{FILES}/{id}/content")] {
            let reply = app.client.get(&call, &[KEY]).await;
            reply.refused(404, "FILE_NOT_FOUND");
        }
    }
}

#[tokio::test]
async fn a_counted_download_and_a_share_end_with_the_file() {
    let app = start(&[]).await;
    let link = app.link("file_large", "max_downloads=2").await;
    let page = app.client.get(&link, &[HTML]).await;
    let html = String::from_utf8(page.body).unwrap();
    let until = "18 May 2026, 15:35 UTC (1 minute from now)";
    assert!(html.contains(until), "not the link's own end: {html}");
    let started = app.client.request("POST", &link, &[], b"").await;
    let ticket = started.header("location").unwrap().to_owned();
    assert_eq!(
        app.client
            .get(&ticket, &[("Range", "bytes=0-9")])
            .await
            .status,
        206
    );
    let manager = ShareManager::Operator(OrganizationId::parse("org_123").unwrap());
    let fields = ShareFields {
        files: Some(vec!["file_large".into(), "file_def456".into()]),
        ..ShareFields::default()
    };
    let made = app.gateway.create_share(&manager, fields).await.unwrap();
    let share = target(&made.url.unwrap());
    let bytes = format!("{share}/files/1/brief.bin");
    let shown = async || {
        let reply = app.client.get(&share, &[HTML]).await;
        assert_eq!(reply.status, 200);
        String::from_utf8(reply.body).unwrap()
    };
    assert!(shown().await.contains("Here until 18 May 2026, 15:35 UTC"));
    assert_eq!(app.client.get(&bytes, &[]).await.status, 200);
    app.at(60);
    for path in [&ticket, &bytes] {
        app.client
            .get(path, &[])
            .await
            .refused(404, "FILE_NOT_FOUND");
    }
    let html = shown().await;
    assert!(
        html.contains("No longer here") && html.contains("other.png"),
        "{html}"
    );
    assert!(!html.contains(&bytes), "{html}");
    for method in ["GET", "POST"] {
        let reply = app.client.request(method, &link, &[HTML], b"").await;
        assert_eq!(reply.status, 404, "{method}");
    }
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let open = format!("{share}/open");
    let reply = app
        .client
        .request("POST", &open, &form, b"start=1&n=1")
        .await;
    reply.refused(404, "FILE_NOT_FOUND");
}

#[tokio::test]
async fn the_bytes_go_with_the_sweep_and_make_room_once() {
    let settings = [
        ("files.recycle_days", "0"),
        ("limits.organization_bytes", "301KiB"),
    ];
    let app = start(&settings).await;
    let form = || Form::default().file("a.bin", &[1; 100_000]);
    app.at(60);
    send(&app, UPLOAD, form())
        .await
        .refused(507, "INSUFFICIENT_STORAGE");
    app.gateway.expire_files().await.unwrap();
    app.gateway.sweep().await.unwrap();
    assert_eq!(app.blobs_kept().await, 2, "the two of the fixture");
    assert_eq!(send(&app, UPLOAD, form()).await.status, 201);
    app.gateway.sweep().await.unwrap();
    let used = app.catalogue_from_outside().await;
    let used = used
        .usage(&OrganizationId::parse("org_123").unwrap())
        .await
        .unwrap();
    assert_eq!(used.files, 3);
}
