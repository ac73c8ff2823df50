//! Many who ask at once for what is not there.

use std::future::pending;

use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::*;
use crate::gateway::cache::single_flight::SingleFlight;

/// A number, read between the changes of a gateway whose memory is fresh.
fn flights() -> (Arc<SingleFlight<&'static str, u32>>, RowsAt) {
    (Arc::default(), RowsAt::sample(1))
}

#[tokio::test]
async fn a_thousand_mints_of_a_cold_file_ask_once() {
    let place = place().await;
    place.add("f", "bytes").await;
    place.forget_all();
    let minting = (0..1_000).map(|_| place.mint("f"));
    let (minted, calls) = place.calls(join_all(minting)).await;
    assert!(minted.iter().all(Result::is_ok));
    // The key, and the row.
    assert_eq!(calls, 2);
    let link = minted.into_iter().next().unwrap().unwrap();
    place.forget_all();
    let (opened, calls) = place
        .calls(join_all((0..1_000).map(|_| place.get(&link))))
        .await;
    assert!(opened.iter().all(Result::is_ok));
    assert_eq!(calls, 1);
    assert_eq!(place.gateway.cache.files.flights.count(), 0);
}

/// A look has read the row and hesitates; then the file is deleted. Who asks after that does not wait for
/// the old look, and is not answered with what it found.
#[tokio::test]
async fn who_asks_after_a_delete_does_not_join_a_read_of_before() {
    for by_this_process in [true, false] {
        let place = Arc::new(place().await);
        place.add("f", "bytes").await;
        place.forget_all();
        let (seen, go_on) = place.catalog.hesitate();
        let early: Vec<_> = (0..10)
            .map(|_| {
                let place = Arc::clone(&place);
                tokio::spawn(async move { place.mint("f").await })
            })
            .collect();
        seen.await.unwrap();
        let file = FileId::parse("f").unwrap();
        if by_this_process {
            place.gateway.delete(place.owner(), &file).await.unwrap();
        } else {
            place.delete_elsewhere("f").await;
            place.gateway.refresh().await.unwrap();
        }
        let late = join_all((0..10).map(|_| place.mint("f"))).await;
        for minted in late {
            assert!(matches!(minted, Err(Refusal::FileNotFound)), "{minted:?}");
        }
        go_on.send(()).unwrap();
        for minted in join_all(early).await {
            // Each began before the file was deleted, and may be answered either way.
            let minted = minted.unwrap();
            assert!(
                matches!(minted, Ok(_) | Err(Refusal::FileNotFound)),
                "{minted:?}"
            );
        }
        assert_eq!(place.gateway.cache.files.flights.count(), 0);
    }
}

/// It may have been made since the reading began.
#[tokio::test]
async fn what_was_not_there_is_looked_for_by_everybody() {
    let (flights, at) = flights();
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let first = tokio::spawn({
        let (flights, begun, go_on) =
            (Arc::clone(&flights), Arc::clone(&begun), Arc::clone(&go_on));
        async move {
            let read = || async {
                begun.notify_one();
                go_on.notified().await;
                Ok(None)
            };
            flights.read("key", Some(at), read).await
        }
    });
    begun.notified().await;
    let made = || async { Ok(Some(7)) };
    let second = flights.read("key", Some(at), made);
    let ((), second) = tokio::join!(async { go_on.notify_one() }, second);
    assert_eq!(second.unwrap(), Some(7));
    assert_eq!(first.await.unwrap().unwrap(), None);
    assert_eq!(flights.count(), 0);
}

#[tokio::test]
async fn a_failure_is_everybody_s_and_the_next_one_asks_again() {
    let (flights, at) = flights();
    let asked = std::sync::atomic::AtomicU32::new(0);
    let failing = || async {
        asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        tokio::task::yield_now().await;
        Err(Refusal::Unavailable("away".into()))
    };
    let all = join_all((0..100).map(|_| flights.read("key", Some(at), failing))).await;
    for outcome in all {
        assert!(matches!(outcome, Err(Refusal::Unavailable(why)) if why == "away"));
    }
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1);
    let well = flights.read("key", Some(at), || async { Ok(Some(1)) });
    assert_eq!(well.await.unwrap(), Some(1));
    assert_eq!(flights.count(), 0);
}

#[tokio::test]
async fn who_gives_up_leaves_the_reading_to_the_next_and_nothing_behind() {
    let (flights, at) = flights();
    let hanging = || pending::<Result<Option<u32>, Refusal>>();
    let moment = Duration::from_millis(20);
    let first = timeout(moment, flights.read("key", Some(at), hanging));
    let second = flights.read("key", Some(at), || async { Ok(Some(2)) });
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_err());
    assert_eq!(second.unwrap(), Some(2));
    assert!(
        timeout(moment, flights.read("key", Some(at), hanging))
            .await
            .is_err()
    );
    assert_eq!(flights.count(), 0);
}

#[tokio::test]
async fn reads_between_other_changes_and_of_other_keys_are_apart() {
    let (flights, at) = flights();
    let number = |number| move || async move { Ok(Some(number)) };
    let (one, two, three, four) = tokio::join!(
        flights.read("a", Some(at), number(1)),
        flights.read("b", Some(at), number(2)),
        flights.read("a", Some(RowsAt::sample(2)), number(3)),
        flights.read("a", None, number(4)),
    );
    let found = [one, two, three, four].map(|found| found.unwrap().unwrap());
    assert_eq!(found, [1, 2, 3, 4]);
}

/// As behind a catalogue that was away for a while: everybody finds the memory too old.
#[tokio::test]
async fn a_thousand_who_look_at_once_look_once() {
    let place = Arc::new(place().await);
    let stalled = place.gateway.stall_refreshes().await;
    let looking: Vec<_> = (0..1_000)
        .map(|_| {
            let place = Arc::clone(&place);
            tokio::spawn(async move { place.gateway.refresh().await.is_ok() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    place.catalog.calls();
    drop(stalled);
    for looked in join_all(looking).await {
        assert!(looked.unwrap());
    }
    assert_eq!(place.catalog.calls(), 1);
    place.gateway.refresh().await.unwrap();
    assert_eq!(place.catalog.calls(), 1, "who comes later looks anew");
}
