//! The catalogue in a PostgreSQL database, which any number of gateways on any number of machines share.
//!
//! 1. `open` makes the tables in an empty database, or checks those that are there; of several processes
//!    that do so at once, one does.
//! 2. Every change is one transaction (`calls`). It locks the rows that it counts in before it looks at
//!    them, always in one order: `revocation_version`, `organization`, the rows themselves, `row_version`.
//!    So of two changes to one organization the second waits for the first, and none waits in a circle.
//! 3. Every look is one statement, or one transaction that sees the rows of one moment.
//! 4. What the server did not do, because the connection broke or two were in each other's way, is tried
//!    again. Where the connection broke after `COMMIT` went out, or its answer does not come, the server is
//!    asked on another one what became of the change (`settling`): nothing is done twice, and nothing that was
//!    done is called undone.
//! 5. One connection of its own tells whether anything was revoked or taken away (`versions`), so that
//!    looks that wait for a connection never keep that waiting; another one listens (`ears`) and makes it be
//!    asked at once. Who does not hear it finds out by asking.
//!
//! The calls are in `port`, their statements in `tenancy`, `folders`, `files`, `keys` and `revocation`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection, PgPool, Postgres as Driver};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use self::ears::Ears;
use self::settling::Settling;
use super::{Answer, CatalogError, fault, rows};

pub use self::address::{ADDRESS_BYTES_MAX, Address};
pub use self::open::SetupLock;

mod address;
mod apps;
mod batch;
mod calls;
mod checkup;
mod counters;
mod ears;
mod files;
mod folders;
mod idempotency;
mod keys;
mod maintenance;
mod open;
mod port;
mod quota;
mod revocation;
mod settling;
mod tenancy;
#[cfg(test)]
mod tests;
mod transfer;
mod versions;

/// How long a call takes at most, whatever it waits for: a connection, another's lock, a server that
/// begins or hangs. Then it is [`CatalogError::Unavailable`]. Only what is being committed takes longer:
/// [`COMMIT_ANSWER_TIME_MAX`].
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a change waits beyond that, where its `COMMIT` is on its way: to hear what became of it. A disk
/// that is slow or a standby that is waited for holds a `COMMIT` up that is done in the end.
pub const COMMIT_ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a call whose turn it is waits for a connection that works, a new one if need be.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// How long the server waits for another transaction's lock (`lock_timeout`).
const LOCK_TIME_MAX: Duration = Duration::from_secs(6);

/// How long the server works on one statement (`statement_timeout`).
const STATEMENT_TIME_MAX: Duration = Duration::from_secs(8);

/// How long it keeps a transaction whose client is silent (`idle_in_transaction_session_timeout`): less
/// than others wait for what that one has locked.
const SILENCE_TIME_MAX: Duration = Duration::from_secs(4);

/// How long one question for the versions may take on a connection that has answered before.
const WATCH_TIME_MAX: Duration = Duration::from_millis(500);

/// A catalogue in a PostgreSQL database, version 13 or later. Needs a Tokio runtime with timers.
pub struct Postgres {
    pool: PgPool,
    /// As many as the pool has connections.
    turns: Arc<Semaphore>,
    options: PgConnectOptions,
    /// The connection that is asked for the versions.
    watcher: Mutex<Watcher>,
    ears: Ears,
    settling: Settling,
}

/// The connection that is asked for the versions: made when it is first needed, and again when it broke.
#[derive(Default)]
struct Watcher {
    connection: Option<PgConnection>,
    is_closed: bool,
}

/// Says nothing of where it is: the options know the password.
impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Postgres(..)")
    }
}

impl Postgres {
    /// Opens the catalogue at `address`; in an empty database, makes an empty one. At most
    /// `connections_max` connections work for its calls; two more watch.
    ///
    /// Brings an older schema up to date. Several processes may do this at the same moment. A newer schema
    /// is [`CatalogError::Corrupt`] and left as it is. `Unavailable` if the server cannot be reached, does not
    /// let us in, is too old, only reads, or keeps texts otherwise than in UTF-8.
    ///
    /// Dropping the future leaves the catalogue made or not made.
    pub async fn open(address: &Address, connections_max: u32) -> Result<Self, CatalogError> {
        open::open(address, open::Missing::Make, connections_max).await
    }

    /// As [`Postgres::open`], but an older schema stays as it is: [`CatalogError::Conflict`].
    pub async fn open_new(address: &Address, connections_max: u32) -> Result<Self, CatalogError> {
        open::open(address, open::Missing::MakeAndChangeNone, connections_max).await
    }

    /// As [`Postgres::open`], but in a database without our tables, nothing is made:
    /// [`CatalogError::NotFound`].
    pub async fn open_existing(
        address: &Address,
        connections_max: u32,
    ) -> Result<Self, CatalogError> {
        open::open(address, open::Missing::Refuse, connections_max).await
    }

    /// Waits for the calls that are under way, and closes all connections. Calls after this are
    /// `Unavailable`. Nothing is lost without it.
    pub async fn close(&self) {
        self.ears.close();
        let mut watcher = self.watcher.lock().await;
        watcher.is_closed = true;
        watcher.connection = None;
        drop(watcher);
        self.pool.close().await;
    }

    /// The versions, asked on the connection that does nothing else. Where it broke since the last time, a
    /// new one is asked.
    async fn watch(&self) -> Result<super::Versions, fault::Fault> {
        let mut watcher = self.watcher.lock().await;
        if watcher.is_closed {
            return Err(sqlx::Error::PoolClosed.into());
        }
        // Taken, so that one whose answer was not waited for is not asked again.
        if let Some(mut connection) = watcher.connection.take() {
            let asked = timeout(WATCH_TIME_MAX, versions::now(&mut connection));
            if let Ok(Ok(versions)) = asked.await {
                watcher.connection = Some(connection);
                return Ok(versions);
            }
        }
        let mut connection = self.options.connect().await?;
        open::prepare(&mut connection).await?;
        let versions = versions::now(&mut connection).await?;
        watcher.connection = Some(connection);
        Ok(versions)
    }
}
