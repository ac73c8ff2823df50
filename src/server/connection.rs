//! A connection, from its first byte to its last.

use std::error::Error;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as HttpBody, Incoming};
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Version};
use hyper_util::rt::TokioIo;

use super::connection_state::{ConnectionState, TrackedStream};
use super::connections::{ConnectionLease, Stopping};
use super::listen::Accepted;
use super::proxy_protocol;
use super::sealed_stream::SealedStream;
use super::streams::Streams;
use super::tls::Tls;
use super::{http1, http2};
use crate::config::Http2;
use crate::telemetry::metrics::{Metrics, Refused};
use crate::web::Web;
use crate::web::client::{Peer, TrustedProxies};
use crate::web::ops::Ops;
use crate::web::response_memory::{
    ConnectionMemory, HTTP1_BUFFER_BYTES, HTTP1_BYTES_MAX, HTTP2_BUFFER_BYTES, HTTP2_BYTES_MAX,
    ResponseMemory,
};
use crate::web::response_tracker::ResponseAborter;
use crate::web::tracked::{ResponseWatcher, Tracked};
use crate::zero_copy::{
    BodyPiece, LinedStream, ReadyLines, Regions, Socket, UnsentBudget, Wire, WriterHandle,
};

/// The server of a public listener's connections.
#[derive(Clone)]
pub(super) struct Public {
    pub(super) web: Arc<Web>,
    pub(super) metrics: Arc<Metrics>,
    /// The proxies whose PROXY protocol header counts; `None` where connections begin without one.
    pub(super) announced_by: Option<TrustedProxies>,
    pub(super) http2: Http2,
    /// The TLS settings, where connections begin with a TLS handshake.
    pub(super) tls: Option<Arc<Tls>>,
    /// The memory budget of responses.
    pub(super) memory: Arc<ResponseMemory>,
    /// The budget of bytes of large answers that the kernel has and cannot send yet.
    pub(super) unsent: Arc<UnsentBudget>,
    /// `server.http2_streams_max`.
    pub(super) streams_max: u32,
}

/// A connection whose first request is due.
enum Opened {
    /// The kernel can send files to it.
    Plain(TrackedStream, Regions),
    /// Over TLS: bytes of answers wait in memory for its client.
    Sealed(Box<dyn IoStream>, ReadyLines, ConnectionMemory),
    /// Over HTTP/2, with TLS or without: the same.
    Http2(Box<dyn IoStream>, ConnectionMemory),
}

trait IoStream: Read + Write + Unpin + Send {}
impl<S: Read + Write + Unpin + Send> IoStream for S {}

