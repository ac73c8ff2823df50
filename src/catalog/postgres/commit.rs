//! Committing, and the commit outcome where `COMMIT` was not answered.
//!
//! Every write transaction first writes a commit marker: a number into a row, a slot, that no other one uses
//! meanwhile. A reader of that row then waits until the transaction has ended, and finds the number if it was
//! committed. The number of the transaction itself would not do: after a crash or a failover the server may give
//! it to another one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, query_scalar, raw_sql};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::connections::Connections;
use super::lease::{Lease, Marker};
use crate::catalog::CatalogError;
use crate::catalog::sql::fault::Fault;

/// The waits for the answer to `COMMIT`, and then for the commit outcome: together
/// [`COMMIT_ANSWER_TIME_MAX`](super::COMMIT_ANSWER_TIME_MAX).
const COMMIT_TIME_MAX: Duration = Duration::from_secs(2);
const OUTCOME_TIME_MAX: Duration = Duration::from_secs(8);

/// The pause before asking again.
const OUTCOME_PAUSE: Duration = Duration::from_millis(20);

/// Waits for the transaction that writes the marker, and reads the number that was committed last; 0 if none was.
const OUTCOME: &str = "INSERT INTO change_mark (slot, number, at) \
     VALUES ($1, 0, extract(epoch FROM now())::bigint) \
     ON CONFLICT (slot) DO UPDATE SET at = excluded.at RETURNING number";

/// Begins write transactions and commits them.
#[derive(Clone, Debug, Default)]
pub(super) struct Commits {
    /// The markers that no transaction uses.
    free: Arc<Mutex<Vec<Marker>>>,
    detached: Arc<watch::Sender<Detached>>,
}

/// The `COMMIT`s on their way whose callers did not wait for the answer, each by a number that was drawn when
/// its caller left.
#[derive(Debug, Default)]
struct Detached {
    next: u64,
    numbers: BTreeSet<u64>,
}

/// A `COMMIT` on its way. A caller that stops waiting for it detaches it.
struct UnderWay {
    task: Option<JoinHandle<Result<(), Fault>>>,
    detached: Arc<watch::Sender<Detached>>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let (Some(task), Ok(runtime)) = (self.task.take(), Handle::try_current()) else {
            return;
        };
        let mut number = 0;
        self.detached.send_modify(|all| {
            number = all.next;
            all.next += 1;
            all.numbers.insert(number);
        });
        let detached = Arc::clone(&self.detached);
        runtime.spawn(async move {
            let _ = task.await;
            detached.send_modify(|all| {
                all.numbers.remove(&number);
            });
        });
    }
}

impl Commits {
    /// Begins a write transaction, and writes a marker in it.
    pub(super) async fn begin(&self, connection: &mut PgConnection) -> Result<Marker, Fault> {
        let free = self.free.lock().ok().and_then(|mut free| free.pop());
        let mut marker = match free {
            Some(marker) => marker,
            None => Marker {
                slot: query_scalar("SELECT gen_random_uuid()::text")
                    .fetch_one(&mut *connection)
                    .await?,
                number: 0,
            },
        };
        marker.number += 1;
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
             INSERT INTO change_mark (slot, number, at) \
             VALUES ('{}', {}, extract(epoch FROM now())::bigint) \
             ON CONFLICT (slot) DO UPDATE SET number = excluded.number, at = excluded.at",
            marker.slot, marker.number
        );
        raw_sql(AssertSqlSafe(begin)).execute(connection).await?;
        Ok(marker)
    }

    /// Gives a marker back, of a transaction that has ended one way or the other.
    pub(super) fn put_back(&self, marker: Marker) {
        if let Ok(mut free) = self.free.lock() {
            free.push(marker);
        }
    }

    /// Commits, and finds the outcome out where the server does not answer. An error that may be tried again
    /// says that nothing was done.
    pub(super) async fn commit(
        &self,
        connections: &Connections,
        lease: Lease,
        marker: Marker,
    ) -> Result<(), Fault> {
        // A task of its own, so that it is carried through, whether or not its caller waits.
        let work = self
            .clone()
            .carry_through(connections.clone(), lease, marker);
        let mut detached = self.detached.subscribe();
        let left_before = detached.borrow().next;
        let mut under_way = UnderWay {
            task: Some(tokio::spawn(work)),
            detached: Arc::clone(&self.detached),
        };
        if let Some(task) = &mut under_way.task {
            let outcome = task.await;
            under_way.task = None;
            outcome.map_err(|_| sqlx::Error::WorkerCrashed)??;
        }
        // A write that nobody waited for is not done after one was answered for that began later. Those that
        // were detached since this one began to commit are for later ones to wait for.
        let has_ended = |all: &Detached| {
            all.numbers
                .first()
                .is_none_or(|first| *first >= left_before)
        };
        let _ = detached.wait_for(has_ended).await;
        Ok(())
    }

    async fn carry_through(
        self,
        connections: Connections,
        mut lease: Lease,
        marker: Marker,
    ) -> Result<(), Fault> {
        let committed = raw_sql("COMMIT").execute(lease.connection()?);
        let fault = match timeout(COMMIT_TIME_MAX, committed).await {
            Ok(Ok(_)) => {
                lease.give_back();
                self.put_back(marker);
                return Ok(());
            }
            Ok(Err(error)) => Fault::from(error),
            Err(_) => Fault::from(std::io::Error::from(std::io::ErrorKind::TimedOut)),
        };
        drop(lease);
        if fault.leaves_the_connection() {
            // The server heard it and said no: nothing was done.
            return Err(fault);
        }
        let end = Instant::now() + OUTCOME_TIME_MAX;
        while Instant::now() < end {
            if let Ok(Ok(last)) = timeout_at(end, outcome_of(&connections, &marker)).await {
                let is_done = last == marker.number;
                self.put_back(marker);
                return if is_done { Ok(()) } else { Err(fault) };
            }
            sleep(OUTCOME_PAUSE).await;
        }
        Err(unknown(fault).into())
    }
}

/// It may be done or not, and so is not tried again.
fn unknown(fault: Fault) -> CatalogError {
    let doing = "committing";
    match fault.while_doing(doing) {
        error @ CatalogError::Unavailable { .. } => error,
        other => CatalogError::Unavailable {
            doing,
            source: other.into(),
        },
    }
}

async fn outcome_of(connections: &Connections, marker: &Marker) -> Result<u64, Fault> {
    let mut lease = Lease::beside(connections).await?;
    let number: i64 = query_scalar(OUTCOME)
        .bind(&marker.slot)
        .fetch_one(lease.connection()?)
        .await?;
    lease.give_back();
    Ok(number.cast_unsigned())
}
