//! What became of a change whose `COMMIT` was not answered.
//!
//! Every change first writes a mark: a number into a row that no other change uses meanwhile. Whoever then
//! asks for that row waits until the transaction has ended, and finds the number if it was committed. The
//! number of the transaction itself would not do: after a crash or a failover the server may give it to
//! another one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, PgPool, query, query_scalar, raw_sql};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::calls::Lease;
use super::fault::Fault;
use crate::catalog::CatalogError;

/// How long the answer to `COMMIT` is waited for, and then that to the questions what became of it: together
/// [`COMMIT_ANSWER_TIME_MAX`](super::COMMIT_ANSWER_TIME_MAX).
const COMMIT_TIME_MAX: Duration = Duration::from_secs(2);
const SETTLE_TIME_MAX: Duration = Duration::from_secs(8);

/// How long to wait before asking again.
const SETTLE_PAUSE: Duration = Duration::from_millis(20);

/// Waits for whoever writes the mark, and answers what was committed last; 0 if nothing was.
const MARKED: &str = "INSERT INTO change_mark (slot, number, at) \
     VALUES ($1, 0, extract(epoch FROM now())::bigint) \
     ON CONFLICT (slot) DO UPDATE SET at = excluded.at RETURNING number";

/// Marks that no gateway has used for a day: it is gone, or writes them anew.
const FORGET: &str = "DELETE FROM change_mark WHERE slot IN (SELECT slot FROM change_mark \
     WHERE at < extract(epoch FROM now())::bigint - 86400 FOR UPDATE SKIP LOCKED)";

/// A row of marks, and the number of the change that writes into it.
#[derive(Debug)]
pub(super) struct Mark {
    /// Drawn by the server: hexadecimal digits and hyphens.
    slot: String,
    number: u64,
}

/// Begins changes and carries them through.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// Those that no change uses.
    free: Arc<Mutex<Vec<Mark>>>,
    unsettled: Arc<watch::Sender<Unsettled>>,
}

/// The `COMMIT`s on their way whose callers did not wait for the answer, each by a number that was drawn when
/// its caller left.
#[derive(Debug, Default)]
struct Unsettled {
    next: u64,
    numbers: BTreeSet<u64>,
}

/// A `COMMIT` on its way. Whoever stops waiting for it leaves it among the unsettled.
struct UnderWay {
    task: Option<JoinHandle<Result<(), Fault>>>,
    unsettled: Arc<watch::Sender<Unsettled>>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let (Some(task), Ok(runtime)) = (self.task.take(), Handle::try_current()) else {
            return;
        };
        let mut number = 0;
        self.unsettled.send_modify(|all| {
            number = all.next;
            all.next += 1;
            all.numbers.insert(number);
        });
        let unsettled = Arc::clone(&self.unsettled);
        runtime.spawn(async move {
            let _ = task.await;
            unsettled.send_modify(|all| {
                all.numbers.remove(&number);
            });
        });
    }
}

impl Settling {
    /// Begins a transaction, and writes a mark in it.
    pub(super) async fn begin(&self, connection: &mut PgConnection) -> Result<Mark, Fault> {
        let free = self.free.lock().ok().and_then(|mut free| free.pop());
        let mut mark = match free {
            Some(mark) => mark,
            None => Mark {
                slot: query_scalar("SELECT gen_random_uuid()::text")
                    .fetch_one(&mut *connection)
                    .await?,
                number: 0,
            },
        };
        mark.number += 1;
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
             INSERT INTO change_mark (slot, number, at) \
             VALUES ('{}', {}, extract(epoch FROM now())::bigint) \
             ON CONFLICT (slot) DO UPDATE SET number = excluded.number, at = excluded.at",
            mark.slot, mark.number
        );
        raw_sql(AssertSqlSafe(begin)).execute(connection).await?;
        Ok(mark)
    }

    /// Gives a mark back, of a change that has ended one way or the other.
    pub(super) fn put_back(&self, mark: Mark) {
        put_back(&self.free, mark);
    }

    /// Commits, and finds out whether that was done where nobody says so. An error that may be tried
    /// again says that nothing was.
    pub(super) async fn commit(
        &self,
        pool: &PgPool,
        lease: Lease,
        mark: Mark,
    ) -> Result<(), Fault> {
        // A task of its own, so that it is carried through whoever waits for it.
        let (pool, free) = (pool.clone(), Arc::clone(&self.free));
        let mut unsettled = self.unsettled.subscribe();
        let left_before = unsettled.borrow().next;
        let mut under_way = UnderWay {
            task: Some(tokio::spawn(commit(pool, lease, mark, free))),
            unsettled: Arc::clone(&self.unsettled),
        };
        if let Some(task) = &mut under_way.task {
            let outcome = task.await;
            under_way.task = None;
            outcome.map_err(|_| sqlx::Error::WorkerCrashed)??;
        }
        // A change that nobody waited for is not done after one was answered for that began later. Those
        // that were left since this one began to commit are for later ones to wait for.
        let is_settled = |all: &Unsettled| {
            all.numbers
                .first()
                .is_none_or(|first| *first >= left_before)
        };
        let _ = unsettled.wait_for(is_settled).await;
        Ok(())
    }
}

/// Forgets the marks of gateways that are gone.
pub(super) async fn forget_marks(connection: &mut PgConnection) -> Result<(), Fault> {
    query(FORGET).execute(connection).await?;
    Ok(())
}

fn put_back(free: &Mutex<Vec<Mark>>, mark: Mark) {
    if let Ok(mut free) = free.lock() {
        free.push(mark);
    }
}

async fn commit(
    pool: PgPool,
    mut lease: Lease,
    mark: Mark,
    free: Arc<Mutex<Vec<Mark>>>,
) -> Result<(), Fault> {
    let committed = raw_sql("COMMIT").execute(lease.connection()?);
    let fault = match timeout(COMMIT_TIME_MAX, committed).await {
        Ok(Ok(_)) => {
            lease.give_back();
            put_back(&free, mark);
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
    let end = Instant::now() + SETTLE_TIME_MAX;
    while Instant::now() < end {
        if let Ok(Ok(last)) = timeout_at(end, marked(&pool, &mark)).await {
            let is_done = last == mark.number;
            put_back(&free, mark);
            return if is_done { Ok(()) } else { Err(fault) };
        }
        sleep(SETTLE_PAUSE).await;
    }
    Err(unknown(fault).into())
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

async fn marked(pool: &PgPool, mark: &Mark) -> Result<u64, Fault> {
    let mut lease = Lease::beside(pool).await?;
    let number: i64 = query_scalar(MARKED)
        .bind(&mark.slot)
        .fetch_one(lease.connection()?)
        .await?;
    lease.give_back();
    Ok(number.cast_unsigned())
}
