//! Row mapping: from the columns of a row to values of the model. What no value stands for is damage, said with
//! the column's name.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::LazyLock;

use rusqlite::types::{FromSqlResult, ValueRef};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::fault::Fault;
use crate::catalog::CatalogError;
use crate::catalog::quota::Usage;
use crate::model::app::{App, AppSecret};
use crate::model::count::Counts;
use crate::model::digest::{Crc32, Sha256Digest};
use crate::model::file::{BlobLocation, FileRecord, FileState, InPlace, Purpose};
use crate::model::id::{
    ApiKeyId, AppId, BlobKey, FileId, FolderId, OrganizationId, ShareId, SpaceId,
};
use crate::model::key::{ApiKey, ApiKeyState, Scopes};
use crate::model::media::MediaType;
use crate::model::metadata::Metadata;
use crate::model::name::FileName;
use crate::model::redemption::{RedemptionId, Subject};
use crate::model::tenancy::{Folder, Organization, Space};
use crate::model::time::UnixSeconds;

/// A row of either database.
#[derive(Clone, Copy)]
pub(in crate::catalog) enum Row<'r> {
    /// Of SQLite.
    Sqlite(&'r SqliteRow),
    /// Of PostgreSQL.
    Postgres(&'r PgRow),
    /// Of SQLite, read without the driver.
    Rusqlite(&'r rusqlite::Row<'r>),
    /// Of SQLite, read without the driver, where the columns have these names, in their order.
    OnTheSpot(&'r rusqlite::Row<'r>, &'static [&'static str]),
}

/// The columns of a whole file.
pub(in crate::catalog) static FILE_COLUMNS: LazyLock<Vec<&str>> =
    LazyLock::new(|| super::dialect::file_columns!().split(", ").collect());

/// A value that a column can hold.
pub(in crate::catalog) trait Stored<'r>: Sized {
    fn of(row: Row<'r>, column: &str) -> Result<Option<Self>, sqlx::Error>;
}

macro_rules! stored {
    ($($Type:ty: $of_value:expr),+) => {$(
        impl<'r> Stored<'r> for $Type {
            fn of(row: Row<'r>, column: &str) -> Result<Option<Self>, sqlx::Error> {
                match row {
                    Row::Sqlite(row) => row.try_get(column),
                    Row::Postgres(row) => row.try_get(column),
                    Row::Rusqlite(row) => {
                        let value = row.get_ref(column).map_err(|error| undecoded(column, error))?;
                        decoded(column, value, $of_value)
                    }
                    Row::OnTheSpot(row, columns) => {
                        let value = value_on_the_spot(row, columns, column)?;
                        decoded(column, value, $of_value)
                    }
                }
            }
        }
    )+};
}
stored!(
    &'r str: |value| value.as_str_or_null(),
    i64: |value| value.as_i64_or_null(),
    &'r [u8]: |value| value.as_blob_or_null()
);

fn value_on_the_spot<'r>(
    row: &'r rusqlite::Row<'r>,
    columns: &[&str],
    column: &str,
) -> Result<ValueRef<'r>, sqlx::Error> {
    let place = columns.iter().position(|name| *name == column);
    let place = place.ok_or_else(|| sqlx::Error::ColumnNotFound(column.to_owned()))?;
    row.get_ref(place).map_err(|error| undecoded(column, error))
}

fn decoded<'r, T>(
    column: &str,
    value: ValueRef<'r>,
    of_value: fn(ValueRef<'r>) -> FromSqlResult<T>,
) -> Result<T, sqlx::Error> {
    of_value(value).map_err(|error| undecoded(column, error))
}

fn undecoded(column: &str, error: impl Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: error.into(),
    }
}

/// Reads the value that `column` holds. `parse` answers `None` for what no value stands for.
pub(in crate::catalog) fn value<'r, D: Stored<'r>, T>(
    row: Row<'r>,
    column: &'static str,
    parse: impl FnOnce(D) -> Option<T>,
) -> Result<T, Fault> {
    let stored = D::of(row, column)?;
    stored.and_then(parse).ok_or_else(|| damaged(column))
}

