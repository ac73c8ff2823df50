//! Clients over TLS that take nothing: all of them together cost no more memory than they may, whatever the number of
//! their streams, others are served, and each is ended.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use hallpass::web::response_memory::{HTTP1_BUFFER_BYTES, HTTP2_BUFFER_BYTES};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::cli::support::{Place, Serving, text};
use crate::support::app::target;
use crate::support::client::{Client, exchange_over, parse};

use super::frames::*;
use super::{NAME, Pair};

/// `server.response_memory_max`.
const BUDGET: u64 = 1 << 20;

/// What each connection may have besides: its own buffers, a piece of 4 KiB, records that are sealed, and 8 streams.
const BESIDES: u64 = (64 << 10) + HTTP2_BUFFER_BYTES as u64;

/// By how much the process may grow for each connection that is open, besides the bytes of answers: TLS, the HTTP
/// library's buffers, and the allocator's waste.
const GROWTH_BYTES_MAX: u64 = 256 << 10;

const CONNECTIONS: usize = 60;
const STREAMS: u32 = 100;
const WIDEST: u32 = 0x7fff_ffff;
/// The length of the file, in words of four bytes.
const WORDS: u32 = 1 << 20;
const LENGTH: usize = 4 * WORDS as usize;

/// The length of a file that is kept in memory.
const MIDDLE: usize = 12_000;

/// REFUSED_STREAM (RFC 9113, §7).
const REFUSED: u32 = 7;

/// A gateway in a process of its own, which speaks TLS alone, and links.
struct Gateway {
    serving: Serving,
    pair: Pair,
    address: SocketAddr,
    admin: Client,
    large: String,
    small: String,
    middle: String,
    _place: Place,
}

fn bytes() -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::with_capacity(LENGTH);
    for number in 0..WORDS {
        bytes.extend(number.to_le_bytes());
    }
    bytes
}

impl Gateway {
    async fn start() -> Self {
        let gateway = Self::start_with(&[]);
        gateway.serves_others().await;
        gateway
    }

    fn start_with(variables: &[(&str, &str)]) -> Self {
        let (pair, place) = (Pair::new(), Place::new());
        let large = place.add("large.bin", &bytes());
        let small = place.add("small.txt", b"bytes");
        let middle = place.add("middle.bin", &[7; MIDDLE]);
        let admin = {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap()
        };
        let mut serving = Serving::of({
            let mut command = place.command(&["serve", "--listen", "tls:127.0.0.1:0"]);
            command
                .env("HALLPASS_SERVER_TLS_CERTIFICATE", pair.certificate())
                .env("HALLPASS_SERVER_TLS_KEY", pair.key())
                .env("HALLPASS_SERVER_ADMIN_LISTEN", admin.to_string())
                .env("HALLPASS_SERVER_RESPONSE_MEMORY_MAX", BUDGET.to_string())
                .envs(variables.iter().copied());
            command
        });
        let base = serving.url();
        let address = base.strip_prefix("https://").unwrap().parse().unwrap();
        let sign = |file: &str| target(&text(&place.sign(&base, file, &[]), "download_url"));
        Self {
            large: sign(&large),
            small: sign(&small),
            middle: sign(&middle),
            serving,
            pair,
            address,
            admin: Client(admin),
            _place: place,
        }
    }

    async fn connect(&self, protocol: &str) -> TlsStream<TcpStream> {
        self.pair.connect(self.address, &[protocol]).await.unwrap()
    }

    /// A whole download over each version of HTTP.
    async fn serves_others(&self) {
        let stream = self.connect("http/1.1").await;
        let target = &self.large;
        let request = format!("GET {target} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
        let answer = exchange_over(stream, request.as_bytes(), false).await;
        let reply = parse(&answer, false);
        assert!(reply.status == 200 && reply.body == bytes());
        let mut client = super::Http2::over(self.connect("h2").await).await;
        let reply = client.get(target, &[]).await;
        assert!(reply.status == 200 && reply.body == bytes());
        // And several ranges, whose heads are in memory from the beginning.
        let ranges = "bytes=0-99999,1000000-1099999,2000000-2099999,3000000-3099999";
        let reply = client.get(target, &[("range", ranges)]).await;
        parts_are_whole(reply.status, &reply.body);
        let stream = self.connect("http/1.1").await;
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {NAME}\r\nRange: {ranges}\r\nConnection: close\r\n\r\n"
        );
        let answer = exchange_over(stream, request.as_bytes(), false).await;
        let reply = parse(&answer, false);
        parts_are_whole(reply.status, &reply.body);
    }

