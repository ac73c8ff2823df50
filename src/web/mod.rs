//! HTTP in, HTTP out.
//!
//! A request comes in at [`Web::handle`] and goes these steps, each a file that it does not come back to:
//!
//! 1. its path is matched, once (`route.rs`), and it is given its ids (`trace.rs`): that is its context
//!    (`context.rs`);
//! 2. its head is held against what HTTP demands (`framing.rs`), the path's match against its method;
//! 3. its client is found (`client.rs`), whose address the limits admit;
//! 4. the call is answered: the byte route (`download.rs`), a counted link (`redeem.rs`) and its ticket (`ticket.rs`),
//!    a share (`share/`), `/verify` (`verify.rs`), or an API dialect
//!    (`dialects/`);
//! 5. a [`problem::Problem`] that ended it early becomes an answer in the dialect's envelope, or a page
//!    (`refused.rs`);
//! 6. an answer about a link says which origins may read it (`cors.rs`);
//! 7. the request is recorded (`recorder.rs`), without its URL: a link is a credential;
//! 8. the body goes out tracked (`response_tracker.rs`).

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, Version};

use crate::gateway::Gateway;
use crate::gateway::limits::Admitted;
use crate::gateway::refusal::Refusal;
use crate::model::revocation::LinkId;
use crate::telemetry::audit::Audit;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::panics;
use crate::zero_copy::WriterHandle;

use body::Body;
use client::Peer;
use context::{RequestContext, SharedState};
use cors::Origins;
use detached::DetachedOperations;
use dialects::koodrive::budget::BodyBudget;
use dialects::{aitronos, koodrive, qoder};
use problem::Problem;
use recorder::RequestRecorder;
use region::{DownloadIdentity, RegionOptions};
use request_body::RequestBody;
use response_head::ResponseHeads;
use response_memory::ConnectionMemory;
use response_tracker::{ConnectionTracker, InFlight, LongDownloads, ResponseAborter};
use route::Route;
use tracked::Tracked;

pub use framing::{TARGET_BYTES_MAX, TargetHasFragment};
pub use settings::WebSettings;

mod access_log;
pub mod archive;
mod archive_body;
pub mod body;
pub mod branding;
pub mod client;
mod client_cookie;
mod conditional;
mod context;
pub mod cors;
pub mod counted_page;
pub mod credential;
mod detached;
pub mod dialects;
mod digest;
mod download;
pub mod download_watcher;
pub mod file_path;
mod form;
mod framing;
mod header;
pub mod html;
pub mod multipart;
pub mod offload;
pub mod ops;
pub mod original_link;
mod page;
pub mod part;
pub mod people;
pub mod problem;
pub mod query;
pub mod recorder;
mod redeem;
mod redirect;
mod refused;
pub mod region;
mod reply;
mod request_body;
mod response_head;
pub mod response_memory;
pub mod response_tracker;
pub mod route;
mod settings;
pub mod share;
pub mod strict_transport;
pub mod texts;
mod throttled;
mod ticket;
pub mod trace;
pub mod tracked;
mod upload;
mod verify;
pub mod wire;

/// The connection that a request came by.
#[derive(Clone)]
pub struct Arrival {
    /// The other end.
    pub peer: Peer,
    /// True if nobody on the way can read along.
    pub is_tls: bool,
    /// The handle by which answers reach the connection's writer past the HTTP library, if there is one.
    pub writer: Option<WriterHandle>,
    /// Its share of the memory budget, where bytes of answers wait in memory for the client.
    pub memory: Option<ConnectionMemory>,
    /// The tracker of its responses.
    pub tracker: ConnectionTracker,
}

