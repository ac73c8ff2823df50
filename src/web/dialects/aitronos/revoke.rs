//! Revoking by a call, which needs the scope `admin`: one link, all links of a file, all links of an
//! organization. The log says who revoked what, and never a link itself.

use std::sync::Arc;

use hyper::Response;

use super::{caller, wire};
use crate::gateway::principal::Principal;
use crate::gateway::refusal::{FieldFault, Refusal};
use crate::gateway::revoke::{Revoked, Revoker};
use crate::model::id::FileId;
use crate::model::key::Scope;
use crate::model::revocation::{Extent, LinkId};
use crate::model::time::UnixSeconds;
use crate::telemetry::audit::Event;
use crate::web::body::Body;
use crate::web::context::RequestContext;
use crate::web::file_path::FilePath;
use crate::web::header::takes_json;
use crate::web::problem::Problem;
use crate::web::recorder::EventRecorder;

/// The target of this module's log lines.
const TARGET: &str = "hallpass::web::aitronos::revoke";

/// The largest request body, in bytes: the longest link, every byte of it escaped.
const BODY_BYTES_MAX: u64 = 64 * 1024;

/// `POST /v1/organizations/{organization}/links/revoke`: one link, named by itself or by its id.
pub(super) async fn link(
    context: &mut RequestContext<'_>,
    organization: &str,
) -> Result<Response<Body>, Problem> {
    let caller = caller(context, organization, Scope::Admin).await?;
    takes_json(&context.request.headers)?;
    let text = context.body.whole(BODY_BYTES_MAX).await?;
    let named = wire::link_named(&text)?;
    let gateway = Arc::clone(context.gateway());
    let organization = caller.organization.clone();
    let revoke = async move {
        let by = Revoker::Organization;
        match named {
            wire::LinkNamed::Url(url) => gateway.revoke_url(Some(&organization), &url, by).await,
            wire::LinkNamed::Id(id) => {
                // It may be a link, by mistake.
                let why = "must be the 12 characters of a link id";
                let wrong = || FieldFault::missing("link_id", why);
                let link_id = LinkId::parse(&id).ok_or_else(wrong)?;
                gateway.revoke_link(&organization, link_id, by).await
            }
        }
    };
    carry_out(context, caller, revoke).await
}

/// `POST …/files/{file}/revoke`: all links of a file.
pub(super) async fn links_of_file(
    context: &mut RequestContext<'_>,
    at: FilePath<'_>,
) -> Result<Response<Body>, Problem> {
    let caller = caller_without_body(context, at.organization).await?;
    let file = FileId::parse(at.file).map_err(|_| Refusal::FileNotFound)?;
    let gateway = Arc::clone(context.gateway());
    let organization = caller.organization.clone();
    let revoke = async move {
        let by = Revoker::Organization;
        gateway.revoke_links_of_file(&organization, &file, by).await
    };
    carry_out(context, caller, revoke).await
}

/// `POST /v1/organizations/{organization}/revoke`: all links of an organization.
pub(super) async fn links_of_organization(
    context: &mut RequestContext<'_>,
    organization: &str,
) -> Result<Response<Body>, Problem> {
    let caller = caller_without_body(context, organization).await?;
    let gateway = Arc::clone(context.gateway());
    let organization = caller.organization.clone();
    let revoke = async move {
        let by = Revoker::Organization;
        gateway
            .revoke_links_of_organization(&organization, by)
            .await
    };
    carry_out(context, caller, revoke).await
}

/// Carries a revocation out, records it, and answers with what was revoked.
async fn carry_out(
    context: &RequestContext<'_>,
    caller: Principal,
    revoke: impl Future<Output = Result<Revoked, Refusal>> + Send + 'static,
) -> Result<Response<Body>, Problem> {
    let on_done = move |recorder: EventRecorder<'_>, revoked: &Revoked| {
        record(recorder, &caller, revoked);
    };
    let revoked = context.carry_out(revoke, on_done).await?;
    if revoked.is_held {
        return Err(Refusal::RevocationHeld.into());
    }
    Ok(context.json(wire::revoked(&revoked)))
}

/// Authorizes a caller whose body is empty, or is the empty object that some clients always send: a caller that
/// names one link there must not have all of them revoked.
async fn caller_without_body(
    context: &mut RequestContext<'_>,
    organization: &str,
) -> Result<Principal, Problem> {
    let caller = caller(context, organization, Scope::Admin).await?;
    let text = context.body.whole(BODY_BYTES_MAX).await?;
    if matches!(text.trim_ascii(), b"" | b"{}") {
        return Ok(caller);
    }
    Err(FieldFault::missing("body", "must be empty: this call revokes all links at once").into())
}

/// Records that links were revoked, and says in the log who revoked which. A warning where they are more than were
/// named.
fn record(recorder: EventRecorder<'_>, caller: &Principal, revoked: &Revoked) {
    // What is held has none yet.
    let written = (!revoked.is_held).then_some(revoked.extent);
    let which = Event {
        file_id: revoked.file.as_ref().map(FileId::as_str),
        link_id: revoked.link_id.as_ref().map(LinkId::as_str),
        expires: revoked.extent.expires().map(UnixSeconds::get),
        link_revision: written.and_then(Extent::link_revision),
        organization_epoch: written.and_then(Extent::epoch),
        outcome: revoked.is_held.then_some("held"),
        ..Event::default()
    };
    macro_rules! say {
        ($level:ident, $what:literal) => {
            tracing::$level!(
                target: TARGET,
                trace_id = %recorder.trace_id,
                api_key_id = %caller.key,
                organization_id = %caller.organization,
                file_id = which.file_id.map(display),
                link_id = which.link_id.map(display),
                expires = which.expires,
                link_revision = which.link_revision,
                organization_epoch = which.organization_epoch,
                is_held = revoked.is_held.then_some(true),
                $what
            )
        };
    }
    match (revoked.extent, revoked.widened()) {
        (Extent::Link { .. }, _) => say!(info, "revoked a link"),
        (Extent::File { .. }, None) => say!(info, "revoked all links of a file"),
        (Extent::Organization { .. }, None) => say!(info, "revoked all links of an organization"),
        (Extent::File { .. }, Some(_)) => {
            say!(warn, "revoked all links of a file in the place of one");
        }
        (Extent::Organization { .. }, Some(_)) => {
            say!(
                warn,
                "revoked all links of an organization in the place of fewer"
            );
        }
    }
    recorder.revoked(caller, which);
}
