//! Retention of counted downloads: which rows are removed, and when; and how they are recounted.

use super::*;
use crate::catalog::redemptions::{DONE_SECONDS, KEPT_SECONDS};
use crate::catalog::transfer::Kind;

pub(super) async fn all(catalog: &dyn Catalog) {
    clients_go_when_their_tickets_are_dead(catalog).await;
    downloads_go_a_day_after_their_tickets_and_allowances_after_them(catalog).await;
    writers_go_a_day_after_their_last_batch(catalog).await;
    a_share_s_allowance_stays(catalog).await;
    open_downloads_are_counted_anew(catalog).await;
}

/// Earlier than all that any other check has end.
const THEN: u64 = 200_000;

/// The start of a download whose ticket ends after 1,000 seconds, and its link after 2,000.
fn early(owner: &OrganizationId, link: &str) -> Redeem {
    let mut of = redeem(owner, link, 5);
    of.now = at(THEN);
    of.expires = Some(at(THEN + 2_000));
    of.ticket.expires = at(THEN + 1_000);
    of.client = Some([1; 16]);
    of.starter = Some([2; 32]);
    of
}

async fn forget(catalog: &dyn Catalog, now: u64, limit: u32) -> u64 {
    catalog.forget_redemptions(at(now), limit).await.unwrap()
}

async fn clients_go_when_their_tickets_are_dead(catalog: &dyn Catalog) {
    let owner = organization(catalog, "forget_clients").await;
    let open = early(&owner, "clients");
    let mut done = again_by(&open, 3, 0);
    done.starter = None;
    done.now = open.now;
    let mut unknown = again(&open, THEN);
    (unknown.client, unknown.starter) = (None, None);
    for of in [&open, &done, &unknown] {
        start(catalog, of).await;
    }
    send(catalog, &done, SIZE, THEN + 10).await;
    let known = async |of: &Redeem| {
        let found = ticket(catalog, of).await.redemption;
        (found.client.is_some(), found.starter.is_some())
    };
    assert_eq!(forget(catalog, THEN + 10 + DONE_SECONDS - 1, 9).await, 0);
    assert_eq!(known(&done).await, (true, false));
    assert_eq!(forget(catalog, THEN + 10 + DONE_SECONDS, 0).await, 0);
    assert_eq!(forget(catalog, THEN + 10 + DONE_SECONDS, 9).await, 1);
    assert_eq!(known(&done).await, (false, false));
    assert_eq!(forget(catalog, THEN + 999, 9).await, 0);
    assert_eq!(known(&open).await, (true, true));
    assert_eq!(forget(catalog, THEN + 1_000, 9).await, 1);
    assert_eq!(known(&open).await, (false, false));
    assert_eq!(counted(catalog, &open).await, (1, 2, 0), "nothing else");
    while forget(catalog, THEN + 2_000 + KEPT_SECONDS, 9).await > 0 {}
}

async fn downloads_go_a_day_after_their_tickets_and_allowances_after_them(catalog: &dyn Catalog) {
    let owner = organization(catalog, "forget_rows").await;
    let mut open = early(&owner, "rows");
    (open.client, open.starter) = (None, None);
    let [done, sends] = [again(&open, THEN), again(&open, THEN)];
    for of in [&open, &done, &sends] {
        start(catalog, of).await;
    }
    let ended = THEN + 1_000 + KEPT_SECONDS;
    send(catalog, &open, 60, THEN + 5).await;
    send(catalog, &done, SIZE, THEN + 5).await;
    send(catalog, &sends, 60, ended - LAPSE_SECONDS + 1).await;
    let link = open.link.clone().unwrap().id;
    let of_link = async || {
        let found = catalog.allowance_of_link(&owner, link).await.unwrap();
        found.map(|of| (of.done, of.open, of.bytes_sent))
    };
    let is_there = async |of: &Redeem| {
        let found = catalog.redemption(&owner, of.ticket.rid).await.unwrap();
        found.is_some()
    };
    assert_eq!(forget(catalog, ended - 1, 9).await, 0);
    assert_eq!(of_link().await, Some((1, 2, 230)));
    assert_eq!(forget(catalog, ended, 1).await, 1);
    assert_eq!(forget(catalog, ended, 9).await, 1, "one still sends");
    assert!(!is_there(&open).await && !is_there(&done).await && is_there(&sends).await);
    // What they sent stays counted: the last one lapses, too, and both together were a whole file.
    assert_eq!(of_link().await, Some((1, 1, 230)));
    assert_eq!(counted(catalog, &sends).await, (1, 1, 60));
    assert_eq!(forget(catalog, ended + 1, 9).await, 1);
    assert_eq!(of_link().await, Some((2, 0, 230)));
    send(catalog, &sends, 60, ended).await;
    assert_eq!(of_link().await, Some((2, 0, 230)), "passed over");
    assert_eq!(forget(catalog, ended + 999, 9).await, 0);
    assert_eq!(forget(catalog, ended + 1_000, 0).await, 0);
    assert_eq!(forget(catalog, ended + 1_000, 9).await, 1);
    assert_eq!(of_link().await, None);
}

