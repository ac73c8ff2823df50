//! What changed is forgotten, and nothing else.

use super::*;
use crate::catalog::changes::Changes as _;
use crate::model::file::FileState;

#[tokio::test]
async fn deletes_of_other_files_cost_no_look() {
    let place = place().await;
    let others = ["a", "b", "c", "d"];
    place.add("hot", "bytes").await;
    for other in others {
        place.add(other, "other bytes").await;
    }
    let link = place.mint("hot").await.unwrap();
    place.get(&link).await.unwrap();
    for (number, other) in others.into_iter().enumerate() {
        let gone = place.mint(other).await.unwrap();
        place.get(&gone).await.unwrap();
        if number % 2 == 0 {
            let file = FileId::parse(other).unwrap();
            place.gateway.delete(place.owner(), &file).await.unwrap();
        } else {
            place.delete_elsewhere(other).await;
            place.gateway.refresh().await.unwrap();
        }
        let (bytes, calls) = place.calls(place.get(&link)).await;
        assert_eq!((bytes.unwrap().as_ref(), calls), (&b"bytes"[..], 0));
        let (minted, calls) = place.calls(place.mint("hot")).await;
        assert_eq!((minted.unwrap(), calls), (link.clone(), 0));
        assert_gone(place.get(&gone).await);
    }
}

#[tokio::test]
async fn another_key_that_is_paused_costs_no_look() {
    let place = place().await;
    place.add("hot", "bytes").await;
    place.mint("hot").await.unwrap();
    let new = NewApiKey {
        organization: place.owner().clone(),
        name: String::new(),
        scopes: Scopes::USUAL,
        expires_in: None,
        text: None,
    };
    let (other, text) = place.gateway.create_api_key(new).await.unwrap();
    let known = place.gateway.recognize(&text).await.unwrap();
    assert_eq!(*known.key(), other.id);
    let state = ApiKeyState::Paused;
    let paused = place.gateway.set_api_key_state(&other.id, state);
    paused.await.unwrap();
    assert_eq!(place.calls(place.mint("hot")).await.1, 0);
    let refused = place.gateway.recognize(&text).await;
    assert!(matches!(refused, Err(Refusal::KeyPaused)), "{refused:?}");
}

/// The feed is shorter than what a gateway missed: everything is read anew, and nothing kept from before.
#[tokio::test]
async fn after_a_feed_that_does_not_lead_on_everything_is_forgotten() {
    let place = place().await;
    for id in ["gone", "stays", "other"] {
        place.add(id, "bytes").await;
    }
    let [gone, stays] = ["gone", "stays"].map(|id| place.mint(id));
    let (gone, stays) = (gone.await.unwrap(), stays.await.unwrap());
    for link in [&gone, &stays] {
        place.get(link).await.unwrap();
    }
    place.delete_elsewhere("gone").await;
    place.delete_elsewhere("other").await;
    let trimmed = place.catalog.other.trim_changes(1, 100).await;
    assert_eq!(
        trimmed.unwrap(),
        3,
        "the first entry, the key, and the first delete"
    );
    place.gateway.refresh().await.unwrap();
    assert_gone(place.get(&gone).await);
    let (bytes, calls) = place.calls(place.get(&stays)).await;
    assert!(bytes.is_ok() && calls == 1, "the row is read anew: {calls}");
    // And from there on it follows the feed again.
    let (refreshed, calls) = place.calls(place.gateway.refresh()).await;
    assert!(refreshed.is_ok() && calls == 1, "{calls}");
    let (bytes, calls) = place.calls(place.get(&stays)).await;
    assert!(bytes.is_ok() && calls == 0, "{calls}");
}

/// A change is committed, and the refresh that it waits for hangs: those who ask for something else do not wait.
#[tokio::test]
async fn a_change_keeps_nobody_waiting_but_its_caller() {
    let place = Arc::new(place().await);
    place.add("hot", "bytes").await;
    place.add("other", "other bytes").await;
    let (link, gone) = (
        place.mint("hot").await.unwrap(),
        place.mint("other").await.unwrap(),
    );
    for link in [&link, &gone] {
        place.get(link).await.unwrap();
    }
    let stalled = place.gateway.stall_refreshes().await;
    let other = FileId::parse("other").unwrap();
    let deleting = tokio::spawn({
        let (place, other) = (Arc::clone(&place), other.clone());
        async move { place.gateway.delete(place.owner(), &other).await }
    });
    let row = async || {
        let row = place.catalog.other.file(place.owner(), &other).await;
        row.unwrap().unwrap()
    };
    while row().await.state == FileState::Ready {
        tokio::task::yield_now().await;
    }
    let (bytes, calls) = place.calls(place.get(&link)).await;
    assert_eq!((bytes.unwrap().as_ref(), calls), (&b"bytes"[..], 0));
    assert!(!deleting.is_finished());
    drop(stalled);
    deleting.await.unwrap().unwrap();
    assert_gone(place.get(&gone).await);
}

