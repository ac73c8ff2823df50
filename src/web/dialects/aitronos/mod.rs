//! The Aitronos file API under `/v1/organizations/{organization}/files` (the vendor's pages "Files" and
//! "Authentication"): mint, upload, list, retrieve, delete. Keys come in `X-API-Key` or as a Bearer.
//! Beside them, and not the vendor's, are the calls that revoke links (`revoke`), those of shares (`shares`), and the one
//! that says how often a counted link was used.

use hyper::{Method, Response, StatusCode};

use crate::gateway::counts::COUNTED_DOWNLOAD;
use crate::gateway::principal::Principal;
use crate::gateway::refusal::Refusal;
use crate::model::id::FileId;
use crate::model::key::Scope;
use crate::model::revocation::LinkId;
use crate::web::body::Body;
use crate::web::context::RequestContext;
use crate::web::dialects::{ApiDialect, cut};
use crate::web::file_path::FilePath;
use crate::web::form::{Fields, TextField};
use crate::web::problem::Problem;
use crate::web::upload::{UploadAnswer, UploadDialect, UploadedFile};
use crate::web::{credential, query, reply, upload};

use call::AitronosCall;
pub use wire::{LinkNamed, link_named};

pub mod call;
pub(in crate::web) mod refusal;
mod revoke;
mod shares;
mod wire;

/// The number of files on a page unless the caller says.
const LIMIT_DEFAULT: u32 = 50;
/// The most files on a page.
const LIMIT_MAX: u32 = 100;

/// Uploads of this API. The older page of the vendor says `file`, which is answered with the file object; the newest,
/// and its own client, say `files`, which is answered with an object of all of them.
const UPLOAD: UploadDialect = UploadDialect {
    name: "aitronos",
    fields: Fields {
        batch: Some("files"),
        skips_null: false,
        texts: &[
            TextField::Purpose,
            TextField::Metadata,
            TextField::ExpiresIn,
        ],
    },
    one: |record| (StatusCode::CREATED, wire::file(record)),
    batch: Some(batch_uploaded),
};

/// Answers a call.
pub(in crate::web) async fn answer(
    call: AitronosCall<'_>,
    context: &mut RequestContext<'_>,
) -> Result<Response<Body>, Problem> {
    match call {
        AitronosCall::Content(at) => mint(context, at).await,
        AitronosCall::File(at) => file(context, at).await,
        AitronosCall::Files(organization) => list(context, organization).await,
        AitronosCall::Upload(organization) => take_in(context, organization).await,
        AitronosCall::Link { organization, link } => {
            counted_link(context, organization, link).await
        }
        AitronosCall::Shares(organization) => shares::all(context, organization).await,
        AitronosCall::Share {
            organization,
            share,
        } => shares::one(context, organization, share).await,
        AitronosCall::RotateShare {
            organization,
            share,
        } => shares::rotate(context, organization, share).await,
        AitronosCall::RevokeLink(organization) => revoke::link(context, organization).await,
        AitronosCall::RevokeFile(at) => revoke::links_of_file(context, at).await,
        AitronosCall::RevokeOrganization(organization) => {
            revoke::links_of_organization(context, organization).await
        }
    }
}

/// `GET …/files/{file}/content`, and `GET …/files/{file}/download` without a link's parameters: mints
/// a signed URL. Unless asked for, no claim is signed.
pub(in crate::web) async fn mint(
    context: &RequestContext<'_>,
    at: FilePath<'_>,
) -> Result<Response<Body>, Problem> {
    let caller = caller(context, at.organization, Scope::Mint).await?;
    let options = query::mint_options(context.query())?;
    let minted = context.gateway().mint(&caller, at.file, &options).await?;
    context.log_minted(ApiDialect::Aitronos, &caller, &minted);
    Ok(context.json(wire::content(&minted)))
}

/// `POST …/files/upload`: takes one file in, or a batch of some. A batch of which no file was stored has the
/// status of what is wrong with the first.
async fn take_in(
    context: &mut RequestContext<'_>,
    organization: &str,
) -> Result<Response<Body>, Problem> {
    let caller = caller(context, organization, Scope::Write).await?;
    upload::take_in(context, caller, &UPLOAD).await
}

/// The answer to a batch.
fn batch_uploaded(files: &[UploadedFile<'_>]) -> UploadAnswer {
    let first_fault = files.first().and_then(|file| file.stored.err());
    let status = match first_fault {
        Some(fault) if files.iter().all(|file| file.stored.is_err()) => refusal::status(fault),
        _ => StatusCode::CREATED,
    };
    let stored = files.iter().filter_map(|file| file.stored.ok());
    let failed = files.iter().filter_map(|file| {
        Some(wire::FailedFile {
            error: refusal::sentence(file.stored.err()?),
            filename: cut(file.filename),
        })
    });
    (status, wire::batch(stored, failed.collect()))
}

/// `GET …/files?page&limit`: a numbered page, newest first.
async fn list(context: &RequestContext<'_>, organization: &str) -> Result<Response<Body>, Problem> {
    let caller = caller(context, organization, Scope::Read).await?;
    let wanted = query::page_wanted(context.query(), LIMIT_DEFAULT, LIMIT_MAX)?;
    let (page, limit) = (wanted.page, wanted.limit);
    let found = context
        .gateway()
        .numbered_page(&caller.organization, page, limit)
        .await?;
    let text = wire::page(&found.files, found.total, page, limit);
    Ok(context.json(text))
}

/// `GET …/files/{file}`: one file object. `DELETE` there deletes it, 204.
async fn file(context: &RequestContext<'_>, at: FilePath<'_>) -> Result<Response<Body>, Problem> {
    let delete = context.request.method == Method::DELETE;
    let scope = if delete { Scope::Write } else { Scope::Read };
    let caller = caller(context, at.organization, scope).await?;
    let id = FileId::parse(at.file).map_err(|_| Refusal::FileNotFound)?;
    if delete {
        context.delete(caller, id).await?;
        return Ok(reply::empty(StatusCode::NO_CONTENT, &context.trace));
    }
    let record = context
        .gateway()
        .ready_file(&caller.organization, &id)
        .await?;
    Ok(context.json(wire::file(&record)))
}

/// `GET …/links/{link}`: what was counted of a counted link. A text that is no link's id is not found, as a link is by
/// which nobody has started a download.
async fn counted_link(
    context: &RequestContext<'_>,
    organization: &str,
    link: &str,
) -> Result<Response<Body>, Problem> {
    let caller = caller(context, organization, Scope::Read).await?;
    let link = LinkId::parse(link).ok_or(Refusal::Missing {
        what: COUNTED_DOWNLOAD,
    })?;
    let allowance = context
        .gateway()
        .allowance_of_link(&caller.organization, link);
    let text = wire::counted_link(&caller.organization, link, &allowance.await?);
    Ok(context.json(text))
}

/// Authorizes the caller: checks first the key, then the organization in the path, then the scope.
async fn caller(
    context: &RequestContext<'_>,
    organization: &str,
    scope: Scope,
) -> Result<Principal, Refusal> {
    let key = credential::api_key_or_bearer(&context.request.headers)?;
    let caller = context.authenticate(key).await?;
    caller.may(scope, organization)?;
    Ok(caller)
}