impl Arrival {
    /// Returns the options that the bytes of a download with this link go out by, in the answer to this request.
    fn region_options<'a>(
        &'a self,
        context: &RequestContext<'_>,
        link: LinkId,
        admitted: Option<&'a Admitted>,
    ) -> RegionOptions<'a> {
        let version = context.request.version;
        // HTTP/2 frames its bytes, so the kernel cannot send them.
        let is_http1 = version <= Version::HTTP_11;
        let writer = self.writer.as_ref().filter(|_| is_http1);
        RegionOptions {
            identity: DownloadIdentity::new(version, context.trace.trace_id, link),
            takes_lines: writer.is_some(),
            regions: writer.and_then(WriterHandle::regions),
            memory: self.memory.as_ref(),
            admitted,
        }
    }
}

/// The public side of a gateway.
pub struct Web {
    shared: SharedState,
    long_downloads: Arc<LongDownloads>,
}

impl Web {
    /// Returns the public side of this gateway, mounted where its `public_base_url` says. What comes to pass is
    /// recorded in `metrics` and, if there is one, in `audit`.
    pub fn new(
        gateway: Arc<Gateway>,
        settings: WebSettings,
        metrics: Arc<Metrics>,
        audit: Option<Audit>,
    ) -> Self {
        let base = gateway.settings().public_base_url.as_str();
        let after_scheme = base.split_once("://").map_or(base, |(_, rest)| rest);
        let mount = after_scheme
            .find('/')
            .and_then(|at| after_scheme.get(at..))
            .unwrap_or("");
        Self {
            long_downloads: Arc::default(),
            shared: SharedState {
                mount: mount.to_owned(),
                heads: ResponseHeads::new(),
                signed_bodies: BodyBudget::new(),
                operations: DetachedOperations::new(),
                recorder: Arc::new(RequestRecorder::new(
                    Arc::clone(&gateway),
                    metrics,
                    audit,
                    settings.watcher.clone(),
                )),
                gateway,
                settings,
            },
        }
    }

    /// Returns what the requests of a new connection come by, whose responses `aborter` ends. `writer`: answers
    /// reach its writer past the HTTP library; `memory`: bytes of answers wait in memory for its client.
    pub fn arrival(
        &self,
        peer: Peer,
        is_tls: bool,
        writer: Option<WriterHandle>,
        memory: Option<ConnectionMemory>,
        aborter: Arc<dyn ResponseAborter>,
    ) -> Arrival {
        let (recorder, long_downloads) = (&self.shared.recorder, &self.long_downloads);
        let tracker = ConnectionTracker::new(recorder, long_downloads, aborter);
        Arrival {
            peer,
            is_tls,
            writer,
            memory,
            tracker,
        }
    }

    /// Counts what was sent so far of all downloads that are on their way, for
    /// [`Gateway::flush_counts`] to have it.
    pub fn count_downloads(&self) {
        self.long_downloads.count_so_far();
    }

    /// Returns the interval at which [`Web::end_revoked`] is to be called.
    pub const fn recheck_interval(&self) -> Duration {
        self.shared.settings.recheck_interval
    }

    /// Ends all long downloads whose links were revoked since they began, or whose shares open no more.
    pub async fn end_revoked(&self) {
        self.long_downloads
            .end_revoked(&self.shared.recorder.recheck());
        let running = self.long_downloads.shares();
        if !running.is_empty() {
            let closed = self.shared.gateway.closed_shares(running).await;
            self.long_downloads.end_closed(&closed);
        }
    }

    /// Waits for changes that are still being made though their clients are gone, for a bounded time.
    pub async fn finish_changes(&self) {
        if !self.shared.operations.finish().await {
            tracing::warn!("some changes were not at their end: the catalogue took too long");
        }
    }

