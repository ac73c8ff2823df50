//! Clients that send what costs them nothing, without end: each is told to go or kept at its own pace, the
//! process stays small, and others are served.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;

use crate::cli::support::{Place, Serving, text};
use crate::support::app::target;
use crate::support::client::Client;

use super::frames::*;

/// By how much the process may grow in all, in KiB.
const GROWTH_KIB_MAX: u64 = 48 * 1024;

/// ENHANCE_YOUR_CALM (RFC 9113, §7).
const CALM: u32 = 11;

/// A gateway in a process of its own, and a link.
struct Flooded {
    serving: Serving,
    client: Client,
    link: String,
    _place: Place,
}

impl Flooded {
    async fn start() -> Self {
        let place = Place::new();
        let file = place.add("a.txt", b"bytes");
        let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
        let mut serving = Serving::of({
            command.env("HALLPASS_SERVER_HTTP2", "on");
            command
        });
        let base = serving.url();
        let address: SocketAddr = base.strip_prefix("http://").unwrap().parse().unwrap();
        let link = target(&text(&place.sign(&base, &file, &[]), "download_url"));
        let flooded = Self {
            serving,
            client: Client(address),
            link,
            _place: place,
        };
        flooded.serves_others().await;
        flooded
    }

    /// Resident memory, in KiB.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.serving.pid()));
        let status = status.unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    async fn serves_others(&self) {
        let begun = Instant::now();
        let reply = self.client.get(&self.link, &[]).await;
        assert_eq!((reply.status, reply.body.as_slice()), (200, &b"bytes"[..]));
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{:?}",
            begun.elapsed()
        );
    }

    /// Sends these bytes over and over while what comes back is read. Answers how much could be sent, and
    /// with which code the connection was ended; `None` if it was not.
    async fn flood(&self, first: &[u8], again: &[u8], times: usize) -> (usize, Option<u32>) {
        let (mut frames, mut writer) = open(self.client.0, &[]).await;
        let sending = async {
            let mut sent = 0;
            if writer.write_all(first).await.is_ok() {
                while sent < times && writer.write_all(again).await.is_ok() {
                    sent += 1;
                }
                // An answer to this is an answer to all before it.
                let _ = writer.write_all(&frame(PING, 0, 0, b"the last")).await;
            }
            sent
        };
        let reading = async {
            while let Some(frame) = frames.next().await {
                match frame.kind {
                    GOAWAY => {
                        return Some(u32::from_be_bytes(frame.payload[4..8].try_into().unwrap()));
                    }
                    PING if frame.payload == b"the last" => return None,
                    _ => {}
                }
            }
            panic!("it ended without a word");
        };
        tokio::join!(sending, reading)
    }
}

/// The head of a GET on stream after stream, and each one's reset.
fn rapid_resets(link: &str, from: usize, count: usize) -> Vec<u8> {
    let head = block(&request("GET", link));
    let mut bytes = Vec::new();
    for stream in from..from + count {
        let stream = u32::try_from(stream * 2 + 1).unwrap();
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &head));
        bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    bytes
}

/// One field of 4,000 bytes goes into the table, and is named 12,000 times: 48 MB of headers.
fn bomb(link: &str) -> Vec<u8> {
    let mut bomb = block(&request("GET", link));
    bomb.push(0x40);
    bomb.extend(integer(1, 7, 0));
    bomb.push(b'x');
    bomb.extend(integer(4_000, 7, 0));
    bomb.extend([b'y'; 4_000]);
    bomb.extend([0x80 | 62; 12_000]);
    bomb
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_flood_makes_the_process_large_or_keeps_others_waiting() {
    let flooded = Flooded::start().await;
    let before = flooded.memory();
    let post = [
        request("POST", "/v1/organizations/org_default/files/upload"),
        vec![("content-type", "multipart/form-data; boundary=b")],
    ]
    .concat();
    let open_body = frame(HEADERS, END_HEADERS, 1, &block(&post));
    let open_head = frame(HEADERS, 0, 1, &block(&request("GET", &flooded.link)));
    let more = block(&[("x", &"y".repeat(16_000))]);
    let bomb = bomb(&flooded.link);
    for (name, first, again, times, expected) in [
        (
            "10,000 resets",
            Vec::new(),
            rapid_resets(&flooded.link, 0, 10_000),
            1,
            Some(CALM),
        ),
        (
            "CONTINUATION",
            open_head,
            frame(CONTINUATION, 0, 1, &more),
            2_000,
            Some(CALM),
        ),
        (
            "DATA of no bytes",
            open_body,
            frame(DATA, 0, 1, b"").repeat(100),
            1_000,
            Some(CALM),
        ),
        (
            "SETTINGS",
            Vec::new(),
            frame(SETTINGS, 0, 0, b"").repeat(100),
            1_000,
            None,
        ),
        (
            "PING",
            Vec::new(),
            frame(PING, 0, 0, b"01234567").repeat(100),
            1_000,
            None,
        ),
        (
            "a table of large headers",
            Vec::new(),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb),
            1,
            Some(CALM),
        ),
    ] {
        let begun = Instant::now();
        let (sent, code) = flooded.flood(&first, &again, times).await;
        println!(
            "{name}: {sent} of {times} sent, ended with {code:?}, {} KiB, {:?}",
            flooded.memory(),
            begun.elapsed()
        );
        flooded.serves_others().await;
        assert_eq!(code, expected, "{name}");
    }
    let grown = flooded.memory().saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "it has grown by {grown} KiB");
}

/// What is answered must be read: who does not read is not listened to either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_what_must_be_answered_are_not_kept_in_memory() {
    let flooded = Flooded::start().await;
    let before = flooded.memory();
    for flood in [frame(PING, 0, 0, b"01234567"), frame(SETTINGS, 0, 0, b"")] {
        let flood = flood.repeat(10_000);
        let (frames, mut writer) = open(flooded.client.0, &[]).await;
        let mut sent = 0;
        let sending = async {
            while sent < 2_000 && writer.write_all(&flood).await.is_ok() {
                sent += 1;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), sending).await;
        println!(
            "{} MB went in, {} KiB",
            sent * flood.len() / 1_000_000,
            flooded.memory()
        );
        assert!(sent < 2_000, "all of it was read");
        flooded.serves_others().await;
        drop(frames);
    }
    let grown = flooded.memory().saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "it has grown by {grown} KiB");
}
