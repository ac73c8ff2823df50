//! File rows, their lists, and the counter of ready ones.

use std::os::unix::ffi::OsStrExt;

use sqlx::{SqliteConnection, query, query_scalar};

use super::fault::Fault;
use super::{quota, rows, tenancy, versions};
use crate::catalog::quota::Quota;
use crate::catalog::{CatalogError, Filter, NumberedPage, Place, Position, missing, taken};
use crate::catalog::{FILE, FILES_ADDED_MAX, FILES_AT_ONCE, SPACE};
use crate::model::file::{BlobLocation, FileRecord, FileState};
use crate::model::id::{BlobKey, FileId, OrganizationId};
use crate::model::time::UnixSeconds;

/// A `SELECT` of whole files, with what follows the table's name.
macro_rules! files {
    ($($rest:literal),+) => {
        concat!(
            "SELECT organization, id, space, name, media_type, size, sha256, purpose, state, deleted_at, \
             metadata, created_at, updated_at, uploaded_by, damaged_at, link_revision, blob, path, \
             inode, modified_nanos, device, changed_nanos, is_text, expires_at FROM file ",
            $($rest),+
        )
    };
}

/// The pages of one set of files. They compare the whole place at once, so that they begin in an index
/// right beside it and read no row that they do not answer with. A test asks SQLite whether they do.
pub(super) struct Pages {
    pub(super) after: &'static str,
    pub(super) before: &'static str,
    pub(super) below: &'static str,
    pub(super) above: &'static str,
}

macro_rules! pages {
    ($of:literal) => {
        Pages {
            after: files!(
                "WHERE ",
                $of,
                " AND (created_at, id) < (?, ?) AND coalesce(expires_at, 99999999999) > ? \
                 ORDER BY created_at DESC, id DESC LIMIT ?"
            ),
            before: files!(
                "WHERE ",
                $of,
                " AND (created_at, id) > (?, ?) AND coalesce(expires_at, 99999999999) > ? \
                 ORDER BY created_at, id LIMIT ?"
            ),
            below: files!(
                "WHERE ",
                $of,
                " AND id < ? AND coalesce(expires_at, 99999999999) > ? ORDER BY id DESC LIMIT ?"
            ),
            above: files!(
                "WHERE ",
                $of,
                " AND id > ? AND coalesce(expires_at, 99999999999) > ? ORDER BY id LIMIT ?"
            ),
        }
    };
}

pub(super) const PAGES: Pages = pages!("organization = ? AND state = 'ready'");
pub(super) const PAGES_OF_PURPOSE: Pages =
    pages!("organization = ? AND purpose = ? AND state = 'ready'");
pub(super) const PAGES_OF_NAME: Pages = pages!("organization = ? AND name = ? AND state = 'ready'");
pub(super) const PAGES_IN_BIN: Pages = pages!("organization = ? AND state = 'deleted'");
pub(super) const PAGES_IN_BIN_OF_NAME: Pages =
    pages!("organization = ? AND name = ? AND state = 'deleted'");
/// A page by its number.
pub(super) const NUMBERED_PAGE: &str = files!(
    "WHERE organization = ? AND state = 'ready' AND coalesce(expires_at, 99999999999) > ? \
     ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?"
);
/// What the recycle bin's sweeper asks for.
pub(super) const DELETED: &str = files!(
    "WHERE state = 'deleted' AND deleted_at <= ? ORDER BY deleted_at, organization, id LIMIT ?"
);
/// What a check of all rows asks for.
pub(super) const WITH_BYTES: &str = files!(
    "WHERE (organization, id) > (?, ?) AND state <> 'swept' ORDER BY organization, id LIMIT ?"
);
/// What looks for files that nobody has read for text.
pub(super) const UNKNOWN_TEXT: &str = files!(
    "WHERE (organization, id) > ($1, $2) AND state = 'ready' AND is_text IS NULL \
     ORDER BY organization, id LIMIT $3"
);
/// What marks expired files deleted.
pub(super) const EXPIRED: &str = files!(
    "WHERE state = 'ready' AND expires_at <= $1 ORDER BY expires_at, organization, id LIMIT $2"
);
/// How many files lists have. The plus keeps SQLite from going through all files of the organization.
pub(super) const LISTED: &str = "SELECT ready_files - (SELECT count(*) FROM file \
     WHERE +file.organization = organization.id AND state = 'ready' AND expires_at <= ?2) AS ready_files \
     FROM organization WHERE id = ?1";
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

