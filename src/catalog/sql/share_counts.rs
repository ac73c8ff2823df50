//! What is counted of shares, and the list of shares, which says it.

use serde::Serialize;

use super::dialect::{SqlText, share_columns, text};
use super::fault::Fault;
use super::rows;
use super::session::{Session, query};
use super::share_rows::{share, share_counts};
use crate::catalog::counters::COUNT_MAX;
use crate::catalog::shares::{
    GUESS_SECONDS, ListedShare, SHARE, SHARE_COUNTS_ADDED_MAX, ShareCount, ShareUsage,
};
use crate::catalog::{expect_at_most, missing};
use crate::model::id::{ApiKeyId, OrganizationId, ShareId};
use crate::model::share::ShareCounts;
use crate::model::time::UnixSeconds;

/// A text that comes after every id.
const AFTER_IDS: &str = "~";

/// Reads shares with what was counted of them, newest first.
macro_rules! listed {
    ($index:literal, $condition:literal) => {
        concat!(
            "SELECT ", share_columns!(), ", (SELECT count(*) FROM share_file \
             WHERE share_file.organization = share.organization AND share_file.share = share.id) AS files, ",
            $crate::catalog::sql::dialect::piece!(both [counted shares $index]),
            "WHERE organization = $1 AND id < $2", $condition, " ORDER BY id DESC LIMIT $3"
        )
    };
}
pub(in crate::catalog) const LIST: &str = listed!("", "");
/// SQLite's planner would go through all of an organization.
pub(in crate::catalog) const LIST_OF_KEY: SqlText = SqlText {
    sqlite: listed!("INDEXED BY share_made_by", " AND created_by = $4"),
    postgres: listed!("", " AND created_by = $4"),
};

const OF_SHARE: SqlText =
    text!("SELECT ", [counted shares ""], "WHERE organization = $1 AND id = $2");

pub(in crate::catalog) const USAGE: &str = "SELECT \
     (SELECT count(*) FROM (SELECT 1 FROM share WHERE organization = $1 LIMIT $2) AS counted) AS shares, \
     (SELECT count(*) FROM (SELECT 1 FROM share_file WHERE organization = $1 LIMIT $3) AS counted) AS files";

/// Keeps the shares of counts from being forgotten until the transaction ends.
const HOLD: SqlText = text!(
    "SELECT 1 FROM ", [share_counts "$1"],
    " JOIN share ON share.organization = new.organization AND share.id = new.share \
     ORDER BY share.organization, share.id", [lock "KEY SHARE OF share"]
);
/// Adds to the counts of shares, in the order of the keys, so that two that write the same ones wait in no circle.
const ADD: SqlText = text!(
    "INSERT INTO share_count \
     (organization, share, downloads, whole, bytes_sent, last_at, opened, first_opened_at) \
     SELECT new.organization, new.share, downloads, whole, bytes_sent, last_at, opened, first_opened_at FROM ",
    [share_counts "$1"],
    " JOIN share ON share.organization = new.organization AND share.id = new.share WHERE true \
     ORDER BY new.organization, new.share ON CONFLICT (organization, share) DO UPDATE SET ",
    [sum "share_count" "downloads"], ", ", [sum "share_count" "whole"], ", ",
    [sum "share_count" "bytes_sent"], ", ", [sum "share_count" "opened"], ", ",
    [later "share_count" "last_at"],
    ", first_opened_at = CASE WHEN excluded.first_opened_at IS NULL \
     OR share_count.first_opened_at <= excluded.first_opened_at \
     THEN share_count.first_opened_at ELSE excluded.first_opened_at END"
);

const GUESSES: &str = "SELECT guesses_hour FROM share_count \
     WHERE organization = $1 AND share = $2 AND guesses_at > $3";
const ADD_GUESS: &str = "INSERT INTO share_count (organization, share, guesses_hour, guesses_at) \
     SELECT organization, id, 1, $3 FROM share WHERE organization = $1 AND id = $2 \
     ON CONFLICT (organization, share) DO UPDATE SET \
     guesses_hour = CASE WHEN share_count.guesses_at > $4 THEN share_count.guesses_hour + 1 ELSE 1 END, \
     guesses_at = CASE WHEN share_count.guesses_at > $4 THEN share_count.guesses_at ELSE excluded.guesses_at END \
     RETURNING guesses_hour";

