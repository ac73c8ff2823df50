//! Shares by calls: made, listed, shown, changed, rotated, revoked. An API key with the scope `mint` manages those that it
//! made, one with `admin` all of its organization. The log says who did what, and never an address of one.

use std::sync::Arc;

use hyper::{Method, Response, StatusCode};

use super::{LIMIT_DEFAULT, LIMIT_MAX, caller};
use crate::gateway::Gateway;
use crate::gateway::principal::Principal;
use crate::gateway::refusal::{FieldFault, Refusal};
use crate::gateway::shares::{SHARE, ShareFields, ShareManager, ShareView};
use crate::model::id::ShareId;
use crate::model::key::Scope;
use crate::model::revocation::LinkId;
use crate::model::time::UnixSeconds;
use crate::telemetry::audit::Event;
use crate::web::body::Body;
use crate::web::context::RequestContext;
use crate::web::header::takes_json;
use crate::web::problem::Problem;
use crate::web::recorder::EventRecorder;
use crate::web::{query, reply};

mod wire;

/// The target of this module's log lines.
const TARGET: &str = "hallpass::web::aitronos::shares";

/// The largest request body, in bytes: 10,000 of the longest ids, and the longest texts.
const BODY_BYTES_MAX: u64 = 2 << 20;

/// What a call does with a share.
#[derive(Debug)]
enum Change {
    Create(ShareFields),
    Edit(ShareId, ShareFields),
    Rotate(ShareId),
    Revoke(ShareId),
}

impl Change {
    /// The name of its audit event.
    const fn event(&self) -> &'static str {
        match self {
            Self::Create(_) => "share_create",
            Self::Edit(..) => "share_edit",
            Self::Rotate(_) => "share_rotate",
            Self::Revoke(_) => "share_revoke",
        }
    }

    async fn make(self, gateway: &Gateway, manager: &ShareManager) -> Result<ShareView, Refusal> {
        match self {
            Self::Create(fields) => gateway.create_share(manager, fields).await,
            Self::Edit(id, fields) => gateway.edit_share(manager, &id, fields).await,
            Self::Rotate(id) => gateway.rotate_share(manager, &id).await,
            Self::Revoke(id) => gateway.revoke_share(manager, &id).await,
        }
    }
}

/// `POST /v1/organizations/{organization}/shares` makes a share, 201; `GET` lists them: `?after&limit`.
pub(super) async fn all(
    context: &mut RequestContext<'_>,
    organization: &str,
) -> Result<Response<Body>, Problem> {
    let caller = caller(context, organization, Scope::Mint).await?;
    if context.request.method != Method::POST {
        return list(context, caller).await;
    }
    takes_json(&context.request.headers)?;
    let text = context.body.whole(BODY_BYTES_MAX).await?;
    let fields = wire::share_fields(&text)?;
    let made = carry_out(context, caller, Change::Create(fields)).await?;
    let text = wire::share(&made);
    Ok(reply::json(StatusCode::CREATED, &context.trace, text))
}

async fn list(context: &RequestContext<'_>, caller: Principal) -> Result<Response<Body>, Problem> {
    let wanted = query::shares_wanted(context.query(), LIMIT_DEFAULT, LIMIT_MAX)?;
    let after = match &wanted.after {
        Some(text) => Some(ShareId::parse(text).map_err(|_| {
            let why = "must be the id of a share";
            FieldFault::new("after", text, why)
        })?),
        None => None,
    };
    let manager = ShareManager::Key(caller);
    let one_more = wanted.limit + 1;
    let found = context.gateway().shares(&manager, after.as_ref(), one_more);
    let mut found = found.await?;
    let has_more = found.len() == one_more as usize;
    found.truncate(wanted.limit as usize);
    Ok(context.json(wire::page(&found, has_more)))
}

/// `GET …/shares/{share}`: one share with its files. `PATCH` changes it, and `DELETE` revokes it, 204.
pub(super) async fn one(
    context: &mut RequestContext<'_>,
    organization: &str,
    share: &str,
) -> Result<Response<Body>, Problem> {
    let caller = caller(context, organization, Scope::Mint).await?;
    let id = share_id(share)?;
    let method = &context.request.method;
    if *method == Method::DELETE {
        carry_out(context, caller, Change::Revoke(id)).await?;
        return Ok(reply::empty(StatusCode::NO_CONTENT, &context.trace));
    }
    if *method != Method::PATCH {
        let view = context
            .gateway()
            .share(&ShareManager::Key(caller), &id)
            .await?;
        return Ok(context.json(wire::share(&view)));
    }
    takes_json(&context.request.headers)?;
    let text = context.body.whole(BODY_BYTES_MAX).await?;
    let fields = wire::share_fields(&text)?;
    let edited = carry_out(context, caller, Change::Edit(id, fields)).await?;
    Ok(context.json(wire::share(&edited)))
}

/// `POST …/shares/{share}/rotate`: another address, and an end to those of before.
pub(super) async fn rotate(
    context: &mut RequestContext<'_>,
    organization: &str,
    share: &str,
) -> Result<Response<Body>, Problem> {
    let caller = caller(context, organization, Scope::Mint).await?;
    let id = share_id(share)?;
    let text = context.body.whole(BODY_BYTES_MAX).await?;
    if !matches!(text.trim_ascii(), b"" | b"{}") {
        return Err(FieldFault::missing("body", "must be empty").into());
    }
    let rotated = carry_out(context, caller, Change::Rotate(id)).await?;
    Ok(context.json(wire::share(&rotated)))
}

/// A text that is no id of a share is of none that is there.
fn share_id(text: &str) -> Result<ShareId, Refusal> {
    ShareId::parse(text).map_err(|_| Refusal::Missing { what: SHARE })
}

/// Changes a share, and records it.
async fn carry_out(
    context: &RequestContext<'_>,
    caller: Principal,
    change: Change,
) -> Result<ShareView, Problem> {
    let gateway = Arc::clone(context.gateway());
    let manager = ShareManager::Key(caller.clone());
    let event = change.event();
    let change = async move { change.make(&gateway, &manager).await };
    let on_done = move |recorder: EventRecorder<'_>, view: &ShareView| {
        record(recorder, &caller, event, view);
    };
    Ok(context.carry_out(change, on_done).await?)
}

fn record(recorder: EventRecorder<'_>, caller: &Principal, event: &'static str, view: &ShareView) {
    let share = &view.share;
    tracing::info!(
        target: TARGET,
        trace_id = %recorder.trace_id,
        api_key_id = %caller.key,
        organization_id = %share.organization,
        share_id = %share.id,
        link_id = view.link_id.as_ref().map(LinkId::as_str),
        state = view.standing.as_str(),
        expires = share.expires.map(UnixSeconds::get),
        files = view.file_count,
        "{event}"
    );
    recorder.shared(
        caller,
        Event {
            event,
            share_id: Some(share.id.as_str()),
            link_id: view.link_id.as_ref().map(LinkId::as_str),
            kid: Some(&share.kid),
            expires: share.expires.map(UnixSeconds::get),
            state: Some(view.standing.as_str()),
            ..Event::default()
        },
    );
}
