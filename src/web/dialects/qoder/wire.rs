//! Qoder's JSON, field by field in the vendor's order, which is alphabetical but for the envelope (its pages
//! "Download a file", "List files", "Upload a file" and "Errors").

use hyper::StatusCode;
use serde::{Serialize, Serializer};

use super::generation::Generation;
use super::is_downloadable;
use super::list::PAGE_PREFIX;
use crate::gateway::files::CursorPage;
use crate::gateway::mint::Minted;
use crate::model::file::FileRecord;
use crate::model::id::FileId;
use crate::model::metadata::Metadata;
use crate::web::wire::json;

/// The fields of the answer to a mint.
#[derive(Serialize)]
struct ContentRedirect<'a> {
    expires_at: String,
    url: &'a str,
}

/// A file object.
#[derive(Serialize)]
struct FileOfFirst<'a> {
    created_at: String,
    /// From when on it is not there, of a file that has an end: this generation's have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    file_id: &'a str,
    filename: &'a str,
    #[serde(serialize_with = "object_of_texts")]
    metadata: &'a Metadata,
    mime_type: &'a str,
    purpose: &'a str,
    size_bytes: u64,
    status: &'a str,
    updated_at: String,
}

/// A page of files.
#[derive(Serialize)]
struct PageOfFirst<'a> {
    data: Vec<FileOfFirst<'a>>,
    first_id: Option<&'a str>,
    has_more: bool,
    last_id: Option<&'a str>,
}

/// A file object of the third generation.
#[derive(Serialize)]
struct FileOfThird<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    created_at: String,
    filename: &'a str,
    mime_type: &'a str,
    size_bytes: u64,
    #[serde(serialize_with = "object_of_texts")]
    metadata: &'a Metadata,
    status: &'a str,
    downloadable: bool,
    /// No file belongs to a session.
    scope: Option<&'a str>,
    expires_at: Option<String>,
}

/// A page of files of the third generation.
#[derive(Serialize)]
struct PageOfThird<'a> {
    data: Vec<FileOfThird<'a>>,
    first_id: Option<&'a str>,
    has_more: bool,
    last_id: Option<&'a str>,
    next_page: Option<String>,
}

/// The fields of the answer to a deletion in the third generation.
#[derive(Serialize)]
struct Deleted<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

/// A problem in Qoder's words.
pub(super) struct QoderFault<'a> {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) message: String,
    /// The parameter that is wrong, if one is.
    pub(super) param: Option<&'a str>,
}

/// The envelope of every error.
#[derive(Serialize)]
struct ErrorObject<'a> {
    error: ErrorBody<'a>,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
}

/// The answer to a mint.
pub(super) fn content(minted: &Minted) -> Vec<u8> {
    json(&ContentRedirect {
        expires_at: minted.expires.to_string(),
        url: &minted.download_url,
    })
}

/// One file object.
pub(super) fn file(record: &FileRecord, generation: Generation) -> Vec<u8> {
    match generation {
        Generation::First => json(&object(record)),
        Generation::Third => json(&object_of_third(record)),
    }
}

/// The answer to a deletion in the third generation.
pub(super) fn deleted(id: &FileId) -> Vec<u8> {
    json(&Deleted {
        id: id.as_str(),
        kind: "file_deleted",
    })
}

/// A page of file objects of the third generation. The next page has older files. It is named where there may
/// be one: always behind a page that was walked back to (`is_backward`), for `has_more` speaks of newer files there.
pub(super) fn page_of_third(page: &CursorPage, is_backward: bool) -> Vec<u8> {
    let last_id = page.files.last().map(|file| file.id.as_str());
    let next = last_id.filter(|_| page.has_more || is_backward);
    json(&PageOfThird {
        data: page.files.iter().map(object_of_third).collect(),
        first_id: page.files.first().map(|file| file.id.as_str()),
        has_more: page.has_more,
        last_id,
        next_page: next.map(|id| format!("{PAGE_PREFIX}{id}")),
    })
}

/// A page of file objects.
pub(super) fn page(page: &CursorPage) -> Vec<u8> {
    json(&PageOfFirst {
        data: page.files.iter().map(object).collect(),
        first_id: page.files.first().map(|file| file.id.as_str()),
        has_more: page.has_more,
        last_id: page.files.last().map(|file| file.id.as_str()),
    })
}

/// An error; the third generation has the request's id in it.
pub(super) fn error(fault: &QoderFault<'_>, request_id: Option<&str>) -> Vec<u8> {
    json(&ErrorObject {
        error: ErrorBody {
            message: &fault.message,
            param: fault.param,
            kind: fault.kind,
        },
        kind: "error",
        request_id,
    })
}

fn object(record: &FileRecord) -> FileOfFirst<'_> {
    FileOfFirst {
        created_at: record.created_at.to_string(),
        expires_at: record.expires_at.map(|at| at.to_string()),
        file_id: record.id.as_str(),
        filename: record.name.as_str(),
        metadata: &record.metadata,
        mime_type: record.media_type.as_str(),
        purpose: record.purpose.as_str(),
        size_bytes: record.size,
        status: record.state.as_str(),
        updated_at: record.updated_at.to_string(),
    }
}

fn object_of_third(record: &FileRecord) -> FileOfThird<'_> {
    FileOfThird {
        id: record.id.as_str(),
        kind: "file",
        created_at: record.created_at.to_string(),
        filename: record.name.as_str(),
        mime_type: record.media_type.as_str(),
        size_bytes: record.size,
        metadata: &record.metadata,
        status: record.state.as_str(),
        downloadable: is_downloadable(record.purpose),
        scope: None,
        expires_at: record.expires_at.map(|at| at.to_string()),
    }
}

fn object_of_texts<S: Serializer>(metadata: &Metadata, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(metadata.pairs())
}
