//! A counted link: `GET|HEAD|POST /v1/organizations/{organization}/files/{file}/redeem?expires&max-downloads&token`.
//!
//! Programs that look at links for people send GET and HEAD, so neither spends anything: a person is shown a page with
//! a button, and whoever else looks is told that POST starts a download. A link between machines may say that GET
//! does. [`answer`] takes these steps:
//!
//! 1. a preflight is answered;
//! 2. the link is verified, in memory (`gateway/redeem.rs`), and its limits admit the request;
//! 3. a request that only looks has its page, or its refusal, if the file is there;
//! 4. the body is read to its end and set aside: a form may have fields, and one that breaks off starts nothing;
//! 5. a download is started, or the client's own is found, as a detached operation (`detached.rs`);
//! 6. the answer sends the client on to its ticket. Where there is none left, a person is shown a page that says when there
//!    may be one.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{
    ALLOW, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, SET_COOKIE, USER_AGENT,
};
use hyper::{HeaderMap, Method, Response, StatusCode};

use super::body::Body;
use super::context::RequestContext;
use super::counted_page::{self, CountedFile, CountedState};
use super::file_path::FilePath;
use super::header::only_line;
use super::problem::Problem;
use super::reply::set;
use super::{Arrival, client_cookie, cors, page, reply, wire};
use crate::gateway::download::LinkRequest;
use crate::gateway::redeem::{RedeemMethod, Redeemer, Started, VerifiedCounted};
use crate::gateway::refusal::Refusal;
use crate::model::file::FileRecord;

/// The most of a body that is read.
const BODY_BYTES_MAX: u64 = 4 * 1024;

const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");

/// The headers in which a client says that it fetches what nobody has asked for (the Fetch standard, and before it).
const PURPOSES: [&str; 2] = ["sec-purpose", "purpose"];

/// Answers a request with a counted link.
pub(super) async fn answer(
    context: &mut RequestContext<'_>,
    at: FilePath<'_>,
    arrival: &Arrival,
) -> Result<Response<Body>, Problem> {
    let (gateway, request) = (context.gateway(), context.request);
    // 1.
    if request.method == Method::OPTIONS {
        return Ok(preflight(context));
    }
    // 2.
    let link = LinkRequest {
        organization: at.organization,
        file: at.file,
        query: context.query(),
        client: context.client,
    };
    let verified = gateway.verify_counted(&link).await?;
    context.link_id = Some(verified.link_id());
    gateway.limits().admit_link(&verified)?;
    // 3.
    let by_get = verified.claims().redeem() == RedeemMethod::Get;
    let is_get = request.method == Method::GET;
    if request.method != Method::POST && !(is_get && by_get) {
        return look(context, at, &verified).await;
    }
    if is_get && is_prefetch(&request.headers) {
        let why = "a download is not started ahead of time";
        return Err(Refusal::Unavailable(why.into()).into());
    }
    // 4.
    context.body.whole(BODY_BYTES_MAX).await?;
    // 5.
    let redeemer = redeemer(context, arrival);
    let prepared = gateway.prepare_redeem(&verified, &redeemer).await?;
    let file = prepared.file().cloned();
    let start = {
        let gateway = Arc::clone(gateway);
        async move { gateway.redeem(prepared).await }
    };
    let started = context.carry_out(start, |recorder, started| {
        if started.is_new {
            recorder.redeemed(started);
        }
    });
    // 6.
    match started.await {
        Ok(started) => Ok(sent_on(context, &started)),
        Err(refusal) => {
            context.page = none_left(context, &verified, file.as_deref(), &refusal).map(Box::new);
            Err(refusal.into())
        }
    }
}

/// Returns the page of a link that has no download left now, if it is to be read.
fn none_left(
    context: &RequestContext<'_>,
    link: &VerifiedCounted<'_>,
    file: Option<&FileRecord>,
    refusal: &Refusal,
) -> Option<Response<Bytes>> {
    let now = context.gateway().clock().now();
    let state = match refusal {
        Refusal::DownloadsHeld { wait } => CountedState::Held {
            file: shown(file?),
            until: now.plus(wait.as_secs()),
        },
        Refusal::DownloadsExhausted => CountedState::Exhausted {
            allowed: allowed(link),
        },
        _ => return None,
    };
    let is_wanted = page::is_wanted(&context.request.headers);
    is_wanted.then(|| counted_page::written(&state, now, context.page_context(), &context.trace))
}

fn shown(file: &FileRecord) -> CountedFile<'_> {
    CountedFile {
        name: file.name.as_str(),
        size: file.size,
        media_type: file.media_type.as_str(),
    }
}

