//! Revoking by a call, which needs the scope `admin`: one link, all links of a file, all links of an
//! organization. The log says who revoked what, and never a link itself.

use hyper::{Response, StatusCode};

use super::{caller, wire};
use crate::gateway::principal::Principal;
use crate::gateway::refusal::{FieldFault, Refusal};
use crate::model::id::FileId;
use crate::model::key::Scope;
use crate::model::revocation::LinkId;
use crate::telemetry::audit::Event;
use crate::web::body::Body;
use crate::web::header::takes_json;
use crate::web::problem::Problem;
use crate::web::route::FilePath;
use crate::web::{Exchange, reply};

/// The largest request body, in bytes: the longest link, every byte of it escaped.
const BODY_BYTES_MAX: u64 = 64 * 1024;

/// `POST /v1/organizations/{organization}/links/revoke`: one link, named by itself or by its id.
pub(super) async fn link(
    exchange: &mut Exchange<'_>,
    organization: &str,
) -> Result<Response<Body>, Problem> {
    let caller = caller(exchange, organization, Scope::Admin).await?;
    takes_json(&exchange.request.headers)?;
    let text = exchange.body.whole(BODY_BYTES_MAX).await?;
    let gateway = exchange.gateway;
    let revoked = match wire::link_named(&text)? {
        wire::LinkNamed::Url(url) => gateway.revoke_url(Some(&caller.organization), &url).await?,
        wire::LinkNamed::Id(id) => {
            // It may be a link, by mistake.
            let wrong = || FieldFault::missing("link_id", "must be the 12 characters of a link id");
            let link_id = LinkId::parse(&id).ok_or_else(wrong)?;
            gateway.revoke_link(&caller.organization, link_id).await?
        }
    };
    exchange.tell_revoked(
        &caller,
        Event {
            link_id: Some(revoked.link_id.as_str()),
            expires: Some(revoked.expires.get()),
            ..Event::default()
        },
    );
    tracing::info!(
        trace_id = %exchange.trace.trace_id,
        api_key_id = %caller.key,
        organization_id = %revoked.organization,
        link_id = %revoked.link_id,
        expires = revoked.expires.get(),
        "revoked a link"
    );
    Ok(said(exchange, wire::revoked(&revoked)))
}

/// `POST …/files/{file}/revoke`: all links of a file.
pub(super) async fn links_of_file(
    exchange: &mut Exchange<'_>,
    at: FilePath<'_>,
) -> Result<Response<Body>, Problem> {
    let caller = caller_without_body(exchange, at.organization).await?;
    let file = FileId::parse(at.file).map_err(|_| Refusal::FileNotFound)?;
    let organization = &caller.organization;
    let link_revision = exchange
        .gateway
        .revoke_links_of_file(organization, &file)
        .await?;
    exchange.tell_revoked(
        &caller,
        Event {
            file_id: Some(file.as_str()),
            link_revision: Some(link_revision),
            ..Event::default()
        },
    );
    tracing::info!(
        trace_id = %exchange.trace.trace_id,
        api_key_id = %caller.key,
        organization_id = %organization,
        file_id = %file,
        link_revision,
        "revoked all links of a file"
    );
    let text = wire::file_revoked(organization, &file, link_revision);
    Ok(said(exchange, text))
}

/// `POST /v1/organizations/{organization}/revoke`: all links of an organization.
pub(super) async fn links_of_organization(
    exchange: &mut Exchange<'_>,
    organization: &str,
) -> Result<Response<Body>, Problem> {
    let caller = caller_without_body(exchange, organization).await?;
    let organization = &caller.organization;
    let organization_epoch = exchange
        .gateway
        .revoke_links_of_organization(organization)
        .await?;
    exchange.tell_revoked(
        &caller,
        Event {
            organization_epoch: Some(organization_epoch),
            ..Event::default()
        },
    );
    tracing::info!(
        trace_id = %exchange.trace.trace_id,
        api_key_id = %caller.key,
        organization_id = %organization,
        organization_epoch,
        "revoked all links of an organization"
    );
    let text = wire::organization_revoked(organization, organization_epoch);
    Ok(said(exchange, text))
}

/// Who calls, with an empty body, or with the empty object that some clients always send: whoever names
/// one link there must not have all of them revoked.
async fn caller_without_body(
    exchange: &mut Exchange<'_>,
    organization: &str,
) -> Result<Principal, Problem> {
    let caller = caller(exchange, organization, Scope::Admin).await?;
    let text = exchange.body.whole(BODY_BYTES_MAX).await?;
    if matches!(text.trim_ascii(), b"" | b"{}") {
        return Ok(caller);
    }
    Err(FieldFault::missing("body", "must be empty: this call revokes all links at once").into())
}

fn said(exchange: &Exchange<'_>, text: Vec<u8>) -> Response<Body> {
    reply::json(StatusCode::OK, exchange.trace, text)
}
