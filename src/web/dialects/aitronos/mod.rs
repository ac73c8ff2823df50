//! The Aitronos file API under `/v1/organizations/{organization}/files` (the vendor's pages "Files" and
//! "Authentication"): mint, upload, list, retrieve, delete. Keys come in `X-API-Key` or as a Bearer.
//! Beside them, and not the vendor's, are the calls that revoke links (`revoke`).

use hyper::{Method, Response, StatusCode};

use crate::gateway::principal::Principal;
use crate::gateway::refusal::Refusal;
use crate::model::id::FileId;
use crate::model::key::Scope;
use crate::telemetry::metrics::{Route, Style};
use crate::web::body::Body;
use crate::web::form::{Fields, TextField};
use crate::web::problem::Problem;
use crate::web::route::FilePath;
use crate::web::upload::{Dialect, Uploaded};
use crate::web::{Exchange, credential, query, reply, upload};

pub use wire::{LinkNamed, link_named};

pub(in crate::web) mod refusal;
mod revoke;
mod wire;

/// How many files a page has unless the caller says.
const LIMIT_DEFAULT: u32 = 50;
/// How many it may have.
const LIMIT_MAX: u32 = 100;

/// What the parts of an upload are called. The older page of the vendor says `file`, which is answered with the
/// file object; the newest, and its own client, say `files`, which is answered with an object of all of them.
const UPLOAD_FIELDS: Fields = Fields {
    file: &["file"],
    batch: &["files"],
    skips_null: false,
    texts: &[TextField::Purpose, TextField::Metadata],
};

/// Uploads of this API.
const UPLOAD: Dialect = Dialect {
    name: "aitronos",
    fields: UPLOAD_FIELDS,
    answer: uploaded,
};

/// A call of this API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// `…/files/{file}/content`: mint.
    Content(FilePath<'a>),
    /// `…/files/{file}`: retrieve and delete.
    File(FilePath<'a>),
    /// `…/files`: list.
    Files {
        /// The organization's segment.
        organization: &'a str,
    },
    /// `…/files/upload`.
    Upload {
        /// The organization's segment.
        organization: &'a str,
    },
    /// `/v1/organizations/{organization}/links/revoke`.
    RevokeLink {
        /// The organization's segment.
        organization: &'a str,
    },
    /// `…/files/{file}/revoke`.
    RevokeFile(FilePath<'a>),
    /// `/v1/organizations/{organization}/revoke`.
    RevokeOrganization {
        /// The organization's segment.
        organization: &'a str,
    },
}

impl<'a> Call<'a> {
    /// The call that the path names.
    pub fn of_path(path: &'a str) -> Option<Self> {
        if let Some(at) = FilePath::before(path, "content") {
            return Some(Self::Content(at));
        }
        if let Some(at) = FilePath::before(path, "revoke") {
            return Some(Self::RevokeFile(at));
        }
        let rest = path.strip_prefix("/v1/organizations/")?;
        let (organization, rest) = rest.split_once('/')?;
        if organization.is_empty() {
            return None;
        }
        match rest {
            "files" => Some(Self::Files { organization }),
            "files/upload" => Some(Self::Upload { organization }),
            "links/revoke" => Some(Self::RevokeLink { organization }),
            "revoke" => Some(Self::RevokeOrganization { organization }),
            rest => {
                let file = rest.strip_prefix("files/")?;
                let whole = !file.is_empty() && !file.contains('/');
                whole.then_some(Self::File(FilePath { organization, file }))
            }
        }
    }

    /// The methods of the call, as `Allow` lists them.
    pub const fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Content(_) | Self::Files { .. } => &["GET", "HEAD"],
            Self::File(_) => &["GET", "HEAD", "DELETE"],
            Self::Upload { .. }
            | Self::RevokeLink { .. }
            | Self::RevokeFile(_)
            | Self::RevokeOrganization { .. } => &["POST"],
        }
    }

    /// What kind of call it is, in logs and numbers.
    pub const fn kind(&self) -> Route {
        match self {
            Self::Content(_) => Route::AitronosContent,
            Self::File(_) => Route::AitronosFile,
            Self::Files { .. } => Route::AitronosFiles,
            Self::Upload { .. } => Route::AitronosUpload,
            Self::RevokeLink { .. } => Route::RevokeLink,
            Self::RevokeFile(_) => Route::RevokeFile,
            Self::RevokeOrganization { .. } => Route::RevokeOrganization,
        }
    }

    /// The organization and the file in the path, as they were sent.
    pub const fn names(&self) -> (Option<&'a str>, Option<&'a str>) {
        match self {
            Self::Content(at) | Self::File(at) | Self::RevokeFile(at) => {
                (Some(at.organization), Some(at.file))
            }
            Self::Files { organization }
            | Self::Upload { organization }
            | Self::RevokeLink { organization }
            | Self::RevokeOrganization { organization } => (Some(organization), None),
        }
    }
}

