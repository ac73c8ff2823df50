//! Counted downloads: started, done, lapsed, started again, forgotten.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::catalog::redemptions::{
    Allowance, CountedLink, LAPSE_SECONDS, LinkAllowance, NewTicket, Redeem, Redeemed, Redemption,
    SENT_ADDED_MAX, Sent, SentBatch, Ticket,
};
use crate::catalog::transfer::Row;
use crate::model::count::Counts;
use crate::model::redemption::{DownloadCounts, RedemptionId, RedemptionState, Subject};

mod forgotten;
mod lapsed;
mod of_shares;
mod rules;
mod tickets;
pub(crate) mod together;

pub(super) async fn all(catalog: &dyn Catalog) {
    a_download_is_started_sends_its_bytes_and_is_done(catalog).await;
    nothing_is_written_for_what_has_ended_or_is_not_allowed(catalog).await;
    a_file_of_no_bytes_is_done_at_once(catalog).await;
    so_many_records_at_once_and_no_more(catalog).await;
    of_shares::all(catalog).await;
    counting_is_not_in_the_feed(catalog).await;
    tickets::all(catalog).await;
    lapsed::all(catalog).await;
    forgotten::all(catalog).await;
    together::of_many_at_once_no_more_start_than_are_allowed(&[catalog]).await;
    together::what_many_do_at_once_is_counted_right(&[catalog]).await;
    rules::whatever_happens_follows_the_rule(catalog).await;
}

/// Later than all that any check has lapse or end.
const NOW: u64 = 1_000_000;
const SIZE: u64 = 110;

/// An id that no other check has.
fn rid() -> RedemptionId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    RedemptionId::parse(&format!("r{number:021}")).unwrap()
}

/// The start of a download of a link of this name, by an unknown client.
/// Returns the start of a download of a counted link.
pub(crate) fn redeem(owner: &OrganizationId, link: &str, allowed: u64) -> Redeem {
    let mut digest = [0; 32];
    digest[..link.len()].copy_from_slice(link.as_bytes());
    Redeem {
        organization: owner.clone(),
        subject: Subject::of_link(Sha256Digest::new(digest)),
        kid: "k1".into(),
        epoch: 3,
        link: Some(CountedLink {
            id: LinkId::parse(&format!("{link:-<12}")).unwrap(),
            file: file_id("f"),
            link_revision: 2,
            claims: format!("max-downloads={allowed}\n"),
        }),
        allowed,
        expires: Some(at(NOW + 500_000)),
        ticket: NewTicket {
            rid: rid(),
            kid: "k2".into(),
            expires: at(NOW + 86_400),
        },
        file: Some(file_id("f")),
        size: SIZE,
        is_done_at_start: false,
        client: None,
        starter: None,
        pass_revision: None,
        now: at(NOW),
    }
}

/// Returns the same start with another ticket, at another time.
fn again(of: &Redeem, now: u64) -> Redeem {
    let mut next = of.clone();
    next.ticket.rid = rid();
    next.now = at(now);
    next
}

async fn start(catalog: &dyn Catalog, of: &Redeem) -> Redeemed {
    catalog.redeem(of).await.unwrap()
}

/// The first batch of a writer that no other check has.
fn batch(sent: &[Sent]) -> SentBatch {
    SentBatch {
        writer: rid().to_string(),
        number: 1,
        now: at(NOW),
        sent: sent.to_vec(),
    }
}

fn bytes_of(of: &Redeem, bytes: u64, now: u64) -> Sent {
    Sent {
        rid: of.ticket.rid,
        bytes,
        at: at(now),
    }
}

async fn send(catalog: &dyn Catalog, of: &Redeem, bytes: u64, now: u64) {
    let batch = batch(&[bytes_of(of, bytes, now)]);
    let damaged = catalog.add_redeemed(&batch).await.unwrap();
    assert_eq!(damaged, []);
}

