//! The catalogue in a PostgreSQL database, which any number of gateways on any number of machines share.
//!
//! 1. `open` makes the tables in an empty database, or checks those that are there; of several processes
//!    that do so at once, one does.
//! 2. A read is one statement, or one transaction that sees the rows of one moment; a write is one transaction.
//!    The statements are those of `sql`, on a connection that `lease` hands out and `connections` keeps for the next call.
//! 3. What the server did not do, because the connection broke or two were in each other's way, is tried
//!    again. Where the connection broke after `COMMIT` went out, or its answer does not come, the commit marker
//!    tells on another connection what became of the write (`commit`): nothing is done twice, and nothing that
//!    was done is called undone.
//! 4. One connection of its own reads the change feed, so that reads that wait for a connection never keep that
//!    waiting; another one subscribes to notifications (`notify`) and makes the feed be read at once. A
//!    process that misses one finds out by reading.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection, Postgres as Driver, query};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use self::commit::Commits;
use self::connections::Connections;
use self::lease::{CommitState, answer, tries_again};
use self::notify::Subscriber;
use super::announcements::Announcements;
use super::changes::{FeedPage, FeedPosition};
use super::sql::fault::Fault;
use super::sql::rows::Row;
use super::sql::session::{Connection, Session, SessionKind};
use super::sql::{Database, Working, changes};
use super::{Answer, CatalogError, Missing};

pub use self::address::{ADDRESS_BYTES_MAX, Address};
pub use self::open::SetupLock;

mod address;
mod commit;
mod connections;
mod lease;
mod notify;
mod open;
#[cfg(test)]
mod tests;

/// The longest that a call takes, whatever it waits for: a connection, another's lock, a server that
/// begins or hangs. Then it is [`CatalogError::Unavailable`]. Only what is being committed takes longer:
/// [`COMMIT_ANSWER_TIME_MAX`].
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// The longest that a write waits beyond that, where its `COMMIT` is on its way: for its outcome. A disk
/// that is slow or a standby that is waited for holds a `COMMIT` up that is done in the end.
pub const COMMIT_ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// The longest that a call with a permit waits for a connection that works, a new one if need be.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// The longest that the server waits for another transaction's lock (`lock_timeout`).
const LOCK_TIME_MAX: Duration = Duration::from_secs(6);

/// The longest that the server works on one statement (`statement_timeout`).
const STATEMENT_TIME_MAX: Duration = Duration::from_secs(8);

/// The longest that it keeps a transaction whose client is silent (`idle_in_transaction_session_timeout`): less
/// than others wait for what that one has locked.
const SILENCE_TIME_MAX: Duration = Duration::from_secs(4);

/// The longest that one read of the change feed may take on a connection that has answered before.
const WATCH_TIME_MAX: Duration = Duration::from_millis(500);

/// A catalogue in a PostgreSQL database, version 13 or later. Needs a Tokio runtime with timers.
pub struct Postgres {
    connections: Connections,
    /// The permits of calls: as many as there are connections.
    permits: Arc<Semaphore>,
    options: PgConnectOptions,
    /// The connection that reads the change feed.
    watcher: Mutex<Watcher>,
    /// The number of the last entry of the change feed that a call of this process added; 0 of none.
    appended: AtomicU64,
    subscriber: Subscriber,
    commits: Commits,
}