pub(super) async fn add(
    connection: &mut SqliteConnection,
    files: &[FileRecord],
    quota: &Quota,
) -> Result<(), Fault> {
    if files.len() > FILES_ADDED_MAX {
        return Err(CatalogError::Limit {
            what: FILES_AT_ONCE,
            limit: FILES_ADDED_MAX as u64,
        }
        .into());
    }
    let same_space = |one: &FileRecord, other: &FileRecord| {
        (&one.organization, &one.space) == (&other.organization, &other.space)
    };
    for neighbours in files.chunk_by(same_space) {
        let Some(FileRecord {
            organization,
            space,
            ..
        }) = neighbours.first()
        else {
            continue;
        };
        tenancy::know(connection, organization).await?;
        if tenancy::space(connection, organization, space)
            .await?
            .is_none()
        {
            return Err(missing(SPACE).into());
        }
        for file in neighbours {
            insert(connection, file).await?;
        }
        quota::count_added(connection, organization, neighbours, quota).await?;
    }
    if files.iter().any(|file| file.link_revision > 0) {
        versions::raise_revocations(connection).await?;
    }
    Ok(())
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
    filter: Filter<'_>,
    place: Place<'_>,
    limit: u32,
    now: UnixSeconds,
) -> Result<Vec<FileRecord>, Fault> {
    let (pages, of) = match filter {
        Filter::Ready => (PAGES, None),
        Filter::OfPurpose(purpose) => (PAGES_OF_PURPOSE, Some(purpose.as_str())),
        Filter::OfName(name) => (PAGES_OF_NAME, Some(name.as_str())),
        Filter::Deleted => (PAGES_IN_BIN, None),
        Filter::DeletedOfName(name) => (PAGES_IN_BIN_OF_NAME, Some(name.as_str())),
    };
    let time = |position: &Position| rows::stored_time(position.created_at);
    let (page, created_at, id) = match place {
        // No row is as new as this, so "after it" is from the newest on.
        Place::Newest => (pages.after, Some(i64::MAX), ""),
        Place::After(position) => (pages.after, Some(time(position)), position.id.as_str()),
        Place::Before(position) => (pages.before, Some(time(position)), position.id.as_str()),
        Place::Below(id) => (pages.below, None, id),
        Place::Above(id) => (pages.above, None, id),
    };
    let mut page = query(page).bind(organization.as_str());
    if let Some(of) = of {
        page = page.bind(of);
    }
    if let Some(created_at) = created_at {
        page = page.bind(created_at);
    }
    let found = page
        .bind(id)
        .bind(shown_at(filter, now))
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    let mut files: Vec<FileRecord> = found.iter().map(rows::file).collect::<Result<_, _>>()?;
    if matches!(place, Place::Before(_) | Place::Above(_)) {
        files.reverse();
    }
    Ok(files)
}

/// The time that a list is held against. What is in the recycle bin may have expired.
const fn shown_at(filter: Filter<'_>, now: UnixSeconds) -> i64 {
    match filter {
        Filter::Deleted | Filter::DeletedOfName(_) => -1,
        Filter::Ready | Filter::OfPurpose(_) | Filter::OfName(_) => now.get().cast_signed(),
    }
}

pub(super) async fn numbered_page(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    offset: u64,
    limit: u32,
    now: UnixSeconds,
) -> Result<NumberedPage, Fault> {
    let counter = query(LISTED)
        .bind(organization.as_str())
        .bind(rows::stored_time(now))
        .fetch_optional(&mut *connection)
        .await?;
    let total = counter.map_or(Ok(0), |row| rows::number(&row, "ready_files"))?;
    let found = query(NUMBERED_PAGE)
        .bind(organization.as_str())
        .bind(rows::stored_time(now))
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
    let at = file.expires_at.map_or(now, |expired| expired.min(now));
    query("UPDATE file SET state = 'deleted', deleted_at = ? WHERE organization = ? AND id = ?")
        .bind(rows::stored_time(at))
        .bind(organization.as_str())
        .bind(id.as_str())
        .execute(&mut *connection)
        .await?;
    query("UPDATE organization SET ready_files = ready_files - 1 WHERE id = ?")
        .bind(organization.as_str())
        .execute(&mut *connection)
        .await?;
    versions::raise_rows(connection).await?;
    Ok(FileRecord {
        state: FileState::Deleted { at },
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

pub(super) async fn forget_swept(
    connection: &mut SqliteConnection,
    before: UnixSeconds,
    limit: u32,
) -> Result<u64, Fault> {
    let forgotten: Vec<bool> = query_scalar(
        "DELETE FROM file WHERE rowid IN \
         (SELECT rowid FROM file WHERE state = 'swept' AND deleted_at <= ? LIMIT ?) \
         RETURNING link_revision > 0",
    )
    .bind(rows::stored_time(before))
    .bind(i64::from(limit))
    .fetch_all(&mut *connection)
    .await?;
    if forgotten.contains(&true) {
        versions::raise_revocations(connection).await?;
    }
    Ok(forgotten.len() as u64)
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

async fn insert(connection: &mut SqliteConnection, file: &FileRecord) -> Result<(), Fault> {
    let (blob, in_place) = match &file.location {
        BlobLocation::Stored(key) => (Some(key.to_string()), None),
        BlobLocation::InPlace(file) => (None, Some(file)),
    };
    let inserted = query(
        "INSERT INTO file (organization, id, space, name, media_type, size, sha256, purpose, state, \
         metadata, created_at, updated_at, uploaded_by, link_revision, blob, path, inode, \
         modified_nanos, device, changed_nanos, is_text, expires_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'ready', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (organization, id) DO NOTHING",
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
    .bind(in_place.and_then(|file| file.device.map(u64::cast_signed)))
    .bind(in_place.and_then(|file| file.changed_nanos))
    .bind(file.is_text)
    .bind(file.expires_at.map(rows::stored_time))
    .execute(connection)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(taken("the file id").into());
    }
    Ok(())
}
