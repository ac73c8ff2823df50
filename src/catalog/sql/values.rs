//! Bind values: the columns of a row, from a value of the model; and the statement that inserts one.

use std::os::unix::ffi::OsStrExt;

use super::fault::Fault;
use super::rows;
use super::session::{Session, Value, made};
use super::tables::Table;
use crate::catalog::idempotency::KeyRow;
use crate::catalog::redemptions::{Allowance, Redemption};
use crate::catalog::shares::ShareCountRow;
use crate::catalog::taken;
use crate::catalog::transfer::{Kind, Row};
use crate::model::count::Counts;
use crate::model::file::{BlobLocation, FileRecord, FileState};
use crate::model::key::ApiKey;
use crate::model::share::{Share, ShareState, SharedFile};
use crate::model::time::UnixSeconds;

/// Returns the key's values; empty texts come before every key.
pub(super) fn key(kind: Kind, row: Option<&Row>) -> Vec<Value<'_>> {
    let key = row.map_or([""; 3], Row::key);
    let columns = Table::of(kind).key;
    key.into_iter().take(columns).map(Value::from).collect()
}

/// Returns all values, in the order of the table's columns.
pub(super) fn all(row: &Row) -> Result<Vec<Value<'_>>, Fault> {
    Ok(match row {
        Row::Organization(of) => vec![
            (&of.id).into(),
            of.name.as_str().into(),
            rows::stored(of.epoch)?.into(),
            of.created_at.into(),
        ],
        Row::Space(of) => vec![
            (&of.organization).into(),
            (&of.id).into(),
            of.name.as_str().into(),
            of.created_at.into(),
        ],
        Row::ApiKey(of) => api_key(of),
        Row::App(of) => vec![
            (&of.id).into(),
            (&of.key).into(),
            of.secret.reveal().into(),
            of.created_at.into(),
        ],
        Row::Folder(of) => vec![
            (&of.organization).into(),
            (&of.id).into(),
            of.name.as_str().into(),
            of.created_at.into(),
        ],
        Row::File(of) => file(of, of.state, of.damaged_at)?,
        Row::FolderMember { .. } | Row::FolderFile { .. } => row.key().map(Value::from).into(),
        Row::DeniedLink {
            organization,
            link,
            expires,
            id_alone,
        } => vec![
            organization.into(),
            link.as_str().into(),
            (*expires).into(),
            i64::from(*id_alone).into(),
        ],
        Row::IdempotencyKey(of) => idempotency_key(of),
        Row::Share(of) => share(of)?,
        Row::ShareFile { file, .. } => share_file(row, file)?,
        Row::ShareCount(of) => share_count(of)?,
        Row::Allowance(of) => allowance(of)?,
        Row::Redemption(of) => redemption(of)?,
        Row::FileCount {
            organization,
            file,
            counts,
        } => with_counts(vec![organization.into(), file.into()], counts),
        Row::LinkCount {
            organization,
            link,
            expires,
            counts,
        } => {
            let link = link.as_str().into();
            let key = vec![organization.into(), link, (*expires).into()];
            with_counts(key, counts)
        }
    })
}

/// Inserts a row. `Conflict` where another one has its key.
pub(super) async fn insert(
    session: &mut Session<'_>,
    row: &Row,
    what: &'static str,
) -> Result<(), Fault> {
    match insert_new(session, row).await? {
        true => Ok(()),
        false => Err(taken(what).into()),
    }
}

/// Inserts a row, unless another one has its key. Returns whether it did.
pub(super) async fn insert_new(session: &mut Session<'_>, row: &Row) -> Result<bool, Fault> {
    let mut insert = made(Table::of(row.kind()).insert(1), all(row)?);
    insert.is_kept = true;
    Ok(session.execute(insert).await? == 1)
}

/// Returns the values of a file in this state.
pub(super) fn file(
    of: &FileRecord,
    state: FileState,
    damaged_at: Option<UnixSeconds>,
) -> Result<Vec<Value<'_>>, Fault> {
    let (state, deleted_at) = match state {
        FileState::Ready => ("ready", None),
        FileState::Deleted { at } => ("deleted", Some(at)),
        FileState::Swept { at } => ("swept", Some(at)),
    };
    let (blob, place) = match &of.location {
        BlobLocation::Stored(key) => (Some(key.to_string().into()), None),
        BlobLocation::InPlace(place) => (None, Some(place)),
    };
    Ok(vec![
        (&of.organization).into(),
        (&of.id).into(),
        (&of.space).into(),
        of.name.as_str().into(),
        of.media_type.as_str().into(),
        rows::stored(of.size)?.into(),
        Value::Digest(*of.fingerprint().as_bytes()),
        of.purpose.as_str().into(),
        state.into(),
        deleted_at.into(),
        rows::metadata_text(&of.metadata).into(),
        of.created_at.into(),
        of.updated_at.into(),
        Value::Text(of.uploaded_by.as_ref().map(|key| key.as_str().into())),
        damaged_at.into(),
        rows::stored(of.link_revision)?.into(),
        Value::Text(blob),
        Value::Bytes(place.map(|place| place.path.as_os_str().as_bytes())),
        place.map(|place| place.inode.cast_signed()).into(),
        place.map(|place| place.modified_nanos).into(),
        place
            .and_then(|place| place.device.map(u64::cast_signed))
            .into(),
        place.and_then(|place| place.changed_nanos).into(),
        of.is_text.map(i64::from).into(),
        of.expires_at.into(),
        of.crc32.map(|crc32| i64::from(crc32.get())).into(),
    ])
}

