//! Idempotency keys: claimed once, completed with the rows, forgotten.

use futures_util::future::join_all;

use super::*;
use crate::catalog::idempotency::{Claim, Claimed, Completed, Completion, KEY_SECONDS, KEYS_MAX};
use crate::catalog::quota::Quota;

pub(super) async fn all(catalog: &dyn Catalog) {
    of_many_claims_one_has_the_key(catalog).await;
    a_claim_ends_by_itself_or_is_given_up(catalog).await;
    a_key_is_completed_with_the_rows_or_not_at_all(catalog).await;
    a_key_means_its_request_for_a_day(catalog).await;
    the_oldest_of_too_many_keys_go(catalog).await;
    claims_are_not_in_the_feed(catalog).await;
}

/// Claims two keys, and completes one of them.
pub(super) async fn two_keys(
    catalog: &dyn Catalog,
    organization: &OrganizationId,
    api_key: &ApiKeyId,
    prefix: &str,
) {
    let claim = |name: &str| Claim {
        api_key: api_key.clone(),
        ..claim(organization, &format!("{prefix} {name}"), 5)
    };
    for name in ["at work", "done"] {
        let claimed = catalog.claim(&claim(name), at(70), at(80)).await;
        assert_eq!(claimed.unwrap(), Claimed::Ours);
    }
    let completion = Completion {
        claim: claim("done"),
        completed: completed("\"done\""),
    };
    let completed = catalog.add_files_within(&[], Quota::NONE, Some(&completion));
    completed.await.unwrap();
}

fn claim(organization: &OrganizationId, key: &str, owner: u8) -> Claim {
    Claim {
        organization: organization.clone(),
        api_key: ApiKeyId::from_random([1; 16]),
        key: key.into(),
        owner: [owner; 16],
    }
}

fn completed(word: &str) -> Completed {
    Completed {
        fingerprint: Sha256Digest::new([3; 32]),
        outcome: word.into(),
    }
}

async fn complete(catalog: &dyn Catalog, of: &Claim, id: &str) -> Result<(), CatalogError> {
    let files = [file(&of.organization, id, 1)];
    let completion = Completion {
        claim: of.clone(),
        completed: completed(id),
    };
    catalog
        .add_files_within(&files, Quota::NONE, Some(&completion))
        .await
}

async fn of_many_claims_one_has_the_key(catalog: &dyn Catalog) {
    let owner = organization(catalog, "keys_one").await;
    let other = organization(catalog, "keys_other").await;
    let claims: Vec<Claim> = (0..20).map(|number| claim(&owner, "k", number)).collect();
    let calls = claims.iter().map(|of| catalog.claim(of, at(100), at(110)));
    let answers: Vec<Claimed> = join_all(calls)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let ours = answers.iter().filter(|answer| **answer == Claimed::Ours);
    assert_eq!(ours.count(), 1);
    let at_work = answers.iter().filter(|answer| **answer == Claimed::AtWork);
    assert_eq!(at_work.count(), 19);
    // Another key, another API key, and another organization have nothing to do with it.
    let of_other_key = Claim {
        api_key: ApiKeyId::from_random([2; 16]),
        ..claim(&owner, "k", 1)
    };
    for free in [claim(&owner, "K", 1), of_other_key, claim(&other, "k", 1)] {
        let answer = catalog.claim(&free, at(100), at(110)).await;
        assert_eq!(answer.unwrap(), Claimed::Ours);
    }
    let nobody = claim(&organization_id("keys_nobody"), "k", 1);
    assert_missing(catalog.claim(&nobody, at(100), at(110)).await);
}

async fn a_claim_ends_by_itself_or_is_given_up(catalog: &dyn Catalog) {
    let owner = organization(catalog, "keys_lease").await;
    let (first, second) = (claim(&owner, "k", 1), claim(&owner, "k", 2));
    let get = async |of: &Claim, now| catalog.claim(of, at(now), at(now + 10)).await.unwrap();
    assert_eq!(get(&first, 100).await, Claimed::Ours);
    assert_eq!(get(&second, 109).await, Claimed::AtWork);
    catalog.renew(&first, at(120)).await.unwrap();
    assert_eq!(get(&second, 119).await, Claimed::AtWork);
    assert_taken(catalog.renew(&second, at(999)).await);
    assert_eq!(get(&second, 120).await, Claimed::Ours, "it is over");
    assert_taken(catalog.renew(&first, at(999)).await);
    assert_taken(complete(catalog, &first, "late").await);
    let late = found(catalog, &owner, &file_id("late")).await;
    assert_eq!(late, None, "nothing is added without the key");
    catalog.release(&first).await.unwrap();
    assert_eq!(get(&first, 121).await, Claimed::AtWork, "it was not theirs");
    catalog.release(&second).await.unwrap();
    catalog.release(&second).await.unwrap();
    assert_eq!(get(&first, 121).await, Claimed::Ours);
}

