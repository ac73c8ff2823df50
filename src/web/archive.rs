//! The answer that is a zip archive: the conditions, the range and the head of one, and its body.
//!
//! It is the byte route's answer (`download.rs`, steps 6 to 9) with three differences: it has no date, since a file may go
//! without any other becoming newer; several ranges of one are answered with all of it; and where a CRC-32 is not known
//! there are neither an entity tag nor ranges, since its bytes are known only once they were read. No cache may keep one.

use std::sync::Arc;

use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderValue,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::archive_body::ArchiveBody;
use super::body::Body;
use super::conditional;
use super::problem::Problem;
use super::region::RegionOptions;
use super::reply::set;
use super::response_head::{NOT_STORED, link_protection};
use crate::gateway::Gateway;
use crate::gateway::archives::Archive;
use crate::model::condition::{PreconditionOutcome, Validators};
use crate::model::disposition::Disposition;
use crate::model::name::FileName;
use crate::model::range::Selection;

const ZIP: HeaderValue = HeaderValue::from_static("application/zip");

/// Responds to GET or HEAD with an archive under this name, or with the part of it that the headers ask for. The files
/// are opened one after the other as the client takes them: one that is deleted or damaged by then aborts the answer.
///
/// Returns true beside the response if its body is the whole archive.
///
/// # Errors
/// [`Problem::PreconditionFailed`], and [`Problem::RangeNotSatisfiable`] for one range that lies outside.
pub fn respond(
    (gateway, resource_policy): (&Arc<Gateway>, &HeaderValue),
    request: &Parts,
    (archive, name): (&Arc<Archive>, &FileName),
    options: &RegionOptions<'_>,
) -> Result<(Response<Body>, bool), Problem> {
    let (headers, layout) = (&request.headers, archive.layout());
    let validators = Validators {
        etag: layout.etag(),
        last_modified: None,
    };
    let mut response = Response::new(Body::Empty);
    describe(&mut response, &validators, name, resource_policy);
    match conditional::conditions(headers).evaluate(&validators) {
        PreconditionOutcome::Failed => return Err(Problem::PreconditionFailed),
        PreconditionOutcome::NotModified => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            for of_the_bytes in [CONTENT_TYPE, CONTENT_DISPOSITION, ACCEPT_RANGES] {
                response.headers_mut().remove(of_the_bytes);
            }
            return Ok((response, false));
        }
        PreconditionOutcome::Send => {}
    }
    let size = layout.length();
    // On HEAD a Range means nothing (RFC 9110, §14.2).
    let selection = match validators.etag {
        Some(_) if request.method == Method::GET => {
            conditional::selected(headers, &validators, size)
        }
        _ => Selection::Whole,
    };
    let (start, end) = match selection {
        Selection::Whole | Selection::Parts(_) => (0, size),
        Selection::Unsatisfiable => return Err(Problem::RangeNotSatisfiable { size }),
        Selection::Part(range) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let place = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            set(&mut response, CONTENT_RANGE, &place);
            (range.start, range.end)
        }
    };
    let body = ArchiveBody::new(gateway, Arc::clone(archive), (start, end), options);
    *response.body_mut() = Body::Archive(Box::new(body));
    let is_whole = request.method == Method::GET && (start, end) == (0, size);
    Ok((response, is_whole))
}

/// Writes the head of every answer with an archive.
fn describe(
    response: &mut Response<Body>,
    validators: &Validators,
    name: &FileName,
    resource_policy: &HeaderValue,
) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, ZIP);
    headers.insert(CACHE_CONTROL, NOT_STORED);
    headers.extend(link_protection(resource_policy));
    let disposition = Disposition::Attachment.header(name);
    set(response, CONTENT_DISPOSITION, &disposition);
    if let Some(etag) = &validators.etag {
        set(response, ETAG, etag);
        set(response, ACCEPT_RANGES, "bytes");
    }
}