/// A caller that gave up may have changed something: whoever asks next looks first.
#[tokio::test]
async fn what_nobody_waited_for_is_looked_for_by_the_next_request() {
    let place = place().await;
    place.add("f", "bytes").await;
    let link = place.mint("f").await.unwrap();
    place.get(&link).await.unwrap();
    let file = FileId::parse("f").unwrap();
    let deleting = place.gateway.delete(place.owner(), &file);
    // It is dropped before it has answered.
    let given_up = tokio::time::timeout(Duration::ZERO, deleting).await;
    assert!(given_up.is_err());
    let (_, calls) = place.calls(place.get(&link)).await;
    assert!(calls > 0, "it was answered from memory");
}

#[tokio::test]
async fn a_bad_key_costs_one_look_until_it_is_made() {
    let place = place().await;
    for (made_here, text) in [(true, "hp_made-here"), (false, "hp_made-elsewhere")] {
        let mut costs = Vec::new();
        for _ in 0..3 {
            let (refused, calls) = place.calls(place.gateway.recognize(text)).await;
            assert!(matches!(refused, Err(Refusal::KeyUnknown)), "{refused:?}");
            costs.push(calls);
        }
        assert_eq!(costs, [1, 0, 0], "{text}");
        let new = NewApiKey {
            organization: place.owner().clone(),
            name: String::new(),
            scopes: Scopes::USUAL,
            expires_in: None,
            text: Some(text.to_owned()),
        };
        let id = if made_here {
            place.gateway.create_api_key(new).await.unwrap().0.id
        } else {
            let (key, _) = place.gateway.new_api_key(new).await.unwrap();
            place.catalog.other.create_api_key(&key).await.unwrap();
            place.gateway.refresh().await.unwrap();
            key.id
        };
        let known = place.gateway.recognize(text).await.unwrap();
        assert_eq!(*known.key(), id);
    }
    // What is kept of a bad key is as long as any other true as of a refresh.
    let unknown = "hp_never-made";
    assert!(place.gateway.recognize(unknown).await.is_err());
    let _stalled = place.gateway.stall_refreshes().await;
    tokio::time::sleep(STALENESS_MAX).await;
    let (refused, calls) = place.calls(place.gateway.recognize(unknown)).await;
    assert!(refused.is_err() && calls == 1, "{calls}");
}

#[tokio::test]
async fn many_requests_at_once_with_one_bad_key_cost_one_read() {
    let place = Arc::new(place().await);
    let (seen, go_on) = place.catalog.hesitate_in("looking for an API key");
    place.catalog.calls();
    let asking: Vec<_> = (0..5)
        .map(|_| {
            let gateway = Arc::clone(&place.gateway);
            tokio::spawn(async move { gateway.recognize("hp_of-nobody").await })
        })
        .collect();
    // All of them have found that nobody knows yet.
    seen.await.unwrap();
    go_on.send(()).unwrap();
    for asked in asking {
        let refused = asked.await.unwrap();
        assert!(matches!(refused, Err(Refusal::KeyUnknown)), "{refused:?}");
    }
    assert_eq!(place.catalog.calls(), 1);
}

/// As an app that acts as it is made with its key.
#[tokio::test]
async fn a_key_that_is_made_with_an_app_works_at_once() {
    let place = place().await;
    let text = "hp_of-an-app";
    assert!(place.gateway.recognize(text).await.is_err());
    let new = NewApiKey {
        organization: place.owner().clone(),
        name: String::new(),
        scopes: Scopes::USUAL,
        expires_in: None,
        text: Some(text.to_owned()),
    };
    let (key, ..) = place.gateway.create_app(new, None).await.unwrap();
    let known = place.gateway.recognize(text).await.unwrap();
    assert_eq!(*known.key(), key.id);
}
