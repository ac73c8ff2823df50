//! A page for people: what a browser shows when a link that somebody clicked does not open.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::header::{
    ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, VARY,
};
use hyper::{HeaderMap, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::body::Body;
use super::problem::Problem;
use super::reply::set;
use super::trace::Trace;
use crate::gateway::refusal::Refusal;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto 0;\
                     padding:0 1.5rem}h1{font-size:1.5rem;line-height:1.25}\
                     h1,p{text-wrap:balance}small{opacity:.7}";

/// The words for an address at which there never was anything.
const NO_ROUTE: (&str, &str) = (
    "There is nothing here",
    "Please check whether the address is complete, as it was sent to you.",
);

/// Lets the page have its own style and nothing else at all.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'")
});

/// Returns whether the client asks for a page: `Accept` names `text/html` with a weight above 0.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let lines = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let html = parts
            .next()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
        let weight = |part: &str| part.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok());
        html && parts.find_map(weight).unwrap_or(1.0) > 0.0
    })
}

/// Puts the page in the place of an error's JSON. Status and headers stay.
pub(super) fn replace(response: &mut Response<Body>, problem: &Problem, trace: &Trace) {
    let (title, text) = words_of(problem, response.status());
    let trace_id = trace.trace_id;
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n\
         <h1>{title}</h1>\n<p>{text}</p>\n<p><small>Trace {trace_id}</small></p>\n</html>\n"
    );
    *response.body_mut() = Body::Full(Bytes::from(html));
    set(response, CONTENT_SECURITY_POLICY, &POLICY);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// Returns the heading and the text of the page about a problem that has this status.
pub(super) fn words_of(problem: &Problem, status: StatusCode) -> (&'static str, &'static str) {
    match problem {
        Problem::NoRoute => NO_ROUTE,
        // Waiting does not help here.
        Problem::Refused(Refusal::Overdrawn) => words(StatusCode::BAD_REQUEST),
        _ => words(status),
    }
}

/// Says that another `Accept` would have had another answer. Said of JSON and of pages.
pub(super) fn depends_on_accept(response: &mut Response<Body>) {
    response
        .headers_mut()
        .append(VARY, HeaderValue::from_static("Accept"));
}

fn words(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        401 => (
            "This link does not open",
            "It has expired or is not valid. Please ask whoever sent it to you for a new one.",
        ),
        409 => (
            "Please try again later",
            "This link is being used by somebody else. It may be free again later.",
        ),
        410 => (
            "This link has been used",
            "It can be used no more often. Please ask whoever sent it to you for a new one.",
        ),
        404 => (
            "This file is not here",
            "It does not exist or has been deleted.",
        ),
        429 => (
            "Please wait a moment",
            "There were too many requests just now. A little later it works again.",
        ),
        503 => (
            "Please try again",
            "The service is busy. A moment later it may work.",
        ),
        400..=499 => (
            "This cannot be done",
            "The request asks for something that this link does not give.",
        ),
        _ => (
            "Something went wrong",
            "The fault is on our side. A moment later it may work.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_for_those_who_name_html() {
        let wanted = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            is_wanted(&headers)
        };
        for yes in [
            "text/html",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "*/*, TEXT/HTML ; q=0.1",
        ] {
            assert!(wanted(yes), "{yes}");
        }
        for no in [
            "*/*",
            "text/*",
            "application/json",
            "text/html;q=0",
            "text/html; q=0.000",
            "text/htmlx",
            "",
        ] {
            assert!(!wanted(no), "{no}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }
}
