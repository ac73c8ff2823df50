//! The catalogue in one SQLite file, which any number of processes on one machine may share.
//!
//! 1. `open` makes or checks the file and brings its schema up to date.
//! 2. Every change is one transaction on the one connection that writes. It takes SQLite's write lock
//!    at its start, so it either waits for the others there or has all the rest to itself.
//! 3. Every look is one statement, or one read transaction where several must agree, on one of a few
//!    connections that only read. The write-ahead log lets them go on beside a writer.
//! 4. One more connection does nothing but tell whether anything was revoked or taken away, so that no long look keeps
//!    that waiting.
//!
//! The calls are in `port`, their statements in `tenancy`, `folders`, `files`, `keys` and `revocation`,
//! the way from a row to a value in `rows`, and what SQLite's errors mean in `fault`.

use std::path::Path;
use std::time::Duration;

use sqlx::{Sqlite as Driver, SqliteConnection, SqlitePool, Transaction, pool::PoolConnection};
use tokio::sync::Mutex;
use tokio::time::timeout;

use self::fault::Fault;
use super::{Answer, CatalogError, fault, rows};

mod apps;
mod batch;
mod checkup;
mod counters;
mod files;
mod folders;
mod idempotency;
mod keys;
mod maintenance;
mod open;
mod port;
mod quota;
mod revocation;
mod tenancy;
#[cfg(test)]
mod tests;
mod transfer;
mod versions;

/// How long a call waits for a connection, and again for another process's write lock. Long enough for
/// a queue of commits on a slow disk, short enough for a client that waits.
pub const BUSY_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a call takes at most, whatever it waits for: both waits above, and a disk that hangs.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);

/// How many connections read.
pub const READERS_MAX: u32 = 4;

/// A catalogue in an SQLite file. Needs a Tokio runtime with timers.
///
/// Several `Sqlite`, of one process or of many, may have one file open.
#[derive(Debug)]
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    /// The connection that is asked for the version; `None` once closed.
    watcher: Mutex<Option<SqliteConnection>>,
}

impl Sqlite {
    /// Opens the catalogue at `path`; where nothing is, makes an empty one with mode 0600.
    ///
    /// Brings an older schema up to date. Several processes may do this at the same moment. A file that
    /// is there is never replaced: an empty, short or damaged one, another program's, and a newer
    /// schema are [`CatalogError::Corrupt`] and left as they are. `Unavailable` if the directory is
    /// missing, the path is not UTF-8, or the file cannot be opened or locked in time.
    ///
    /// Dropping the future leaves the catalogue made or not made.
    pub async fn open(path: &Path) -> Result<Self, CatalogError> {
        open::open(path, open::Missing::Make, BUSY_TIME_MAX).await
    }

    /// As [`Sqlite::open`], but an older schema stays as it is: [`CatalogError::Conflict`].
    pub async fn open_new(path: &Path) -> Result<Self, CatalogError> {
        open::open(path, open::Missing::MakeAndChangeNone, BUSY_TIME_MAX).await
    }

    /// As [`Sqlite::open`], but where nothing is, nothing is made: [`CatalogError::NotFound`].
    pub async fn open_existing(path: &Path) -> Result<Self, CatalogError> {
        open::open(path, open::Missing::Refuse, BUSY_TIME_MAX).await
    }

    /// Waits for the calls that are under way, and closes all connections. The last process to close
    /// writes the log back into the file. Calls after this are `Unavailable`.
    ///
    /// Nothing is lost without it, since every change is durable when it answers.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
        *self.watcher.lock().await = None;
    }

    /// Begins a change. Dropped without a commit, it is undone.
    async fn change(&self) -> Result<Transaction<'static, Driver>, Fault> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// A connection for a look of one statement.
    async fn look(&self) -> Result<PoolConnection<Driver>, Fault> {
        Ok(self.readers.acquire().await?)
    }

    /// Begins a look of several statements that see the rows of one moment.
    async fn moment(&self) -> Result<Transaction<'static, Driver>, Fault> {
        Ok(self.readers.begin().await?)
    }
}

/// Bounds the work and says, in an error, what was being done.
fn answer<'a, T: 'a>(
    doing: &'static str,
    work: impl Future<Output = Result<T, Fault>> + Send + 'a,
) -> Answer<'a, T> {
    Box::pin(async move {
        match timeout(ANSWER_TIME_MAX, work).await {
            Ok(outcome) => outcome.map_err(|fault| fault.while_doing(doing)),
            Err(late) => Err(CatalogError::Unavailable {
                doing,
                source: late.into(),
            }),
        }
    })
}
