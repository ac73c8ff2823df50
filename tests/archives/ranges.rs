//! Ranges, conditions and HEAD of an archive, over every transport.

use super::*;

#[tokio::test]
async fn the_whole_and_any_range_of_it_are_the_same_bytes() {
    let app = TestApp::start().await.with_org_123().await;
    let archive = archive_of_all_kinds(&app).await;
    let mut seen = Vec::new();
    for transport in TRANSPORTS {
        let server = ArchiveServer::start(&app.gateway, &archive, transport).await;
        let whole = server.get(&[]).await;
        assert_eq!(whole.status, 200);
        let length = archive.layout().length();
        let said = whole.header("content-length").map(str::to_owned);
        assert_eq!(said.as_deref(), Some(length.to_string().as_str()));
        assert_eq!(whole.body.len() as u64, length);
        let wanted = all_kinds()
            .into_iter()
            .map(|(path, bytes)| (path.to_owned(), bytes));
        assert_eq!(unzipped(&whole.body), wanted.collect());
        // Ends that lie in heads, in files and in the directory, and far between.
        let size = whole.body.len();
        let mut state = 7_usize;
        let mut next = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for round in 0..60 {
            let start = next(size);
            let end = (start + 1 + next(if round % 2 == 0 { 300 } else { size })).min(size);
            let range = format!("bytes={start}-{}", end - 1);
            let part = server.get(&[("Range", &range)]).await;
            assert_eq!(part.status, 206, "{range}");
            let place = format!("bytes {start}-{}/{size}", end - 1);
            assert_eq!(part.header("content-range"), Some(place.as_str()));
            assert!(part.body == whole.body[start..end], "{transport:?} {range}");
        }
        seen.push(whole.body);
    }
    assert!(seen.windows(2).all(|two| two[0] == two[1]));
}

#[tokio::test]
async fn the_head_says_what_the_archive_is() {
    let app = TestApp::start().await.with_org_123().await;
    let archive = archive_of_all_kinds(&app).await;
    for transport in TRANSPORTS {
        let server = ArchiveServer::start(&app.gateway, &archive, transport).await;
        let [get, head] = [
            server.get(&[]).await,
            server.ask("HEAD", &[("Range", "bytes=0-9")]).await,
        ];
        let length = get.body.len().to_string();
        for reply in [&get, &head] {
            assert_eq!(reply.status, 200);
            for (name, value) in [
                ("content-type", "application/zip"),
                ("content-disposition", "attachment; filename=\"all.zip\""),
                ("cache-control", "private, no-store"),
                ("accept-ranges", "bytes"),
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "no-referrer"),
                ("x-robots-tag", "noindex, nofollow, noarchive"),
                ("cross-origin-resource-policy", "cross-origin"),
                ("content-length", length.as_str()),
            ] {
                assert_eq!(reply.header(name), Some(value), "{transport:?} {name}");
            }
            assert_eq!(reply.header("etag"), archive.layout().etag().as_deref());
            assert_eq!(reply.header("last-modified"), None);
        }
        assert!(head.body.is_empty());
    }
}

