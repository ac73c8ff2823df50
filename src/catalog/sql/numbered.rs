//! Numbered pages of lists.

use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::rows;
use super::session::{Session, query};
use crate::catalog::NumberedPage;
use crate::model::id::OrganizationId;
use crate::model::time::UnixSeconds;

/// Reads a page by its number.
pub(in crate::catalog) const NUMBERED_PAGE: SqlText = text!(
    [files], "WHERE organization = $1 AND state = 'ready' AND ", [unexpired "$4"],
    " ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3"
);
/// Counts the files that lists have. The cast keeps SQLite from going through all files of the organization.
pub(in crate::catalog) const LISTED: &str = "SELECT ready_files - (SELECT count(*) FROM file \
     WHERE CAST(file.organization AS text) = organization.id AND state = 'ready' AND expires_at <= $2) \
     AS ready_files FROM organization WHERE id = $1";

pub(super) async fn numbered_page(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    offset: u64,
    limit: u32,
    now: UnixSeconds,
) -> Result<NumberedPage, Fault> {
    let listed = query(LISTED).bind(organization).bind(now);
    let total = session.optional(listed, |row| rows::number(row, "ready_files"));
    let total = total.await?.unwrap_or(0);
    if offset >= total {
        let files = Vec::new();
        return Ok(NumberedPage { files, total });
    }
    let page = query(NUMBERED_PAGE)
        .bind(organization)
        .bind(limit)
        .bind(rows::stored(offset)?)
        .bind(now);
    let files = session.all(page, rows::file).await?;
    Ok(NumberedPage { files, total })
}
