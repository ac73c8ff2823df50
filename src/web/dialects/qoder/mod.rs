//! The Qoder Cloud Agents file API under `/v1/files`, and the same under `/api/v1/cloud/files` (the vendor's
//! pages "Files" and "Conventions"): mint and redirect, list, upload, retrieve, delete. Keys come as a
//! Bearer only, and the key's organization is the account.

use hyper::header::LOCATION;
use hyper::{Method, Response, StatusCode};

use crate::gateway::files::Filter;
use crate::gateway::principal::Principal;
use crate::gateway::refusal::Refusal;
use crate::model::disposition::Disposition;
use crate::model::file::Purpose;
use crate::model::id::FileId;
use crate::model::key::Scope;
use crate::web::body::Body;
use crate::web::context::RequestContext;
use crate::web::dialects::ApiDialect;
use crate::web::form::{Fields, TextField};
use crate::web::problem::Problem;
use crate::web::upload::UploadDialect;
use crate::web::{credential, query, reply, upload};

use call::QoderCall;
use generation::{ContentStatus, Generation};

pub mod call;
pub mod generation;
mod list;
pub(in crate::web) mod refusal;
mod wire;

/// The number of files on a page unless the caller says.
const LIMIT_DEFAULT: u32 = 20;
/// The most files on a page, for any limit that the caller names.
const LIMIT_MAX: u32 = 100;

/// Uploads of the first generation.
const UPLOAD: UploadDialect = UploadDialect {
    name: "qoder 1",
    fields: Fields {
        batch: None,
        skips_null: false,
        texts: &[
            TextField::Purpose,
            TextField::Metadata,
            TextField::Filename,
            TextField::Name,
            TextField::ExpiresIn,
        ],
    },
    one: |record| (StatusCode::CREATED, wire::file(record, Generation::First)),
    batch: None,
};

/// Uploads of the third generation, whose clients write a field that is not given as `null`.
const UPLOAD_THIRD: UploadDialect = UploadDialect {
    name: "qoder 3",
    fields: Fields {
        batch: None,
        skips_null: true,
        texts: &[
            TextField::Purpose,
            TextField::Metadata,
            TextField::Filename,
            TextField::Name,
            TextField::ExpiresIn,
        ],
    },
    one: |record| (StatusCode::OK, wire::file(record, Generation::Third)),
    batch: None,
};

/// Answers a call.
pub(in crate::web) async fn answer(
    call: QoderCall<'_>,
    context: &mut RequestContext<'_>,
) -> Result<Response<Body>, Problem> {
    match call {
        QoderCall::Content(file) => mint(context, file).await,
        QoderCall::File(file) => one_file(context, file).await,
        QoderCall::Files if context.request.method == Method::POST => take_in(context).await,
        QoderCall::Files => list(context).await,
    }
}

/// `GET …/files/{file}/content`: mints a signed URL and redirects to it, or in the third generation only
/// names it; the body says the same URL and when it ends. Unless asked for otherwise, browsers save the file under its name.
async fn mint(context: &RequestContext<'_>, file: &str) -> Result<Response<Body>, Problem> {
    let caller = caller(context, Scope::Mint).await?;
    let options = query::mint_options(context.query())?;
    let (gateway, disposition) = (context.gateway(), Some(Disposition::Attachment));
    let asked = gateway.mintable(&caller.organization, file, &options, disposition);
    let asked = asked.await?;
    if !is_downloadable(asked.file.purpose) {
        return Err(Problem::PurposeDenied);
    }
    let minted = gateway.mint_asked(asked).await?;
    context.log_minted(ApiDialect::Qoder, &caller, &minted);
    let text = wire::content(&minted);
    let is_plain = context.settings().qoder_content_status == ContentStatus::Plain;
    if is_plain || generation(context) == Generation::Third {
        return Ok(context.json(text));
    }
    let mut response = reply::json(StatusCode::FOUND, &context.trace, text);
    reply::set(&mut response, LOCATION, &minted.download_url);
    Ok(response)
}

/// `POST …/files`: takes exactly one file in.
async fn take_in(context: &mut RequestContext<'_>) -> Result<Response<Body>, Problem> {
    let caller = caller(context, Scope::Write).await?;
    let dialect = match generation(context) {
        Generation::First => &UPLOAD,
        Generation::Third => &UPLOAD_THIRD,
    };
    upload::take_in(context, caller, dialect).await
}

/// `GET …/files`: a page, newest first.
async fn list(context: &RequestContext<'_>) -> Result<Response<Body>, Problem> {
    let caller = caller(context, Scope::Read).await?;
    if generation(context) == Generation::Third {
        let wanted = list::wanted(context.query())?;
        let page = list::page(context.gateway(), &caller.organization, &wanted).await?;
        let text = wire::page_of_third(&page, wanted.is_backward());
        return Ok(context.json(text));
    }
    let wanted = query::list_wanted(context.query(), LIMIT_DEFAULT, LIMIT_MAX)?;
    let cursor = wanted.cursor.as_ref();
    let filter = Filter::of_purpose(wanted.purpose);
    let page = context
        .gateway()
        .cursor_page(&caller.organization, filter, cursor, wanted.limit)
        .await?;
    Ok(context.json(wire::page(&page)))
}

/// `GET …/files/{file}`: one file object. `DELETE` there deletes it: 204, or in the third generation an object.
async fn one_file(context: &RequestContext<'_>, file: &str) -> Result<Response<Body>, Problem> {
    let delete = context.request.method == Method::DELETE;
    let scope = if delete { Scope::Write } else { Scope::Read };
    let caller = caller(context, scope).await?;
    let id = FileId::parse(file).map_err(|_| Refusal::FileNotFound)?;
    if delete {
        context.delete(caller, id.clone()).await?;
        if generation(context) == Generation::Third {
            let text = wire::deleted(&id);
            return Ok(context.json(text));
        }
        return Ok(reply::empty(StatusCode::NO_CONTENT, &context.trace));
    }
    let record = context
        .gateway()
        .ready_file(&caller.organization, &id)
        .await?;
    Ok(context.json(wire::file(&record, generation(context))))
}

/// The generation that the request is answered in.
fn generation(context: &RequestContext<'_>) -> Generation {
    let served = context.settings().qoder_generation;
    served.of(&context.request.headers)
}

/// Authorizes the caller: checks first the key, then the scope.
async fn caller(context: &RequestContext<'_>, scope: Scope) -> Result<Principal, Refusal> {
    let key = credential::bearer(&context.request.headers)?;
    let caller = context.authenticate(key).await?;
    caller.allows(scope)?;
    Ok(caller)
}

/// The vendor's rule: what people and sessions brought in is not handed out again here.
const fn is_downloadable(purpose: Purpose) -> bool {
    matches!(purpose, Purpose::ToolOutput | Purpose::SkillOutput)
}