    /// Resident memory, in bytes.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.serving.pid()));
        let status = status.unwrap();
        let mut lines = status.lines();
        let line = lines.find(|line| line.starts_with("VmRSS:")).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib << 10
    }

    async fn held(&self) -> u64 {
        self.admin.number("hallpass_response_memory_bytes").await
    }

    async fn open(&self) -> u64 {
        let name = "hallpass_connections_open{listener=\"public\"}";
        self.admin.number(name).await
    }

    /// Waits until what the process holds no longer changes.
    async fn settled(&self) -> u64 {
        let mut before = self.held().await;
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = self.held().await;
            if now == before {
                return now;
            }
            before = now;
        }
    }
}

/// Four parts of 100,000 bytes, one at each million, each behind its head.
fn parts_are_whole(status: u16, mut body: &[u8]) {
    assert_eq!(status, 206);
    let bytes = bytes();
    for start in [0, 1_000_000, 2_000_000, 3_000_000] {
        let end = body
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let part;
        (part, body) = body[end + 4..].split_at(100_000);
        assert!(
            part == &bytes[start..start + 100_000],
            "the part at {start}"
        );
    }
    assert!(
        body.ends_with(b"--\r\n") || body.ends_with(b"--"),
        "it ends"
    );
}

/// The bytes with which a client begins that grants all windows that there are, and asks for a file on each of these streams.
fn opening(target: &str, streams: u32) -> Vec<u8> {
    let mut said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let window = [&4_u16.to_be_bytes()[..], &WIDEST.to_be_bytes()].concat();
    said.extend(frame(SETTINGS, 0, 0, &window));
    said.extend(frame(SETTINGS, ACK, 0, b""));
    let more = (WIDEST - 65_535).to_be_bytes();
    said.extend(frame(WINDOW_UPDATE, 0, 0, &more));
    said.extend(gets(target, 0, streams));
    said
}

fn gets(target: &str, from: u32, count: u32) -> Vec<u8> {
    let head = block(&request("GET", target));
    let get = |at| frame(HEADERS, END_HEADERS | END_STREAM, at * 2 + 1, &head);
    (from..from + count).flat_map(get).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_take_nothing_the_process_stays_small_and_all_are_ended() {
    let gateway = Gateway::start().await;
    let before = gateway.memory();
    let mut readers = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = gateway.connect("h2").await;
        let opening = opening(&gateway.large, STREAMS);
        stream.write_all(&opening).await.unwrap();
        readers.push(stream);
        let mut stream = gateway.connect("http/1.1").await;
        let get = format!("GET {} HTTP/1.1\r\nHost: {NAME}\r\n\r\n", gateway.large);
        // What is sent behind it waits until the answer is out.
        stream.write_all(get.repeat(50).as_bytes()).await.unwrap();
        readers.push(stream);
    }
    let begun = Instant::now();
    let held = gateway.settled().await;
    let connections = readers.len() as u64;
    let grown = gateway.memory().saturating_sub(before);
    println!(
        "{connections} connections hold {} KiB each, and the process has grown by {} KiB for each",
        (held / connections) >> 10,
        (grown / connections) >> 10
    );
    assert!(held <= BUDGET + connections * BESIDES, "{held}");
    assert!(held > BUDGET / 4, "{held}: they were to hold something");
    let most = BUDGET + connections * GROWTH_BYTES_MAX;
    assert!(grown <= most, "it has grown by {grown} bytes");
    assert_eq!(gateway.open().await, connections);
    gateway.serves_others().await;
    while gateway.open().await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(300), "not all ended");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("all were ended after {:?}", begun.elapsed());
    assert_eq!(gateway.settled().await, 0);
    let (status, _, _) = gateway.serving.stop("TERM");
    assert!(status.success());
}

