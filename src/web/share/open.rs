//! `POST /s/{code}/open`: the password of a share, and the start of a download.
//!
//! 1. the form is read to its end, whatever becomes of it;
//! 2. a client with the pass is let in, and any other by the password: the guess is admitted before it is hashed;
//! 3. where the form says so, a download is started, or the client's own is found, as a detached operation;
//! 4. the answer sends the client on, to the page or to its ticket, and brings the pass along.

use std::sync::Arc;

use hyper::header::{LOCATION, SET_COOKIE};
use hyper::{Response, StatusCode};

use super::form::{FORM_BYTES_MAX, OpenForm};
use super::{cookies, page_url, path};
use crate::gateway::redeem::{StartOfShare, Started};
use crate::gateway::refusal::Refusal;
use crate::gateway::share_access::{SignedPass, UnlockedShare};
use crate::gateway::shares::OpenShare;
use crate::web::body::Body;
use crate::web::context::RequestContext;
use crate::web::problem::Problem;
use crate::web::reply::{self, set};
use crate::web::{Arrival, redeem, wire};

/// Answers a form.
pub(super) async fn answer(
    context: &mut RequestContext<'_>,
    code: &str,
    share: &OpenShare,
    arrival: &Arrival,
) -> Result<Response<Body>, Problem> {
    // 1.
    let body = context.body.whole(FORM_BYTES_MAX).await;
    let body = body.map_err(|problem| match problem {
        Problem::BodyTooLarge { limit } => {
            Problem::bad_body(format!("the form is larger than {limit} bytes"))
        }
        other => other,
    })?;
    let form = OpenForm::parse(&context.request.headers, &body)?;
    // 2.
    let (unlocked, pass) = enter(context, share, form.password).await?;
    // 3.
    let started = match form.starts {
        true => {
            let start = StartOfShare {
                share: unlocked,
                position: form.position,
            };
            Some(start_one(context, start, arrival).await?)
        }
        false => None,
    };
    // 4.
    let mut response = match started {
        Some(started) => sent_to_ticket(context, code, share, &started),
        None => sent_to_page(context, code),
    };
    redeem::hide(&mut response);
    if let Some(pass) = pass {
        let page = path::page(&context.shared.mount, code);
        let cookie = cookies::pass(pass.reveal(), &page, context.is_secure());
        set(&mut response, SET_COOKIE, &cookie);
    }
    Ok(response)
}

/// Lets a client in, and makes a pass for one that gave the password.
async fn enter<'a>(
    context: &RequestContext<'_>,
    share: &'a OpenShare,
    password: Option<String>,
) -> Result<(UnlockedShare<'a>, Option<SignedPass>), Problem> {
    let gateway = context.gateway();
    let passes = cookies::passes(&context.request.headers);
    match (gateway.unlock(share, passes).await, password) {
        (Ok(unlocked), _) => Ok((unlocked, None)),
        (Err(Refusal::PasswordNeeded { .. }), Some(password)) => {
            let given = gateway.give_password(share, password, context.counted);
            let (unlocked, pass) = given.await?;
            Ok((unlocked, Some(pass)))
        }
        (Err(refusal), _) => Err(refusal.into()),
    }
}

async fn start_one(
    context: &RequestContext<'_>,
    start: StartOfShare<'_>,
    arrival: &Arrival,
) -> Result<Started, Problem> {
    let gateway = context.gateway();
    let redeemer = redeem::redeemer(context, arrival);
    let prepared = gateway.prepare_share_redeem(start, &redeemer).await?;
    let start = {
        let gateway = Arc::clone(gateway);
        async move { gateway.redeem(prepared).await }
    };
    let started = context.carry_out(start, |recorder, started| {
        if started.is_new {
            recorder.redeemed(started);
        }
    });
    Ok(started.await?)
}

/// Sends a client on to its ticket. The place stays on the origin that a form may be answered from.
fn sent_to_ticket(
    context: &RequestContext<'_>,
    code: &str,
    share: &OpenShare,
    started: &Started,
) -> Response<Body> {
    let at = |base: &str| path::ticket(base, code, started.ticket(), &started.name);
    let url = at(&context.gateway().settings().public_base_url);
    let left = share.share().allowed.map(|_| started.downloads_left);
    let text = wire::started(&url, left, started.expires.get());
    let mut response = reply::json(StatusCode::SEE_OTHER, &context.trace, text);
    set(&mut response, LOCATION, &at(&context.shared.mount));
    response
}

fn sent_to_page(context: &RequestContext<'_>, code: &str) -> Response<Body> {
    let text = wire::share_page(&page_url(context, code));
    let mut response = reply::json(StatusCode::SEE_OTHER, &context.trace, text);
    set(
        &mut response,
        LOCATION,
        &path::page(&context.shared.mount, code),
    );
    response
}
