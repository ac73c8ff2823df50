//! The change feed: a row for each change of what processes keep in memory.
//!
//! The rows are numbered in the order in which they are committed: whoever has seen one has seen all before it.
//! SQLite has one writer at a time. In PostgreSQL a transaction takes its numbers from the one row of `change_head`
//! by its last statement, and keeps that row locked until it is committed; the same statement notifies those who listen.
//! Each row has random bits besides its number: a server that took over from another one without its last changes, or
//! was put back to an earlier moment, gives the same numbers to other changes.

use super::fault::Fault;
use super::rows::Row;
use super::session::{Session, Value, made};
use super::{rows, tables};
use crate::catalog::changes::{CHANGES_READ_MAX, Change, FeedPage, FeedPosition};
use crate::catalog::transfer::ROWS_AT_ONCE_MAX;
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::LinkId;

/// Reads rows from one on: the first is the one that a process has seen already.
pub(in crate::catalog) const READ: &str = "SELECT version, stamp, kind, organization, item, number \
     FROM change WHERE version >= $1 ORDER BY version LIMIT $2";

/// Returns the values of [`READ`]: the number to begin with, and how many rows.
pub(in crate::catalog) fn read_from(after: FeedPosition) -> (i64, i64) {
    // One more tells that there are more, and the first was seen already.
    let limit = i64::from(CHANGES_READ_MAX) + 2;
    (after.version.cast_signed(), limit)
}

/// Returns the page that the rows of [`READ`] are; `None` where they do not begin with the one that was seen.
pub(in crate::catalog) fn page<'r>(
    found: impl IntoIterator<Item = Row<'r>>,
    after: FeedPosition,
) -> Result<Option<FeedPage>, Fault> {
    let mut found = found.into_iter();
    let seen = found.next().map(position_of).transpose()?;
    if seen != Some(after) {
        return Ok(None);
    }
    let mut page = FeedPage {
        changes: Vec::new(),
        position: after,
        has_more: false,
    };
    for row in found {
        if page.changes.len() == CHANGES_READ_MAX as usize {
            page.has_more = true;
            break;
        }
        let position = position_of(row)?;
        if position.version != page.position.version + 1 {
            // One is missing: what it says is not known.
            return Ok(None);
        }
        page.position = position;
        page.changes.push((page.position.version, change_of(row)?));
    }
    Ok(Some(page))
}

pub(super) fn position_of(row: Row<'_>) -> Result<FeedPosition, Fault> {
    Ok(FeedPosition {
        version: rows::number(row, "version")?,
        stamp: rows::value(row, "stamp", Some::<i64>)?,
    })
}

fn change_of(row: Row<'_>) -> Result<Change, Fault> {
    let organization = || rows::organization_id(row, "organization");
    let file = || rows::file_id(row, "item");
    let kind = rows::value(row, "kind", |word: &str| Some(word.to_owned()))?;
    Ok(match kind.as_str() {
        "link" => Change::LinkDenied {
            organization: organization()?,
            link: rows::value(row, "item", LinkId::parse)?,
            expires: rows::time(row, "number")?,
        },
        "file_revision" => Change::RevisionSet {
            organization: organization()?,
            file: file()?,
            revision: rows::number(row, "number")?,
        },
        "epoch" => Change::EpochRaised {
            organization: organization()?,
            epoch: rows::number(row, "number")?,
        },
        "file" => Change::FileChanged {
            organization: organization()?,
            file: file()?,
        },
        "api_key" => Change::KeyChanged {
            key: rows::api_key_id(row, "item")?,
        },
        "share" => Change::ShareChanged {
            organization: organization()?,
            share: rows::share_id(row, "item")?,
        },
        "everything" => Change::Everything,
        _ => return Err(Fault::damage("a value in the column kind is damaged")),
    })
}

/// The columns of a row besides its number and its random bits.
fn values(change: &Change) -> Result<[Value<'_>; 4], Fault> {
    let nothing = || Value::Text(None);
    let no_number = Value::Integer(None);
    Ok(match change {
        Change::LinkDenied {
            organization,
            link,
            expires,
        } => [
            "link".into(),
            organization.into(),
            link.as_str().into(),
            (*expires).into(),
        ],
        Change::RevisionSet {
            organization,
            file,
            revision,
        } => [
            "file_revision".into(),
            organization.into(),
            file.into(),
            rows::stored(*revision)?.into(),
        ],
        Change::EpochRaised {
            organization,
            epoch,
        } => [
            "epoch".into(),
            organization.into(),
            nothing(),
            rows::stored(*epoch)?.into(),
        ],
        Change::FileChanged { organization, file } => {
            ["file".into(), organization.into(), file.into(), no_number]
        }
        Change::KeyChanged { key } => ["api_key".into(), nothing(), key.into(), no_number],
        Change::ShareChanged {
            organization,
            share,
        } => ["share".into(), organization.into(), share.into(), no_number],
        Change::Everything => ["everything".into(), nothing(), nothing(), no_number],
    })
}

/// Adds changes to the feed: the last thing that a transaction does, since all others that do it wait for the end of
/// this one.
pub(super) async fn append(session: &mut Session<'_>, changes: &[Change]) -> Result<(), Fault> {
    for some in changes.chunks(ROWS_AT_ONCE_MAX) {
        let text = tables::append_changes(some.len(), session.is_postgres());
        let mut all = Vec::new();
        for change in some {
            all.extend(values(change)?);
        }
        let mut append = made(text, all);
        // One change is what most transactions make.
        append.is_kept = some.len() == 1;
        let added = session.all(append, |row| rows::number(row, "version"));
        session.appended = added.await?.into_iter().max();
    }
    Ok(())
}

/// Returns the changes of files that may be answered otherwise than before.
pub(super) fn of_files<'a>(
    files: impl IntoIterator<Item = (&'a OrganizationId, &'a FileId)>,
) -> Vec<Change> {
    let changed = |(organization, file): (&OrganizationId, &FileId)| Change::FileChanged {
        organization: organization.clone(),
        file: file.clone(),
    };
    files.into_iter().map(changed).collect()
}