async fn ticket(catalog: &dyn Catalog, of: &Redeem) -> Ticket {
    let (organization, rid) = (&of.organization, of.ticket.rid);
    let found = catalog.redemption(organization, rid).await.unwrap();
    // It is the same on the spot where it is read there.
    if let Some(on_the_spot) = catalog.redemption_on_the_spot(organization, rid) {
        assert_eq!(on_the_spot, found);
    }
    found.unwrap()
}

async fn state(catalog: &dyn Catalog, of: &Redeem) -> RedemptionState {
    ticket(catalog, of).await.redemption.state
}

/// The counters of a subject: done, open, lapsed bytes.
async fn counted(catalog: &dyn Catalog, of: &Redeem) -> (u64, u64, i64) {
    let counts = ticket(catalog, of).await.allowance.counts;
    (counts.done, counts.open, counts.lapsed_bytes)
}

async fn reopen(catalog: &dyn Catalog, of: &Redeem, now: u64) -> RedemptionState {
    let reopened = catalog.reopen(&of.organization, of.ticket.rid, at(now));
    reopened.await.unwrap()
}

/// The refusal where the first open download sent its last bytes then.
fn held(since: u64) -> Redeemed {
    let until = at(since + LAPSE_SECONDS);
    Redeemed::Held { until }
}

/// Starts downloads of two links and of a subject that is none, one in each state, for what copies rows.
pub(crate) async fn in_every_state(catalog: &dyn Catalog, owner: &OrganizationId) {
    let mut open = redeem(owner, "rows1", 3);
    open.client = Some([5; 16]);
    open.starter = Some([6; 32]);
    open.pass_revision = Some(4);
    let done = again(&open, NOW);
    let done = Redeem {
        client: None,
        ..done
    };
    for of in [&open, &done] {
        start(catalog, of).await;
    }
    send(catalog, &done, SIZE, NOW + 1).await;
    catalog
        .first_used(owner, open.ticket.rid, at(NOW + 2))
        .await
        .unwrap();
    let lapsed = redeem(owner, "rows2", 1);
    start(catalog, &lapsed).await;
    send(catalog, &lapsed, 60, NOW).await;
    start(catalog, &again(&lapsed, NOW + LAPSE_SECONDS)).await;
    assert_eq!(state(catalog, &lapsed).await, RedemptionState::Lapsed);
    let mut of_share = again(&open, NOW);
    let share = shares::share_with_everything(catalog, owner).await;
    of_share.subject = Subject::of_share(&share.id);
    of_share.pass_revision = Some(share.pass_revision);
    (of_share.link, of_share.file) = (None, None);
    start(catalog, &of_share).await;
}

/// The rows of a subject's first download when it is started.
fn as_started(of: &Redeem) -> Ticket {
    Ticket {
        redemption: Redemption {
            organization: of.organization.clone(),
            subject: of.subject.clone(),
            ticket: of.ticket.clone(),
            file: of.file.clone(),
            size: of.size,
            client: of.client,
            starter: of.starter,
            opened_at: of.now,
            last_at: of.now,
            bytes_sent: 0,
            state: RedemptionState::Open,
            done_at: None,
            pass_revision: of.pass_revision,
            first_at: None,
        },
        allowance: Allowance {
            organization: of.organization.clone(),
            subject: of.subject.clone(),
            kid: of.kid.clone(),
            epoch: of.epoch,
            link: of.link.clone(),
            allowed: Some(of.allowed),
            expires: of.expires,
            counts: DownloadCounts {
                open: 1,
                ..DownloadCounts::default()
            },
            bytes: 0,
        },
    }
}

/// The two rows of a download that no catalogue has.
pub(super) fn two_rows(owner: &OrganizationId) -> Vec<Row> {
    let Ticket {
        redemption,
        allowance,
    } = as_started(&redeem(owner, "rows", 1));
    vec![
        Row::Allowance(Box::new(allowance)),
        Row::Redemption(Box::new(redemption)),
    ]
}

