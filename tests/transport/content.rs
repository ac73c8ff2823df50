//! Answers that have no content (RFC 9110, §6.4.1): to HEAD, and of 204 and 304. On every transport they end with
//! their head, nothing is counted for them, and the head of an answer to HEAD is the one to GET.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hallpass::config::Listen;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::support::app::TestApp;
use crate::support::client::exchange_over;

use super::{Http2, NAME, Pair};

const KEY: (&str, &str) = ("x-api-key", "k1");
/// Headers that differ from request to request, and from HTTP/1 to HTTP/2.
const OWN: [&str; 4] = ["date", "x-request-id", "x-traceid", "connection"];
const DELIVERED: &str = "x-original-uri";

/// A way for a request to come to the gateway.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Http1,
    Http1Tls,
    Http1Unix,
    Http2,
    Http2Tls,
    Http2Unix,
}

const WAYS: [Way; 6] = [
    Way::Http1,
    Way::Http1Tls,
    Way::Http1Unix,
    Way::Http2,
    Way::Http2Tls,
    Way::Http2Unix,
];

/// A gateway that listens in every way.
struct Everywhere {
    pair: Pair,
    app: TestApp,
    tls: SocketAddr,
    unix: PathBuf,
    _place: tempfile::TempDir,
}

/// An answer as it came.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// Names in lower case, sorted, but for [`OWN`] ones and the length.
    headers: Vec<(String, String)>,
    length: Option<u64>,
    body: Vec<u8>,
    /// True if the head was the end of it: END_STREAM on HEADERS, or no byte up to the next answer.
    ends_with_head: bool,
}

