//! The byte route: `GET|HEAD /v1/organizations/{organization}/files/{file}/download?expires&token`.
//!
//! One route opens every signed URL, whoever minted it. The gateway has verified the link and opened the
//! file before anything here happens; then, in this order (RFC 9110, §13.2.2):
//!
//! 1. the conditions are evaluated: 412, 304, or on;
//! 2. a `Range` is read on GET, and set aside where `If-Range` says that the client has other bytes;
//! 3. the headers are written, the same for HEAD;
//! 4. the bytes, one part or several parts of them are streamed as the client takes them.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use hyper::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use hyper::{HeaderMap, Method, Response, StatusCode};

use super::body::Body;
use super::digest::REPR_DIGEST;
use super::problem::Problem;
use super::reply::set;
use super::{Exchange, handover, redirect};
use crate::gateway::download::Download;
use crate::model::condition::{Conditions, EntityTags, Outcome, Validators, http_date};
use crate::model::range::{RangeSet, Selection};

/// An answer of the byte route.
pub(super) struct Answer {
    pub(super) response: Response<Body>,
    /// What its head says besides the response's own headers, line by line.
    pub(super) lines: Option<Bytes>,
    /// True if the body is the whole file: all of it, or one range that is all of it. Several ranges never
    /// are, since those that touch are joined to one.
    pub(super) is_whole_file: bool,
}

/// An answer without bytes of the file.
impl From<Response<Body>> for Answer {
    fn from(response: Response<Body>) -> Self {
        Self {
            response,
            lines: None,
            is_whole_file: false,
        }
    }
}

/// Answers with an opened file, or with the part of it that the headers ask for; where the store itself gives
/// the bytes at a URL, with that. `takes_lines`: the connection can add ready lines to a head.
pub(super) fn answer(
    exchange: &Exchange<'_>,
    download: Download,
    url_of_store: Option<HeaderValue>,
    takes_lines: bool,
) -> Result<Answer, Problem> {
    let (method, headers) = (&exchange.request.method, &exchange.request.headers);
    let settings = exchange.settings;
    let now = || exchange.gateway.clock().now();
    let head = exchange.heads.of(&download, settings);
    let lives = settings
        .cap_cache_to_expiry
        .then(|| download.ends().since(now()));
    let mut response = Response::new(Body::Empty);
    let asks_more = asks_more(headers);
    let outcome = match asks_more {
        true => conditions(headers).evaluate(&head.validators),
        false => Outcome::Send,
    };
    match outcome {
        Outcome::Failed => return Err(Problem::PreconditionFailed),
        Outcome::NotModified => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.headers_mut() = head.of_not_modified(lives);
            return Ok(response.into());
        }
        Outcome::Send => {}
    }
    if let Some(url) = url_of_store {
        *response.headers_mut() = head.of_not_modified(lives);
        redirect::send_on(&mut response, url);
        return Ok(response.into());
    }
    // On HEAD a Range means nothing (RFC 9110, §14.2).
    let selection = if method == Method::HEAD || !asks_more {
        Selection::Whole
    } else {
        selected(headers, &head.validators, download.file.size)
    };
    let handover = settings.handover.as_ref();
    let handed_over = handover
        .filter(|_| handover::is_possible(exchange.request))
        .and_then(|handover| {
            let path = exchange.gateway.path_below_data_dir(&download.file)?;
            handover.header(&path)
        });
    // A head with nothing behind it is not one that lines can be added to, and several parts have a type
    // of their own.
    let is_one_part = matches!(selection, Selection::Whole | Selection::Part(_));
    let is_sent = handed_over.is_none() && is_one_part && download.file.size > 0;
    let digest = head.digest_asked_for(headers);
    let lines = match takes_lines && is_sent && digest.is_none() {
        true => head.lines(lives),
        false => None,
    };
    if lines.is_none() {
        *response.headers_mut() = head.whole(lives);
    }
    if let Some(digest) = digest {
        response.headers_mut().insert(REPR_DIGEST, digest.clone());
    }
    let is_whole_file = method != Method::HEAD && selection.is_all_of(download.file.size);
    match handed_over {
        // Which part is sent, if any can be, is for the proxy to say.
        Some((name, file)) if selection != Selection::Unsatisfiable => {
            response.headers_mut().insert(name, file);
        }
        _ => send(
            &mut response,
            selection,
            download,
            exchange.trace.trace_id.as_str(),
        )?,
    }
    Ok(Answer {
        response,
        lines,
        is_whole_file,
    })
}