async fn a_download_is_started_sends_its_bytes_and_is_done(catalog: &dyn Catalog) {
    let owner = organization(catalog, "redeem").await;
    let other = organization(catalog, "redeem_other").await;
    catalog.add_file(&file(&owner, "f", 1)).await.unwrap();
    let mut of = redeem(&owner, "done", 1);
    of.client = Some([1; 16]);
    of.starter = Some([2; 32]);
    of.pass_revision = Some(7);
    let link = of.link.clone().unwrap();
    let of_link = async |owner| catalog.allowance_of_link(owner, link.id).await.unwrap();
    assert_eq!(of_link(&owner).await, None, "nobody has started one");
    assert_eq!(start(catalog, &of).await, Redeemed::Fresh { left: 0 });
    let mut wanted = as_started(&of);
    assert_eq!(ticket(catalog, &of).await, wanted);
    let elsewhere = catalog.redemption(&other, of.ticket.rid).await.unwrap();
    assert_eq!(elsewhere, None, "it is another organization's");
    assert_eq!(catalog.redemption(&owner, rid()).await.unwrap(), None);
    assert_eq!(start(catalog, &again_by(&of, 9, 5)).await, held(NOW));
    send(catalog, &of, SIZE - 1, NOW + 20).await;
    assert_eq!(start(catalog, &again_by(&of, 9, 21)).await, held(NOW + 20));
    // A record that came late does not turn time back.
    send(catalog, &of, 0, NOW + 90).await;
    send(catalog, &of, 1, NOW + 10).await;
    wanted.redemption.last_at = at(NOW + 20);
    wanted.redemption.bytes_sent = SIZE;
    wanted.redemption.state = RedemptionState::Done;
    wanted.redemption.done_at = Some(at(NOW + 10));
    wanted.allowance.counts = DownloadCounts {
        done: 1,
        ..DownloadCounts::default()
    };
    wanted.allowance.bytes = SIZE;
    assert_eq!(ticket(catalog, &of).await, wanted);
    assert_eq!(
        start(catalog, &again_by(&of, 9, 99)).await,
        Redeemed::Exhausted
    );
    // A resumed answer sends some bytes again, and is no second download.
    send(catalog, &of, 50, NOW + 30).await;
    assert_eq!(counted(catalog, &of).await, (1, 0, 0));
    let counts = Counts {
        downloads: 4,
        whole: 1,
        bytes_sent: 160,
        last_at: Some(at(NOW + 31)),
    };
    let count = Count {
        file: file(&owner, "f", 1).address(),
        link: link.id,
        expires: at(NOW + 500_000),
        counts,
    };
    add_counts(catalog, &[count], u64::MAX).await;
    let wanted = LinkAllowance {
        allowed: 1,
        done: 1,
        open: 0,
        downloads: 4,
        bytes_sent: SIZE + 50,
        last_download_at: Some(at(NOW + 31)),
        expires: at(NOW + 500_000),
    };
    assert_eq!(of_link(&owner).await, Some(wanted));
    assert_eq!(of_link(&other).await, None);
}

/// The start of another client, so many seconds later.
fn again_by(of: &Redeem, client: u8, seconds: u64) -> Redeem {
    Redeem {
        client: Some([client; 16]),
        ..again(of, NOW + seconds)
    }
}