fn allowed(link: &VerifiedCounted<'_>) -> u64 {
    u64::from(link.claims().max_downloads().get())
}

fn preflight(context: &RequestContext<'_>) -> Response<Body> {
    let mut response = reply::empty(StatusCode::NO_CONTENT, &context.trace);
    set(&mut response, ALLOW, "GET, HEAD, POST, OPTIONS");
    cors::answer_preflight("GET, HEAD, POST", &context.request.headers, &mut response);
    response
}

/// Answers who only looks: a page for a person, if it is to be read, and a refusal for everybody else. Nothing is spent.
async fn look(
    context: &RequestContext<'_>,
    at: FilePath<'_>,
    link: &VerifiedCounted<'_>,
) -> Result<Response<Body>, Problem> {
    let (gateway, request) = (context.gateway(), context.request);
    let file = gateway.file_of_counted(link).await?;
    if request.method != Method::GET || !page::is_wanted(&request.headers) {
        return Err(Problem::NotStarted);
    }
    let allowed = allowed(link);
    let started = match gateway
        .allowance_of_link(&file.organization, link.link_id())
        .await
    {
        Ok(started) => Some(started),
        Err(Refusal::Missing { .. }) => None,
        Err(refusal) => return Err(refusal.into()),
    };
    let state = CountedState::Ready {
        file: shown(&file),
        expires: file
            .expires_at
            .unwrap_or(link.expires())
            .min(link.expires()),
        left: started.map_or(allowed, |started| {
            allowed.saturating_sub(started.done + started.open)
        }),
        allowed,
    };
    let mut response = counted_page::answer(
        &state,
        gateway.clock().now(),
        context.page_context(),
        &context.trace,
    );
    if client_cookie::of(&request.headers).is_none() {
        let value = gateway.draw_client_cookie()?;
        set(&mut response, SET_COOKIE, &cookie(context, at, &value));
    }
    Ok(response)
}

/// Keeps the page and the answer out of indexes, and the link out of what other sites are told.
pub(super) fn hide(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let robots = HeaderValue::from_static("noindex, nofollow, noarchive");
    headers.insert(X_ROBOTS_TAG, robots);
}

/// Returns the cookie that a browser sends back to this link's path alone. The ids are those of a good link, so that
/// nothing in it has a meaning of its own.
fn cookie(context: &RequestContext<'_>, at: FilePath<'_>, value: &str) -> String {
    let (mount, organization, file) = (&context.shared.mount, at.organization, at.file);
    let path = format!("{mount}/v1/organizations/{organization}/files/{file}/redeem");
    client_cookie::line(value, &path, context.is_secure())
}

fn is_prefetch(headers: &HeaderMap) -> bool {
    let lines = PURPOSES.iter().flat_map(|name| headers.get_all(*name));
    let mut words = lines.flat_map(|line| line.as_bytes().split(|byte| b",; ".contains(byte)));
    words.any(|word| {
        let is = |ahead: &[u8]| word.trim_ascii().eq_ignore_ascii_case(ahead);
        is(b"prefetch") || is(b"prerender")
    })
}

/// Returns who asks for a download.
pub(super) fn redeemer<'a>(context: &RequestContext<'a>, arrival: &Arrival) -> Redeemer<'a> {
    let headers = &context.request.headers;
    let proxies = &context.settings().trusted_proxies;
    let own = proxies.own(arrival.peer, headers, context.client);
    Redeemer {
        cookie: client_cookie::of(headers),
        address: own.map(|(address, _)| address),
        is_named_by_proxy: own.is_some_and(|(_, is_named)| is_named),
        agent: only_line(headers, USER_AGENT).ok().flatten(),
        counted: context.counted,
    }
}

/// Sends a client on to its ticket. The place stays on the origin that a form may be answered from.
fn sent_on(context: &RequestContext<'_>, started: &Started) -> Response<Body> {
    let base = &context.gateway().settings().public_base_url;
    let url = started.url(base);
    let text = wire::started(&url, Some(started.downloads_left), started.expires.get());
    let mut response = reply::json(StatusCode::SEE_OTHER, &context.trace, text);
    set(&mut response, LOCATION, &started.url(&context.shared.mount));
    hide(&mut response);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn who_fetches_ahead_of_time_says_so_in_these_ways() {
        for yes in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "Prefetch; anonymous-client-ip"),
            ("purpose", "prefetch"),
        ] {
            assert!(is_prefetch(&headers(&[yes])), "{yes:?}");
        }
        for no in [
            ("sec-purpose", ""),
            ("purpose", "prefetched"),
            ("x-purpose", "prefetch"),
        ] {
            assert!(!is_prefetch(&headers(&[no])), "{no:?}");
        }
    }
}