/// Whether there is a condition or a `Range`: most requests have none, and are looked through once.
fn asks_more(headers: &HeaderMap) -> bool {
    let asks = [
        IF_MATCH,
        IF_MODIFIED_SINCE,
        IF_NONE_MATCH,
        IF_UNMODIFIED_SINCE,
        RANGE,
    ];
    headers.keys().any(|name| asks.contains(name))
}

/// The request's conditions. Several lines of one header count as one list; a date that is there twice,
/// or is none, is ignored.
fn conditions(headers: &HeaderMap) -> Conditions {
    let date = |name: HeaderName| {
        let mut lines = headers.get_all(name).iter();
        let only = lines.next().filter(|_| lines.next().is_none());
        only.and_then(|line| line.to_str().ok()).and_then(http_date)
    };
    let tags = |name: HeaderName| {
        let lines = headers.get_all(name).iter();
        let texts: Vec<_> = lines
            .map(|line| String::from_utf8_lossy(line.as_bytes()))
            .collect();
        (!texts.is_empty()).then(|| EntityTags::parse(&texts.join(",")))
    };
    Conditions {
        if_match: tags(IF_MATCH),
        if_unmodified_since: date(IF_UNMODIFIED_SINCE),
        if_none_match: tags(IF_NONE_MATCH),
        if_modified_since: date(IF_MODIFIED_SINCE),
    }
}

/// What the request's `Range` selects. A header that is there twice or is malformed is ignored, as
/// RFC 9110 §14.2 allows.
fn selected(headers: &HeaderMap, validators: &Validators, size: u64) -> Selection {
    let mut lines = headers.get_all(RANGE).iter();
    let only = lines.next().filter(|_| lines.next().is_none());
    let ranges = only
        .and_then(|line| line.to_str().ok())
        .and_then(RangeSet::parse);
    let Some(ranges) = ranges else {
        return Selection::Whole;
    };
    let same_bytes = headers.get(IF_RANGE).is_none_or(|condition| {
        condition
            .to_str()
            .is_ok_and(|condition| validators.let_range_through(condition))
    });
    if same_bytes {
        ranges.resolve(size)
    } else {
        Selection::Whole
    }
}

fn send(
    response: &mut Response<Body>,
    selection: Selection,
    download: Download,
    boundary: &str,
) -> Result<(), Problem> {
    let size = download.file.size;
    let body = match selection {
        Selection::Whole => {
            if size == 0 {
                // hyper leaves a length of 0 out of its answer to HEAD.
                set(response, CONTENT_LENGTH, "0");
            }
            Body::region(download.content, 0, size)
        }
        Selection::Unsatisfiable => return Err(Problem::RangeNotSatisfiable { size }),
        Selection::Part(range) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            set(response, CONTENT_RANGE, &content_range(&range, size));
            Body::region(download.content, range.start, range.end)
        }
        Selection::Parts(ranges) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            set(
                response,
                CONTENT_TYPE,
                &format!("multipart/byteranges; boundary={boundary}"),
            );
            parts(&ranges, &download, boundary)
        }
    };
    *response.body_mut() = body;
    Ok(())
}

/// Several parts as `multipart/byteranges` (RFC 9110, §14.6). The boundary is drawn anew for every
/// answer, so no file can hold it on purpose.
fn parts(ranges: &[Range<u64>], download: &Download, boundary: &str) -> Body {
    let mut bodies = VecDeque::new();
    for range in ranges {
        let (kind, place) = (
            download.content_type(),
            content_range(range, download.file.size),
        );
        let head =
            format!("\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {place}\r\n\r\n");
        bodies.push_back(Body::Full(Bytes::from(head)));
        bodies.push_back(Body::region(
            download.content.clone(),
            range.start,
            range.end,
        ));
    }
    bodies.push_back(Body::Full(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
    Body::Sequence(bodies)
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}
