//! The Aitronos file API under `/v1/organizations/{organization}/files` (the vendor's pages "Files" and
//! "Authentication"): mint, upload, list, retrieve, delete. Keys come in `X-API-Key` or as a Bearer.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::body::Body;
use super::form::{Fields, Form};
use super::problem::Problem;
use super::route::FilePath;
use super::trace::Trace;
use super::{credential, query, reply, wire as forms};
use crate::gateway::Gateway;
use crate::gateway::principal::Principal;
use crate::gateway::refusal::{FieldFault, Refusal};
use crate::gateway::upload::NewFile;
use crate::model::file::Purpose;
use crate::model::id::{FileId, SpaceId};
use crate::model::key::Scope;
use crate::model::media::MediaType;

pub(super) mod refusal;
mod wire;

/// How many files a page has unless the caller says.
const LIMIT_DEFAULT: u32 = 50;
/// How many it may have.
const LIMIT_MAX: u32 = 100;

/// What the parts of an upload are called. The newest page of the vendor says `files`, the older `file`.
const UPLOAD_FIELDS: Fields = Fields {
    file: &["file", "files"],
    texts: &["purpose", "metadata"],
};

/// `GET …/files/{file}/content`, and `GET …/files/{file}/download` without a link's parameters: mints
/// a signed URL. Unless asked for, no claim is signed.
pub(super) async fn mint(
    gateway: &Gateway,
    request: &Parts,
    at: FilePath<'_>,
    trace: &Trace,
) -> Result<Response<Body>, Problem> {
    let caller = caller(gateway, request, at.organization, Scope::Mint).await?;
    let options = query::mint_options(request.uri.query().unwrap_or_default())?;
    let minted = gateway.mint(&caller, at.file, &options, None).await?;
    tracing::info!(
        trace_id = trace.trace_id, link_id = %minted.link_id, kid = %minted.kid, api_key_id = %caller.key,
        organization_id = %caller.organization, file_id = %minted.file.id, expires = minted.expires.get(),
        "minted a signed URL"
    );
    Ok(reply::json(StatusCode::OK, trace, wire::content(&minted)))
}

/// `POST …/files/upload`: takes exactly one file in.
pub(super) async fn upload(
    gateway: &Arc<Gateway>,
    request: &Parts,
    body: &mut Incoming,
    organization: &str,
    trace: &Trace,
) -> Result<Response<Body>, Problem> {
    let caller = caller(gateway, request, organization, Scope::Write).await?;
    let form = Form::read(gateway, &request.headers, body, &UPLOAD_FIELDS).await?;
    let purpose = purpose(form.text("purpose"))?;
    let metadata = forms::metadata(form.text("metadata"))?;
    let file = form
        .file
        .ok_or_else(|| FieldFault::missing("file", "the file to upload"))?;
    let new = NewFile {
        organization: caller.organization,
        space: SpaceId::default_space(),
        id: None,
        media_type: MediaType::of_upload(file.declared_type.as_deref(), &file.name),
        name: file.name,
        purpose,
        metadata,
        created_at: None,
        uploaded_by: Some(caller.key),
    };
    let record = gateway.finish_upload(file.upload, new).await?;
    Ok(reply::json(StatusCode::CREATED, trace, wire::file(&record)))
}

/// `GET …/files?page&limit`: a numbered page, newest first.
pub(super) async fn list(
    gateway: &Gateway,
    request: &Parts,
    organization: &str,
    trace: &Trace,
) -> Result<Response<Body>, Problem> {
    let caller = caller(gateway, request, organization, Scope::Read).await?;
    let wanted = query::page_wanted(
        request.uri.query().unwrap_or_default(),
        LIMIT_DEFAULT,
        LIMIT_MAX,
    )?;
    let found = gateway
        .numbered_page(&caller.organization, wanted.page, wanted.limit)
        .await?;
    let text = wire::page(&found.files, found.total, wanted.page, wanted.limit);
    Ok(reply::json(StatusCode::OK, trace, text))
}

/// `GET …/files/{file}`: one file object. `DELETE` there deletes it, 204.
pub(super) async fn file(
    gateway: &Gateway,
    request: &Parts,
    at: FilePath<'_>,
    trace: &Trace,
) -> Result<Response<Body>, Problem> {
    let delete = request.method == Method::DELETE;
    let scope = if delete { Scope::Write } else { Scope::Read };
    let caller = caller(gateway, request, at.organization, scope).await?;
    let id = FileId::parse(at.file).map_err(|_| Refusal::FileNotFound)?;
    if delete {
        gateway.delete(&caller.organization, &id).await?;
        return Ok(reply::empty(StatusCode::NO_CONTENT, trace));
    }
    let record = gateway.ready_file(&caller.organization, &id).await?;
    Ok(reply::json(StatusCode::OK, trace, wire::file(&record)))
}

/// Who calls, and may: first the key, then the organization in the path, then the scope.
async fn caller(
    gateway: &Gateway,
    request: &Parts,
    organization: &str,
    scope: Scope,
) -> Result<Principal, Refusal> {
    let key = credential::api_key_or_bearer(&request.headers)?;
    let caller = gateway.authenticate(key).await?;
    caller.may(scope, organization)?;
    Ok(caller)
}

fn purpose(text: Option<&str>) -> Result<Purpose, FieldFault> {
    let Some(text) = text else {
        return Ok(Purpose::UserUpload);
    };
    let words = Purpose::ALL.map(Purpose::as_str).join(", ");
    Purpose::parse(text).ok_or_else(|| FieldFault::new("purpose", text, format!("one of {words}")))
}