async fn a_key_is_completed_with_the_rows_or_not_at_all(catalog: &dyn Catalog) {
    let owner = organization(catalog, "keys_done").await;
    let (first, second) = (claim(&owner, "k", 1), claim(&owner, "k", 2));
    assert_taken(complete(catalog, &first, "a").await);
    let claimed = catalog.claim(&first, at(100), at(110)).await.unwrap();
    assert_eq!(claimed, Claimed::Ours);
    catalog.add_file(&file(&owner, "a", 1)).await.unwrap();
    assert_taken(complete(catalog, &first, "a").await);
    let at_work = catalog.claim(&second, at(101), at(111)).await.unwrap();
    assert_eq!(
        at_work,
        Claimed::AtWork,
        "it was not completed without rows"
    );
    complete(catalog, &first, "b").await.unwrap();
    assert_taken(complete(catalog, &first, "c").await);
    assert_taken(catalog.renew(&first, at(999)).await);
    catalog.release(&first).await.unwrap();
    for (of, now) in [(&first, 101), (&second, 200)] {
        let again = catalog.claim(of, at(now), at(now + 10)).await.unwrap();
        assert_eq!(again, Claimed::Completed(completed("b")));
    }
    let b = found(catalog, &owner, &file_id("b")).await;
    assert!(b.is_some());
    let c = found(catalog, &owner, &file_id("c")).await;
    assert_eq!(c, None);
}

async fn a_key_means_its_request_for_a_day(catalog: &dyn Catalog) {
    let owner = organization(catalog, "keys_day").await;
    let (first, second) = (claim(&owner, "k", 1), claim(&owner, "k", 2));
    catalog.claim(&first, at(1_000), at(1_010)).await.unwrap();
    complete(catalog, &first, "a").await.unwrap();
    let again = async |now| catalog.claim(&second, at(now), at(now + 10)).await.unwrap();
    let before = again(1_000 + KEY_SECONDS - 1).await;
    assert_eq!(before, Claimed::Completed(completed("a")));
    assert_eq!(again(1_000 + KEY_SECONDS).await, Claimed::Ours);
    complete(catalog, &second, "b").await.unwrap();
    let claimed_at = 1_000 + KEY_SECONDS;
    assert!(catalog.forget_keys(at(claimed_at - 1), 1_000).await.is_ok());
    assert_eq!(
        again(claimed_at + 1).await,
        Claimed::Completed(completed("b"))
    );
    assert_eq!(catalog.forget_keys(at(claimed_at), 0).await.unwrap(), 0);
    assert_eq!(catalog.forget_keys(at(claimed_at), 9).await.unwrap(), 1);
    assert_eq!(again(claimed_at + 1).await, Claimed::Ours);
}

async fn the_oldest_of_too_many_keys_go(catalog: &dyn Catalog) {
    use crate::catalog::idempotency::KeyRow;
    use crate::catalog::transfer::Row;
    let owner = organization(catalog, "keys_many").await;
    let row = |number: u32| {
        Row::IdempotencyKey(KeyRow {
            claim: claim(&owner, &format!("k{number}"), 1),
            created_at: at(u64::from(1_000 + number)),
            held_until: at(9_000),
            completed: Some(completed("x")),
        })
    };
    let rows: Vec<Row> = (0..KEYS_MAX).map(row).collect();
    for some in rows.chunks(500) {
        catalog.put_rows(some).await.unwrap();
    }
    let now = at(u64::from(1_000 + KEYS_MAX));
    let get = async |key: &str| {
        catalog
            .claim(&claim(&owner, key, 2), now, at(99_999))
            .await
            .unwrap()
    };
    let there = Claimed::Completed(completed("x"));
    assert_eq!(get("k0").await, there);
    assert_eq!(get("one more").await, Claimed::Ours);
    assert_eq!(get("k1").await, there);
    assert_eq!(
        get("k0").await,
        Claimed::Ours,
        "the oldest went, and is new"
    );
    assert_eq!(get("k1").await, Claimed::Ours, "then the next");
    assert_eq!(get("k3").await, there);
    assert_eq!(get("one more").await, Claimed::AtWork);
    for some in rows.chunks(500) {
        catalog.remove_rows(some).await.unwrap();
    }
}

async fn claims_are_not_in_the_feed(catalog: &dyn Catalog) {
    let owner = organization(catalog, "keys_feed").await;
    let of = claim(&owner, "k", 1);
    let before = position(catalog).await;
    catalog.claim(&of, at(100), at(110)).await.unwrap();
    catalog.renew(&of, at(120)).await.unwrap();
    complete(catalog, &of, "a").await.unwrap();
    catalog.forget_keys(at(100), 9).await.unwrap();
    assert_eq!(position(catalog).await, before);
}
