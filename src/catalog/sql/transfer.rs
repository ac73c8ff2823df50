//! Transfer: whole rows, from one catalogue to another.

use std::collections::{BTreeMap, BTreeSet};

use super::calls::calls;
use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::session::{Session, Value, made, query};
use super::tables::{self, Table};
use super::{Database, changes, idempotency, redemption_rows, rows, share_rows, values};
use crate::catalog::changes::Change;
use crate::catalog::transfer::{CopyNote, Kind, ROWS_AT_ONCE_MAX, Row, Totals, Transfer};
use crate::catalog::{expect_at_most, taken};
use crate::model::id::{InstallationId, OrganizationId};
use crate::model::revocation::LinkId;

const COUNT_DIFFERENCE: &str = "UPDATE organization SET ready_files = ready_files + $1, \
     kept_files = kept_files + $2, kept_bytes = kept_bytes + $3, revised_files = revised_files + $4, \
     denied_links = denied_links + $5, denied_ids = denied_ids + $6 WHERE id = $7";
const LOCK: SqlText = text!(
    "SELECT id FROM organization WHERE id ", [in "$1"], " ORDER BY id", [lock "NO KEY UPDATE"]
);
const RECOUNT_REVOKED: SqlText = text!(
    "UPDATE organization SET denied_links = (SELECT count(*) FROM denied_link \
     WHERE denied_link.organization = organization.id AND denied_link.epoch = organization.epoch AND id_alone = 0), \
     denied_ids = (SELECT count(*) FROM denied_link \
     WHERE denied_link.organization = organization.id AND denied_link.epoch = organization.epoch AND id_alone = 1), \
     revised_files = (SELECT count(*) FROM file \
     WHERE file.organization = organization.id AND link_epoch = organization.epoch AND link_revision > 0) \
     WHERE id ", [in "$1"]
);
const NOTE: &str = "SELECT installation.id, blobs, is_whole FROM copy_note, installation";
const SET_NOTE: &str = "INSERT INTO copy_note (one, blobs, is_whole) VALUES (1, $1, $2) \
     ON CONFLICT (one) DO UPDATE SET blobs = excluded.blobs, is_whole = excluded.is_whole";