impl Public {
    /// Serves a public connection until the client, a deadline or a shutdown ends it.
    pub(super) async fn serve(self: Arc<Self>, accepted: Accepted, mut lease: ConnectionLease) {
        let (socket, peer) = accepted.into_socket();
        // All this has the deadline of a request's head.
        let opened = tokio::select! {
            opened = Box::pin(self.open(socket, peer, &lease.state)) => opened,
            () = lease.stopping.over(&lease.state) => return,
        };
        let (opened, peer) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.metrics.note_refused(Refused::Handshake);
                tracing::debug!(%error, "a connection was closed");
                return;
            }
        };
        let answer_over = |writer, memory, aborter: Arc<dyn ResponseAborter>| {
            let is_tls = self.tls.is_some();
            let arrival = self.web.arrival(peer, is_tls, writer, memory, aborter);
            let web = Arc::clone(&self.web);
            move |request: Request<Incoming>| Arc::clone(&web).handle(request, arrival.clone())
        };
        let connection = Arc::clone(&lease.state);
        match opened {
            Opened::Plain(stream, regions) => {
                let answer = answer_over(Some(WriterHandle::Plain(regions)), None, connection);
                http1::serve(stream, lease, answer).await;
            }
            Opened::Sealed(stream, lines, memory) => {
                let writer = WriterHandle::Sealed(lines);
                let answer = answer_over(Some(writer), Some(memory), connection);
                Box::pin(http1::serve(stream, lease, answer)).await;
            }
            Opened::Http2(stream, memory) => {
                let streams = Streams::default();
                let aborter = Arc::new(streams.executor());
                let answer = answer_over(None, Some(memory.clone()), aborter);
                let limits = (memory, self.streams_max);
                // Boxed: most connections need no memory for it.
                Box::pin(serve_http2(stream, streams, lease, limits, answer)).await;
            }
        }
    }

    /// Opens a connection: reads the PROXY protocol header, does the TLS handshake, and finds out the version of HTTP.
    async fn open(
        &self,
        mut socket: Socket,
        peer: Peer,
        state: &Arc<ConnectionState>,
    ) -> io::Result<(Opened, Peer)> {
        let mut begun = BytesMut::new();
        let peer = match &self.announced_by {
            None => peer,
            Some(proxies) if !proxies.trusts(peer) => {
                return Err(io::Error::other("its peer is no trusted proxy"));
            }
            Some(_) => proxy_protocol::read(&mut socket, &mut begun, peer).await?,
        };
        let is_http2 = self.tls.is_none()
            && self.http2 == Http2::On
            && http2::is_begun(&mut socket, &mut begun).await?;
        let regions = Regions::new();
        let wire = Wire::new(socket, begun.freeze(), regions.clone());
        let wire = wire.with_budget(Arc::clone(&self.unsent));
        let stream = TrackedStream::new(wire, Arc::clone(state));
        let opened = match &self.tls {
            Some(tls) => {
                let (stream, version) = tls.accept(TokioIo::new(stream)).await?;
                let memory = self.memory_of(version);
                let stream = TokioIo::new(SealedStream::new(stream, &memory));
                match version {
                    Version::HTTP_2 => Opened::Http2(Box::new(stream), memory),
                    _ => {
                        let lines = ReadyLines::default();
                        let stream = LinedStream::new(stream, lines.clone());
                        Opened::Sealed(Box::new(stream), lines, memory)
                    }
                }
            }
            None if is_http2 => Opened::Http2(Box::new(stream), self.memory_of(Version::HTTP_2)),
            None => Opened::Plain(stream, regions),
        };
        Ok((opened, peer))
    }

    fn memory_of(&self, version: Version) -> ConnectionMemory {
        let (most, buffers) = match version {
            Version::HTTP_2 => (HTTP2_BYTES_MAX, HTTP2_BUFFER_BYTES),
            _ => (HTTP1_BYTES_MAX, HTTP1_BUFFER_BYTES),
        };
        self.memory.connection(most, buffers)
    }
}

/// Serves a connection of the private listener.
pub(super) async fn serve_admin(accepted: Accepted, ops: Ops, lease: ConnectionLease) {
    let (socket, _) = accepted.into_socket();
    let wire = Wire::new(socket, Bytes::new(), Regions::new());
    let answer = move |request: Request<Incoming>| {
        let ops = ops.clone();
        Box::pin(async move {
            let response = ops.handle(&request).await;
            response.map(|body| Tracked::new(body, ()))
        })
    };
    let stream = TrackedStream::new(wire, Arc::clone(&lease.state));
    http1::serve(stream, lease, answer).await;
}

/// Speaks HTTP/2 until the connection ends. A request beyond the connection's share of memory is refused in a way that
/// lets its client send it again (RFC 9113, §8.7).
async fn serve_http2<A, F, B, W>(
    stream: Box<dyn IoStream>,
    streams: Streams,
    lease: ConnectionLease,
    (memory, streams_max): (ConnectionMemory, u32),
    answer: A,
) where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Tracked<B, W>>> + Send + 'static,
    B: HttpBody<Data = BodyPiece> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    W: ResponseWatcher + Unpin + Send + 'static,
{
    let ConnectionLease {
        state,
        mut stopping,
        ..
    } = lease;
    state.multiplex();
    state.watch_streams(streams.executor());
    let service = service_fn(|request: Request<Incoming>| {
        let begun = memory.open_stream().map(|held| {
            let open = state.begin_stream(&streams, held);
            // What is sent with a request may take its time, and has a small answer.
            let grant = (request.method() == Method::GET).then(|| memory.grant_answer());
            (open, answer(request), grant)
        });
        let reaper = begun.is_none().then(|| streams.reaper());
        async move {
            let _reaper = reaper;
            let Some((open, answering, grant)) = begun else {
                return Err(h2::Error::from(h2::Reason::REFUSED_STREAM));
            };
            let allowance = match grant {
                Some(grant) => Some(grant.await),
                None => None,
            };
            let response = answering.await;
            drop(allowance);
            Ok(response.map(|body| body.watched_by(open)))
        }
    });
    let builder = http2::builder(streams.executor(), memory.streams_max(streams_max));
    let mut connection = pin!(builder.serve_connection(stream, service));
    let served = tokio::select! {
        biased;
        served = connection.as_mut() => served,
        () = asked(&mut stopping, &state) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Completes when the client must send no more requests: those that it has sent by then are answered.
async fn asked(stopping: &mut Stopping, state: &ConnectionState) {
    stopping.asked().await;
    state.end();
}
