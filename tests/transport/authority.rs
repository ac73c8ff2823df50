//! The authority that a request is for: the `Host`, the authority of a whole URL, which counts instead of it, and
//! HTTP/2's `:authority`. RFC 9112, §3.2 and RFC 9113, §8.3.1 say what is malformed; the cases are those that Apache's HTTP
//! server is held to where it is strict, and more of each kind.
#![allow(clippy::too_many_lines)] // A table is as long as it is.

use tokio::net::TcpStream;

use crate::support::app::TestApp;
use crate::support::client::exchange_over;

use super::Pair;
use super::frames::{END_HEADERS, END_STREAM, HEADERS, block, frame, request};
use super::frames_refused::{Fate, LIST, PROTOCOL, app, fate, whole};

const GOOD: &[&str] = &[
    "a",
    "foo:81",
    "localhost:80",
    "a:",
    "A.Example",
    "a_b",
    "xn--bcher-kva.example",
    "127.0.0.1",
    "10.0.0.1:81",
    "1.example",
    "example.1a",
    "[::1]",
    "[::1:2]",
    "[::1]:81",
    "[4712::abcd]",
    "[4712::abcd:1]",
    "[4712:abcd::]",
    "[4712::abcd]:8000",
    "[::ffff:10.0.0.1]",
];

const BAD: &[&str] = &[
    // Somebody's name.
    "foo@localhost:80",
    "foo:secret@localhost",
    "@a",
    // A port that is none.
    "localhost:80x",
    "localhost:80:80",
    "localhost::80",
    "localhost:65536",
    "localhost:-1",
    "localhost:+80",
    "[::1]:80x",
    // An address that is none.
    "4713::abcd:8001",
    "[4712::abcd::]",
    "[::1",
    "::1]",
    "[::1]x",
    "[a]",
    "[127.0.0.1]",
    "[fe80::1%25lo]",
    "017700000001",
    "0x7f.1",
    "127.01.0.1",
    "127.1",
    "127.1.",
    "0x7f.1.",
    "2130706433",
    "256.0.0.1",
    "1.2.3.4.5",
    "%3127.0.0.1",
    // Other characters.
    "abc\\foo",
    "a<b",
    "a\"b",
    "a b",
    "localhost:80 x",
    "a\tb",
    ":80",
];

/// The status of what is sent over a connection; 0 where it is closed without one.
fn status(answer: &[u8]) -> u16 {
    let head = String::from_utf8_lossy(&answer[..answer.len().min(12)]);
    let status = head
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1));
    status.map_or(0, |status| status.parse().unwrap())
}

/// A gateway with a plain port and a TLS port, and a link that opens.
struct Both {
    pair: Pair,
    app: TestApp,
    tls: std::net::SocketAddr,
    link: String,
}

impl Both {
    async fn start() -> Self {
        let pair = Pair::new();
        let (app, tls) = pair.app(&[]).await;
        let link = app.link("file_abc123", "").await;
        Self {
            pair,
            app,
            tls,
            link,
        }
    }

    /// Sends these bytes over both, then says that there is no more, and answers all that came.
    async fn answers(&self, sent: &[u8]) -> [Vec<u8>; 2] {
        let plain = TcpStream::connect(self.app.client.0).await.unwrap();
        let secure = self.pair.connect(self.tls, &["http/1.1"]).await.unwrap();
        [
            exchange_over(plain, sent, true).await,
            exchange_over(secure, sent, true).await,
        ]
    }
}