impl Everywhere {
    async fn start(more: &[(&'static str, &str)]) -> Self {
        let (pair, place) = (Pair::new(), tempfile::tempdir().unwrap());
        let unix = place.path().join("h.sock");
        let at = format!("unix:{}", unix.display());
        let mut settings = vec![("server.http2", "on"), ("server.listen", at.as_str())];
        settings.extend(more);
        let (app, tls) = pair.app(&settings).await;
        assert!(matches!(app.listeners[2], Listen::Unix(_)));
        Self {
            pair,
            app,
            tls,
            unix,
            _place: place,
        }
    }

    async fn ask(&self, way: Way, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        let (plain, tls, unix) = (self.app.client.0, self.tls, &self.unix);
        match way {
            Way::Http1 => {
                let stream = TcpStream::connect(plain).await.unwrap();
                by_http1(stream, method, target, headers).await
            }
            Way::Http1Tls => {
                let stream = self.pair.connect(tls, &["http/1.1"]).await.unwrap();
                by_http1(stream, method, target, headers).await
            }
            Way::Http1Unix => {
                let stream = UnixStream::connect(unix).await.unwrap();
                by_http1(stream, method, target, headers).await
            }
            Way::Http2 => by_http2(Http2::plain(plain).await, method, target, headers).await,
            Way::Http2Tls => {
                let stream = self.pair.connect(tls, &["h2"]).await.unwrap();
                by_http2(Http2::over(stream).await, method, target, headers).await
            }
            Way::Http2Unix => {
                let stream = UnixStream::connect(unix).await.unwrap();
                by_http2(Http2::over(stream).await, method, target, headers).await
            }
        }
    }
}

fn answer<'a>(
    status: u16,
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    body: Vec<u8>,
    ends_with_head: bool,
) -> Answer {
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    let (lengths, mut headers): (Vec<_>, Vec<_>) =
        headers.partition(|(name, _)| name == "content-length");
    assert!(lengths.len() < 2, "{lengths:?}");
    headers.retain(|(name, _)| !OWN.contains(&name.as_str()));
    headers.sort();
    Answer {
        status,
        headers,
        length: lengths.first().map(|(_, length)| length.parse().unwrap()),
        body,
        ends_with_head,
    }
}

/// Sends a second request behind it on the same connection: all that stands before its answer is the first one's.
async fn by_http1(
    stream: impl AsyncRead + AsyncWrite,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut sent = format!("{method} {target} HTTP/1.1\r\nHost: {NAME}\r\n");
    for (name, value) in headers {
        sent.push_str(&format!("{name}: {value}\r\n"));
    }
    sent.push_str("\r\nGET /behind HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let came = exchange_over(stream, sent.as_bytes(), false).await;
    let end = memchr::memmem::find(&came, b"\r\n\r\n").unwrap() + 4;
    let head = std::str::from_utf8(&came[..end]).unwrap();
    let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3]
        .parse()
        .unwrap();
    let behind = memchr::memmem::find(&came[end..], b"HTTP/1.1 404 Not Found\r\n");
    let behind = behind.unwrap_or_else(|| panic!("{method} {target}: {head}"));
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    answer(status, lines, came[end..end + behind].to_vec(), behind == 0)
}

async fn by_http2(client: Http2, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = http::Request::builder()
        .method(method)
        .uri(format!("https://{NAME}{target}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut send = client.0.ready().await.unwrap();
    let (response, _) = send.send_request(request.body(()).unwrap(), true).unwrap();
    let (head, mut body) = response.await.unwrap().into_parts();
    let ends_with_head = body.is_end_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.unwrap();
        body.flow_control().release_capacity(chunk.len()).unwrap();
        bytes.extend_from_slice(&chunk);
    }
    let lines = head.headers.iter();
    let lines = lines.map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    answer(head.status.as_u16(), lines, bytes, ends_with_head)
}

/// A request: its target, its headers, and the statuses of GET and of HEAD.
type Row<'a> = (&'a str, Vec<(&'a str, &'a str)>, u16, u16);

/// Every route that GET or HEAD may have, and every kind of answer.
fn rows<'a>(link: &'a str, empty: &'a str, dead: &'a str, long: &'a str) -> Vec<Row<'a>> {
    let page = ("accept", "text/html");
    vec![
        (link, vec![], 200, 200),
        (empty, vec![], 200, 200),
        (link, vec![("range", "bytes=0-9")], 206, 200),
        (link, vec![("range", "bytes=0-9,20-29")], 206, 200),
        (link, vec![("range", "bytes=999999999-")], 416, 200),
        (link, vec![("if-none-match", "*")], 304, 304),
        (link, vec![("if-match", "\"x\"")], 412, 412),
        (dead, vec![], 401, 401),
        (dead, vec![page], 401, 401),
        (long, vec![], 414, 414),
        (FILE, vec![KEY], 200, 200),
        ("/v1/organizations/org_123/files", vec![KEY], 200, 200),
        ("/v1/organizations/org_123/files", vec![], 401, 401),
        (
            "/v1/organizations/org_123/files/file_none",
            vec![KEY],
            404,
            404,
        ),
        (
            "/v1/organizations/org_123/files/upload",
            vec![KEY],
            405,
            405,
        ),
        ("/v1/files", vec![("authorization", "Bearer k1")], 200, 200),
        (
            "/v1/files/file_none",
            vec![("authorization", "Bearer k1")],
            404,
            404,
        ),
        ("/koodrive/ose/v1/files/download", vec![], 405, 405),
        ("/", vec![], 404, 404),
        ("/nowhere", vec![page], 404, 404),
        ("/verify", vec![(DELIVERED, link)], 204, 204),
        ("/verify", vec![(DELIVERED, dead)], 401, 401),
        ("/verify", vec![], 401, 401),
    ]
}

/// Mints a link.
const FILE: &str = "/v1/organizations/org_123/files/file_abc123/content";

#[tokio::test]
async fn what_has_no_content_ends_with_its_head_on_every_transport() {
    let at = Everywhere::start(&[("verify.header", DELIVERED)]).await;
    at.app.add("file_large", "large.bin", &[7; 1 << 20]).await;
    at.app.add("file_empty", "empty.bin", b"").await;
    let (link, empty) = (
        at.app.link("file_large", "").await,
        at.app.link("file_empty", "").await,
    );
    let dead = link.replace("token=", "token=x");
    let long = format!("/{}", "a".repeat(9_000));
    for (target, headers, get_status, head_status) in rows(&link, &empty, &dead, &long) {
        let mut first: Option<Answer> = None;
        for way in WAYS {
            let what = format!("{way:?} {:.60} {headers:?}", target);
            let get = at.ask(way, "GET", target, &headers).await;
            let head = at.ask(way, "HEAD", target, &headers).await;
            assert_eq!(
                (get.status, head.status),
                (get_status, head_status),
                "{what}"
            );
            assert!(
                head.ends_with_head && head.body.is_empty(),
                "{what}: {head:?}"
            );
            match get.status {
                204 => assert!(
                    get.ends_with_head && get.length.is_none(),
                    "{what}: {get:?}"
                ),
                304 => assert!(get.ends_with_head, "{what}: {get:?}"),
                _ => assert_eq!(get.length, Some(get.body.len() as u64), "{what}"),
            }
            // On HEAD a Range means nothing (RFC 9110, §14.2).
            if get.status == head.status {
                assert_eq!(head.headers, get.headers, "{what}");
                assert_eq!(head.length, get.length, "{what}");
            } else {
                assert_eq!(head.length, Some(1 << 20), "{what}");
            }
            if let Some(first) = &first {
                assert_eq!(head.headers, first.headers, "{what}");
                assert_eq!(head.length, first.length, "{what}");
            }
            first.get_or_insert(head);
        }
    }
    for way in WAYS {
        let preflight = at.ask(way, "OPTIONS", &link, &[]).await;
        assert_eq!(preflight.status, 204, "{way:?}");
        assert!(preflight.ends_with_head, "{way:?} {preflight:?}");
        assert_eq!(preflight.length, None, "{way:?}");
    }
}

/// A file that takes a quarter of an hour at the pace of its link.
#[tokio::test]
async fn a_head_is_held_to_no_pace_and_told_alike_on_every_transport() {
    let at = Everywhere::start(&[("limits.link_bytes_per_second", "1KiB")]).await;
    at.app.add("file_large", "large.bin", &[7; 1 << 20]).await;
    let link = at.app.link("file_large", "").await;
    let begun = Instant::now();
    for way in WAYS {
        for _ in 0..5 {
            let head = at.ask(way, "HEAD", &link, &[]).await;
            assert!(
                head.status == 200 && head.ends_with_head,
                "{way:?} {head:?}"
            );
            assert_eq!(head.length, Some(1 << 20), "{way:?}");
        }
    }
    // Bytes that count against the pace would have been waited for, 17 minutes each time.
    assert!(begun.elapsed() < Duration::from_secs(300));
    let directory = at.app.stop().await;
    let audit = std::fs::read_to_string(directory.path().join("audit.jsonl")).unwrap();
    let events = audit
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let downloads: Vec<_> = events.filter(|line| line["event"] == "download").collect();
    assert_eq!(downloads.len(), WAYS.len() * 5);
    for told in downloads {
        assert_eq!(told["method"], "HEAD", "{told}");
        assert_eq!(told["outcome"], "part", "{told}");
        assert_eq!(
            (&told["bytes_sent"], &told["bytes_due"]),
            (&0.into(), &0.into()),
            "{told}"
        );
    }
}
