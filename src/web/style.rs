//! Which API style speaks on a path. A call that cannot be answered, or that does not even exist, is told
//! so in the envelope of the style whose paths it is among.

use hyper::Response;
use hyper::header::{ALLOW, CONNECTION, CONTENT_RANGE, RETRY_AFTER, WWW_AUTHENTICATE};

use super::body::Body;
use super::dialects::qoder::generation::Generation;
use super::dialects::{aitronos, koodrive, qoder};
use super::problem::Problem;
use super::reply;
use super::route::Route;
use super::trace::Trace;
use crate::gateway::refusal::{Refusal, whole_seconds};
use crate::model::time::UnixSeconds;

/// How many seconds to wait before trying again what is unavailable now.
pub(super) const RETRY_AFTER_SECONDS: &str = "1";

/// An API style.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// The style of every path that is no other's, the byte route's included.
    Aitronos,
    /// `/v1/files`, and all below it and below `/api/v1/cloud`.
    Qoder,
    /// All below `/koodrive`.
    KooDrive,
}

impl Style {
    /// The style of a path, whether or not there is a call.
    pub fn of_path(path: &str) -> Self {
        let below = |start: &str| {
            let rest = path.strip_prefix(start);
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        if path == "/v1/files" || below("/v1/files") || below("/api/v1/cloud") {
            Self::Qoder
        } else if below("/koodrive") {
            Self::KooDrive
        } else {
            Self::Aitronos
        }
    }

    /// The answer to a problem with a call on `path`: the style's own envelope, and the headers that mean
    /// the same in every style.
    pub(super) fn answer(
        self,
        problem: &Problem,
        path: &str,
        trace: &Trace,
        now: UnixSeconds,
        generation: Generation,
    ) -> Response<Body> {
        let mut response = match self {
            Self::Aitronos => aitronos::refusal::answer(problem, trace, now),
            Self::Qoder => qoder::refusal::answer(problem, path, trace, generation),
            Self::KooDrive => koodrive::refusal::answer(problem, trace),
        };
        explain(&mut response, problem);
        response
    }
}

/// The path that names the call: the one sent, else what follows the mount in it. Where neither names one,
/// whichever is among some API's own paths, so that its envelope tells the caller so.
pub(super) fn path_below<'a>(mount: &str, sent: &'a str) -> &'a str {
    if mount.is_empty() {
        return sent;
    }
    let below = sent
        .strip_prefix(mount)
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

/// Says in headers what a client can do about a problem.
fn explain(response: &mut Response<Body>, problem: &Problem) {
    let (name, value) = match problem {
        Problem::Refused(Refusal::Link(_)) => (WWW_AUTHENTICATE, "SignedUrl".to_owned()),
        Problem::Refused(refusal) if refusal.is_of_the_key() => {
            (WWW_AUTHENTICATE, "Bearer realm=\"hallpass\"".to_owned())
        }
        Problem::Refused(Refusal::TooMany { wait, .. }) => {
            (RETRY_AFTER, whole_seconds(*wait).to_string())
        }
        Problem::Refused(Refusal::Unavailable(_)) => (RETRY_AFTER, RETRY_AFTER_SECONDS.to_owned()),
        Problem::MethodNotAllowed { allowed } => (ALLOW, allowed.join(", ")),
        // Where such a request ends is a guess, so nothing behind it is read as one.
        // Nor is one read where we stopped reading.
        Problem::BadHead(_) | Problem::UnknownCoding | Problem::BodyTooSlow { .. } => {
            (CONNECTION, "close".to_owned())
        }
        Problem::RangeNotSatisfiable { size } => (CONTENT_RANGE, format!("bytes */{size}")),
        _ => return,
    };
    reply::set(response, name, &value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_body_is_a_408_in_every_style_and_ends_the_connection() {
        let trace = Trace::of(&hyper::HeaderMap::new(), Style::Aitronos, false);
        let problem = Problem::BodyTooSlow { seconds: 30 };
        for style in [Style::Aitronos, Style::Qoder, Style::KooDrive] {
            let answer = style.answer(&problem, "/", &trace, UnixSeconds::EPOCH, Generation::First);
            assert_eq!(answer.status().as_u16(), 408, "{style:?}");
            assert_eq!(answer.headers().get(CONNECTION).unwrap(), "close");
        }
    }

    #[test]
    fn every_path_has_its_style() {
        for path in [
            "/v1/files",
            "/v1/files/",
            "/v1/files/x/content",
            "/v1/files//x",
            "/api/v1/cloud/",
            "/api/v1/cloud/files",
            "/api/v1/cloud/sessions/x",
        ] {
            assert_eq!(Style::of_path(path), Style::Qoder, "{path}");
        }
        for path in ["/koodrive/", "/koodrive/ose/v1/files/download"] {
            assert_eq!(Style::of_path(path), Style::KooDrive, "{path}");
        }
        for path in [
            "",
            "/",
            "*",
            "/v1",
            "/v1/filesystem",
            "/v1/organizations/o/files",
            "/V1/files",
            "//v1/files",
            "/api/v1/cloud",
            "/api/v1/cloudy/files",
            "/koodrive",
            "/KooDrive/ose",
            "/koodrives/x",
        ] {
            assert_eq!(Style::of_path(path), Style::Aitronos, "{path}");
        }
    }
}
