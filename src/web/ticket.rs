//! The bytes of a counted download: `GET|HEAD /v1/organizations/{organization}/tickets/{ticket}/{name}`.
//!
//! The answers are those of the byte route (`download.rs`), with two differences: no cache may keep one, since a
//! replayed answer would not be counted; and the bytes are streamed by this gateway, which counts them, however others are
//! handed over, unless downloads are counted when they are started. [`answer`] takes these steps:
//!
//! 1. a preflight is answered;
//! 2. the ticket is verified, and its link is judged anew (`gateway/redeem/open.rs`);
//! 3. the limits admit its link and its organization, as which it counts;
//! 4. its file is opened;
//! 5. the byte route's answer is made, and where it has bytes it is begun, unless the ticket gives no more: a download that
//!    lapsed is started again then, if there is one left, as a detached operation (`detached.rs`);
//! 6. the response tracker is told of the download, and counts its bytes for the ticket.

use std::sync::Arc;

use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::{Method, Response, Version};

use super::Arrival;
use super::body::Body;
use super::context::RequestContext;
use super::download::{self, Handover};
use super::file_path::TicketPath;
use super::offload::CountedHandover;
use super::problem::Problem;
use super::recorder::TrackedDownload;
use super::region::{DownloadIdentity, RegionOptions};
use crate::gateway::limits::Admitted;
use crate::gateway::redeem::{OpenedTicket, RunningAnswer, TicketRequest};
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
    // 4.
    let opened = gateway.open_ticket(ticket).await?;
    let is_in_memory = opened.content.bytes().is_some();
    let file = Arc::clone(&opened.file);
    // 5. One that was started when downloads were counted by their bytes may be open yet.
    let counted = match ticket.is_done() {
        true => context.settings().counted,
        false => CountedHandover::Streamed,
    };
    let trace_id = context.trace.trace_id;
    let is_http1 = request.version <= Version::HTTP_11;
    let options = RegionOptions {
        identity: DownloadIdentity::new(request.version, trace_id, link),
        regions: arrival.regions.as_ref().filter(|_| is_http1),
        memory: arrival.memory.as_ref(),
        admitted: admitted.as_ref(),
    };
    let (mut response, is_whole_file) =
        download::respond(context, opened, Handover::Counted(counted), &options)?;
    let offload = context.settings().offload.as_ref();
    let is_handed_over = offload.is_some_and(|offload| offload.is_in(response.headers()));
    let no_store = HeaderValue::from_static("private, no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    let due = response.body().length();
    let running = begin(context, ticket, if is_head { 0 } else { due }).await?;
    if is_in_memory && let Some(pace) = options.admitted.and_then(Admitted::pace) {
        response.body_mut().throttle(pace);
    }
    // 6.
    context.download = Some(TrackedDownload {
        file,
        link,
        share: ticket.share().cloned(),
        in_force: ticket.in_force().clone(),
        expires: ticket.link_expires(),
        client: context.client,
        trace_id,
        is_head,
        status: response.status().as_u16(),
        is_handed_over,
        is_whole_file,
        counted: None,
        ticket: running,
        _admitted: admitted.map(Box::new),
    });
    Ok(response)
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
