//! The heads of answers: one file has one, however it is sent.

use crate::support::app::TestApp;
use crate::support::client::Reply;

/// The headers of an answer but for when it was made, sorted. Panics if one is there twice.
fn headers(reply: &Reply) -> Vec<(String, String)> {
    let headers = reply.headers.iter().map(|(name, value)| {
        let name = name.to_ascii_lowercase();
        (name, value.clone())
    });
    let mut headers: Vec<_> = headers.filter(|(name, _)| name != "date").collect();
    headers.sort();
    let names: Vec<_> = headers.iter().map(|(name, _)| name).collect();
    let is_twice = names.windows(2).any(|two| two[0] == two[1]);
    assert!(!is_twice, "{names:?}");
    headers
}

/// Ready lines go out with a GET, headers one by one with a HEAD (RFC 9110, §9.3.2).
#[tokio::test]
async fn a_head_is_the_same_to_get_and_to_head() {
    for settings in [
        &[][..],
        &[("cors.origins", "https://a.example")],
        &[("links.cap_cache_to_expiry", "true")],
        &[("cache.small_files_bytes", "0")],
    ] {
        let app = TestApp::start_with(settings).await.with_org_123().await;
        for (id, length) in [("file_small", 1_000), ("file_large", 300_000)] {
            app.add(id, "a file.pdf", &vec![b'x'; length]).await;
            for (options, header) in [
                ("", ("Origin", "https://a.example")),
                ("", ("Origin", "https://b.example")),
                ("", ("Range", "bytes=10-19")),
                ("disposition=attachment", ("Accept", "*/*")),
            ] {
                let link = app.link(id, options).await;
                let get = app.client.request("GET", &link, &[header], b"").await;
                let head = app.client.request("HEAD", &link, &[header], b"").await;
                let (mut get_headers, mut head_headers) = (headers(&get), headers(&head));
                if get.status == 206 {
                    assert_eq!(
                        get.header("content-range"),
                        Some(&*format!("bytes 10-19/{length}"))
                    );
                    get_headers.retain(|(name, _)| !name.starts_with("content-range"));
                    for headers in [&mut get_headers, &mut head_headers] {
                        headers.retain(|(name, _)| name != "content-length");
                    }
                }
                assert_eq!(
                    get_headers, head_headers,
                    "{settings:?} {options} {header:?}"
                );
                assert!(get_headers.len() > 12, "{get_headers:?}");
            }
        }
    }
}

/// How long a head says that the body is.
fn told(head: &str) -> usize {
    let (_, length) = head.split_once("\r\nContent-Length: ").unwrap();
    length.split("\r\n").next().unwrap().parse().unwrap()
}

/// Answers with lines and answers without, whole and in part, one behind the other on one connection.
#[tokio::test]
async fn heads_keep_to_their_own_answers_when_requests_are_pipelined() {
    let app = TestApp::start().await.with_org_123().await;
    let mut links = Vec::new();
    for (id, length) in [
        ("file_small", 1_000),
        ("file_empty", 0),
        ("file_large", 200_000),
    ] {
        app.add(id, "a.bin", &vec![b'x'; length]).await;
        links.push((app.link(id, "").await, length));
    }
    let (mut asked, mut expected) = (String::new(), Vec::new());
    for _ in 0..3 {
        for (link, length) in &links {
            for (method, header, status, sent) in [
                ("GET", "X-Any: 1", 200, *length),
                ("HEAD", "X-Any: 1", 200, 0),
                ("GET", "If-None-Match: *", 304, 0),
                ("GET", "If-Match: \"x\"", 412, 0),
                ("HEAD", "X-Any: 1", 200, 0),
                ("HEAD", "X-Any: 1", 200, 0),
                ("GET", "X-Any: 1", 200, *length),
            ] {
                asked += &format!("{method} {link} HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n");
                expected.push((status, sent));
            }
        }
    }
    let answered = app.client.exchange(asked.as_bytes(), true).await;
    let mut rest = &answered[..];
    for (number, (status, sent)) in expected.into_iter().enumerate() {
        let end = memchr::memmem::find(rest, b"\r\n\r\n").unwrap() + 4;
        let head = std::str::from_utf8(&rest[..end]).unwrap();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{number}: {head}"
        );
        assert_eq!(head.matches("\r\nCache-Control: ").count(), 1, "{head}");
        let length = match status {
            412 => told(head),
            _ => sent,
        };
        assert!(status == 412 || rest[end..end + length].iter().all(|byte| *byte == b'x'));
        rest = &rest[end + length..];
    }
    assert!(rest.is_empty(), "{} bytes more", rest.len());
}

#[tokio::test]
async fn each_header_is_there_once_whatever_the_request() {
    let slow = &[("limits.link_bytes_per_second", "1KiB")][..];
    for (settings, length) in [(&[][..], 1_000), (&[], 200_000), (slow, 2_000)] {
        let app = TestApp::start_with(settings).await.with_org_123().await;
        app.add("file_one", "a.bin", &vec![b'x'; length]).await;
        let link = app.link("file_one", "").await;
        for (request, version) in [
            (format!("GET {link} HTTP/1.0\r\n\r\n"), "1.0"),
            (
                format!("GET {link} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
                "1.1",
            ),
            (
                format!("GET {link} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"),
                "1.1",
            ),
            (
                format!(
                    "GET {link} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody"
                ),
                "1.1",
            ),
        ] {
            let answered = app.client.exchange(request.as_bytes(), true).await;
            let end = memchr::memmem::find(&answered, b"\r\n\r\n").unwrap() + 4;
            let head = std::str::from_utf8(&answered[..end]).unwrap();
            assert!(head.starts_with(&format!("HTTP/{version} 200 ")), "{head}");
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            let mut names: Vec<_> = lines.map(|(name, _)| name.to_ascii_lowercase()).collect();
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count, "{head}");
            assert!(names.iter().any(|name| name == "etag"), "{head}");
            let body = &answered[end..];
            assert!(
                body.len() == length && body.iter().all(|byte| *byte == b'x'),
                "{request}"
            );
        }
    }
}

/// Names of headers mean the same in any case (RFC 9110, §5.1), but people look for them as they are registered.
#[tokio::test]
async fn the_entity_tag_is_spelled_as_it_is_registered() {
    let app = TestApp::start().await.with_org_123().await;
    let link = app.link("file_abc123", "").await;
    for header in [("Accept", "*/*"), ("Range", "bytes=1-2")] {
        let reply = app.client.get(&link, &[header]).await;
        let names: Vec<&str> = reply
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert!(names.contains(&"ETag"), "{names:?}");
    }
}
