//! Downloads that lapse, and that start again.

use super::*;
use crate::catalog::redemptions::LAPSED_MAX;

pub(super) async fn all(catalog: &dyn Catalog) {
    what_sends_nothing_lapses_once_it_is_in_the_way(catalog).await;
    so_many_lapse_at_once_and_no_more(catalog).await;
    a_byte_short_of_the_file_lapses_and_the_last_one_spends_it(catalog).await;
    a_lapsed_download_starts_again_where_one_is_left(catalog).await;
}

async fn what_sends_nothing_lapses_once_it_is_in_the_way(catalog: &dyn Catalog) {
    let owner = organization(catalog, "redeem_lapse").await;
    let first = redeem(&owner, "lapse", 2);
    let second = again(&first, NOW + 1);
    for of in [&first, &second] {
        start(catalog, of).await;
    }
    send(catalog, &first, 40, NOW + 5).await;
    let asked = |seconds| again(&first, NOW + seconds);
    assert_eq!(
        start(catalog, &asked(LAPSE_SECONDS)).await,
        held(NOW + 1),
        "the one that will lapse first"
    );
    let third = asked(LAPSE_SECONDS + 1);
    assert_eq!(start(catalog, &third).await, Redeemed::Fresh { left: 0 });
    assert_eq!(state(catalog, &first).await, RedemptionState::Open);
    assert_eq!(state(catalog, &second).await, RedemptionState::Lapsed);
    assert_eq!(counted(catalog, &first).await, (0, 2, 0));
    // Both that are open may lapse by now, and do so though one would be enough.
    let fourth = asked(9 * LAPSE_SECONDS);
    assert_eq!(start(catalog, &fourth).await, Redeemed::Fresh { left: 1 });
    assert_eq!(counted(catalog, &first).await, (0, 1, 40));
    // Where another one can be started, nothing lapses.
    let fifth = asked(19 * LAPSE_SECONDS);
    assert_eq!(start(catalog, &fifth).await, Redeemed::Fresh { left: 0 });
    assert_eq!(state(catalog, &fourth).await, RedemptionState::Open);
}

async fn so_many_lapse_at_once_and_no_more(catalog: &dyn Catalog) {
    let owner = organization(catalog, "redeem_crowd").await;
    let crowd = u64::from(LAPSED_MAX) + 20;
    let first = redeem(&owner, "crowd", crowd);
    start(catalog, &first).await;
    for number in 1..crowd {
        start(catalog, &again(&first, NOW + number)).await;
    }
    assert_eq!(counted(catalog, &first).await, (0, crowd, 0));
    let next = again(&first, NOW + crowd + LAPSE_SECONDS);
    let left = u64::from(LAPSED_MAX) - 1;
    assert_eq!(start(catalog, &next).await, Redeemed::Fresh { left });
    assert_eq!(state(catalog, &first).await, RedemptionState::Lapsed);
    assert_eq!(counted(catalog, &first).await, (0, 21, 0));
}

async fn a_byte_short_of_the_file_lapses_and_the_last_one_spends_it(catalog: &dyn Catalog) {
    let owner = organization(catalog, "redeem_short").await;
    let later = NOW + LAPSE_SECONDS;
    for (name, by) in [("late", "a late record"), ("next", "the next download")] {
        let of = redeem(&owner, name, 1);
        start(catalog, &of).await;
        send(catalog, &of, SIZE - 1, NOW).await;
        let next = again(&of, later);
        assert_eq!(start(catalog, &next).await, Redeemed::Fresh { left: 0 });
        assert_eq!(counted(catalog, &of).await, (0, 1, 109));
        let sends = if name == "late" { &of } else { &next };
        send(catalog, sends, 1, later + 1).await;
        let after = again(&of, later + 2 * LAPSE_SECONDS);
        assert_eq!(start(catalog, &after).await, Redeemed::Exhausted, "{by}");
        assert_eq!(counted(catalog, &of).await, (1, 0, 0), "{by}");
        assert_eq!(ticket(catalog, &of).await.allowance.bytes, SIZE);
    }
    // What two of them have sent that lapsed is more than one file: neither comes back.
    let of = redeem(&owner, "back", 1);
    start(catalog, &of).await;
    send(catalog, &of, SIZE - 1, NOW).await;
    let next = again(&of, later);
    start(catalog, &next).await;
    send(catalog, &next, 100, later).await;
    let after = later + LAPSE_SECONDS;
    assert_eq!(reopen(catalog, &of, after).await, RedemptionState::Lapsed);
    assert_eq!(counted(catalog, &of).await, (1, 0, 99));
}

async fn a_lapsed_download_starts_again_where_one_is_left(catalog: &dyn Catalog) {
    let owner = organization(catalog, "redeem_reopen").await;
    let of = redeem(&owner, "reopen", 1);
    start(catalog, &of).await;
    assert_eq!(reopen(catalog, &of, NOW).await, RedemptionState::Open);
    send(catalog, &of, 100, NOW).await;
    let later = NOW + LAPSE_SECONDS;
    let other = again(&of, later);
    start(catalog, &other).await;
    assert_eq!(reopen(catalog, &of, later).await, RedemptionState::Lapsed);
    // The other one sends nothing, and makes way.
    let later = later + LAPSE_SECONDS;
    assert_eq!(reopen(catalog, &of, later).await, RedemptionState::Open);
    assert_eq!(state(catalog, &other).await, RedemptionState::Lapsed);
    assert_eq!(counted(catalog, &of).await, (0, 1, 0));
    assert_eq!(start(catalog, &again(&of, later)).await, held(later));
    send(catalog, &of, 10, later + 5).await;
    assert_eq!(reopen(catalog, &of, later).await, RedemptionState::Done);
    assert_eq!(counted(catalog, &of).await, (1, 0, 0));
    assert_eq!(
        reopen(catalog, &other, later + 9).await,
        RedemptionState::Lapsed
    );
    // One whose bytes spent a download while it had lapsed takes them with it, and is done at once.
    let whole = redeem(&owner, "whole", 2);
    start(catalog, &whole).await;
    start(catalog, &again(&whole, NOW + 1)).await;
    start(catalog, &again(&whole, later)).await;
    send(catalog, &whole, SIZE, later).await;
    assert_eq!(counted(catalog, &whole).await, (1, 1, 0));
    let later = later + LAPSE_SECONDS;
    assert_eq!(reopen(catalog, &whole, later).await, RedemptionState::Done);
    assert_eq!(counted(catalog, &whole).await, (2, 0, -110));
    // A ticket that has ended stays as it is.
    let mut short = redeem(&owner, "ends", 2);
    short.ticket.expires = at(NOW + LAPSE_SECONDS);
    start(catalog, &short).await;
    start(catalog, &again(&short, NOW)).await;
    let next = Redeem {
        ticket: again(&of, NOW).ticket,
        ..again(&short, NOW + LAPSE_SECONDS)
    };
    start(catalog, &next).await;
    for now in [LAPSE_SECONDS, 2 * LAPSE_SECONDS] {
        let reopened = reopen(catalog, &short, NOW + now).await;
        assert_eq!(reopened, RedemptionState::Lapsed);
    }
    assert_missing(catalog.reopen(&owner, rid(), at(NOW)).await);
    let other = organization(catalog, "redeem_reopen_other").await;
    assert_missing(catalog.reopen(&other, of.ticket.rid, at(NOW)).await);
}
