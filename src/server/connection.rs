//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::net::TcpStream;

use crate::gateway::Gateway;
use crate::web::Web;

/// How long a client may take over the head of a request, and stay idle before one.
const HEADER_TIME_MAX: Duration = Duration::from_secs(30);

/// The largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Serves a public connection until the client or a shutdown ends it.
pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, web: Arc<Web>, watcher: Watcher) {
    // Without it the last piece of a small answer waits for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let client = peer.ip().to_canonical();
    let service = service_fn(move |request: Request<Incoming>| {
        let web = Arc::clone(&web);
        async move { Ok::<_, Infallible>(web.handle(request, Some(client)).await) }
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
