//! Clients over TLS that take nothing, and what they cost: the memory of the process, the latency of others, and the time
//! until all of them were ended.
//!
//! `cargo bench --bench slow_readers -- [OPTION…]` starts the real binary with one file of 64 MiB, measures a client
//! that reads (an open loop, TLS and HTTP/1, answers of 16 KiB and of 1 MiB), and then has each kind of slow reader
//! connect, one kind after the other, each to a process of its own:
//!
//! | kind | |
//! |---|---|
//! | `h1` | HTTP/1 over TLS; reads nothing after its handshake |
//! | `h2` | HTTP/2, 100 streams a connection, the windows of the standard; reads nothing |
//! | `h2-wide` | the same with the widest windows, so that the socket is full |
//! | `h2-late` | the same, and all send their requests only when all have connected |
//! | `h2-trickle` | 100 streams that begin without a window and get 17 bytes a second each; reads |
//!
//! | option | |
//! |---|---|
//! | `--binary PATH` | measures this binary; else the one that cargo built |
//! | `--connections N` | so many slow readers; 2,000 if it is not said |
//! | `--kind KIND` | this kind alone |
//!
//! It needs Linux and two cores. It ends by itself, at the latest some five minutes after each kind began.
// What fails there has failed, and nothing else runs on the thread that sleeps.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream as BlockingStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const KINDS: [&str; 5] = ["h1", "h2", "h2-wide", "h2-late", "h2-trickle"];
const STREAMS: u32 = 100;
/// The requests a second of the client that reads.
const RATE: u32 = 200;
/// The time that the server has for its answers to the slow readers, before others are measured beside them.
const SETTLED_AFTER: Duration = Duration::from_secs(2);
/// The time for which it is measured.
const MEASURED_FOR: Duration = Duration::from_secs(8);
/// The longest wait for all slow readers to be ended.
const ENDED_WITHIN: Duration = Duration::from_secs(240);

/// A gateway in a process of its own.
struct Gateway {
    child: Child,
    admin: SocketAddr,
    tls: SocketAddr,
    link: String,
    client: Arc<ClientConfig>,
    _directory: tempfile::TempDir,
}

struct Figures {
    rss_max: u64,
    gauge_max: u64,
    open_max: u64,
}

fn main() {
    let files = getrlimit(Resource::Nofile);
    let files = Rlimit {
        current: files.maximum,
        ..files
    };
    setrlimit(Resource::Nofile, files).unwrap();
    let mut arguments = std::env::args().skip(1);
    let (mut binary, mut connections) = (PathBuf::from(env!("CARGO_BIN_EXE_hallpass")), 2_000);
    let mut kinds = KINDS.to_vec();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--binary" => binary = arguments.next().expect("a path").into(),
            "--connections" => connections = arguments.next().unwrap().parse().unwrap(),
            "--kind" => {
                let only = arguments.next().expect("a kind");
                kinds.retain(|kind| *kind == only);
            }
            // cargo's own.
            "--bench" => {}
            other => panic!("no such option: {other}"),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    println!("{} with {connections} slow readers", binary.display());
    println!(
        "kind        RSS before    max  a connection   held max   p50/p99 before    beside    all ended after"
    );
    for kind in kinds {
        runtime.block_on(measure(&binary, kind, connections));
    }
}

