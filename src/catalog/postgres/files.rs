//! File rows, their lists, and the counter of ready ones.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;

use sqlx::{PgConnection, query, query_scalar};

use super::fault::Fault;
use super::{quota, rows, tenancy, versions};
use crate::catalog::quota::Quota;
use crate::catalog::{CatalogError, Filter, NumberedPage, Place, Position, missing, taken};
use crate::catalog::{FILE, FILES_ADDED_MAX, FILES_AT_ONCE, SPACE};
use crate::model::file::{BlobLocation, FileRecord, InPlace};
use crate::model::id::{BlobKey, FileId, OrganizationId};
use crate::model::time::UnixSeconds;

/// The columns of a whole file.
macro_rules! columns {
    () => {
        "organization, id, space, name, media_type, size, sha256, purpose, state, deleted_at, \
         metadata, created_at, updated_at, uploaded_by, damaged_at, link_revision, blob, path, \
         inode, modified_nanos, device, changed_nanos, is_text, expires_at"
    };
}

/// A `SELECT` of whole files, with what follows the table's name.
macro_rules! files {
    ($($rest:literal),+) => {
        concat!("SELECT ", columns!(), " FROM file ", $($rest),+)
    };
}

/// The pages of one set of files. They compare the whole place at once, so that they begin in an index
/// right beside it and read no row that they do not answer with. A test asks the server whether they do.
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
                " AND (created_at, id) < ($4, $3) AND (expires_at IS NULL OR expires_at > $5) \
                 ORDER BY created_at DESC, id DESC LIMIT $2"
            ),
            before: files!(
                "WHERE ",
                $of,
                " AND (created_at, id) > ($4, $3) AND (expires_at IS NULL OR expires_at > $5) \
                 ORDER BY created_at, id LIMIT $2"
            ),
            // The time is not looked at, but is there, so that every page is asked for the same way.
            below: files!(
                "WHERE ",
                $of,
                " AND id < $3 AND $4::bigint IS NOT NULL AND (expires_at IS NULL OR expires_at > $5) \
                 ORDER BY id DESC LIMIT $2"
            ),
            above: files!(
                "WHERE ",
                $of,
                " AND id > $3 AND $4::bigint IS NOT NULL AND (expires_at IS NULL OR expires_at > $5) \
                 ORDER BY id LIMIT $2"
            ),
        }
    };
}

pub(super) const PAGES: Pages = pages!("organization = $1 AND state = 'ready'");
pub(super) const PAGES_OF_PURPOSE: Pages =
    pages!("organization = $1 AND purpose = $6 AND state = 'ready'");
pub(super) const PAGES_OF_NAME: Pages =
    pages!("organization = $1 AND name = $6 AND state = 'ready'");
pub(super) const PAGES_IN_BIN: Pages = pages!("organization = $1 AND state = 'deleted'");
pub(super) const PAGES_IN_BIN_OF_NAME: Pages =
    pages!("organization = $1 AND name = $6 AND state = 'deleted'");
