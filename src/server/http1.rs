//! HTTP/1: a connection is served request by request, and is parked between two of them.
//!
//! 1. The stream alone waits for the first bytes of a request: the connection holds next to no memory.
//! 2. The HTTP library takes the stream, and serves the requests that come.
//! 3. Where the connection is idle for a while (`connection_state/parking.rs`), the library gives the stream back, which goes on
//!    with step 1. Over TLS the stream's keys and records stay as they are.
//!
//! The deadlines, the limits and the connection's entry in their table do not know of it.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use hyper::body::{Body as HttpBody, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};

use super::connection_state::{ConnectionState, OpenRequest};
use super::connections::{ConnectionLease, Stopping};
use super::http2::HEAD_BYTES_MAX;
use super::request_target::CheckedStream;
use crate::web::TargetHasFragment;
use crate::web::tracked::{ResponseWatcher, Tracked};
use crate::zero_copy::BodyPiece;

/// A response whose bytes the deadlines of the connection see, too.
type WatchedResponse<B, W> = Response<Tracked<B, (W, OpenRequest)>>;

/// Speaks HTTP/1 until the connection ends.
pub(super) fn serve<S, A, F, B, W>(
    stream: S,
    lease: ConnectionLease,
    answer: A,
) -> impl Future<Output = ()>
where
    S: Read + Write + Unpin,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Tracked<B, W>>>,
    B: HttpBody<Data = BodyPiece> + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    W: ResponseWatcher + Unpin + 'static,
{
    let ConnectionLease {
        state,
        mut stopping,
        connections,
    } = lease;
    let shared = Arc::new((Arc::clone(&state), answer));
    let mut stream = CheckedStream::new(stream, Arc::clone(&state.targets));
    async move {
        loop {
            let parked = connections.park();
            if !has_request(&mut stream, &state, &mut stopping).await {
                return;
            }
            drop(parked);
            // Boxed, so that there is room for it only while it serves: most connections are parked.
            let shared = Arc::clone(&shared);
            let service = service_fn(move |request| respond(Arc::clone(&shared), request));
            let connection = Box::new(builder().serve_connection(stream, service));
            match until_parked(connection, &state, &mut stopping).await {
                Some(given_back) => stream = given_back,
                None => return,
            }
        }
    }
}

/// Waits for the first bytes of a request. Returns `false` where none will come: the connection is at its end.
async fn has_request<S: Read + Write + Unpin>(
    stream: &mut CheckedStream<S>,
    state: &ConnectionState,
    stopping: &mut Stopping,
) -> bool {
    state.parking.note_parked();
    let arrived = tokio::select! {
        biased;
        arrived = stream.arrival() => arrived,
        () = stopping.over(state) => Ok(false),
    };
    state.parking.note_served();
    let has_request = arrived.unwrap_or_else(|error| {
        tracing::debug!(%error, "a connection ended early");
        false
    });
    if !has_request {
        // Where the client is gone it fails, and nobody needs it.
        let _ = poll_fn(|context| Pin::new(&mut *stream).poll_shutdown(context)).await;
    }
    has_request
}

/// Serves requests until the connection ends, or is parked: then it returns the stream.
async fn until_parked<S, V, B>(
    mut connection: Box<http1::Connection<CheckedStream<S>, V>>,
    state: &ConnectionState,
    stopping: &mut Stopping,
) -> Option<CheckedStream<S>>
where
    S: Read + Write + Unpin,
    V: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Unpin,
    B: HttpBody + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let served = tokio::select! {
        biased;
        served = &mut connection => served,
        () = stopping.over(state) => {
            Pin::new(&mut *connection).graceful_shutdown();
            connection.await
        }
        () = poll_fn(|context| state.poll_parking(context)) => return Some(taken_apart(*connection)),
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
    None
}

/// Returns the stream of a connection that waits for the first byte of its next request. The library has no byte of an
/// answer: it asked for that byte, so that its last answer was whole, and what it cannot write shows in the connection's
/// state.
fn taken_apart<S, V, B>(connection: http1::Connection<CheckedStream<S>, V>) -> CheckedStream<S>
where
    S: Read + Write + Unpin,
    V: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: HttpBody + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let parts = connection.into_parts();
    // The stream has given out no byte of a request but empty lines before it, which mean nothing (RFC 9112, §2.2).
    let is_line_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    assert!(
        parts.read_buf.iter().all(is_line_break),
        "a request is lost"
    );
    parts.io
}

/// Answers a request. What happens before anything waits happens at once, as the library is at this request. The future of
/// an answer is a box: one that is taken in as it is has its room twice, and would be copied.
fn respond<A, F, B, W>(
    shared: Arc<(Arc<ConnectionState>, A)>,
    mut request: Request<Incoming>,
) -> impl Future<Output = Result<WatchedResponse<B, W>, Infallible>>
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Tracked<B, W>>>,
    B: HttpBody<Data = BodyPiece> + Unpin + 'static,
    W: ResponseWatcher + Unpin + 'static,
{
    if shared.0.targets.begin(request.body().size_hint().exact()) {
        request.extensions_mut().insert(TargetHasFragment);
    }
    let open = shared.0.begin();
    let answering = (shared.1)(request);
    async move {
        let (state, _) = &*shared;
        let mut response = answering.await;
        // A client that learns that the connection closes may still be sending.
        open.note_answer(response.headers().contains_key(CONNECTION));
        if state.is_last() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        Ok(response.map(|body| body.watched_by(open)))
    }
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // A client that has said all may close its side and still read the whole answer.
        .half_close(true)
        // Names mean the same in any case; some clients that were written by hand do not know that.
        .title_case_headers(true)
        // A piece of a file goes out by `sendfile` only if hyper hands it through as it is.
        .writev(true)
        .max_header_size(HEAD_BYTES_MAX);
    builder
}

#[cfg(test)]
mod tests;