async fn measure(binary: &Path, kind: &'static str, connections: usize) {
    let gateway = Arc::new(Gateway::start(binary));
    let alone = load(&gateway).await;
    let before = gateway.rss();
    let connected = Arc::new(AtomicUsize::new(0));
    let barrier = Arc::new(Barrier::new(connections));
    let begun = Instant::now();
    let readers: Vec<_> = (0..connections)
        .map(|_| {
            let reader = slow_reader(
                Arc::clone(&gateway),
                kind,
                Arc::clone(&connected),
                Arc::clone(&barrier),
            );
            tokio::spawn(reader)
        })
        .collect();
    let watched = Arc::clone(&gateway);
    let watching = tokio::task::spawn_blocking(move || {
        let mut figures = Figures {
            rss_max: 0,
            gauge_max: 0,
            open_max: 0,
        };
        let mut ended = None;
        while begun.elapsed() < ENDED_WITHIN {
            figures.rss_max = figures.rss_max.max(watched.rss());
            figures.gauge_max = figures
                .gauge_max
                .max(watched.metric("hallpass_response_memory_bytes"));
            let open = watched.metric("hallpass_connections_open{listener=\"public\"}");
            figures.open_max = figures.open_max.max(open);
            // The client that reads has some.
            if figures.open_max > connections as u64 / 2 && open <= 8 {
                ended = Some(begun.elapsed());
                break;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        (figures, ended)
    });
    while connected.load(Relaxed) < connections && begun.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let all_after = begun.elapsed();
    // What they are sent is with the kernel by then, and what waits for them is in memory.
    tokio::time::sleep(SETTLED_AFTER).await;
    let beside = load(&gateway).await;
    let (figures, ended) = watching.await.unwrap();
    for reader in readers {
        reader.abort();
    }
    let mib = |bytes: u64| bytes / (1024 * 1024);
    println!(
        "{kind:<11} {:>6} MiB {:>5} MiB {:>8} KiB {:>6} MiB  {:>6.2}/{:<6.2} {:>6.2}/{:<6.2} ms  {}  ({} open after {:.1} s)",
        mib(before),
        mib(figures.rss_max),
        figures.rss_max.saturating_sub(before) / connections as u64 / 1024,
        mib(figures.gauge_max),
        alone.0,
        alone.1,
        beside.0,
        beside.1,
        ended.map_or_else(
            || "never".to_owned(),
            |after| format!("{:.1} s", after.as_secs_f64())
        ),
        figures.open_max,
        all_after.as_secs_f64(),
    );
}

/// An open loop over TLS and HTTP/1: the median and the 99th percentile in milliseconds.
async fn load(gateway: &Arc<Gateway>) -> (f64, f64) {
    const CONNECTIONS: u32 = 4;
    let begun = Instant::now();
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|worker| {
            let gateway = Arc::clone(gateway);
            tokio::spawn(async move {
                let mut stream = gateway.connect("http/1.1").await;
                let (mut took, mut turn) = (Vec::new(), worker);
                loop {
                    let due = begun + Duration::from_secs(1) / RATE * turn;
                    if due - begun > MEASURED_FOR {
                        return took;
                    }
                    tokio::time::sleep_until(due.into()).await;
                    let size = if turn % 20 == 0 { 1 << 20 } else { 16 << 10 };
                    let request = format!(
                        "GET {} HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-{}\r\n\r\n",
                        gateway.link,
                        size - 1
                    );
                    // One that fails is tried again, and its time counts.
                    while !is_answered(&mut stream, &request, size).await {
                        stream = gateway.connect("http/1.1").await;
                    }
                    took.push(due.elapsed().as_secs_f64() * 1000.0);
                    turn += CONNECTIONS;
                }
            })
        })
        .collect();
    let mut took = Vec::new();
    for worker in workers {
        took.extend(worker.await.unwrap());
    }
    took.sort_by(f64::total_cmp);
    (took[took.len() / 2], took[took.len() * 99 / 100])
}

/// Asks, and returns whether a whole answer came.
async fn is_answered(stream: &mut TlsStream<TcpStream>, request: &str, size: usize) -> bool {
    if stream.write_all(request.as_bytes()).await.is_err() {
        return false;
    }
    let mut answer = Vec::with_capacity(size + 2048);
    loop {
        if !stream
            .read_buf(&mut answer)
            .await
            .is_ok_and(|read| read > 0)
        {
            return false;
        }
        if let Some(end) = memchr::memmem::find(&answer, b"\r\n\r\n") {
            if !answer.starts_with(b"HTTP/1.1 206") {
                return false;
            }
            if answer.len() == end + 4 + size {
                return true;
            }
        }
    }
}

async fn slow_reader(
    gateway: Arc<Gateway>,
    kind: &'static str,
    connected: Arc<AtomicUsize>,
    barrier: Arc<Barrier>,
) {
    let mut stream = match kind {
        "h1" => gateway.connect("http/1.1").await,
        _ => gateway.connect("h2").await,
    };
    match kind {
        "h1" => {
            let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", gateway.link);
            stream.write_all(request.as_bytes()).await.unwrap();
        }
        "h2" => stream
            .write_all(&opening(&gateway.link, None))
            .await
            .unwrap(),
        "h2-wide" => {
            let opening = opening(&gateway.link, Some(0x7fff_ffff));
            stream.write_all(&opening).await.unwrap();
        }
        "h2-late" => {
            let opening = opening(&gateway.link, Some(0x7fff_ffff));
            let preface = opening.len() - STREAMS as usize * request(&gateway.link, 1).len();
            stream.write_all(&opening[..preface]).await.unwrap();
            stream.flush().await.unwrap();
            barrier.wait().await;
            stream.write_all(&opening[preface..]).await.unwrap();
        }
        _ => {
            let opening = opening(&gateway.link, Some(0));
            stream.write_all(&opening).await.unwrap();
        }
    }
    stream.flush().await.unwrap();
    connected.fetch_add(1, Relaxed);
    if kind != "h2-trickle" {
        // Until it is aborted.
        std::future::pending::<()>().await;
    }
    let (mut reader, mut writer) = tokio::io::split(stream);
    let reading = async {
        let mut bytes = vec![0; 16 * 1024];
        while reader.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    };
    let granting = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let updates: Vec<u8> = (0..STREAMS)
                .flat_map(|at| frame(8, 0, at * 2 + 1, &17_u32.to_be_bytes()))
                .collect();
            if writer.write_all(&updates).await.is_err() || writer.flush().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = granting => {}
    }
}

