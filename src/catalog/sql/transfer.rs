//! Transfer: whole rows, from one catalogue to another.

use std::collections::BTreeMap;

use super::calls::calls;
use super::fault::Fault;
use super::session::{Session, Value, made, query};
use super::tables::{self, Table};
use super::{Database, idempotency, rows, values, versions};
use crate::catalog::transfer::{CopyNote, Kind, ROWS_AT_ONCE_MAX, Row, Totals, Transfer};
use crate::catalog::{expect_at_most, taken};
use crate::model::id::{InstallationId, OrganizationId};
use crate::model::revocation::LinkId;

const COUNT_DIFFERENCE: &str = "UPDATE organization SET ready_files = ready_files + $1, \
     kept_files = kept_files + $2, kept_bytes = kept_bytes + $3 WHERE id = $4";
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
        },
        Kind::IdempotencyKey => Row::IdempotencyKey(idempotency::key_row(row)?),
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
    versions::lock_revocations(session).await?;
    let mut written = 0;
    for same in rows.chunk_by(|one, other| one.kind() == other.kind()) {
        let before = sums(session, same).await?;
        written += write(session, same, writing).await?;
        count(session, same, before).await?;
    }
    versions::raise_revocations(session).await?;
    versions::raise_rows(session).await?;
    Ok(written)
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

/// The ready files, the kept files and the kept bytes of organizations.
type Sums = BTreeMap<OrganizationId, [i64; 3]>;

/// Sums what these rows count for their organizations, if they are files.
async fn sums(session: &mut Session<'_>, rows: &[Row]) -> Result<Sums, Fault> {
    if !matches!(rows, [Row::File(_), ..]) {
        return Ok(Sums::new());
    }
    let select = made(tables::file_sums(rows.len()), keys(rows));
    let found = session.all(select, |row| {
        let number = |column| rows::value(row, column, Some::<i64>);
        let sums = [
            number("ready_files")?,
            number("kept_files")?,
            number("kept_bytes")?,
        ];
        Ok((rows::organization_id(row, "organization")?, sums))
    });
    Ok(found.await?.into_iter().collect())
}

/// Counts what has changed since `before`.
async fn count(session: &mut Session<'_>, rows: &[Row], before: Sums) -> Result<(), Fault> {
    let mut differences = sums(session, rows).await?;
    for (organization, [ready, files, bytes]) in before {
        let of = differences.entry(organization).or_default();
        let [all_ready, all_files, all_bytes] = *of;
        *of = [all_ready - ready, all_files - files, all_bytes - bytes];
    }
    differences.retain(|_, difference| *difference != [0; 3]);
    for (organization, [ready, files, bytes]) in &differences {
        let count = query(COUNT_DIFFERENCE)
            .bind(*ready)
            .bind(*files)
            .bind(*bytes)
            .bind(organization);
        session.execute(count).await?;
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
