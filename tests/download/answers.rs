//! The table `answers.txt`: what ranges and conditions are answered with, held against a real nginx.

use std::fs::{self, File};
use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use crate::proxy::running::{Proxy, free_address};
use crate::support::app::{T0, TestApp};
use crate::support::client::{Client, Reply};

const TABLE: &str = include_str!("answers.txt");

const TYPE: &str = "application/octet-stream";

/// What the table says of headers. Others differ for reasons that have nothing to do with files.
const HEADERS: [&str; 6] = [
    "Accept-Ranges",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "ETag",
    "Last-Modified",
];

/// One line of the table.
struct Row {
    asked: &'static str,
    nginx: &'static str,
    ours: &'static str,
}

impl Row {
    fn read(line: &'static str) -> Self {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [asked, nginx, ours, why] = cells[..] else {
            panic!("not four cells: {line}");
        };
        let same = ours == "=";
        assert_eq!(same, why.is_empty(), "who differs says why: {line}");
        assert_ne!(nginx, ours, "{line}");
        let ours = if same { nginx } else { ours };
        Self { asked, nginx, ours }
    }
}

/// The requests of the table, or what it says of headers.
fn rows(of_headers: bool) -> impl Iterator<Item = Row> {
    let lines = TABLE.lines();
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(Row::read)
        .filter(move |row| row.asked.starts_with("headers of ") == of_headers)
}

/// Where a server has a file.
struct Served {
    client: Client,
    target: String,
    bytes: Vec<u8>,
    etag: String,
}

impl Served {
    async fn at(client: Client, target: &str, bytes: Vec<u8>) -> Self {
        let whole = client.get(target, &[]).await;
        let etag = whole.header("etag").unwrap().to_owned();
        let target = target.to_owned();
        Self {
            client,
            target,
            bytes,
            etag,
        }
    }

    async fn ask(&self, method: &str, headers: &str) -> Reply {
        let headers = filled(headers, &self.etag);
        let lines = headers.split(" + ").filter(|line| !line.is_empty());
        let headers: Vec<_> = lines.map(|line| line.split_once(": ").unwrap()).collect();
        let reply = self
            .client
            .request(method, &self.target, &headers, b"")
            .await;
        let etag = reply.header("etag");
        assert!(etag.is_none_or(|etag| etag == self.etag), "{headers:?}");
        let date = reply.header("last-modified");
        assert!(date.is_none_or(|date| date == http_date(T0)), "{headers:?}");
        reply
    }
}

/// Asks for all that the table has, and answers the lines that should be different.
async fn wrong(long: &Served, empty: &Served, expected: fn(&Row) -> &'static str) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in rows(false) {
        let words: Vec<_> = row.asked.splitn(3, ' ').collect();
        let (method, served) = match words[1] {
            "long" => (words[0], long),
            "empty" => (words[0], empty),
            other => panic!("no file {other}"),
        };
        let reply = served.ask(method, words.get(2).unwrap_or(&"")).await;
        let answer = described(&reply, &served.bytes, method == "HEAD");
        if answer != expected(&row) {
            wrong.push(format!("{} | {answer}", row.asked));
        }
        let (of, there) = headers(&reply);
        let said = rows(true).find(|row| row.asked == of);
        if said.is_none_or(|row| expected(&row) != there) {
            wrong.push(format!("{of} | {there}, on {}", row.asked));
        }
    }
    wrong
}

/// Which headers an answer has, after what the table calls answers like it.
fn headers(reply: &Reply) -> (String, String) {
    let kind = reply.header("content-type").unwrap_or_default();
    let parts = if kind.starts_with("multipart/") {
        " in parts"
    } else {
        ""
    };
    let there = HEADERS
        .into_iter()
        .filter(|name| reply.header(name).is_some());
    let there: Vec<_> = there.collect();
    (
        format!("headers of {}{parts}", reply.status),
        there.join(", "),
    )
}

/// A request with what its placeholders stand for.
fn filled(headers: &str, etag: &str) -> String {
    let mut headers = headers.replace("{tag}", etag);
    for (name, seconds) in [
        ("{date}", T0),
        ("{earlier}", T0 - 1),
        ("{later}", T0 + 1),
        ("{1970}", 0),
        ("{2044}", 2_335_219_200),
    ] {
        headers = headers.replace(name, &http_date(seconds));
    }
    while let Some((before, rest)) = headers.split_once('{') {
        let (many, after) = rest.split_once('}').unwrap();
        let (count, text) = many.split_once(" x ").expect("a known placeholder");
        let many = vec![text; count.parse().unwrap()].join(",");
        headers = format!("{before}{many}{after}");
    }
    headers
}

