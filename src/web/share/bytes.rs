//! The bytes of a share: its files by their numbers, where it has neither a password nor a count, and the downloads that
//! were started, by their tickets. The answers are those of the byte route.

use std::sync::Arc;

use hyper::{Method, Response};

use super::cookies;
use super::form::number;
use crate::gateway::limits::Admitted;
use crate::gateway::redeem::ShareTicketRequest;
use crate::gateway::refusal::Refusal;
use crate::gateway::share_files::OpenedShareFile;
use crate::gateway::shares::OpenShare;
use crate::web::body::Body;
use crate::web::context::RequestContext;
use crate::web::download::{self, Handover};
use crate::web::problem::Problem;
use crate::web::recorder::{Downloaded, TrackedDownload};
use crate::web::{Arrival, redeem, ticket};

/// Answers a request for the file of this number.
pub(super) async fn by_number(
    context: &mut RequestContext<'_>,
    share: &OpenShare,
    position: &str,
    arrival: &Arrival,
) -> Result<Response<Body>, Problem> {
    let (gateway, request) = (context.gateway(), context.request);
    let position = number(position).ok_or(Refusal::FileNotFound)?;
    let admitted = match request.method {
        Method::GET => gateway.limits().admit_download(share, context.counted)?,
        _ => None,
    };
    let opened = gateway.open_share_file(share, position).await?;
    let OpenedShareFile { download, in_force } = opened;
    let is_in_memory = download.content.bytes().is_some();
    let (what, expires) = (
        Downloaded::File(Arc::clone(&download.file)),
        download.expires,
    );
    let link = share.link_id();
    let options = arrival.region_options(context, link, admitted.as_ref());
    let handover = Handover::Allowed { url: None };
    let (mut response, is_whole) = download::respond(context, download, handover, &options)?;
    let offload = context.settings().offload.as_ref();
    let is_handed_over = offload.is_some_and(|offload| offload.is_in(response.headers()));
    if is_in_memory && let Some(pace) = options.admitted.and_then(Admitted::pace) {
        response.body_mut().throttle(pace);
    }
    context.download = Some(TrackedDownload {
        what,
        link,
        share: Some(Box::new(share.running())),
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

/// Answers a request by a ticket.
pub(super) async fn by_ticket(
    context: &mut RequestContext<'_>,
    share: &OpenShare,
    ticket: &str,
    arrival: &Arrival,
) -> Result<Response<Body>, Problem> {
    let gateway = context.gateway();
    let passes = cookies::passes(&context.request.headers);
    let is_let_in = match gateway.unlock(share, passes).await {
        Ok(_) => true,
        Err(Refusal::PasswordNeeded { .. }) => false,
        Err(refusal) => return Err(refusal.into()),
    };
    let asked = ShareTicketRequest {
        share,
        ticket,
        is_let_in,
    };
    let redeemer = redeem::redeemer(context, arrival);
    let opened = gateway.verify_share_ticket(&asked, &redeemer).await?;
    ticket::opened(context, &opened, arrival).await
}
