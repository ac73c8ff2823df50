//! What organizations keep, and how much they may.

use sqlx::{SqliteConnection, query, query_as};

use super::fault::Fault;
use super::{Sqlite, answer, files, idempotency, rows, tenancy};
use crate::catalog::idempotency::Completion;
use crate::catalog::quota::{BYTES_KEPT, Kept, Quota, Quotas, Recount};
use crate::catalog::{Answer, CatalogError, DELETED_FILE, missing};
use crate::model::file::FileRecord;
use crate::model::id::{FileId, OrganizationId};

impl Quotas for Sqlite {
    fn add_files_within<'a>(
        &'a self,
        files: &'a [FileRecord],
        quota: Quota,
        key: Option<&'a Completion>,
    ) -> Answer<'a, ()> {
        answer("adding files within a quota", async move {
            let mut change = self.change().await?;
            files::add(&mut change, files, &quota).await?;
            if let Some(key) = key {
                idempotency::complete(&mut change, key).await?;
            }
            Ok(change.commit().await?)
        })
    }

    fn kept<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, Kept> {
        answer("looking how much is kept", async move {
            let mut look = self.look().await?;
            counted(&mut look, organization).await
        })
    }

    fn recount<'a>(&'a self, organization: &'a OrganizationId, mend: bool) -> Answer<'a, Recount> {
        answer("counting what is kept", async move {
            // Where nothing is changed, nobody who writes waits for it.
            let mut moment = if mend {
                self.change().await?
            } else {
                self.moment().await?
            };
            let recount = Recount {
                counted: counted(&mut moment, organization).await?,
                found: found(&mut moment, organization).await?,
            };
            if mend && recount.counted != recount.found {
                set_counters(&mut moment, organization, &recount.found).await?;
                moment.commit().await?;
            }
            Ok(recount)
        })
    }
}

/// Sees that the organization is there. The whole catalogue is locked already.
pub(super) async fn lock(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
) -> Result<(), Fault> {
    tenancy::know(connection, organization).await
}

async fn counted(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
) -> Result<Kept, Fault> {
    let row = query("SELECT ready_files, kept_files, kept_bytes FROM organization WHERE id = ?")
        .bind(organization.as_str())
        .fetch_optional(connection)
        .await?;
    let row = row.ok_or(missing("the organization"))?;
    rows::kept(&row)
}

async fn found(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
) -> Result<Kept, Fault> {
    let row = query(
        "SELECT count(*) FILTER (WHERE state = 'ready') AS ready_files, count(*) AS kept_files, \
         coalesce(sum(size), 0) AS kept_bytes FROM file WHERE organization = ? AND state <> 'swept'",
    )
    .bind(organization.as_str())
    .fetch_one(connection)
    .await?;
    rows::kept(&row)
}

async fn set_counters(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    kept: &Kept,
) -> Result<(), Fault> {
    query("UPDATE organization SET ready_files = ?, kept_files = ?, kept_bytes = ? WHERE id = ?")
        .bind(rows::stored(kept.ready)?)
        .bind(rows::stored(kept.files)?)
        .bind(rows::stored(kept.bytes)?)
        .bind(organization.as_str())
        .execute(connection)
        .await?;
    Ok(())
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
