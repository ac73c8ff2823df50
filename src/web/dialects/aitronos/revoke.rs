//! Revoking by a call, which needs the scope `admin`: one link, all links of a file, all links of an
//! organization. The log says who revoked what, and never a link itself.

use std::sync::Arc;

use hyper::Response;

use super::wire::Revoked;
use super::{caller, wire};
use crate::gateway::principal::Principal;
use crate::gateway::refusal::{FieldFault, Refusal};
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
        let link = match named {
            wire::LinkNamed::Url(url) => gateway.revoke_url(Some(&organization), &url).await?,
            wire::LinkNamed::Id(id) => {
                // It may be a link, by mistake.
                let why = "must be the 12 characters of a link id";
                let wrong = || FieldFault::missing("link_id", why);
                let link_id = LinkId::parse(&id).ok_or_else(wrong)?;
                gateway.revoke_link(&organization, link_id).await?
            }
        };
        Ok(Revoked {
            link_id: Some(link.link_id.to_string()),
            expires: Some(link.expires.get()),
            ..Revoked::default()
        })
    };
    carried_out(context, caller, "revoked a link", revoke).await
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
        let link_revision = gateway.revoke_links_of_file(&organization, &file).await?;
        Ok(Revoked {
            file_id: Some(file.to_string()),
            link_revision: Some(link_revision),
            ..Revoked::default()
        })
    };
    carried_out(context, caller, "revoked all links of a file", revoke).await
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
        let epoch = gateway.revoke_links_of_organization(&organization).await?;
        Ok(Revoked {
            organization_epoch: Some(epoch),
            ..Revoked::default()
        })
    };
    carried_out(
        context,
        caller,
        "revoked all links of an organization",
        revoke,
    )
    .await
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

/// Revokes as a detached operation, says in the log and in the audit stream who revoked what, and answers it.
async fn carried_out(
    context: &RequestContext<'_>,
    caller: Principal,
    what: &'static str,
    revoke: impl Future<Output = Result<Revoked, Refusal>> + Send + 'static,
) -> Result<Response<Body>, Problem> {
    let organization_id = caller.organization.to_string();
    let record = move |recorder: EventRecorder<'_>, revoked: &Revoked| {
        let event = Event {
            file_id: revoked.file_id.as_deref(),
            link_id: revoked.link_id.as_deref(),
            expires: revoked.expires,
            link_revision: revoked.link_revision,
            organization_epoch: revoked.organization_epoch,
            ..Event::default()
        };
        tracing::info!(
            target: TARGET,
            trace_id = %recorder.trace_id,
            api_key_id = %caller.key,
            organization_id = %caller.organization,
            file_id = event.file_id.map(display),
            link_id = event.link_id.map(display),
            expires = event.expires,
            link_revision = event.link_revision,
            organization_epoch = event.organization_epoch,
            "{what}"
        );
        recorder.revoked(&caller, event);
    };
    let revoked = Revoked {
        organization_id,
        ..context.carry_out(revoke, record).await?
    };
    Ok(context.json(wire::revoked(&revoked)))
}
