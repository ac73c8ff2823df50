//! Revoking by a call, which needs the scope `admin`: one link, all links of a file, all links of an
//! organization. The log says who revoked what, and never a link itself.

use std::sync::Arc;

use hyper::Response;

use super::{caller, wire};
use crate::gateway::principal::Principal;
use crate::gateway::refusal::{FieldFault, Refusal};
use crate::gateway::revoke::RevokedLink;
use crate::model::id::FileId;
use crate::model::key::Scope;
use crate::model::revocation::LinkId;
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
        match named {
            wire::LinkNamed::Url(url) => gateway.revoke_url(Some(&organization), &url).await,
            wire::LinkNamed::Id(id) => {
                // It may be a link, by mistake.
                let why = "must be the 12 characters of a link id";
                let wrong = || FieldFault::missing("link_id", why);
                let link_id = LinkId::parse(&id).ok_or_else(wrong)?;
                gateway.revoke_link(&organization, link_id).await
            }
        }
    };
    let on_done = move |recorder: EventRecorder<'_>, revoked: &RevokedLink| {
        let which = Event {
            link_id: Some(revoked.link_id.as_str()),
            expires: Some(revoked.expires.get()),
            ..Event::default()
        };
        record(recorder, &caller, "revoked a link", which);
    };
    let revoked = context.carry_out(revoke, on_done).await?;
    Ok(context.json(wire::revoked(&revoked)))
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
    let (its_owner, its_id, recorded_id) = (organization.clone(), file.clone(), file.clone());
    let revoke = async move { gateway.revoke_links_of_file(&its_owner, &its_id).await };
    let on_done = move |recorder: EventRecorder<'_>, link_revision: &u64| {
        let which = Event {
            file_id: Some(recorded_id.as_str()),
            link_revision: Some(*link_revision),
            ..Event::default()
        };
        record(recorder, &caller, "revoked all links of a file", which);
    };
    let link_revision = context.carry_out(revoke, on_done).await?;
    let text = wire::file_revoked(&organization, &file, link_revision);
    Ok(context.json(text))
}

/// `POST /v1/organizations/{organization}/revoke`: all links of an organization.
pub(super) async fn links_of_organization(
    context: &mut RequestContext<'_>,
    organization: &str,
) -> Result<Response<Body>, Problem> {
    let caller = caller_without_body(context, organization).await?;
    let gateway = Arc::clone(context.gateway());
    let organization = caller.organization.clone();
    let its_id = organization.clone();
    let revoke = async move { gateway.revoke_links_of_organization(&its_id).await };
    let on_done = move |recorder: EventRecorder<'_>, organization_epoch: &u64| {
        let which = Event {
            organization_epoch: Some(*organization_epoch),
            ..Event::default()
        };
        record(
            recorder,
            &caller,
            "revoked all links of an organization",
            which,
        );
    };
    let organization_epoch = context.carry_out(revoke, on_done).await?;
    let text = wire::organization_revoked(&organization, organization_epoch);
    Ok(context.json(text))
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

/// Records that links were revoked, and says in the log who revoked which.
fn record(recorder: EventRecorder<'_>, caller: &Principal, what: &str, which: Event<'_>) {
    tracing::info!(
        target: TARGET,
        trace_id = %recorder.trace_id,
        api_key_id = %caller.key,
        organization_id = %caller.organization,
        file_id = which.file_id.map(display),
        link_id = which.link_id.map(display),
        expires = which.expires,
        link_revision = which.link_revision,
        organization_epoch = which.organization_epoch,
        "{what}"
    );
    recorder.revoked(caller, which);
}
