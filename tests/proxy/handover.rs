//! Answers that name a file to the proxy instead of carrying it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::support::app::{PNG, TestApp};

async fn app(mode: &str, more: &[(&'static str, &str)]) -> TestApp {
    let settings = [&[("handover.mode", mode), ("blobs.mode", "0640")], more].concat();
    TestApp::start_with(&settings).await.with_org_123().await
}

#[tokio::test]
async fn the_file_is_named_with_every_header_and_no_byte() {
    let streaming = TestApp::start().await.with_org_123().await;
    let link = streaming.link("file_abc123", "").await;
    let streamed = streaming.client.get(&link, &[]).await;
    for (mode, header, own_prefix) in [
        (
            "x-accel-redirect",
            "x-accel-redirect",
            Some("/hallpass-internal/"),
        ),
        ("x-sendfile", "x-sendfile", None),
    ] {
        let app = app(mode, &[]).await;
        let link = app.link("file_abc123", "").await;
        let data = app.directory.path().join("data");
        let reply = app.client.get(&link, &[]).await;
        assert_eq!((reply.status, reply.body.len()), (200, 0));
        let prefix = own_prefix.map_or_else(|| format!("{}/", data.display()), str::to_owned);
        let path = reply.header(header).unwrap().strip_prefix(&prefix).unwrap();
        assert_eq!(fs::read(data.join(path)).unwrap(), PNG);
        assert_eq!(fs::metadata(data.join(path)).unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::metadata(&data).unwrap().mode() & 0o777, 0o710);
        for (name, value) in &streamed.headers {
            if !["Date", "Content-Length"].contains(&name.as_str()) {
                assert_eq!(reply.header(name), Some(value.as_str()), "{name}");
            }
        }
        assert_eq!(reply.headers.len(), streamed.headers.len() + 1);
        app.client
            .get(&link.replace("token=", "token=x"), &[])
            .await
            .is_dead_link();
    }
}

#[tokio::test]
async fn what_needs_no_bytes_or_only_hallpass_can_judge_is_answered_here() {
    let app = app("x-accel-redirect", &[("handover.prefix", "/p/q")]).await;
    let link = app.link("file_abc123", "").await;
    let named = app.client.get(&link, &[("Range", "bytes=0-1")]).await;
    let place = named.header("x-accel-redirect").unwrap();
    assert!(place.starts_with("/p/q/blobs/"), "{place}");
    assert_eq!((named.status, named.header("content-range")), (200, None));
    let etag = named.header("etag").unwrap().to_owned();
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a [u8]);
    let cases: &[Case<'_>] = &[
        ("GET", &[("If-None-Match", &etag)], 304, b""),
        ("GET", &[("If-Match", "\"zz\"")], 412, b""),
        ("GET", &[("Range", "bytes=9999-")], 416, b""),
        ("GET", &[("If-Match", &etag)], 200, PNG),
        (
            "GET",
            &[("If-Match", &etag), ("Range", "bytes=0-1")],
            206,
            &PNG[..2],
        ),
        (
            "GET",
            &[("If-Unmodified-Since", "Fri, 01 Jan 2044 00:00:00 GMT")],
            200,
            PNG,
        ),
        ("HEAD", &[], 200, b""),
        ("OPTIONS", &[], 204, b""),
    ];
    for (method, headers, status, body) in cases {
        let reply = app.client.request(method, &link, headers, b"").await;
        assert_eq!(reply.status, *status, "{method} {headers:?}");
        assert_eq!(
            reply.header("x-accel-redirect"),
            None,
            "{method} {headers:?}"
        );
        if matches!(status, 200 | 206) {
            assert_eq!(reply.body, *body);
        }
    }
}

#[tokio::test]
async fn files_in_place_are_streamed() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a.txt");
    fs::write(&path, "in place").unwrap();
    let root = place.path().to_str().unwrap();
    let app = app("x-sendfile", &[("blobs.in_place_roots", root)]).await;
    app.register("file_place", &path).await;
    let link = app.link("file_place", "").await;
    let reply = app.client.get(&link, &[]).await;
    assert_eq!(
        (reply.status, reply.body.as_slice()),
        (200, b"in place".as_slice())
    );
    assert_eq!(reply.header("x-sendfile"), None);
}
