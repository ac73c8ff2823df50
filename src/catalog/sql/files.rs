//! File rows, their lists, and the counter of ready ones.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::dialect::{SqlText, file_values, files, text};
use super::fault::Fault;
use super::session::{Session, Value, made, query};
use super::tables::Table;
use super::{ORGANIZATIONS_LOCKED_MAX, changes, revocation, rows, shares, usage, values};
use crate::catalog::changes::Change;
use crate::catalog::quota::Quota;
use crate::catalog::transfer::{Kind, ROWS_AT_ONCE_MAX};
use crate::catalog::{CatalogError, FILE, FILES_ADDED_MAX, KeyEnd, SPACE, expect_at_most};
use crate::catalog::{Filter, Place, Position, missing, taken};
use crate::model::file::{FileRecord, FileState};
use crate::model::id::{ApiKeyId, BlobKey, FileId, OrganizationId, SpaceId};
use crate::model::key::ApiKeyState;
use crate::model::time::UnixSeconds;

/// The pages of one set of files. They compare the whole place at once, so that they begin in an index
/// right beside it and read no row that they do not answer with. Tests ask both databases whether they do.
pub(in crate::catalog) struct Pages {
    pub(in crate::catalog) after: SqlText,
    pub(in crate::catalog) before: SqlText,
    pub(in crate::catalog) below: SqlText,
    pub(in crate::catalog) above: SqlText,
}

macro_rules! pages {
    ($of:literal) => {
        Pages {
            after: text!(
                [files], "WHERE ", $of, " AND (created_at, id) < ($4, $3) AND ", [unexpired "$5"],
                " ORDER BY created_at DESC, id DESC LIMIT $2"
            ),
            before: text!(
                [files], "WHERE ", $of, " AND (created_at, id) > ($4, $3) AND ", [unexpired "$5"],
                " ORDER BY created_at, id LIMIT $2"
            ),
            // The time is not looked at, but is there, so that every page is asked for the same way.
            below: text!(
                [files], "WHERE ", $of, " AND id < $3 AND CAST($4 AS bigint) IS NOT NULL AND ",
                [unexpired "$5"], " ORDER BY id DESC LIMIT $2"
            ),
            above: text!(
                [files], "WHERE ", $of, " AND id > $3 AND CAST($4 AS bigint) IS NOT NULL AND ",
                [unexpired "$5"], " ORDER BY id LIMIT $2"
            ),
        }
    };
}

pub(in crate::catalog) const PAGES: Pages = pages!("organization = $1 AND state = 'ready'");
pub(in crate::catalog) const PAGES_OF_PURPOSE: Pages =
    pages!("organization = $1 AND purpose = $6 AND state = 'ready'");
pub(in crate::catalog) const PAGES_OF_NAME: Pages =
    pages!("organization = $1 AND name = $6 AND state = 'ready'");
pub(in crate::catalog) const PAGES_IN_BIN: Pages =
    pages!("organization = $1 AND state = 'deleted'");
pub(in crate::catalog) const PAGES_IN_BIN_OF_NAME: Pages =
    pages!("organization = $1 AND name = $6 AND state = 'deleted'");
/// Finds a file by its id.
pub(in crate::catalog) const BY_ID: &str = files!("WHERE organization = $1 AND id = $2");
/// Finds deleted files for the sweeper of the recycle bin.
pub(in crate::catalog) const DELETED: &str = files!(
    "WHERE state = 'deleted' AND deleted_at <= $1 ORDER BY deleted_at, organization, id LIMIT $2"
);
/// Reads the next files that have bytes.
pub(in crate::catalog) const WITH_BYTES: &str = files!(
    "WHERE (organization, id) > ($1, $2) AND state <> 'swept' ORDER BY organization, id LIMIT $3"
);
/// Reads the next files that nobody has read for text.
pub(in crate::catalog) const UNKNOWN_TEXT: &str = files!(
    "WHERE (organization, id) > ($1, $2) AND state = 'ready' AND is_text IS NULL \
     ORDER BY organization, id LIMIT $3"
);
/// Reads the next files that nobody has read for their CRC-32.
pub(in crate::catalog) const UNKNOWN_CRC32: &str = files!(
    "WHERE (organization, id) > ($1, $2) AND state = 'ready' AND crc32 IS NULL \
     ORDER BY organization, id LIMIT $3"
);
/// Finds expired files, to mark them deleted.
pub(in crate::catalog) const EXPIRED: &str = "SELECT organization, id FROM file \
     WHERE state = 'ready' AND expires_at <= $1 ORDER BY expires_at, organization, id LIMIT $2";
