//! Tests of the queues: who waits for whom, and for how long.

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
async fn several_short_lists_of_a_tenant_are_followed_by_one_pause() {
    let queues = TenantQueues::new(QueueBounds::lists_on(1, 2));
    let enter = || Box::pin(queues.enter(Some(OrganizationId::default_organization())));
    let (mut begun, mut took) = (Instant::now(), Duration::ZERO);
    let mut call = enter().await.unwrap();
    loop {
        // What a task does at one go is bounded; then everything it asks for is put off.
        tokio::task::yield_now().await;
        let mut next = enter();
        assert!((&mut next).now_or_never().is_none());
        drop(call);
        took += begun.elapsed();
        begun = Instant::now();
        let Some(at_once) = (&mut next).now_or_never() else {
            assert!(took >= PAUSE_MIN, "{took:?}");
            drop(next.await.unwrap());
            break;
        };
        call = at_once.unwrap();
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