/// Answers a call.
pub(in crate::web) async fn answer(
    call: Call<'_>,
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, Problem> {
    match call {
        Call::Content(at) => mint(exchange, at).await,
        Call::File(at) => file(exchange, at).await,
        Call::Files { organization } => list(exchange, organization).await,
        Call::Upload { organization } => take_in(exchange, organization).await,
        Call::RevokeLink { organization } => revoke::link(exchange, organization).await,
        Call::RevokeFile(at) => revoke::links_of_file(exchange, at).await,
        Call::RevokeOrganization { organization } => {
            revoke::links_of_organization(exchange, organization).await
        }
    }
}

/// `GET …/files/{file}/content`, and `GET …/files/{file}/download` without a link's parameters: mints
/// a signed URL. Unless asked for, no claim is signed.
pub(in crate::web) async fn mint(
    exchange: &Exchange<'_>,
    at: FilePath<'_>,
) -> Result<Response<Body>, Problem> {
    let caller = caller(exchange, at.organization, Scope::Mint).await?;
    let options = query::mint_options(exchange.query())?;
    let minted = exchange
        .gateway
        .mint(&caller, at.file, &options, None)
        .await?;
    exchange.log_minted(Style::Aitronos, &caller, &minted);
    Ok(reply::json(
        StatusCode::OK,
        exchange.trace,
        wire::content(&minted),
    ))
}

/// `POST …/files/upload`: takes one file in, or a batch of some. A batch of which no file was stored has the
/// status of what is wrong with the first.
async fn take_in(
    exchange: &mut Exchange<'_>,
    organization: &str,
) -> Result<Response<Body>, Problem> {
    let caller = caller(exchange, organization, Scope::Write).await?;
    upload::take_in(exchange, caller, &UPLOAD).await
}

/// The answer to an upload.
fn uploaded(uploaded: &Uploaded<'_>) -> (StatusCode, Vec<u8>) {
    let files = match uploaded {
        Uploaded::One(record) => return (StatusCode::CREATED, wire::file(record)),
        Uploaded::Batch(files) => files,
    };
    let first_fault = files.first().and_then(|file| file.stored.err());
    let status = match first_fault {
        Some(fault) if files.iter().all(|file| file.stored.is_err()) => refusal::status(fault),
        _ => StatusCode::CREATED,
    };
    (status, wire::batch(files))
}

/// `GET …/files?page&limit`: a numbered page, newest first.
async fn list(exchange: &Exchange<'_>, organization: &str) -> Result<Response<Body>, Problem> {
    let caller = caller(exchange, organization, Scope::Read).await?;
    let wanted = query::page_wanted(exchange.query(), LIMIT_DEFAULT, LIMIT_MAX)?;
    let (page, limit) = (wanted.page, wanted.limit);
    let found = exchange
        .gateway
        .numbered_page(&caller.organization, page, limit)
        .await?;
    let text = wire::page(&found.files, found.total, page, limit);
    Ok(reply::json(StatusCode::OK, exchange.trace, text))
}

/// `GET …/files/{file}`: one file object. `DELETE` there deletes it, 204.
async fn file(exchange: &Exchange<'_>, at: FilePath<'_>) -> Result<Response<Body>, Problem> {
    let delete = exchange.request.method == Method::DELETE;
    let scope = if delete { Scope::Write } else { Scope::Read };
    let caller = caller(exchange, at.organization, scope).await?;
    let id = FileId::parse(at.file).map_err(|_| Refusal::FileNotFound)?;
    if delete {
        exchange.delete(caller, id).await?;
        return Ok(reply::empty(StatusCode::NO_CONTENT, exchange.trace));
    }
    let record = exchange
        .gateway
        .ready_file(&caller.organization, &id)
        .await?;
    Ok(reply::json(
        StatusCode::OK,
        exchange.trace,
        wire::file(&record),
    ))
}

/// Who calls, and may: first the key, then the organization in the path, then the scope.
async fn caller(
    exchange: &Exchange<'_>,
    organization: &str,
    scope: Scope,
) -> Result<Principal, Refusal> {
    let key = credential::api_key_or_bearer(&exchange.request.headers)?;
    let caller = exchange.authenticate(key).await?;
    caller.may(scope, organization)?;
    Ok(caller)
}
