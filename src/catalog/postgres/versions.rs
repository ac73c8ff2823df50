//! The numbers that tell whether what a process keeps in memory may be old.
//!
//! Each change draws a new one, instead of counting on. A server that took over from another one without its
//! last changes, or was put back to an earlier moment, would else count a second time to a number that some
//! gateway knows already, and what was revoked meanwhile would not be seen there.

use sqlx::{AssertSqlSafe, PgConnection, query, query_as};

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

/// The first half of a random UUID: 60 random bits.
const DRAWN: &str = "('x' || replace(gen_random_uuid()::text, '-', ''))::bit(64)::bigint";

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
    draw(connection, "revocation_version").await
}

/// As [`raise_revocations`], for [`Versions::rows`], and without a lock before: it is the last thing that
/// a transaction does, since all others that do it wait for the end of this one.
pub(super) async fn raise_rows(connection: &mut PgConnection) -> Result<(), Fault> {
    draw(connection, "row_version").await
}

async fn draw(connection: &mut PgConnection, table: &'static str) -> Result<(), Fault> {
    let draw =
        format!("WITH drawn AS (UPDATE {table} SET version = {DRAWN}) SELECT pg_notify($1, '')");
    query(AssertSqlSafe(draw))
        .bind(CHANNEL)
        .execute(connection)
        .await?;
    Ok(())
}