fn http_date(seconds: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// The status, and what part of the file came with it.
fn described(reply: &Reply, bytes: &[u8], to_head: bool) -> String {
    let (status, kind) = (
        reply.status,
        reply.header("content-type").unwrap_or_default(),
    );
    let length = reply
        .header("content-length")
        .and_then(|length| length.parse().ok());
    match (status, reply.header("content-range")) {
        (200, None) => {
            assert!(to_head || reply.body == bytes);
            assert_eq!((kind, length), (TYPE, Some(bytes.len())));
            "200 whole".into()
        }
        (206, Some(place)) => {
            let range = part(place, bytes.len());
            assert!(to_head || reply.body == bytes[range.clone()], "{place}");
            assert_eq!((kind, length), (TYPE, Some(range.len())));
            format!("206 {}", written(&range))
        }
        (206, None) => format!("206 parts {}", parts(reply, kind, bytes, to_head)),
        (_, None) => status.to_string(),
        (_, Some(place)) => format!("{status} {place}"),
    }
}

/// The bytes that a `Content-Range` means.
fn part(header: &str, length: usize) -> Range<usize> {
    let place = header.strip_prefix("bytes ").unwrap();
    let (range, size) = place.split_once('/').unwrap();
    assert_eq!(size, length.to_string());
    let (first, last) = range.split_once('-').unwrap();
    first.parse().unwrap()..last.parse::<usize>().unwrap() + 1
}

fn written(range: &Range<usize>) -> String {
    format!("{}-{}", range.start, range.end - 1)
}

/// The parts of a `multipart/byteranges` body, which must have nothing else in it.
fn parts(reply: &Reply, kind: &str, bytes: &[u8], to_head: bool) -> String {
    let boundary = kind
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    if to_head {
        return "that HEAD does not show".into();
    }
    let head = format!("\r\n--{boundary}\r\nContent-Type: {TYPE}\r\nContent-Range: ");
    let (mut rest, mut places) = (reply.body.as_slice(), Vec::new());
    while let Some(next) = rest.strip_prefix(head.as_bytes()) {
        let end = next
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let range = part(std::str::from_utf8(&next[..end]).unwrap(), bytes.len());
        rest = next[end + 4..]
            .strip_prefix(&bytes[range.clone()])
            .expect("its bytes");
        places.push(written(&range));
    }
    assert_eq!(rest, format!("\r\n--{boundary}--\r\n").as_bytes());
    let runs = places.chunk_by(|one, next| one == next);
    let runs = runs.map(|run| match run {
        [place] => place.clone(),
        _ => format!("{{{} x {}}}", run.len(), run[0]),
    });
    runs.collect::<Vec<_>>().join(", ")
}

fn long() -> Vec<u8> {
    let bytes = (0..1000_u32).map(|i| (i * 7 % 251).to_le_bytes()[0]);
    bytes.collect()
}

#[tokio::test]
async fn we_answer_as_the_table_says() {
    let app = TestApp::start().await.with_org_123().await;
    app.add("file_long", "long.bin", &long()).await;
    app.add("file_empty", "empty.bin", b"").await;
    let long_link = app.link("file_long", "").await;
    let empty_link = app.link("file_empty", "").await;
    let served = Served::at(app.client, &long_link, long()).await;
    let empty = Served::at(app.client, &empty_link, vec![]).await;
    app.at(10);
    let wrong = wrong(&served, &empty, |row| row.ours).await;
    assert!(wrong.is_empty(), "we answer\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn nginx_answers_as_the_table_says() {
    let (directory, at) = (tempfile::tempdir().unwrap(), free_address().await);
    for (name, bytes) in [("long", long()), ("empty", vec![])] {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let modified = UNIX_EPOCH + Duration::from_secs(T0);
        file.set_modified(modified).unwrap();
    }
    let server = format!(
        "server {{ listen {at}; root {}; default_type {TYPE}; large_client_header_buffers 4 64k; }}",
        directory.path().display()
    );
    let _nginx = Proxy::nginx(directory.path(), at, &server).await;
    let served = Served::at(Client(at), "/long", long()).await;
    let empty = Served::at(Client(at), "/empty", vec![]).await;
    let wrong = wrong(&served, &empty, |row| row.nginx).await;
    assert!(wrong.is_empty(), "nginx answers\n{}", wrong.join("\n"));
}
