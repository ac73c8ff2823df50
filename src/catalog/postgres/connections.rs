//! The connections to the database. The pool asks each one that is given back whether it is well, which for most calls would
//! be as many questions again as they have themselves. So one goes through the pool once a second, and not for each call:
//!
//! 1. A call takes the connection that was given back last, else one of the pool.
//! 2. One that is given back well waits here for the next call, unless it has been out of the pool for [`OUT_MAX`].
//! 3. What is not taken by then goes back to the pool, too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout};

use crate::catalog::sql::fault::Fault;
use crate::catalog::sql::session::PooledConnection;

/// The longest that a connection is out of the pool between calls.
pub(super) const OUT_MAX: Duration = Duration::from_secs(1);

/// The time in which a connection that is given back to the pool must say that it is well.
const RETURN_TIME_MAX: Duration = Duration::from_secs(1);

/// The pool, and the connections that are out of it and wait for a call.
#[derive(Clone)]
pub(super) struct Connections {
    pool: PgPool,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    connections: Vec<OutOfPool>,
    /// True while a task gives those back that nobody takes.
    is_swept: bool,
    is_closed: bool,
}

/// A connection, and when it left the pool.
pub(super) struct OutOfPool {
    pub(super) connection: PooledConnection,
    since: Instant,
}

impl OutOfPool {
    fn is_due(&self) -> bool {
        self.since.elapsed() >= OUT_MAX
    }

    /// Gives it back to the pool, which closes it where it is not well.
    async fn return_to_pool(mut self) {
        if let Some(mut connection) = self.connection.0.take() {
            // The pool itself would wait for that without end, and have one connection fewer meanwhile.
            let _ = timeout(RETURN_TIME_MAX, connection.return_to_pool()).await;
        }
    }
}

impl Connections {
    pub(super) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            waiting: Arc::default(),
        }
    }

    /// Returns the most connections that there are.
    pub(super) fn max(&self) -> u32 {
        self.pool.options().get_max_connections()
    }

    #[cfg(test)]
    pub(super) fn are_all_in_the_pool(&self) -> bool {
        self.pool.size() as usize == self.pool.num_idle()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection. It is closed where it is not given back.
    pub(super) async fn take(&self) -> Result<OutOfPool, Fault> {
        // 1.
        let waiting = self.waiting().connections.pop();
        if let Some(waiting) = waiting {
            return Ok(waiting);
        }
        Ok(OutOfPool {
            connection: PooledConnection(Some(self.pool.acquire().await?)),
            since: Instant::now(),
        })
    }

    /// Gives a connection back on which everything was answered. Where that takes until the pool has it, the permit is
    /// held as long.
    pub(super) fn give_back(&self, of: OutOfPool, permit: Option<OwnedSemaphorePermit>) {
        // 2.
        let mut waiting = self.waiting();
        if of.is_due() || waiting.is_closed {
            drop(waiting);
            tokio::spawn(async move {
                of.return_to_pool().await;
                drop(permit);
            });
            return;
        }
        waiting.connections.push(of);
        if !std::mem::replace(&mut waiting.is_swept, true) {
            tokio::spawn(self.clone().sweep());
        }
    }

    async fn sweep(self) {
        loop {
            sleep(OUT_MAX).await;
            // 3.
            let (due, is_last) = {
                let mut waiting = self.waiting();
                let due = waiting.connections.extract_if(.., |of| of.is_due());
                let due: Vec<OutOfPool> = due.collect();
                waiting.is_swept = !waiting.connections.is_empty();
                (due, !waiting.is_swept)
            };
            for of in due {
                of.return_to_pool().await;
            }
            if is_last {
                return;
            }
        }
    }

    /// Waits for the calls that are under way, and closes all connections.
    pub(super) async fn close(&self) {
        let waiting = {
            let mut waiting = self.waiting();
            waiting.is_closed = true;
            std::mem::take(&mut waiting.connections)
        };
        for of in waiting {
            of.return_to_pool().await;
        }
        self.pool.close().await;
    }
}
