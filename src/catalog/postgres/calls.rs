//! How a call is made: on a connection of the pool, in a transaction where it needs one, again where that
//! says nothing, and never longer than [`ANSWER_TIME_MAX`], unless its `COMMIT` is on its way by then.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, raw_sql};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};

use super::fault::Fault;
use super::settling::Mark;
use super::{ANSWER_TIME_MAX, Answer, COMMIT_ANSWER_TIME_MAX, CatalogError, Driver, Postgres};

/// How often a call is tried. After a restart of the server every connection of the pool is found to be
/// dead, one after the other.
const TRIES_MAX: u32 = 20;

/// How long to wait before the next try, times how many there were.
const TRY_PAUSE: Duration = Duration::from_millis(10);

/// How long a call waits for its turn where more are made than there are connections.
const TURN_TIME_MAX: Duration = Duration::from_secs(8);

/// How long a connection that is given back may take to say that it is well.
const RETURN_TIME_MAX: Duration = Duration::from_secs(1);

const BEGIN_MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Makes a call's future: `begin`s on a connection, does the work, ends; and again where that says nothing.
macro_rules! call {
    ($catalog:ident, $doing:literal, $begin:ident, |$connection:ident| $work:expr) => {{
        let committing = $crate::catalog::postgres::calls::Committing::default();
        $crate::catalog::postgres::calls::answer($doing, committing.clone(), async move {
            let mut tries = $crate::catalog::postgres::calls::Tries::default();
            loop {
                let attempt = async {
                    let mut lease = $catalog.$begin().await?;
                    let $connection = lease.connection()?;
                    let outcome = $work.await;
                    $catalog.end(lease, outcome, &committing).await
                };
                match attempt.await {
                    Err(fault) if tries.another(&fault).await => {}
                    outcome => break outcome,
                }
            }
        })
    }};
}
pub(super) use call;

/// How often a call was tried.
#[derive(Debug, Default)]
pub(super) struct Tries(u32);

/// Whether a call waits to hear what became of its `COMMIT`.
#[derive(Clone, Debug, Default)]
pub(super) struct Committing(Arc<AtomicBool>);

/// A connection while a call has it. Dropped before it was given back, it is closed, and the server undoes
/// what it was in the midst of: nobody knows what was still to come on it.
pub(super) struct Lease {
    connection: Option<PoolConnection<Driver>>,
    kind: Kind,
    /// Of as many as there are connections. Who waits in a queue of many waits for this, and so not for
    /// as long as only a server that is away makes one wait.
    turn: Option<OwnedSemaphorePermit>,
}

enum Kind {
    Look,
    Moment,
    Change(Mark),
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
    /// A connection for a question beside the calls, which waits for no turn.
    pub(super) async fn beside(pool: &PgPool) -> Result<Self, Fault> {
        Ok(Self {
            connection: Some(pool.acquire().await?),
            kind: Kind::Look,
            turn: None,
        })
    }

    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, Fault> {
        let connection = self.connection.as_deref_mut();
        connection.ok_or_else(|| sqlx::Error::WorkerCrashed.into())
    }

    /// Gives the connection back to the pool, which asks it first whether it is well.
    pub(super) fn give_back(mut self) {
        if let Some(mut connection) = self.connection.take() {
            // The pool itself would wait for that without end, and have one connection fewer meanwhile.
            let turn = self.turn.take();
            tokio::spawn(async move {
                let _ = timeout(RETURN_TIME_MAX, connection.return_to_pool()).await;
                drop(turn);
            });
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
        let mark = self.settling.begin(lease.connection()?).await?;
        lease.kind = Kind::Change(mark);
        Ok(lease)
    }

    /// Ends what was begun: a change that went well is committed.
    pub(super) async fn end<T>(
        &self,
        mut lease: Lease,
        outcome: Result<T, Fault>,
        committing: &Committing,
    ) -> Result<T, Fault> {
        let is_well = match &outcome {
            Ok(_) => true,
            Err(fault) => fault.leaves_the_connection(),
        };
        match (&outcome, std::mem::replace(&mut lease.kind, Kind::Look)) {
            (Ok(_), Kind::Change(mark)) => {
                committing.0.store(true, Ordering::Relaxed);
                let committed = self.settling.commit(&self.pool, lease, mark).await;
                committing.0.store(false, Ordering::Relaxed);
                committed?;
            }
            (_, Kind::Look) if is_well => lease.give_back(),
            (_, Kind::Moment) if is_well => lease.roll_back().await,
            (_, Kind::Change(mark)) if is_well => {
                lease.roll_back().await;
                self.settling.put_back(mark);
            }
            _ => {}
        }
        outcome
    }

    async fn lease(&self, kind: Kind) -> Result<Lease, Fault> {
        let turn = timeout(TURN_TIME_MAX, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let turn = turn.map_err(|_| sqlx::Error::PoolClosed)?;
        let connection = Some(self.pool.acquire().await?);
        Ok(Lease {
            connection,
            kind,
            turn: Some(turn),
        })
    }
}

/// Bounds the work and says, in an error, what was being done. Where the time is over and the change may be
/// done already, it waits on to hear whether it is.
pub(super) fn answer<'a, T: Send + 'a>(
    doing: &'static str,
    committing: Committing,
    work: impl Future<Output = Result<T, Fault>> + Send + 'a,
) -> Answer<'a, T> {
    Box::pin(async move {
        let mut work = pin!(work);
        let mut outcome = timeout(ANSWER_TIME_MAX, work.as_mut()).await;
        if outcome.is_err() && committing.0.load(Ordering::Relaxed) {
            outcome = timeout(COMMIT_ANSWER_TIME_MAX, work).await;
        }
        match outcome {
            Ok(outcome) => outcome.map_err(|fault| fault.while_doing(doing)),
            Err(late) => Err(CatalogError::Unavailable {
                doing,
                source: late.into(),
            }),
        }
    })
}
