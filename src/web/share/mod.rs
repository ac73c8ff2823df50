//! Shares: `/s/{code}` and what lies below it (`path.rs`), the pages for people.
//!
//! Whoever has the code of a share has the share, unless it has a password. `answer` takes these steps:
//!
//! 1. the share is found by its code, and judged as it is now (`gateway/shares.rs`);
//! 2. its limits admit the request;
//! 3. what is asked for is answered: the page (`page.rs`) shows what is in the share and spends nothing; `open.rs` takes
//!    the password, and starts downloads; `bytes.rs` gives files by their numbers, and what was started by its ticket;
//!    `qr.rs` draws the page's address.
//!
//! Pages set cookies (`cookies.rs`), and so does the answer that sends a browser on; answers with bytes never do.

use hyper::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
};
use hyper::{Method, Response, StatusCode};

use super::body::Body;
use super::context::RequestContext;
use super::problem::Problem;
use super::{Arrival, html, reply};
use crate::gateway::refusal::Refusal;

use path::{SharePart, SharePath};

mod bytes;
mod cookies;
mod form;
mod list;
mod open;
mod page;
pub mod path;
mod qr;

/// Lets a drawing have its own shapes and nothing else.
const DRAWING_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Answers a request for a share.
pub(super) async fn answer(
    context: &mut RequestContext<'_>,
    at: SharePath<'_>,
    arrival: &Arrival,
) -> Result<Response<Body>, Problem> {
    if context.request.method == Method::OPTIONS {
        return Ok(super::download::preflight(context));
    }
    // 1.
    let gateway = context.gateway();
    let share = gateway.open_share(at.code, context.client).await?;
    context.link_id = Some(share.link_id());
    // 2.
    gateway.limits().admit_link(&share)?;
    // 3.
    match at.part {
        SharePart::Page => list::answer(context, at.code, &share).await,
        SharePart::Open => open::answer(context, at.code, &share, arrival).await,
        SharePart::Qr => drawing(context, at.code),
        SharePart::File(position) => bytes::by_number(context, &share, position, arrival).await,
        SharePart::Ticket(ticket) => bytes::by_ticket(context, &share, ticket, arrival).await,
    }
}

/// Puts the page of a refusal in the place of an error's JSON: the question for the password, busy, or over. Status and
/// other headers stay.
pub(super) fn replace(
    context: &RequestContext<'_>,
    at: SharePath<'_>,
    problem: &Problem,
    response: &mut Response<Body>,
) {
    let path = || path::page(&context.shared.mount, at.code);
    let (page, trace) = (context.page_context(), context.trace.trace_id);
    let html = match problem {
        Problem::Refused(Refusal::PasswordNeeded { is_wrong }) => {
            page::password(page, &path(), *is_wrong)
        }
        Problem::Refused(Refusal::DownloadsHeld { wait }) => {
            page::busy(page, &path(), *wait, trace.as_str())
        }
        _ => {
            let message = super::page::message(page.texts, problem, response.status());
            page::over(page, message, trace.as_str())
        }
    };
    html::put(response, html, page);
}

/// Draws the address of the page.
fn drawing(context: &RequestContext<'_>, code: &str) -> Result<Response<Body>, Problem> {
    let url = page_url(context, code);
    let svg = qr::svg(&url);
    let svg = svg.ok_or_else(|| Refusal::Internal("the address of a page is too long".into()))?;
    let mut response = reply::empty(StatusCode::OK, &context.trace);
    *response.body_mut() = Body::Full(svg.into());
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "image/svg+xml"),
        (CONTENT_SECURITY_POLICY, DRAWING_POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("x-robots-tag"),
            "noindex, nofollow, noarchive",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// Returns the address of a share's page, as it is sent to others. It is a credential.
pub(super) fn page_url(context: &RequestContext<'_>, code: &str) -> String {
    path::page(&context.gateway().settings().public_base_url, code)
}
