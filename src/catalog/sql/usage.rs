//! The counters of what organizations keep, and the lock under which they are changed.

use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::session::{Session, query};
use super::{rows, tenancy};
use crate::catalog::quota::{BYTES_KEPT, Quota};
use crate::catalog::{CatalogError, missing};
use crate::model::file::FileRecord;
use crate::model::id::OrganizationId;

const LOCK: SqlText = text!("SELECT id FROM organization WHERE id = $1", [lock "NO KEY UPDATE"]);

/// Finds no row where the sum would be no number that fits.
const COUNT_ADDED: &str = "UPDATE organization SET ready_files = ready_files + $1, \
     kept_files = kept_files + $1, kept_bytes = kept_bytes + $2 \
     WHERE id = $3 AND kept_bytes <= 9223372036854775807 - $2 \
     RETURNING ready_files, kept_files, kept_bytes";

/// Keeps others from counting in an organization until the transaction ends.
pub(super) async fn lock(
    session: &mut Session<'_>,
    organization: &OrganizationId,
) -> Result<(), Fault> {
    if session.is_any(query(LOCK).bind(organization)).await? {
        return Ok(());
    }
    Err(missing("the organization").into())
}

/// Counts files of one organization that are being added, ready as they are, holds all that it has then to
/// the quota, and locks it. `NotFound` where there is no such organization.
pub(super) async fn count_added(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    added: &[&FileRecord],
    quota: Quota,
) -> Result<(), Fault> {
    let bytes = added
        .iter()
        .try_fold(0_u64, |sum, file| sum.checked_add(file.size));
    let count = query(COUNT_ADDED)
        .bind(rows::stored(added.len() as u64)?)
        .bind(rows::stored(bytes.unwrap_or(u64::MAX))?)
        .bind(organization);
    let Some(kept) = session.optional(count, rows::usage).await? else {
        tenancy::expect(session, organization).await?;
        let (what, limit) = (BYTES_KEPT, i64::MAX.cast_unsigned());
        return Err(CatalogError::Limit { what, limit }.into());
    };
    Ok(quota.allow(kept.files, kept.bytes)?)
}
