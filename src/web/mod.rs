//! HTTP in, HTTP out.
//!
//! A request comes in at [`Web::handle`], is given its ids, finds its [`route::Route`], and is handed to
//! the byte route (`download`), to `verify`, or to an API style (`aitronos`, `qoder`, `koodrive`). Whatever
//! ends it early is a [`problem::Problem`], which the path's [`style::Style`] puts into its envelope. Every
//! request leaves one line in the log, without its URL: a link is a credential.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};

use crate::gateway::Gateway;
use crate::gateway::download::LinkRequest;
use crate::gateway::limits::Admitted;
use crate::gateway::refusal::Refusal;
use crate::handover::Regions;
use crate::telemetry::audit::Audit;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::panics;

use body::{Body, Reader};
use client::{Peer, TrustedProxies};
use cors::Origins;
use delivery::{Delivered, Deliveries};
use dialects::koodrive::budget::BodyBudget;
use dialects::qoder::generation::{ContentStatus, GenerationServed};
use dialects::{aitronos, koodrive, qoder};
use exchange::Exchange;
use handover::Handover;
use head::Heads;
use problem::Problem;
use received::Received;
use report::{Refused, Reporter};
use route::{FilePath, Route};
use seen::Seen;
use style::Style;
use trace::Trace;
use verify::VerifyHeader;

pub mod body;
pub mod client;
pub mod cors;
pub mod credential;
mod deed;
pub mod delivery;
pub mod dialects;
mod digest;
mod download;
mod exchange;
mod form;
mod framing;
pub mod handover;
mod head;
mod header;
mod limited;
pub mod multipart;
pub mod ops;
mod page;
pub mod part;
pub mod problem;
pub mod query;
mod received;
mod redirect;
mod refused;
mod reply;
pub mod report;
pub mod route;
mod seen;
pub mod style;
pub mod trace;
mod upload;
pub mod verify;
pub mod wire;

/// The longest request target, in bytes. The longest link, its name encoded twice over, is under half of it.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;

/// What a deployment may want otherwise, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `cors.origins`.
    pub origins: Origins,
    /// `cors.credentials`: whether those scripts may send credentials along. `origins` are named then.
    pub allows_credentials: bool,
    /// `cors.resource_policy`: who may embed the bytes (`Cross-Origin-Resource-Policy`).
    pub resource_policy: HeaderValue,
    /// `links.cap_cache_to_expiry`: no browser keeps the bytes longer than the link lives.
    pub cap_cache_to_expiry: bool,
    /// `server.trusted_proxies`: whose word on a client's address counts.
    pub trusted_proxies: TrustedProxies,
    /// `verify.header`: where a proxy says the URL that `/verify` answers for; without it, no such call is.
    pub verify_header: Option<VerifyHeader>,
    /// How bytes are handed over to a proxy; without it they are streamed.
    pub handover: Option<Handover>,
    /// Whether clients are sent on to the store that keeps the bytes, where it is one that serves them.
    pub redirects: bool,
    /// `koodrive.date_skew_secs`: by how much the clocks of that API's clients may be off.
    pub koodrive_date_skew: u64,
    /// `qoder.content_status`.
    pub qoder_content_status: ContentStatus,
    /// `qoder.generation`.
    pub qoder_generation: GenerationServed,
}

/// What is known of a request besides itself: the connection that it came by.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Who is at the other end.
    pub peer: Peer,
    /// Where bodies hand files over to the connection, if it can send them itself.
    pub regions: Option<Regions>,
    /// Where its answers are counted.
    pub deliveries: Deliveries,
}

/// The public side of a gateway.
pub struct Web {
    gateway: Arc<Gateway>,
    settings: Settings,
    /// The path in `public_base_url`, which a proxy in front may strip or leave; empty for none.
    mount: String,
    heads: Heads,
    signed_bodies: BodyBudget,
    reporter: Arc<Reporter>,
}

impl Web {
    /// The public side of this gateway, mounted where its `public_base_url` says.
    /// What comes to pass is told to `metrics` and, if there is one, to `audit`.
    pub fn new(
        gateway: Arc<Gateway>,
        settings: Settings,
        metrics: Arc<Metrics>,
        audit: Option<Audit>,
    ) -> Self {
        let base = gateway.settings().public_base_url.as_str();
        let after_scheme = base.split_once("://").map_or(base, |(_, rest)| rest);
        let mount = after_scheme
            .find('/')
            .and_then(|at| after_scheme.get(at..))
            .unwrap_or_default();
        Self {
            mount: mount.to_owned(),
            heads: Heads::new(),
            signed_bodies: BodyBudget::new(),
            reporter: Arc::new(Reporter::new(Arc::clone(&gateway), metrics, audit)),
            gateway,
            settings,
        }
    }

