//! What organizations keep, and how much they may.

use sqlx::{SqliteConnection, query, query_as};

use super::fault::Fault;
use super::{Sqlite, answer, files, rows};
use crate::catalog::quota::{BYTES_KEPT, Quota, Quotas};
use crate::catalog::{Answer, CatalogError, DELETED_FILE, missing};
use crate::model::file::FileRecord;
use crate::model::id::{FileId, OrganizationId};

impl Quotas for Sqlite {
    fn add_files_within<'a>(&'a self, files: &'a [FileRecord], quota: Quota) -> Answer<'a, ()> {
        answer("adding files within a quota", async move {
            let mut change = self.change().await?;
            files::add(&mut change, files, &quota).await?;
            Ok(change.commit().await?)
        })
    }
}

/// Counts files of one organization that were added, ready as they are, and holds all that it has to the
/// quota.
pub(super) async fn count_added(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    added: &[FileRecord],
    quota: &Quota,
) -> Result<(), Fault> {
    let bytes = added
        .iter()
        .try_fold(0_u64, |sum, file| sum.checked_add(file.size));
    let files = rows::stored(added.len() as u64)?;
    // No row is found where the sum would be no number that SQLite can keep.
    let counted: Option<(i64, i64)> = query_as(
        "UPDATE organization SET ready_files = ready_files + ?1, kept_files = kept_files + ?1, \
         kept_bytes = kept_bytes + ?2 WHERE id = ?3 AND kept_bytes <= 9223372036854775807 - ?2 \
         RETURNING kept_files, kept_bytes",
    )
    .bind(files)
    .bind(rows::stored(bytes.unwrap_or(u64::MAX))?)
    .bind(organization.as_str())
    .fetch_optional(connection)
    .await?;
    let (files, bytes) = counted.ok_or(CatalogError::Limit {
        what: BYTES_KEPT,
        limit: i64::MAX.cast_unsigned(),
    })?;
    Ok(quota.allow(files.cast_unsigned(), bytes.cast_unsigned())?)
}

/// Marks a deleted file swept, and no longer counts it.
pub(super) async fn mark_swept(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    id: &FileId,
) -> Result<(), Fault> {
    let swept: Option<(i64,)> = query_as(
        "UPDATE file SET state = 'swept' WHERE organization = ? AND id = ? AND state = 'deleted' \
         RETURNING size",
    )
    .bind(organization.as_str())
    .bind(id.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let (size,) = swept.ok_or(missing(DELETED_FILE))?;
    query(
        "UPDATE organization SET kept_files = kept_files - 1, kept_bytes = kept_bytes - ? WHERE id = ?",
    )
    .bind(size)
    .bind(organization.as_str())
    .execute(connection)
    .await?;
    Ok(())
}
