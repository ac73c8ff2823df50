//! What was seen of a request, for the line that the log has of it.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};

use super::problem::Problem;
use super::report::{Caller, Download, Known};
use super::route;
use super::trace::Trace;
use crate::gateway::Gateway;
use crate::gateway::refusal::Refusal;
use crate::model::revocation::LinkId;
use crate::telemetry::metrics::Route;

/// What the log line says of a request besides its outcome.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) route: Route,
    pub(super) link_id: Option<LinkId>,
    pub(super) client: Option<IpAddr>,
    /// As which address it counts against limits.
    pub(super) counted: Option<IpAddr>,
    pub(super) caller: Option<Caller>,
    pub(super) download: Option<Download>,
    /// What is to be added to the head of the answer.
    pub(super) lines: Option<Bytes>,
}

impl Seen {
    /// What is known of who asked.
    pub(super) fn known(&self) -> Known {
        Known {
            client: self.client,
            caller: self.caller.clone(),
            link_id: self.link_id,
        }
    }

    /// Writes the one line about a request. What is broken on our side is an error; a plain no is not.
    /// Where lines of a level are not written, nothing is made for them. Of a caller's own text there are the
    /// length and a keyed hash at most, unless a trusted proxy sent it.
    pub(super) fn log(
        &self,
        gateway: &Gateway,
        method: &Method,
        trace: &Trace,
        status: StatusCode,
        took: impl Fn() -> Duration,
        problem: Option<&Problem>,
    ) {
        // A method that nobody knows may be of any length.
        let method = if route::is_known(method) {
            method.as_str()
        } else {
            "unknown"
        };
        let (route, status) = (self.route.as_str(), status.as_u16());
        // Where no line is written, nobody looks at the clock.
        let took_micros = || u64::try_from(took().as_micros()).unwrap_or(u64::MAX);
        let link_id = self.link_id.as_ref().map(LinkId::as_str);
        let hash = |text: &[u8]| gateway.log_hash(text);
        macro_rules! line {
            ($level:ident, $($rest:tt)+) => {
                tracing::$level!(
                    target: "hallpass::web",
                    route, method, status, took_micros = took_micros(), link_id,
                    trace_id = trace.trace_id.as_str(),
                    request_id = &*trace.logged_request_id(hash),
                    x_traceid = trace.logged_traceid(hash).as_deref(),
                    $($rest)+
                )
            };
        }
        match problem {
            None => line!(info, "answered"),
            Some(Problem::Refused(
                refusal @ (Refusal::Internal(_) | Refusal::Unavailable(_) | Refusal::NoSpace),
            )) => line!(error, error = %refusal, "failed"),
            Some(problem) => {
                line!(
                    info,
                    refusal = problem.label(),
                    cause = problem.cause(),
                    setting = problem.setting(),
                    "refused"
                );
            }
        }
    }
}