    /// What a new connection is known by. `regions`: where it can send files itself.
    pub fn arrival(&self, peer: Peer, regions: Option<Regions>) -> Arrival {
        let deliveries = Deliveries::new(&self.reporter);
        Arrival {
            peer,
            regions,
            deliveries,
        }
    }

    /// Counts what was sent so far of all downloads that are on their way, for
    /// [`Gateway::flush_counts`] to have it.
    pub fn count_downloads(&self) {
        self.reporter.count_so_far();
    }

    /// Waits for changes that are still being made though their clients are gone, for a bounded time.
    pub async fn finish_changes(&self) {
        if !self.reporter.deeds.finish().await {
            tracing::warn!("some changes were not at their end: the catalogue took too long");
        }
    }

    /// Answers one request. It cannot fail; a body that fails on its way out aborts the connection.
    pub fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        arrival: Arrival,
    ) -> impl Future<Output = Response<Delivered>> + Send {
        let (parts, body) = request.into_parts();
        // The future is made from the parts, so that it has no room for the request beside them.
        async move {
            self.answered(&parts, &mut Received::new(body), &arrival)
                .await
        }
    }

    async fn answered(
        &self,
        parts: &Parts,
        body: &mut Received,
        arrival: &Arrival,
    ) -> Response<Delivered> {
        let started = self.gateway.clock().elapsed();
        let path = self.path_in(parts.uri.path());
        let is_from_proxy = self.settings.trusted_proxies.trusts(arrival.peer);
        let trace = Trace::of(&parts.headers, Style::of_path(path), is_from_proxy);
        let mut seen = Seen::default();
        let answered = {
            let answering = self.answer(parts, path, body, arrival, &trace, &mut seen);
            let answered = panics::caught(pin!(answering)).await;
            answered.unwrap_or_else(|said| Err(Refusal::Internal(said).into()))
        };
        let mut origins_are_said = false;
        let (mut response, problem) = match answered {
            Ok(response) => {
                if let (Some(lines), Some(regions)) = (seen.lines.take(), &arrival.regions) {
                    origins_are_said = self.settings.origins == Origins::Any;
                    regions.add_to_head(lines);
                }
                (response, None)
            }
            Err(problem) => {
                let wait = || self.gateway.limits().address_wait(seen.counted);
                let problem = problem.waiting_for(wait);
                (self.refuse(parts, path, &problem, &trace), Some(problem))
            }
        };
        if self.is_about_a_link(path) && !origins_are_said {
            cors::decorate(&self.settings, &parts.headers, &mut response);
        }
        if body.is_unread() && parts.version <= Version::HTTP_11 {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        let took = || self.gateway.clock().elapsed().saturating_sub(started);
        let status = response.status();
        let gateway = &self.gateway;
        seen.log(
            gateway,
            &parts.method,
            &trace,
            status,
            took,
            problem.as_ref(),
        );
        self.reporter
            .metrics
            .note_answered(seen.route, status.as_u16());
        if let Some(problem) = &problem {
            let request = Refused {
                method: &parts.method,
                path,
                trace: &trace,
            };
            let known = seen.known();
            self.reporter
                .refused(&request, problem, status.as_u16(), &known);
        }
        reply::omit_content(&parts.method, &mut response);
        let deliveries = &arrival.deliveries;
        response.map(|body| deliveries.deliver(body, seen.route, started, seen.download))
    }

    async fn answer(
        &self,
        request: &Parts,
        path: &str,
        body: &mut Received,
        arrival: &Arrival,
        trace: &Trace,
        seen: &mut Seen,
    ) -> Result<Response<Body>, Problem> {
        framing::check(request)?;
        let target = request
            .uri
            .path_and_query()
            .map_or(0, |target| target.as_str().len());
        if target > TARGET_BYTES_MAX {
            return Err(Problem::TargetTooLong);
        }
        let verify_header = self.settings.verify_header.as_ref();
        if path == verify::PATH && verify_header.is_none() {
            return Err(Problem::NoRoute);
        }
        let route = Route::parse(&request.method, path);
        seen.route = route.as_ref().map(Route::kind).unwrap_or_default();
        let gateway = &self.gateway;
        let proxies = &self.settings.trusted_proxies;
        let client = proxies.client(arrival.peer, &request.headers);
        seen.client = client;
        seen.counted = proxies.counted(arrival.peer, &request.headers, client);
        gateway.limits().admit_address(seen.counted)?;
        let route = route?;
        let mut exchange = Exchange {
            gateway,
            settings: &self.settings,
            heads: &self.heads,
            request,
            body,
            trace,
            reporter: &self.reporter,
            signed_bodies: &self.signed_bodies,
            client,
            caller: OnceLock::new(),
        };
        let answered = match route {
            Route::Download(at) => download(&exchange, at, arrival, client, seen).await,
            Route::Verify => {
                let header = verify_header.ok_or(Problem::NoRoute)?;
                let link = header.link(&request.headers, |path| self.path_in(path));
                Box::pin(verify::answer(&exchange, link, client, seen)).await
            }
            // Boxed, so that connections that never make such a call need no room for one.
            Route::Aitronos(call) => Box::pin(aitronos::answer(call, &mut exchange)).await,
            Route::KooDrive(call) => Box::pin(koodrive::answer(call, &mut exchange)).await,
            Route::Qoder(call) => Box::pin(qoder::answer(call, &mut exchange)).await,
        };
        seen.caller = exchange.caller.into_inner();
        answered
    }

    /// The path that names the call, below the mount.
    fn path_in<'a>(&self, sent: &'a str) -> &'a str {
        style::path_below(&self.mount, sent)
    }
}

