//! The byte route: `GET|HEAD /v1/organizations/{organization}/files/{file}/download?expires&token`.
//!
//! One route opens every signed URL, whoever minted it. [`answer`] takes these steps:
//!
//! 1. a preflight is answered, for which browsers send no link along;
//! 2. a request without a link's parameters that sends a key wants a link minted: that is the Aitronos dialect's;
//! 3. the link is verified, in memory (`gateway/download.rs`);
//! 4. the limits admit its link and its organization (`gateway/limits`);
//! 5. its file is opened, or left with a store that gives the bytes itself (`redirect.rs`);
//! 6. the conditions are evaluated (`conditional.rs`; RFC 9110, §13.2.2): 412, 304, or on;
//! 7. a `Range` is read on GET, and set aside where `If-Range` says that the client has other bytes;
//! 8. the head is written, the same for HEAD (`response_head.rs`), or one for the proxy that sends the file
//!    (`offload.rs`);
//! 9. the bytes, one part or several parts of them are the body (`body.rs`), which the kernel sends or which is read
//!    as the client takes it, perhaps throttled;
//! 10. the response tracker is told of the download (`response_tracker.rs`).

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};

use super::body::Body;
use super::context::RequestContext;
use super::dialects::aitronos;
use super::digest::REPR_DIGEST;
use super::file_path::FilePath;
use super::offload::CountedHandover;
use super::problem::Problem;
use super::recorder::{Downloaded, TrackedDownload};
use super::region::RegionOptions;
use super::reply::{self, set};
use super::trace::TraceId;
use super::{Arrival, conditional, cors, credential, offload, redirect};
use crate::gateway::download::{Download, LinkRequest, names_a_link};
use crate::gateway::limits::Admitted;
use crate::model::condition::PreconditionOutcome;
use crate::model::range::Selection;

/// Answers a request for the bytes of a file. A request that has a link's parameters is a link, whatever key it
/// sends along.
pub(super) async fn answer(
    context: &mut RequestContext<'_>,
    at: FilePath<'_>,
    arrival: &Arrival,
) -> Result<Response<Body>, Problem> {
    let (gateway, request, query) = (context.gateway(), context.request, context.query());
    // 1.
    if request.method == Method::OPTIONS {
        return Ok(preflight(context));
    }
    // 2.
    if credential::names_a_key(&request.headers) && !names_a_link(query) {
        return Box::pin(aitronos::mint(context, at)).await;
    }
    // 3.
    let link = LinkRequest {
        organization: at.organization,
        file: at.file,
        query,
        client: context.client,
    };
    let verified = gateway.verify_link(&link).await?;
    let link_id = verified.link_id();
    context.link_id = Some(link_id);
    let in_force = verified.in_force().clone();
    // 4.
    gateway.limits().admit_link(&verified)?;
    let admitted = match request.method {
        Method::GET => gateway
            .limits()
            .admit_download(&verified, context.counted)?,
        _ => None,
    };
    // 5. Boxed, so that where bytes are streamed nobody needs room for it.
    let sent_on = match context.settings().redirects {
        true => Box::pin(redirect::url(context, &link, &verified)).await?,
        false => None,
    };
    let (opened, url) = match sent_on {
        Some((left, url)) => (left, Some(url)),
        None => (gateway.open_verified(verified).await?, None),
    };
    let is_in_memory = opened.content.bytes().is_some();
    let (what, expires) = (Downloaded::File(Arc::clone(&opened.file)), opened.expires);
    let options = arrival.region_options(context, link_id, admitted.as_ref());
    // 6 to 9.
    let handover = Handover::Allowed { url };
    let (mut response, is_whole) = respond(context, opened, handover, &options)?;
    let offload = context.settings().offload.as_ref();
    let is_handed_over = response.status() == StatusCode::FOUND
        || offload.is_some_and(|offload| offload.is_in(response.headers()));
    if is_in_memory && let Some(pace) = options.admitted.and_then(Admitted::pace) {
        response.body_mut().throttle(pace);
    }
    // 10.
    context.download = Some(TrackedDownload {
        what,
        link: link_id,
        share: None,
        in_force,
        expires,
        client: context.client,
        trace_id: context.trace.trace_id,
        is_head: request.method == Method::HEAD,
        status: response.status().as_u16(),
        is_handed_over,
        is_whole,
        counted: None,
        ticket: None,
        _admitted: admitted.map(Box::new),
    });
    Ok(response)
}

/// The ways that the bytes may go out.
pub(super) enum Handover {
    /// Also by a proxy, or by the store at this URL.
    Allowed {
        /// The URL, if there is one.
        url: Option<HeaderValue>,
    },
    /// Under a head of their own: by this gateway alone, which counts them, or also by a proxy.
    Counted(CountedHandover),
}

/// Answers a preflight for bytes.
pub(super) fn preflight(context: &RequestContext<'_>) -> Response<Body> {
    let mut response = reply::empty(StatusCode::NO_CONTENT, &context.trace);
    set(&mut response, ALLOW, "GET, HEAD, OPTIONS");
    cors::answer_preflight("GET, HEAD", &context.request.headers, &mut response);
    response
}

