//! Counted downloads of many callers at once, through one catalogue or several.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::*;
use crate::catalog::transfer::Kind;

/// Of 40 callers at once, as many start a download as are allowed, and no more once those are done.
pub(crate) async fn of_many_at_once_no_more_start_than_are_allowed(catalogs: &[&dyn Catalog]) {
    let owner = organization(catalogs[0], "redeem_race").await;
    for allowed in [1, 5] {
        let first = redeem(&owner, &format!("race{allowed}"), allowed);
        let mut all: Vec<Redeem> = (0..40).map(|client| again_by(&first, client, 0)).collect();
        let ask = async |all: &[Redeem]| {
            let calls = all.iter().enumerate();
            let calls = calls.map(|(number, of)| catalogs[number % catalogs.len()].redeem(of));
            let answers = join_all(calls).await.into_iter();
            answers.map(Result::unwrap).collect::<Vec<Redeemed>>()
        };
        let answers = ask(&all).await;
        let mut lefts: Vec<u64> = answers.iter().filter_map(left).collect();
        lefts.sort_unstable();
        assert_eq!(lefts, (0..allowed).collect::<Vec<_>>(), "{answers:?}");
        let refused = answers.iter().filter(|answer| **answer == held(NOW));
        assert_eq!(refused.count() as u64, 40 - allowed);
        let started = all.iter().zip(&answers);
        let started = started.filter(|(_, answer)| left(answer).is_some());
        let started: Vec<&Redeem> = started.map(|(of, _)| of).collect();
        // Eight connections of each hand its bytes over.
        let sent = |of: &&Redeem| Sent {
            rid: of.ticket.rid,
            bytes: SIZE.div_ceil(8),
            at: at(NOW + 1),
        };
        let sent: Vec<[Sent; 1]> = started.iter().map(sent).map(|sent| [sent]).collect();
        let eight: Vec<SentBatch> = (0..8).flat_map(|_| &sent).map(|sent| batch(sent)).collect();
        let calls = eight.iter().enumerate();
        let calls =
            calls.map(|(number, sent)| catalogs[number % catalogs.len()].add_redeemed(sent));
        for added in join_all(calls).await {
            assert_eq!(added.unwrap(), []);
        }
        let link = first.link.clone().unwrap().id;
        let of_link = catalogs[0].allowance_of_link(&owner, link).await;
        let of_link = of_link.unwrap().unwrap();
        assert_eq!((of_link.done, of_link.open), (allowed, 0));
        assert_eq!(of_link.bytes_sent, allowed * 8 * SIZE.div_ceil(8));
        all = all.iter().map(|of| again_by(of, 99, 2)).collect();
        let answers = ask(&all).await;
        let is_over = |answer: &Redeemed| *answer == Redeemed::Exhausted;
        assert!(answers.iter().all(is_over), "{answers:?}");
    }
}

const fn left(answer: &Redeemed) -> Option<u64> {
    match answer {
        Redeemed::Fresh { left } => Some(*left),
        _ => None,
    }
}

/// Many callers start, send, start again and forget, several links in one call and in any order: nobody waits in a
/// circle, and what is counted is what the rows are.
pub(crate) async fn what_many_do_at_once_is_counted_right(catalogs: &[&dyn Catalog]) {
    const STEPS: u64 = 25;
    let owner = organization(catalogs[0], "redeem_storm").await;
    let links: Vec<Redeem> = (0..4)
        .map(|number| redeem(&owner, &format!("storm{number}"), 9))
        .collect();
    let started = Mutex::new(Vec::new());
    let caller = async |number: u64| {
        let catalog = catalogs[usize::try_from(number).unwrap() % catalogs.len()];
        let mut dice = rules::Dice::new(number);
        for step in 0..STEPS {
            let now = NOW + step * 300;
            let some: Vec<RedemptionId> = {
                let all = started.lock().unwrap();
                let any = |_| all.get(dice.below(all.len().max(1))).copied();
                (0..6).filter_map(any).collect()
            };
            match dice.below(4) {
                0 => {
                    let of = again(&links[dice.below(4)], now);
                    if left(&catalog.redeem(&of).await.unwrap()).is_some() {
                        started.lock().unwrap().push(of.ticket.rid);
                    }
                }
                1 if !some.is_empty() => {
                    catalog.reopen(&owner, some[0], at(now)).await.unwrap();
                    catalog.first_used(&owner, some[0], at(now)).await.unwrap();
                }
                2 => {
                    catalog.forget_redemptions(at(1), 50).await.unwrap();
                }
                _ => {
                    let sent = some.iter().map(|rid| Sent {
                        rid: *rid,
                        bytes: dice.below(60) as u64,
                        at: at(now),
                    });
                    let sent: Vec<Sent> = sent.collect();
                    catalog.add_redeemed(&batch(&sent)).await.unwrap();
                }
            }
        }
    };
    join_all((0..12).map(caller)).await;
    let started = started.into_inner().unwrap();
    assert!(started.len() > 24, "{}", started.len());
    assert_counted(catalogs[0], &owner).await;
}

/// A start whose answer nobody waited for is made again with its id, and counts once.
pub(crate) async fn a_start_that_was_dropped_counts_once(
    catalog: &dyn Catalog,
    patience: Duration,
) {
    const TURNS: u32 = 150;
    let owner = organization(catalog, "redeem_dropped").await;
    let first = redeem(&owner, "dropped", 2 * u64::from(TURNS));
    let mut done = 0;
    for turn in 0..TURNS {
        let of = again(&first, NOW + u64::from(turn));
        let dropped = timeout(patience * turn, catalog.redeem(&of)).await;
        done += u32::from(dropped.is_ok());
        let answer = start(catalog, &of).await;
        let left = 2 * u64::from(TURNS) - u64::from(turn) - 1;
        assert_eq!(answer, Redeemed::Fresh { left }, "{turn}");
    }
    println!("{done} of {TURNS} starts were answered");
    assert_counted(catalog, &owner).await;
}