/// Then nobody tries that batch again.
async fn writers_go_a_day_after_their_last_batch(catalog: &dyn Catalog) {
    let owner = organization(catalog, "forget_writers").await;
    let of = early(&owner, "writers");
    start(catalog, &of).await;
    let mut sent = batch(&[bytes_of(&of, 1, THEN)]);
    for now in [THEN, THEN + 10] {
        sent.now = at(now);
        catalog.add_redeemed(&sent).await.unwrap();
        sent.number += 1;
    }
    let ended = THEN + 10 + KEPT_SECONDS;
    // Of the download itself only its client is forgotten so early.
    assert_eq!(forget(catalog, ended - 1, 9).await, 1);
    assert_eq!(forget(catalog, ended, 0).await, 0);
    assert_eq!(forget(catalog, ended, 9).await, 1);
    assert_eq!(forget(catalog, ended, 9).await, 0);
    while forget(catalog, THEN + 2_000 + KEPT_SECONDS, 9).await > 0 {}
}

async fn allowances(catalog: &dyn Catalog, owner: &OrganizationId) -> Vec<Allowance> {
    let rows = transfer::rows_of(catalog, Kind::Allowance, 99).await;
    let ours = rows.into_iter().filter_map(|row| match row {
        Row::Allowance(of) if of.organization == *owner => Some(*of),
        _ => None,
    });
    ours.collect()
}

async fn a_share_s_allowance_stays(catalog: &dyn Catalog) {
    let owner = organization(catalog, "forget_share").await;
    let mut of = early(&owner, "share");
    let share = shares::share_of(&owner, "forgotten");
    shares::make(catalog, share.clone(), &[]).await;
    of.subject = Subject::of_share(&share.id);
    (of.link, of.pass_revision) = (None, Some(0));
    start(catalog, &of).await;
    let long_after = THEN + 2_000 + KEPT_SECONDS;
    while forget(catalog, long_after, 9).await > 0 {}
    let found = catalog.redemption(&owner, of.ticket.rid).await.unwrap();
    assert_eq!(found, None);
    let [kept] = allowances(catalog, &owner).await.try_into().unwrap();
    assert_eq!(kept.counts, DownloadCounts::default(), "it lapsed");
}

async fn open_downloads_are_counted_anew(catalog: &dyn Catalog) {
    let owner = organization(catalog, "forget_recount").await;
    let [one, other] = ["one", "other"].map(|link| redeem(&owner, link, 3));
    for of in [&one, &other] {
        start(catalog, of).await;
    }
    let wrong = async |mend| {
        let recount = catalog.recount(&owner, mend).await.unwrap();
        assert_eq!(recount.is_right(), recount.wrong_allowances == 0);
        recount.wrong_allowances
    };
    assert_eq!(wrong(true).await, 0);
    for open in [0, 2] {
        let mut row = ticket(catalog, &one).await.allowance;
        row.counts.open = open;
        catalog
            .put_rows(&[Row::Allowance(Box::new(row))])
            .await
            .unwrap();
        assert_eq!(wrong(false).await, 1);
        if open == 0 {
            // It keeps nobody else from being counted.
            let sent = batch(&[bytes_of(&one, 1, NOW), bytes_of(&other, 1, NOW)]);
            let damaged = catalog.add_redeemed(&sent).await.unwrap();
            assert_eq!(damaged, [one.ticket.rid]);
            assert_eq!(ticket(catalog, &one).await.redemption.bytes_sent, 0);
            assert_eq!(ticket(catalog, &other).await.redemption.bytes_sent, 1);
        }
        assert_eq!(wrong(true).await, 1, "and none from now on");
        assert_eq!(wrong(false).await, 0);
        assert_eq!(counted(catalog, &one).await, (0, 1, 0));
    }
    send(catalog, &one, 1, NOW).await;
    a_miscounted_download_goes_at_its_end(catalog).await;
}

/// It gives nothing back that was not counted, and keeps no other one from being forgotten.
async fn a_miscounted_download_goes_at_its_end(catalog: &dyn Catalog) {
    let owner = organization(catalog, "forget_miscounted").await;
    let [one, other] = ["mis_one", "mis_other"].map(|link| early(&owner, link));
    for of in [&one, &other] {
        start(catalog, of).await;
    }
    let mut row = ticket(catalog, &one).await.allowance;
    row.counts.open = 0;
    let put = [Row::Allowance(Box::new(row))];
    catalog.put_rows(&put).await.unwrap();
    while forget(catalog, THEN + 1_000 + KEPT_SECONDS, 9).await > 0 {}
    for of in [&one, &other] {
        let found = catalog.redemption(&owner, of.ticket.rid).await.unwrap();
        assert_eq!(found, None);
    }
    assert!(catalog.recount(&owner, false).await.unwrap().is_right());
    let kept = allowances(catalog, &owner).await;
    let counts = kept.iter().map(|of| of.counts);
    assert_eq!(counts.collect::<Vec<_>>(), [DownloadCounts::default(); 2]);
    while forget(catalog, THEN + 2_000 + KEPT_SECONDS, 9).await > 0 {}
}
