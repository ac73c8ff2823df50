//! What organizations keep, and how much they may.

use sqlx::{PgConnection, query, query_as};

use super::calls::call;
use super::fault::Fault;
use super::{Postgres, files, idempotency, rows, tenancy};
use crate::catalog::idempotency::Completion;
use crate::catalog::quota::{BYTES_KEPT, Kept, Quota, Quotas, Recount};
use crate::catalog::{Answer, CatalogError, DELETED_FILE, missing};
use crate::model::file::FileRecord;
use crate::model::id::{FileId, OrganizationId};

impl Quotas for Postgres {
    fn add_files_within<'a>(
        &'a self,
        files: &'a [FileRecord],
        quota: Quota,
        key: Option<&'a Completion>,
    ) -> Answer<'a, ()> {
        call!(
            self,
            "adding files within a quota",
            change,
            |connection| async {
                files::add(connection, files, &quota).await?;
                match key {
                    Some(key) => idempotency::complete(connection, key).await,
                    None => Ok(()),
                }
            }
        )
    }

    fn kept<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, Kept> {
        call!(self, "looking how much is kept", look, |connection| {
            counted(connection, organization)
        })
    }

    fn recount<'a>(&'a self, organization: &'a OrganizationId, mend: bool) -> Answer<'a, Recount> {
        if mend {
            call!(self, "mending what is counted", change, |connection| {
                mended(connection, organization)
            })
        } else {
            call!(self, "counting what is kept", moment, |connection| {
                recounted(connection, organization)
            })
        }
    }
}

/// Compares, and sets the counters. Whoever adds or takes away locks the organization first, as this does.
async fn mended(
    connection: &mut PgConnection,
    organization: &OrganizationId,
) -> Result<Recount, Fault> {
    lock(connection, organization).await?;
    let recount = recounted(connection, organization).await?;
    if recount.counted != recount.found {
        query(
            "UPDATE organization SET ready_files = $1, kept_files = $2, kept_bytes = $3 WHERE id = $4",
        )
        .bind(rows::stored(recount.found.ready)?)
        .bind(rows::stored(recount.found.files)?)
        .bind(rows::stored(recount.found.bytes)?)
        .bind(organization.as_str())
        .execute(connection)
        .await?;
    }
    Ok(recount)
}

async fn recounted(
    connection: &mut PgConnection,
    organization: &OrganizationId,
) -> Result<Recount, Fault> {
    let counted = counted(connection, organization).await?;
    let row = query(
        "SELECT count(*) FILTER (WHERE state = 'ready') AS ready_files, count(*) AS kept_files, \
         coalesce(sum(size), 0)::bigint AS kept_bytes FROM file \
         WHERE organization = $1 AND state <> 'swept'",
    )
    .bind(organization.as_str())
    .fetch_one(connection)
    .await?;
    let found = rows::kept(&row)?;
    Ok(Recount { counted, found })
}

async fn counted(
    connection: &mut PgConnection,
    organization: &OrganizationId,
) -> Result<Kept, Fault> {
    let row = query("SELECT ready_files, kept_files, kept_bytes FROM organization WHERE id = $1")
        .bind(organization.as_str())
        .fetch_optional(connection)
        .await?;
    let row = row.ok_or(missing("the organization"))?;
    rows::kept(&row)
}

/// Keeps others from counting in an organization until the transaction ends.
pub(super) async fn lock(
    connection: &mut PgConnection,
    organization: &OrganizationId,
) -> Result<(), Fault> {
    let locked = query("SELECT id FROM organization WHERE id = $1 FOR NO KEY UPDATE")
        .bind(organization.as_str())
        .fetch_optional(connection)
        .await?;
    locked.map(drop).ok_or(missing("the organization").into())
}

/// Counts files of one organization that are being added, ready as they are, holds all that it has then to
/// the quota, and locks it. `NotFound` where there is no such organization.
pub(super) async fn count_added(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    added: &[&FileRecord],
    quota: &Quota,
) -> Result<(), Fault> {
    let bytes = added
        .iter()
        .try_fold(0_u64, |sum, file| sum.checked_add(file.size));
    // No row is found where the sum would be no number that fits.
    let counted: Option<(i64, i64)> = query_as(
        "UPDATE organization SET ready_files = ready_files + $1, kept_files = kept_files + $1, \
         kept_bytes = kept_bytes + $2 WHERE id = $3 AND kept_bytes <= 9223372036854775807 - $2 \
         RETURNING kept_files, kept_bytes",
    )
    .bind(rows::stored(added.len() as u64)?)
    .bind(rows::stored(bytes.unwrap_or(u64::MAX))?)
    .bind(organization.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let Some((files, bytes)) = counted else {
        tenancy::know(connection, organization).await?;
        let (what, limit) = (BYTES_KEPT, i64::MAX.cast_unsigned());
        return Err(CatalogError::Limit { what, limit }.into());
    };
    Ok(quota.allow(files.cast_unsigned(), bytes.cast_unsigned())?)
}

/// Marks a deleted file swept, and no longer counts it. The organization is locked first, as everywhere.
pub(super) async fn mark_swept(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    id: &FileId,
) -> Result<(), Fault> {
    lock(connection, organization).await?;
    let swept: Option<(i64,)> = query_as(
        "UPDATE file SET state = 'swept' WHERE organization = $1 AND id = $2 AND state = 'deleted' \
         RETURNING size",
    )
    .bind(organization.as_str())
    .bind(id.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let (size,) = swept.ok_or(missing(DELETED_FILE))?;
    query(
        "UPDATE organization SET kept_files = kept_files - 1, kept_bytes = kept_bytes - $1 WHERE id = $2",
    )
    .bind(size)
    .bind(organization.as_str())
    .execute(connection)
    .await?;
    Ok(())
}
