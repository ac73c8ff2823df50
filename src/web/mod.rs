//! HTTP in, HTTP out.
//!
//! A request comes in at [`Web::handle`], is given its ids, finds its [`route::Route`], and is handed to
//! the byte route (`download`) or to an API style (`aitronos`, `qoder`, `koodrive`). Whatever ends it early is a
//! [`problem::Problem`], which the path's [`style::Style`] puts into its envelope. Every request
//! leaves one line in the log, without its URL: a link is a credential.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, EXPECT, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};

use crate::gateway::Gateway;
use crate::gateway::download::LinkRequest;
use crate::gateway::mint::Minted;
use crate::gateway::principal::Principal;
use crate::gateway::refusal::Refusal;

use body::{Body, Reader};
use cors::Origins;
use problem::Problem;
use route::{FilePath, Route};
use style::Style;
use trace::Trace;

mod aitronos;
pub mod body;
pub mod cors;
pub mod credential;
mod download;
mod form;
mod framing;
mod koodrive;
pub mod multipart;
pub mod ops;
mod page;
pub mod part;
pub mod problem;
mod qoder;
pub mod query;
mod reply;
pub mod route;
pub mod style;
pub mod trace;
mod upload;
mod wire;

/// The longest request target, in bytes. The longest link, with a name of 255 bytes that are all
/// percent-encoded twice over, is under half of it.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;

/// How a Qoder client is given its link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentStatus {
    /// 302 with a `Location`: a client that follows redirects has the bytes at once.
    #[default]
    Redirect,
    /// 200: for clients that follow redirects and then expect JSON.
    Plain,
}

/// What a deployment may want otherwise, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `cors.origins`.
    pub origins: Origins,
    /// `cors.resource_policy`: who may embed the bytes (`Cross-Origin-Resource-Policy`).
    pub resource_policy: HeaderValue,
    /// `links.cap_cache_to_expiry`: no browser keeps the bytes longer than the link lives.
    pub cap_cache_to_expiry: bool,
    /// `koodrive.date_skew_secs`: by how much the clocks of that API's clients may be off.
    pub koodrive_date_skew: u64,
    /// `qoder.content_status`.
    pub qoder_content_status: ContentStatus,
}

/// The public side of a gateway.
pub struct Web {
    gateway: Arc<Gateway>,
    settings: Settings,
    /// The path in `public_base_url`, which a proxy in front may strip or leave; empty for none.
    mount: String,
}

impl Web {
    /// The public side of this gateway, mounted where its `public_base_url` says.
    pub fn new(gateway: Arc<Gateway>, settings: Settings) -> Self {
        let base = gateway.settings().public_base_url.as_str();
        let after_scheme = base.split_once("://").map_or(base, |(_, rest)| rest);
        let mount = after_scheme
            .find('/')
            .and_then(|at| after_scheme.get(at..))
            .unwrap_or_default();
        Self {
            mount: mount.to_owned(),
            gateway,
            settings,
        }
    }

    /// Answers one request. It cannot fail; a body that fails on its way out aborts the connection.
    pub async fn handle(
        &self,
        request: Request<Incoming>,
        client: Option<IpAddr>,
    ) -> Response<Body> {
        let started = self.gateway.clock().elapsed();
        let (parts, mut body) = request.into_parts();
        let trace = Trace::of(&parts.headers);
        let mut seen = Seen::default();
        let answered = self
            .answer(&parts, &mut body, client, &trace, &mut seen)
            .await;
        let (mut response, problem) = match answered {
            Ok(response) => (response, None),
            Err(problem) => (self.refuse(&parts, &problem, &trace), Some(problem)),
        };
        if self.is_byte_route(&parts) {
            self.settings
                .origins
                .decorate(&parts.headers, &mut response);
        }
        // A client that is still sending must read the answer, not a reset. One that waits for our
        // `100 Continue` sends nothing, and would be told to go on.
        if !body.is_end_stream() && !parts.headers.contains_key(EXPECT) {
            body::drain(&mut body).await;
        }
        let took = self.gateway.clock().elapsed().saturating_sub(started);
        log(
            &parts.method,
            &seen,
            &trace,
            response.status(),
            took,
            problem.as_ref(),
        );
        response
    }

    /// The answer to a problem, in the words of the API style or, for a person, as a page.
    fn refuse(&self, request: &Parts, problem: &Problem, trace: &Trace) -> Response<Body> {
        let now = self.gateway.clock().now();
        let path = self.path_of(request);
        let mut response = Style::of_path(path).answer(problem, path, trace, now);
        if self.is_byte_route(request) {
            if page::is_wanted(&request.headers) {
                page::replace(&mut response, trace);
            }
            page::depends_on_accept(&mut response);
        }
        response
    }

    fn is_byte_route(&self, request: &Parts) -> bool {
        FilePath::before(self.path_of(request), "download").is_some()
    }

