//! Qoder's JSON, field by field in the vendor's order, which is alphabetical but for the envelope (its pages
//! "Download a file", "List files", "Upload a file" and "Errors").

use serde::{Serialize, Serializer};

use super::refusal::Fault;
use crate::gateway::files::CursorPage;
use crate::gateway::mint::Minted;
use crate::model::file::FileRecord;
use crate::model::metadata::Metadata;

/// What a mint answers.
#[derive(Serialize)]
struct Content<'a> {
    expires_at: String,
    url: &'a str,
}

/// A file object.
#[derive(Serialize)]
struct File<'a> {
    created_at: String,
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
struct Page<'a> {
    data: Vec<File<'a>>,
    first_id: Option<&'a str>,
    has_more: bool,
    last_id: Option<&'a str>,
}

/// The envelope of every error.
#[derive(Serialize)]
struct Envelope<'a> {
    error: Error<'a>,
    #[serde(rename = "type")]
    kind: &'a str,
}

#[derive(Serialize)]
struct Error<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
}

/// The answer to a mint.
pub(super) fn content(minted: &Minted) -> Vec<u8> {
    bytes(&Content {
        expires_at: minted.expires.to_string(),
        url: &minted.download_url,
    })
}

/// One file object.
pub(super) fn file(record: &FileRecord) -> Vec<u8> {
    bytes(&object(record))
}

/// A page of file objects.
pub(super) fn page(page: &CursorPage) -> Vec<u8> {
    bytes(&Page {
        data: page.files.iter().map(object).collect(),
        first_id: page.files.first().map(|file| file.id.as_str()),
        has_more: page.has_more,
        last_id: page.files.last().map(|file| file.id.as_str()),
    })
}

/// An error.
pub(super) fn error(fault: &Fault<'_>) -> Vec<u8> {
    bytes(&Envelope {
        error: Error {
            message: &fault.message,
            param: fault.param,
            kind: fault.kind,
        },
        kind: "error",
    })
}

fn object(record: &FileRecord) -> File<'_> {
    File {
        created_at: record.created_at.to_string(),
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

fn object_of_texts<S: Serializer>(metadata: &Metadata, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(metadata.pairs())
}

/// Serialising these types cannot fail: their maps have texts for keys, and their numbers are whole.
fn bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
