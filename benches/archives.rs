//! The cost of a zip archive beside that of the same bytes as one file, and the wait for the first byte of a large one.
//!
//! `cargo bench --bench archives` stores 1,000 files of 1 MiB and one of 1,000 MiB, and has curl take the archive of the
//! first and the archive that has the second alone, in turn, over a connection that sends files itself. Both come from
//! the page cache. It compares the CPU time of this process, which is the gateway. Then it asks for archives of 10,000
//! files, each laid out for its request, and says how long the first byte takes.
//!
//! `--smoke` has few rounds of few bytes: whether everything works; the figures mean nothing.
// What fails there has failed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hallpass::config::{Config, Flag};
use hallpass::gateway::Gateway;
use hallpass::gateway::archives::ArchiveMember;
use hallpass::gateway::clock::{Clock, SystemClock};
use hallpass::gateway::upload::NewFile;
use hallpass::model::file::{FileRecord, Purpose};
use hallpass::model::id::{OrganizationId, SpaceId};
use hallpass::model::metadata::Metadata;
use hallpass::model::name::FileName;
use hallpass::model::revocation::LinkId;
use hallpass::server::installation::Installation;
use hallpass::server::setup::SetupPolicy;
use hallpass::web::archive;
use hallpass::web::dialects::ApiDialect;
use hallpass::web::region::{DownloadIdentity, RegionOptions};
use hallpass::web::trace::Trace;
use hallpass::zero_copy::{Regions, Socket, Wire};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const MIB: usize = 1024 * 1024;

/// How much more CPU time the archive may take than the one file.
const CPU_GOAL: f64 = 1.1;

/// The most that the first byte of 10,000 files may take.
const FIRST_BYTE_GOAL: Duration = Duration::from_millis(50);

/// The files of one archive, by their paths in it.
type Files = Arc<Vec<(String, FileRecord)>>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let is_smoke = std::env::args().any(|argument| argument == "--smoke");
    let (count, rounds) = if is_smoke { (20, 2) } else { (1_000, 8) };
    let directory = TempDir::new().unwrap();
    let gateway = gateway(&directory).await;
    let owner = OrganizationId::parse("org_bench").unwrap();
    let made = gateway.create_organization(Some(owner.clone()), String::new());
    made.await.unwrap();
    let mut many = Vec::new();
    for number in 0..count {
        many.push((format!("{number}.bin"), add(&gateway, &owner, 1).await));
    }
    let one: Files = Arc::new(vec![("all.bin".into(), add(&gateway, &owner, count).await)]);
    let empty = add(&gateway, &owner, 0).await;
    let large: Files = Arc::new(
        (0..10_000)
            .map(|number| (format!("a directory/file {number}.txt"), empty.clone()))
            .collect(),
    );
    let places = [
        serve(&gateway, &owner, &one).await,
        serve(&gateway, &owner, &Arc::new(many)).await,
    ];
    let mut spent = [Duration::ZERO; 2];
    for round in 0..=rounds {
        for (place, spent) in places.iter().zip(&mut spent) {
            let before = cpu_time();
            take(*place).await;
            // The first round has the bytes in memory.
            if round > 0 {
                *spent += cpu_time() - before;
            }
        }
    }
    let [one, many] = spent.map(|time| time.as_secs_f64() / f64::from(rounds));
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
    let place = serve(&gateway, &owner, &large).await;
    let mut waits = Vec::new();
    for _ in 0..rounds * 3 {
        waits.push(first_byte(place).await);
    }
    waits.sort();
    let (median, last) = (waits[waits.len() / 2], *waits.last().unwrap());
    println!(
        "first byte of 10,000 files: {median:?}, {last:?} at most; goal, {FIRST_BYTE_GOAL:?}: {}",
        verdict(last <= FIRST_BYTE_GOAL)
    );
    if is_smoke || (times <= CPU_GOAL && last <= FIRST_BYTE_GOAL) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "missed" }
}

async fn gateway(directory: &TempDir) -> Arc<Gateway> {
    let settings = [("server.data_dir", directory.path().display().to_string())];
    let flags = settings.map(|(key, value)| Flag {
        key,
        value,
        name: "the bench",
    });
    let config = Config::load(None, &HashMap::<OsString, OsString>::new(), &flags).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let installation = Installation::open(&config, SetupPolicy::SetUp, clock);
    let installation = installation.await.unwrap();
    Arc::new(installation.into_gateway(&config, "http://127.0.0.1:8080".into()))
}

/// Stores a file of so many MiB.
async fn add(gateway: &Arc<Gateway>, owner: &OrganizationId, mib: usize) -> FileRecord {
    let mut upload = gateway.begin_upload().await.unwrap();
    let piece = Bytes::from(vec![7; MIB]);
    for _ in 0..mib {
        upload.write(piece.clone()).await.unwrap();
    }
    let new = NewFile {
        organization: owner.clone(),
        space: SpaceId::default_space(),
        id: None,
        name: FileName::from_client("a.bin").unwrap(),
        media_type: None,
        purpose: Purpose::UserUpload,
        metadata: Metadata::default(),
        created_at: None,
        uploaded_by: None,
        expires_in: None,
    };
    gateway.finish_upload(upload, new).await.unwrap()
}

/// Serves the archive of these files, laid out for each request.
async fn serve(gateway: &Arc<Gateway>, owner: &OrganizationId, files: &Files) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (gateway, owner, files) = (Arc::clone(gateway), owner.clone(), Arc::clone(files));
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (gateway, owner, files) = (Arc::clone(&gateway), owner.clone(), Arc::clone(&files));
            tokio::spawn(async move {
                let regions = Regions::new();
                let wire = Wire::new(Socket::Tcp(socket), Bytes::new(), regions.clone());
                let answer = service_fn(move |request: Request<Incoming>| {
                    let (parts, _) = request.into_parts();
                    let trace = Trace::of(&parts.headers, ApiDialect::Aitronos, false);
                    let link = LinkId::parse("aaaaaaaaaaaa").unwrap();
                    let options = RegionOptions {
                        identity: DownloadIdentity::new(parts.version, trace.trace_id, link),
                        regions: Some(&regions),
                        memory: None,
                        admitted: None,
                    };
                    let members: Vec<ArchiveMember<'_>> = files
                        .iter()
                        .map(|(path, file)| ArchiveMember { path, file })
                        .collect();
                    let archive = gateway.archive(&owner, &members).unwrap();
                    let policy = HeaderValue::from_static("cross-origin");
                    let name = FileName::from_client("all.zip").unwrap();
                    let answered =
                        archive::respond((&gateway, &policy), &parts, (&archive, &name), &options);
                    std::future::ready(Ok::<_, Infallible>(answered.unwrap().0))
                });
                let mut builder = hyper::server::conn::http1::Builder::new();
                drop(builder.writev(true).serve_connection(wire, answer).await);
            });
        }
    });
    address
}

/// Has curl take all of it.
async fn take(place: SocketAddr) {
    let mut curl = tokio::process::Command::new("curl");
    let url = format!("http://{place}/");
    let status = curl.args(["-sSf", "-o", "/dev/null", &url]).status().await;
    assert!(status.unwrap().success());
}

/// Returns how long the first byte takes.
async fn first_byte(place: SocketAddr) -> Duration {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(place).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0];
    stream.read_exact(&mut first).await.unwrap();
    let wait = begun.elapsed();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    wait
}

/// The CPU time of this process, in and out of the kernel, in hundredths of a second.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let times = after_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = times.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}
