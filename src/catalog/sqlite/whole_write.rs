//! The writes that run as a whole on one thread that may wait, by a connection of their own.
//!
//! The driver runs each statement on a thread of its own, and a write of five statements waits five times for that thread and
//! for its own to be woken: longer than for the disk. Those who write by either connection take turns,
//! so that none comes upon the lock of another one: SQLite would have it sleep, and look again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use rusqlite::{Connection as RusqliteConnection, OpenFlags};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::LOG_BYTES_KEPT;
use crate::catalog::sql::Working;
use crate::catalog::sql::fault::Fault;
use crate::catalog::sql::session::{Connection, Session};

/// The memory for pages of the connection, in KiB: as many as a batch of counts changes, so that none has to make room for
/// another one before it is committed.
const PAGES_KIB: i64 = 8 * 1024;

/// The turns of those who write in this process, in the order in which they came.
#[derive(Debug)]
pub(super) struct WriteTurns {
    one: Arc<Semaphore>,
    wait_max: Duration,
}

impl WriteTurns {
    pub(super) fn new(wait_max: Duration) -> Self {
        Self {
            one: Arc::new(Semaphore::new(1)),
            wait_max,
        }
    }

    /// Waits until nobody else of this process writes, or for too long.
    pub(super) async fn take(&self) -> Result<OwnedSemaphorePermit, sqlx::Error> {
        let turn = timeout(self.wait_max, Arc::clone(&self.one).acquire_owned()).await;
        let turn = turn.map_err(|_| sqlx::Error::PoolTimedOut)?;
        turn.map_err(|_| sqlx::Error::PoolClosed)
    }

    /// Nobody gets a turn from now on.
    pub(super) fn close(&self) {
        self.one.close();
    }
}

/// The connection of such writes.
#[derive(Debug)]
pub(super) struct WholeWriter {
    path: PathBuf,
    busy: Duration,
    /// True if it waits for no disk.
    is_temporary: bool,
    place: Mutex<Place>,
}

#[derive(Debug)]
enum Place {
    /// It is opened by the next write.
    Empty,
    Open(RusqliteConnection),
    Closed,
}

impl WholeWriter {
    /// Returns one of the catalogue at `path`, which the first write opens. `busy` bounds the wait for another process's
    /// write lock.
    pub(super) fn new(path: &Path, busy: Duration, is_temporary: bool) -> Self {
        Self {
            path: path.to_owned(),
            busy,
            is_temporary,
            place: Mutex::new(Place::Empty),
        }
    }

    /// Runs one write on this thread, and commits it where it went well. Waits for the disk, and for other processes.
    pub(super) fn run<G, T>(
        &self,
        given: &G,
        work: for<'s> fn(&'s mut Session<'_>, &'s G) -> Working<'s, T>,
    ) -> Result<T, Fault> {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        // A connection on which something panics is closed, which undoes what it did.
        let connection = match std::mem::replace(&mut *place, Place::Empty) {
            Place::Open(connection) => connection,
            Place::Empty => self.open()?,
            Place::Closed => {
                *place = Place::Closed;
                return Err(sqlx::Error::PoolClosed.into());
            }
        };
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute(())?;
        let mut session = Session::new(Connection::Rusqlite(connection));
        let done = work(&mut session, given).now_or_never();
        #[expect(clippy::expect_used, reason = "no statement on this connection waits")]
        let done = done.expect("a write without the driver waits for no task");
        let Connection::Rusqlite(connection) = session.into_connection() else {
            unreachable!("a session keeps its connection")
        };
        let done = done.and_then(|done| {
            connection.prepare_cached("COMMIT")?.execute(())?;
            Ok(done)
        });
        // SQLite has undone it already where the disk is full, for one. A connection that cannot undo it is closed, and the
        // first error is the one that is said.
        if connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok() {
            *place = Place::Open(connection);
        }
        done
    }

    fn open(&self) -> Result<RusqliteConnection, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = RusqliteConnection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(self.busy)?;
        let synchronous = if self.is_temporary { "OFF" } else { "FULL" };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
        connection.pragma_update(None, "cache_size", -PAGES_KIB)?;
        // The statement journal stays in memory: SQLite would write a file of it beside the log.
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        Ok(connection)
    }

    /// Returns the value of a setting of its connection.
    #[cfg(test)]
    pub(super) fn setting(&self, pragma: &str) -> String {
        let connection = self.open().unwrap();
        let value = connection.pragma_query_value(None, pragma, |row| {
            let value: rusqlite::types::Value = row.get(0)?;
            Ok(match value {
                rusqlite::types::Value::Integer(number) => number.to_string(),
                other => format!("{other:?}"),
            })
        });
        value.unwrap()
    }

    /// Closes the connection for good, once nobody writes on it. Waits for the disk.
    pub(super) fn close(&self) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Place::Closed;
    }
}