pub(in crate::catalog) const BLOBS_IN_USE: SqlText = text!(
    "SELECT DISTINCT blob FROM file WHERE state <> 'swept' AND blob ", [in "$1"]
);

/// Marks a file deleted, now or when it expired.
const DELETE: &str = concat!(
    "UPDATE file SET state = 'deleted', \
     deleted_at = CASE WHEN expires_at < $3 THEN expires_at ELSE $3 END \
     WHERE organization = $1 AND id = $2 AND state = 'ready' RETURNING ",
    file_values!()
);

/// Forgets swept files that nobody revoked links of.
const FORGET_SWEPT: SqlText = text!(
    "WITH old AS (SELECT organization, id FROM file WHERE state = 'swept' AND deleted_at <= $1 \
     AND link_revision = 0 AND NOT EXISTS (SELECT 1 FROM share_file \
     WHERE share_file.organization = file.organization AND share_file.file = file.id) LIMIT $2",
    [lock "UPDATE"],
    ") DELETE FROM file WHERE (organization, id) IN (SELECT organization, id FROM old)"
);

/// Finds swept files that somebody revoked links of.
const SWEPT_REVISED: &str = files!(
    "WHERE state = 'swept' AND deleted_at <= $1 AND link_revision > 0 AND NOT EXISTS (SELECT 1 FROM share_file \
     WHERE share_file.organization = file.organization AND share_file.file = file.id) \
     ORDER BY organization, id LIMIT $2"
);

const FORGET_REVISED: &str = "DELETE FROM file WHERE organization = $1 AND id = $2 AND state = 'swept' \
     AND link_revision > 0 RETURNING link_epoch";

pub(super) async fn add_one(session: &mut Session<'_>, file: &FileRecord) -> Result<(), Fault> {
    add_all(session, std::slice::from_ref(file)).await
}

pub(super) async fn add_all(session: &mut Session<'_>, files: &[FileRecord]) -> Result<(), Fault> {
    add(session, Quota::NONE, files, KeyCheck::None).await
}

/// The check of the API keys of files that are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyCheck {
    /// None is made.
    None,
    /// Each key must work: its file is being uploaded with it.
    Working,
}

/// Adds files within a quota. Locks the organizations first, so that of two calls with one id, or that count in
/// one organization, the second waits for the first.
pub(super) async fn add(
    session: &mut Session<'_>,
    quota: Quota,
    files: &[FileRecord],
    key_check: KeyCheck,
) -> Result<(), Fault> {
    expect_at_most(FILES_ADDED_MAX, "files added at once", files.len())?;
    let organizations: BTreeSet<&OrganizationId> =
        files.iter().map(|file| &file.organization).collect();
    for organization in organizations {
        let of = |file: &&FileRecord| &file.organization == organization;
        let of: Vec<&FileRecord> = files.iter().filter(of).collect();
        usage::count_added(session, organization, &of, quota).await?;
    }
    let is_checked = key_check == KeyCheck::Working;
    let owners: BTreeSet<Owners<'_>> = files
        .iter()
        .map(|file| Owners {
            organization: &file.organization,
            space: &file.space,
            key: file
                .uploaded_by
                .as_ref()
                .filter(|_| is_checked)
                .map(|key| (key, file.updated_at)),
        })
        .collect();
    for owners in owners {
        owners.expect(session).await?;
    }
    for some in files.chunks(ROWS_AT_ONCE_MAX) {
        let mut all = Vec::new();
        for file in some {
            // It is ready and whole, whatever its record says.
            all.extend(values::file(file, FileState::Ready, None)?);
        }
        let mut insert = made(Table::of(Kind::File).insert(some.len()), all);
        // One comes with every upload.
        insert.is_kept = some.len() == 1;
        if session.execute(insert).await? < some.len() as u64 {
            return Err(taken("the file id").into());
        }
    }
    let mut revised: Vec<&FileRecord> =
        files.iter().filter(|file| file.link_revision > 0).collect();
    revised.sort_by_key(|file| &file.organization);
    for of_one in revised.chunk_by(|one, other| one.organization == other.organization) {
        let ids: Vec<&FileId> = of_one.iter().map(|file| &file.id).collect();
        if let Some(file) = of_one.first() {
            revocation::count_imported(session, &file.organization, &ids).await?;
        }
    }
    let set = |file: &&FileRecord| revision_set(file, file.link_revision);
    let changes: Vec<Change> = revised.iter().map(set).collect();
    changes::append(session, &changes).await
}