/// Responds with an opened file, or with the part of it that the headers ask for; where the store itself may give
/// the bytes at a URL, with that.
///
/// Returns true beside the response if its body is the whole file: all of it, or one range that is all of it. Several
/// ranges never are, since those that touch are joined to one.
pub(super) fn respond(
    context: &mut RequestContext<'_>,
    opened: Download,
    handover: Handover,
    options: &RegionOptions<'_>,
) -> Result<(Response<Body>, bool), Problem> {
    let (method, headers) = (&context.request.method, &context.request.headers);
    let (settings, size) = (context.settings(), opened.file.size);
    let head = context.shared.heads.of(&opened, settings);
    let lives = settings
        .cap_cache_to_expiry
        .then(|| opened.ends().since(context.gateway().clock().now()));
    let mut response = Response::new(Body::Empty);
    let is_conditional = conditional::is_there(headers);
    // 6.
    let outcome = match is_conditional {
        true => conditional::conditions(headers).evaluate(&head.validators),
        false => PreconditionOutcome::Send,
    };
    match outcome {
        PreconditionOutcome::Failed => return Err(Problem::PreconditionFailed),
        PreconditionOutcome::NotModified => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.headers_mut() = head.of_not_modified(lives);
            return Ok((response, false));
        }
        PreconditionOutcome::Send => {}
    }
    let is_counted = matches!(handover, Handover::Counted(_));
    let is_streamed = matches!(handover, Handover::Counted(CountedHandover::Streamed));
    if let Handover::Allowed { url: Some(url) } = handover {
        *response.headers_mut() = head.of_not_modified(lives);
        redirect::send_on(&mut response, url);
        return Ok((response, false));
    }
    // 7. On HEAD a Range means nothing (RFC 9110, §14.2).
    let selection = if method == Method::HEAD || !is_conditional {
        Selection::Whole
    } else {
        conditional::selected(headers, &head.validators, size)
    };
    // 8.
    let handed_over = settings
        .offload
        .as_ref()
        .filter(|_| !is_streamed && offload::is_possible(context.request))
        .and_then(|offload| {
            let path = context.gateway().path_below_data_dir(&opened.file)?;
            offload.header(&path)
        });
    // A head with nothing behind it is not one that a block can be added to, and several parts have a type
    // of their own. A client that sends a body with a GET may be answered in other ways before it has sent all of it.
    let takes_block = options.takes_lines
        && method == Method::GET
        && !context.body.is_unread()
        && handed_over.is_none()
        && matches!(selection, Selection::Whole | Selection::Part(_))
        && size > 0;
    let digest = head.digest_asked_for(headers);
    if takes_block && digest.is_none() {
        context.header_block = head.header_block(lives, is_counted);
    }
    if context.header_block.is_none() {
        *response.headers_mut() = head.whole(lives);
        let digest = digest.map(|digest| (REPR_DIGEST, digest.clone()));
        response.headers_mut().extend(digest);
    }
    if let (Selection::Part(range), None) = (&selection, &handed_over) {
        say_range(context, &mut response, &content_range(range, size));
    }
    let is_whole_file = method != Method::HEAD && selection.is_all_of(size);
    // 9.
    match handed_over {
        // The proxy says which part is sent, if any can be.
        Some((name, file)) if selection != Selection::Unsatisfiable => {
            response.headers_mut().insert(name, file);
        }
        _ => {
            let boundary = context.trace.trace_id;
            send(&mut response, selection, opened, boundary, options)?;
        }
    }
    Ok((response, is_whole_file))
}

/// Says in the head which part of the file its body is: in the header block, where there is one.
fn say_range(context: &mut RequestContext<'_>, response: &mut Response<Body>, place: &str) {
    match &mut context.header_block {
        Some(block) => {
            *block = [b"Content-Range: ", place.as_bytes(), b"\r\n", block]
                .concat()
                .into();
        }
        None => set(response, CONTENT_RANGE, place),
    }
}

/// Makes the selected bytes the body.
fn send(
    response: &mut Response<Body>,
    selection: Selection,
    opened: Download,
    boundary: TraceId,
    options: &RegionOptions<'_>,
) -> Result<(), Problem> {
    let size = opened.file.size;
    let body = match selection {
        Selection::Whole => {
            if size == 0 {
                // hyper leaves a length of 0 out of its answer to HEAD.
                set(response, CONTENT_LENGTH, "0");
            }
            Body::region(opened.content, 0, size, options)
        }
        Selection::Unsatisfiable => return Err(Problem::RangeNotSatisfiable { size }),
        Selection::Part(range) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            Body::region(opened.content, range.start, range.end, options)
        }
        Selection::Parts(ranges) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            set(
                response,
                CONTENT_TYPE,
                &format!("multipart/byteranges; boundary={boundary}"),
            );
            parts(&ranges, &opened, boundary.as_str(), options)
        }
    };
    *response.body_mut() = body;
    Ok(())
}

/// Several parts as `multipart/byteranges` (RFC 9110, §14.6). The boundary is drawn anew for every
/// answer, so no file can hold it on purpose.
fn parts(
    ranges: &[Range<u64>],
    opened: &Download,
    boundary: &str,
    options: &RegionOptions<'_>,
) -> Body {
    let mut bodies = VecDeque::new();
    for range in ranges {
        let kind = opened.content_type();
        let place = content_range(range, opened.file.size);
        let head =
            format!("\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {place}\r\n\r\n");
        bodies.push_back(Body::Full(Bytes::from(head)));
        let content = opened.content.clone();
        bodies.push_back(Body::region(content, range.start, range.end, options));
    }
    bodies.push_back(Body::Full(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
    Body::Sequence(bodies)
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}
