//! Shares and their files: made, found, changed, forgotten.

use std::collections::{BTreeMap, BTreeSet};

use super::calls::calls;
use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::session::{Session, Value, made, query};
use super::share_rows::share;
use super::tables::Table;
use super::values::{self, insert};
use super::{Database, archive_rows, changes, rows, share_counts, tenancy};
use crate::catalog::changes::Change;
use crate::catalog::shares::{
    ListedShare, NewShare, SHARE, SHARE_REVOKED, SHARE_ROTATED, ShareCount, ShareEdit,
    ShareRotation, ShareUsage, Shares,
};
use crate::catalog::transfer::{self, Kind, ROWS_AT_ONCE_MAX};
use crate::catalog::{FILE, expect_at_most, missing, taken};
use crate::model::digest::Sha256Digest;
use crate::model::id::{ApiKeyId, FileId, OrganizationId, ShareId};
use crate::model::share::{
    SHARE_FILES_MAX, Share, ShareCounts, ShareState, SharedFile, WholeShare,
};
use crate::model::time::UnixSeconds;

const OF_ID: SqlText = text!([shares], "WHERE organization = $1 AND id = $2");
pub(in crate::catalog) const OF_CODE: SqlText = text!([shares], "WHERE code_digest = $1");
/// Locks a share.
const LOCK: SqlText = text!([shares], "WHERE organization = $1 AND id = $2", [lock "UPDATE"]);
/// Reads the files of a share as one text (`archive_rows.rs`).
const FILES: &str = "SELECT string_agg(concat_ws(' ', position, file, link_revision, octet_length(path), path), ' ') \
     AS files FROM share_file WHERE organization = $1 AND share = $2";
const REMOVE_FILES: &str = "DELETE FROM share_file WHERE organization = $1 AND share = $2";
/// Holds files as they are until the transaction ends, so that none is forgotten meanwhile.
const HOLD: SqlText = text!(
    "SELECT id, CASE WHEN link_revision > 0 AND link_epoch <> (SELECT epoch FROM organization \
     WHERE organization.id = file.organization) THEN 0 ELSE link_revision END AS link_revision \
     FROM file WHERE organization = $1 AND state = 'ready' AND id ", [in "$2"],
    " ORDER BY id", [lock "KEY SHARE"]
);

/// Finds shares that ended, those first that did first.
pub(in crate::catalog) const ENDED: SqlText = text!(
    "SELECT organization, id FROM share WHERE (expires IS NOT NULL OR revoked_at IS NOT NULL) \
     AND CASE WHEN revoked_at < expires THEN revoked_at ELSE coalesce(expires, revoked_at) END <= $1 \
     ORDER BY CASE WHEN revoked_at < expires THEN revoked_at ELSE coalesce(expires, revoked_at) END LIMIT $2",
    [lock "UPDATE SKIP LOCKED"]
);
/// Locks the allowances of shares, in the order of their keys.
const LOCK_ALLOWANCES: SqlText = text!(
    "SELECT organization, subject FROM allowance WHERE organization = $1 AND subject ", [in "$2"],
    " ORDER BY organization, subject", [lock "UPDATE"]
);
const FORGET_ALLOWANCES: SqlText =
    text!("DELETE FROM allowance WHERE organization = $1 AND subject ", [in "$2"]);
const FORGET: SqlText = text!("DELETE FROM share WHERE organization = $1 AND id ", [in "$2"]);

/// Takes files out of shares whose bytes are gone.
pub(in crate::catalog) const TAKE_OUT_SWEPT: &str = "DELETE FROM share_file WHERE (organization, share, path) IN \
     (SELECT share_file.organization, share, share_file.path FROM file JOIN share_file \
     ON share_file.organization = file.organization AND share_file.file = file.id \
     WHERE state = 'swept' AND deleted_at <= $1 LIMIT $2) RETURNING organization, share";