/// All that a new file belongs to.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Owners<'a> {
    organization: &'a OrganizationId,
    space: &'a SpaceId,
    /// The API key that must work, and the time at which it must.
    key: Option<(&'a ApiKeyId, UnixSeconds)>,
}

/// Looks for a space, and for an API key of the same organization, in one statement: uploads wait for each.
const OWNERS: &str = "SELECT api_key.state AS state, api_key.expires_at AS expires_at FROM space \
     LEFT JOIN api_key ON api_key.organization = space.organization AND api_key.id = $3 \
     WHERE space.organization = $1 AND space.id = $2";

impl Owners<'_> {
    /// Fails unless all of them are there, and the key works.
    async fn expect(self, session: &mut Session<'_>) -> Result<(), Fault> {
        let owners = query(OWNERS)
            .bind(self.organization)
            .bind(self.space)
            .bind(self.key.map_or("", |(key, _)| key.as_str()));
        let found = session.optional(owners, rows::key_state).await?;
        let found = found.ok_or(missing(SPACE))?;
        let Some((_, at)) = self.key else {
            return Ok(());
        };
        let end = match found {
            None => KeyEnd::Unknown,
            Some((ApiKeyState::Deactivated, _)) => KeyEnd::Deactivated,
            Some((ApiKeyState::Paused, _)) => KeyEnd::Paused,
            Some((ApiKeyState::Active, Some(end))) if end <= at => KeyEnd::Expired,
            Some((ApiKeyState::Active, _)) => return Ok(()),
        };
        Err(CatalogError::KeyEnded(end).into())
    }
}

fn revision_set(file: &FileRecord, revision: u64) -> Change {
    Change::RevisionSet {
        organization: file.organization.clone(),
        file: file.id.clone(),
        revision,
    }
}

pub(super) async fn file(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &FileId,
) -> Result<Option<FileRecord>, Fault> {
    let select = query(BY_ID).bind(organization).bind(id);
    session.optional(select, rows::file).await
}

/// Reads the next files after one, by one of the texts that go through all organizations.
pub(super) async fn next(
    session: &mut Session<'_>,
    text: &'static str,
    after: Option<&(OrganizationId, FileId)>,
    limit: u32,
) -> Result<Vec<FileRecord>, Fault> {
    // Every id comes after the empty text.
    let (organization, id) = after.map_or(("", ""), |(organization, id)| {
        (organization.as_str(), id.as_str())
    });
    let select = query(text).bind(organization).bind(id).bind(limit);
    session.all(select, rows::file).await
}

pub(super) async fn page(
    session: &mut Session<'_>,
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
        .bind(organization)
        .bind(limit)
        .bind(Value::Text(Some(comparable(id))))
        .bind(created_at)
        .bind(shown_at(filter, now));
    if let Some(of) = of {
        page = page.bind(of);
    }
    let mut files = session.all(page, rows::file).await?;
    if matches!(place, Place::Before(_) | Place::Above(_)) {
        files.reverse();
    }
    Ok(files)
}

/// Returns the time that a list is held against. A file in the recycle bin may have expired.
const fn shown_at(filter: Filter<'_>, now: UnixSeconds) -> i64 {
    match filter {
        Filter::Deleted | Filter::DeletedOfName(_) => -1,
        Filter::Ready | Filter::OfPurpose(_) | Filter::OfName(_) => rows::stored_time(now),
    }
}

/// Replaces a NUL: PostgreSQL has no text with one in it. No id has one either, so that a text that begins
/// with the same and goes on with the next byte lies in the same place between them.
fn comparable(id: &str) -> Cow<'_, str> {
    match id.split_once('\0') {
        None => id.into(),
        Some((before, _)) => format!("{before}\u{1}").into(),
    }
}

pub(super) async fn delete(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &FileId,
    now: UnixSeconds,
) -> Result<FileRecord, Fault> {
    // Locks the organization. Where the file is not there, this is undone.
    let count = query(
        "UPDATE organization SET ready_files = CASE WHEN ready_files > 0 THEN ready_files - 1 ELSE 0 END \
         WHERE id = $1",
    );
    session.execute(count.bind(organization)).await?;
    let delete = query(DELETE).bind(organization).bind(id).bind(now);
    let deleted = session.optional(delete, rows::file).await?;
    let file = deleted.ok_or(missing(FILE))?;
    let change = changes::of_files([(&file.organization, &file.id)]);
    changes::append(session, &change).await?;
    Ok(file)
}