async fn nothing_is_written_for_what_has_ended_or_is_not_allowed(catalog: &dyn Catalog) {
    let owner = organization(catalog, "redeem_ended").await;
    let of = redeem(&owner, "ended", 1);
    let link = of.link.as_ref().unwrap().id;
    let mut ended = [of.clone(), of.clone(), of.clone()];
    ended[0].expires = Some(at(NOW));
    ended[1].ticket.expires = at(NOW);
    for of in &ended[..2] {
        assert_eq!(start(catalog, of).await, Redeemed::Expired);
    }
    ended[2].allowed = 0;
    assert_eq!(start(catalog, &ended[2]).await, Redeemed::Exhausted);
    let nobody = Redeem {
        organization: organization_id("redeem_nobody"),
        ..of.clone()
    };
    assert_missing(catalog.redeem(&nobody).await);
    let large = Redeem {
        size: 1 << 63,
        ..of.clone()
    };
    let refused = catalog.redeem(&large).await;
    assert!(
        matches!(refused, Err(CatalogError::Limit { .. })),
        "{refused:?}"
    );
    assert_eq!(catalog.allowance_of_link(&owner, link).await.unwrap(), None);
    for of in [&of, &large] {
        let found = catalog.redemption(&owner, of.ticket.rid).await.unwrap();
        assert_eq!(found, None);
    }
    // One that has a row is not asked for it once it has ended.
    start(catalog, &of).await;
    send(catalog, &of, 5, NOW).await;
    let late = Redeem {
        expires: Some(at(NOW + LAPSE_SECONDS)),
        ..again(&of, NOW + LAPSE_SECONDS)
    };
    assert_eq!(start(catalog, &late).await, Redeemed::Expired);
    assert_eq!(state(catalog, &of).await, RedemptionState::Open);
}

async fn a_file_of_no_bytes_is_done_at_once(catalog: &dyn Catalog) {
    let owner = organization(catalog, "redeem_empty").await;
    let mut of = redeem(&owner, "empty", 2);
    of.size = 0;
    assert_eq!(start(catalog, &of).await, Redeemed::Fresh { left: 1 });
    let next = again(&of, NOW + 1);
    assert_eq!(start(catalog, &next).await, Redeemed::Fresh { left: 0 });
    let found = ticket(catalog, &next).await.redemption;
    assert_eq!(found.state, RedemptionState::Done);
    assert_eq!(found.done_at, Some(at(NOW + 1)));
    let none = start(catalog, &again(&of, NOW + 2)).await;
    assert_eq!(none, Redeemed::Exhausted);
}

async fn so_many_records_at_once_and_no_more(catalog: &dyn Catalog) {
    let owner = organization(catalog, "redeem_many").await;
    let of = redeem(&owner, "many", 1);
    start(catalog, &of).await;
    let mut sent = vec![
        Sent {
            rid: of.ticket.rid,
            bytes: 1,
            at: at(NOW),
        };
        SENT_ADDED_MAX
    ];
    sent[7].rid = rid();
    catalog.add_redeemed(&batch(&sent)).await.unwrap();
    catalog.add_redeemed(&batch(&[])).await.unwrap();
    sent.push(sent[0]);
    let refused = catalog.add_redeemed(&batch(&sent)).await;
    assert!(
        matches!(refused, Err(CatalogError::Limit { limit: 1_000, .. })),
        "{refused:?}"
    );
    assert_eq!(ticket(catalog, &of).await.redemption.bytes_sent, 999);
    let largest = i64::MAX.cast_unsigned();
    for bytes in [largest - 1, largest, u64::MAX] {
        send(catalog, &of, bytes, NOW).await;
        let found = ticket(catalog, &of).await;
        assert_eq!(found.redemption.bytes_sent, largest);
        assert_eq!(found.allowance.bytes, largest);
    }
}

async fn counting_is_not_in_the_feed(catalog: &dyn Catalog) {
    let owner = organization(catalog, "redeem_feed").await;
    let before = position(catalog).await;
    let of = redeem(&owner, "feed", 1);
    start(catalog, &of).await;
    send(catalog, &of, 10, NOW).await;
    reopen(catalog, &of, NOW).await;
    catalog
        .first_used(&owner, of.ticket.rid, at(NOW))
        .await
        .unwrap();
    catalog.forget_redemptions(at(1), 9).await.unwrap();
    assert_eq!(position(catalog).await, before);
}
