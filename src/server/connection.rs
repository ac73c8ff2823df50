//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::announced;
use super::listen::Accepted;
use crate::gateway::Gateway;
use crate::web::Web;
use crate::web::client::{Peer, TrustedProxies};

/// How long a client may take over the head of a request, and stay idle before one.
const HEADER_TIME_MAX: Duration = Duration::from_secs(30);

/// The largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How much is read at once while a proxy announces a connection.
const ANNOUNCED_BYTES: usize = 512;

/// What every public connection is served with.
#[derive(Clone)]
pub(super) struct Public {
    pub(super) web: Arc<Web>,
    /// Where every connection begins with a PROXY protocol header: whose is read.
    pub(super) announced_by: Option<TrustedProxies>,
    /// Completes a change when the gateway stops.
    pub(super) stopping: watch::Receiver<()>,
}

impl Public {
    /// Serves a public connection until the client or a shutdown ends it.
    pub(super) async fn serve(self, accepted: Accepted, watcher: Watcher) {
        match accepted {
            Accepted::Tcp(stream, peer) => {
                // Without it the last piece of a small answer waits for the client's acknowledgement.
                let _ = stream.set_nodelay(true);
                self.serve_stream(stream, Peer::Address(peer.ip()), watcher)
                    .await;
            }
            Accepted::Unix(stream) => self.serve_stream(stream, Peer::UnixSocket, watcher).await,
        }
    }

    async fn serve_stream<S>(mut self, stream: S, peer: Peer, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Some(proxies) = &self.announced_by else {
            return serve_requests(stream, peer, self.web, watcher).await;
        };
        if !proxies.trusts(peer) {
            tracing::debug!("a connection was closed: its peer is no trusted proxy");
            return;
        }
        let mut stream = BufReader::with_capacity(ANNOUNCED_BYTES, stream);
        let announcement = timeout(HEADER_TIME_MAX, announced::read(&mut stream, peer));
        tokio::select! {
            announcement = announcement => match announcement {
                Ok(Ok(peer)) => serve_requests(stream, peer, self.web, watcher).await,
                Ok(Err(error)) => tracing::debug!(%error, "a connection was closed"),
                Err(_) => tracing::debug!("a connection was closed: nothing was announced in time"),
            },
            _ = self.stopping.changed() => {}
        }
    }
}

async fn serve_requests<S>(stream: S, peer: Peer, web: Arc<Web>, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let web = Arc::clone(&web);
        async move { Ok::<_, Infallible>(web.handle(request, peer).await) }
    });
    let connection = builder().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Serves a connection of the private listener.
pub(super) async fn serve_admin(stream: TcpStream, gateway: Arc<Gateway>, watcher: Watcher) {
    let service = service_fn(move |request: Request<Incoming>| {
        let gateway = Arc::clone(&gateway);
        async move { Ok::<Response<_>, Infallible>(crate::web::ops::handle(&gateway, &request).await) }
    });
    let connection = builder().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a private connection ended early");
    }
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // A client that has said all may close its side and still read the whole answer.
        .half_close(true)
        // Names mean the same in any case; some clients that were written by hand do not know that.
        .title_case_headers(true)
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_header_size(HEAD_BYTES_MAX);
    builder
}
