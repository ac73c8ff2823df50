//! Response builders that all API dialects share.

use bytes::Bytes;
use hyper::body::Body as HttpBody;
use hyper::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response, StatusCode};

use super::body::Body;
use super::trace::{Trace, X_REQUEST_ID};

/// The seconds to wait before a retry of what is unavailable now.
pub(super) const RETRY_AFTER_SECONDS: &str = "1";

/// An answer in JSON that nobody may keep: it may hold a link, which is a credential, or an error, which
/// may be gone in a second.
pub(super) fn json(status: StatusCode, trace: &Trace, text: Vec<u8>) -> Response<Body> {
    let mut response = empty(status, trace);
    *response.body_mut() = Body::Full(Bytes::from(text));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode, trace: &Trace) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_REQUEST_ID, trace.request_id_header());
    response
}

/// A header value of our own making; one that is no header value after all is left out rather than
/// ever breaking an answer.
pub(super) fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Takes the content off an answer that has none: to HEAD, and of 1xx, 204 and 304 (RFC 9110, §6.4.1). The HTTP
/// library does so over HTTP/1 alone; over HTTP/2 it sends whatever body it is given.
///
/// An answer to HEAD says how long the content of the answer to GET is (RFC 9110, §8.6).
pub(super) fn omit_content<B: HttpBody + Default>(method: &Method, response: &mut Response<B>) {
    let status = response.status();
    let is_bare = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if is_bare {
        *response.body_mut() = B::default();
        if status != StatusCode::NOT_MODIFIED {
            response.headers_mut().remove(CONTENT_LENGTH);
        }
    } else if method == Method::HEAD {
        let body = std::mem::take(response.body_mut());
        if let Some(length) = body.size_hint().exact() {
            let headers = response.headers_mut();
            headers.entry(CONTENT_LENGTH).or_insert(length.into());
        }
    }
}
