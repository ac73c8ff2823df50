//! Rows of every kind as both databases keep them.

use std::os::unix::ffi::OsStrExt;

use super::fault::Fault;
use super::idempotency::KeyRow;
use super::idempotency_sql;
use super::rows::{self, Columns};
use super::statements::Table;
use super::transfer::{Kind, ROWS_AT_ONCE_MAX, Row};
use crate::catalog::CatalogError;
use crate::model::count::Counts;
use crate::model::file::{BlobLocation, FileRecord, FileState};
use crate::model::revocation::LinkId;

/// What [`CatalogError::Limit`] counts where too many rows are moved at once.
const ROWS_AT_ONCE: &str = "rows moved at once";

/// One value of a row.
pub(super) enum Cell {
    Text(Option<String>),
    Integer(Option<i64>),
    Bytes(Option<Vec<u8>>),
}

/// Binds values to a statement in their order.
macro_rules! bound {
    ($statement:expr, $cells:expr) => {{
        let mut statement = $statement;
        for cell in $cells {
            statement = match cell {
                $crate::catalog::cells::Cell::Text(text) => statement.bind(text),
                $crate::catalog::cells::Cell::Integer(number) => statement.bind(number),
                $crate::catalog::cells::Cell::Bytes(bytes) => statement.bind(bytes),
            };
        }
        statement
    }};
}
pub(super) use bound;

/// Says no to more rows than go at once.
pub(super) fn check_count(rows: &[Row]) -> Result<(), CatalogError> {
    if rows.len() <= ROWS_AT_ONCE_MAX {
        return Ok(());
    }
    Err(CatalogError::Limit {
        what: ROWS_AT_ONCE,
        limit: ROWS_AT_ONCE_MAX as u64,
    })
}

/// The key's values.
pub(super) fn key(kind: Kind, after: Option<&Row>) -> Vec<Cell> {
    let key = after.map(Row::key).unwrap_or_default();
    let columns = Table::of(kind).key;
    key.into_iter().take(columns).map(text).collect()
}

/// All values, in the order of the table's columns.
pub(super) fn cells(row: &Row) -> Result<Vec<Cell>, Fault> {
    let time = |time| Cell::Integer(Some(rows::stored_time(time)));
    let number = |value| rows::stored(value).map(|value| Cell::Integer(Some(value)));
    Ok(match row {
        Row::Organization(of) => vec![
            text(&of.id),
            text(&of.name),
            number(of.epoch)?,
            time(of.created_at),
        ],
        Row::Space(of) => vec![
            text(&of.organization),
            text(&of.id),
            text(&of.name),
            time(of.created_at),
        ],
        Row::ApiKey(of) => vec![
            text(&of.id),
            text(&of.organization),
            text(&of.name),
            Cell::Bytes(Some(of.digest.as_bytes().to_vec())),
            text(of.scopes.names().join(" ")),
            text(of.state.as_str()),
            time(of.created_at),
            Cell::Integer(of.expires_at.map(rows::stored_time)),
        ],
        Row::App(of) => vec![
            text(&of.id),
            text(&of.key),
            text(of.secret.reveal()),
            time(of.created_at),
        ],
        Row::Folder(of) => vec![
            text(&of.organization),
            text(&of.id),
            text(&of.name),
            time(of.created_at),
        ],
        Row::File(of) => file_cells(of)?,
        Row::FolderMember { .. } | Row::FolderFile { .. } => row.key().map(text).into(),
        Row::DeniedLink {
            organization,
            link,
            expires,
        } => vec![text(organization), text(link.as_str()), time(*expires)],
        Row::IdempotencyKey(of) => key_cells(of),
        Row::FileCount {
            organization,
            file,
            counts,
        } => {
            let mut cells = vec![text(organization), text(file)];
            cells.extend(count_cells(counts));
            cells
        }
        Row::LinkCount {
            organization,
            link,
            expires,
            counts,
        } => {
            let mut cells = vec![text(organization), text(link.as_str()), time(*expires)];
            cells.extend(count_cells(counts));
            cells
        }
    })
}

/// What a row of the table says.
pub(super) fn row(kind: Kind, row: &impl Columns) -> Result<Row, Fault> {
    let organization = || rows::organization_id(row, "organization");
    let link = || rows::value(row, "link", LinkId::parse);
    Ok(match kind {
        Kind::Organization => Row::Organization(rows::organization(row)?),
        Kind::Space => Row::Space(rows::space(row)?),
        Kind::ApiKey => Row::ApiKey(rows::api_key(row)?),
        Kind::App => Row::App(rows::kept_app(row)?),
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
        Kind::IdempotencyKey => Row::IdempotencyKey(idempotency_sql::key_row(row)?),
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

fn file_cells(of: &FileRecord) -> Result<Vec<Cell>, Fault> {
    let time = |time| Cell::Integer(Some(rows::stored_time(time)));
    let number = |value| rows::stored(value).map(|value| Cell::Integer(Some(value)));
    let (state, deleted_at) = match of.state {
        FileState::Ready => ("ready", None),
        FileState::Deleted { at } => ("deleted", Some(at)),
        FileState::Swept { at } => ("swept", Some(at)),
    };
    let (blob, place) = match &of.location {
        BlobLocation::Stored(key) => (Some(key.to_string()), None),
        BlobLocation::InPlace(place) => (None, Some(place)),
    };
    Ok(vec![
        text(&of.organization),
        text(&of.id),
        text(&of.space),
        text(of.name.as_str()),
        text(of.media_type.as_str()),
        number(of.size)?,
        Cell::Bytes(Some(of.sha256.as_bytes().to_vec())),
        text(of.purpose.as_str()),
        text(state),
        Cell::Integer(deleted_at.map(rows::stored_time)),
        text(rows::metadata_text(&of.metadata)),
        time(of.created_at),
        time(of.updated_at),
        Cell::Text(of.uploaded_by.as_ref().map(ToString::to_string)),
        Cell::Integer(of.damaged_at.map(rows::stored_time)),
        number(of.link_revision)?,
        Cell::Text(blob),
        Cell::Bytes(place.map(|place| place.path.as_os_str().as_bytes().to_vec())),
        Cell::Integer(place.map(|place| place.inode.cast_signed())),
        Cell::Integer(place.map(|place| place.modified_nanos)),
        Cell::Integer(place.and_then(|place| place.device.map(u64::cast_signed))),
        Cell::Integer(place.and_then(|place| place.changed_nanos)),
        Cell::Integer(of.is_text.map(i64::from)),
        Cell::Integer(of.expires_at.map(rows::stored_time)),
    ])
}

fn key_cells(of: &KeyRow) -> Vec<Cell> {
    let time = |time| Cell::Integer(Some(rows::stored_time(time)));
    let completed = of.completed.as_ref();
    vec![
        text(&of.claim.organization),
        text(&of.claim.api_key),
        text(&of.claim.key),
        time(of.created_at),
        Cell::Bytes(Some(of.claim.owner.to_vec())),
        time(of.held_until),
        Cell::Bytes(completed.map(|of| of.fingerprint.as_bytes().to_vec())),
        Cell::Text(completed.map(|of| of.outcome.clone())),
    ]
}

fn count_cells(counts: &Counts) -> [Cell; 4] {
    let number = |number: u64| Cell::Integer(Some(i64::try_from(number).unwrap_or(i64::MAX)));
    [
        number(counts.downloads),
        number(counts.whole),
        number(counts.bytes_sent),
        Cell::Integer(counts.last_at.map(rows::stored_time)),
    ]
}

fn text(text: impl ToString) -> Cell {
    Cell::Text(Some(text.to_string()))
}
