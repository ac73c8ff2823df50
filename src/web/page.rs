//! A page for people: what a browser shows when a link that somebody clicked does not open.

use std::sync::LazyLock;

use askama::Template;
use bytes::Bytes;
use hyper::header::{
    ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, VARY,
};
use hyper::{HeaderMap, Response, StatusCode};

use super::body::Body;
use super::html::{Frame, PageContext, Policies, fill};
use super::problem::Problem;
use super::texts::{Message, Texts};
use super::trace::Trace;
use crate::gateway::refusal::Refusal;

/// Lets the page have its own style, and nothing else at all.
static POLICIES: LazyLock<Policies> =
    LazyLock::new(|| Policies::new("", "base-uri 'none'; form-action 'none'"));

/// What the template writes.
#[derive(Template)]
#[template(path = "refused.html", config = "src/web/templates/askama.toml")]
struct RefusalPage<'a> {
    frame: Frame<'a>,
    message: Message,
    trace: String,
}

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
#[expect(clippy::expect_used, reason = "a text takes whatever is written")]
pub(super) fn replace(
    response: &mut Response<Body>,
    problem: &Problem,
    page: PageContext<'_>,
    trace: &Trace,
) {
    let message = message(page.texts, problem, response.status());
    let html = RefusalPage {
        frame: Frame::new(page, message.heading),
        message,
        trace: fill(page.texts.trace, &[trace.trace_id.as_str()]),
    };
    let html = html.render().expect("every value is a text");
    *response.body_mut() = Body::Full(Bytes::from(html));
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICIES.of(page));
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// Returns what the page about a problem that has this status says.
pub(super) fn message(texts: &Texts, problem: &Problem, status: StatusCode) -> Message {
    let status = match problem {
        Problem::NoRoute => return texts.no_route,
        // Waiting does not help here.
        Problem::Refused(Refusal::Overdrawn) => StatusCode::BAD_REQUEST,
        _ => status,
    };
    match status.as_u16() {
        401 => texts.link_invalid,
        404 => texts.file_missing,
        409 => texts.in_use,
        410 => texts.used_up,
        429 => texts.too_many,
        503 => texts.unavailable,
        400..=499 => texts.not_possible,
        _ => texts.failed,
    }
}

/// Says that another `Accept` would have had another answer, and of a page that another `Accept-Language` would. Said of
/// JSON and of pages.
pub(super) fn depends_on_accept(response: &mut Response<Body>, is_page: bool) {
    let headers = if is_page {
        "Accept, Accept-Language"
    } else {
        "Accept"
    };
    response
        .headers_mut()
        .append(VARY, HeaderValue::from_static(headers));
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
