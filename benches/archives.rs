//! The cost of a zip archive beside that of the same bytes as one file, and the wait for the first byte of a large one.
//!
//! `cargo bench --bench archives` stores 1,000 files of 1 MiB and one of 1,000 MiB, and has curl take the archive of a share
//! of the first, and of a share of the second the file, by their tickets, in turn, over a connection that sends files
//! itself. Both come from the page cache. It compares the CPU time of this process, which is the gateway. Then it asks for
//! the archive of a share of 10,000 files by tickets, and says how long the first byte takes: from gateways that have just
//! begun and know nothing of it, and from the one at which the download was started, which has laid it out.
//!
//! `--smoke` has few rounds of few bytes: whether everything works; the figures mean nothing.
// What fails there has failed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hallpass::config::{Config, Flag, Listen};
use hallpass::gateway::Gateway;
use hallpass::gateway::clock::{Clock, SystemClock};
use hallpass::gateway::shares::{ShareFields, ShareManager};
use hallpass::gateway::upload::NewFile;
use hallpass::model::file::{FileRecord, Purpose};
use hallpass::model::id::{OrganizationId, SpaceId};
use hallpass::model::metadata::Metadata;
use hallpass::model::name::FileName;
use hallpass::server::HttpServer;
use hallpass::server::installation::Installation;
use hallpass::server::setup::SetupPolicy;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

const MIB: usize = 1024 * 1024;

/// How much more CPU time the archive may take than the one file.
const CPU_GOAL: f64 = 1.1;

/// The most that the first byte of 10,000 files may take.
const FIRST_BYTE_GOAL: Duration = Duration::from_millis(50);

/// The files of the large archive.
const MANY: usize = 10_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let is_smoke = std::env::args().any(|argument| argument == "--smoke");
    let (count, rounds) = if is_smoke { (20, 2) } else { (1_000, 8) };
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let server = server(&directory).await;
    let Some(at) = server.listeners().iter().find_map(Listen::address) else {
        panic!("a TCP listener")
    };
    let gateway = Arc::clone(server.gateway());
    tokio::spawn(server.run(std::future::pending(), std::future::pending()));
    let served = Served::new(gateway, at).await;

    let mut many = Vec::new();
    for _ in 0..count {
        many.push(served.add(1).await.id.to_string());
    }
    let one = served.add(count).await.id.to_string();
    let pages = [served.share(vec![one]).await, served.share(many).await];
    let [one, many] = served.take_in_turn(&pages, rounds).await;
    let times = many / one;
    println!(
        "CPU time: one file {:.0} ms, {count} files {:.0} ms",
        one * 1e3,
        many * 1e3
    );
    println!(
        "{times:.3} times as much; goal, {CPU_GOAL} times: {}",
        verdict(times <= CPU_GOAL)
    );
    let page = served.large_share().await;
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..rounds * 3 {
        // A ticket gives three times its archive and no more.
        let ticket = served.start(&page).await;
        warm.push(served.first_byte(&ticket).await);
        let (beside, running) = served.beside(&directory).await;
        cold.push(beside.first_byte(&ticket).await);
        running.abort();
    }
    let cold = Waits::of(cold);
    let is_quick = cold.median <= FIRST_BYTE_GOAL;
    println!("first byte of {MANY} files: {}", Waits::of(warm));
    println!(
        "of a gateway that has just begun: {cold}; goal, {FIRST_BYTE_GOAL:?}: {}",
        verdict(is_quick)
    );
    if is_smoke || (times <= CPU_GOAL && is_quick) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "missed" }
}

/// How long first bytes took.
struct Waits {
    least: Duration,
    median: Duration,
    most: Duration,
}

impl Waits {
    fn of(mut all: Vec<Duration>) -> Self {
        all.sort();
        Self {
            least: all[0],
            median: all[all.len() / 2],
            most: all[all.len() - 1],
        }
    }
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            least,
            median,
            most,
        } = self;
        write!(f, "{median:.1?} ({least:.1?} to {most:.1?})")
    }
}

async fn server(directory: &TempDir) -> HttpServer {
    let settings = [
        ("server.data_dir", directory.path().display().to_string()),
        ("server.listen", "127.0.0.1:0".into()),
        ("log.level", "warn".into()),
    ];
    let flags = settings.map(|(key, value)| Flag {
        key,
        value,
        name: "the bench",
    });
    let config = Config::load(None, &HashMap::<OsString, OsString>::new(), &flags).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let installation = Installation::open(&config, SetupPolicy::SetUp, clock);
    HttpServer::build(&config, installation.await.unwrap())
        .await
        .unwrap()
}

