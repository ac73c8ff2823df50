//! The way between rows and values. What no value stands for is damage, said with the column's name.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::hash::Hash;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::fault::Fault;
use crate::catalog::CatalogError;
use crate::catalog::quota::Kept;
use crate::model::app::{App, AppSecret};
use crate::model::count::Counts;
use crate::model::digest::Sha256Digest;
use crate::model::file::{BlobLocation, FileRecord, FileState, InPlace, Purpose};
use crate::model::id::{ApiKeyId, AppId, BlobKey, FileId, FolderId, OrganizationId, SpaceId};
use crate::model::key::{ApiKey, ApiKeyState, Scopes};
use crate::model::media::MediaType;
use crate::model::metadata::Metadata;
use crate::model::name::FileName;
use crate::model::tenancy::{Folder, Organization, Space};
use crate::model::time::UnixSeconds;

/// A row of either database. What is read here is kept the same way in both.
pub(super) trait Columns {
    fn text(&self, column: &str) -> Result<Option<&str>, sqlx::Error>;
    fn integer(&self, column: &str) -> Result<Option<i64>, sqlx::Error>;
    fn bytes(&self, column: &str) -> Result<Option<&[u8]>, sqlx::Error>;
}

macro_rules! columns_of {
    ($Row:ty) => {
        impl Columns for $Row {
            fn text(&self, column: &str) -> Result<Option<&str>, sqlx::Error> {
                self.try_get(column)
            }

            fn integer(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
                self.try_get(column)
            }

            fn bytes(&self, column: &str) -> Result<Option<&[u8]>, sqlx::Error> {
                self.try_get(column)
            }
        }
    };
}

columns_of!(SqliteRow);
columns_of!(PgRow);

/// What one column can hold.
pub(super) trait Stored<'r>: Sized {
    fn of(row: &'r impl Columns, column: &str) -> Result<Option<Self>, sqlx::Error>;
}

impl<'r> Stored<'r> for &'r str {
    fn of(row: &'r impl Columns, column: &str) -> Result<Option<Self>, sqlx::Error> {
        row.text(column)
    }
}

impl<'r> Stored<'r> for i64 {
    fn of(row: &'r impl Columns, column: &str) -> Result<Option<Self>, sqlx::Error> {
        row.integer(column)
    }
}

impl<'r> Stored<'r> for &'r [u8] {
    fn of(row: &'r impl Columns, column: &str) -> Result<Option<Self>, sqlx::Error> {
        row.bytes(column)
    }
}

/// The value that `column` holds. `parse` answers `None` for what no value stands for.
pub(super) fn value<'r, D: Stored<'r>, T>(
    row: &'r impl Columns,
    column: &'static str,
    parse: impl FnOnce(D) -> Option<T>,
) -> Result<T, Fault> {
    let stored = D::of(row, column)?;
    stored.and_then(parse).ok_or_else(|| damaged(column))
}

/// As [`value`], of a column that may be empty.
pub(super) fn optional<'r, D: Stored<'r>, T>(
    row: &'r impl Columns,
    column: &'static str,
    parse: impl FnOnce(D) -> Option<T>,
) -> Result<Option<T>, Fault> {
    match D::of(row, column)? {
        Some(stored) => parse(stored).map(Some).ok_or_else(|| damaged(column)),
        None => Ok(None),
    }
}

fn damaged(column: &'static str) -> Fault {
    Fault::damage(format!("a value in the column {column} is damaged"))
}

/// A number that is never negative.
pub(super) fn number(row: &impl Columns, column: &'static str) -> Result<u64, Fault> {
    value(row, column, |stored: i64| u64::try_from(stored).ok())
}

/// How much an organization has.
pub(super) fn kept(row: &impl Columns) -> Result<Kept, Fault> {
    Ok(Kept {
        ready: number(row, "ready_files")?,
        files: number(row, "kept_files")?,
        bytes: number(row, "kept_bytes")?,
    })
}

/// A number as it is kept. `Limit` for one that does not fit into 63 bits.
pub(super) fn stored(number: u64) -> Result<i64, Fault> {
    let too_large = CatalogError::Limit {
        what: "in one number",
        limit: i64::MAX.cast_unsigned(),
    };
    i64::try_from(number).map_err(|_| too_large.into())
}

/// A time as it is kept. Eleven digits always fit.
pub(super) fn stored_time(time: UnixSeconds) -> i64 {
    time.get().cast_signed()
}