impl<D: Database> Transfer for D {
    calls! {
        fn rows(kind: Kind, after: Option<&'a Row>, limit: u32) -> Vec<Row>
            => Read, "reading rows to move", read;
        fn put_rows(rows: &'a [Row]) -> u64
            => Write, "putting moved rows", write_all, Writing::Put;
        fn remove_rows(rows: &'a [Row]) -> u64
            => Write, "removing moved rows", write_all, Writing::Remove;
        fn totals() -> Totals
            => Read, "counting what is kept", totals;
        fn copy_note() -> Option<CopyNote>
            => Read, "looking for the note of a copy", copy_note;
        fn note_copy(note: Option<&'a CopyNote>) -> ()
            => Write, "noting a copy", note_copy;
    }
}

async fn read(
    session: &mut Session<'_>,
    kind: Kind,
    after: Option<&Row>,
    limit: u32,
) -> Result<Vec<Row>, Fault> {
    let mut key = values::key(kind, after);
    key.push(limit.into());
    let mut select = made(Table::of(kind).select(), key);
    select.is_kept = true;
    session.all(select, |row| row_of(kind, row)).await
}

async fn copy_note(session: &mut Session<'_>) -> Result<Option<CopyNote>, Fault> {
    let note = session.optional(query(NOTE), |row| {
        Ok(CopyNote {
            installation: rows::value(row, "id", InstallationId::parse)?,
            blobs: rows::value(row, "blobs", |text: &str| Some(text.to_owned()))?,
            is_whole: rows::number(row, "is_whole")? == 1,
        })
    });
    note.await
}

/// Returns what a row of a table says.
fn row_of(kind: Kind, row: rows::Row<'_>) -> Result<Row, Fault> {
    let organization = || rows::organization_id(row, "organization");
    let link = || rows::value(row, "link", LinkId::parse);
    Ok(match kind {
        Kind::Organization => Row::Organization(rows::organization(row)?),
        Kind::Space => Row::Space(rows::space(row)?),
        Kind::ApiKey => Row::ApiKey(rows::api_key(row)?),
        Kind::App => Row::App(rows::app_row(row)?),
        Kind::Folder => Row::Folder(rows::folder(row)?),
        Kind::FolderMember => Row::FolderMember {
            organization: organization()?,
            folder: rows::folder_id(row, "folder")?,
            member: rows::organization_id(row, "member")?,
        },
        Kind::File => Row::File(Box::new(rows::file(row)?)),
        Kind::FolderFile => Row::FolderFile {
            organization: organization()?,
            folder: rows::folder_id(row, "folder")?,
            file: rows::file_id(row, "file")?,
        },
        Kind::DeniedLink => Row::DeniedLink {
            organization: organization()?,
            link: link()?,
            expires: rows::time(row, "expires")?,
            id_alone: rows::number(row, "id_alone")? == 1,
        },
        Kind::IdempotencyKey => Row::IdempotencyKey(idempotency::key_row(row)?),
        Kind::Share => Row::Share(Box::new(share_rows::share(row)?)),
        Kind::ShareFile => Row::ShareFile {
            organization: organization()?,
            share: rows::share_id(row, "share")?,
            file: share_rows::shared_file(row)?,
        },
        Kind::ShareCount => Row::ShareCount(Box::new(share_rows::share_count(row)?)),
        Kind::Allowance => Row::Allowance(Box::new(redemption_rows::allowance(row)?)),
        Kind::Redemption => Row::Redemption(Box::new(redemption_rows::redemption(row)?)),
        Kind::FileCount => Row::FileCount {
            organization: organization()?,
            file: rows::file_id(row, "file")?,
            counts: rows::counts(row)?,
        },
        Kind::LinkCount => Row::LinkCount {
            organization: organization()?,
            link: link()?,
            expires: rows::time(row, "expires")?,
            counts: rows::counts(row)?,
        },
    })
}

/// The ways to write whole rows.
#[derive(Clone, Copy)]
enum Writing {
    /// They are put in the place of those that have their keys.
    Put,
    /// Those that have their keys are removed.
    Remove,
}

/// Puts or removes rows, kind by kind, and counts their files.
async fn write_all(
    session: &mut Session<'_>,
    writing: Writing,
    rows: &[Row],
) -> Result<u64, Fault> {
    expect_at_most(ROWS_AT_ONCE_MAX, "rows moved at once", rows.len())?;
    let mut written = 0;
    for same in rows.chunk_by(|one, other| one.kind() == other.kind()) {
        let owners = same.iter().filter_map(owner).collect();
        lock(session, &owners).await?;
        let before = sums(session, same).await?;
        written += write(session, same, writing).await?;
        match same {
            // Revocations of an earlier epoch.
            [Row::Organization(_), ..] => {
                let recount = query(RECOUNT_REVOKED).bind(ids(&owners));
                session.execute(recount).await?;
            }
            _ => count(session, same, before).await?,
        }
    }
    changes::append(session, &[Change::Everything]).await?;
    Ok(written)
}

/// Returns the organization that counts a row, or that it is.
fn owner(row: &Row) -> Option<&OrganizationId> {
    match row {
        Row::Organization(organization) => Some(&organization.id),
        Row::File(file) => Some(&file.organization),
        Row::DeniedLink { organization, .. } => Some(organization),
        _ => None,
    }
}

fn ids<'a>(organizations: &BTreeSet<&'a OrganizationId>) -> Value<'a> {
    organizations.iter().map(|id| id.as_str()).collect()
}

/// Keeps others from counting in these organizations, as far as they are there, until the transaction ends.
async fn lock(
    session: &mut Session<'_>,
    organizations: &BTreeSet<&OrganizationId>,
) -> Result<(), Fault> {
    if organizations.is_empty() {
        return Ok(());
    }
    let lock = query(LOCK).bind(ids(organizations));
    // All rows are asked for, so that all are locked.
    session.all(lock, |_| Ok(())).await.map(drop)
}

/// Writes rows of one kind by one statement.
async fn write(session: &mut Session<'_>, rows: &[Row], writing: Writing) -> Result<u64, Fault> {
    let Some(first) = rows.first() else {
        return Ok(0);
    };
    let table = Table::of(first.kind());
    let text = match writing {
        Writing::Put => table.put(rows.len()),
        Writing::Remove => {
            let remove = made(table.remove(rows.len()), keys(rows));
            return session.execute(remove).await;
        }
    };
    let mut all = Vec::new();
    for row in rows {
        all.extend(values::all(row)?);
    }
    session.execute(made(text, all)).await
}

fn keys(rows: &[Row]) -> Vec<Value<'_>> {
    let key = |row| values::key(Row::kind(row), Some(row));
    rows.iter().flat_map(key).collect()
}

/// The counters of organizations, in the order of [`COUNTERS`].
type Sums = BTreeMap<OrganizationId, [i64; 6]>;

const COUNTERS: [&str; 6] = [
    "ready_files",
    "kept_files",
    "kept_bytes",
    "revised_files",
    "denied_links",
    "denied_ids",
];

/// Sums what these rows count for their organizations, if they are files or denied links.
async fn sums(session: &mut Session<'_>, rows: &[Row]) -> Result<Sums, Fault> {
    let (text, counters) = match rows {
        [Row::File(_), ..] => (tables::file_sums(rows.len()), 0..4),
        [Row::DeniedLink { .. }, ..] => (tables::denied_sums(rows.len()), 4..6),
        _ => return Ok(Sums::new()),
    };
    let found = session.all(made(text, keys(rows)), |row| {
        let mut sums = [0; 6];
        let of_each = sums.iter_mut().zip(COUNTERS);
        for (sum, counter) in of_each.take(counters.end).skip(counters.start) {
            *sum = rows::value(row, counter, Some::<i64>)?;
        }
        Ok((rows::organization_id(row, "organization")?, sums))
    });
    Ok(found.await?.into_iter().collect())
}

/// Counts what has changed since `before`.
async fn count(session: &mut Session<'_>, rows: &[Row], before: Sums) -> Result<(), Fault> {
    let mut differences = sums(session, rows).await?;
    for (organization, before) in before {
        let of = differences.entry(organization).or_default();
        for (after, before) in of.iter_mut().zip(before) {
            *after -= before;
        }
    }
    differences.retain(|_, difference| *difference != [0; 6]);
    for (organization, difference) in &differences {
        let mut count = query(COUNT_DIFFERENCE);
        for counter in difference {
            count = count.bind(*counter);
        }
        session.execute(count.bind(organization)).await?;
    }
    Ok(())
}

async fn totals(session: &mut Session<'_>) -> Result<Totals, Fault> {
    let kept = query("SELECT kept_files, kept_bytes FROM organization");
    let kept = session.all(kept, |row| {
        Ok((
            rows::number(row, "kept_files")?,
            rows::number(row, "kept_bytes")?,
        ))
    });
    let mut all = Totals::default();
    for (files, bytes) in kept.await? {
        all.add(files, bytes);
    }
    Ok(all)
}

async fn note_copy(session: &mut Session<'_>, note: Option<&CopyNote>) -> Result<(), Fault> {
    let Some(note) = note else {
        let forget = query("DELETE FROM copy_note WHERE is_whole = 1");
        session.execute(forget).await?;
        return match session.is_any(query("SELECT 1 FROM copy_note")).await? {
            true => Err(taken("a copy that is not whole").into()),
            false => Ok(()),
        };
    };
    let used = query(
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM organization) AND NOT EXISTS (SELECT 1 FROM copy_note)",
    );
    if session.is_any(used).await? {
        return Err(taken("an installation").into());
    }
    let set = query(SET_NOTE)
        .bind(note.blobs.as_str())
        .bind(i64::from(note.is_whole));
    session.execute(set).await?;
    let set = query("UPDATE installation SET id = $1").bind(note.installation.to_string());
    session.execute(set).await.map(drop)
}
