//! How a call is made: on a connection of the pool, in a transaction where it needs one, again where that
//! says nothing, and never longer than [`ANSWER_TIME_MAX`].

use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Row as _, query_scalar, raw_sql};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::fault::Fault;
use super::{ANSWER_TIME_MAX, Answer, CatalogError, Driver, Postgres};

/// How often a call is tried. After a restart of the server every connection of the pool is found to be
/// dead, one after the other.
const TRIES_MAX: u32 = 20;

/// How long to wait before the next try, times how many there were.
const TRY_PAUSE: Duration = Duration::from_millis(10);

/// How long `COMMIT` may take, and then the questions what became of it.
const COMMIT_TIME_MAX: Duration = Duration::from_secs(2);
const SETTLE_TIME_MAX: Duration = Duration::from_secs(4);

/// How long to wait before asking again what became of a transaction.
const SETTLE_PAUSE: Duration = Duration::from_millis(20);

/// How long a connection that is given back may take to say that it is well.
const RETURN_TIME_MAX: Duration = Duration::from_secs(1);

/// The transaction says its number while it begins, and on which history of the server it is: after a
/// failover another transaction may have that number.
const BEGIN_CHANGE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
     SELECT pg_current_xact_id()::text AS transaction, \
     left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline";
const BEGIN_MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const STATUS: &str = "SELECT CASE WHEN left(pg_walfile_name(pg_current_wal_lsn()), 8) = $2 \
     THEN pg_xact_status($1::xid8) END";

/// Makes a call's future: `begin`s on a connection, does the work, ends; and again where that says nothing.
macro_rules! call {
    ($catalog:ident, $doing:literal, $begin:ident, |$connection:ident| $work:expr) => {
        $crate::catalog::postgres::calls::answer($doing, async move {
            let mut tries = $crate::catalog::postgres::calls::Tries::default();
            loop {
                let attempt = async {
                    let mut lease = $catalog.$begin().await?;
                    let $connection = lease.connection()?;
                    let outcome = $work.await;
                    $catalog.end(lease, outcome).await
                };
                match attempt.await {
                    Err(fault) if tries.another(&fault).await => {}
                    outcome => break outcome,
                }
            }
        })
    };
}
pub(super) use call;

/// How often a call was tried.
#[derive(Debug, Default)]
pub(super) struct Tries(u32);

/// A connection while a call has it. Dropped before it was given back, it is closed, and the server undoes
/// what it was in the midst of: nobody knows what was still to come on it.
pub(super) struct Lease {
    connection: Option<PoolConnection<Driver>>,
    kind: Kind,
}

enum Kind {
    Look,
    Moment,
    Change(Proof),
}

/// What tells a transaction from all others.
struct Proof {
    transaction: String,
    timeline: String,
}

/// A `COMMIT` on its way. Whoever stops waiting for it leaves it to be counted.
struct Committing {
    task: Option<JoinHandle<Result<(), Fault>>>,
    unsettled: Arc<watch::Sender<usize>>,
}

impl Tries {
    /// Whether to try again after this fault; waits a moment first.
    pub(super) async fn another(&mut self, fault: &Fault) -> bool {
        self.0 += 1;
        let again = self.0 < TRIES_MAX && fault.is_passing();
        if again {
            sleep(TRY_PAUSE * self.0).await;
        }
        again
    }
}

impl Lease {
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, Fault> {
        let connection = self.connection.as_deref_mut();
        connection.ok_or_else(|| sqlx::Error::WorkerCrashed.into())
    }

    /// Gives the connection back to the pool, which asks it first whether it is well.
    fn give_back(mut self) {
        if let Some(mut connection) = self.connection.take() {
            // The pool itself would wait for that without end, and have one connection fewer meanwhile.
            tokio::spawn(timeout(RETURN_TIME_MAX, connection.return_to_pool()));
        }
    }

    async fn roll_back(mut self) {
        let Ok(connection) = self.connection() else {
            return;
        };
        if raw_sql("ROLLBACK").execute(connection).await.is_ok() {
            self.give_back();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // Closing the socket is all that goes without waiting.
            drop(connection.detach());
        }
    }
}

impl Drop for Committing {
    fn drop(&mut self) {
        let (Some(task), Ok(runtime)) = (self.task.take(), Handle::try_current()) else {
            return;
        };
        self.unsettled.send_modify(|count| *count += 1);
        let unsettled = Arc::clone(&self.unsettled);
        runtime.spawn(async move {
            let _ = task.await;
            unsettled.send_modify(|count| *count -= 1);
        });
    }
}

impl Postgres {
    /// A connection for a look of one statement.
    pub(super) async fn look(&self) -> Result<Lease, Fault> {
        self.lease(Kind::Look).await
    }