#[tokio::test]
async fn conditions_and_ranges_are_judged_as_the_standard_says() {
    let app = TestApp::start().await.with_org_123().await;
    let archive = archive_of_all_kinds(&app).await;
    let etag = archive.layout().etag().unwrap();
    let weak = format!("W/{etag}");
    let size = archive.layout().length();
    let last = format!("bytes={}-", size - 1);
    let behind = format!("bytes={size}-");
    for transport in TRANSPORTS {
        let server = ArchiveServer::start(&app.gateway, &archive, transport).await;
        for (headers, status) in [
            (vec![("If-None-Match", etag.as_str())], 304),
            (vec![("If-None-Match", "\"other\"")], 200),
            (vec![("If-Match", "\"other\"")], 412),
            (vec![("If-Match", etag.as_str())], 200),
            (vec![("Range", last.as_str())], 206),
            (vec![("Range", behind.as_str())], 416),
            (
                vec![("Range", "bytes=0-1"), ("If-Range", etag.as_str())],
                206,
            ),
            (
                vec![("Range", "bytes=0-1"), ("If-Range", weak.as_str())],
                200,
            ),
            (vec![("Range", "bytes=0-1"), ("If-Range", "\"other\"")], 200),
            (
                vec![
                    ("Range", "bytes=0-1"),
                    ("If-Range", "Mon, 18 May 2026 15:34:52 GMT"),
                ],
                200,
            ),
            // More than one range is the whole.
            (vec![("Range", "bytes=0-1,5-6")], 200),
            (vec![("Range", "bytes=0-1,2-6")], 206),
            (
                vec![("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")],
                200,
            ),
            (
                vec![("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:01 GMT")],
                200,
            ),
        ] {
            let reply = server.get(&headers).await;
            assert_eq!(reply.status, status, "{transport:?} {headers:?}");
            match status {
                200 => assert_eq!(reply.body.len() as u64, size),
                304 => assert_eq!(reply.header("etag"), Some(etag.as_str())),
                416 => {
                    let length = format!("bytes */{size}");
                    assert_eq!(reply.header("content-range"), Some(length.as_str()));
                }
                _ => {}
            }
        }
    }
}

/// curl goes on where it broke off, and has the same archive.
#[tokio::test]
async fn a_download_that_broke_off_goes_on() {
    let app = TestApp::start().await.with_org_123().await;
    let archive = archive_of_all_kinds(&app).await;
    let server = ArchiveServer::start(&app.gateway, &archive, Transport::Sendfile).await;
    let whole = server.get(&[]).await.body;
    let place = tempfile::tempdir().unwrap();
    for begun in [1, 40, 100_000, whole.len() - 1] {
        let path = place.path().join("all.zip");
        std::fs::write(&path, &whole[..begun]).unwrap();
        let mut curl = program("curl", place.path());
        curl.args(["-sS", "-f", "-C", "-", "-o", "all.zip", &server.url()]);
        tokio::task::spawn_blocking(move || run(&mut curl))
            .await
            .unwrap();
        assert!(std::fs::read(&path).unwrap() == whole, "from {begun}");
    }
}

/// Nobody knows the CRC-32 of one file: it stands behind its bytes.
#[tokio::test]
async fn an_unknown_crc32_costs_the_ranges_and_no_byte_of_the_length() {
    let app = TestApp::start().await.with_org_123().await;
    let mut unknown = app.add("unknown", "x.bin", &sample(200_000)).await;
    unknown.crc32 = None;
    let small = FileRecord {
        crc32: None,
        ..app.add("small", "x.bin", b"PK\x07\x08").await
    };
    let known = app.add("known", "x.bin", &sample(50_000)).await;
    let archive = archive(&app, &[("a", &unknown), ("b", &known), ("c", &small)]);
    let etag = [("If-Match", "\"any\"")];
    for transport in TRANSPORTS {
        let server = ArchiveServer::start(&app.gateway, &archive, transport).await;
        for method in ["GET", "HEAD"] {
            let reply = server.ask(method, &[("Range", "bytes=0-9")]).await;
            assert_eq!(reply.status, 200);
            for name in ["etag", "accept-ranges", "content-range"] {
                assert_eq!(reply.header(name), None, "{name}");
            }
            let length = archive.layout().length().to_string();
            assert_eq!(reply.header("content-length"), Some(length.as_str()));
            if method == "GET" {
                assert_eq!(reply.body.len() as u64, archive.layout().length());
                let files = unzipped(&reply.body);
                assert_eq!(files["a"], sample(200_000), "{transport:?}");
                assert_eq!(files["b"], sample(50_000), "{transport:?}");
                assert_eq!(files["c"], b"PK\x07\x08", "{transport:?}");
            }
        }
        assert_eq!(server.get(&etag).await.status, 412);
    }
}
