//! Guesses at the passwords of shares. They are always limited, whatever is configured: each costs a hash, and the right
//! password is only as safe as guessing it is slow.
//!
//! - Of one network and share: five at once, then one a minute.
//! - Of one share: sixty at once, then one a second.
//! - Of one share in an hour, on all gateways together: [`GUESSES_PER_HOUR`] that failed, of which the last
//!   [`GUESSES_FOR_NEWCOMERS`] are for networks that have not guessed at it within the hour, one for each. So whoever
//!   spends the guesses of a share leaves a guess to somebody who comes from elsewhere and knows the password.
//!
//! A refused guess is not hashed, and the right password is refused as a wrong one is. None of this concerns who has the
//! share's pass.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::gcra::Rate;
use super::table::{LimitTable, MINUTE, SECOND};
use super::{Limits, block};
use crate::gateway::refusal::Refusal;
use crate::model::id::OrganizationId;
use crate::model::redemption::Subject;

/// The most guesses at the password of one share that fail within an hour, on all gateways together.
pub const GUESSES_PER_HOUR: u64 = 600;

/// Those of them that are for networks which have not guessed within the hour.
pub const GUESSES_FOR_NEWCOMERS: u64 = 150;

/// The seconds in which failed guesses are added up.
const GUESS_SECONDS: u64 = 3_600;

/// The wait that a client is told of where the guesses of an hour are spent: nobody knows here when it ends.
const HOUR_WAIT: Duration = Duration::from_secs(60);

/// What a refusal names.
const GUESSES: &str = "guesses at the password";

/// A share: whose it is, and which.
type Share = (OrganizationId, Subject);

/// Everybody who has guessed.
pub(super) struct Guesses {
    clients: LimitTable<(Share, u128)>,
    shares: LimitTable<Share>,
    /// The networks that have guessed within the hour.
    networks: LimitTable<(Share, u128)>,
    running: Arc<RunningGuesses>,
}

/// The guesses that are being hashed, which are not among the failed ones yet.
#[derive(Debug, Default)]
struct RunningGuesses(Mutex<HashMap<Share, u64>>);

/// A guess that was admitted, until it is known whether it failed, and that is written.
#[must_use = "the guess counts as one that may fail until this is dropped"]
#[derive(Debug)]
pub struct Guess {
    running: Arc<RunningGuesses>,
    share: Share,
}

impl Guesses {
    pub(super) fn new() -> Self {
        Self {
            clients: LimitTable::of_rate(Rate::new(5, 5 * MINUTE)),
            shares: LimitTable::of_rate(Rate::new(60, MINUTE)),
            networks: LimitTable::of_rate(Rate::new(1, GUESS_SECONDS * SECOND)),
            running: Arc::default(),
        }
    }

    /// Says how long this client has to wait for its next guess, if it has to.
    fn check(&self, share: &Share, client: Option<IpAddr>, now: u64) -> Result<(), Duration> {
        let of_client = (share.clone(), client.map_or(0, block));
        let wait = self.clients.wait(&of_client, now);
        match wait.max(self.shares.wait(share, now)) {
            0 => Ok(()),
            wait => Err(Duration::from_nanos(wait)),
        }
    }

    /// Admits a guess of this client, or says how long to wait. What is refused is not counted.
    fn admit(
        &self,
        share: Share,
        client: Option<IpAddr>,
        failed: u64,
        now: u64,
    ) -> Result<Guess, Duration> {
        self.check(&share, client, now)?;
        let of_client = (share.clone(), client.map_or(0, block));
        let of_network = (share.clone(), client.map_or(0, network));
        let mut running = self.running.counts();
        let of_share = running.get(&share).copied().unwrap_or(0);
        let sum = failed.saturating_add(of_share);
        let is_for_newcomers = sum >= GUESSES_PER_HOUR - GUESSES_FOR_NEWCOMERS;
        if sum >= GUESSES_PER_HOUR || (is_for_newcomers && self.networks.wait(&of_network, now) > 0)
        {
            return Err(HOUR_WAIT);
        }
        let taken = take(&self.clients, of_client, now)
            .and_then(|()| take(&self.shares, share.clone(), now));
        taken.map_err(Duration::from_nanos)?;
        // That it has guessed before is what a network that is not new is told by the next time.
        let _ = take(&self.networks, of_network, now);
        running.insert(share.clone(), of_share + 1);
        drop(running);
        Ok(Guess {
            running: Arc::clone(&self.running),
            share,
        })
    }
}

fn take<K: Eq + Hash + Clone>(table: &LimitTable<K>, key: K, now: u64) -> Result<(), u64> {
    table.ask(&key, now, || key.clone(), |entry| entry.take_request(now))
}

/// Returns the key of the network that an address is in: of 24 bits, or 48 of IPv6.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits() >> 8 << 8,
        IpAddr::V6(address) => address.to_bits() >> 80 << 80,
    }
}

impl RunningGuesses {
    fn counts(&self) -> MutexGuard<'_, HashMap<Share, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guess {
    fn drop(&mut self) {
        let mut running = self.running.counts();
        if let Some(count) = running.get_mut(&self.share) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.share);
            }
        }
    }
}

