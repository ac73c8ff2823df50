//! Aitronos' JSON, field by field in the vendor's order (its pages "Get file content URL", "File
//! object", "List files" and "Error handling").

use serde::Serialize;

use super::refusal::Fault;
use crate::gateway::mint::Minted;
use crate::model::file::FileRecord;

/// What a mint answers.
#[derive(Serialize)]
struct Content<'a> {
    file_id: &'a str,
    filename: &'a str,
    mime_type: &'a str,
    file_size: u64,
    download_url: &'a str,
    token: &'a str,
    expires: u64,
}

/// A file object.
#[derive(Serialize)]
struct File<'a> {
    id: &'a str,
    original_filename: &'a str,
    file_size: u64,
    mime_type: &'a str,
    /// A name in the vendor's form. It is no place on a disk.
    storage_path: String,
    organization_id: &'a str,
    uploaded_by: Option<&'a str>,
    uploaded_by_api_key_id: Option<&'a str>,
    uploaded_at: String,
}

/// A numbered page of files.
#[derive(Serialize)]
struct Page<'a> {
    files: Vec<File<'a>>,
    total: u64,
    page: u64,
    limit: u32,
    has_more: bool,
}

/// The envelope of every error.
#[derive(Serialize)]
struct Envelope<'a> {
    success: bool,
    error: Error<'a>,
}

#[derive(Serialize)]
struct Error<'a> {
    code: &'a str,
    message: &'a str,
    system_message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    status: u16,
    details: Details<'a>,
    trace_id: &'a str,
    timestamp: String,
}

/// Which field was wrong, if one was.
#[derive(Serialize)]
struct Details<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
}

/// The answer to a mint.
pub(super) fn content(minted: &Minted) -> Vec<u8> {
    bytes(&Content {
        file_id: minted.file.id.as_str(),
        filename: minted.file.name.as_str(),
        mime_type: minted.file.media_type.as_str(),
        file_size: minted.file.size,
        download_url: &minted.download_url,
        token: &minted.token,
        expires: minted.expires.get(),
    })
}

/// One file object.
pub(super) fn file(record: &FileRecord) -> Vec<u8> {
    bytes(&object(record))
}

/// A page of file objects. `has_more` says whether a later page has any.
pub(super) fn page(records: &[FileRecord], total: u64, page: u64, limit: u32) -> Vec<u8> {
    bytes(&Page {
        files: records.iter().map(object).collect(),
        total,
        page,
        limit,
        has_more: page.saturating_mul(u64::from(limit)) < total,
    })
}

/// An error.
pub(super) fn error(fault: &Fault<'_>, trace_id: &str, timestamp: String) -> Vec<u8> {
    let status = fault.status.as_u16();
    bytes(&Envelope {
        success: false,
        error: Error {
            code: fault.code,
            message: fault.message,
            system_message: &fault.system_message,
            kind: if status < 500 {
                "client_error"
            } else {
                "server_error"
            },
            status,
            details: Details {
                field: fault.field,
                value: fault.value,
            },
            trace_id,
            timestamp,
        },
    })
}

fn object(record: &FileRecord) -> File<'_> {
    let (organization, id) = (record.organization.as_str(), record.id.as_str());
    File {
        id,
        original_filename: record.name.as_str(),
        file_size: record.size,
        mime_type: record.media_type.as_str(),
        storage_path: format!("files/{organization}/{id}/{}", record.name),
        organization_id: organization,
        uploaded_by: None,
        uploaded_by_api_key_id: record.uploaded_by.as_ref().map(|key| key.as_str()),
        uploaded_at: record.updated_at.to_string(),
    }
}

/// Serialising these types cannot fail: they hold no map with other keys than text, and no number that
/// JSON lacks.
fn bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