impl<D: Database> Shares for D {
    calls! {
        fn create_share(share: &'a NewShare) -> WholeShare
            => Write, "making a share", create;
        fn share(organization: &'a OrganizationId, id: &'a ShareId) -> Option<WholeShare>
            => ReadTransaction, "looking for a share", of_id;
        fn share_of_code(digest: &'a Sha256Digest) -> Option<WholeShare>
            => ReadTransaction, "looking for the share of a code", of_code;
        fn shares(
            organization: &'a OrganizationId, created_by: Option<&'a ApiKeyId>, after: Option<&'a ShareId>,
            limit: u32
        ) -> Vec<ListedShare>
            => Read, "listing shares", share_counts::list;
        fn share_usage(organization: &'a OrganizationId, bound: ShareUsage) -> ShareUsage
            => Read, "counting shares", share_counts::usage;
        fn edit_share(organization: &'a OrganizationId, id: &'a ShareId, edit: &'a ShareEdit) -> WholeShare
            => Write, "changing a share", change;
        fn rotate_share(
            organization: &'a OrganizationId, id: &'a ShareId, rotation: &'a ShareRotation
        ) -> WholeShare
            => ReservedWrite, "rotating a share", rotate;
        fn revoke_share(
            organization: &'a OrganizationId, id: &'a ShareId, now: UnixSeconds
        ) -> WholeShare
            => ReservedWrite, "revoking a share", revoke;
        fn share_counts(organization: &'a OrganizationId, id: &'a ShareId) -> ShareCounts
            => Read, "looking for what was counted of a share", share_counts::of_share;
        fn add_share_counts(counts: &'a [ShareCount]) -> ()
            => Write, "counting what is done with shares", share_counts::add;
        fn guesses(organization: &'a OrganizationId, id: &'a ShareId, now: UnixSeconds) -> u64
            => Read, "looking for the guesses at a share", share_counts::guesses;
        fn add_guess(organization: &'a OrganizationId, id: &'a ShareId, now: UnixSeconds) -> u64
            => Write, "counting a guess at a share", share_counts::add_guess;
        fn forget_shares(before: UnixSeconds, limit: u32) -> u64
            => Write, "forgetting shares that ended", forget;
    }
}

async fn create(session: &mut Session<'_>, new: &NewShare) -> Result<WholeShare, Fault> {
    let organization = &new.share.organization;
    tenancy::expect(session, organization).await?;
    let mut share = new.share.clone();
    share.next_position = 1;
    let files = put_in(session, &mut share, &new.files, Vec::new()).await?;
    let row = transfer::Row::Share(Box::new(share));
    insert(session, &row, SHARE).await?;
    let transfer::Row::Share(share) = row else {
        return Err(Fault::damage("a share's row is none"));
    };
    let whole = WholeShare {
        share: *share,
        files,
    };
    insert_files(session, &whole).await?;
    Ok(whole)
}

async fn of_id(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &ShareId,
) -> Result<Option<WholeShare>, Fault> {
    let select = query(OF_ID).bind(organization).bind(id);
    let found = session.optional(select, share).await?;
    with_files(session, found).await
}

async fn of_code(
    session: &mut Session<'_>,
    digest: &Sha256Digest,
) -> Result<Option<WholeShare>, Fault> {
    let select = query(OF_CODE).bind(digest.as_bytes().as_slice());
    let found = session.optional(select, share).await?;
    with_files(session, found).await
}

async fn with_files(
    session: &mut Session<'_>,
    found: Option<Share>,
) -> Result<Option<WholeShare>, Fault> {
    let Some(share) = found else {
        return Ok(None);
    };
    let select = query(FILES).bind(&share.organization).bind(&share.id);
    let files = session.one(select, archive_rows::shared_files).await?;
    Ok(Some(WholeShare { share, files }))
}

/// Locks a share until the transaction ends.
async fn lock(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &ShareId,
) -> Result<WholeShare, Fault> {
    let lock = query(LOCK).bind(organization).bind(id);
    let found = session.optional(lock, share).await?;
    let found = with_files(session, found).await?;
    Ok(found.ok_or(missing(SHARE))?)
}

async fn change(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &ShareId,
    edit: &ShareEdit,
) -> Result<WholeShare, Fault> {
    let WholeShare { share, files } = lock(session, organization, id).await?;
    if matches!(share.state, ShareState::Revoked { .. }) {
        return Err(taken(SHARE_REVOKED).into());
    }
    let mut next = edited(&share, edit);
    let next_files = match &edit.files {
        Some(wanted) => put_in(session, &mut next, wanted, files.clone()).await?,
        None => files.clone(),
    };
    let (before, next) = (
        WholeShare { share, files },
        WholeShare {
            share: next,
            files: next_files,
        },
    );
    if before == next {
        return Ok(next);
    }
    set(session, &next.share).await?;
    if before.files != next.files {
        let remove = query(REMOVE_FILES).bind(organization).bind(id);
        session.execute(remove).await?;
        insert_files(session, &next).await?;
    }
    note_changed(session, &next.share).await?;
    Ok(next)
}

/// Returns the share with all changes but those of its files.
fn edited(share: &Share, edit: &ShareEdit) -> Share {
    let of = share.clone();
    let password = edit.password.clone();
    Share {
        title: edit.title.clone().unwrap_or(of.title),
        note: edit.note.clone().unwrap_or(of.note),
        expires: edit.expires.unwrap_or(of.expires),
        not_before: edit.not_before.unwrap_or(of.not_before),
        allowed: edit.allowed.unwrap_or(of.allowed),
        ip: edit.ip.clone().unwrap_or(of.ip),
        pass_revision: of.pass_revision + u64::from(password.is_some()),
        password: password.unwrap_or(of.password),
        state: match edit.paused {
            Some(true) => ShareState::Paused,
            Some(false) => ShareState::Active,
            None => of.state,
        },
        options: edit.options.unwrap_or(of.options),
        ..of
    }
}

/// Returns the files that a share has from now on: those that it has already as they are, others as they are now.
async fn put_in(
    session: &mut Session<'_>,
    share: &mut Share,
    wanted: &[(String, FileId)],
    before: Vec<SharedFile>,
) -> Result<Vec<SharedFile>, Fault> {
    expect_at_most(SHARE_FILES_MAX, "files of a share", wanted.len())?;
    let paths: BTreeSet<&str> = wanted.iter().map(|(path, _)| path.as_str()).collect();
    if paths.len() < wanted.len() {
        return Err(taken("a path in the share").into());
    }
    let mut before: BTreeMap<FileId, SharedFile> = before
        .into_iter()
        .map(|shared| (shared.file.clone(), shared))
        .collect();
    let is_new = |file: &FileId| !before.contains_key(file);
    let new: BTreeSet<&str> = wanted
        .iter()
        .filter(|(_, file)| is_new(file))
        .map(|(_, file)| file.as_str())
        .collect();
    let revisions = hold(session, &share.organization, &new).await?;
    let mut files = Vec::with_capacity(wanted.len());
    for (path, file) in wanted {
        let path = path.clone();
        if let Some(kept) = before.remove(file) {
            files.push(SharedFile { path, ..kept });
            continue;
        }
        let link_revision = *revisions.get(file).ok_or(missing(FILE))?;
        files.push(SharedFile {
            path,
            file: file.clone(),
            link_revision,
            position: share.next_position,
        });
        share.next_position += 1;
    }
    files.sort_by_key(|shared| shared.position);
    Ok(files)
}

/// Holds files that are `Ready`, and returns their link revisions. `NotFound` if one is not.
async fn hold(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    files: &BTreeSet<&str>,
) -> Result<BTreeMap<FileId, u64>, Fault> {
    if files.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Value<'_> = files.iter().copied().collect();
    let hold = query(HOLD).bind(organization).bind(ids);
    let found = session.all(hold, |row| {
        Ok((
            rows::file_id(row, "id")?,
            rows::number(row, "link_revision")?,
        ))
    });
    let found: BTreeMap<FileId, u64> = found.await?.into_iter().collect();
    if found.len() < files.len() {
        return Err(missing(FILE).into());
    }
    Ok(found)
}

/// Inserts the files of a share that has none.
async fn insert_files(session: &mut Session<'_>, whole: &WholeShare) -> Result<(), Fault> {
    let row = |file: &SharedFile| transfer::Row::ShareFile {
        organization: whole.share.organization.clone(),
        share: whole.share.id.clone(),
        file: file.clone(),
    };
    for some in whole.files.chunks(ROWS_AT_ONCE_MAX) {
        let rows: Vec<transfer::Row> = some.iter().map(row).collect();
        let mut all = Vec::new();
        for row in &rows {
            all.extend(values::all(row)?);
        }
        let insert = made(Table::of(Kind::ShareFile).insert(rows.len()), all);
        session.execute(insert).await?;
    }
    Ok(())
}

/// Writes a share that is there.
async fn set(session: &mut Session<'_>, share: &Share) -> Result<(), Fault> {
    let row = transfer::Row::Share(Box::new(share.clone()));
    let mut put = made(Table::of(Kind::Share).put(1), values::all(&row)?);
    put.is_kept = true;
    session.execute(put).await.map(drop)
}

async fn note_changed(session: &mut Session<'_>, share: &Share) -> Result<(), Fault> {
    let change = changed_share((share.organization.clone(), share.id.clone()));
    changes::append(session, &[change]).await
}

async fn rotate(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &ShareId,
    rotation: &ShareRotation,
) -> Result<WholeShare, Fault> {
    let mut whole = lock(session, organization, id).await?;
    let share = &mut whole.share;
    if matches!(share.state, ShareState::Revoked { .. }) {
        return Err(taken(SHARE_REVOKED).into());
    }
    if share.revision != rotation.from {
        return Err(taken(SHARE_ROTATED).into());
    }
    share.revision += 1;
    share.pass_revision += 1;
    share.kid.clone_from(&rotation.kid);
    share.epoch = rotation.epoch;
    share.code_digest = rotation.code_digest;
    set(session, share).await?;
    note_changed(session, share).await?;
    Ok(whole)
}

async fn revoke(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &ShareId,
    now: UnixSeconds,
) -> Result<WholeShare, Fault> {
    let mut whole = lock(session, organization, id).await?;
    let share = &mut whole.share;
    if matches!(share.state, ShareState::Revoked { .. }) {
        return Ok(whole);
    }
    share.state = ShareState::Revoked { at: now };
    set(session, share).await?;
    note_changed(session, share).await?;
    Ok(whole)
}

async fn forget(session: &mut Session<'_>, before: UnixSeconds, limit: u32) -> Result<u64, Fault> {
    let ended = query(ENDED).bind(before).bind(limit);
    let ended = session.all(ended, |row| {
        Ok((
            rows::organization_id(row, "organization")?,
            rows::share_id(row, "id")?,
        ))
    });
    let mut ended = ended.await?;
    ended.sort();
    let mut gone = Vec::new();
    for of_one in ended.chunk_by(|(one, _), (other, _)| one == other) {
        let Some((organization, _)) = of_one.first() else {
            continue;
        };
        let subjects: Vec<String> = of_one.iter().map(|(_, id)| format!("s{id}")).collect();
        let subjects = || subjects.iter().map(String::as_str).collect::<Value<'_>>();
        let lock = query(LOCK_ALLOWANCES).bind(organization).bind(subjects());
        session.all(lock, |_| Ok(())).await?;
        let forget = query(FORGET_ALLOWANCES).bind(organization).bind(subjects());
        session.execute(forget).await?;
        let ids: Value<'_> = of_one.iter().map(|(_, id)| id.as_str()).collect();
        let forget = query(FORGET).bind(organization).bind(ids);
        session.execute(forget).await?;
        gone.extend(of_one.iter().cloned().map(changed_share));
    }
    changes::append(session, &gone).await?;
    Ok(gone.len() as u64)
}

/// Takes up to `limit` files out of shares that were deleted at or before `before` and are swept, so that their ids may
/// be given again: no share may then be of another file. Returns what is to be added to the change feed.
pub(super) async fn take_out_swept(
    session: &mut Session<'_>,
    before: UnixSeconds,
    limit: u32,
) -> Result<Vec<Change>, Fault> {
    let take = query(TAKE_OUT_SWEPT).bind(before).bind(limit);
    let changed = session.all(take, |row| {
        Ok((
            rows::organization_id(row, "organization")?,
            rows::share_id(row, "share")?,
        ))
    });
    let changed: BTreeSet<(OrganizationId, ShareId)> = changed.await?.into_iter().collect();
    Ok(changed.into_iter().map(changed_share).collect())
}

fn changed_share((organization, share): (OrganizationId, ShareId)) -> Change {
    Change::ShareChanged {
        organization,
        share,
    }
}
