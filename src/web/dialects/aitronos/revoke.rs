//! Revoking by a call, which needs the scope `admin`: one link, all links of a file, all links of an
//! organization. The log says who revoked what, and never a link itself.

use std::sync::Arc;

use hyper::{Response, StatusCode};

use super::{caller, wire};
use crate::gateway::principal::Principal;
use crate::gateway::refusal::{FieldFault, Refusal};
use crate::gateway::revoke::RevokedLink;
use crate::model::id::FileId;
use crate::model::key::Scope;
use crate::model::revocation::LinkId;
use crate::telemetry::audit::Event;
use crate::web::body::Body;
use crate::web::deed::Teller;
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
    let named = wire::link_named(&text)?;
    let gateway = Arc::clone(exchange.gateway);
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
    let tell = move |teller: &Teller, revoked: &RevokedLink| {
        let which = Event {
            link_id: Some(revoked.link_id.as_str()),
            expires: Some(revoked.expires.get()),
            ..Event::default()
        };
        teller.revoked(&caller, which);
        tracing::info!(
            trace_id = %teller.trace_id,
            api_key_id = %caller.key,
            organization_id = %revoked.organization,
            link_id = %revoked.link_id,
            expires = revoked.expires.get(),
            "revoked a link"
        );
    };
    let revoked = exchange.carry_out(revoke, tell).await?;
    Ok(said(exchange, wire::revoked(&revoked)))
}

/// `POST …/files/{file}/revoke`: all links of a file.
pub(super) async fn links_of_file(
    exchange: &mut Exchange<'_>,
    at: FilePath<'_>,
) -> Result<Response<Body>, Problem> {
    let caller = caller_without_body(exchange, at.organization).await?;
    let file = FileId::parse(at.file).map_err(|_| Refusal::FileNotFound)?;
    let gateway = Arc::clone(exchange.gateway);
    let organization = caller.organization.clone();
    let (its_owner, its_id, told_id) = (organization.clone(), file.clone(), file.clone());
    let revoke = async move { gateway.revoke_links_of_file(&its_owner, &its_id).await };
    let tell = move |teller: &Teller, link_revision: &u64| {
        let which = Event {
            file_id: Some(told_id.as_str()),
            link_revision: Some(*link_revision),
            ..Event::default()
        };
        teller.revoked(&caller, which);
        tracing::info!(
            trace_id = %teller.trace_id,
            api_key_id = %caller.key,
            organization_id = %caller.organization,
            file_id = %told_id,
            link_revision,
            "revoked all links of a file"
        );
    };
    let link_revision = exchange.carry_out(revoke, tell).await?;
    let text = wire::file_revoked(&organization, &file, link_revision);
    Ok(said(exchange, text))
}

/// `POST /v1/organizations/{organization}/revoke`: all links of an organization.
pub(super) async fn links_of_organization(
    exchange: &mut Exchange<'_>,
    organization: &str,
) -> Result<Response<Body>, Problem> {
    let caller = caller_without_body(exchange, organization).await?;
    let gateway = Arc::clone(exchange.gateway);
    let organization = caller.organization.clone();
    let its_id = organization.clone();
    let revoke = async move { gateway.revoke_links_of_organization(&its_id).await };
    let tell = move |teller: &Teller, organization_epoch: &u64| {
        let which = Event {
            organization_epoch: Some(*organization_epoch),
            ..Event::default()
        };
        teller.revoked(&caller, which);
        tracing::info!(
            trace_id = %teller.trace_id,
            api_key_id = %caller.key,
            organization_id = %caller.organization,
            organization_epoch,
            "revoked all links of an organization"
        );
    };
    let organization_epoch = exchange.carry_out(revoke, tell).await?;
    let text = wire::organization_revoked(&organization, organization_epoch);
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