    /// Begins a look of several statements that see the rows of one moment.
    pub(super) async fn moment(&self) -> Result<Lease, Fault> {
        let mut lease = self.lease(Kind::Moment).await?;
        raw_sql(BEGIN_MOMENT).execute(lease.connection()?).await?;
        Ok(lease)
    }

    /// Begins a change. Each of its statements sees what was committed before it began.
    pub(super) async fn change(&self) -> Result<Lease, Fault> {
        let mut lease = self.lease(Kind::Look).await?;
        let row = raw_sql(BEGIN_CHANGE).fetch_one(lease.connection()?).await?;
        lease.kind = Kind::Change(Proof {
            transaction: row.try_get("transaction")?,
            timeline: row.try_get("timeline")?,
        });
        Ok(lease)
    }

    /// Ends what was begun: a change that went well is committed.
    pub(super) async fn end<T>(
        &self,
        mut lease: Lease,
        outcome: Result<T, Fault>,
    ) -> Result<T, Fault> {
        let is_well = match &outcome {
            Ok(_) => true,
            Err(fault) => fault.leaves_the_connection(),
        };
        match (&outcome, std::mem::replace(&mut lease.kind, Kind::Look)) {
            (Ok(_), Kind::Change(proof)) => self.commit(lease, proof).await?,
            (_, Kind::Look) if is_well => lease.give_back(),
            (_, Kind::Moment | Kind::Change(_)) if is_well => lease.roll_back().await,
            _ => {}
        }
        outcome
    }

    async fn lease(&self, kind: Kind) -> Result<Lease, Fault> {
        let connection = Some(self.pool.acquire().await?);
        Ok(Lease { connection, kind })
    }

    async fn commit(&self, lease: Lease, proof: Proof) -> Result<(), Fault> {
        let pool = self.pool.clone();
        // A task of its own, so that it is carried through whoever waits for it.
        let mut committing = Committing {
            task: Some(tokio::spawn(commit(pool, lease, proof))),
            unsettled: Arc::clone(&self.unsettled),
        };
        if let Some(task) = &mut committing.task {
            let outcome = task.await;
            committing.task = None;
            outcome.map_err(|_| sqlx::Error::WorkerCrashed)??;
        }
        // A change that nobody waited for is not done after the next one that was answered for.
        let mut unsettled = self.unsettled.subscribe();
        let _ = unsettled.wait_for(|count| *count == 0).await;
        Ok(())
    }
}

async fn commit(pool: PgPool, mut lease: Lease, proof: Proof) -> Result<(), Fault> {
    let committed = raw_sql("COMMIT").execute(lease.connection()?);
    let fault = match timeout(COMMIT_TIME_MAX, committed).await {
        Ok(Ok(_)) => {
            lease.give_back();
            return Ok(());
        }
        Ok(Err(error)) => Fault::from(error),
        Err(_) => Fault::from(std::io::Error::from(std::io::ErrorKind::TimedOut)),
    };
    if fault.leaves_the_connection() {
        // The server heard it and said no: nothing was done.
        return Err(fault);
    }
    drop(lease);
    settle(&pool, &proof, fault).await
}

/// Finds out what became of a transaction whose `COMMIT` was not answered. Where that cannot be known in
/// time, it may be either, and `lost` comes back as what cannot be tried again.
async fn settle(pool: &PgPool, proof: &Proof, lost: Fault) -> Result<(), Fault> {
    let end = Instant::now() + SETTLE_TIME_MAX;
    loop {
        let asked = timeout_at(end, status(pool, proof)).await;
        match asked.as_ref().map(|status| status.as_deref()) {
            Ok(Some("committed")) => return Ok(()),
            // Nothing was done, so it may be tried again.
            Ok(Some("aborted")) => return Err(lost),
            Ok(_) if Instant::now() < end => sleep(SETTLE_PAUSE).await,
            _ => return Err(Fault::Known(unknown(lost))),
        }
    }
}

fn unknown(lost: Fault) -> CatalogError {
    match lost.while_doing("committing") {
        CatalogError::Unavailable { doing, source } => CatalogError::Unavailable { doing, source },
        other => CatalogError::Unavailable {
            doing: "committing",
            source: other.into(),
        },
    }
}

async fn status(pool: &PgPool, proof: &Proof) -> Option<String> {
    let connection = Some(pool.acquire().await.ok()?);
    let kind = Kind::Look;
    let mut lease = Lease { connection, kind };
    let asked = query_scalar(STATUS)
        .bind(&proof.transaction)
        .bind(&proof.timeline)
        .fetch_one(lease.connection().ok()?);
    let status = asked.await.ok()?;
    lease.give_back();
    status
}

/// Bounds the work and says, in an error, what was being done.
pub(super) fn answer<'a, T: 'a>(
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
