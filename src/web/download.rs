//! The byte route: `GET|HEAD /v1/organizations/{organization}/files/{file}/download?expires&token`.
//!
//! One route opens every signed URL, whoever minted it, in this order:
//!
//! 1. the gateway verifies the link and opens the file, or refuses;
//! 2. a `Range` is read, and set aside where `If-Range` says that the client has other bytes;
//! 3. the headers are written, the same for `HEAD`;
//! 4. the bytes are streamed as the client takes them.

use std::time::{Duration, UNIX_EPOCH};

use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{HeaderMap, Method, Response, StatusCode};

use super::body::Body;
use super::problem::Problem;
use super::reply::set;
use crate::gateway::download::Download;
use crate::model::file::FileRecord;
use crate::model::range::{RangeRequest, Selection};

/// What a file that could run in a browser is served under: it may show itself, and do nothing else.
/// Passive types have none, since a sandbox breaks the PDF viewer.
const SANDBOX: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox";

const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// Answers with an opened file, or with the part of it that the headers ask for.
pub(super) fn answer(
    method: &Method,
    headers: &HeaderMap,
    download: Download,
) -> Result<Response<Body>, Problem> {
    let size = download.file.size;
    // On HEAD a Range means nothing (RFC 9110, §14.2).
    let selection = if method == Method::HEAD {
        Selection::Whole
    } else {
        selected(headers, &download.file)
    };
    let mut response = Response::new(Body::Empty);
    describe(&mut response, &download);
    let range = match selection {
        Selection::Whole => 0..size,
        Selection::Unsatisfiable => return Err(Problem::RangeNotSatisfiable { size }),
        Selection::Part(range) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let last = range.end - 1;
            set(
                &mut response,
                CONTENT_RANGE,
                &format!("bytes {}-{last}/{size}", range.start),
            );
            range
        }
    };
    *response.body_mut() = Body::region(download.content, range.start, range.end);
    Ok(response)
}

/// What the request's `Range` selects. Anything that is not one well-formed range of bytes is ignored,
/// as RFC 9110 §14.2 allows.
fn selected(headers: &HeaderMap, file: &FileRecord) -> Selection {
    let mut lines = headers.get_all(RANGE).iter();
    let only = lines.next().filter(|_| lines.next().is_none());
    let range = only
        .and_then(|line| line.to_str().ok())
        .and_then(RangeRequest::parse);
    match range {
        Some(range) if has_same_bytes(headers, file) => range.resolve(file.size),
        _ => Selection::Whole,
    }
}

/// Whether `If-Range`, if there is one, names the bytes that we have (RFC 9110, §13.1.5). A date counts
/// as strong: bytes never change under an id.
fn has_same_bytes(headers: &HeaderMap, file: &FileRecord) -> bool {
    let Some(condition) = headers.get(IF_RANGE) else {
        return true;
    };
    let Ok(condition) = condition.to_str() else {
        return false;
    };
    condition == etag(file) || condition == last_modified(file)
}

fn describe(response: &mut Response<Body>, download: &Download) {
    let file = &download.file;
    set(response, CONTENT_TYPE, download.media_type.as_str());
    set(response, CONTENT_DISPOSITION, &download.disposition);
    set(response, ETAG, &etag(file));
    set(response, LAST_MODIFIED, &last_modified(file));
    set(
        response,
        REPR_DIGEST,
        &format!("sha-256=:{}:", file.sha256.to_base64()),
    );
    let headers = response.headers_mut();
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("private, max-age=3600"),
    );
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        X_ROBOTS_TAG,
        HeaderValue::from_static("noindex, nofollow, noarchive"),
    );
    headers.insert(
        CROSS_ORIGIN_RESOURCE_POLICY,
        HeaderValue::from_static("cross-origin"),
    );
    // Whatever the link's own claim calls the bytes, both types must be harmless to go without.
    if !(download.media_type.is_passive() && file.media_type.is_passive()) {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
    }
}

/// Strong: the SHA-256 of the bytes.
fn etag(file: &FileRecord) -> String {
    format!("\"{}\"", file.sha256.to_hex())
}

/// When the file became ready, as an HTTP date (RFC 9110, §5.6.7).
fn last_modified(file: &FileRecord) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(file.updated_at.get()))
}
