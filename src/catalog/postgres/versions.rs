//! The numbers that tell whether what a process keeps in memory may be old.

use sqlx::{PgConnection, query, query_as};

use super::ears::CHANNEL;
use super::fault::Fault;
use crate::catalog::Versions;

pub(super) async fn now(connection: &mut PgConnection) -> Result<Versions, Fault> {
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

/// Keeps other revocations out until the transaction ends. Whatever revokes or counts revocations does
/// this before it locks anything else.
pub(super) async fn lock_revocations(connection: &mut PgConnection) -> Result<(), Fault> {
    query("SELECT version FROM revocation_version FOR UPDATE")
        .execute(connection)
        .await?;
    Ok(())
}

/// Called by every change that moves [`Versions::revocations`], in the same transaction, which has called
/// [`lock_revocations`]. Whoever listens hears of it when it is committed.
pub(super) async fn raise_revocations(connection: &mut PgConnection) -> Result<(), Fault> {
    query(
        "WITH raised AS (UPDATE revocation_version SET version = version + 1) \
         SELECT pg_notify($1, '')",
    )
    .bind(CHANNEL)
    .execute(connection)
    .await?;
    Ok(())
}

/// As [`raise_revocations`], for [`Versions::rows`], and without a lock before: it is the last thing that
/// a transaction does, since all others that do it wait for the end of this one.
pub(super) async fn raise_rows(connection: &mut PgConnection) -> Result<(), Fault> {
    query(
        "WITH raised AS (UPDATE row_version SET version = version + 1) \
         SELECT pg_notify($1, '')",
    )
    .bind(CHANNEL)
    .execute(connection)
    .await?;
    Ok(())
}
