//! Aitronos' JSON, field by field in the vendor's order (its pages "Get file content URL", "File
//! object", "List files" and "Error handling"), and that of the calls of our own, in the same manner.

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::gateway::counts::LinkAllowance;
use crate::gateway::mint::Minted;
use crate::gateway::refusal::FieldFault;
use crate::gateway::revoke::Revoked;
use crate::model::file::FileRecord;
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::LinkId;
use crate::model::time::UnixSeconds;
use crate::web::problem::Problem;
use crate::web::wire::json;

/// The fields of the answer to a mint.
#[derive(Serialize)]
struct ContentUrl<'a> {
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
struct FileObject<'a> {
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
    /// From when on it is not there, of a file that has an end: the vendor's have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

/// The answer to a batch of files.
#[derive(Serialize)]
struct BatchAnswer<'a> {
    success: bool,
    message: String,
    files: Vec<FileObject<'a>>,
    total_uploaded: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_failed: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FailedFile<'a>>,
}

/// A file of a batch that was not stored.
#[derive(Serialize)]
pub(super) struct FailedFile<'a> {
    /// Its name, cut where it is long.
    pub(super) filename: &'a str,
    /// Its fault, in a sentence.
    pub(super) error: String,
}

/// A numbered page of files.
#[derive(Serialize)]
struct Page<'a> {
    files: Vec<FileObject<'a>>,
    total: u64,
    page: u64,
    limit: u32,
    has_more: bool,
}

/// The link that a call wants revoked, named in exactly one of two ways.
#[derive(Debug)]
pub enum LinkNamed {
    /// By itself.
    Url(String),
    /// By its id, not checked.
    Id(String),
}

/// The body of that call. What its fields hold is looked at later, so that no error of the library
/// repeats it.
#[derive(Deserialize)]
struct LinkBody {
    download_url: Option<Value>,
    link_id: Option<Value>,
}

/// The fields of the answer when links were revoked.
#[derive(Serialize)]
struct RevokedFields<'a> {
    organization_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization_epoch: Option<u64>,
    /// Of what all links were revoked, where fewer were named.
    #[serde(skip_serializing_if = "Option::is_none")]
    widened: Option<&'static str>,
}

/// What was counted of a counted link.
#[derive(Serialize)]
struct CountedLinkFields<'a> {
    organization_id: &'a str,
    link_id: &'a str,
    max_downloads: u64,
    done: u64,
    open: u64,
    downloads: u64,
    bytes_sent: u64,
    last_download_at: Option<String>,
    expires: u64,
}

/// A problem in Aitronos' words.
pub(super) struct AitronosFault<'a> {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    /// For a person.
    pub(super) message: &'static str,
    /// For a developer.
    pub(super) system_message: String,
    pub(super) field: Option<&'a str>,
    pub(super) value: Option<&'a str>,
    /// The page of the share that was asked for, where a program cannot do what is asked.
    pub(super) share_url: Option<&'a str>,
}

/// The envelope of every error.
#[derive(Serialize)]
struct Envelope<'a> {
    success: bool,
    error: ErrorFields<'a>,
}

#[derive(Serialize)]
struct ErrorFields<'a> {
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

/// The field that was wrong, if one was.
#[derive(Serialize)]
struct Details<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    share_url: Option<&'a str>,
}

/// The answer to a mint.
pub(super) fn content(minted: &Minted) -> Vec<u8> {
    json(&ContentUrl {
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
    json(&object(record))
}

/// The answer to a batch: the files that were stored, and those that were not.
pub(super) fn batch<'a>(
    stored: impl Iterator<Item = &'a FileRecord>,
    errors: Vec<FailedFile<'_>>,
) -> Vec<u8> {
    let files: Vec<FileObject<'_>> = stored.map(object).collect();
    let (total_uploaded, total_failed) = (files.len(), errors.len());
    json(&BatchAnswer {
        success: total_uploaded > 0,
        message: format!(
            "{total_uploaded} of {} files uploaded",
            total_uploaded + total_failed
        ),
        files,
        total_uploaded,
        total_failed: (total_failed > 0).then_some(total_failed),
        errors,
    })
}

/// A page of file objects. `has_more` says whether a later page has any.
pub(super) fn page(records: &[FileRecord], total: u64, page: u64, limit: u32) -> Vec<u8> {
    json(&Page {
        files: records.iter().map(object).collect(),
        total,
        page,
        limit,
        has_more: page.saturating_mul(u64::from(limit)) < total,
    })
}

/// Reads which link a call wants revoked. The body is a credential, so no fault repeats any of it.
pub fn link_named(body: &[u8]) -> Result<LinkNamed, Problem> {
    let unreadable = || Problem::bad_body("it is no JSON object");
    // The library would take an array for the fields in their order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(unreadable());
    }
    let body: LinkBody = serde_json::from_slice(body).map_err(|_| unreadable())?;
    let text = |field, value| match value {
        Value::String(text) => Ok(text),
        _ => Err(FieldFault::missing(field, "must be a text")),
    };
    match (body.download_url, body.link_id) {
        (Some(url), None) => Ok(LinkNamed::Url(text("download_url", url)?)),
        (None, Some(id)) => Ok(LinkNamed::Id(text("link_id", id)?)),
        (None, None) => {
            let why = "is required, or link_id in its place";
            Err(FieldFault::missing("download_url", why).into())
        }
        (Some(_), Some(_)) => {
            let why = "must not be there beside download_url";
            Err(FieldFault::missing("link_id", why).into())
        }
    }
}

/// The answer to revoking links.
pub(super) fn revoked(revoked: &Revoked) -> Vec<u8> {
    json(&RevokedFields {
        organization_id: revoked.organization.as_str(),
        link_id: revoked.link_id.as_ref().map(LinkId::as_str),
        file_id: revoked.file.as_ref().map(FileId::as_str),
        expires: revoked.extent.expires().map(UnixSeconds::get),
        link_revision: revoked.extent.link_revision(),
        organization_epoch: revoked.extent.epoch(),
        widened: revoked.widened(),
    })
}

/// The answer to the call that asks how often a counted link was used.
pub(super) fn counted_link(
    organization: &OrganizationId,
    link: LinkId,
    allowance: &LinkAllowance,
) -> Vec<u8> {
    json(&CountedLinkFields {
        organization_id: organization.as_str(),
        link_id: link.as_str(),
        max_downloads: allowance.allowed,
        done: allowance.done,
        open: allowance.open,
        downloads: allowance.downloads,
        bytes_sent: allowance.bytes_sent,
        last_download_at: allowance.last_download_at.map(|at| at.to_string()),
        expires: allowance.expires.get(),
    })
}

/// An error.
pub(super) fn error(fault: &AitronosFault<'_>, trace_id: &str, timestamp: String) -> Vec<u8> {
    let status = fault.status.as_u16();
    json(&Envelope {
        success: false,
        error: ErrorFields {
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
                share_url: fault.share_url,
            },
            trace_id,
            timestamp,
        },
    })
}

fn object(record: &FileRecord) -> FileObject<'_> {
    let (organization, id) = (record.organization.as_str(), record.id.as_str());
    FileObject {
        id,
        original_filename: record.name.as_str(),
        file_size: record.size,
        mime_type: record.media_type.as_str(),
        storage_path: format!("files/{organization}/{id}/{}", record.name),
        organization_id: organization,
        uploaded_by: None,
        uploaded_by_api_key_id: record.uploaded_by.as_ref().map(|key| key.as_str()),
        uploaded_at: record.updated_at.to_string(),
        expires_at: record.expires_at.map(|at| at.to_string()),
    }
}