/// A page by its number.
pub(super) const NUMBERED_PAGE: &str = files!(
    "WHERE organization = $1 AND state = 'ready' AND (expires_at IS NULL OR expires_at > $4) \
     ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3"
);
/// What the recycle bin's sweeper asks for.
pub(super) const DELETED: &str = files!(
    "WHERE state = 'deleted' AND deleted_at <= $1 ORDER BY deleted_at, organization, id LIMIT $2"
);
/// What a check of all rows asks for.
pub(super) const WITH_BYTES: &str = files!(
    "WHERE (organization, id) > ($1, $2) AND state <> 'swept' ORDER BY organization, id LIMIT $3"
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
/// How many files lists have.
pub(super) const LISTED: &str = "SELECT ready_files - (SELECT count(*) FROM file \
     WHERE file.organization = organization.id AND state = 'ready' AND expires_at <= $2) AS ready_files \
     FROM organization WHERE id = $1";
/// As the ids come: one array.
pub(super) const OF_IDS: &str = files!("WHERE organization = $1 AND id = ANY($2)");
/// As [`OF_IDS`], of those that lie in a folder.
pub(super) const IN_FOLDER: &str = files!(
    "WHERE organization = $1 AND id IN (SELECT file FROM folder_file \
     WHERE organization = $1 AND folder = $2 AND file = ANY($3))"
);
/// The keys come as one array: one statement, however many.
pub(super) const BLOBS_IN_USE: &str =
    "SELECT DISTINCT blob FROM file WHERE blob = ANY($1) AND state <> 'swept'";

const DELETE: &str = concat!(
    "UPDATE file SET state = 'deleted', deleted_at = least($3, expires_at) \
     WHERE organization = $1 AND id = $2 AND state = 'ready' RETURNING ",
    columns!()
);

const INSERT: &str = "INSERT INTO file (organization, id, space, name, media_type, size, sha256, purpose, \
     state, metadata, created_at, updated_at, uploaded_by, link_revision, blob, path, inode, modified_nanos, \
     device, changed_nanos, is_text, expires_at) \
     SELECT $1, id, $2, name, media_type, size, sha256, purpose, 'ready', metadata, created_at, updated_at, \
     uploaded_by, link_revision, blob, path, inode, modified_nanos, device, changed_nanos, is_text, expires_at \
     FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::bytea[], $8::text[], $9::text[], \
     $10::bigint[], $11::bigint[], $12::text[], $13::bigint[], $14::text[], $15::bytea[], $16::bigint[], \
     $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[]) AS new (id, name, media_type, size, sha256, purpose, metadata, created_at, updated_at, \
     uploaded_by, link_revision, blob, path, inode, modified_nanos, device, changed_nanos, is_text, \
     expires_at) ON CONFLICT (organization, id) DO NOTHING";

/// What comes first locks, so that of two calls with one id, or that count in one organization, the second
/// waits for the first.
pub(super) async fn add(
    connection: &mut PgConnection,
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
    let revoked = files.iter().any(|file| file.link_revision > 0);
    if revoked {
        versions::lock_revocations(connection).await?;
    }
    let organizations: BTreeSet<&OrganizationId> =
        files.iter().map(|file| &file.organization).collect();
    for organization in organizations {
        let of = |file: &&FileRecord| &file.organization == organization;
        let of: Vec<&FileRecord> = files.iter().filter(of).collect();
        quota::count_added(connection, organization, &of, quota).await?;
    }
    let same_space = |one: &FileRecord, other: &FileRecord| {
        (&one.organization, &one.space) == (&other.organization, &other.space)
    };
    for neighbours in files.chunk_by(same_space) {
        let Some(file) = neighbours.first() else {
            continue;
        };
        if tenancy::space(connection, &file.organization, &file.space)
            .await?
            .is_none()
        {
            return Err(missing(SPACE).into());
        }
        insert(connection, file, neighbours).await?;
    }
    if revoked {
        versions::raise_revocations(connection).await?;
    }
    Ok(())
}

pub(super) async fn file(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    id: &FileId,
) -> Result<Option<FileRecord>, Fault> {
    let row = query(files!("WHERE organization = $1 AND id = $2"))
        .bind(organization.as_str())
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(rows::file).transpose()
}

pub(super) async fn page(
    connection: &mut PgConnection,
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
        Place::Newest => (pages.after, i64::MAX, ""),
        Place::After(position) => (pages.after, time(position), position.id.as_str()),
        Place::Before(position) => (pages.before, time(position), position.id.as_str()),
        Place::Below(id) => (pages.below, 0, id),
        Place::Above(id) => (pages.above, 0, id),
    };
    let mut page = query(page)
        .bind(organization.as_str())
        .bind(i64::from(limit))
        .bind(comparable(id))
        .bind(created_at)
        .bind(shown_at(filter, now));
    if let Some(of) = of {
        page = page.bind(of);
    }
    let found = page.fetch_all(connection).await?;
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

/// PostgreSQL has no text with a NUL in it. No id has one either, so that what begins with the same and
/// goes on with the next byte lies in the same place between them.
fn comparable(id: &str) -> Cow<'_, str> {
    match id.split_once('\0') {
        None => id.into(),
        Some((before, _)) => format!("{before}\u{1}").into(),
    }
}

pub(super) async fn numbered_page(
    connection: &mut PgConnection,
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
    if offset >= total {
        let files = Vec::new();
        return Ok(NumberedPage { files, total });
    }
    let found = query(NUMBERED_PAGE)
        .bind(organization.as_str())
        .bind(i64::from(limit))
        .bind(i64::try_from(offset).unwrap_or(i64::MAX))
        .bind(rows::stored_time(now))
        .fetch_all(connection)
        .await?;
    let files = found.iter().map(rows::file).collect::<Result<_, _>>()?;
    Ok(NumberedPage { files, total })
}

