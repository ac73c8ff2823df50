//! Zip archives, as clients have them from a socket: over a connection that sends files itself, over one that is read
//! into memory as under TLS, and over HTTP/2.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{Cursor, Read as _};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use bytes::Bytes;
use hallpass::gateway::Gateway;
use hallpass::gateway::archives::{Archive, ArchiveMember};
use hallpass::model::archive_file::ArchiveFile;
use hallpass::model::file::FileRecord;
use hallpass::model::name::FileName;
use hallpass::model::revocation::LinkId;
use hallpass::web::archive;
use hallpass::web::body::Body;
use hallpass::web::dialects::ApiDialect;
use hallpass::web::problem::Problem;
use hallpass::web::region::{DownloadIdentity, RegionOptions};
use hallpass::web::response_memory::{
    ConnectionMemory, HTTP1_BYTES_MAX, HTTP2_BYTES_MAX, ResponseMemory,
};
use hallpass::web::trace::Trace;
use hallpass::zero_copy::{Regions, Socket, Wire};
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioExecutor;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::app::TestApp;
use crate::support::client::{Client, Reply};
use crate::transport::Http2;

mod broken;
mod ranges;
mod readers;
mod sizes;

pub(crate) use readers::assert_all_read;

/// The way that an archive goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    /// HTTP/1, whose connection sends files itself.
    Sendfile,
    /// HTTP/1, and what goes out comes by here, as under TLS.
    Copies,
    /// HTTP/2, in plain text.
    Http2,
}

const TRANSPORTS: [Transport; 3] = [Transport::Sendfile, Transport::Copies, Transport::Http2];

/// A listener that answers every request with one archive.
struct ArchiveServer {
    client: Client,
    transport: Transport,
    listening: JoinHandle<()>,
}

impl Drop for ArchiveServer {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl ArchiveServer {
    async fn start(gateway: &Arc<Gateway>, archive: &Arc<Archive>, transport: Transport) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (gateway, archive) = (Arc::clone(gateway), Arc::clone(archive));
        let memory = Arc::new(ResponseMemory::new(64 << 20));
        let listening = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (gateway, archive) = (Arc::clone(&gateway), Arc::clone(&archive));
                let most = match transport {
                    Transport::Http2 => HTTP2_BYTES_MAX,
                    Transport::Sendfile | Transport::Copies => HTTP1_BYTES_MAX,
                };
                let memory = memory.connection(most, 0);
                tokio::spawn(serve(socket, gateway, archive, transport, memory));
            }
        });
        Self {
            client: Client(address),
            transport,
            listening,
        }
    }

    fn url(&self) -> String {
        format!("http://{}/all.zip", self.client.0)
    }

    async fn get(&self, headers: &[(&str, &str)]) -> Reply {
        self.ask("GET", headers).await
    }

    async fn ask(&self, method: &str, headers: &[(&str, &str)]) -> Reply {
        if self.transport != Transport::Http2 {
            return self.client.request(method, "/all.zip", headers, b"").await;
        }
        let mut http2 = Http2::plain(self.client.0).await;
        let answered = http2.request(method, "/all.zip", headers, b"").await;
        answered.unwrap()
    }
}

async fn serve(
    socket: TcpStream,
    gateway: Arc<Gateway>,
    archive: Arc<Archive>,
    transport: Transport,
    memory: ConnectionMemory,
) {
    let regions = Regions::new();
    let wire = Wire::new(Socket::Tcp(socket), Bytes::new(), regions.clone());
    let answer = service_fn(move |request: Request<hyper::body::Incoming>| {
        let (parts, _) = request.into_parts();
        let trace = Trace::of(&parts.headers, ApiDialect::Aitronos, false);
        let memory = match transport {
            Transport::Sendfile => None,
            Transport::Copies => Some(memory.clone()),
            Transport::Http2 => Some(memory.of_stream()),
        };
        let link = LinkId::parse("aaaaaaaaaaaa").unwrap();
        let options = RegionOptions {
            identity: DownloadIdentity::new(parts.version, trace.trace_id, link),
            takes_lines: false,
            regions: Some(&regions).filter(|_| transport == Transport::Sendfile),
            memory: memory.as_ref(),
            admitted: None,
        };
        let policy = HeaderValue::from_static("cross-origin");
        let name = FileName::from_client("all.zip").unwrap();
        let answered = archive::respond((&gateway, &policy), &parts, (&archive, &name), &options);
        let answered = answered.map(|(response, is_whole)| {
            let is_ok = response.status() == StatusCode::OK && parts.method == Method::GET;
            assert_eq!(
                is_whole, is_ok,
                "the whole archive is the body of 200 alone"
            );
            match parts.method {
                Method::HEAD => without_body(response),
                _ => response,
            }
        });
        std::future::ready(Ok::<_, Infallible>(
            answered.unwrap_or_else(|problem| refused(&problem)),
        ))
    });
    // What breaks is what the client sees.
    match transport {
        Transport::Http2 => {
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            drop(
                builder
                    .max_frame_size(16_384)
                    .serve_connection(wire, answer)
                    .await,
            );
        }
        Transport::Sendfile | Transport::Copies => {
            let mut builder = hyper::server::conn::http1::Builder::new();
            drop(builder.writev(true).serve_connection(wire, answer).await);
        }
    }
}