/// One that connected before them, and was told that it may have a hundred.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_beyond_the_share_of_its_connection_is_refused_so_that_it_may_be_sent_again() {
    let gateway = Gateway::start().await;
    let (reader, mut writer) = tokio::io::split(gateway.connect("h2").await);
    let mut frames = Frames::of(reader);
    writer.write_all(&opening("/", 0)).await.unwrap();
    let settings = frames.next_of(&[SETTINGS]).await.unwrap().payload;
    let hundred = [&3_u16.to_be_bytes()[..], &100_u32.to_be_bytes()].concat();
    assert!(settings.chunks(6).any(|setting| setting == hundred));
    let mut readers = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = gateway.connect("h2").await;
        let opening = opening(&gateway.large, STREAMS);
        stream.write_all(&opening).await.unwrap();
        readers.push(stream);
    }
    gateway.settled().await;
    // Each of these is told fewer.
    let (reader, _writer) = tokio::io::split(gateway.connect("h2").await);
    let settings = Frames::of(reader).next_of(&[SETTINGS]).await.unwrap();
    let most = settings.payload.chunks(6).find(|one| one[..2] == [0, 3]);
    let most = u32::from_be_bytes(most.unwrap()[2..].try_into().unwrap());
    assert!((8..50).contains(&most), "{most}");
    // All come before any is answered: the answers wait for one another's memory.
    let all = gets(&gateway.large, 0, STREAMS);
    writer.write_all(&all).await.unwrap();
    let (mut answered, mut refused, mut came) = (0, 0, 0);
    while answered + refused < STREAMS || came < answered as usize * LENGTH {
        let frame = frames.next_of(&[HEADERS, RST_STREAM, DATA]).await.unwrap();
        match frame.kind {
            HEADERS => answered += 1,
            DATA => came += frame.payload.len(),
            _ => {
                let code = u32::from_be_bytes(frame.payload[..4].try_into().unwrap());
                assert_eq!(code, REFUSED);
                refused += 1;
            }
        }
    }
    println!("{most} streams were granted; {answered} requests answered, {refused} refused");
    assert!(answered >= 8 && refused > 0);
    // When the others are gone it has many at once again: a hundred, but for the memory of those that are under way.
    drop(readers);
    while gateway.open().await > 2 || gateway.held().await > BUDGET / 16 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let many = STREAMS / 4;
    let again = gets(&gateway.small, STREAMS, many);
    writer.write_all(&again).await.unwrap();
    for _ in 0..many {
        let frame = frames.next_of(&[HEADERS, RST_STREAM]).await.unwrap();
        assert_eq!(frame.kind, HEADERS);
    }
}

/// They wait for the limit, and not for their clients.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_wait_for_a_limit_do_not_count_as_memory_that_clients_hold() {
    const CLIENTS: u64 = 10;
    let limit = [("HALLPASS_LIMITS_LINK_BYTES_PER_SECOND", "1024")];
    let gateway = Gateway::start_with(&limit);
    let mut open = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = gateway.connect("http/1.1").await;
        let get = format!("GET {} HTTP/1.1\r\nHost: {NAME}\r\n\r\n", gateway.middle);
        stream.write_all(get.as_bytes()).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'H');
        open.push(stream);
        let mut stream = gateway.connect("h2").await;
        let opening = opening(&gateway.middle, 1);
        stream.write_all(&opening).await.unwrap();
        let mut frames = Frames::of(&mut stream);
        frames.next_of(&[HEADERS]).await.unwrap();
        open.push(stream);
    }
    let held = gateway.held().await;
    println!("{} answers hold {held} bytes", open.len());
    let buffers = CLIENTS * (HTTP1_BUFFER_BYTES + HTTP2_BUFFER_BYTES) as u64;
    // Of all 240,000 bytes there are those of a few seconds; and the streams.
    assert!(held < buffers + 100_000, "{held}");
}

/// Heads without a body are answers, too: who does not read is not listened to either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_a_body_are_not_kept_in_memory_for_one_that_never_reads() {
    let gateway = Gateway::start().await;
    let before = gateway.memory();
    let head = format!("HEAD {} HTTP/1.1\r\nHost: {NAME}\r\n\r\n", gateway.small);
    let flood = head.repeat(100);
    let mut stream = gateway.connect("http/1.1").await;
    let mut sent = 0;
    let sending = async {
        while sent < 5_000 && stream.write_all(flood.as_bytes()).await.is_ok() {
            sent += 1;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), sending).await;
    let grown = gateway.memory().saturating_sub(before);
    println!("{} KB went in, {grown} bytes", sent * flood.len() / 1_000);
    assert!(sent < 5_000, "all of it was read");
    assert!(grown < 16 << 20, "it has grown by {grown} bytes");
    gateway.serves_others().await;
    let _ = stream.read(&mut [0]).await;
}
