//! Cross-origin answers of the byte route, as the Fetch standard ("CORS protocol") asks for them.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderName, HeaderValue, ORIGIN, VARY,
};
use hyper::{HeaderMap, Response};

use super::body::Body;

const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");

/// What a script may read of an answer beyond what it may always read.
const EXPOSED: &str = "Accept-Ranges, Content-Disposition, Content-Encoding, Content-Length, \
                       Content-Range, ETag, Last-Modified, Repr-Digest, Retry-After, X-Request-Id";

/// What a script may send.
const ACCEPTED: &str =
    "Range, If-Match, If-Modified-Since, If-None-Match, If-Range, If-Unmodified-Since";

/// How long a browser may remember the answer to a preflight, in seconds: a day.
const REMEMBERED_SECONDS: &str = "86400";

/// Which origins' scripts may read the bytes. Nobody's cookies are ever involved, so the default lets
/// everybody who has the link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Every origin.
    #[default]
    Any,
    /// These alone, each as browsers write it: `https://app.example.com`.
    These(Vec<String>),
}

impl Origins {
    /// Adds what the browser needs to see, to whatever answer.
    pub(super) fn decorate(&self, request: &HeaderMap, response: &mut Response<Body>) {
        let headers = response.headers_mut();
        let allowed = match self {
            Self::Any => return allow_all(self, headers),
            Self::These(origins) => {
                headers.append(VARY, HeaderValue::from_static("Origin"));
                request.get(ORIGIN).filter(|origin| {
                    origins
                        .iter()
                        .any(|known| known.as_bytes() == origin.as_bytes())
                })
            }
        };
        if let Some(origin) = allowed {
            allow(headers, origin.clone());
        }
    }
}

/// Adds what every answer of the byte route says where every origin is let in, unless it says so already.
pub(super) fn allow_all(origins: &Origins, headers: &mut HeaderMap) {
    if *origins == Origins::Any && !headers.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS) {
        allow(headers, HeaderValue::from_static("*"));
    }
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(TIMING_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(EXPOSED),
    );
}

/// Adds what a preflight asks for. It needs no link: browsers send none along.
pub(super) fn answer_preflight(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, HEAD"),
    );
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(ACCEPTED),
    );
    headers.insert(
        ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static(REMEMBERED_SECONDS),
    );
}