#[tokio::test]
async fn every_form_of_it_is_judged_alike() {
    let (at, http2) = (Both::start().await, app().await);
    let mut wrong = Vec::new();
    let all = GOOD
        .iter()
        .map(|one| (one, 200))
        .chain(BAD.iter().map(|one| (one, 400)));
    for (authority, expected) in all {
        let link = &at.link;
        for sent in [
            format!("GET {link} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"),
            format!("GET {link} HTTP/1.0\r\nHost: {authority}\r\n\r\n"),
            format!("GET http://{authority}{link} HTTP/1.0\r\n\r\n"),
            format!(
                "GET https://{authority}{link} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n"
            ),
        ] {
            for (way, answer) in ["plain", "TLS"]
                .iter()
                .zip(at.answers(sent.as_bytes()).await)
            {
                if status(&answer) != expected {
                    let line = sent.replace(link.as_str(), "/…");
                    wrong.push(format!(
                        "{way} {line:?}: {}, not {expected}",
                        status(&answer)
                    ));
                }
            }
        }
        let fields = |authority: &'static str, host: &'static str| {
            let mut fields = request("GET", LIST);
            fields[2].1 = authority;
            fields.retain(|(_, value)| !value.is_empty());
            fields.push(("x-api-key", "k1"));
            fields.extend((!host.is_empty()).then_some(("host", host)));
            fields
        };
        for fields in [
            fields(authority, ""),
            fields("", authority),
            fields(authority, authority),
        ] {
            let fate = fate(&http2, &whole(&fields)).await;
            let is_right = match &fate {
                Fate::Status(status) => *status == expected.to_string(),
                // The HTTP library resets what it cannot read itself.
                Fate::Reset(code) => expected == 400 && *code == PROTOCOL,
                Fate::Gone(_) => false,
            };
            if !is_right {
                wrong.push(format!("HTTP/2 {fields:?}: {fate:?}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A Host is malformed beside a whole URL, too, and there must be one (RFC 9112, §3.2).
#[tokio::test]
async fn a_whole_url_does_not_make_up_for_the_host() {
    let at = Both::start().await;
    let link = &at.link;
    for (lines, expected) in [
        ("Host: other\r\n", 200),
        ("Host: a\r\n", 200),
        ("", 400),
        ("Host: a\r\nHost: a\r\n", 400),
        ("Host: user@a\r\n", 400),
        ("Host: \r\n", 400),
    ] {
        let sent = format!("GET http://a{link} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n");
        for answer in at.answers(sent.as_bytes()).await {
            assert_eq!(status(&answer), expected, "{lines:?}");
        }
    }
}

/// The rest of what a strict server is asked: lines, versions, names and values. `{}` is a link. Where two answers
/// are right, Apache's is the other one, and the row says why.
#[tokio::test]
async fn lines_versions_names_and_values_are_judged_strictly() {
    let at = Both::start().await;
    let mut wrong = Vec::new();
    for (sent, expected) in [
        ("GET {} HTTP/1.0\r\n\r\n", 200),
        ("get {} HTTP/1.0\r\n\r\n", 501),
        ("G ET {} HTTP/1.0\r\n\r\n", 400),
        ("G\0ET {} HTTP/1.0\r\n\r\n", 400),
        ("G/T {} HTTP/1.0\r\n\r\n", 400),
        ("GET {}\0 HTTP/1.0\r\n\r\n", 400),
        ("GET {} HTTP/1.0\0\r\n\r\n", 400),
        ("GET {} HTT/1.0\r\n\r\n", 400),
        ("GET {} HTTP/1.0\r\nHost: localhost\r\n\r\n", 200),
        ("GET {} HTTP/1.11\r\nHost: localhost\r\n\r\n", 400),
        ("GET {} HTTP/1.0 x\r\nHost: localhost\r\n\r\n", 400),
        ("GET {}\u{1} HTTP/1.0\r\n\r\n", 400),
        ("GET {} HTTP/1.0\r\nFoo: bar\r\n\r\n", 200),
        ("GET {} HTTP/1.0\r\nFoo: b\0ar\r\n\r\n", 400),
        ("GET {} HTTP/1.0\r\nFoo: b\u{1}ar\r\n\r\n", 400),
        ("GET {} HTTP/1.0\r\nFoo bar\r\n\r\n", 400),
        ("GET {} HTTP/1.0\r\n: bar\r\n\r\n", 400),
        ("GET {} HTTP/1.0\r\nFoo:bar\r\n\r\n", 200),
        ("GET {} HTTP/1.0\r\nFoo :bar\r\n\r\n", 400),
        ("GET {} HTTP/1.0\r\n Foo:bar\r\n\r\n", 400),
        ("GET {} HTTP/1.0\r\nF\u{1}o: bar\r\n\r\n", 400),
        ("GET {} HTTP/1.0\r\nF\ro: bar\r\n\r\n", 400),
        ("GET {} HTTP/1.0\r\nF\to: bar\r\n\r\n", 400),
        ("GET {} HTTP/1.0\r\nFo: b\tar\r\n\r\n", 200),
        ("GET {} HTTP/1.0\r\nFo: bar\r\r\n\r\n", 400),
        ("GET {} HTTP/1.0\r\r", 400),
        (
            "GET {} HTTP/1.0\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
            400,
        ),
        (
            "GET {} HTTP/1.0\r\nHost: localhost:80\r\nHost: localhost:80\r\n\r\n",
            400,
        ),
        // A line feed alone may end a line (RFC 9112, §2.2); Apache's strict mode says no.
        ("GET {} HTTP/1.0\n\n", 200),
        // Versions that the HTTP library does not know. Apache answers them as the highest that it speaks.
        ("GET {} HTTP/1.2\r\nHost: localhost\r\n\r\n", 400),
    ] {
        let sent = sent.replacen("{}", &at.link, 1);
        for (way, answer) in ["plain", "TLS"]
            .iter()
            .zip(at.answers(sent.as_bytes()).await)
        {
            if status(&answer) != expected {
                let line = sent.replace(&at.link, "/…");
                wrong.push(format!(
                    "{way} {line:?}: {}, not {expected}",
                    status(&answer)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Targets that hold what none may, and heads that are too long: the HTTP library refuses them by itself, with a status
/// and nothing else, since no API has been asked yet.
#[tokio::test]
async fn what_the_http_library_refuses_has_a_bare_answer() {
    let at = Both::start().await;
    let get = |target: &[u8], lines: &str| {
        let line = [b"GET /", target, b" HTTP/1.1\r\nHost: x\r\n"].concat();
        [&line, lines.as_bytes(), b"\r\n"].concat()
    };
    let long = format!("X: {}\r\n", "x".repeat(70_000));
    for (what, sent, expected) in [
        ("<", get(b"a<b", ""), 400),
        (">", get(b"a>b", ""), 400),
        ("\"", get(b"a?b=\"c\"", ""), 400),
        ("a space", get(b"a b", ""), 400),
        ("a control character", get(b"a\x01b", ""), 400),
        ("no UTF-8", get(b"a\xff\xfeb", ""), 400),
        ("< in the query", get(b"a?b=<c", ""), 400),
        ("a space in the query", get(b"a?b= c", ""), 400),
        ("a head of 70 KB", get(b"a", &long), 431),
        ("101 headers", get(b"a", &"A: b\r\n".repeat(101)), 431),
        (
            "a target of 70 KB",
            get("a".repeat(70_000).as_bytes(), ""),
            431,
        ),
    ] {
        for (way, answer) in ["plain", "TLS"].iter().zip(at.answers(&sent).await) {
            let text = String::from_utf8_lossy(&answer);
            let what = format!("{way}, {what}: {text}");
            assert_eq!(status(&answer), expected, "{what}");
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let mut names: Vec<_> = head
                .lines()
                .filter_map(|line| Some(line.split_once(": ")?.0.to_ascii_lowercase()))
                .collect();
            names.sort();
            assert_eq!(names, ["connection", "content-length", "date"], "{what}");
            assert!(body.is_empty(), "{what}");
        }
    }
    // In a path it takes this one: then it is a path like any other.
    for answer in at.answers(&get(b"a\"b", "Connection: close\r\n")).await {
        assert_eq!(status(&answer), 404);
    }
    // HTTP/2 has no request line to break: what is no path is reset (RFC 9113, §8.3.1).
    let http2 = app().await;
    for (path, expected) in [
        ("/a<b", Fate::Reset(PROTOCOL.to_vec())),
        ("/a>b", Fate::Reset(PROTOCOL.to_vec())),
        ("/a\"b", Fate::Status("404".into())),
        ("/a?b=\"c\"", Fate::Reset(PROTOCOL.to_vec())),
        ("/a b", Fate::Reset(PROTOCOL.to_vec())),
        ("/a\u{1}b", Fate::Reset(PROTOCOL.to_vec())),
        ("http://x/a", Fate::Reset(PROTOCOL.to_vec())),
        ("a", Fate::Reset(PROTOCOL.to_vec())),
    ] {
        let fate = fate(&http2, &whole(&request("GET", path))).await;
        assert_eq!(fate, expected, "{path:?}");
    }
    // 101 headers are no more than any others: what they weigh together has its limit (`frames_refused`).
    let mut fields = request("GET", LIST);
    fields.push(("x-api-key", "k1"));
    fields.extend([("a", "b"); 101]);
    let sent = vec![frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields))];
    assert_eq!(fate(&http2, &sent).await, Fate::Status("200".into()));
}
