//! Queues of tenants before what all of them share: each waits for itself, where nobody else waits.
//!
//! Changes of all organizations meet in one row, or one lock, of the catalogue, which each holds until it is durable;
//! reads meet at the connections of the catalogue, which are given in the order in which they are asked for. So the
//! calls of a tenant that makes as many as it can stand in a queue here, and only a bounded number of them is before
//! those of another tenant there. A change or a list that another one of the tenant stands beside is followed by a pause of
//! its own length, so that they keep the writer or the reader, and the processor that it works on, busy for half of the time.
//! Where others need that processor, calls take longer, and so do the pauses.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use super::Gateway;
use super::refusal::Refusal;
use crate::catalog::CatalogError;
use crate::model::id::OrganizationId;

/// The shortest pause: that of calls that took less is put off until several of them took as much. Timers go by
/// milliseconds.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// The bounds of the queue of each tenant.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueBounds {
    /// The calls, as a refusal names them.
    what: &'static str,
    /// The most that are under way at once.
    at_once_max: usize,
    /// The most that wait besides.
    queued_max: usize,
    /// The longest that one waits.
    time_max: Duration,
    /// The longest pause after a call that another one of the tenant stands beside.
    pause_max: Duration,
}

impl QueueBounds {
    /// The bounds of revocations and deletions.
    pub(super) const CHANGES: Self = Self {
        what: "changes",
        at_once_max: 2,
        queued_max: 64,
        time_max: Duration::from_secs(5),
        pause_max: Duration::from_millis(20),
    };

    /// The bounds of uploads with an idempotency key, each of which has a transaction of its own.
    pub(super) const KEYED: Self = Self {
        what: "uploads",
        at_once_max: 2,
        queued_max: 4_096,
        time_max: Duration::from_secs(15),
        pause_max: Duration::ZERO,
    };

    /// The bounds of starts of counted downloads. Those of one link wait for each other in the catalogue, each with a
    /// connection of its own.
    pub(super) const REDEEMS: Self = Self {
        what: "downloads",
        at_once_max: 4,
        queued_max: 4_096,
        time_max: Duration::from_secs(10),
        pause_max: Duration::ZERO,
    };

    /// The bounds of reads of single things, where so many connections read: half of them.
    pub(super) fn reads(connections: usize) -> Self {
        Self {
            what: "reads",
            at_once_max: (connections / 2).max(1),
            queued_max: 4_096,
            time_max: Duration::from_secs(5),
            pause_max: Duration::ZERO,
        }
    }

    /// The bounds of lists, where so many connections read: half of them, and no more than half of the processors. A list
    /// keeps one busy, at the connection and where it is written out.
    pub(super) fn lists(connections: usize) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::lists_on(processors, connections)
    }

    fn lists_on(processors: usize, connections: usize) -> Self {
        Self {
            what: "lists",
            at_once_max: (connections.min(processors) / 2).max(1),
            pause_max: Duration::from_millis(20),
            ..Self::reads(connections)
        }
    }
}

/// The tenant that a call is for. Those of whom nothing is known yet are one, so that they wait for each other alone.
pub(super) type Tenant = Option<OrganizationId>;

/// The queues of the tenants that call now.
#[derive(Debug)]
pub(super) struct TenantQueues {
    bounds: QueueBounds,
    queues: Mutex<HashMap<Tenant, TenantQueue>>,
}

/// The calls of one tenant that wait or are under way.
#[derive(Debug)]
struct TenantQueue {
    semaphore: Arc<Semaphore>,
    length: usize,
    /// The time of calls that no pause has followed yet.
    unpaused: Duration,
}

/// A call in its queue, waiting or under way. Dropping it lets the next one go on.
#[must_use = "the next call goes on when this is dropped"]
pub(super) struct QueuedCall<'a> {
    queues: &'a TenantQueues,
    tenant: Tenant,
    /// The permit of a call that is under way, and the time at which it began.
    permit: Option<(OwnedSemaphorePermit, Instant)>,
}

