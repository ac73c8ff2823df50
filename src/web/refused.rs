//! The answer to a request that is refused: in the envelope of the path's API dialect, or for a person as a
//! page.

use hyper::header::{
    ALLOW, AUTHORIZATION, CONNECTION, CONTENT_RANGE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::body::Body;
use super::context::RequestContext;
use super::dialects::{ApiDialect, aitronos, koodrive, qoder};
use super::problem::Problem;
use super::reply::RETRY_AFTER_SECONDS;
use super::route::Route;
use super::{page, reply, share, verify};
use crate::gateway::refusal::{Refusal, whole_seconds};

/// Returns the answer to a problem, in the words of the API dialect or, for a person, as a page: where the
/// answer is about a link, and at an address that leads nowhere.
pub(super) fn answer(context: &RequestContext<'_>, problem: &Problem) -> Response<Body> {
    let (request, trace) = (context.request, &context.trace);
    let instead = match context.is_verify() {
        true => verify::instead_of(problem),
        false => None,
    };
    let problem = instead.as_ref().unwrap_or(problem);
    let mut response = enveloped(context, problem);
    explain(&mut response, problem);
    let is_about_a_link = context.is_about_a_link();
    let is_missing = response.status() == StatusCode::NOT_FOUND;
    if is_about_a_link || is_missing {
        let is_for_a_person = is_about_a_link || is_without_key(request);
        let is_wanted = is_for_a_person && page::is_wanted(&request.headers);
        if is_wanted && let Some(Route::Share(at)) = context.matched.call {
            share::replace(context, at, problem, &mut response);
            return response;
        }
        if is_wanted {
            page::replace(&mut response, problem, context.page_context(), trace);
        }
        page::depends_on_accept(&mut response, is_wanted);
    }
    response
}

/// Returns the problem in the dialect's own envelope.
fn enveloped(context: &RequestContext<'_>, problem: &Problem) -> Response<Body> {
    let trace = &context.trace;
    match context.matched.dialect {
        ApiDialect::Aitronos => {
            let now = context.gateway().clock().now();
            aitronos::refusal::answer(problem, trace, now)
        }
        ApiDialect::Qoder => {
            let generation = context.settings().qoder_generation;
            let generation = generation.of(&context.request.headers);
            let named = context.matched.call.and_then(|call| call.names().1);
            qoder::refusal::answer(problem, named.unwrap_or(""), trace, generation)
        }
        ApiDialect::KooDrive => koodrive::refusal::answer(problem, trace),
    }
}

/// Says in headers what a client can do about a problem. They mean the same in every dialect.
fn explain(response: &mut Response<Body>, problem: &Problem) {
    let (name, value) = match problem {
        Problem::Refused(Refusal::Link(_) | Refusal::PasswordNeeded { .. }) => {
            (WWW_AUTHENTICATE, "SignedUrl".to_owned())
        }
        Problem::Refused(refusal) if refusal.is_of_the_key() => {
            (WWW_AUTHENTICATE, "Bearer realm=\"hallpass\"".to_owned())
        }
        Problem::Refused(Refusal::TooMany { wait, .. } | Refusal::DownloadsHeld { wait }) => {
            (RETRY_AFTER, whole_seconds(*wait).to_string())
        }
        Problem::Refused(Refusal::Unavailable(_)) => (RETRY_AFTER, RETRY_AFTER_SECONDS.to_owned()),
        Problem::MethodNotAllowed { allowed } => (ALLOW, allowed.join(", ")),
        // The end of such a request is a guess, so nothing behind it is read as one.
        // Nor is one read where we stopped reading.
        Problem::BadHead(_)
        | Problem::UnknownCoding
        | Problem::BodyTooSlow { .. }
        | Problem::UploadTooLong { .. } => (CONNECTION, "close".to_owned()),
        Problem::RangeNotSatisfiable { size } => (CONTENT_RANGE, format!("bytes */{size}")),
        _ => return,
    };
    reply::set(response, name, &value);
}

/// Returns whether a request only looks, and shows no API key: a person's browser does that. A program of an API
/// may name `text/html`, too, but it shows its key.
fn is_without_key(request: &Parts) -> bool {
    let looks = request.method == Method::GET || request.method == Method::HEAD;
    let has = |name: &str| request.headers.contains_key(name);
    looks && !has(AUTHORIZATION.as_str()) && !has("x-api-key")
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::*;
    use crate::model::time::UnixSeconds;
    use crate::web::trace::Trace;
    use qoder::generation::Generation;

    #[test]
    fn a_slow_body_is_a_408_in_every_dialect_and_ends_the_connection() {
        let trace = Trace::of(&HeaderMap::new(), ApiDialect::Aitronos, false);
        for problem in [
            Problem::BodyTooSlow { seconds: 30 },
            Problem::UploadTooLong { seconds: 30 },
        ] {
            for mut answer in [
                aitronos::refusal::answer(&problem, &trace, UnixSeconds::EPOCH),
                qoder::refusal::answer(&problem, "", &trace, Generation::First),
                koodrive::refusal::answer(&problem, &trace),
            ] {
                explain(&mut answer, &problem);
                assert_eq!(answer.status().as_u16(), 408);
                assert_eq!(answer.headers().get(CONNECTION).unwrap(), "close");
            }
        }
    }
}