/// As every answer to HEAD is sent: with the length of the body that it has not.
fn without_body(mut response: Response<Body>) -> Response<Body> {
    let body = std::mem::take(response.body_mut());
    let length = hyper::body::Body::size_hint(&body).exact().unwrap();
    let headers = response.headers_mut();
    headers.insert("content-length", length.into());
    response
}

fn refused(problem: &Problem) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    match problem {
        Problem::PreconditionFailed => *response.status_mut() = StatusCode::PRECONDITION_FAILED,
        Problem::RangeNotSatisfiable { size } => {
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            let length = format!("bytes */{size}").parse().unwrap();
            response.headers_mut().insert("content-range", length);
        }
        other => panic!("{other}"),
    }
    response
}

/// Lays out an archive of files of `org_123`, each at its path.
fn archive(app: &TestApp, files: &[(&str, &FileRecord)]) -> Arc<Archive> {
    let of_archive = files
        .iter()
        .map(|(path, file)| (*path, ArchiveFile::from(*file)));
    let of_archive: Vec<(&str, ArchiveFile)> = of_archive.collect();
    let members: Vec<ArchiveMember<'_>> = of_archive
        .iter()
        .map(|(path, file)| ArchiveMember { path, file })
        .collect();
    let organization = &files[0].1.organization;
    app.gateway.archive(organization, &members).unwrap()
}

/// Bytes whose every one tells where it stands.
fn sample(length: usize) -> Vec<u8> {
    (1..=251).cycle().take(length).collect()
}

/// Files of all kinds, by their paths in the archive: large ones and small ones, empty ones, and names that
/// many scripts write.
fn all_kinds() -> BTreeMap<&'static str, Vec<u8>> {
    BTreeMap::from([
        ("a.txt", b"hello, world\n".to_vec()),
        ("empty", Vec::new()),
        ("large.bin", sample(3 * 1024 * 1024 + 17)),
        ("photos/\u{6771}\u{4eac} 2026.png", sample(100_000)),
        (
            "photos/\u{43e}\u{442}\u{447}\u{451}\u{442} (1).pdf",
            sample(4_097),
        ),
        ("z/\u{1f600}/deep/er/x", b"x".to_vec()),
    ])
}

/// Adds files of all kinds, and lays out an archive of them.
async fn archive_of_all_kinds(app: &TestApp) -> Arc<Archive> {
    let mut added = Vec::new();
    for (number, (path, bytes)) in all_kinds().iter().enumerate() {
        added.push((
            *path,
            app.add(&format!("kind{number}"), "x.bin", bytes).await,
        ));
    }
    let files: Vec<_> = added.iter().map(|(path, file)| (*path, file)).collect();
    archive(app, &files)
}

/// Reads an archive with the library of another author.
pub(crate) fn unzipped(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut files = BTreeMap::new();
    for number in 0..archive.len() {
        let mut entry = archive.by_index(number).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(entry.name().unwrap().into_owned(), bytes);
    }
    files
}

/// Runs a command to its good end.
#[track_caller]
fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{command:?}\n{said}\n{complained}");
    output
}

fn program(name: &str, place: &Path) -> Command {
    let mut command = Command::new(name);
    command.current_dir(place).env("LC_ALL", "C.UTF-8");
    command
}
