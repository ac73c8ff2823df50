//! File rows, their lists, and the counter of ready ones.

use std::os::unix::ffi::OsStrExt;

use sqlx::{SqliteConnection, query, query_scalar};

use super::fault::Fault;
use super::{rows, tenancy};
use crate::catalog::{DELETED_FILE, FILE};
use crate::catalog::{NumberedPage, Position, missing, taken};
use crate::model::file::{BlobLocation, FileRecord, FileState, Purpose};
use crate::model::id::{BlobKey, FileId, OrganizationId};
use crate::model::time::UnixSeconds;

/// A `SELECT` of whole files, with what follows the table's name.
macro_rules! files {
    ($rest:literal) => {
        concat!(
            "SELECT organization, id, space, name, media_type, size, sha256, purpose, state, deleted_at, \
             metadata, created_at, updated_at, uploaded_by, link_revision, blob, path, inode, \
             modified_nanos FROM file ",
            $rest
        )
    };
}

/// The lists compare the whole place at once, so that they begin in the index right after it and read
/// no row that they do not answer with. Each needs its own index; a test asks SQLite whether it is used.
pub(super) const PAGE: &str = files!(
    "WHERE organization = ? AND state = 'ready' AND (created_at, id) < (?, ?) \
     ORDER BY created_at DESC, id DESC LIMIT ?"
);
/// As [`PAGE`], of one purpose.
pub(super) const PAGE_OF_PURPOSE: &str = files!(
    "WHERE organization = ? AND purpose = ? AND state = 'ready' AND (created_at, id) < (?, ?) \
     ORDER BY created_at DESC, id DESC LIMIT ?"
);
/// A page by its number.
pub(super) const NUMBERED_PAGE: &str = files!(
    "WHERE organization = ? AND state = 'ready' ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?"
);
/// What the recycle bin's sweeper asks for.
pub(super) const DELETED: &str = files!(
    "WHERE state = 'deleted' AND deleted_at <= ? ORDER BY deleted_at, organization, id LIMIT ?"
);
/// As the ids come: one JSON array.
pub(super) const OF_IDS: &str =
    files!("WHERE organization = ? AND id IN (SELECT value FROM json_each(?))");
/// As [`OF_IDS`], of those that lie in a folder.
pub(super) const IN_FOLDER: &str = files!(
    "WHERE organization = ?1 AND id IN (SELECT file FROM folder_file \
     WHERE organization = ?1 AND folder = ?2 AND file IN (SELECT value FROM json_each(?3)))"
);
/// The keys come as one JSON array: one statement, however many.
pub(super) const BLOBS_IN_USE: &str = "SELECT DISTINCT blob FROM file \
     WHERE blob IN (SELECT value FROM json_each(?)) AND state <> 'swept'";

pub(super) async fn add(connection: &mut SqliteConnection, file: &FileRecord) -> Result<(), Fault> {
    tenancy::know(connection, &file.organization).await?;
    let space = tenancy::space(connection, &file.organization, &file.space).await?;
    if space.is_none() {
        return Err(missing("the space").into());
    }
    if is_taken(connection, &file.organization, &file.id).await? {
        return Err(taken("the file id").into());
    }
    insert(connection, file).await?;
    count_ready(connection, &file.organization, 1).await
}

pub(super) async fn file(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    id: &FileId,
) -> Result<Option<FileRecord>, Fault> {
    let row = query(files!("WHERE organization = ? AND id = ?"))
        .bind(organization.as_str())
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(rows::file).transpose()
}

pub(super) async fn page(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    purpose: Option<Purpose>,
    after: Option<&Position>,
    limit: u32,
) -> Result<Vec<FileRecord>, Fault> {
    // No row is as new as this, so "after it" is from the newest on.
    let (created_at, id) = after.map_or((i64::MAX, ""), |position| {
        (rows::stored_time(position.created_at), position.id.as_str())
    });
    let list = match purpose {
        None => query(PAGE).bind(organization.as_str()),
        Some(purpose) => query(PAGE_OF_PURPOSE)
            .bind(organization.as_str())
            .bind(purpose.as_str()),
    };
    let found = list
        .bind(created_at)
        .bind(id)
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    found.iter().map(rows::file).collect()
}

