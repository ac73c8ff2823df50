//! Tests of the ownership marker.

use super::*;

fn installation(number: u8) -> InstallationId {
    InstallationId::from_random([number; 16])
}

/// The store of that installation.
fn owned(settings: &StoreSettings, number: u8) -> S3 {
    let owner = Some(installation(number));
    let settings = StoreSettings {
        owner,
        ..settings.clone()
    };
    open(&settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_is_of_whoever_claims_it_first() {
    let Some(settings) = place("owners") else {
        return;
    };
    let of = |number| owned(&settings, number);
    let stores: Vec<S3> = (0..8).map(of).collect();
    let claims = stores.iter().map(|store| store.take_ownership());
    let claims = futures_util::future::join_all(claims).await;
    let first = claims.iter().position(Result::is_ok).unwrap();
    let key = contract::key(9, 0);
    for (number, claim) in claims.into_iter().enumerate() {
        let store = &stores[number];
        if number == first {
            contract::put(store, key, &[b"ours"]).await;
            store.is_reachable(key).await.unwrap();
            continue;
        }
        let ours = installation(u8::try_from(first).unwrap()).to_string();
        for refused in [
            claim,
            store.take_ownership().await,
            store.stage(key).await.map(drop),
            store.is_reachable(key).await,
        ] {
            let refused = refused.unwrap_err();
            let said = refused.to_string();
            assert!(matches!(refused, BlobError::Foreign { .. }), "{said}");
            assert!(said.contains(&ours), "{said}");
        }
    }
    // Another process of the same installation.
    let again = of(u8::try_from(first).unwrap());
    again.take_ownership().await.unwrap();
    // A mark that is none of ours is nobody's to write over.
    let (path, text) = (stores[0].shared.mark_path(), "something else".to_owned());
    stores[0]
        .shared
        .store
        .put(&path, text.into())
        .await
        .unwrap();
    assert!(matches!(
        again.take_ownership().await,
        Err(BlobError::Foreign { .. })
    ));
    // One that was removed is made again.
    stores[0].shared.store.delete(&path).await.unwrap();
    again.expect_no_other().await.unwrap();
    let missing = stores[0].shared.look(&path).await.unwrap();
    assert!(missing.is_none(), "only a claim makes it");
    again.is_reachable(key).await.unwrap();
    assert!(stores[(first + 1) % 8].take_ownership().await.is_err());
    assert!(stores[(first + 1) % 8].expect_no_other().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_that_the_prefix_was_taken_over_writes_no_more() {
    let Some(settings) = place("over") else {
        return;
    };
    let of = |number| owned(&settings, number);
    let (first, second) = (of(1), of(2));
    let [before, during, after] = [1, 2, 3].map(|number| contract::key(12, number));
    contract::put(&first, before, &[b"ours"]).await;
    let mut begun = first.stage(during).await.unwrap();
    begun.write(Bytes::from_static(b"late")).await.unwrap();
    let path = first.shared.mark_path();
    first.shared.store.delete(&path).await.unwrap();
    second.take_ownership().await.unwrap();
    assert!(first.is_reachable(after).await.is_err());
    for refused in [
        begun.commit().await.map(drop),
        first.stage(after).await.map(drop),
    ] {
        assert!(
            matches!(refused, Err(BlobError::Foreign { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(first.list(None, 9).await.unwrap().len(), 1);
    // It is given back.
    first.shared.store.delete(&path).await.unwrap();
    first.take_ownership().await.unwrap();
    contract::put(&first, after, &[b"ours"]).await;
}

/// A store that knows no condition writes over whatever is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_is_anothers_is_looked_at_before_it_is_put() {
    let (mut settings, running) = always("200 OK", "00000000000000000000000000000001\n").await;
    settings.owner = Some(installation(1));
    let store = open(&settings);
    let found = store.is_reachable(contract::key(13, 0)).await;
    assert!(matches!(found, Err(BlobError::Foreign { .. })), "{found:?}");
    let asked = running.asked();
    assert!(
        asked.iter().all(|line| line.starts_with("GET ")),
        "{asked:?}"
    );
    assert!(!asked.is_empty());
}
