//! `/livez`, `/readyz` and `/metrics`, for operators, on the private listener only.

use std::net::Ipv4Addr;
use std::sync::Arc;

use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue};
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode};

use bytes::Bytes;

use super::body::Body;
use super::framing::TargetHasFragment;
use super::reply;
use super::response_memory::ResponseMemory;
use crate::gateway::Gateway;
use crate::gateway::observe::CacheState;
use crate::telemetry::audit::Audit;
use crate::telemetry::metrics::{Family, Metrics, text};

/// The handler of the private listener, which answers operators.
#[derive(Clone)]
pub struct Ops {
    /// `server.admin_hosts`: names by which the numbers may be asked for, besides addresses.
    pub hosts: Arc<[String]>,
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// Its numbers.
    pub metrics: Arc<Metrics>,
    /// Its audit stream, if there is one.
    pub audit: Option<Audit>,
    /// Its memory budget of responses.
    pub memory: Arc<ResponseMemory>,
}

impl Ops {
    /// Answers one request on the private listener: `/livez` says that the process runs, `/readyz` whether
    /// it can answer from a catalogue and a blob store that it has just looked at, `/metrics` all numbers,
    /// in OpenMetrics for whoever accepts it and else in Prometheus' older text format, or 421 where it is asked for by
    /// another host's name.
    pub async fn handle<B>(&self, request: &Request<B>) -> Response<Body> {
        let mut response = self.answer(request).await;
        reply::omit_content(request.method(), &mut response);
        response
    }

    async fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        if request.extensions().get::<TargetHasFragment>().is_some() {
            return plain(
                StatusCode::BAD_REQUEST,
                "no request target has a fragment\n",
            );
        }
        let path = request.uri().path();
        if !matches!(path, "/livez" | "/readyz" | "/metrics") {
            return plain(StatusCode::NOT_FOUND, "not found\n");
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            response
                .headers_mut()
                .insert(hyper::header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/livez" => plain(StatusCode::OK, "ok\n"),
            "/metrics" if !self.is_for_us(request) => {
                let text = "not for this host: name it in server.admin_hosts\n";
                plain(StatusCode::MISDIRECTED_REQUEST, text)
            }
            "/metrics" => self.numbers(request),
            _ => match self.gateway.ready().await {
                Ok(()) => plain(StatusCode::OK, "ok\n"),
                Err(refusal) => {
                    tracing::warn!(error = %refusal, "not ready");
                    plain(StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
                }
            },
        }
    }

    /// Returns whether the request names this listener. A page whose name was made to lead here (DNS rebinding) has
    /// its browser send that name; an address, `localhost` and a name without a dot are nobody's page.
    fn is_for_us<B>(&self, request: &Request<B>) -> bool {
        let authority = match (request.uri().authority(), request.headers().get(HOST)) {
            (Some(authority), _) => authority.as_str(),
            (None, Some(host)) => match host.to_str() {
                Ok(host) => host,
                Err(_) => return false,
            },
            (None, None) => return true,
        };
        let Ok(authority) = authority.parse::<Authority>() else {
            return false;
        };
        let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let is_address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
        let is_label = !host.is_empty() && !host.contains('.');
        is_address || is_label || self.hosts.contains(&host)
    }

    fn numbers<B>(&self, request: &Request<B>) -> Response<Body> {
        let mut families = self.metrics.families();
        families.extend(caches(&self.gateway.caches()));
        families.extend(self.state());
        let accept = request.headers().get(ACCEPT);
        let accept = accept.and_then(|accept| accept.to_str().ok());
        let (text, media_type) = text(families, accept.unwrap_or_default());
        answer(StatusCode::OK, Bytes::from(text), media_type)
    }

    fn state(&self) -> [Family; 9] {
        let revoked = self.gateway.revocation_counts();
        let revoked = [
            ("organization_epochs", revoked.epochs),
            ("link_revisions", revoked.revisions),
            ("links", revoked.denied),
        ];
        [
            Family::gauge(
                "hallpass_response_memory_bytes",
                "Bytes of answers that wait in memory for clients over TLS and HTTP/2",
                self.memory.held(),
            ),
            Family::counters(
                "hallpass_catalogue_errors",
                "Calls of the catalogue that failed",
                "kind",
                self.gateway.catalogue_failures(),
            ),
            Family::counter(
                "hallpass_uncounted_downloads",
                "Downloads that are in no link's and no file's count",
                self.gateway.uncounted_downloads(),
            ),
            Family::counter(
                "hallpass_audit_lines_dropped",
                "Lines of the audit stream that were dropped",
                self.audit.as_ref().map_or(0, Audit::dropped),
            ),
            Family::counter(
                "hallpass_audit_failures",
                "Times that the audit file stopped taking lines",
                self.audit.as_ref().map_or(0, Audit::failures),
            ),
            Family::counter(
                "hallpass_log_lines_dropped",
                "Lines of the log that were dropped",
                crate::telemetry::dropped(),
            ),
            Family::gauges(
                "hallpass_signing_keys",
                "Signing keys of the keyring",
                "state",
                self.gateway.signing_keys(),
            ),
            Family::gauges(
                "hallpass_revocations",
                "Revocations that are held in memory",
                "kind",
                revoked,
            ),
            Family::gauge(
                "hallpass_revocations_unwritten",
                "Revocations that hold in memory, as there is no room to write them",
                u64::try_from(self.gateway.held_revocations()).unwrap_or(u64::MAX),
            ),
        ]
    }
}

fn caches(caches: &[CacheState]) -> [Family; 4] {
    let each = |of: fn(&CacheState) -> u64| -> Vec<_> {
        caches.iter().map(|cache| (cache.name, of(cache))).collect()
    };
    [
        Family::counters(
            "hallpass_cache_hits",
            "Looks into a cache that found what was looked for",
            "cache",
            each(|cache| cache.hits),
        ),
        Family::counters(
            "hallpass_cache_misses",
            "Looks into a cache that did not",
            "cache",
            each(|cache| cache.misses),
        ),
        Family::gauges(
            "hallpass_cache_entries",
            "What a cache keeps",
            "cache",
            each(|cache| cache.entries),
        ),
        Family::gauges(
            "hallpass_cache_bytes",
            "What that weighs in memory; files that are open count 1 each",
            "cache",
            each(|cache| cache.weight),
        ),
    ]
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let text = Bytes::from_static(text.as_bytes());
    answer(status, text, "text/plain; charset=utf-8")
}

fn answer(status: StatusCode, text: Bytes, media_type: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::Full(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
