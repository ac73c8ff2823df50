//! The queue of changes of one organization: it changes only so much at once, and waits for itself.
//!
//! Changes of all organizations meet in one row, or one lock, of the catalogue, which each holds until it is durable.
//! So the changes of a tenant that makes as many as it can stand in a queue here, where nobody else waits, and at most
//! [`CHANGES_AT_ONCE_MAX`] of each gateway are before those of another tenant there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::refusal::Refusal;
use crate::model::id::OrganizationId;

/// The most revocations and deletions of one organization that a gateway asks the catalogue for at once.
pub const CHANGES_AT_ONCE_MAX: usize = 2;

/// The most of them that wait besides.
pub const CHANGES_QUEUED_MAX: usize = 64;

/// The longest that one waits.
const QUEUE_TIME_MAX: Duration = Duration::from_secs(5);

/// The queues of the organizations that change something now.
#[derive(Debug, Default)]
pub(super) struct ChangeQueues(Mutex<HashMap<OrganizationId, ChangeQueue>>);

/// The changes of one organization that wait or are under way.
#[derive(Debug)]
struct ChangeQueue {
    semaphore: Arc<Semaphore>,
    length: usize,
}

/// A change in its queue, waiting or under way. Dropping it lets the next one go on.
#[must_use = "the next change goes on when this is dropped"]
pub(super) struct QueuedChange<'a> {
    queues: &'a ChangeQueues,
    organization: &'a OrganizationId,
    permit: Option<OwnedSemaphorePermit>,
}

impl ChangeQueues {
    /// Waits until a change of this organization may be made.
    ///
    /// # Errors
    /// `Unavailable` after [`QUEUE_TIME_MAX`], and at once where [`CHANGES_QUEUED_MAX`] wait already.
    pub(super) async fn enter<'a>(
        &'a self,
        organization: &'a OrganizationId,
    ) -> Result<QueuedChange<'a>, Refusal> {
        self.enter_within(organization, QUEUE_TIME_MAX).await
    }

    async fn enter_within<'a>(
        &'a self,
        organization: &'a OrganizationId,
        time_max: Duration,
    ) -> Result<QueuedChange<'a>, Refusal> {
        let too_many =
            || Refusal::Unavailable("too many changes of this organization are under way".into());
        let semaphore = {
            let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || ChangeQueue {
                semaphore: Arc::new(Semaphore::new(CHANGES_AT_ONCE_MAX)),
                length: 0,
            };
            let queue = queues.entry(organization.clone()).or_insert_with(new);
            if queue.length == CHANGES_AT_ONCE_MAX + CHANGES_QUEUED_MAX {
                return Err(too_many());
            }
            queue.length += 1;
            Arc::clone(&queue.semaphore)
        };
        let mut queued = QueuedChange {
            queues: self,
            organization,
            permit: None,
        };
        match timeout(time_max, semaphore.acquire_owned()).await {
            Ok(Ok(permit)) => {
                queued.permit = Some(permit);
                Ok(queued)
            }
            _ => Err(too_many()),
        }
    }
}

impl Drop for QueuedChange<'_> {
    fn drop(&mut self) {
        self.permit = None;
        let mut queues = self.queues.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = queues.get_mut(self.organization) else {
            return;
        };
        queue.length -= 1;
        if queue.length == 0 {
            queues.remove(self.organization);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn an_organization_waits_for_itself_alone_and_leaves_nothing() {
        let queues = ChangeQueues::default();
        let [one, other] = ["one", "other"].map(|id| OrganizationId::parse(id).unwrap());
        let first = queues.enter(&one).await.unwrap();
        let second = queues.enter(&one).await.unwrap();
        let mut third = Box::pin(queues.enter(&one));
        assert!((&mut third).now_or_never().is_none(), "two are under way");
        drop(queues.enter(&other).now_or_never().unwrap());
        drop(first);
        let third = third.now_or_never().unwrap().unwrap();
        // One that gives up in the queue is no reason to keep it.
        drop((second, third));
        let waits = [queues.enter(&one).await, queues.enter(&one).await];
        let mut gives_up = Box::pin(queues.enter(&one));
        assert!((&mut gives_up).now_or_never().is_none());
        drop(gives_up);
        drop(waits);
        assert!(queues.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_queue_that_is_full_refuses_at_once() {
        let queues = ChangeQueues::default();
        let [one, other] = ["one", "other"].map(|id| OrganizationId::parse(id).unwrap());
        let mut all = Vec::new();
        for _ in 0..CHANGES_AT_ONCE_MAX + CHANGES_QUEUED_MAX {
            let mut queued = Box::pin(queues.enter(&one));
            all.push(((&mut queued).now_or_never(), queued));
        }
        let more = queues.enter(&one).now_or_never();
        assert!(matches!(more, Some(Err(Refusal::Unavailable(_)))));
        drop(queues.enter(&other).now_or_never().unwrap());
        all.pop();
        let waits = queues.enter(&one).now_or_never();
        assert!(waits.is_none(), "one place is free");
        drop(all);
        assert!(queues.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_turn_that_does_not_come_is_refused() {
        let queues = ChangeQueues::default();
        let one = OrganizationId::parse("one").unwrap();
        let _under_way = [queues.enter(&one).await, queues.enter(&one).await];
        let refused = queues.enter_within(&one, Duration::ZERO).await;
        assert!(matches!(refused, Err(Refusal::Unavailable(_))));
    }
}
