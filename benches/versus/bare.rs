//! The library alone: hyper with one fixed answer from memory, which checks nothing, logs nothing and has no
//! deadline. What a request costs here beyond the floor is hyper's and tokio's; what Hallpass costs beyond
//! this is its own.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::process::{Core, Outcome, launcher};

/// The word that makes this binary the library alone.
pub(crate) const BARE: &str = "--bare";

/// The headers that the library writes by itself.
const ITS_OWN: [&str; 2] = ["content-length", "date"];

/// What every request is answered with.
pub(crate) struct Answer {
    /// The head, as one of ours is.
    pub(crate) head: PathBuf,
    /// The body.
    pub(crate) file: PathBuf,
}

impl Answer {
    /// The command that serves it.
    pub(crate) fn command(&self) -> Outcome<Command> {
        let mut command = launcher(Core::Server, &std::env::current_exe()?)?;
        command.arg(BARE).arg(&self.head).arg(&self.file);
        Ok(command)
    }
}

/// Serves until it is ended. Says on standard output where.
pub(crate) fn run(words: &[String]) -> ExitCode {
    let served = match words {
        [head, file] => serve(head, file),
        _ => Err("--bare HEAD FILE".into()),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(head: &str, file: &str) -> Outcome<()> {
    let headers = headers(&std::fs::read_to_string(head)?)?;
    let body = Bytes::from(std::fs::read(file)?);
    // As many threads as Hallpass has.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("listening on http://{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(answer(stream, headers.clone(), body.clone()));
        }
    })
}

async fn answer(stream: TcpStream, headers: HeaderMap, body: Bytes) {
    let service = service_fn(|_: Request<Incoming>| {
        let mut response = Response::new(Full::new(body.clone()));
        *response.headers_mut() = headers.clone();
        async { Ok::<_, Infallible>(response) }
    });
    let mut builder = http1::Builder::new();
    builder
        .half_close(true)
        .title_case_headers(true)
        .writev(true);
    let stream = TokioIo::new(stream);
    // It ends when the client does.
    let _ = builder.serve_connection(stream, service).await;
}

fn headers(head: &str) -> Outcome<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in head.lines().skip(1) {
        let Some((name, value)) = line.split_once(": ") else {
            continue;
        };
        let name: HeaderName = name.parse()?;
        if !ITS_OWN.contains(&name.as_str()) {
            headers.append(name, HeaderValue::from_str(value)?);
        }
    }
    Ok(headers)
}