pub(super) async fn delete(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    id: &FileId,
    now: UnixSeconds,
) -> Result<FileRecord, Fault> {
    // Locks the organization; where there is none there is no file.
    query("UPDATE organization SET ready_files = greatest(ready_files - 1, 0) WHERE id = $1")
        .bind(organization.as_str())
        .execute(&mut *connection)
        .await?;
    let row = query(DELETE)
        .bind(organization.as_str())
        .bind(id.as_str())
        .bind(rows::stored_time(now))
        .fetch_optional(&mut *connection)
        .await?;
    let file = rows::file(&row.ok_or(missing(FILE))?)?;
    versions::raise_rows(connection).await?;
    Ok(file)
}

pub(super) async fn deleted(
    connection: &mut PgConnection,
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
    connection: &mut PgConnection,
    before: UnixSeconds,
    limit: u32,
) -> Result<u64, Fault> {
    versions::lock_revocations(connection).await?;
    let forgotten: Vec<bool> = query_scalar(
        "DELETE FROM file USING \
         (SELECT organization, id FROM file WHERE state = 'swept' AND deleted_at <= $1 \
         LIMIT $2 FOR UPDATE) AS old \
         WHERE file.organization = old.organization AND file.id = old.id \
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
    connection: &mut PgConnection,
    keys: &[BlobKey],
) -> Result<Vec<BlobKey>, Fault> {
    let keys: Vec<String> = keys.iter().map(BlobKey::to_string).collect();
    let found = query(BLOBS_IN_USE).bind(keys).fetch_all(connection).await?;
    found.iter().map(rows::blob_key).collect()
}

/// Inserts files of one space, which `of` names.
async fn insert(
    connection: &mut PgConnection,
    of: &FileRecord,
    files: &[FileRecord],
) -> Result<(), Fault> {
    fn each<'a, T>(files: &'a [FileRecord], column: impl Fn(&'a FileRecord) -> T) -> Vec<T> {
        files.iter().map(column).collect()
    }
    let numbers = |column: fn(&FileRecord) -> u64| -> Result<Vec<i64>, Fault> {
        files
            .iter()
            .map(|file| rows::stored(column(file)))
            .collect()
    };
    let blob = |file: &FileRecord| match &file.location {
        BlobLocation::Stored(key) => Some(key.to_string()),
        BlobLocation::InPlace(_) => None,
    };
    fn in_place(file: &FileRecord) -> Option<&InPlace> {
        match &file.location {
            BlobLocation::Stored(_) => None,
            BlobLocation::InPlace(place) => Some(place),
        }
    }
    let uploaded_by = |file: &FileRecord| file.uploaded_by.as_ref().map(|key| key.to_string());
    let inserted = query(INSERT)
        .bind(of.organization.as_str())
        .bind(of.space.as_str())
        .bind(each(files, |file| file.id.as_str()))
        .bind(each(files, |file| file.name.as_str()))
        .bind(each(files, |file| file.media_type.as_str()))
        .bind(numbers(|file| file.size)?)
        .bind(each(files, |file| file.sha256.as_bytes().as_slice()))
        .bind(each(files, |file| file.purpose.as_str()))
        .bind(each(files, |file| rows::metadata_text(&file.metadata)))
        .bind(each(files, |file| rows::stored_time(file.created_at)))
        .bind(each(files, |file| rows::stored_time(file.updated_at)))
        .bind(each(files, uploaded_by))
        .bind(numbers(|file| file.link_revision)?)
        .bind(each(files, blob))
        .bind(each(files, |file| {
            in_place(file).map(|place| place.path.as_os_str().as_bytes())
        }))
        .bind(each(files, |file| {
            in_place(file).map(|place| place.inode.cast_signed())
        }))
        .bind(each(files, |file| {
            in_place(file).map(|place| place.modified_nanos)
        }))
        .bind(each(files, |file| {
            in_place(file).and_then(|place| place.device.map(u64::cast_signed))
        }))
        .bind(each(files, |file| {
            in_place(file).and_then(|place| place.changed_nanos)
        }))
        .bind(each(files, |file| file.is_text.map(i64::from)))
        .bind(each(files, |file| file.expires_at.map(rows::stored_time)))
        .execute(connection)
        .await?;
    if inserted.rows_affected() < files.len() as u64 {
        return Err(taken("the file id").into());
    }
    Ok(())
}