/// Marks expired files deleted, organization by organization.
pub(super) async fn expire(
    session: &mut Session<'_>,
    now: UnixSeconds,
    limit: u32,
) -> Result<u64, Fault> {
    let find = query(EXPIRED).bind(now).bind(limit);
    let found = session.all(find, |row| {
        Ok((
            rows::organization_id(row, "organization")?,
            rows::file_id(row, "id")?,
        ))
    });
    let found: BTreeSet<(OrganizationId, FileId)> = found.await?.into_iter().collect();
    let found: Vec<_> = found.into_iter().collect();
    let (mut marked, mut changed) = (0, Vec::new());
    let of_each = found.chunk_by(|(one, _), (other, _)| one == other);
    for of_one in of_each.take(ORGANIZATIONS_LOCKED_MAX) {
        let Some((organization, _)) = of_one.first() else {
            continue;
        };
        usage::lock(session, organization).await?;
        let ids: Value<'_> = of_one.iter().map(|(_, id)| id.as_str()).collect();
        let mark = query(MARK_EXPIRED).bind(organization).bind(ids).bind(now);
        let ids = session.all(mark, |row| rows::file_id(row, "id")).await?;
        let done = ids.len() as u64;
        changed.extend(changes::of_files(ids.iter().map(|id| (organization, id))));
        let count = query(
            "UPDATE organization SET ready_files = CASE WHEN ready_files > $1 THEN ready_files - $1 ELSE 0 END \
             WHERE id = $2",
        );
        let count = count.bind(rows::stored(done)?).bind(organization);
        session.execute(count).await?;
        marked += done;
    }
    changes::append(session, &changed).await?;
    Ok(marked)
}

const MARK_EXPIRED: SqlText = text!(
    "UPDATE file SET state = 'deleted', deleted_at = expires_at \
     WHERE organization = $1 AND state = 'ready' AND expires_at <= $3 AND id ", [in "$2"],
    " RETURNING id"
);

pub(super) async fn deleted(
    session: &mut Session<'_>,
    before: UnixSeconds,
    limit: u32,
) -> Result<Vec<FileRecord>, Fault> {
    let select = query(DELETED).bind(before).bind(limit);
    session.all(select, rows::file).await
}

pub(super) async fn forget_swept(
    session: &mut Session<'_>,
    before: UnixSeconds,
    limit: u32,
) -> Result<u64, Fault> {
    let out_of_shares = shares::take_out_swept(session, before, limit).await?;
    let (revised, free) = forget_revised(session, before, limit).await?;
    let rest = i64::from(limit) - rows::stored(revised)?;
    let forget = query(FORGET_SWEPT).bind(before).bind(rest);
    let forgotten = revised + session.execute(forget).await?;
    changes::append(session, &[out_of_shares, free].concat()).await?;
    Ok(forgotten)
}

/// Forgets swept files that somebody revoked links of. Their organizations count them, and are locked before any row.
async fn forget_revised(
    session: &mut Session<'_>,
    before: UnixSeconds,
    limit: u32,
) -> Result<(u64, Vec<Change>), Fault> {
    let find = query(SWEPT_REVISED).bind(before).bind(limit);
    let found = session.all(find, rows::file).await?;
    let (mut forgotten, mut free) = (0, Vec::new());
    let of_each = found.chunk_by(|one, other| one.organization == other.organization);
    for of_one in of_each.take(ORGANIZATIONS_LOCKED_MAX) {
        let Some(FileRecord { organization, .. }) = of_one.first() else {
            continue;
        };
        let epoch = revocation::lock(session, organization).await?.epoch;
        for file in of_one {
            let forget = query(FORGET_REVISED).bind(organization).bind(&file.id);
            let link_epoch = session.optional(forget, |row| rows::number(row, "link_epoch"));
            let Some(link_epoch) = link_epoch.await? else {
                continue;
            };
            forgotten += 1;
            if link_epoch == epoch {
                revocation::count(session, organization, revocation::REVISED_COUNT, -1).await?;
                free.push(revision_set(file, 0));
            }
        }
    }
    Ok((forgotten, free))
}

pub(super) async fn blobs_in_use(
    session: &mut Session<'_>,
    keys: &[BlobKey],
) -> Result<Vec<BlobKey>, Fault> {
    let keys: Vec<String> = keys.iter().map(BlobKey::to_string).collect();
    let keys: Value<'_> = keys.iter().map(String::as_str).collect();
    let select = query(BLOBS_IN_USE).bind(keys);
    session.all(select, rows::blob_key).await
}
