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
use crate::telemetry::metrics::{Route, Style};
use crate::web::body::Body;
use crate::web::form::{Fields, TextField};
use crate::web::problem::Problem;
use crate::web::upload::{Dialect, Uploaded};
use crate::web::{Exchange, credential, query, reply, upload};

use generation::{ContentStatus, Generation};

pub mod generation;
mod list;
pub(in crate::web) mod refusal;
mod wire;

/// Where the vendor's prose and where its samples have the API.
const ROOTS: [&str; 2] = ["/v1/files", "/api/v1/cloud/files"];

/// How many files a page has unless the caller says.
const LIMIT_DEFAULT: u32 = 20;
/// How many it has at most, whatever the caller says.
const LIMIT_MAX: u32 = 100;

/// What the parts of an upload are called.
const UPLOAD_FIELDS: Fields = Fields {
    file: &["file"],
    batch: &[],
    skips_null: false,
    texts: &[
        TextField::Purpose,
        TextField::Metadata,
        TextField::Filename,
        TextField::Name,
    ],
};

/// As [`UPLOAD_FIELDS`], of the third generation, whose clients write a field that is not given as `null`.
const UPLOAD_FIELDS_THIRD: Fields = Fields {
    skips_null: true,
    texts: &[
        TextField::Purpose,
        TextField::Metadata,
        TextField::Filename,
        TextField::Name,
        TextField::ExpiresIn,
    ],
    ..UPLOAD_FIELDS
};

/// Uploads of the first generation.
const UPLOAD: Dialect = Dialect {
    name: "qoder 1",
    fields: UPLOAD_FIELDS,
    answer: |uploaded| match uploaded {
        Uploaded::One(record) => (StatusCode::CREATED, wire::file(record, Generation::First)),
        // This API has no batches.
        Uploaded::Batch(_) => (StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
    },
};

/// Uploads of the third generation.
const UPLOAD_THIRD: Dialect = Dialect {
    name: "qoder 3",
    fields: UPLOAD_FIELDS_THIRD,
    answer: |uploaded| match uploaded {
        Uploaded::One(record) => (StatusCode::OK, wire::file(record, Generation::Third)),
        Uploaded::Batch(_) => (StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
    },
};

/// A call of this API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// `…/files/{file}/content`: mint and redirect.
    Content {
        /// The file's segment.
        file: &'a str,
    },
    /// `…/files/{file}`: retrieve and delete.
    File {
        /// The file's segment.
        file: &'a str,
    },
    /// `…/files`: list and upload.
    Files,
}

impl<'a> Call<'a> {
    /// The call that the path names.
    pub fn of_path(path: &'a str) -> Option<Self> {
        let rest = ROOTS.iter().find_map(|root| path.strip_prefix(root))?;
        if rest.is_empty() {
            return Some(Self::Files);
        }
        let rest = rest.strip_prefix('/')?;
        let (file, tail) = rest.split_once('/').unwrap_or((rest, ""));
        match tail {
            _ if file.is_empty() => None,
            "content" => Some(Self::Content { file }),
            "" if file == rest => Some(Self::File { file }),
            _ => None,
        }
    }

    /// The methods of the call, as `Allow` lists them.
    pub const fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Content { .. } => &["GET", "HEAD"],
            Self::File { .. } => &["GET", "HEAD", "DELETE"],
            Self::Files => &["GET", "HEAD", "POST"],
        }
    }

    /// What kind of call it is, in logs and numbers.
    pub const fn kind(&self) -> Route {
        match self {
            Self::Content { .. } => Route::QoderContent,
            Self::File { .. } => Route::QoderFile,
            Self::Files => Route::QoderFiles,
        }
    }

    /// The file in the path, as it was sent.
    pub const fn file(&self) -> Option<&'a str> {
        match self {
            Self::Content { file } | Self::File { file } => Some(file),
            Self::Files => None,
        }
    }
}

