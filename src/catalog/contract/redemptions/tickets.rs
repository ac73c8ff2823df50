//! Tickets: whose they are, when they are used first, and that nothing is counted twice of them.

use super::*;
use crate::catalog::redemptions::DONE_SECONDS;

pub(super) async fn all(catalog: &dyn Catalog) {
    a_call_that_is_made_again_starts_nothing_more(catalog).await;
    a_client_gets_its_own_ticket_again(catalog).await;
    a_ticket_is_of_one_file_and_one_password(catalog).await;
    the_first_use_of_a_ticket_counts(catalog).await;
    one_whose_bytes_are_not_counted_is_done_at_once(catalog).await;
    a_batch_is_added_once(catalog).await;
}

async fn one_whose_bytes_are_not_counted_is_done_at_once(catalog: &dyn Catalog) {
    let owner = organization(catalog, "redeem_at_start").await;
    let mut of = redeem(&owner, "at_start", 2);
    of.is_done_at_start = true;
    for left in [1, 0] {
        let next = again(&of, NOW);
        assert_eq!(start(catalog, &next).await, Redeemed::Fresh { left });
        let found = ticket(catalog, &next).await.redemption;
        assert_eq!((found.state, found.size), (RedemptionState::Done, SIZE));
        assert_eq!(found.done_at, Some(at(NOW)));
        // Bytes that are counted of it all the same change nothing.
        send(catalog, &next, 2 * SIZE, NOW + 1).await;
        assert_eq!(counted(catalog, &next).await, (2 - left, 0, 0));
    }
    let none = start(catalog, &again(&of, NOW)).await;
    assert_eq!(none, Redeemed::Exhausted);
}

/// The answer to a batch may be lost: what is tried again adds nothing.
async fn a_batch_is_added_once(catalog: &dyn Catalog) {
    let owner = organization(catalog, "redeem_batch").await;
    let of = redeem(&owner, "batch", 1);
    start(catalog, &of).await;
    let first = batch(&[bytes_of(&of, 3, NOW)]);
    let next = SentBatch {
        number: 5,
        ..first.clone()
    };
    let other = batch(&first.sent);
    for (batch, sum) in [
        (&first, 3),
        (&first, 3),
        (&next, 6),
        (&next, 6),
        (&first, 6),
        (&other, 9),
    ] {
        let damaged = catalog.add_redeemed(batch).await.unwrap();
        assert_eq!(damaged, []);
        assert_eq!(ticket(catalog, &of).await.redemption.bytes_sent, sum);
    }
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

async fn a_ticket_is_of_one_file_and_one_password(catalog: &dyn Catalog) {
    let owner = organization(catalog, "redeem_of_file").await;
    let mut of = redeem(&owner, "of_file", 9);
    of.client = Some([1; 16]);
    let mut left = 9;
    for file in [Some("f"), Some("g"), None] {
        for pass_revision in [None, Some(0), Some(1)] {
            of = again(&of, NOW);
            (of.file, of.pass_revision) = (file.map(file_id), pass_revision);
            left -= 1;
            assert_eq!(start(catalog, &of).await, Redeemed::Fresh { left });
            let same = Redeemed::Same {
                ticket: of.ticket.clone(),
                left,
            };
            assert_eq!(start(catalog, &again(&of, NOW + 1)).await, same);
        }
    }
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