/// Reads a value as [`value`] does, of a column that may be empty.
pub(super) fn optional<'r, D: Stored<'r>, T>(
    row: Row<'r>,
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

/// Reads a number that is never negative.
pub(super) fn number(row: Row<'_>, column: &'static str) -> Result<u64, Fault> {
    value(row, column, |stored: i64| u64::try_from(stored).ok())
}

/// Reads such a number of a column that may be empty.
pub(super) fn optional_number(row: Row<'_>, column: &'static str) -> Result<Option<u64>, Fault> {
    optional(row, column, |stored: i64| u64::try_from(stored).ok())
}

/// Reads an organization's counters.
pub(super) fn usage(row: Row<'_>) -> Result<Usage, Fault> {
    Ok(Usage {
        ready: number(row, "ready_files")?,
        files: number(row, "kept_files")?,
        bytes: number(row, "kept_bytes")?,
    })
}

/// Returns a number as it is kept. `Limit` for one that does not fit into 63 bits.
pub(super) fn stored(number: u64) -> Result<i64, Fault> {
    let too_large = CatalogError::Limit {
        what: "in one number",
        limit: i64::MAX.cast_unsigned(),
    };
    i64::try_from(number).map_err(|_| too_large.into())
}

/// Returns a time as it is kept. Eleven digits always fit.
pub(super) const fn stored_time(time: UnixSeconds) -> i64 {
    time.get().cast_signed()
}

/// Reads a point in time.
pub(super) fn time(row: Row<'_>, column: &'static str) -> Result<UnixSeconds, Fault> {
    value(row, column, unix_seconds)
}

pub(super) fn unix_seconds(stored: i64) -> Option<UnixSeconds> {
    u64::try_from(stored).ok().and_then(UnixSeconds::new)
}

/// Reads a text of any content.
pub(super) fn text(row: Row<'_>, column: &'static str) -> Result<String, Fault> {
    value(row, column, |text: &str| Some(text.to_owned()))
}

/// Reads ids.
macro_rules! ids {
    ($($name:ident: $Id:ident),+) => {$(
        pub(super) fn $name(row: Row<'_>, column: &'static str) -> Result<$Id, Fault> {
            value(row, column, |text: &str| $Id::parse(text).ok())
        }
    )+};
}
ids!(organization_id: OrganizationId, space_id: SpaceId, file_id: FileId, folder_id: FolderId);
ids!(api_key_id: ApiKeyId, app_id: AppId, share_id: ShareId);

/// Reads the id of a started download.
pub(super) fn redemption_id(row: Row<'_>) -> Result<RedemptionId, Fault> {
    value(row, "rid", RedemptionId::parse)
}

/// Reads what downloads are counted of.
pub(super) fn subject(row: Row<'_>) -> Result<Subject, Fault> {
    value(row, "subject", Subject::parse)
}

/// Reads the key of a blob.
pub(super) fn blob_key(row: Row<'_>) -> Result<BlobKey, Fault> {
    value(row, "blob", BlobKey::parse)
}

pub(super) fn digest(row: Row<'_>, column: &'static str) -> Result<Sha256Digest, Fault> {
    value(row, column, |bytes: &[u8]| {
        bytes.try_into().ok().map(Sha256Digest::new)
    })
}

/// Reads a row of `organization`.
pub(super) fn organization(row: Row<'_>) -> Result<Organization, Fault> {
    Ok(Organization {
        id: organization_id(row, "id")?,
        name: text(row, "name")?,
        epoch: number(row, "epoch")?,
        created_at: time(row, "created_at")?,
    })
}

/// Reads a row of `space`.
pub(super) fn space(row: Row<'_>) -> Result<Space, Fault> {
    Ok(Space {
        organization: organization_id(row, "organization")?,
        id: space_id(row, "id")?,
        name: text(row, "name")?,
        created_at: time(row, "created_at")?,
    })
}

/// Reads a row of `folder`, without its members.
pub(super) fn folder(row: Row<'_>) -> Result<Folder, Fault> {
    Ok(Folder {
        organization: organization_id(row, "organization")?,
        id: folder_id(row, "id")?,
        name: text(row, "name")?,
        members: Vec::new(),
        created_at: time(row, "created_at")?,
    })
}

/// Reads a row of `api_key`.
pub(super) fn api_key(row: Row<'_>) -> Result<ApiKey, Fault> {
    Ok(ApiKey {
        id: api_key_id(row, "id")?,
        organization: organization_id(row, "organization")?,
        name: text(row, "name")?,
        digest: digest(row, "digest")?,
        scopes: value(row, "scopes", Scopes::parse)?,
        state: value(row, "state", ApiKeyState::parse)?,
        created_at: time(row, "created_at")?,
        expires_at: optional(row, "expires_at", unix_seconds)?,
    })
}

/// Reads the state of an API key, if there is one, and when it expires.
pub(super) fn key_state(row: Row<'_>) -> Result<Option<(ApiKeyState, Option<UnixSeconds>)>, Fault> {
    let state = optional(row, "state", ApiKeyState::parse)?;
    let end = optional(row, "expires_at", unix_seconds)?;
    Ok(state.map(|state| (state, end)))
}

/// Reads an app from a row that has its key, too: `id` and `created_at` are the key's.
pub(super) fn app(row: Row<'_>) -> Result<App, Fault> {
    app_of(row, ["app", "id", "app_created_at"])
}

/// Reads a row of `app`.
pub(super) fn app_row(row: Row<'_>) -> Result<App, Fault> {
    app_of(row, ["id", "api_key", "created_at"])
}

fn app_of(row: Row<'_>, [id, key, created_at]: [&'static str; 3]) -> Result<App, Fault> {
    Ok(App {
        id: app_id(row, id)?,
        key: api_key_id(row, key)?,
        secret: value(row, "secret", |text: &str| AppSecret::parse(text).ok())?,
        created_at: time(row, created_at)?,
    })
}

