//! Numbered pages of lists, and the anchors that they begin beside.
//!
//! An anchor is a place in the list of an organization's ready files, with the number of those from it up to the next
//! newer one, at most some 2,000. Triggers of the schema keep them. A page deep in the list begins beside the last
//! anchor before it, and passes over no more files than that one has.

use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::rows;
use super::session::{Session, Value, query};
use crate::catalog::NumberedPage;
use crate::model::id::OrganizationId;
use crate::model::time::UnixSeconds;

/// A page behind more files than these is read from an anchor on.
const PASSED_OVER_MAX: u64 = 1_024;

/// Counts the files that lists have, and the expired ones among them, which nobody has marked deleted yet.
pub(in crate::catalog) const LISTED: SqlText = text!(
    "SELECT ready_files, (SELECT count(*) FROM file WHERE state = 'ready' AND ", [expired "$1" "$2"],
    ") AS expired_files FROM organization WHERE id = $1"
);
/// Finds the last anchor before which there are no more ready files than these, and counts them.
const ANCHOR: &str = "SELECT created_at, id, newer_files FROM (SELECT created_at, id, \
     CAST(sum(files) OVER (ORDER BY created_at DESC, id DESC) AS bigint) AS newer_files \
     FROM list_anchor WHERE organization = $1) AS anchor \
     WHERE newer_files <= $2 ORDER BY newer_files DESC, created_at, id LIMIT 1";
/// Counts the expired files before an anchor.
pub(in crate::catalog) const NEWER_EXPIRED: SqlText = text!(
    "SELECT count(*) AS expired_files FROM file WHERE state = 'ready' AND ", [expired "$1" "$2"],
    " AND (created_at, id) >= ($3, $4)"
);
/// Reads a page after a place.
pub(in crate::catalog) const NUMBERED_PAGE: SqlText = text!(
    [files], "WHERE organization = $1 AND state = 'ready' AND (created_at, id) < ($4, $5) AND ",
    [unexpired "$6"], " ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3"
);

/// Counts the anchors whose numbers are not those of the rows.
const WRONG_ANCHORS: &str = "SELECT (SELECT count(*) FROM (SELECT created_at, id, files, \
     coalesce(lead(created_at) OVER newer, 9223372036854775807) AS next_at, \
     coalesce(lead(id) OVER newer, '') AS next_id \
     FROM list_anchor WHERE organization = $1 WINDOW newer AS (ORDER BY created_at, id)) AS anchor \
     WHERE files <> (SELECT count(*) FROM file WHERE file.organization = $1 AND state = 'ready' \
     AND (file.created_at, file.id) >= (anchor.created_at, anchor.id) \
     AND (file.created_at, file.id) < (anchor.next_at, anchor.next_id))) \
     + (SELECT count(*) FROM organization WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM list_anchor \
     WHERE list_anchor.organization = $1 AND list_anchor.created_at = -1)) AS wrong_anchors";

/// Makes the anchors of an organization anew, as the schema does for a catalogue that has none.
const MAKE_ANCHORS: [&str; 4] = [
    "DELETE FROM list_anchor WHERE organization = $1",
    "INSERT INTO list_anchor (organization, created_at, id, files) \
     SELECT organization, created_at, id, 1024 FROM (SELECT organization, created_at, id, \
     row_number() OVER (ORDER BY created_at, id) AS place FROM file \
     WHERE organization = $1 AND state = 'ready') AS listed WHERE place % 1024 = 1 AND place > 1",
    "INSERT INTO list_anchor (organization, created_at, id, files) VALUES ($1, -1, '', 1024)",
    "UPDATE list_anchor SET files = (SELECT count(*) FROM file \
     WHERE file.organization = list_anchor.organization AND state = 'ready' \
     AND (file.created_at, file.id) >= (list_anchor.created_at, list_anchor.id)) \
     WHERE organization = $1 AND NOT EXISTS (SELECT 1 FROM list_anchor AS newer \
     WHERE newer.organization = $1 \
     AND (newer.created_at, newer.id) > (list_anchor.created_at, list_anchor.id))",
];

/// The begin of a page: a place in the list, and how many files after it are passed over.
struct Start {
    created_at: i64,
    id: String,
    passed_over: u64,
}

impl Start {
    /// Returns the begin of a page that is read from the newest file on.
    const fn newest(passed_over: u64) -> Self {
        Self {
            // No row is as new as this.
            created_at: i64::MAX,
            id: String::new(),
            passed_over,
        }
    }
}

pub(super) async fn numbered_page(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    offset: u64,
    limit: u32,
    now: UnixSeconds,
) -> Result<NumberedPage, Fault> {
    let listed = query(LISTED).bind(organization).bind(now);
    let listed = session.optional(listed, |row| {
        let ready = rows::number(row, "ready_files")?;
        Ok((ready, rows::number(row, "expired_files")?))
    });
    let (ready, expired) = listed.await?.unwrap_or_default();
    let total = ready.saturating_sub(expired);
    if offset >= total {
        let files = Vec::new();
        return Ok(NumberedPage { files, total });
    }
    let mut start = Start::newest(offset);
    if offset > PASSED_OVER_MAX {
        start = begin(session, organization, offset).await?;
        if expired > 0 && start.created_at < i64::MAX {
            // The anchors count those that are expired, too.
            start.passed_over += newer_expired(session, organization, &start, now).await?;
        }
    }
    let page = query(NUMBERED_PAGE)
        .bind(organization)
        .bind(limit)
        .bind(rows::stored(start.passed_over)?)
        .bind(start.created_at)
        .bind(Value::Text(Some(start.id.into())))
        .bind(now);
    let files = session.all(page, rows::file).await?;
    Ok(NumberedPage { files, total })
}

/// Returns the begin of the page behind so many ready files: beside an anchor, where there is one before it.
async fn begin(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    offset: u64,
) -> Result<Start, Fault> {
    let anchor = query(ANCHOR).bind(organization).bind(rows::stored(offset)?);
    let anchor = session.optional(anchor, |row| {
        let newer = rows::number(row, "newer_files")?;
        Ok(Start {
            created_at: rows::value(row, "created_at", Some::<i64>)?,
            id: rows::value(row, "id", |id: &str| Some(id.to_owned()))?,
            passed_over: offset.saturating_sub(newer),
        })
    });
    Ok(anchor.await?.unwrap_or(Start::newest(offset)))
}

async fn newer_expired(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    start: &Start,
    now: UnixSeconds,
) -> Result<u64, Fault> {
    let count = query(NEWER_EXPIRED)
        .bind(organization)
        .bind(now)
        .bind(start.created_at)
        .bind(start.id.as_str());
    let count = session.one(count, |row| rows::number(row, "expired_files"));
    count.await
}

/// Counts the anchors of an organization whose numbers are not those of its rows, each of which is counted for it.
pub(super) async fn wrong_anchors(
    session: &mut Session<'_>,
    organization: &OrganizationId,
) -> Result<u64, Fault> {
    let count = query(WRONG_ANCHORS).bind(organization);
    let count = session.one(count, |row| rows::number(row, "wrong_anchors"));
    count.await
}

/// Makes the anchors of an organization anew. It is locked.
pub(super) async fn make_anchors(
    session: &mut Session<'_>,
    organization: &OrganizationId,
) -> Result<(), Fault> {
    for statement in MAKE_ANCHORS {
        session.execute(query(statement).bind(organization)).await?;
    }
    Ok(())
}
