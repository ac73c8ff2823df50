//! Leases: a connection of the pool for one call, in a transaction where it needs one; and the bounds of a call.
//!
//! A call is tried again where its error says nothing of what was asked, and never takes longer than
//! [`ANSWER_TIME_MAX`], unless its `COMMIT` is on its way by then.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::{PgConnection, raw_sql};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};

use super::connections::{Connections, OutOfPool};
use super::{ANSWER_TIME_MAX, Answer, COMMIT_ANSWER_TIME_MAX, CatalogError, Postgres};
use crate::catalog::sql::bounded;
use crate::catalog::sql::fault::Fault;
use crate::catalog::sql::session::SessionKind;

/// The most tries of a call. After a restart of the server every connection of the pool is found to be
/// dead, one after the other.
const TRIES_MAX: u32 = 20;

/// The pause before the next try, times the number of tries so far.
const TRY_PAUSE: Duration = Duration::from_millis(10);

/// The longest wait of a call for its permit where more are made than there are connections.
const PERMIT_TIME_MAX: Duration = Duration::from_secs(8);

const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// True while a call waits for the outcome of its `COMMIT`.
#[derive(Clone, Debug, Default)]
pub(super) struct CommitState(Arc<AtomicBool>);

/// A connection while a call has it.
pub(super) struct Lease {
    pub(super) of: OutOfPool,
    connections: Connections,
    kind: LeaseKind,
    /// The permit of the call, of as many as there are connections. A call in a long queue waits for this, and so not only as long
    /// as for a server that is away.
    permit: Option<OwnedSemaphorePermit>,
}

/// A commit marker: a slot, and the number of the transaction that writes it.
#[derive(Debug)]
pub(super) struct Marker {
    /// Drawn by the server: hexadecimal digits and hyphens.
    pub(super) slot: String,
    pub(super) number: u64,
}

enum LeaseKind {
    Read,
    ReadTransaction,
    Write(Marker),
}

/// Returns whether to try again after this fault, which is of that try; waits a moment first.
pub(super) async fn tries_again(tries: u32, fault: &Fault) -> bool {
    let again = tries < TRIES_MAX && fault.is_passing();
    if again {
        sleep(TRY_PAUSE * tries).await;
    }
    again
}

impl Lease {
    /// Takes a connection for a question beside the calls, which waits for no permit.
    pub(super) async fn beside(connections: &Connections) -> Result<Self, Fault> {
        Ok(Self {
            of: connections.take().await?,
            connections: connections.clone(),
            kind: LeaseKind::Read,
            permit: None,
        })
    }

    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, Fault> {
        self.of.connection.connection()
    }

    /// Gives the connection back, on which everything was answered.
    pub(super) fn give_back(self) {
        self.connections.give_back(self.of, self.permit);
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

impl Postgres {
    /// Takes a connection, and begins the transaction that is asked for. Each statement of a write sees what was
    /// committed before it began.
    pub(super) async fn begin(&self, access: SessionKind) -> Result<Lease, Fault> {
        let mut lease = self.lease().await?;
        match access {
            SessionKind::Read | SessionKind::OneWrite => {}
            SessionKind::ReadTransaction => {
                raw_sql(BEGIN_READ).execute(lease.connection()?).await?;
                lease.kind = LeaseKind::ReadTransaction;
            }
            // The disk is the server's own: nothing of it is set aside here.
            SessionKind::Write | SessionKind::ReservedWrite | SessionKind::PurgeWrite => {
                let marker = self.commits.begin(lease.connection()?).await?;
                lease.kind = LeaseKind::Write(marker);
            }
        }
        Ok(lease)
    }

    /// Ends what was begun: a write that went well is committed.
    pub(super) async fn end<T>(
        &self,
        mut lease: Lease,
        outcome: Result<T, Fault>,
        commit: &CommitState,
    ) -> Result<T, Fault> {
        let is_well = match &outcome {
            Ok(_) => true,
            Err(fault) => fault.leaves_the_connection(),
        };
        let is_done = outcome.is_ok();
        match std::mem::replace(&mut lease.kind, LeaseKind::Read) {
            LeaseKind::Write(marker) if is_done => {
                commit.0.store(true, Ordering::Relaxed);
                let committed = self.commits.commit(&self.connections, lease, marker).await;
                commit.0.store(false, Ordering::Relaxed);
                committed?;
            }
            LeaseKind::Read if is_well => lease.give_back(),
            LeaseKind::ReadTransaction if is_well => lease.roll_back().await,
            LeaseKind::Write(marker) if is_well => {
                lease.roll_back().await;
                self.commits.put_back(marker);
            }
            _ => {}
        }
        outcome
    }

    async fn lease(&self) -> Result<Lease, Fault> {
        let permit = timeout(PERMIT_TIME_MAX, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let permit = permit.map_err(|_| sqlx::Error::PoolClosed)?;
        Ok(Lease {
            permit: Some(permit),
            ..Lease::beside(&self.connections).await?
        })
    }
}

/// Bounds the work and says, in an error, what was being done. Where the time is over and a write may be done
/// already, it waits on for the outcome.
pub(super) fn answer<'a, T: Send + 'a>(
    doing: &'static str,
    commit: CommitState,
    work: impl Future<Output = Result<T, Fault>> + Send + 'a,
) -> Answer<'a, T> {
    Box::pin(async move {
        let mut work = pin!(work);
        let late = match timeout(ANSWER_TIME_MAX, work.as_mut()).await {
            Ok(outcome) => return outcome.map_err(|fault| fault.while_doing(doing)),
            Err(late) => late,
        };
        if commit.0.load(Ordering::Relaxed) {
            return bounded(COMMIT_ANSWER_TIME_MAX, doing, work).await;
        }
        let source = late.into();
        Err(CatalogError::Unavailable { doing, source })
    })
}
