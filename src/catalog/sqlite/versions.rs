//! The numbers that tell whether what a process keeps in memory may be old.

use sqlx::{SqliteConnection, query, query_as};

use super::fault::Fault;
use crate::catalog::Versions;

pub(super) async fn now(connection: &mut SqliteConnection) -> Result<Versions, Fault> {
    let (revocations, rows): (i64, i64) = query_as(
        "SELECT revocation_version.version, row_version.version FROM revocation_version, row_version",
    )
    .fetch_one(connection)
    .await?;
    Ok(Versions {
        revocations: revocations.cast_unsigned(),
        rows: rows.cast_unsigned(),
    })
}

/// Called by every change that moves [`Versions::revocations`], in the same transaction.
pub(super) async fn raise_revocations(connection: &mut SqliteConnection) -> Result<(), Fault> {
    query("UPDATE revocation_version SET version = version + 1")
        .execute(connection)
        .await?;
    Ok(())
}

/// As [`raise_revocations`], for [`Versions::rows`].
pub(super) async fn raise_rows(connection: &mut SqliteConnection) -> Result<(), Fault> {
    query("UPDATE row_version SET version = version + 1")
        .execute(connection)
        .await?;
    Ok(())
}
