//! Queues of tenants before what all of them share: each waits for itself, where nobody else waits.
//!
//! Changes of all organizations meet in one row, or one lock, of the catalogue, which each holds until it is durable;
//! reads meet at the connections of the catalogue, which are given in the order in which they are asked for. So the
//! calls of a tenant that makes as many as it can stand in a queue here, and only a bounded number of them is before
//! those of another tenant there. A change that another one of the tenant stands beside is followed by a pause of its own
//! length, so that they keep the writer, and the processor that it works on, busy for half of the time.

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
        let is_last = queue.length == 0;
        if is_last {
            queues.remove(&self.tenant);
        }
        let pause_max = self.queues.bounds.pause_max;
        if let Some((permit, begun)) = self.permit.take()
            && !is_last
            && !pause_max.is_zero()
        {
            pause(permit, begun.elapsed().min(pause_max));
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
mod tests {
    use std::pin::Pin;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::catalog::Catalog as _;
    use crate::catalog::contract::{file, file_id, organization};
    use crate::catalog::testing::TestCatalog;
    use crate::gateway::files::{Cursor, Filter, Filters};
    use crate::gateway::testing;
    use crate::model::count::Counted;
    use crate::model::id::SpaceId;

    fn changes() -> (TenantQueues, [Tenant; 3]) {
        let of = |id| Some(OrganizationId::parse(id).unwrap());
        let queues = TenantQueues::new(QueueBounds::CHANGES);
        (queues, [of("one"), of("other"), None])
    }

    fn is_empty(queues: &TenantQueues) -> bool {
        queues.queues.lock().unwrap().is_empty()
    }

    #[tokio::test]
    async fn a_tenant_waits_for_itself_alone_and_leaves_nothing() {
        let (queues, [one, other, stranger]) = changes();
        let first = queues.enter(one.clone()).await.unwrap();
        let second = queues.enter(one.clone()).await.unwrap();
        let mut third = Box::pin(queues.enter(one.clone()));
        assert!((&mut third).now_or_never().is_none(), "two are under way");
        for tenant in [other, stranger] {
            drop(queues.enter(tenant).now_or_never().unwrap());
        }
        drop(first);
        let third = third.await.unwrap();
        // One that gives up in the queue is no reason to keep it.
        drop((second, third));
        let waits = [
            queues.enter(one.clone()).await,
            queues.enter(one.clone()).await,
        ];
        let mut gives_up = Box::pin(queues.enter(one));
        assert!((&mut gives_up).now_or_never().is_none());
        drop(gives_up);
        drop(waits);
        assert!(is_empty(&queues));
    }

    #[tokio::test]
    async fn the_changes_of_a_tenant_that_makes_many_take_half_of_the_time() {
        let (queues, [one, other, _]) = changes();
        let begun = Instant::now();
        let first = queues.enter(one.clone()).await.unwrap();
        let second = queues.enter(one.clone()).await.unwrap();
        let mut third = Box::pin(queues.enter(one.clone()));
        assert!((&mut third).now_or_never().is_none());
        sleep(Duration::from_millis(7)).await;
        drop(first);
        assert!((&mut third).now_or_never().is_none(), "a pause");
        drop(queues.enter(other).now_or_never().unwrap());
        let third = third.await.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(14));
        drop((second, third));
        // Whoever makes one after the other waits for nothing, once that is over.
        drop(queues.enter(one.clone()).await.unwrap());
        sleep(QueueBounds::CHANGES.pause_max * 2).await;
        for _ in 0..5 {
            drop(queues.enter(one.clone()).now_or_never().unwrap());
        }
        assert!(is_empty(&queues));
    }

    #[tokio::test]
    async fn a_queue_that_is_full_refuses_at_once() {
        let (queues, [one, other, _]) = changes();
        let bounds = queues.bounds;
        let mut all = Vec::new();
        for _ in 0..bounds.at_once_max + bounds.queued_max {
            let mut queued = Box::pin(queues.enter(one.clone()));
            all.push(((&mut queued).now_or_never(), queued));
        }
        let more = queues.enter(one.clone()).now_or_never();
        assert!(matches!(more, Some(Err(Refusal::Unavailable(_)))));
        drop(queues.enter(other).now_or_never().unwrap());
        all.pop();
        let waits = queues.enter(one).now_or_never();
        assert!(waits.is_none(), "one place is free");
        drop(all);
        assert!(is_empty(&queues));
    }

    #[tokio::test]
    async fn a_turn_that_does_not_come_is_refused() {
        let (mut queues, [one, ..]) = changes();
        queues.bounds.time_max = Duration::ZERO;
        let _under_way = [
            queues.enter(one.clone()).await,
            queues.enter(one.clone()).await,
        ];
        let refused = queues.enter(one).await;
        assert!(matches!(refused, Err(Refusal::Unavailable(_))));
    }

    /// Every read that a request of an organization makes waits for those of the same organization.
    #[tokio::test]
    async fn an_organization_reads_so_much_at_once_and_no_more() {
        let catalog = Arc::new(TestCatalog::new().await);
        let owner = organization(catalog.as_ref(), "a").await;
        let other = organization(catalog.as_ref(), "b").await;
        let id = file_id("f");
        for owner in [&owner, &other] {
            catalog.add_file(&file(owner, "f", 1)).await.unwrap();
        }
        let gateway = testing::gateway(Arc::clone(&catalog) as _, testing::memory_blobs());
        gateway.refresh().await.unwrap();
        let mut under_way = Vec::new();
        for queues in [&gateway.reads, &gateway.lists] {
            for _ in 0..queues.bounds.at_once_max {
                under_way.push(queues.enter(Some(owner.clone())).await.unwrap());
            }
        }
        let cursor = Cursor::After("file_x".into());
        let of_ids = Filters {
            ids: Some(vec!["f".into()]),
            ..Filters::default()
        };
        let space = SpaceId::default_space();
        catalog.calls();
        {
            let mut reads = [
                Box::pin(async { gateway.ready_file(&owner, &id).await.is_ok() })
                    as Pin<Box<dyn Future<Output = bool>>>,
                Box::pin(async { gateway.numbered_page(&owner, 1, 9).await.is_ok() }),
                Box::pin(async {
                    let page = gateway.cursor_page(&owner, Filter::Ready, Some(&cursor), 9);
                    page.await.is_ok()
                }),
                Box::pin(async {
                    let page = gateway.filtered_page(&owner, &of_ids, None, 9);
                    page.await.is_ok()
                }),
                Box::pin(async { gateway.page_after(&owner, None, None, 9).await.is_ok() }),
                Box::pin(async { gateway.file_in_any_state(&owner, &id).await.is_ok() }),
                Box::pin(async { gateway.counts(&owner, Counted::File(&id)).await.is_ok() }),
                Box::pin(async { gateway.space(&owner, &space).await.is_ok() }),
            ];
            for read in &mut reads {
                assert!(read.now_or_never().is_none());
            }
            assert_eq!(catalog.calls(), 0);
            assert!(gateway.ready_file(&other, &id).await.is_ok());
            assert!(gateway.recognize("of-a-stranger").await.is_err());
            assert_eq!(catalog.calls(), 2, "others go on");
        }
        drop(under_way);
        assert!(gateway.ready_file(&owner, &id).await.is_ok());
    }

    #[test]
    fn connections_are_left_to_others() {
        for (connections, reads) in [(1, 1), (2, 1), (3, 1), (4, 2), (10, 5)] {
            assert_eq!(QueueBounds::reads(connections).at_once_max, reads);
            for (processors, lists) in [(1, 1), (2, 1), (4, reads.min(2)), (64, reads)] {
                let bounds = QueueBounds::lists_on(processors, connections);
                assert_eq!(bounds.at_once_max, lists, "{connections} on {processors}");
            }
        }
    }
}
