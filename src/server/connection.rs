//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as HttpBody, Incoming};
use hyper::header::CONNECTION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

use super::announced;
use super::connections::Lease;
use super::listen::Accepted;
use super::pace::{Ending, Paced};
use crate::gateway::Gateway;
use crate::handover::{Regions, Wire};
use crate::web::client::TrustedProxies;
use crate::web::{Arrival, Web};

/// The largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What every public connection is served with.
#[derive(Clone)]
pub(super) struct Public {
    pub(super) web: Arc<Web>,
    /// Where every connection begins with a PROXY protocol header: whose is read.
    pub(super) announced_by: Option<TrustedProxies>,
}

impl Public {
    /// Serves a public connection until the client, a deadline or a shutdown ends it.
    pub(super) async fn serve(self, accepted: Accepted, mut lease: Lease) {
        let (mut socket, peer) = accepted.into_socket();
        let mut begun = BytesMut::new();
        let peer = match &self.announced_by {
            None => peer,
            Some(proxies) if !proxies.trusts(peer) => {
                tracing::debug!("a connection was closed: its peer is no trusted proxy");
                return;
            }
            // How long it may take is what the head of a request may.
            Some(_) => tokio::select! {
                announced = announced::read(&mut socket, &mut begun, peer) => match announced {
                    Ok(peer) => peer,
                    Err(error) => {
                        tracing::debug!(%error, "a connection was closed");
                        return;
                    }
                },
                _ = &mut lease.stopping => return,
            },
        };
        let regions = Regions::new();
        let wire = Wire::new(socket, begun.freeze(), regions.clone());
        let arrival = Arrival {
            peer,
            regions: Some(regions),
        };
        let web = self.web;
        let answer = move |request: Request<Incoming>| {
            let (web, arrival) = (Arc::clone(&web), arrival.clone());
            async move { web.handle(request, &arrival).await }
        };
        serve_requests(wire, lease, answer).await;
    }
}

/// Serves a connection of the private listener.
pub(super) async fn serve_admin(accepted: Accepted, gateway: Arc<Gateway>, lease: Lease) {
    let (socket, _) = accepted.into_socket();
    let wire = Wire::new(socket, Bytes::new(), Regions::new());
    let answer = move |request: Request<Incoming>| {
        let gateway = Arc::clone(&gateway);
        async move { crate::web::ops::handle(&gateway, &request).await }
    };
    serve_requests(wire, lease, answer).await;
}

/// Speaks HTTP/1 until the connection ends.
async fn serve_requests<A, F, B>(wire: Wire, lease: Lease, answer: A)
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>>,
    B: HttpBody + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let Lease {
        pace,
        deadlines,
        mut stopping,
    } = lease;
    let stream = Paced::new(wire, Arc::clone(&pace), deadlines);
    let service = service_fn(|request: Request<Incoming>| {
        let open = pace.begin();
        let answering = answer(request);
        async move {
            let response = answering.await;
            // Who is told that the connection closes has perhaps not said all.
            open.note_answer(response.headers().contains_key(CONNECTION));
            Ok::<_, Infallible>(response.map(|body| Ending::new(body, open)))
        }
    });
    let mut connection = pin!(builder().serve_connection(stream, service));
    let mut goes_on = true;
    let served = poll_fn(|context| {
        if goes_on && Pin::new(&mut stopping).poll(context).is_ready() {
            goes_on = false;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    });
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection ended early");
    }
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // A client that has said all may close its side and still read the whole answer.
        .half_close(true)
        // Names mean the same in any case; some clients that were written by hand do not know that.
        .title_case_headers(true)
        // A piece of a file is sent as what it stands for only if hyper hands it through as it is.
        .writev(true)
        .max_header_size(HEAD_BYTES_MAX);
    builder
}
