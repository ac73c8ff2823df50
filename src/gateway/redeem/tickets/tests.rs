//! Sent bytes are counted once, whatever becomes of a write.

use tokio::time::timeout;

use super::*;
use crate::catalog::Catalog;
use crate::catalog::contract::organization;
use crate::catalog::redemptions::{CountedLink, NewTicket, Redeem};
use crate::catalog::sqlite::Sqlite;
use crate::catalog::transfer::Row;
use crate::gateway::Gateway;
use crate::gateway::testing::{NOW, gateway, memory_blobs};
use crate::model::digest::Sha256Digest;
use crate::model::id::{FileId, OrganizationId};
use crate::model::redemption::Subject;
use crate::model::revocation::LinkId;

const SIZE: u64 = 1_000;

/// A gateway, and the downloads of two links that were started.
struct Place {
    _directory: tempfile::TempDir,
    catalog: Arc<dyn Catalog>,
    gateway: Gateway,
    owner: OrganizationId,
}

impl Place {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalogue.sqlite3");
        let catalog: Arc<dyn Catalog> = Arc::new(Sqlite::open(&path).await.unwrap());
        let owner = organization(catalog.as_ref(), "o").await;
        for number in [1, 2] {
            catalog.redeem(&start(&owner, number)).await.unwrap();
        }
        Self {
            gateway: gateway(Arc::clone(&catalog), memory_blobs()),
            catalog,
            owner,
            _directory: directory,
        }
    }

    /// Counts one byte of a download.
    fn send(&self, number: u8) {
        let mut answer = RunningAnswer {
            tickets: Arc::clone(&self.gateway.tickets),
            rid: rid(number),
            size: SIZE,
            owed: 0,
            kid: self.gateway.keyring().active().clone(),
            is_over: false,
        };
        answer.note_sent(1, at(NOW));
    }

    async fn ticket(&self, number: u8) -> Ticket {
        let found = self.catalog.redemption(&self.owner, rid(number)).await;
        found.unwrap().unwrap()
    }

    /// The bytes that the catalogue has of each.
    async fn written(&self) -> [u64; 2] {
        let [one, other] = [self.ticket(1).await, self.ticket(2).await];
        [one.redemption.bytes_sent, other.redemption.bytes_sent]
    }
}

fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(seconds).unwrap()
}

fn rid(number: u8) -> RedemptionId {
    RedemptionId::parse(&format!("r{number:021}")).unwrap()
}

fn start(owner: &OrganizationId, number: u8) -> Redeem {
    let file = FileId::parse("f").unwrap();
    Redeem {
        organization: owner.clone(),
        subject: Subject::of_link(Sha256Digest::new([number; 32])),
        kid: "k".into(),
        epoch: 0,
        link: Some(CountedLink {
            id: LinkId::parse(&format!("{number:012}")).unwrap(),
            file: file.clone(),
            link_revision: 0,
            claims: String::new(),
        }),
        allowed: 1,
        expires: Some(at(NOW + 60)),
        ticket: NewTicket {
            rid: rid(number),
            kid: "k".into(),
            expires: at(NOW + 60),
        },
        file: Some(file),
        size: SIZE,
        is_done_at_start: false,
        client: None,
        starter: None,
        pass_revision: None,
        now: at(NOW),
    }
}

#[tokio::test]
async fn a_flush_that_nobody_waits_for_counts_its_bytes_once() {
    const TURNS: u32 = 150;
    let place = Place::new().await;
    let mut dropped = 0;
    for turn in 0..TURNS {
        place.send(1);
        let flush = place.gateway.flush_sent();
        let outcome = timeout(Duration::from_micros(10) * turn, flush).await;
        dropped += u32::from(outcome.is_err());
    }
    println!("{dropped} of {TURNS} were dropped");
    assert!(dropped > 0);
    place.gateway.flush_sent().await.unwrap();
    assert_eq!(place.written().await, [u64::from(TURNS), 0]);
    assert_eq!(place.gateway.flush_sent().await.unwrap(), 0);
}

#[tokio::test]
async fn a_damaged_download_waits_alone_until_it_is_mended() {
    let place = Place::new().await;
    let mut row = place.ticket(1).await.allowance;
    row.counts.open = 0;
    let put = [Row::Allowance(Box::new(row))];
    place.catalog.put_rows(&put).await.unwrap();
    for sent in 1..=3 {
        place.send(1);
        place.send(2);
        let said = place.gateway.flush_sent().await.unwrap_err().to_string();
        assert!(
            said.contains("1 counted downloads are damaged") && said.contains("doctor"),
            "{said}"
        );
        assert_eq!(place.written().await, [0, sent]);
    }
    let mended = place.catalog.recount(&place.owner, true).await.unwrap();
    assert_eq!(mended.wrong_allowances, 1);
    assert_eq!(place.gateway.flush_sent().await.unwrap(), 1);
    assert_eq!(place.written().await, [3, 3]);
}

/// What other answers owe may be given back; what was sent never is.
#[tokio::test]
async fn waiting_is_asked_for_only_where_it_helps() {
    let place = Place::new().await;
    let (tickets, kid) = (
        &place.gateway.tickets,
        place.gateway.keyring().active().clone(),
    );
    let ticket = place.ticket(1).await;
    let row = TicketRow {
        of: TicketOf::Link {
            claims: Box::new(CountedClaims::from_text("max-downloads=1\n").unwrap()),
            in_force: InForce {
                kid: kid.clone(),
                epoch: 0,
                link_revision: 0,
            },
        },
        ticket,
        read_at: Duration::ZERO,
    };
    let most = bound(SIZE);
    let begin = |due| tickets.begin(&row, kid.clone(), due);
    let first = begin(most - 10).unwrap();
    let refused = begin(11).unwrap_err();
    assert!(
        matches!(refused, Refusal::TooMany { wait, .. } if wait == OWED_WAIT),
        "{refused:?}"
    );
    drop(begin(10).unwrap());
    assert!(matches!(begin(most + 1), Err(Refusal::Overdrawn)));
    drop(first);
    let mut second = begin(most).unwrap();
    second.note_sent(most - 10, at(NOW));
    assert!(matches!(begin(11), Err(Refusal::Overdrawn)));
    assert!(matches!(begin(1), Err(Refusal::TooMany { .. })));
    // The rest of it is counted at its end, once.
    second.end(10, at(NOW));
    assert!(matches!(begin(1), Err(Refusal::Overdrawn)));
    let sent = tickets.unwritten(Duration::ZERO);
    assert_eq!(sent.iter().map(|of| of.bytes).sum::<u64>(), most);
}
