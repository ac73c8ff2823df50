//! What was seen of a request, for the line that the log has of it.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};

use super::problem::Problem;
use super::report::{Download, Known};
use super::route;
use super::style::Style;
use super::trace::Trace;
use crate::gateway::refusal::Refusal;
use crate::model::credential;
use crate::model::id::ApiKeyId;
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
    pub(super) caller: Option<ApiKeyId>,
    pub(super) download: Option<Download>,
    /// What is to be added to the head of the answer.
    pub(super) lines: Option<Bytes>,
}

/// What a log line shows in place of a text that may hold a credential.
const HIDDEN: &str = "(may hold a credential)";

/// What a log line shows of a caller's own text: all of it, unless a credential may stand in it.
pub(super) fn shown(text: &str) -> &str {
    if credential::may_be_in(text) {
        HIDDEN
    } else {
        text
    }
}

/// The same of a text that looks random by its nature.
pub(super) fn shown_random(text: &str) -> &str {
    if credential::may_be_whole_in(text) {
        HIDDEN
    } else {
        text
    }
}

/// The `X-Traceid` of a request as a log line shows it.
pub(super) fn shown_traceid(trace: &Trace) -> Option<String> {
    let traceid = trace.traceid();
    let text = traceid.to_str().ok()?;
    Some(shown_random(text).to_owned())
}

impl Seen {
    /// What is known of who asked.
    pub(super) fn known(&self) -> Known {
        Known {
            client: self.client,
            api_key: self.caller.clone(),
            link_id: self.link_id,
        }
    }

    /// Writes the one line about a request. What is broken on our side is an error; a plain no is not.
    /// Where lines of a level are not written, nothing is made for them.
    pub(super) fn log(
        &self,
        method: &Method,
        path: &str,
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
        // The header is KooDrive's alone.
        let is_koodrive = Style::of_path(path) == Style::KooDrive;
        let x_traceid = || is_koodrive.then(|| shown_traceid(trace)).flatten();
        macro_rules! line {
            ($level:ident, $($rest:tt)+) => {
                tracing::$level!(
                    target: "hallpass::web",
                    route, method, status, took_micros = took_micros(), link_id,
                    trace_id = trace.trace_id.as_str(),
                    request_id = shown(trace.request_id()),
                    x_traceid = x_traceid(),
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
                    cause = problem.cause().map(shown),
                    setting = problem.setting(),
                    "refused"
                );
            }
        }
    }
}