/// The bytes with which an HTTP/2 client begins that asks for the same link on all its streams. `window`: of each stream, the
/// connection's is the widest then.
fn opening(link: &str, window: Option<u32>) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let settings = window.map_or_else(Vec::new, |window| {
        [&4_u16.to_be_bytes()[..], &window.to_be_bytes()].concat()
    });
    bytes.extend(frame(4, 0, 0, &settings));
    bytes.extend(frame(4, 1, 0, b""));
    if window.is_some() {
        bytes.extend(frame(8, 0, 0, &(0x7fff_ffff_u32 - 65_535).to_be_bytes()));
    }
    for at in 0..STREAMS {
        bytes.extend(request(link, at * 2 + 1));
    }
    bytes
}

fn request(link: &str, stream: u32) -> Vec<u8> {
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", link),
    ];
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(text.len(), &mut block);
            block.extend(text.as_bytes());
        }
    }
    frame(1, 1 | 4, stream, &block)
}

/// The length of a text (RFC 7541, §5.1).
fn length(value: usize, block: &mut Vec<u8>) {
    if value < 127 {
        block.push(u8::try_from(value).unwrap());
        return;
    }
    block.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

impl Gateway {
    fn start(binary: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(at("tls.pem"), made.cert.pem()).unwrap();
        std::fs::write(at("tls.key"), made.signing_key.serialize_pem()).unwrap();
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(at("tls.key"), private).unwrap();
        std::fs::write(at("large.bin"), vec![7; 64 << 20]).unwrap();
        let [tls, admin] = [(), ()].map(|()| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        });
        let command = || {
            let mut command = Command::new(binary);
            command
                .env("HALLPASS_SERVER_DATA_DIR", at("data"))
                .env("HALLPASS_SERVER_LISTEN", format!("tls:{tls}"))
                .env("HALLPASS_SERVER_ADMIN_LISTEN", admin.to_string())
                .env("HALLPASS_SERVER_TLS_CERTIFICATE", at("tls.pem"))
                .env("HALLPASS_SERVER_TLS_KEY", at("tls.key"))
                .env("HALLPASS_SERVER_PUBLIC_BASE_URL", "https://localhost")
                .env("HALLPASS_LOG_LEVEL", "error");
            command
        };
        let add = ["add", "--id", "file_large", "--size-max", "1GiB"];
        let added = command().args(add).arg(at("large.bin")).output().unwrap();
        assert!(added.status.success(), "{added:?}");
        let mut child = command()
            .arg("serve")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut said).unwrap();
        assert!(said.contains("listening"), "{said}");
        let signed = command().args(["sign", "--file", "file_large"]).output();
        let link = String::from_utf8(signed.unwrap().stdout).unwrap();
        let link = link.trim().strip_prefix("https://localhost").unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            child,
            admin,
            tls,
            link: link.to_owned(),
            client: Arc::new(client),
            _directory: directory,
        }
    }

    /// Connects, again where a busy gateway gave up on the handshake.
    async fn connect(&self, protocol: &str) -> TlsStream<TcpStream> {
        let mut client = (*self.client).clone();
        client.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let connector = TlsConnector::from(Arc::new(client));
        loop {
            let stream = TcpStream::connect(self.tls).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            if let Ok(stream) = connector.connect(name, stream).await {
                return stream;
            }
        }
    }

    /// The resident memory, in bytes.
    fn rss(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let mut lines = status.lines();
        let line = lines.find(|line| line.starts_with("VmRSS:")).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }

    /// One number of the private listener; 0 where there is none.
    fn metric(&self, name: &str) -> u64 {
        let mut stream = BlockingStream::connect(self.admin).unwrap();
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let mut lines = text.lines();
        let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        found.map_or(0, |number| number.parse().unwrap())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