/// The byte route. A request that has a link's parameters is a link, whatever key it sends along;
/// one that has none and sends a key wants a link minted.
async fn download(
    exchange: &Exchange<'_>,
    at: FilePath<'_>,
    arrival: &Arrival,
    client: Option<IpAddr>,
    seen: &mut Seen,
) -> Result<Response<Body>, Problem> {
    let (gateway, request, query) = (exchange.gateway, exchange.request, exchange.query());
    if request.method == Method::OPTIONS {
        let mut response = reply::empty(StatusCode::NO_CONTENT, exchange.trace);
        reply::set(&mut response, ALLOW, "GET, HEAD, OPTIONS");
        cors::answer_preflight(&request.headers, &mut response);
        return Ok(response);
    }
    if credential::names_a_key(&request.headers) && !gateway.names_a_link(query) {
        return Box::pin(aitronos::mint(exchange, at)).await;
    }
    let link = LinkRequest {
        organization: at.organization,
        file: at.file,
        query,
        client,
    };
    let verified = gateway.verify_link(&link).await?;
    let link_id = verified.link_id();
    seen.link_id = Some(link_id);
    gateway.limits().admit_link(&verified)?;
    let admitted = match request.method {
        Method::GET => gateway.limits().admit_download(&verified, seen.counted)?,
        _ => None,
    };
    // Boxed, so that where bytes are streamed nobody needs room for it.
    let sent_on = match exchange.settings.redirects {
        true => Box::pin(redirect::url(exchange, &link, &verified)).await?,
        false => None,
    };
    let (opened, url) = match sent_on {
        Some((left, url)) => (left, Some(url)),
        None => (gateway.open_verified(verified).await?, None),
    };
    let is_read = opened.content.bytes().is_none();
    let (file, expires) = (Arc::clone(&opened.file), opened.expires);
    // What HTTP/2 sends is framed, so the kernel cannot send it.
    let is_http1 = request.version <= Version::HTTP_11;
    let regions = arrival.regions.as_ref().filter(|_| is_http1);
    // Who sends a body with a GET may be answered in other ways before he has sent all of it.
    let takes_lines =
        regions.is_some() && request.method == Method::GET && !exchange.body.is_unread();
    let answer = download::answer(exchange, opened, url, takes_lines)?;
    let (mut response, is_whole_file) = (answer.response, answer.is_whole_file);
    seen.lines = answer.lines;
    let handover = exchange.settings.handover.as_ref();
    let is_left_to_others = response.status() == StatusCode::FOUND
        || handover.is_some_and(|handover| handover.is_in(response.headers()));
    if is_read {
        let trace_id = exchange.trace.trace_id;
        let reader = Arc::new(Reader::new(request.version, trace_id, link_id));
        let body = response.body_mut();
        body.read_by(&reader, regions, admitted.as_ref());
    } else if let Some(pace) = admitted.as_ref().and_then(Admitted::pace) {
        response.body_mut().limit(pace);
    }
    seen.download = Some(report::Download {
        file,
        link: link_id,
        expires,
        client,
        trace_id: exchange.trace.trace_id,
        is_head: request.method == Method::HEAD,
        status: response.status().as_u16(),
        is_handed_over: is_left_to_others,
        is_whole_file,
        counted: None,
        _admitted: admitted.map(Box::new),
    });
    Ok(response)
}