impl Limits {
    /// Expects that a client may guess at the password of a share now, as far as this gateway alone can tell. Nothing is
    /// counted.
    ///
    /// # Errors
    /// `TooMany` where the client, or the share, has guessed too often.
    pub fn expect_guess(
        &self,
        organization: &OrganizationId,
        subject: &Subject,
        client: Option<IpAddr>,
    ) -> Result<(), Refusal> {
        let share = (organization.clone(), subject.clone());
        let checked = self.guesses.check(&share, client, self.now());
        checked.map_err(too_many)
    }

    /// Admits a guess at the password of a share, at which `failed` have failed within the hour, before anything is
    /// hashed.
    ///
    /// # Errors
    /// `TooMany` where the client, the share, or the share on all gateways has guessed too often.
    pub fn admit_guess(
        &self,
        organization: &OrganizationId,
        subject: &Subject,
        client: Option<IpAddr>,
        failed: u64,
    ) -> Result<Guess, Refusal> {
        let share = (organization.clone(), subject.clone());
        let admitted = self.guesses.admit(share, client, failed, self.now());
        admitted.map_err(too_many)
    }
}

const fn too_many(wait: Duration) -> Refusal {
    let what = GUESSES;
    Refusal::TooMany { what, wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(id: &str) -> Share {
        let organization = OrganizationId::parse("org_1").unwrap();
        (organization, Subject::parse(&format!("s{id}")).unwrap())
    }

    fn from(address: &str) -> Option<IpAddr> {
        Some(address.parse().unwrap())
    }

    /// Guesses, and fails at once.
    fn guess(guesses: &Guesses, client: &str, count: u64, now: u64) -> Result<(), Duration> {
        let admitted = guesses.admit(share("a"), from(client), count, now);
        admitted.map(drop)
    }

    #[test]
    fn a_client_has_five_at_once_and_then_one_a_minute() {
        let guesses = Guesses::new();
        let minute = Duration::from_secs(60);
        for one in ["192.0.2.1", "2001:db8::1"] {
            for _ in 0..5 {
                assert_eq!(guess(&guesses, one, 0, 0), Ok(()));
            }
            assert_eq!(guess(&guesses, one, 0, 0), Err(minute));
        }
        // The same network, written or numbered in other ways.
        for same in ["::ffff:192.0.2.1", "2001:db8::ffff:1"] {
            assert_eq!(guess(&guesses, same, 0, 0), Err(minute), "{same}");
        }
        for other in ["192.0.2.2", "2001:db8:0:1::1"] {
            assert_eq!(guess(&guesses, other, 0, 0), Ok(()), "{other}");
        }
        let of_another = guesses.admit(share("b"), from("192.0.2.1"), 0, 0);
        assert!(of_another.is_ok(), "another share");
        assert_eq!(guess(&guesses, "192.0.2.1", 0, MINUTE), Ok(()));
        assert_eq!(guess(&guesses, "192.0.2.1", 0, MINUTE), Err(minute));
    }

    #[test]
    fn a_share_has_sixty_at_once_and_then_one_a_second() {
        let guesses = Guesses::new();
        for number in 0..60 {
            let client = format!("10.{number}.0.1");
            assert_eq!(guess(&guesses, &client, 0, 0), Ok(()));
        }
        let second = Duration::from_secs(1);
        assert_eq!(guess(&guesses, "10.99.0.1", 0, 0), Err(second));
        assert_eq!(guess(&guesses, "10.99.0.1", 0, SECOND), Ok(()));
        // What was refused cost its client nothing.
        for _ in 0..4 {
            assert_eq!(guess(&guesses, "10.99.0.1", 0, 61 * SECOND), Ok(()));
        }
    }

    #[test]
    fn the_last_of_an_hour_are_for_networks_that_have_not_guessed() {
        let guesses = Guesses::new();
        let ends = Err(HOUR_WAIT);
        assert_eq!(guess(&guesses, "192.0.2.1", 449, 0), Ok(()));
        for (client, answer) in [
            ("192.0.2.1", ends),
            ("192.0.2.200", ends),
            ("192.0.3.1", Ok(())),
            ("192.0.3.1", ends),
            ("2001:db8::1", Ok(())),
            ("2001:db8:0:9::1", ends),
            ("2001:db8:1::1", Ok(())),
        ] {
            assert_eq!(guess(&guesses, client, 450, 0), answer, "{client}");
        }
        assert_eq!(guess(&guesses, "198.51.100.1", 600, 0), ends);
        assert_eq!(guess(&guesses, "198.51.100.1", 599, 0), Ok(()));
        let hour = GUESS_SECONDS * SECOND;
        assert_eq!(guess(&guesses, "192.0.3.1", 450, hour - 1), ends);
        assert_eq!(guess(&guesses, "192.0.3.1", 450, hour), Ok(()));
    }

    /// Guesses that are being hashed may all fail.
    #[test]
    fn what_is_being_hashed_counts_as_failed() {
        let guesses = Guesses::new();
        let at_once = |client, count| guesses.admit(share("a"), from(client), count, 0);
        let one = at_once("192.0.2.1", 598).unwrap();
        let other = at_once("198.51.100.1", 598).unwrap();
        assert!(at_once("203.0.113.1", 598).is_err());
        drop(one);
        assert!(at_once("203.0.113.1", 598).is_ok());
        drop(other);
        assert!(guesses.running.counts().is_empty());
    }

    #[test]
    fn clients_that_are_not_known_are_one() {
        let guesses = Guesses::new();
        for _ in 0..5 {
            assert!(guesses.admit(share("a"), None, 0, 0).is_ok());
        }
        assert!(guesses.admit(share("a"), None, 0, 0).is_err());
    }
}