pub(super) async fn list(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    created_by: Option<&ApiKeyId>,
    after: Option<&ShareId>,
    limit: u32,
) -> Result<Vec<ListedShare>, Fault> {
    let mut select = query(match created_by {
        Some(_) => LIST_OF_KEY,
        None => LIST.into(),
    })
    .bind(organization)
    .bind(after.map_or(AFTER_IDS, ShareId::as_str))
    .bind(limit);
    if let Some(key) = created_by {
        select = select.bind(key);
    }
    let found = session.all(select, |row| {
        Ok(ListedShare {
            share: share(row)?,
            files: rows::number(row, "files")?,
            counts: share_counts(row)?,
        })
    });
    found.await
}

pub(super) async fn of_share(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &ShareId,
) -> Result<ShareCounts, Fault> {
    let select = query(OF_SHARE).bind(organization).bind(id);
    let found = session.optional(select, share_counts).await?;
    Ok(found.unwrap_or_default())
}

pub(super) async fn usage(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    bound: ShareUsage,
) -> Result<ShareUsage, Fault> {
    let count = query(USAGE)
        .bind(organization)
        .bind(rows::stored(bound.shares)?)
        .bind(rows::stored(bound.files)?);
    let counted = session.one(count, |row| {
        Ok(ShareUsage {
            shares: rows::number(row, "shares")?,
            files: rows::number(row, "files")?,
        })
    });
    counted.await
}

pub(super) async fn add(session: &mut Session<'_>, counts: &[ShareCount]) -> Result<(), Fault> {
    let given = counts.len();
    expect_at_most(
        SHARE_COUNTS_ADDED_MAX,
        "counts of shares added at once",
        given,
    )?;
    let counts = of_each(counts);
    if counts.is_empty() {
        return Ok(());
    }
    let records: Vec<CountRecord<'_>> = counts.iter().map(CountRecord::of).collect();
    let records =
        serde_json::to_string(&records).map_err(|error| sqlx::Error::Encode(error.into()))?;
    session
        .execute_if_postgres(query(HOLD).bind(records.as_str()))
        .await?;
    session.execute(query(ADD).bind(records)).await.map(drop)
}

/// Returns one record of each share: a statement changes a row once.
fn of_each(counts: &[ShareCount]) -> Vec<ShareCount> {
    let mut counts = counts.to_vec();
    let key = |count: &ShareCount| (count.organization.clone(), count.share.clone());
    counts.sort_by_key(key);
    counts.dedup_by(|next, sum| {
        let is_same = key(next) == key(sum);
        if is_same {
            sum.counts.add(&next.counts);
            sum.opened = sum.opened.saturating_add(next.opened);
            let first = [sum.first_opened_at, next.first_opened_at];
            sum.first_opened_at = first.into_iter().flatten().min();
        }
        is_same
    });
    counts
}

pub(super) async fn guesses(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &ShareId,
    now: UnixSeconds,
) -> Result<u64, Fault> {
    let select = query(GUESSES)
        .bind(organization)
        .bind(id)
        .bind(now.minus(GUESS_SECONDS));
    let found = session.optional(select, |row| rows::number(row, "guesses_hour"));
    Ok(found.await?.unwrap_or_default())
}

pub(super) async fn add_guess(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &ShareId,
    now: UnixSeconds,
) -> Result<u64, Fault> {
    let add = query(ADD_GUESS)
        .bind(organization)
        .bind(id)
        .bind(now)
        .bind(now.minus(GUESS_SECONDS));
    let counted = session.optional(add, |row| rows::number(row, "guesses_hour"));
    Ok(counted.await?.ok_or(missing(SHARE))?)
}

/// What is to be added to one row, as the statement reads it.
#[derive(Serialize)]
struct CountRecord<'a> {
    organization: &'a str,
    share: &'a str,
    downloads: u64,
    whole: u64,
    bytes_sent: u64,
    last_at: Option<i64>,
    opened: u64,
    first_opened_at: Option<i64>,
}

impl<'a> CountRecord<'a> {
    /// Numbers that do not fit into a column stay at the largest that does.
    fn of(count: &'a ShareCount) -> Self {
        Self {
            organization: count.organization.as_str(),
            share: count.share.as_str(),
            downloads: count.counts.downloads.min(COUNT_MAX),
            whole: count.counts.whole.min(COUNT_MAX),
            bytes_sent: count.counts.bytes_sent.min(COUNT_MAX),
            last_at: count.counts.last_at.map(rows::stored_time),
            opened: count.opened.min(COUNT_MAX),
            first_opened_at: count.first_opened_at.map(rows::stored_time),
        }
    }
}