/// The connection that reads the change feed: made when it is first needed, and again when it broke.
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
    /// Brings an older schema up to date. Several processes may do this at the same moment. Dropping the future
    /// leaves the catalogue made or not made.
    ///
    /// # Errors
    ///
    /// A newer schema is [`CatalogError::Corrupt`] and left as it is. `Unavailable` if the server cannot be
    /// reached, does not let us in, is too old, only reads, or keeps texts otherwise than in UTF-8.
    pub async fn open(address: &Address, connections_max: u32) -> Result<Self, CatalogError> {
        Self::open_with(address, connections_max, Missing::Make).await
    }

    /// Opens a catalogue as [`Postgres::open`] does, with another policy on one that is missing or of an older schema.
    ///
    /// # Errors
    ///
    /// Those of [`Postgres::open`] and of the policy.
    pub async fn open_with(
        address: &Address,
        connections_max: u32,
        missing: Missing,
    ) -> Result<Self, CatalogError> {
        open::open(address, missing, connections_max).await
    }

    /// Waits for the calls that are under way, and closes all connections. Calls after this are
    /// `Unavailable`. Nothing is lost without it.
    pub async fn close(&self) {
        self.subscriber.close();
        let mut watcher = self.watcher.lock().await;
        watcher.is_closed = true;
        watcher.connection = None;
        drop(watcher);
        self.connections.close().await;
    }

    /// Reads the change feed on the connection that does nothing else. Where it broke since the last time, a new
    /// one is made.
    async fn watch(&self, after: FeedPosition) -> Result<Option<FeedPage>, Fault> {
        let appended = self.appended.load(Ordering::SeqCst);
        let page = self.read_feed(after).await?;
        let has_own = |page: &FeedPage| page.has_more || page.position.version >= appended;
        let page = page.filter(has_own);
        if page.is_none() {
            // The feed went back, or this connection is to another server than those that write, as where one that
            // was replaced goes on. All is read anew from where this process writes.
            self.appended.store(0, Ordering::SeqCst);
            self.watcher.lock().await.connection = None;
        }
        Ok(page)
    }

    async fn read_feed(&self, after: FeedPosition) -> Result<Option<FeedPage>, Fault> {
        let mut watcher = self.watcher.lock().await;
        if watcher.is_closed {
            return Err(sqlx::Error::PoolClosed.into());
        }
        // Taken, so that one whose answer was not waited for is not asked again.
        if let Some(mut connection) = watcher.connection.take() {
            let read = timeout(WATCH_TIME_MAX, read_changes(&mut connection, after));
            if let Ok(Ok(page)) = read.await {
                watcher.connection = Some(connection);
                return Ok(page);
            }
        }
        let mut connection = self.options.connect().await?;
        open::prepare(&mut connection).await?;
        let page = read_changes(&mut connection, after).await?;
        watcher.connection = Some(connection);
        Ok(page)
    }
}

async fn read_changes(
    connection: &mut PgConnection,
    after: FeedPosition,
) -> Result<Option<FeedPage>, Fault> {
    let (from, limit) = changes::read_from(after);
    let read = query(changes::READ).bind(from).bind(limit);
    let found = read.fetch_all(connection).await?;
    changes::page(found.iter().map(Row::Postgres), after)
}

impl Database for Postgres {
    const IS_A_SERVER: bool = true;

    fn run<'a, T: Send + 'a>(
        &'a self,
        access: SessionKind,
        doing: &'static str,
        work: impl for<'s> Fn(&'s mut Session<'a>) -> Working<'s, T> + Send + Sync + 'a,
    ) -> Answer<'a, T> {
        let commit = CommitState::default();
        answer(doing, commit.clone(), async move {
            let mut tries = 0;
            loop {
                tries += 1;
                let attempt = async {
                    let mut lease = self.begin(access).await?;
                    let connection = std::mem::take(&mut lease.of.connection);
                    let mut session = Session::new(Connection::Postgres(connection));
                    let outcome = work(&mut session).await;
                    let appended = session.appended;
                    if let Connection::Postgres(connection) = session.into_connection() {
                        lease.of.connection = connection;
                    }
                    let outcome = self.end(lease, outcome, &commit).await;
                    if let (Ok(_), Some(appended)) = (&outcome, appended) {
                        self.appended.store(appended, Ordering::SeqCst);
                    }
                    outcome
                };
                match attempt.await {
                    Err(fault) if tries_again(tries, &fault).await => {}
                    outcome => break outcome,
                }
            }
        })
    }

    fn reading_connections(&self) -> usize {
        self.connections.max() as usize
    }

    fn read_changes(&self, after: FeedPosition) -> Answer<'_, Option<FeedPage>> {
        answer(
            "looking for changes",
            CommitState::default(),
            self.watch(after),
        )
    }

    fn heard(&self) -> Answer<'_, ()> {
        Box::pin(async {
            self.subscriber.notified().await;
            Ok(())
        })
    }

    fn channel(&self) -> &dyn Announcements {
        self
    }
}