/// Answers a call.
pub(in crate::web) async fn answer(
    call: Call<'_>,
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, Problem> {
    match call {
        Call::Content { file } => mint(exchange, file).await,
        Call::File { file } => one_file(exchange, file).await,
        Call::Files if exchange.request.method == Method::POST => take_in(exchange).await,
        Call::Files => list(exchange).await,
    }
}

/// `GET …/files/{file}/content`: mints a signed URL and redirects to it, or in the third generation only
/// names it; the body says the same URL and when it ends. Unless asked for otherwise, browsers save the file under its name.
async fn mint(exchange: &Exchange<'_>, file: &str) -> Result<Response<Body>, Problem> {
    let caller = caller(exchange, Scope::Mint).await?;
    let options = query::mint_options(exchange.query())?;
    let habit = Some(Disposition::Attachment);
    let asked = exchange.gateway.mintable(&caller, file, &options).await?;
    if !is_downloadable(asked.file.purpose) {
        return Err(Problem::PurposeDenied);
    }
    let minted = exchange.gateway.mint_asked(asked, habit).await?;
    exchange.log_minted(Style::Qoder, &caller, &minted);
    let text = wire::content(&minted);
    let is_plain = exchange.settings.qoder_content_status == ContentStatus::Plain;
    if is_plain || generation(exchange) == Generation::Third {
        return Ok(reply::json(StatusCode::OK, exchange.trace, text));
    }
    let mut response = reply::json(StatusCode::FOUND, exchange.trace, text);
    reply::set(&mut response, LOCATION, &minted.download_url);
    Ok(response)
}

/// `POST …/files`: takes exactly one file in.
async fn take_in(exchange: &mut Exchange<'_>) -> Result<Response<Body>, Problem> {
    let caller = caller(exchange, Scope::Write).await?;
    let dialect = match generation(exchange) {
        Generation::First => &UPLOAD,
        Generation::Third => &UPLOAD_THIRD,
    };
    upload::take_in(exchange, caller, dialect).await
}

/// `GET …/files`: a page, newest first.
async fn list(exchange: &Exchange<'_>) -> Result<Response<Body>, Problem> {
    let caller = caller(exchange, Scope::Read).await?;
    if generation(exchange) == Generation::Third {
        let wanted = list::wanted(exchange.query())?;
        let page = list::page(exchange.gateway, &caller.organization, &wanted).await?;
        let text = wire::page_of_third(&page, wanted.is_backward());
        return Ok(reply::json(StatusCode::OK, exchange.trace, text));
    }
    let wanted = query::list_wanted(exchange.query(), LIMIT_DEFAULT, LIMIT_MAX)?;
    let cursor = wanted.cursor.as_ref();
    let filter = Filter::of_purpose(wanted.purpose);
    let page = exchange
        .gateway
        .cursor_page(&caller.organization, filter, cursor, wanted.limit)
        .await?;
    Ok(reply::json(
        StatusCode::OK,
        exchange.trace,
        wire::page(&page),
    ))
}

/// `GET …/files/{file}`: one file object. `DELETE` there deletes it: 204, or in the third generation an object.
async fn one_file(exchange: &Exchange<'_>, file: &str) -> Result<Response<Body>, Problem> {
    let delete = exchange.request.method == Method::DELETE;
    let scope = if delete { Scope::Write } else { Scope::Read };
    let caller = caller(exchange, scope).await?;
    let id = FileId::parse(file).map_err(|_| Refusal::FileNotFound)?;
    if delete {
        exchange.delete(caller, id.clone()).await?;
        if generation(exchange) == Generation::Third {
            let text = wire::deleted(&id);
            return Ok(reply::json(StatusCode::OK, exchange.trace, text));
        }
        return Ok(reply::empty(StatusCode::NO_CONTENT, exchange.trace));
    }
    let record = exchange
        .gateway
        .ready_file(&caller.organization, &id)
        .await?;
    Ok(reply::json(
        StatusCode::OK,
        exchange.trace,
        wire::file(&record, generation(exchange)),
    ))
}

/// The generation that the request is answered in.
fn generation(exchange: &Exchange<'_>) -> Generation {
    let served = exchange.settings.qoder_generation;
    served.of(&exchange.request.headers)
}

/// Who calls, and may.
async fn caller(exchange: &Exchange<'_>, scope: Scope) -> Result<Principal, Refusal> {
    let key = credential::bearer(&exchange.request.headers)?;
    let caller = exchange.authenticate(key).await?;
    caller.allows(scope)?;
    Ok(caller)
}

/// The vendor's rule: what people and sessions brought in is not handed out again here.
const fn is_downloadable(purpose: Purpose) -> bool {
    matches!(purpose, Purpose::ToolOutput | Purpose::SkillOutput)
}
