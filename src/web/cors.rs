//! Cross-origin answers of the byte route, as the Fetch standard ("CORS protocol") asks for them.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, HeaderName, HeaderValue, ORIGIN, VARY,
};
use hyper::{HeaderMap, Response};

use super::body::Body;
use super::reply::set;

const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");

/// The response headers that a script may read beyond those that it may always read.
const EXPOSED: &str = "Accept-Ranges, Content-Disposition, Content-Encoding, Content-Length, \
                       Content-Range, ETag, Last-Modified, Repr-Digest, Retry-After, X-Request-Id";

/// The request headers that a script may send, for the answer to a preflight that asks for none.
const ACCEPTED: &str =
    "Range, If-Match, If-Modified-Since, If-None-Match, If-Range, If-Unmodified-Since";

/// The most headers that the answer to a preflight names, of those that it asks for.
const ASKED_HEADERS_MAX: usize = 20;

/// The request headers that the answer to a preflight depends on.
const PREFLIGHT_VARIES: &str = "Origin, Access-Control-Request-Headers";

/// The time that a browser may remember the answer to a preflight, in seconds: a day.
const REMEMBERED_SECONDS: &str = "86400";

/// The origins whose scripts may read the bytes. No credentials are ever looked at, so the default lets every
/// script that has the link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Every origin.
    #[default]
    Any,
    /// These alone, each as browsers write it: `https://app.example.com`.
    These(Vec<String>),
}

/// Adds what the browser needs to see, to any answer. `allows_credentials`: whether scripts may send credentials
/// along.
pub(super) fn decorate(
    origins: &Origins,
    allows_credentials: bool,
    request: &HeaderMap,
    response: &mut Response<Body>,
) {
    let headers = response.headers_mut();
    let origins = match origins {
        Origins::Any if headers.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS) => return,
        Origins::Any => return headers.extend(of_every_origin(origins)),
        Origins::These(origins) => origins,
    };
    // The answer to a preflight says so already.
    if !headers.contains_key(ACCESS_CONTROL_ALLOW_METHODS) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    let is_known = |origin: &&HeaderValue| {
        let mut known = origins.iter();
        known.any(|known| known.as_bytes() == origin.as_bytes())
    };
    if let Some(origin) = request.get(ORIGIN).filter(is_known) {
        headers.extend(let_in(origin.clone()));
        if allows_credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
    }
}

/// Returns the headers that every answer of the byte route has where every origin is let in; none where only some are.
pub(super) fn of_every_origin(
    origins: &Origins,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
    let every = (*origins == Origins::Any).then(|| HeaderValue::from_static("*"));
    every.into_iter().flat_map(let_in)
}

/// Returns the headers that let an origin in.
fn let_in(origin: HeaderValue) -> [(HeaderName, HeaderValue); 3] {
    let exposed = HeaderValue::from_static(EXPOSED);
    [
        (TIMING_ALLOW_ORIGIN, origin.clone()),
        (ACCESS_CONTROL_ALLOW_ORIGIN, origin),
        (ACCESS_CONTROL_EXPOSE_HEADERS, exposed),
    ]
}

/// Adds what a preflight asks for, of a route with these methods. It needs no link: browsers send none along. Every header that a script
/// wants to send is let in: the byte route looks at none that would matter, `Authorization` included, and
/// pages send such by habit.
pub(super) fn answer_preflight(
    methods: &'static str,
    request: &HeaderMap,
    response: &mut Response<Body>,
) {
    let asked = asked_headers(request);
    let accepted = if asked.is_empty() { ACCEPTED } else { &asked };
    set(response, ACCESS_CONTROL_ALLOW_HEADERS, accepted);
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static(PREFLIGHT_VARIES));
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(methods),
    );
    headers.insert(
        ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static(REMEMBERED_SECONDS),
    );
}

/// The names of headers that a preflight asks for: those of the first [`ASKED_HEADERS_MAX`] that are names.
fn asked_headers(request: &HeaderMap) -> String {
    let lines = request.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let texts = lines.filter_map(|line| line.to_str().ok());
    let names = texts.flat_map(|text| text.split(',')).map(str::trim);
    let names = names.filter(|name| HeaderName::from_bytes(name.as_bytes()).is_ok());
    let names: Vec<&str> = names.take(ASKED_HEADERS_MAX).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(lines: &[&str]) -> String {
        let mut request = HeaderMap::new();
        for line in lines {
            let value = HeaderValue::from_bytes(line.as_bytes()).unwrap();
            request.append(ACCESS_CONTROL_REQUEST_HEADERS, value);
        }
        asked_headers(&request)
    }

    #[test]
    fn names_of_headers_are_repeated_and_nothing_else_is() {
        assert_eq!(asked(&[]), "");
        assert_eq!(asked(&["authorization,x-a"]), "authorization, x-a");
        assert_eq!(asked(&["a , b", "c"]), "a, b, c");
        assert_eq!(asked(&["*", ", ,a b,<x>,\"y\",é,ok:"]), "*");
        let many: Vec<String> = (0..30).map(|number| format!("x-{number}")).collect();
        let named = asked(&[&many.join(",")]);
        assert_eq!(named.split(", ").count(), ASKED_HEADERS_MAX);
        assert!(named.ends_with("x-19"), "{named}");
    }
}