    /// Answers one request. It cannot fail; a body that fails on its way out aborts the connection.
    ///
    /// The future is boxed for each request, so that a connection, or the task of a stream, has no room for it while a
    /// client takes its time with the body, and so that it is copied no more.
    pub fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        mut arrival: Arrival,
    ) -> Pin<Box<impl Future<Output = Response<Tracked<Body, InFlight>>> + Send>> {
        let (parts, body) = request.into_parts();
        if parts.version == Version::HTTP_2 {
            arrival.memory = arrival.memory.map(|memory| memory.of_stream());
        }
        // The future is made from the parts, so that it has no room for the request beside them.
        Box::pin(async move {
            self.conduct(&parts, &mut RequestBody::new(body), &arrival)
                .await
        })
    }

    async fn conduct(
        &self,
        request: &Parts,
        body: &mut RequestBody,
        arrival: &Arrival,
    ) -> Response<Tracked<Body, InFlight>> {
        let shared = &self.shared;
        let begun = shared.gateway.clock().elapsed();
        // 1.
        let is_from_proxy = shared.settings.trusted_proxies.trusts(arrival.peer);
        let mut context = RequestContext::new(shared, request, body, is_from_proxy);
        // 2 to 4.
        let answered = {
            let answering = answer(&mut context, arrival);
            let answered = panics::caught(pin!(answering)).await;
            answered.unwrap_or_else(|said| Err(Refusal::Internal(said).into()))
        };
        let mut origins_are_said = false;
        let (mut response, problem) = match answered {
            Ok(response) => {
                if let (Some(block), Some(writer)) = (context.header_block.take(), &arrival.writer)
                {
                    origins_are_said = shared.settings.origins == Origins::Any;
                    writer.add_to_head(block);
                }
                (response, None)
            }
            // 5.
            Err(problem) => {
                let wait = || shared.gateway.limits().address_wait(context.counted);
                let problem = problem.waiting_for(wait);
                let response = match context.page.take() {
                    Some(page) => page.map(Body::Full),
                    None => refused::answer(&context, &problem),
                };
                (response, Some(problem))
            }
        };
        // 6.
        if context.is_for_scripts() && !origins_are_said {
            let settings = &shared.settings;
            let (origins, credentials) = (&settings.origins, settings.allows_credentials);
            cors::decorate(origins, credentials, &request.headers, &mut response);
        }
        if arrival.is_tls
            && let Some(policy) = &shared.settings.strict_transport
        {
            policy.add_to(response.headers_mut());
        }
        if context.body.is_unread() && request.version <= Version::HTTP_11 {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        // 7.
        let record = context.record(response.status(), problem.as_ref());
        shared.recorder.answered(&record, begun);
        reply::omit_content(&request.method, &mut response);
        if let Some(memory) = &arrival.memory {
            response.body_mut().count_in(memory);
        }
        // 8.
        let (route, download) = (context.route, context.download.take());
        response.map(|body| arrival.tracker.track(body, route, begun, download))
    }
}

/// Takes the steps 2 to 4.
async fn answer(
    context: &mut RequestContext<'_>,
    arrival: &Arrival,
) -> Result<Response<Body>, Problem> {
    // 2.
    framing::check(context.request)?;
    if context.matched.call == Some(Route::Verify) && !context.is_verify() {
        return Err(Problem::NoRoute);
    }
    let route = context.matched.for_method(&context.request.method);
    context.route = route.as_ref().map(Route::kind).unwrap_or_default();
    // 3.
    let (headers, proxies) = (
        &context.request.headers,
        &context.settings().trusted_proxies,
    );
    context.client = proxies.client(arrival.peer, headers);
    context.counted = proxies.counted(arrival.peer, headers, context.client);
    context.gateway().limits().admit_address(context.counted)?;
    // 4.
    match route? {
        Route::Download(at) => download::answer(context, at, arrival).await,
        // Boxed, so that connections that never make such a call need no room for one.
        Route::Redeem(at) => Box::pin(redeem::answer(context, at, arrival)).await,
        Route::Ticket(at) => Box::pin(ticket::answer(context, at, arrival)).await,
        Route::Share(at) => Box::pin(share::answer(context, at, arrival)).await,
        Route::Verify => Box::pin(verify::answer(context)).await,
        Route::Aitronos(call) => Box::pin(aitronos::answer(call, context)).await,
        Route::KooDrive(call) => Box::pin(koodrive::answer(call, context)).await,
        Route::Qoder(call) => Box::pin(qoder::answer(call, context)).await,
    }
}