pub(super) async fn numbered_page(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    offset: u64,
    limit: u32,
) -> Result<NumberedPage, Fault> {
    let counter = query("SELECT ready_files FROM organization WHERE id = ?")
        .bind(organization.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    let total = counter.map_or(Ok(0), |row| rows::number(&row, "ready_files"))?;
    let found = query(NUMBERED_PAGE)
        .bind(organization.as_str())
        .bind(i64::from(limit))
        .bind(i64::try_from(offset).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await?;
    let files = found.iter().map(rows::file).collect::<Result<_, _>>()?;
    Ok(NumberedPage { files, total })
}

pub(super) async fn delete(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    id: &FileId,
    now: UnixSeconds,
) -> Result<FileRecord, Fault> {
    let found = file(connection, organization, id).await?;
    let ready = found.filter(|file| file.state == FileState::Ready);
    let file = ready.ok_or(missing(FILE))?;
    query("UPDATE file SET state = 'deleted', deleted_at = ? WHERE organization = ? AND id = ?")
        .bind(rows::stored_time(now))
        .bind(organization.as_str())
        .bind(id.as_str())
        .execute(&mut *connection)
        .await?;
    count_ready(connection, organization, -1).await?;
    Ok(FileRecord {
        state: FileState::Deleted { at: now },
        ..file
    })
}

pub(super) async fn deleted(
    connection: &mut SqliteConnection,
    before: UnixSeconds,
    limit: u32,
) -> Result<Vec<FileRecord>, Fault> {
    let found = query(DELETED)
        .bind(rows::stored_time(before))
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    found.iter().map(rows::file).collect()
}

pub(super) async fn mark_swept(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    id: &FileId,
) -> Result<(), Fault> {
    let marked = query(
        "UPDATE file SET state = 'swept' WHERE organization = ? AND id = ? AND state = 'deleted'",
    )
    .bind(organization.as_str())
    .bind(id.as_str())
    .execute(connection)
    .await?;
    if marked.rows_affected() == 0 {
        return Err(missing(DELETED_FILE).into());
    }
    Ok(())
}

pub(super) async fn forget_swept(
    connection: &mut SqliteConnection,
    before: UnixSeconds,
    limit: u32,
) -> Result<u64, Fault> {
    let forgotten = query(
        "DELETE FROM file WHERE rowid IN \
         (SELECT rowid FROM file WHERE state = 'swept' AND deleted_at <= ? LIMIT ?)",
    )
    .bind(rows::stored_time(before))
    .bind(i64::from(limit))
    .execute(connection)
    .await?;
    Ok(forgotten.rows_affected())
}

pub(super) async fn blobs_in_use(
    connection: &mut SqliteConnection,
    keys: &[BlobKey],
) -> Result<Vec<BlobKey>, Fault> {
    let found = query(BLOBS_IN_USE)
        .bind(rows::blob_keys_text(keys))
        .fetch_all(connection)
        .await?;
    found.iter().map(rows::blob_key).collect()
}

async fn is_taken(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    id: &FileId,
) -> Result<bool, Fault> {
    let taken =
        query_scalar("SELECT EXISTS (SELECT 1 FROM file WHERE organization = ? AND id = ?)")
            .bind(organization.as_str())
            .bind(id.as_str())
            .fetch_one(connection)
            .await?;
    Ok(taken)
}

async fn insert(connection: &mut SqliteConnection, file: &FileRecord) -> Result<(), Fault> {
    let (blob, in_place) = match &file.location {
        BlobLocation::Stored(key) => (Some(key.to_string()), None),
        BlobLocation::InPlace(file) => (None, Some(file)),
    };
    query(
        "INSERT INTO file (organization, id, space, name, media_type, size, sha256, purpose, state, \
         metadata, created_at, updated_at, uploaded_by, link_revision, blob, path, inode, \
         modified_nanos) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'ready', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(file.organization.as_str())
    .bind(file.id.as_str())
    .bind(file.space.as_str())
    .bind(file.name.as_str())
    .bind(file.media_type.as_str())
    .bind(rows::stored(file.size)?)
    .bind(file.sha256.as_bytes().as_slice())
    .bind(file.purpose.as_str())
    .bind(rows::metadata_text(&file.metadata))
    .bind(rows::stored_time(file.created_at))
    .bind(rows::stored_time(file.updated_at))
    .bind(file.uploaded_by.as_ref().map(|key| key.as_str()))
    .bind(rows::stored(file.link_revision)?)
    .bind(blob)
    .bind(in_place.map(|file| file.path.as_os_str().as_bytes()))
    .bind(in_place.map(|file| file.inode.cast_signed()))
    .bind(in_place.map(|file| file.modified_nanos))
    .execute(connection)
    .await?;
    Ok(())
}

async fn count_ready(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    change: i64,
) -> Result<(), Fault> {
    query("UPDATE organization SET ready_files = ready_files + ? WHERE id = ?")
        .bind(change)
        .bind(organization.as_str())
        .execute(connection)
        .await?;
    Ok(())
}
