//! What all pages for people have in common: their style, the policy that lets them have it, and the headers that keep
//! them out of caches and indexes.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY, VARY,
};
use hyper::{Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::body::Body;
use super::reply;
use super::trace::Trace;

/// The style of pages. It stands in each of them as it is here, for its digest is in their policy.
pub(super) const STYLE: &str = include_str!("templates/page.css");

/// Lets the page have its own style, media of this origin, and forms that lead to it. A form's answer is held to the
/// last one, too: the download that it is sent on to must be of this origin.
#[expect(
    clippy::expect_used,
    reason = "base64 and our own words are good in a header"
)]
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; img-src 'self'; media-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).expect("visible ASCII")
});

/// Returns the answer that is this page.
pub(super) fn answer(status: StatusCode, html: String, trace: &Trace) -> Response<Body> {
    written(status, html, trace).map(Body::Full)
}

/// Returns the same, in memory.
pub(super) fn written(status: StatusCode, html: String, trace: &Trace) -> Response<Bytes> {
    let mut response = reply::empty(status, trace).map(|_| Bytes::from(html));
    put_headers(response.headers_mut());
    response
}

/// Puts a page in the place of what an answer has. Its status and its other headers stay.
pub(super) fn put(response: &mut Response<Body>, html: String) {
    *response.body_mut() = Body::Full(Bytes::from(html));
    put_headers(response.headers_mut());
}

fn put_headers(headers: &mut HeaderMap) {
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("x-robots-tag"),
            "noindex, nofollow, noarchive",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (VARY, "Cookie, Accept"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
}

/// A media type without its parameters.
pub(super) fn essence(media_type: &str) -> &str {
    media_type
        .split_once(';')
        .map_or(media_type, |(essence, _)| essence)
        .trim_end()
}

/// Puts values where a text has `{}`, in their order.
pub(super) fn fill(text: &str, values: &[impl AsRef<str>]) -> String {
    let mut filled = String::new();
    let mut values = values.iter();
    for (at, part) in text.split("{}").enumerate() {
        if at > 0 {
            let value = values.next();
            debug_assert!(value.is_some(), "a value for each {{}} of {text}");
            filled.extend(value.map(AsRef::as_ref));
        }
        filled.push_str(part);
    }
    filled
}