/// A gateway that serves, and the organization whose files they are.
struct Served {
    gateway: Arc<Gateway>,
    owner: OrganizationId,
    at: SocketAddr,
}

impl Served {
    async fn new(gateway: Arc<Gateway>, at: SocketAddr) -> Self {
        let owner = OrganizationId::parse("org_bench").unwrap();
        let made = gateway.create_organization(Some(owner.clone()), String::new());
        made.await.unwrap();
        Self { gateway, owner, at }
    }

    /// A gateway beside this one, on the same catalogue, that knows nothing yet.
    async fn beside(&self, directory: &TempDir) -> (Self, JoinHandle<()>) {
        let server = server(directory).await;
        let at = server.listeners().iter().find_map(Listen::address);
        let gateway = Arc::clone(server.gateway());
        let running = server.run(std::future::pending(), std::future::pending());
        let running = tokio::spawn(running);
        let beside = Self {
            gateway,
            owner: self.owner.clone(),
            at: at.expect("a TCP listener"),
        };
        (beside, running)
    }

    /// Stores a file of so many MiB.
    async fn add(&self, mib: usize) -> FileRecord {
        let mut upload = self.gateway.begin_upload().await.unwrap();
        let piece = Bytes::from(vec![7; MIB]);
        for _ in 0..mib {
            upload.write(piece.clone()).await.unwrap();
        }
        let new = NewFile {
            organization: self.owner.clone(),
            space: SpaceId::default_space(),
            id: None,
            name: FileName::from_client("a file.bin").unwrap(),
            media_type: None,
            purpose: Purpose::UserUpload,
            metadata: Metadata::default(),
            created_at: None,
            uploaded_by: None,
            expires_in: None,
        };
        self.gateway.finish_upload(upload, new).await.unwrap()
    }

    /// Shares these files, and answers the path of the page.
    async fn share(&self, files: Vec<String>) -> String {
        let manager = ShareManager::Operator(self.owner.clone());
        let fields = ShareFields {
            files: Some(files),
            ..ShareFields::default()
        };
        let made = self.gateway.create_share(&manager, fields).await.unwrap();
        let url = made.url.unwrap();
        format!("/s/{}", url.rsplit_once("/s/").unwrap().1)
    }

    /// Shares so many files that each have a row of their own, and no byte.
    async fn large_share(&self) -> String {
        let mut files = Vec::new();
        for _ in 0..MANY {
            files.push(self.add(0).await.id.to_string());
        }
        self.share(files).await
    }

    /// Starts a download, and answers the path of its ticket.
    async fn start(&self, page: &str) -> String {
        let form = "start=1";
        let request = format!(
            "POST {page}/open HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        let mut stream = TcpStream::connect(self.at).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let place = answer.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("location").then_some(value)
        });
        place.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Has all of each share taken, in turn, and answers the seconds of CPU time that each took in one round.
    async fn take_in_turn(&self, pages: &[String; 2], rounds: u32) -> [f64; 2] {
        let mut spent = [Duration::ZERO; 2];
        for round in 0..=rounds {
            for (page, spent) in pages.iter().zip(&mut spent) {
                let ticket = self.start(page).await;
                let before = cpu_time();
                self.take(&ticket).await;
                // The first round has the bytes in memory.
                if round > 0 {
                    *spent += cpu_time() - before;
                }
            }
        }
        spent.map(|time| time.as_secs_f64() / f64::from(rounds))
    }

    /// Has curl take all of it.
    async fn take(&self, path: &str) {
        let mut curl = tokio::process::Command::new("curl");
        let url = format!("http://{}{path}", self.at);
        let status = curl.args(["-sSf", "-o", "/dev/null", &url]).status().await;
        assert!(status.unwrap().success());
    }

    /// Returns how long the first byte of the archive takes.
    async fn first_byte(&self, path: &str) -> Duration {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(self.at).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        let wait = begun.elapsed();
        assert_eq!(&first, b"HTTP/1.1 200");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        wait
    }
}

/// The CPU time of this process, in and out of the kernel, in hundredths of a second.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let times = after_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = times.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}