impl TenantQueues {
    /// Returns empty queues.
    pub(super) fn new(bounds: QueueBounds) -> Self {
        Self {
            bounds,
            queues: Mutex::default(),
        }
    }

    /// Waits until a call for this tenant may go on.
    ///
    /// # Errors
    /// `Unavailable` after the longest wait, and at once where as many wait already as may.
    pub(super) async fn enter(&self, tenant: Tenant) -> Result<QueuedCall<'_>, Refusal> {
        let bounds = self.bounds;
        let too_many = || {
            let what = bounds.what;
            Refusal::Unavailable(format!(
                "too many {what} of this organization are under way"
            ))
        };
        let semaphore = {
            let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || TenantQueue {
                semaphore: Arc::new(Semaphore::new(bounds.at_once_max)),
                length: 0,
                unpaused: Duration::ZERO,
            };
            let queue = queues.entry(tenant.clone()).or_insert_with(new);
            if queue.length == bounds.at_once_max + bounds.queued_max {
                return Err(too_many());
            }
            queue.length += 1;
            Arc::clone(&queue.semaphore)
        };
        let mut queued = QueuedCall {
            queues: self,
            tenant,
            permit: None,
        };
        match timeout(bounds.time_max, semaphore.acquire_owned()).await {
            Ok(Ok(permit)) => {
                queued.permit = Some((permit, Instant::now()));
                Ok(queued)
            }
            _ => Err(too_many()),
        }
    }
}

impl Drop for QueuedCall<'_> {
    fn drop(&mut self) {
        let mut queues = self.queues.queues.lock();
        let queues = queues.as_mut().unwrap_or_else(PoisonError::get_mut);
        let Some(queue) = queues.get_mut(&self.tenant) else {
            return;
        };
        queue.length -= 1;
        if queue.length == 0 {
            queues.remove(&self.tenant);
            return;
        }
        if let Some((permit, begun)) = self.permit.take() {
            queue.unpaused += begun.elapsed().min(self.queues.bounds.pause_max);
            if queue.unpaused >= PAUSE_MIN {
                pause(permit, std::mem::take(&mut queue.unpaused));
            }
        }
    }
}

/// Has the next call of a tenant wait for so long.
fn pause(permit: OwnedSemaphorePermit, time: Duration) {
    // Without a runtime nobody waits.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            sleep(time).await;
            drop(permit);
        });
    }
}

impl Gateway {
    /// Reads from the catalogue for an organization, when its turn has come.
    ///
    /// # Errors
    /// Those of the queue and of the read.
    pub(super) async fn read_of<T>(
        &self,
        organization: &OrganizationId,
        read: impl Future<Output = Result<T, CatalogError>>,
    ) -> Result<T, Refusal> {
        self.ask_in(&self.reads, Some(organization.clone()), read)
            .await
    }

    /// Reads a list from the catalogue for an organization, when its turn has come.
    ///
    /// # Errors
    /// Those of the queue and of the read.
    pub(super) async fn list_of<T>(
        &self,
        organization: &OrganizationId,
        read: impl Future<Output = Result<T, CatalogError>>,
    ) -> Result<T, Refusal> {
        self.ask_in(&self.lists, Some(organization.clone()), read)
            .await
    }

    /// Reads from the catalogue for somebody of whom nothing is known yet, when the turn of those has come.
    ///
    /// # Errors
    /// Those of the queue and of the read.
    pub(super) async fn read_of_stranger<T>(
        &self,
        read: impl Future<Output = Result<T, CatalogError>>,
    ) -> Result<T, Refusal> {
        self.ask_in(&self.reads, None, read).await
    }

    async fn ask_in<T>(
        &self,
        queues: &TenantQueues,
        tenant: Tenant,
        call: impl Future<Output = Result<T, CatalogError>>,
    ) -> Result<T, Refusal> {
        let _queued = queues.enter(tenant).await?;
        self.ask(call).await
    }
}

#[cfg(test)]
mod tests;
