//! The bytes of a counted download: `GET|HEAD /v1/organizations/{organization}/tickets/{ticket}/{name}`.
//!
//! The answers are those of the byte route (`download.rs`), with two differences: no cache may keep one, since a
//! replayed answer would not be counted; and the bytes are streamed by this gateway, which counts them, however others are
//! handed over, unless downloads are counted when they are started. [`answer`] takes these steps:
//!
//! 1. a preflight is answered;
//! 2. the ticket is verified, and its link is judged anew (`gateway/redeem/open.rs`);
//! 3. the limits admit its link and its organization, as which it counts;
//! 4. its file is opened; an archive of a share is laid out already;
//! 5. the byte route's answer is made, or that of an archive (`archive.rs`), and where it has bytes it is begun, unless the
//!    ticket gives no more: a download that lapsed is started again then, if there is one left, as a detached operation
//!    (`detached.rs`);
//! 6. the response tracker is told of the download, and counts its bytes for the ticket.

use std::sync::Arc;

use hyper::header::CACHE_CONTROL;
use hyper::{Method, Response};

use super::body::Body;
use super::context::RequestContext;
use super::download::{self, Handover};
use super::file_path::TicketPath;
use super::offload::CountedHandover;
use super::problem::Problem;
use super::recorder::{Downloaded, TrackedDownload};
use super::region::RegionOptions;
use super::response_head::NOT_STORED;
use super::{Arrival, archive};
use crate::gateway::limits::Admitted;
use crate::gateway::redeem::{OpenedArchive, OpenedTicket, RunningAnswer, TicketRequest};
use crate::gateway::refusal::Refusal;

/// Answers a request by a ticket.
pub(super) async fn answer(
    context: &mut RequestContext<'_>,
    at: TicketPath<'_>,
    arrival: &Arrival,
) -> Result<Response<Body>, Problem> {
    let (gateway, request) = (context.gateway(), context.request);
    // 1.
    if request.method == Method::OPTIONS {
        return Ok(download::preflight(context));
    }
    // 2.
    if at.name.is_empty() {
        return Err(Refusal::no_link().into());
    }
    let asked = TicketRequest {
        organization: at.organization,
        ticket: at.ticket,
        client: context.client,
    };
    let ticket = gateway.verify_ticket(&asked).await?;
    context.link_id = Some(ticket.link());
    // 3.
    gateway.limits().admit_link(&ticket)?;
    // 4 to 6.
    opened(context, &ticket, arrival).await
}

/// Takes the steps 3 to 6, for a ticket that is good and whose link is admitted: of a counted link, or of a share.
pub(super) async fn opened(
    context: &mut RequestContext<'_>,
    ticket: &OpenedTicket,
    arrival: &Arrival,
) -> Result<Response<Body>, Problem> {
    let (gateway, request) = (context.gateway(), context.request);
    let link = ticket.link();
    // 3.
    let is_head = request.method == Method::HEAD;
    let admitted = match is_head {
        true => None,
        false => gateway.limits().admit_download(ticket, context.counted)?,
    };
    // 4 and 5.
    let options = arrival.region_options(context, link, admitted.as_ref());
    let made = match ticket.archive() {
        Some(opened) => of_archive(context, opened, &options)?,
        None => of_file(context, ticket, &options).await?,
    };
    let MadeAnswer {
        mut response,
        what,
        is_in_memory,
        is_whole,
    } = made;
    let offload = context.settings().offload.as_ref();
    let is_handed_over = offload.is_some_and(|offload| offload.is_in(response.headers()));
    let due = response.body().length();
    let running = begin(context, ticket, if is_head { 0 } else { due }).await?;
    if is_in_memory && let Some(pace) = options.admitted.and_then(Admitted::pace) {
        response.body_mut().throttle(pace);
    }
    // 6.
    context.download = Some(TrackedDownload {
        what,
        link,
        share: ticket.share().cloned().map(Box::new),
        in_force: ticket.in_force().clone(),
        expires: ticket.link_expires(),
        client: context.client,
        trace_id: context.trace.trace_id,
        is_head,
        status: response.status().as_u16(),
        is_handed_over,
        is_whole,
        counted: None,
        ticket: running,
        _admitted: admitted.map(Box::new),
    });
    Ok(response)
}

/// An answer that is not begun.
struct MadeAnswer {
    response: Response<Body>,
    what: Downloaded,
    /// True if its bytes lie in memory, and are still to be held to their pace.
    is_in_memory: bool,
    /// True if its body is all that there is to be downloaded.
    is_whole: bool,
}

async fn of_file(
    context: &mut RequestContext<'_>,
    ticket: &OpenedTicket,
    options: &RegionOptions<'_>,
) -> Result<MadeAnswer, Problem> {
    // 4.
    let opened = context.gateway().open_ticket(ticket).await?;
    let is_in_memory = opened.content.bytes().is_some();
    let what = Downloaded::File(Arc::clone(&opened.file));
    // 5. One that was started when downloads were counted by their bytes may be open yet.
    let counted = match ticket.is_done() {
        true => context.settings().counted,
        false => CountedHandover::Streamed,
    };
    let handover = Handover::Counted(counted);
    let (mut response, is_whole) = download::respond(context, opened, handover, options)?;
    // A header block says so itself.
    if context.header_block.is_none() {
        response.headers_mut().insert(CACHE_CONTROL, NOT_STORED);
    }
    Ok(MadeAnswer {
        response,
        what,
        is_in_memory,
        is_whole,
    })
}

/// An archive lies nowhere, so nobody else can send it.
fn of_archive(
    context: &RequestContext<'_>,
    opened: &OpenedArchive,
    options: &RegionOptions<'_>,
) -> Result<MadeAnswer, Problem> {
    let OpenedArchive { archive, name } = opened;
    let from = (context.gateway(), &context.settings().resource_policy);
    let answer = archive::respond(from, context.request, (archive, name), options)?;
    let (response, is_whole) = answer;
    Ok(MadeAnswer {
        response,
        what: Downloaded::Archive(Arc::clone(archive), name.clone()),
        is_in_memory: false,
        is_whole,
    })
}

/// Begins an answer of so many bytes. The download is started again before them if it lapsed; without any it need only be
/// that there is one left.
async fn begin(
    context: &RequestContext<'_>,
    ticket: &OpenedTicket,
    due: u64,
) -> Result<Option<Box<RunningAnswer>>, Problem> {
    let gateway = context.gateway();
    if due == 0 {
        gateway.expect_left(ticket)?;
        return Ok(None);
    }
    let running = gateway.begin_answer(ticket, due)?;
    if let Some(prepared) = gateway.prepare_restart(ticket, context.counted)? {
        let restarting = Arc::clone(gateway);
        let restart = async move { restarting.restart(prepared).await };
        context.carry_out(restart, |_, ()| {}).await?;
    }
    Ok(Some(Box::new(running)))
}
