//! The version stamps that tell whether what a process keeps in memory may be old.
//!
//! SQLite's count on. PostgreSQL draws a new one for each change: a server that took over from another one
//! without its last changes, or was put back to an earlier moment, would else count a second time to a number
//! that some gateway knows already, and what was revoked meanwhile would not be seen there. It notifies those
//! who listen, too, once the change is committed.

use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::session::{Session, query};
use crate::catalog::Versions;

/// Reads both versions, of one moment.
pub(in crate::catalog) const READ: &str = "SELECT revocation_version.version, row_version.version \
     FROM revocation_version, row_version";

const LOCK_REVOCATIONS: SqlText = text!(
    "SELECT version FROM revocation_version",
    [lock "UPDATE"]
);

/// Raises the version of a table. PostgreSQL draws the first half of a random UUID: 60 random bits.
macro_rules! raise {
    ($table:literal) => {
        SqlText {
            sqlite: concat!("UPDATE ", $table, " SET version = version + 1"),
            postgres: concat!(
                "WITH drawn AS (UPDATE ",
                $table,
                " SET version = ('x' || replace(gen_random_uuid()::text, '-', ''))::bit(64)::bigint) \
                 SELECT pg_notify('hallpass', '')"
            ),
        }
    };
}

/// Returns what was read of [`READ`].
pub(in crate::catalog) const fn versions((revocations, rows): (i64, i64)) -> Versions {
    Versions {
        revocations: revocations.cast_unsigned(),
        rows: rows.cast_unsigned(),
    }
}

/// Keeps other revocations out until the transaction ends. A write that revokes or counts revocations does this
/// before it locks anything else.
pub(super) async fn lock_revocations(session: &mut Session<'_>) -> Result<(), Fault> {
    session.is_any(query(LOCK_REVOCATIONS)).await.map(drop)
}

/// Raises [`Versions::revocations`], in the transaction of each write that moves it, which has called
/// [`lock_revocations`].
pub(super) async fn raise_revocations(session: &mut Session<'_>) -> Result<(), Fault> {
    let raise = query(raise!("revocation_version"));
    session.execute(raise).await.map(drop)
}

/// Raises [`Versions::rows`], without a lock before: it is the last thing that a transaction does, since all
/// others that do it wait for the end of this one.
pub(super) async fn raise_rows(session: &mut Session<'_>) -> Result<(), Fault> {
    session
        .execute(query(raise!("row_version")))
        .await
        .map(drop)
}
