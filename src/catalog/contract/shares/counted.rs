//! The counters of shares.

use super::*;

pub(super) async fn all(catalog: &dyn Catalog) {
    what_is_counted_is_added_up(catalog).await;
    guesses_are_counted_by_the_hour(catalog).await;
}

async fn what_is_counted_is_added_up(catalog: &dyn Catalog) {
    let owner = organization(catalog, "share_count").await;
    let share = make(catalog, share_of(&owner, "count"), &[]).await.share;
    let counts = async |id: &ShareId| catalog.share_counts(&owner, id).await.unwrap();
    assert_eq!(counts(&share.id).await, ShareCounts::default());
    let before = position(catalog).await;
    let unknown = share_of(&owner, "unknown");
    let earlier = ShareCount {
        first_opened_at: Some(at(30)),
        ..a_count(&share)
    };
    let nothing = ShareCount {
        counts: Counts::default(),
        opened: 0,
        first_opened_at: None,
        ..a_count(&share)
    };
    let all = [a_count(&share), a_count(&unknown), earlier, nothing];
    catalog.add_share_counts(&all[..2]).await.unwrap();
    catalog.add_share_counts(&all[1..]).await.unwrap();
    catalog.add_share_counts(&[]).await.unwrap();
    let mut wanted = ShareCounts {
        counts: Counts {
            downloads: 6,
            whole: 4,
            bytes_sent: 2 << 40,
            last_at: Some(at(50)),
        },
        opened: 10,
        first_opened_at: Some(at(30)),
        done: 0,
        open: 0,
    };
    assert_eq!(counts(&share.id).await, wanted);
    assert_eq!(counts(&unknown.id).await, ShareCounts::default());
    let huge = ShareCount {
        opened: u64::MAX,
        ..a_count(&share)
    };
    catalog.add_share_counts(&[huge]).await.unwrap();
    wanted.counts.add(&a_count(&share).counts);
    wanted.opened = i64::MAX.cast_unsigned();
    assert_eq!(counts(&share.id).await, wanted);
    let listed = catalog.shares(&owner, None, None, 1).await.unwrap();
    assert_eq!(listed[0].counts, wanted);
    let many = vec![a_count(&share); SHARE_COUNTS_ADDED_MAX + 1];
    let refused = catalog.add_share_counts(&many).await;
    assert!(matches!(refused, Err(CatalogError::Limit { .. })));
    assert_eq!(position(catalog).await, before, "counting is no change");
}

async fn guesses_are_counted_by_the_hour(catalog: &dyn Catalog) {
    let owner = organization(catalog, "share_guess").await;
    let share = make(catalog, share_of(&owner, "guess"), &[]).await.share;
    let add = async |now| catalog.add_guess(&owner, &share.id, at(now)).await.unwrap();
    let guesses = async |now| catalog.guesses(&owner, &share.id, at(now)).await.unwrap();
    catalog.add_share_counts(&[a_count(&share)]).await.unwrap();
    assert_eq!(guesses(10_000).await, 0);
    assert_eq!(add(10_000).await, 1);
    assert_eq!(add(10_001).await, 2);
    let end = 10_000 + GUESS_SECONDS;
    assert_eq!((guesses(end - 1).await, guesses(end).await), (2, 0));
    assert_eq!(add(end - 1).await, 3);
    // By a clock that is behind.
    assert_eq!(add(9_000).await, 4);
    assert_eq!(add(end).await, 1);
    assert_eq!(guesses(end).await, 1);
    let unknown = share_id("unknown");
    assert_missing(catalog.add_guess(&owner, &unknown, at(1)).await);
    let of_unknown = catalog.guesses(&owner, &unknown, at(1)).await;
    assert_eq!(of_unknown.unwrap(), 0);
    let counted = catalog.share_counts(&owner, &share.id).await.unwrap();
    assert_eq!(counted.opened, 5, "what else is counted stays");
}
