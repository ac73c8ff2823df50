//! The library at its least: hyper with one fixed answer from memory. It checks nothing, logs nothing and has no timer; all
//! header lines but two are ready, and an answer leaves in one contiguous `send`, or by the TLS library that Hallpass has. What a request costs here beyond the
//! floor is hyper's and tokio's; what Hallpass costs beyond this is its own.

use std::convert::Infallible;
use std::io::{self, IoSlice, Write as _};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::process::{Core, Outcome, launcher};

/// The word that makes this binary the library alone.
pub(crate) const BARE: &str = "--bare";

/// The headers that the library writes by itself.
const ITS_OWN: [&str; 2] = ["content-length", "date"];

/// The answer to every request.
pub(crate) struct Answer {
    /// The head, as one of ours is.
    pub(crate) head: PathBuf,
    /// The body.
    pub(crate) file: PathBuf,
    /// The files of the certificate and of its key, where it is sent over TLS.
    pub(crate) identity: Option<[PathBuf; 2]>,
}

/// The writer and reader of a connection. hyper hands it a head and a body; it puts the ready lines into the head, and
/// all of it into one buffer, which it sends at once.
struct Contiguous<S> {
    stream: S,
    /// The ready lines, each with its end.
    lines: Bytes,
    /// The answer, and how much of it is sent.
    answer: Vec<u8>,
    sent: usize,
}

impl Answer {
    /// The command that serves it.
    pub(crate) fn command(&self) -> Outcome<Command> {
        let mut command = launcher(Core::Server, &std::env::current_exe()?)?;
        command.arg(BARE).arg(&self.head).arg(&self.file);
        command.args(self.identity.iter().flatten());
        Ok(command)
    }
}

/// Serves until it is ended. Says on standard output where.
pub(crate) fn run(words: &[String]) -> ExitCode {
    let served = match words {
        [head, file] => serve(head, file, None),
        [head, file, certificate, key] => {
            acceptor(certificate, key).and_then(|acceptor| serve(head, file, Some(acceptor)))
        }
        _ => Err("--bare HEAD FILE [CERTIFICATE KEY]".into()),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn acceptor(certificate: &str, key: &str) -> Outcome<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn serve(head: &str, file: &str, acceptor: Option<TlsAcceptor>) -> Outcome<()> {
    let lines = Bytes::from(ready_lines(&std::fs::read_to_string(head)?));
    let body = Bytes::from(std::fs::read(file)?);
    // As many threads as Hallpass has.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("listening on http://{}", listener.local_addr()?);
        io::stdout().flush()?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (acceptor, lines, body) = (acceptor.clone(), lines.clone(), body.clone());
            tokio::spawn(async move {
                match acceptor {
                    None => answer(TokioIo::new(stream), lines, body).await,
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            answer(TokioIo::new(stream), lines, body).await;
                        }
                    }
                }
            });
        }
    })
}

async fn answer<S: Read + Write + Unpin>(stream: S, lines: Bytes, body: Bytes) {
    let wire = Contiguous {
        stream,
        lines,
        answer: Vec::new(),
        sent: 0,
    };
    let service = service_fn(move |_: Request<Incoming>| {
        let response = Response::new(Full::new(body.clone()));
        async { Ok::<_, Infallible>(response) }
    });
    // It ends when the client does.
    let _ = http1::Builder::new().serve_connection(wire, service).await;
}

/// The lines of a head but the first, those that the library writes, and the empty one.
fn ready_lines(head: &str) -> String {
    let is_ready = |line: &&str| {
        line.split_once(':').is_some_and(|(name, _)| {
            !ITS_OWN
                .iter()
                .any(|its_own| name.eq_ignore_ascii_case(its_own))
        })
    };
    let lines = head.lines().skip(1).filter(is_ready);
    lines.flat_map(|line| [line, "\r\n"]).collect()
}

impl<S: Write + Unpin> Contiguous<S> {
    /// Sends what is left of the answer.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.answer.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            self.sent += sent;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Read + Unpin> Read for Contiguous<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: Write + Unpin> Write for Contiguous<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    /// hyper keeps head and body apart only for a vectored writer; with another it would copy the body behind the head, and
    /// the ready lines would need a second copy.
    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Takes all of it, and sends what the socket takes; the flush that follows sends the rest.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(context))?;
        let wire = &mut *self;
        wire.answer.clear();
        wire.sent = 0;
        let mut slices = slices.iter();
        let head = slices
            .next()
            .and_then(|head| head.strip_suffix(b"\r\n\r\n"));
        let Some(head) = head else {
            return Poll::Ready(Err(io::Error::other("no head came first")));
        };
        wire.answer.extend_from_slice(head);
        wire.answer.extend_from_slice(b"\r\n");
        wire.answer.extend_from_slice(&wire.lines);
        wire.answer.extend_from_slice(b"\r\n");
        for body in slices {
            wire.answer.extend_from_slice(body);
        }
        let taken = wire.answer.len() - wire.lines.len();
        match self.poll_send(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