/// A point in time.
pub(super) fn time(row: &impl Columns, column: &'static str) -> Result<UnixSeconds, Fault> {
    value(row, column, unix_seconds)
}

pub(super) fn unix_seconds(stored: i64) -> Option<UnixSeconds> {
    u64::try_from(stored).ok().and_then(UnixSeconds::new)
}

fn text(row: &impl Columns, column: &'static str) -> Result<String, Fault> {
    value(row, column, |text: &str| Some(text.to_owned()))
}

/// The column `organization`, or another one that names one.
pub(super) fn organization_id(
    row: &impl Columns,
    column: &'static str,
) -> Result<OrganizationId, Fault> {
    value(row, column, |text: &str| OrganizationId::parse(text).ok())
}

/// The id of a file.
pub(super) fn file_id(row: &impl Columns, column: &'static str) -> Result<FileId, Fault> {
    value(row, column, |text: &str| FileId::parse(text).ok())
}

/// The id of a folder.
pub(super) fn folder_id(row: &impl Columns, column: &'static str) -> Result<FolderId, Fault> {
    value(row, column, |text: &str| FolderId::parse(text).ok())
}

/// The key of a blob.
pub(super) fn blob_key(row: &impl Columns) -> Result<BlobKey, Fault> {
    value(row, "blob", BlobKey::parse)
}

pub(super) fn digest(row: &impl Columns, column: &'static str) -> Result<Sha256Digest, Fault> {
    value(row, column, |bytes: &[u8]| {
        bytes.try_into().ok().map(Sha256Digest::new)
    })
}

/// A row of `organization`.
pub(super) fn organization(row: &impl Columns) -> Result<Organization, Fault> {
    Ok(Organization {
        id: organization_id(row, "id")?,
        name: text(row, "name")?,
        epoch: number(row, "epoch")?,
        created_at: time(row, "created_at")?,
    })
}

/// A row of `space`.
pub(super) fn space(row: &impl Columns) -> Result<Space, Fault> {
    Ok(Space {
        organization: organization_id(row, "organization")?,
        id: value(row, "id", |text: &str| SpaceId::parse(text).ok())?,
        name: text(row, "name")?,
        created_at: time(row, "created_at")?,
    })
}

/// A row of `folder`, without its members.
pub(super) fn folder(row: &impl Columns) -> Result<Folder, Fault> {
    Ok(Folder {
        organization: organization_id(row, "organization")?,
        id: folder_id(row, "id")?,
        name: text(row, "name")?,
        members: Vec::new(),
        created_at: time(row, "created_at")?,
    })
}

/// A row of `api_key`.
pub(super) fn api_key(row: &impl Columns) -> Result<ApiKey, Fault> {
    Ok(ApiKey {
        id: value(row, "id", |text: &str| ApiKeyId::parse(text).ok())?,
        organization: organization_id(row, "organization")?,
        name: text(row, "name")?,
        digest: digest(row, "digest")?,
        scopes: value(row, "scopes", Scopes::parse)?,
        state: value(row, "state", ApiKeyState::parse)?,
        created_at: time(row, "created_at")?,
        expires_at: optional(row, "expires_at", unix_seconds)?,
    })
}

/// What a row says of an app: its own id and times are under names of their own, `id` is its key's.
pub(super) fn app(row: &impl Columns) -> Result<App, Fault> {
    Ok(App {
        id: value(row, "app", |text: &str| AppId::parse(text).ok())?,
        key: value(row, "id", |text: &str| ApiKeyId::parse(text).ok())?,
        secret: value(row, "secret", |text: &str| AppSecret::parse(text).ok())?,
        created_at: time(row, "app_created_at")?,
    })
}

/// A row of `app`.
pub(super) fn kept_app(row: &impl Columns) -> Result<App, Fault> {
    Ok(App {
        id: value(row, "id", |text: &str| AppId::parse(text).ok())?,
        key: value(row, "api_key", |text: &str| ApiKeyId::parse(text).ok())?,
        secret: value(row, "secret", |text: &str| AppSecret::parse(text).ok())?,
        created_at: time(row, "created_at")?,
    })
}

/// A row of `app` and its key, by their ids alone.
pub(super) fn app_of_key(row: &impl Columns) -> Result<(AppId, ApiKeyId), Fault> {
    Ok((
        value(row, "app", |text: &str| AppId::parse(text).ok())?,
        value(row, "id", |text: &str| ApiKeyId::parse(text).ok())?,
    ))
}

