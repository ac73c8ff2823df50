//! The KooDrive API under `/koodrive/ose/v1` (the vendor's page "Obtaining Download Links"): mint for a
//! batch of files. Keys come as `Bearer+key` or `Bearer key`; or the request is signed by an app.

use bytes::Bytes;
use hyper::Response;
use hyper::header::AUTHORIZATION;

use crate::gateway::batch::{BatchOutcome, BatchRequest};
use crate::gateway::mint::Minted;
use crate::gateway::principal::Principal;
use crate::gateway::refusal::Refusal;
use crate::model::disposition::Disposition;
use crate::model::key::Scope;
use crate::web::body::Body;
use crate::web::context::RequestContext;
use crate::web::credential;
use crate::web::dialects::ApiDialect;
use crate::web::problem::Problem;

use app_auth::AppSignature;
use call::KooDriveCall;
use headers::Headers;
pub use wire::{WantedLinks, wanted};

mod app_auth;
pub(in crate::web) mod budget;
pub mod call;
mod codes;
mod headers;
pub(in crate::web) mod refusal;
mod wire;

/// The target of this module's log lines.
const TARGET: &str = "hallpass::web::koodrive";

/// The largest request body, in bytes. A hundred ids of 128 characters are an eightieth of it.
const BODY_BYTES_MAX: u64 = 1024 * 1024;

/// Answers a call.
pub(in crate::web) async fn answer(
    call: KooDriveCall,
    context: &mut RequestContext<'_>,
) -> Result<Response<Body>, Problem> {
    match call {
        KooDriveCall::Links => links(context).await,
    }
}

/// `POST …/files/download`: mints a signed URL for each file, to save it under its own name unless told
/// otherwise. The call succeeds also where single files fail; each has a code of its own.
async fn links(context: &mut RequestContext<'_>) -> Result<Response<Body>, Problem> {
    let (caller, headers, text) = called(context).await?;
    let wanted = wanted(&text)?;
    let batch = BatchRequest {
        folder: headers.folder,
        space: &wanted.container,
        files: &wanted.files,
        options: &wanted.options,
        default_disposition: Some(Disposition::Attachment),
    };
    let outcomes = context.gateway().mint_batch(&caller, &batch).await;
    let outcomes_seen = outcomes.as_ref().map(Vec::as_slice);
    log_call(context, &caller, &batch, outcomes_seen);
    let outcomes = outcomes?;
    let user = context.recorder().audited_hash(headers.user);
    for outcome in &outcomes {
        if let BatchOutcome::Minted(minted) = outcome {
            log_minted(context, &caller, user.as_deref(), minted);
        }
    }
    let text = wire::links(&wanted, &outcomes);
    let mut response = context.json(text);
    headers::put_trace(&mut response, &context.trace);
    Ok(response)
}

/// Authorizes the caller and reads the headers and the body. A key is checked before the headers, and they before
/// the body.
async fn called<'a>(
    context: &mut RequestContext<'a>,
) -> Result<(Principal, Headers<'a>, Bytes), Problem> {
    let line = credential::only_line(&context.request.headers, AUTHORIZATION)?;
    if let Some(signature) = AppSignature::of_line(line)? {
        return signed(context, &signature).await;
    }
    let key = credential::bearer_or_plus(line)?;
    let caller = context.authenticate(key).await?;
    caller.allows(Scope::Mint)?;
    let headers = Headers::read(context)?;
    let text = context.body.whole(BODY_BYTES_MAX).await?;
    Ok((caller, headers, text))
}

/// An app signs the body, too, so that is read before anybody knows who calls: only where the headers are
/// good. It is hashed as it comes in, of an app that is none as of any other, so that the time of a refusal
/// does not tell which apps there are.
async fn signed<'a>(
    context: &mut RequestContext<'a>,
    signature: &AppSignature<'_>,
) -> Result<(Principal, Headers<'a>, Bytes), Problem> {
    signature.expect_headers(context.request)?;
    let headers = Headers::read(context)?;
    let gateway = context.gateway();
    let length_max = context.body.length_max().min(BODY_BYTES_MAX);
    let _permit = context.shared.signed_bodies.take(length_max)?;
    let (text, hash) = context.body.whole_hashed(BODY_BYTES_MAX).await?;
    let message = signature.string_to_sign(context.request, &hash)?;
    let signed = gateway.recognize_app(signature.app, &message, &signature.mac);
    let caller = context.admit(signed.await?)?;
    caller.allows(Scope::Mint)?;
    Ok((caller, headers, text))
}

/// Says in the log who asked for what, whatever became of it: without a `batch_code`, the request's own
/// line says why. A place that was found is named; of any other there are the length and a keyed hash. The
/// vendor's user goes to the audit stream alone.
fn log_call(
    context: &RequestContext<'_>,
    caller: &Principal,
    batch: &BatchRequest<'_>,
    outcomes: Result<&[BatchOutcome], &Refusal>,
) {
    let gateway = context.gateway();
    let hash = |text: &[u8]| gateway.log_hash(text);
    let logged = |text: &str| match outcomes {
        Ok(_) => text.to_owned(),
        Err(_) => hash(text.as_bytes()),
    };
    tracing::info!(
        target: TARGET,
        trace_id = context.trace.trace_id.as_str(),
        request_id = &*context.trace.logged_request_id(hash),
        x_traceid = context.trace.logged_traceid(hash).as_deref(),
        api_key_id = %caller.key,
        organization_id = %caller.organization,
        folder = batch.folder.map(logged),
        container = logged(batch.space),
        files = batch.files.len(),
        batch_code = outcomes.ok().map(wire::batch_code),
        "asked for a batch of signed URLs"
    );
}

/// Logs a mint, like [`RequestContext::log_minted`], of a file that may be another organization's than the caller.
fn log_minted(
    context: &RequestContext<'_>,
    caller: &Principal,
    user: Option<&str>,
    minted: &Minted,
) {
    let recorder = context.recorder();
    recorder.minted(ApiDialect::KooDrive, caller, minted, user);
    let hash = |text: &[u8]| context.gateway().log_hash(text);
    tracing::info!(
        target: TARGET,
        trace_id = context.trace.trace_id.as_str(),
        request_id = &*context.trace.logged_request_id(hash),
        x_traceid = context.trace.logged_traceid(hash).as_deref(),
        link_id = %minted.link_id,
        kid = %minted.kid,
        api_key_id = %caller.key,
        caller_organization_id = %caller.organization,
        organization_id = %minted.file.organization,
        file_id = %minted.file.id,
        expires = minted.expires.get(),
        "minted a signed URL"
    );
}