    async fn answer(
        &self,
        request: &Parts,
        body: &mut Incoming,
        client: Option<IpAddr>,
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
        let route = Route::parse(&request.method, self.path_of(request))?;
        seen.route = route.name();
        let gateway = &self.gateway;
        let mut exchange = Exchange {
            gateway,
            settings: &self.settings,
            request,
            body,
            trace,
        };
        match route {
            Route::Download(at) => download(&exchange, at, client, seen).await,
            Route::Aitronos(call) => aitronos::answer(call, &mut exchange).await,
            Route::KooDrive(call) => koodrive::answer(call, &mut exchange).await,
            Route::Qoder(call) => qoder::answer(call, &mut exchange).await,
        }
    }

    /// The path that names the call: the one sent, else what follows the mount in it. Where neither
    /// names one, whichever is among some API's own paths, so that its envelope tells the caller so.
    fn path_of<'a>(&self, request: &'a Parts) -> &'a str {
        let sent = request.uri.path();
        let below = sent
            .strip_prefix(self.mount.as_str())
            .filter(|rest| rest.starts_with('/'));
        match below {
            Some(below) if !Route::is_path(sent) => {
                let anyones = Style::of_path(sent) == Style::Aitronos;
                if anyones || Route::is_path(below) {
                    below
                } else {
                    sent
                }
            }
            _ => sent,
        }
    }
}

/// One request and what it is answered with.
struct Exchange<'a> {
    gateway: &'a Arc<Gateway>,
    settings: &'a Settings,
    request: &'a Parts,
    body: &'a mut Incoming,
    trace: &'a Trace,
}

impl Exchange<'_> {
    /// The query as sent, without its `?`.
    fn query(&self) -> &str {
        self.request.uri.query().unwrap_or_default()
    }

    /// Says in the log who minted what. The link itself is not said.
    fn log_minted(&self, caller: &Principal, minted: &Minted) {
        tracing::info!(
            trace_id = self.trace.trace_id,
            link_id = %minted.link_id,
            kid = %minted.kid,
            api_key_id = %caller.key,
            organization_id = %minted.file.organization,
            file_id = %minted.file.id,
            expires = minted.expires.get(),
            "minted a signed URL"
        );
    }
}

/// The byte route. A request that has a link's parameters is a link, whatever key it sends along;
/// one that has none and sends a key wants a link minted.
async fn download(
    exchange: &Exchange<'_>,
    at: FilePath<'_>,
    client: Option<IpAddr>,
    seen: &mut Seen,
) -> Result<Response<Body>, Problem> {
    let (gateway, request, query) = (exchange.gateway, exchange.request, exchange.query());
    if request.method == Method::OPTIONS {
        let mut response = reply::empty(StatusCode::NO_CONTENT, exchange.trace);
        reply::set(&mut response, ALLOW, "GET, HEAD, OPTIONS");
        cors::answer_preflight(&mut response);
        return Ok(response);
    }
    if !gateway.names_a_link(query) && credential::names_a_key(&request.headers) {
        return aitronos::mint(exchange, at).await;
    }
    let link = LinkRequest {
        organization: at.organization,
        file: at.file,
        query,
        client,
    };
    let verified = gateway.verify_link(&link).await?;
    let link_id = verified.link_id().to_string();
    seen.link_id = Some(link_id.clone());
    let opened = gateway.open_verified(verified).await?;
    let mut response = download::answer(exchange, opened)?;
    let trace_id = exchange.trace.trace_id.clone();
    let reader = Arc::new(Reader { trace_id, link_id });
    response.body_mut().read_by(&reader);
    Ok(response)
}

/// What the log line says of a request besides its outcome.
#[derive(Default)]
struct Seen {
    route: &'static str,
    link_id: Option<String>,
}

/// The one line about a request. What is broken on our side is an error; a plain no is not.
fn log(
    method: &Method,
    seen: &Seen,
    trace: &Trace,
    status: StatusCode,
    took: Duration,
    problem: Option<&Problem>,
) {
    // A method that nobody knows may be of any length.
    let method = if matches!(problem, Some(Problem::UnknownMethod)) {
        "unknown"
    } else {
        method.as_str()
    };
    let status = status.as_u16();
    let (trace_id, request_id) = (trace.trace_id.as_str(), trace.request_id());
    let took_micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let link_id = seen.link_id.as_deref();
    let x_traceid = trace.traceid();
    match problem {
        None => tracing::info!(
            route = seen.route,
            method,
            status,
            took_micros,
            trace_id,
            request_id,
            x_traceid,
            link_id,
            "answered"
        ),
        Some(Problem::Refused(
            refusal @ (Refusal::Internal(_) | Refusal::Unavailable(_) | Refusal::NoSpace),
        )) => {
            tracing::error!(route = seen.route, method, status, took_micros, trace_id, request_id, x_traceid, link_id, error = %refusal, "failed");
        }
        Some(problem) => {
            let (refusal, cause) = (problem.label(), problem.cause());
            tracing::info!(
                route = seen.route,
                method,
                status,
                took_micros,
                trace_id,
                request_id,
                x_traceid,
                link_id,
                refusal,
                cause,
                "refused"
            );
        }
    }
}