/// A row of `file`.
pub(super) fn file(row: &impl Columns) -> Result<FileRecord, Fault> {
    Ok(FileRecord {
        organization: organization_id(row, "organization")?,
        id: file_id(row, "id")?,
        space: value(row, "space", |text: &str| SpaceId::parse(text).ok())?,
        name: value(row, "name", |text: &str| {
            FileName::from_catalogue(text).ok()
        })?,
        media_type: value(row, "media_type", |text: &str| MediaType::parse(text).ok())?,
        size: number(row, "size")?,
        sha256: digest(row, "sha256")?,
        purpose: value(row, "purpose", Purpose::parse)?,
        state: file_state(row)?,
        metadata: value(row, "metadata", metadata_of)?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
        uploaded_by: optional(row, "uploaded_by", |text: &str| ApiKeyId::parse(text).ok())?,
        damaged_at: optional(row, "damaged_at", unix_seconds)?,
        link_revision: number(row, "link_revision")?,
        location: location(row)?,
        is_text: optional(row, "is_text", flag)?,
        expires_at: optional(row, "expires_at", unix_seconds)?,
    })
}

const fn flag(stored: i64) -> Option<bool> {
    match stored {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn file_state(row: &impl Columns) -> Result<FileState, Fault> {
    let deleted_at = optional(row, "deleted_at", unix_seconds)?;
    value(row, "state", |word: &str| match (word, deleted_at) {
        ("ready", None) => Some(FileState::Ready),
        ("deleted", Some(at)) => Some(FileState::Deleted { at }),
        ("swept", Some(at)) => Some(FileState::Swept { at }),
        _ => None,
    })
}

fn location(row: &impl Columns) -> Result<BlobLocation, Fault> {
    let path = optional(row, "path", |path: &[u8]| Some(path.to_vec()))?;
    let Some(path) = path else {
        return blob_key(row).map(BlobLocation::Stored);
    };
    Ok(BlobLocation::InPlace(InPlace {
        path: PathBuf::from(OsString::from_vec(path)),
        inode: value(row, "inode", |inode: i64| Some(inode.cast_unsigned()))?,
        modified_nanos: value(row, "modified_nanos", Some::<i64>)?,
        device: optional(row, "device", |device: i64| Some(device.cast_unsigned()))?,
        changed_nanos: optional(row, "changed_nanos", Some::<i64>)?,
    }))
}

/// What a row of `file_count` or `link_count` counts.
pub(super) fn counts(row: &impl Columns) -> Result<Counts, Fault> {
    Ok(Counts {
        downloads: number(row, "downloads")?,
        whole: number(row, "whole")?,
        bytes_sent: number(row, "bytes_sent")?,
        last_at: optional(row, "last_at", unix_seconds)?,
    })
}

/// The words of the column `pairs`, two by two. One text for an organization is read in half the time of a
/// row for each file, and every gateway reads all of them again whenever anybody revokes.
pub(super) fn pairs<K: Eq + Hash, V>(
    row: &impl Columns,
    parse: impl Fn(&str, &str) -> Option<(K, V)>,
) -> Result<HashMap<K, V>, Fault> {
    value(row, "pairs", |text: &str| {
        let mut words = text.split(' ');
        let mut pairs = HashMap::new();
        while let Some(first) = words.next() {
            let (key, value) = parse(first, words.next()?)?;
            pairs.insert(key, value);
        }
        Some(pairs)
    })
}

/// Blob keys as one JSON array, so that one statement can ask for any number of them.
pub(super) fn blob_keys_text(keys: &[BlobKey]) -> String {
    let keys: Vec<String> = keys.iter().map(BlobKey::to_string).collect();
    serde_json::Value::from(keys).to_string()
}

/// File ids as one JSON array, for the same reason.
pub(super) fn ids_text(ids: &[FileId]) -> String {
    let ids: Vec<&str> = ids.iter().map(FileId::as_str).collect();
    serde_json::Value::from(ids).to_string()
}

/// Metadata as one JSON object of texts.
pub(super) fn metadata_text(metadata: &Metadata) -> String {
    let pairs = metadata
        .pairs()
        .map(|(key, value)| (key.to_owned(), value.into()));
    serde_json::Value::Object(pairs.collect()).to_string()
}

fn metadata_of(text: &str) -> Option<Metadata> {
    let pairs: BTreeMap<String, String> = serde_json::from_str(text).ok()?;
    Metadata::new(pairs).ok()
}
