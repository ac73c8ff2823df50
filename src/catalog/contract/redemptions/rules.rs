//! Random events, held against the rule in its own words.

use super::*;
use crate::catalog::redemptions::DONE_SECONDS;

/// Draws numbers, the same for the same seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number below a limit: xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators").
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).unwrap() % limit
    }
}

/// A download by the rule.
#[derive(Clone, Debug)]
struct Download {
    of: Redeem,
    sent: u64,
    state: RedemptionState,
    last: u64,
    done_at: u64,
}

/// A link by the rule.
#[derive(Debug)]
struct Rule {
    allowed: u64,
    done: u64,
    open: u64,
    lapsed_bytes: i64,
    /// Downloads that were spent by bytes of one that had lapsed already: another may be open in its stead by then.
    late: u64,
    downloads: Vec<Download>,
}

impl Rule {
    const fn is_full(&self) -> bool {
        self.done + self.open >= self.allowed
    }

    const fn left(&self) -> u64 {
        self.allowed.saturating_sub(self.done + self.open)
    }

    /// "Each time the sum reaches the file's size, one place is spent for good and the size is taken off."
    const fn spend(&mut self) -> u64 {
        let mut spent = 0;
        while self.lapsed_bytes >= SIZE.cast_signed() {
            self.lapsed_bytes -= SIZE.cast_signed();
            self.done += 1;
            spent += 1;
        }
        spent
    }

    /// "Stale rows are lapsed only when the allowance is full."
    fn lapse_if_full(&mut self, now: u64) {
        if !self.is_full() {
            return;
        }
        for number in 0..self.downloads.len() {
            let of = &mut self.downloads[number];
            if of.state == RedemptionState::Open && of.last + LAPSE_SECONDS <= now {
                of.state = RedemptionState::Lapsed;
                self.open -= 1;
                self.lapsed_bytes += of.sent.cast_signed();
                self.spend();
            }
        }
    }

    fn redeem(&mut self, of: &Redeem, now: u64) -> Redeemed {
        self.lapse_if_full(now);
        let is_same = |old: &&Download| {
            let is_alive = match old.state {
                RedemptionState::Open => true,
                RedemptionState::Done => now < old.done_at + DONE_SECONDS,
                RedemptionState::Lapsed => false,
            };
            is_alive && of.client.is_some() && old.of.client == of.client
        };
        let same = self.downloads.iter().filter(is_same);
        if let Some(same) = same.max_by_key(|old| old.of.now) {
            return Redeemed::Same {
                ticket: same.of.ticket.clone(),
                left: self.left(),
            };
        }
        if self.done >= self.allowed {
            return Redeemed::Exhausted;
        }
        if self.is_full() {
            let open = self.downloads.iter();
            let open = open.filter(|of| of.state == RedemptionState::Open);
            return held(open.map(|of| of.last).min().unwrap());
        }
        self.open += 1;
        self.downloads.push(Download {
            of: of.clone(),
            sent: 0,
            state: RedemptionState::Open,
            last: now,
            done_at: 0,
        });
        let left = self.left();
        Redeemed::Fresh { left }
    }

    fn send(&mut self, number: usize, bytes: u64, now: u64) {
        let of = &mut self.downloads[number];
        of.sent += bytes;
        of.last = of.last.max(now);
        match of.state {
            RedemptionState::Open if of.sent >= SIZE => {
                (of.state, of.done_at) = (RedemptionState::Done, now);
                self.open -= 1;
                self.done += 1;
            }
            RedemptionState::Lapsed => {
                self.lapsed_bytes += bytes.cast_signed();
                self.late += self.spend();
            }
            RedemptionState::Open | RedemptionState::Done => {}
        }
    }