fn api_key(of: &ApiKey) -> Vec<Value<'_>> {
    vec![
        (&of.id).into(),
        (&of.organization).into(),
        of.name.as_str().into(),
        of.digest.as_bytes().as_slice().into(),
        of.scopes.names().join(" ").into(),
        of.state.as_str().into(),
        of.created_at.into(),
        of.expires_at.into(),
    ]
}

fn idempotency_key(of: &KeyRow) -> Vec<Value<'_>> {
    let completed = of.completed.as_ref();
    vec![
        (&of.claim.organization).into(),
        (&of.claim.api_key).into(),
        of.claim.key.as_str().into(),
        of.created_at.into(),
        of.claim.owner.as_slice().into(),
        of.held_until.into(),
        Value::Bytes(completed.map(|of| of.fingerprint.as_bytes().as_slice())),
        Value::Text(completed.map(|of| of.outcome.as_str().into())),
    ]
}

fn share(of: &Share) -> Result<Vec<Value<'_>>, Fault> {
    let revoked_at = match of.state {
        ShareState::Revoked { at } => Some(at),
        ShareState::Active | ShareState::Paused => None,
    };
    Ok(vec![
        (&of.organization).into(),
        (&of.id).into(),
        of.kid.as_str().into(),
        of.code_digest.as_bytes().as_slice().into(),
        rows::stored(of.epoch)?.into(),
        rows::stored(of.revision)?.into(),
        of.kind.as_str().into(),
        of.title.as_str().into(),
        of.note.as_str().into(),
        rows::stored(of.next_position)?.into(),
        of.created_at.into(),
        Value::Text(of.created_by.as_ref().map(|key| key.as_str().into())),
        of.expires.into(),
        of.not_before.into(),
        of.allowed.map(rows::stored).transpose()?.into(),
        Value::Text(of.password.as_ref().map(|hash| hash.reveal().into())),
        rows::stored(of.pass_revision)?.into(),
        Value::Text(of.ip.as_ref().map(|network| network.as_str().into())),
        of.state.as_str().into(),
        revoked_at.into(),
        of.options.as_str().into(),
    ])
}

/// Returns the values of a file in a share, whose row has its key.
fn share_file<'q>(row: &'q Row, of: &'q SharedFile) -> Result<Vec<Value<'q>>, Fault> {
    let mut values: Vec<Value<'q>> = row.key().map(Value::from).into();
    values.extend([
        (&of.file).into(),
        rows::stored(of.link_revision)?.into(),
        rows::stored(of.position)?.into(),
    ]);
    Ok(values)
}

fn share_count(of: &ShareCountRow) -> Result<Vec<Value<'_>>, Fault> {
    let count = &of.count;
    let key = vec![(&count.organization).into(), (&count.share).into()];
    let mut values = with_counts(key, &count.counts);
    values.extend([
        rows::stored(count.opened)?.into(),
        count.first_opened_at.into(),
        rows::stored(of.guesses_hour)?.into(),
        of.guesses_at.into(),
    ]);
    Ok(values)
}

fn allowance(of: &Allowance) -> Result<Vec<Value<'_>>, Fault> {
    let link = of.link.as_ref();
    let link_revision = link.map(|link| rows::stored(link.link_revision));
    Ok(vec![
        (&of.organization).into(),
        of.subject.as_str().into(),
        Value::Text(link.map(|link| link.id.as_str().into())),
        Value::Text(link.map(|link| link.file.as_str().into())),
        of.kid.as_str().into(),
        rows::stored(of.epoch)?.into(),
        link_revision.transpose()?.into(),
        Value::Text(link.map(|link| link.claims.as_str().into())),
        of.allowed.map(rows::stored).transpose()?.into(),
        rows::stored(of.counts.done)?.into(),
        rows::stored(of.counts.open)?.into(),
        of.counts.lapsed_bytes.into(),
        rows::stored(of.bytes)?.into(),
        of.expires.into(),
    ])
}

fn redemption(of: &Redemption) -> Result<Vec<Value<'_>>, Fault> {
    let pass_revision = of.pass_revision.map(rows::stored);
    Ok(vec![
        of.ticket.rid.as_str().into(),
        (&of.organization).into(),
        of.subject.as_str().into(),
        Value::Text(of.file.as_ref().map(|file| file.as_str().into())),
        rows::stored(of.size)?.into(),
        Value::Bytes(of.client.as_ref().map(<[u8; 16]>::as_slice)),
        of.opened_at.into(),
        of.last_at.into(),
        rows::stored(of.bytes_sent)?.into(),
        of.state.as_str().into(),
        of.done_at.into(),
        of.ticket.kid.as_str().into(),
        of.ticket.expires.into(),
        pass_revision.transpose()?.into(),
        of.first_at.into(),
        Value::Bytes(of.starter.as_ref().map(<[u8; 32]>::as_slice)),
    ])
}

/// Adds counts as they are kept: a number that does not fit is the largest that does.
fn with_counts<'q>(mut values: Vec<Value<'q>>, counts: &Counts) -> Vec<Value<'q>> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX).into();
    let numbers = [counts.downloads, counts.whole, counts.bytes_sent];
    values.extend(numbers.map(number));
    values.push(counts.last_at.into());
    values
}
