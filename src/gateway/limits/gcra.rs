//! The generic cell rate algorithm (ITU-T I.371, annex A), in its form of virtual scheduling: one number,
//! the time until which everything that was let through is paid for.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// So much in so many nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    amount: u64,
    nanos: u64,
}

/// Until when what was let through is paid for, in nanoseconds of the gateway's clock. What lies in the past
/// says nothing: a meter that was never used, and one that was used long ago, are the same.
#[derive(Debug, Default)]
pub(super) struct Meter(AtomicU64);

impl Rate {
    /// `amount` in `nanos`; none, where the amount is 0.
    pub(super) fn new(amount: u64, nanos: u64) -> Option<Self> {
        (amount > 0).then_some(Self { amount, nanos })
    }

    /// Returns the nanoseconds that `count` takes at this rate, rounded up: never faster than the rate.
    pub(super) const fn time_of(self, count: u64) -> u64 {
        count.saturating_mul(self.nanos).div_ceil(self.amount)
    }

    /// Returns the amount per period of the rate: for bytes, per second.
    pub(super) const fn amount(self) -> u64 {
        self.amount
    }

    /// By how much a meter may be ahead of now for one more: with all of `amount` let through at once,
    /// it is exactly that far.
    const fn tolerance(self) -> u64 {
        self.time_of(1).saturating_mul(self.amount - 1)
    }
}

impl Meter {
    /// A meter that stands where the other does.
    pub(super) fn like(other: &Self) -> Self {
        Self(AtomicU64::new(other.0.load(Relaxed)))
    }

    /// Lets one through, or says in how many nanoseconds it would; what is refused is not counted.
    pub(super) fn take_one(&self, now: u64, rate: Rate) -> Result<(), u64> {
        let (each, tolerance) = (rate.time_of(1), rate.tolerance());
        let latest = now.saturating_add(tolerance);
        let taken = self.0.fetch_update(Relaxed, Relaxed, |until| {
            (until <= latest).then(|| until.max(now).saturating_add(each))
        });
        taken.map(drop).map_err(|until| until - latest)
    }

    /// In how many nanoseconds one more would be let through.
    pub(super) fn wait(&self, now: u64, rate: Rate) -> u64 {
        let latest = now.saturating_add(rate.tolerance());
        self.0.load(Relaxed).saturating_sub(latest)
    }

    /// Takes so much time, which may lie in the future, and says by how far the meter is then ahead of now.
    pub(super) fn reserve(&self, now: u64, time: u64) -> u64 {
        let reserved = |until: u64| until.max(now).saturating_add(time);
        let before = self
            .0
            .fetch_update(Relaxed, Relaxed, |until| Some(reserved(until)));
        reserved(before.unwrap_or(now)).saturating_sub(now)
    }

    /// Gives back time that was reserved and not used.
    pub(super) fn give_back(&self, time: u64) {
        let less = |until: u64| Some(until.saturating_sub(time));
        // It always has something to store.
        let _ = self.0.fetch_update(Relaxed, Relaxed, less);
    }

    /// Returns whether the meter says no more than a new one.
    pub(super) fn is_like_new(&self, now: u64) -> bool {
        self.0.load(Relaxed) <= now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    fn a_minute(amount: u64) -> Rate {
        Rate::new(amount, MINUTE).unwrap()
    }

    #[test]
    fn a_whole_minute_s_worth_goes_at_once_and_then_one_at_a_time() {
        for amount in [1, 2, 7, 60, 59_999_999] {
            let (meter, rate) = (Meter::default(), a_minute(amount));
            let each = rate.time_of(1);
            for _ in 0..amount.min(1_000) {
                assert_eq!(meter.take_one(5, rate), Ok(()));
            }
            if amount <= 1_000 {
                assert_eq!(meter.take_one(5, rate), Err(each));
                assert_eq!(meter.wait(5, rate), each);
                assert_eq!(meter.take_one(5 + each - 1, rate), Err(1));
                assert_eq!(meter.take_one(5 + each, rate), Ok(()));
                assert_eq!(meter.take_one(5 + each, rate), Err(each));
            }
        }
        assert_eq!(Rate::new(0, MINUTE), None);
    }

    #[test]
    fn what_was_reserved_is_given_back() {
        let (meter, rate) = (Meter::default(), Rate::new(1_000, 1_000_000).unwrap());
        assert_eq!(meter.reserve(7, rate.time_of(10)), 10_000);
        assert_eq!(meter.reserve(7, rate.time_of(5)), 15_000);
        meter.give_back(rate.time_of(10));
        assert_eq!(meter.reserve(7, 0), 5_000);
        meter.give_back(u64::MAX);
        assert!(meter.is_like_new(7));
    }

    proptest! {
        /// Of requests at any times, no window of any length has more than the burst and the rate allow, and
        /// whoever waits as long as it is told gets through.
        #[test]
        fn no_more_than_the_rate_gets_through(
            amount in 1_u64..200,
            steps in prop::collection::vec(0_u64..2 * MINUTE / 10, 1..400),
        ) {
            let (meter, rate) = (Meter::default(), a_minute(amount));
            let (mut now, mut let_through) = (0, Vec::new());
            for step in steps {
                now += step / amount;
                match meter.take_one(now, rate) {
                    Ok(()) => let_through.push(now),
                    Err(wait) => {
                        prop_assert_eq!(meter.wait(now, rate), wait);
                        let before = meter.0.load(Relaxed);
                        prop_assert!(meter.take_one(now + wait - 1, rate).is_err());
                        prop_assert_eq!(meter.take_one(now + wait, rate), Ok(()));
                        meter.0.store(before, Relaxed);
                    }
                }
            }
            for (first, from) in let_through.iter().enumerate() {
                for (last, to) in let_through.iter().enumerate().skip(first) {
                    let most = amount + (to - from) / rate.time_of(1);
                    let count = (last - first + 1) as u64;
                    prop_assert!(count <= most, "{count} in {}", to - from);
                }
            }
        }

        /// Reservations, some of them given back, never add up to more than the rate.
        #[test]
        fn reservations_add_up(
            amount in 1_u64..1_000_000,
            pieces in prop::collection::vec((1_u64..100_000, any::<bool>()), 1..100),
        ) {
            let (meter, rate) = (Meter::default(), Rate::new(amount, 1_000_000_000).unwrap());
            let mut used = 0;
            for (piece, is_used) in pieces {
                let time = rate.time_of(piece);
                let ahead = meter.reserve(9, time);
                prop_assert_eq!(ahead, used + time);
                if is_used {
                    used += time;
                } else {
                    meter.give_back(time);
                }
            }
        }
    }
}