/// A batch whose answer nobody waited for is tried again, and counts once.
pub(crate) async fn a_batch_that_was_dropped_counts_once(
    catalog: &dyn Catalog,
    patience: Duration,
) {
    const TURNS: u32 = 150;
    let owner = organization(catalog, "sent_dropped").await;
    let mut of = redeem(&owner, "sent", 1);
    of.size = 1_000;
    start(catalog, &of).await;
    let mut batch = batch(&[bytes_of(&of, 1, NOW)]);
    let mut done = 0;
    for turn in 0..TURNS {
        batch.number = u64::from(turn) + 1;
        let dropped = timeout(patience * turn, catalog.add_redeemed(&batch)).await;
        done += u32::from(dropped.is_ok());
        assert_eq!(catalog.add_redeemed(&batch).await.unwrap(), []);
        let sent = ticket(catalog, &of).await.redemption.bytes_sent;
        assert_eq!(sent, u64::from(turn) + 1);
    }
    println!("{done} of {TURNS} batches were answered");
}

/// Starts a download of each of so many links, whose tickets have ended by [`NOW`].
pub(crate) async fn started(catalog: &dyn Catalog, links: u64) -> Vec<Redeem> {
    let owner = organization(catalog, "redeem_damaged").await;
    let mut all = Vec::new();
    for number in 0..links {
        let mut of = redeem(&owner, &format!("damaged{number}"), 1);
        of.now = at(NOW - 200_000);
        of.ticket.expires = at(NOW - 100_000);
        start(catalog, &of).await;
        all.push(of);
    }
    all
}

/// Of downloads of which the first and the last are damaged, those alone are left out.
pub(crate) async fn the_first_and_the_last_are_left_out(catalog: &dyn Catalog, all: &[Redeem]) {
    let rid = |of: &Redeem| of.ticket.rid;
    let sent: Vec<Sent> = all
        .iter()
        .map(|of| bytes_of(of, 5, NOW - 200_000))
        .collect();
    let mut damaged = catalog.add_redeemed(&batch(&sent)).await.unwrap();
    damaged.sort_unstable();
    let [first, .., last] = all else {
        panic!("there are some")
    };
    assert_eq!(damaged, [rid(first), rid(last)]);
    for of in &all[1..all.len() - 1] {
        assert_eq!(ticket(catalog, of).await.redemption.bytes_sent, 5);
    }
    for of in [first, last] {
        let reopened = catalog.reopen(&of.organization, rid(of), at(NOW - 150_000));
        let reopened = reopened.await;
        let is_corrupt = matches!(reopened, Err(CatalogError::Corrupt { .. }));
        assert!(is_corrupt, "{reopened:?}");
    }
    while catalog.forget_redemptions(at(NOW), 9).await.unwrap() > 0 {}
    for of in &all[1..all.len() - 1] {
        let found = catalog.redemption(&of.organization, rid(of)).await.unwrap();
        assert_eq!(found, None);
    }
}

/// Says no where an allowance of an organization is not what its downloads are.
pub(super) async fn assert_counted(catalog: &dyn Catalog, owner: &OrganizationId) {
    let mut downloads: BTreeMap<Subject, Vec<Redemption>> = BTreeMap::new();
    for row in transfer::rows_of(catalog, Kind::Redemption, 500).await {
        if let Row::Redemption(of) = row
            && of.organization == *owner
        {
            downloads.entry(of.subject.clone()).or_default().push(*of);
        }
    }
    for row in transfer::rows_of(catalog, Kind::Allowance, 500).await {
        if let Row::Allowance(of) = row
            && of.organization == *owner
        {
            let of_it = downloads.remove(&of.subject).unwrap();
            assert_right(&of, &of_it);
        }
    }
    assert!(downloads.is_empty());
}

/// Says no where an allowance is not what all its downloads are, each of which has this size.
pub(super) fn assert_right(of: &Allowance, downloads: &[Redemption]) {
    let in_state = |state| downloads.iter().filter(move |of| of.state == state);
    let counts = of.counts;
    assert_eq!(
        counts.open,
        in_state(RedemptionState::Open).count() as u64,
        "{of:?}"
    );
    // Each download that is spent was done, or is a file's worth of lapsed bytes.
    let spent = i128::from(counts.done) - in_state(RedemptionState::Done).count() as i128;
    let lapsed = in_state(RedemptionState::Lapsed).map(|of| i128::from(of.bytes_sent));
    let size = i128::from(SIZE);
    assert_eq!(
        lapsed.sum::<i128>(),
        spent * size + i128::from(counts.lapsed_bytes),
        "{of:?}"
    );
    assert!(i128::from(counts.lapsed_bytes) < size, "{of:?}");
    let bytes = downloads.iter().map(|of| of.bytes_sent);
    assert_eq!(of.bytes, bytes.sum::<u64>(), "{of:?}");
    for of in downloads {
        let is_whole = of.bytes_sent >= of.size;
        assert_eq!(of.done_at.is_some(), of.state == RedemptionState::Done);
        assert!(of.state != RedemptionState::Open || !is_whole, "{of:?}");
        assert!(of.state != RedemptionState::Done || is_whole, "{of:?}");
    }
}
