//! Row mapping of shares.

use super::fault::Fault;
use super::rows::{self, Row};
use crate::catalog::shares::{ShareCount, ShareCountRow};
use crate::model::id::ApiKeyId;
use crate::model::share::{
    PasswordHash, Share, ShareCounts, ShareKind, ShareNetwork, ShareOptions, ShareState, SharedFile,
};

/// Reads a row of `share`.
pub(super) fn share(row: Row<'_>) -> Result<Share, Fault> {
    Ok(Share {
        organization: rows::organization_id(row, "organization")?,
        id: rows::share_id(row, "id")?,
        kid: rows::text(row, "kid")?,
        code_digest: rows::digest(row, "code_digest")?,
        epoch: rows::number(row, "epoch")?,
        revision: rows::number(row, "revision")?,
        kind: rows::value(row, "kind", ShareKind::parse)?,
        title: rows::text(row, "title")?,
        note: rows::text(row, "note")?,
        next_position: rows::number(row, "next_position")?,
        created_at: rows::time(row, "created_at")?,
        created_by: rows::optional(row, "created_by", |text: &str| ApiKeyId::parse(text).ok())?,
        expires: rows::optional(row, "expires", rows::unix_seconds)?,
        not_before: rows::optional(row, "not_before", rows::unix_seconds)?,
        allowed: rows::optional_number(row, "allowed")?,
        password: rows::optional(row, "password", |phc: &str| {
            Some(PasswordHash::new(phc.to_owned()))
        })?,
        pass_revision: rows::number(row, "pass_revision")?,
        ip: rows::optional(row, "ip", ShareNetwork::parse)?,
        state: state(row)?,
        options: rows::value(row, "options", ShareOptions::parse)?,
    })
}

fn state(row: Row<'_>) -> Result<ShareState, Fault> {
    let revoked_at = rows::optional(row, "revoked_at", rows::unix_seconds)?;
    rows::value(row, "state", |word: &str| match (word, revoked_at) {
        ("active", None) => Some(ShareState::Active),
        ("paused", None) => Some(ShareState::Paused),
        ("revoked", Some(at)) => Some(ShareState::Revoked { at }),
        _ => None,
    })
}

/// Reads a row of `share_file`.
pub(super) fn shared_file(row: Row<'_>) -> Result<SharedFile, Fault> {
    Ok(SharedFile {
        path: rows::text(row, "path")?,
        file: rows::file_id(row, "file")?,
        link_revision: rows::number(row, "link_revision")?,
        position: rows::number(row, "position")?,
    })
}

/// Reads a row of `share_count`.
pub(super) fn share_count(row: Row<'_>) -> Result<ShareCountRow, Fault> {
    Ok(ShareCountRow {
        count: ShareCount {
            organization: rows::organization_id(row, "organization")?,
            share: rows::share_id(row, "share")?,
            counts: rows::counts(row)?,
            opened: rows::number(row, "opened")?,
            first_opened_at: rows::optional(row, "first_opened_at", rows::unix_seconds)?,
        },
        guesses_hour: rows::number(row, "guesses_hour")?,
        guesses_at: rows::time(row, "guesses_at")?,
    })
}

/// Reads what was counted of a share.
pub(super) fn share_counts(row: Row<'_>) -> Result<ShareCounts, Fault> {
    Ok(ShareCounts {
        counts: rows::counts(row)?,
        opened: rows::number(row, "opened")?,
        first_opened_at: rows::optional(row, "first_opened_at", rows::unix_seconds)?,
        done: rows::number(row, "done")?,
        open: rows::number(row, "open")?,
    })
}