    fn reopen(&mut self, number: usize, now: u64) -> RedemptionState {
        if self.downloads[number].state == RedemptionState::Lapsed {
            self.lapse_if_full(now);
        }
        let is_full = self.is_full();
        let of = &mut self.downloads[number];
        if of.state != RedemptionState::Lapsed || is_full {
            return of.state;
        }
        self.lapsed_bytes -= of.sent.cast_signed();
        of.last = now;
        if of.sent >= SIZE {
            (of.state, of.done_at) = (RedemptionState::Done, now);
            self.done += 1;
        } else {
            of.state = RedemptionState::Open;
            self.open += 1;
        }
        of.state
    }
}

/// The catalogue answers and keeps what the rule says, whatever happens in whatever order.
pub(super) async fn whatever_happens_follows_the_rule(catalog: &dyn Catalog) {
    let owner = organization(catalog, "redeem_rules").await;
    for seed in 0..10 {
        follow(catalog, &owner, seed, 80).await;
    }
}

async fn follow(catalog: &dyn Catalog, owner: &OrganizationId, seed: u64, events: u64) {
    let mut dice = Dice::new(seed);
    let allowed = [1, 1, 2, 4][dice.below(4)];
    let first = redeem(owner, &format!("rules{seed}"), allowed);
    let mut rule = Rule {
        allowed,
        done: 0,
        open: 0,
        lapsed_bytes: 0,
        late: 0,
        downloads: Vec::new(),
    };
    let mut now = NOW;
    for event in 0..events {
        now += [1, 1, 30, 250, 500, 901][dice.below(6)];
        let some = dice.below(rule.downloads.len().max(1));
        let what = dice.below(10);
        match what {
            _ if rule.downloads.is_empty() || what < 4 => {
                let mut of = again(&first, now);
                let client = u8::try_from(dice.below(4)).unwrap();
                of.client = (client > 0).then_some([client; 16]);
                let wanted = rule.redeem(&of, now);
                let answer = start(catalog, &of).await;
                assert_eq!(answer, wanted, "{seed}, {event}: {rule:#?}");
            }
            4..8 => {
                let bytes = [1, 7, 40, 70, SIZE - 1, SIZE, 3 * SIZE][dice.below(7)];
                rule.send(some, bytes, now);
                let of = rule.downloads[some].of.clone();
                send(catalog, &of, bytes, now).await;
            }
            _ => {
                let wanted = rule.reopen(some, now);
                let of = rule.downloads[some].of.clone();
                let answer = reopen(catalog, &of, now).await;
                assert_eq!(answer, wanted, "{seed}, {event}: {rule:#?}");
            }
        }
        is_as_the_rule_says(catalog, &rule, &format!("{seed}, {event}")).await;
    }
    together::assert_counted(catalog, owner).await;
}

async fn is_as_the_rule_says(catalog: &dyn Catalog, rule: &Rule, event: &str) {
    let mut allowance = None;
    let mut lapsed_bytes = 0;
    for of in &rule.downloads {
        let found = ticket(catalog, &of.of).await;
        let row = &found.redemption;
        let done_at = (of.state == RedemptionState::Done).then_some(at(of.done_at));
        assert_eq!(
            (row.state, row.bytes_sent, row.last_at, row.done_at),
            (of.state, of.sent, at(of.last), done_at),
            "{event}: {rule:#?}"
        );
        if row.state == RedemptionState::Lapsed {
            lapsed_bytes += row.bytes_sent;
        }
        allowance = Some(found.allowance);
    }
    let Some(of) = allowance else { return };
    let counts = of.counts;
    let wanted = DownloadCounts {
        done: rule.done,
        open: rule.open,
        lapsed_bytes: rule.lapsed_bytes,
    };
    assert_eq!(counts, wanted, "{event}: {rule:#?}");
    assert!(
        counts.done + counts.open <= rule.allowed + rule.late,
        "{event}: {rule:#?}"
    );
    // Lapsed downloads hand out less than one file beside those that they have spent.
    let done = rule.downloads.iter();
    let done = done.filter(|of| of.state == RedemptionState::Done).count() as u64;
    let spent = i128::from(counts.done) - i128::from(done);
    assert!(
        i128::from(lapsed_bytes) < (spent + 1) * i128::from(SIZE),
        "{event}: {rule:#?}"
    );
}
