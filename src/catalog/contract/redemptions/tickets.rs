//! Tickets: whose they are, and when they are used first.

use super::*;
use crate::catalog::redemptions::DONE_SECONDS;

pub(super) async fn all(catalog: &dyn Catalog) {
    a_call_that_is_made_again_starts_nothing_more(catalog).await;
    a_client_gets_its_own_ticket_again(catalog).await;
    the_first_use_of_a_ticket_counts(catalog).await;
}

async fn a_call_that_is_made_again_starts_nothing_more(catalog: &dyn Catalog) {
    let owner = organization(catalog, "redeem_again").await;
    let of = redeem(&owner, "again", 2);
    for _ in 0..2 {
        assert_eq!(start(catalog, &of).await, Redeemed::Fresh { left: 1 });
    }
    let second = again(&of, NOW);
    for _ in 0..2 {
        assert_eq!(start(catalog, &second).await, Redeemed::Fresh { left: 0 });
    }
    send(catalog, &of, SIZE, NOW).await;
    assert_eq!(start(catalog, &of).await, Redeemed::Fresh { left: 0 });
    assert_eq!(counted(catalog, &of).await, (1, 1, 0));
    let thief = Redeem {
        ticket: of.ticket.clone(),
        ..redeem(&owner, "thief", 2)
    };
    assert_taken(catalog.redeem(&thief).await);
    let link = thief.link.as_ref().unwrap().id;
    assert_eq!(catalog.allowance_of_link(&owner, link).await.unwrap(), None);
}

async fn a_client_gets_its_own_ticket_again(catalog: &dyn Catalog) {
    let owner = organization(catalog, "redeem_same").await;
    let mut of = redeem(&owner, "same", 2);
    of.client = Some([1; 16]);
    let same = |left| Redeemed::Same {
        ticket: of.ticket.clone(),
        left,
    };
    assert_eq!(start(catalog, &of).await, Redeemed::Fresh { left: 1 });
    assert_eq!(start(catalog, &again_by(&of, 1, 9)).await, same(1));
    let mut unknown = again(&of, NOW + 9);
    unknown.client = None;
    assert_eq!(start(catalog, &unknown).await, Redeemed::Fresh { left: 0 });
    assert_eq!(start(catalog, &again_by(&of, 1, 10)).await, same(0));
    assert_eq!(start(catalog, &again_by(&of, 2, 10)).await, held(NOW));
    // In the ten minutes after it was done, too, and not after.
    send(catalog, &of, SIZE, NOW + 100).await;
    let last = 100 + DONE_SECONDS - 1;
    assert_eq!(start(catalog, &again_by(&of, 1, last)).await, same(0));
    assert_eq!(
        start(catalog, &again_by(&of, 1, last + 1)).await,
        held(NOW + 9)
    );
    // One that has ended is nobody's ticket any more.
    let mut short = redeem(&owner, "short", 2);
    short.client = Some([1; 16]);
    short.ticket.expires = at(NOW + 50);
    start(catalog, &short).await;
    let mut next = again_by(&short, 1, 50);
    next.ticket.expires = at(NOW + 99);
    assert_eq!(start(catalog, &next).await, Redeemed::Fresh { left: 0 });
}

async fn the_first_use_of_a_ticket_counts(catalog: &dyn Catalog) {
    let owner = organization(catalog, "redeem_used").await;
    let of = redeem(&owner, "used", 1);
    start(catalog, &of).await;
    let used = async |owner, rid, now| catalog.first_used(owner, rid, at(NOW + now)).await;
    for now in [5, 9, 1] {
        let first = used(&owner, of.ticket.rid, now).await.unwrap();
        assert_eq!(first, at(NOW + 5));
    }
    assert_eq!(
        ticket(catalog, &of).await.redemption.first_at,
        Some(at(NOW + 5))
    );
    assert_missing(used(&owner, rid(), 1).await);
    let other = organization(catalog, "redeem_used_other").await;
    assert_missing(used(&other, of.ticket.rid, 1).await);
}
