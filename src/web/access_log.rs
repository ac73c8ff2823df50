//! The access-log record: the one line that the log has of a request.

use std::net::IpAddr;
use std::time::Duration;

use hyper::{Method, StatusCode};

use super::problem::Problem;
use super::route::{self, RouteMatch};
use super::trace::Trace;
use crate::gateway::Gateway;
use crate::gateway::refusal::Refusal;
use crate::model::id::{ApiKeyId, OrganizationId};
use crate::model::revocation::LinkId;
use crate::telemetry::metrics::Route;

/// The caller, once an API key or an app's signature says so.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) key: ApiKeyId,
    pub(super) organization: OrganizationId,
}

/// The record of a request that has its answer.
pub(super) struct AccessRecord<'a> {
    pub(super) method: &'a Method,
    pub(super) matched: RouteMatch<'a>,
    /// The call's kind, where the request came so far.
    pub(super) route: Route,
    pub(super) trace: &'a Trace,
    pub(super) client: Option<IpAddr>,
    pub(super) caller: Option<&'a Caller>,
    pub(super) link_id: Option<LinkId>,
    pub(super) status: StatusCode,
    /// The problem that it was refused for, if it was.
    pub(super) problem: Option<&'a Problem>,
}

impl AccessRecord<'_> {
    /// Writes the one line about a request. What is broken on our side is an error; a plain no is not.
    /// Where lines of a level are not written, nothing is made for them. Of a caller's own text there are the
    /// length and a keyed hash at most, unless a trusted proxy sent it.
    pub(super) fn log(&self, gateway: &Gateway, took: impl Fn() -> Duration) {
        // A method that nobody knows may be of any length.
        let method = || match route::is_known(self.method) {
            true => self.method.as_str(),
            false => "unknown",
        };
        let (route, status, trace) = (self.route.as_str(), self.status.as_u16(), self.trace);
        // The clock is read only where the line is written.
        let took_micros = || u64::try_from(took().as_micros()).unwrap_or(u64::MAX);
        let hash = |text: &[u8]| gateway.log_hash(text);
        macro_rules! line {
            ($level:ident, $($rest:tt)+) => {
                tracing::$level!(
                    target: "hallpass::web",
                    route, method = method(), status, took_micros = took_micros(),
                    link_id = self.link_id.as_ref().map(LinkId::as_str),
                    trace_id = trace.trace_id.as_str(),
                    request_id = &*trace.logged_request_id(hash),
                    x_traceid = trace.logged_traceid(hash).as_deref(),
                    $($rest)+
                )
            };
        }
        match self.problem {
            None => line!(info, "answered"),
            Some(Problem::Refused(
                refusal @ (Refusal::Internal(_)
                | Refusal::Unavailable(_)
                | Refusal::NoSpace
                | Refusal::RevocationLost),
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
