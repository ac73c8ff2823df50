//! The KooDrive API under `/koodrive/ose/v1` (the vendor's page "Obtaining Download Links"): mint for a
//! batch of files. Keys come as `Bearer+key` or `Bearer key`; or the request is signed by an app.

use bytes::Bytes;
use hyper::header::AUTHORIZATION;
use hyper::{Response, StatusCode};

use super::body::{self, Body};
use super::problem::Problem;
use super::{Exchange, credential, reply};
use crate::gateway::batch::{BatchRequest, Outcome};
use crate::gateway::mint::Minted;
use crate::gateway::principal::Principal;
use crate::model::disposition::Disposition;
use crate::model::key::Scope;

use app_auth::AppSignature;
use headers::Headers;

mod app_auth;
mod headers;
pub(super) mod refusal;
mod wire;

/// The largest request body, in bytes. A hundred ids of 128 characters are an eightieth of it.
const BODY_BYTES_MAX: u64 = 1024 * 1024;

/// A call of this API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `/koodrive/ose/v1/files/download`: mint for a batch of files.
    Links,
}

impl Call {
    /// The call that the path names.
    pub fn of_path(path: &str) -> Option<Self> {
        (path == "/koodrive/ose/v1/files/download").then_some(Self::Links)
    }

    /// The methods of the call, as `Allow` lists them.
    pub const fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Links => &["POST"],
        }
    }

    /// The call's name in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Links => "koodrive_links",
        }
    }
}

/// Answers a call.
pub(super) async fn answer(
    call: Call,
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, Problem> {
    match call {
        Call::Links => links(exchange).await,
    }
}

/// `POST …/files/download`: mints a signed URL for each file, to save it under its own name unless told
/// otherwise. The call succeeds also where single files fail; each has a code of its own.
async fn links(exchange: &mut Exchange<'_>) -> Result<Response<Body>, Problem> {
    let (caller, signed_body) = caller(exchange).await?;
    caller.may(Scope::Mint, caller.organization.as_str())?;
    let headers = Headers::read(exchange)?;
    let text = match signed_body {
        Some(text) => text,
        None => body::whole(exchange.body, BODY_BYTES_MAX).await?,
    };
    let wanted = wire::wanted(&text)?;
    let batch = BatchRequest {
        folder: headers.folder,
        space: &wanted.container,
        files: &wanted.files,
        options: &wanted.options,
        habit: Some(Disposition::Attachment),
    };
    let outcomes = exchange.gateway.mint_batch(&caller, &batch).await?;
    for outcome in &outcomes {
        if let Outcome::Minted(minted) = outcome {
            log_minted(exchange, &caller, headers.user, minted);
        }
    }
    let text = wire::links(&wanted.files, &outcomes);
    let mut response = reply::json(StatusCode::OK, exchange.trace, text);
    headers::put_trace(&mut response, exchange.trace);
    Ok(response)
}

/// Who calls. An app signs the body, too, so it was read then.
async fn caller(exchange: &mut Exchange<'_>) -> Result<(Principal, Option<Bytes>), Problem> {
    let request = exchange.request;
    let line = credential::only_line(&request.headers, AUTHORIZATION.as_str())?;
    let Some(signature) = AppSignature::of_line(line)? else {
        let key = credential::bearer_or_plus(line)?;
        return Ok((exchange.gateway.authenticate(key).await?, None));
    };
    let app = exchange.gateway.signing_app(signature.app).await?;
    let text = body::whole(exchange.body, BODY_BYTES_MAX).await?;
    let message = signature.string_to_sign(request, &text)?;
    Ok((app.verify(&message, &signature.mac)?, Some(text)))
}

/// As [`Exchange::log_minted`], with the vendor's user.
fn log_minted(exchange: &Exchange<'_>, caller: &Principal, user: &str, minted: &Minted) {
    tracing::info!(
        trace_id = exchange.trace.trace_id,
        link_id = %minted.link_id,
        kid = %minted.kid,
        api_key_id = %caller.key,
        caller_organization_id = %caller.organization,
        organization_id = %minted.file.organization,
        file_id = %minted.file.id,
        expires = minted.expires.get(),
        koodrive_user_id = user,
        "minted a signed URL"
    );
}
