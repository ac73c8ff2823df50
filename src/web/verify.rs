//! `GET|HEAD /verify`: a reverse proxy asks whether a link opens, and serves or refuses by itself.
//!
//! nginx `auth_request`, Caddy `forward_auth` and Traefik ForwardAuth send the URL that they were asked for
//! in a header ([`super::original_link`]). A ticket is a link here only with `handover.counted = "at-start"`. The answer is 204 with whose file it is, or the 401 that the byte route
//! gives a dead link: also where the file is gone, so that a proxy need not know why.

use std::sync::Arc;

use hyper::header::HeaderName;
use hyper::{Response, StatusCode};

use super::body::Body;
use super::context::RequestContext;
use super::file_path::TicketPath;
use super::offload::CountedHandover;
use super::original_link::OriginalLink;
use super::problem::Problem;
use super::reply;
use crate::gateway::download::LinkRequest;
use crate::gateway::redeem::TicketRequest;
use crate::gateway::refusal::Refusal;
use crate::model::file::FileRecord;
use crate::model::revocation::LinkId;

const ORGANIZATION: HeaderName = HeaderName::from_static("x-hallpass-organization");
const FILE: HeaderName = HeaderName::from_static("x-hallpass-file");
const LINK_ID: HeaderName = HeaderName::from_static("x-hallpass-link-id");

/// Says whose file the link in the header opens, or refuses.
pub(super) async fn answer(context: &mut RequestContext<'_>) -> Result<Response<Body>, Problem> {
    let (gateway, shared) = (context.gateway(), context.shared);
    let header = shared.settings.verify_header.as_ref();
    let header = header.ok_or(Problem::NoRoute)?;
    let link = header.link(&context.request.headers, &shared.mount);
    let (file, link_id) = match link.ok_or_else(Refusal::no_link)? {
        OriginalLink::Download(at, query) => {
            let link = LinkRequest {
                organization: at.organization,
                file: at.file,
                query,
                client: context.client,
            };
            let verified = gateway.verify_link(&link).await?;
            let link_id = verified.link_id();
            context.link_id = Some(link_id);
            gateway.limits().admit_link(&verified)?;
            (gateway.file_of(&verified).await?, link_id)
        }
        OriginalLink::Ticket(at) => file_of_ticket(context, at).await?,
    };
    context.recorder().verified(&file, link_id);
    let mut response = reply::empty(StatusCode::NO_CONTENT, &context.trace);
    reply::set(&mut response, ORGANIZATION, file.organization.as_str());
    reply::set(&mut response, FILE, file.id.as_str());
    reply::set(&mut response, LINK_ID, link_id.as_str());
    Ok(response)
}

/// Returns the file of a ticket, and its link. The proxy's bytes are not counted, so a ticket opens here only where the
/// download was when it was started.
async fn file_of_ticket(
    context: &mut RequestContext<'_>,
    at: TicketPath<'_>,
) -> Result<(Arc<FileRecord>, LinkId), Problem> {
    let gateway = context.gateway();
    if context.settings().counted != CountedHandover::AtStart || at.name.is_empty() {
        return Err(Refusal::no_link().into());
    }
    let asked = TicketRequest {
        organization: at.organization,
        ticket: at.ticket,
        client: context.client,
    };
    let ticket = gateway.verify_ticket(&asked).await?;
    context.link_id = Some(ticket.link());
    gateway.limits().admit_link(&ticket)?;
    // One that was started when downloads were counted by their bytes is not done yet.
    if !ticket.is_done() {
        return Err(Refusal::no_link().into());
    }
    Ok((gateway.file_of_ticket(&ticket).await?, ticket.link()))
}

/// Returns the problem that is answered in the place of this one: of a file that is gone, a dead link.
pub(super) fn instead_of(problem: &Problem) -> Option<Problem> {
    let is_gone = matches!(problem, Problem::Refused(Refusal::FileNotFound));
    is_gone.then(|| Refusal::no_link().into())
}