/// Reads a row of `app` and its key, by their ids alone.
pub(super) fn app_of_key(row: Row<'_>) -> Result<(AppId, ApiKeyId), Fault> {
    Ok((app_id(row, "app")?, api_key_id(row, "id")?))
}

/// Reads a row of `file`.
pub(in crate::catalog) fn file(row: Row<'_>) -> Result<FileRecord, Fault> {
    let (size, location) = (number(row, "size")?, location(row)?);
    let fingerprint = digest(row, "sha256")?;
    // The column has a digest of every row: of the bytes, or of the identity of a file that nobody has read.
    let is_read = match &location {
        BlobLocation::Stored(_) => true,
        BlobLocation::InPlace(place) => place.fingerprint(size) != fingerprint,
    };
    Ok(FileRecord {
        organization: organization_id(row, "organization")?,
        id: file_id(row, "id")?,
        space: space_id(row, "space")?,
        name: value(row, "name", |text: &str| {
            FileName::from_catalogue(text).ok()
        })?,
        media_type: value(row, "media_type", |text: &str| MediaType::parse(text).ok())?,
        size,
        sha256: is_read.then_some(fingerprint),
        purpose: value(row, "purpose", Purpose::parse)?,
        state: file_state(row)?,
        metadata: value(row, "metadata", metadata_of)?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
        uploaded_by: optional(row, "uploaded_by", |text: &str| ApiKeyId::parse(text).ok())?,
        damaged_at: optional(row, "damaged_at", unix_seconds)?,
        link_revision: number(row, "link_revision")?,
        location,
        is_text: optional(row, "is_text", flag)?,
        expires_at: optional(row, "expires_at", unix_seconds)?,
        crc32: optional(row, "crc32", |stored: i64| {
            u32::try_from(stored).ok().map(Crc32::new)
        })?,
    })
}

const fn flag(stored: i64) -> Option<bool> {
    match stored {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn file_state(row: Row<'_>) -> Result<FileState, Fault> {
    let deleted_at = optional(row, "deleted_at", unix_seconds)?;
    value(row, "state", |word: &str| match (word, deleted_at) {
        ("ready", None) => Some(FileState::Ready),
        ("deleted", Some(at)) => Some(FileState::Deleted { at }),
        ("swept", Some(at)) => Some(FileState::Swept { at }),
        _ => None,
    })
}

fn location(row: Row<'_>) -> Result<BlobLocation, Fault> {
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

/// Reads a row of `file_count` or `link_count`.
pub(super) fn counts(row: Row<'_>) -> Result<Counts, Fault> {
    Ok(Counts {
        downloads: number(row, "downloads")?,
        whole: number(row, "whole")?,
        bytes_sent: number(row, "bytes_sent")?,
        last_at: optional(row, "last_at", unix_seconds)?,
    })
}

/// Reads the words of the column `pairs`, two by two. One text for an organization is read in half the time of a
/// row for each file, and every gateway reads all of them when it begins.
pub(super) fn pairs<K, V>(
    row: Row<'_>,
    parse: impl Fn(&str, &str) -> Option<(K, V)>,
) -> Result<Vec<(K, V)>, Fault> {
    value(row, "pairs", |text: &str| {
        let mut words = text.split(' ');
        let mut pairs = Vec::new();
        while let Some(first) = words.next() {
            pairs.push(parse(first, words.next()?)?);
        }
        Some(pairs)
    })
}

/// Returns texts as one JSON array, the list that SQLite's statements read.
pub(super) fn json_array(texts: &[&str]) -> String {
    serde_json::Value::from(texts).to_string()
}

/// Returns metadata as one JSON object of texts.
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
