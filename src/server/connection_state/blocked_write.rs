//! The write of a connection that its client blocks, and how a slow client is told from one that has stopped.
//!
//! Bytes that the kernel takes are not enough for that: it takes none before the client has read half of what waits for
//! it, which may be a megabyte. What the client's system acknowledged tells it (`TCP_INFO`), but costs a call of the system
//! each time. So it is asked for only where a write stays blocked:
//!
//! 1. The task that watches all connections finds a write that has been blocked for a while, and wakes the connection
//!    ([`BlockedWrite::ask`]).
//! 2. The connection's own task polls the write again. It is still blocked, so the stream asks the kernel
//!    ([`BlockedWrite::note_blocked`]). The stream owns the socket, so this is the right one, and it is open: nobody else has
//!    its descriptor, which another connection may have by the time that the first one has ended.
//! 3. Where the client's system acknowledged enough, its time begins anew.
//!
//! The watcher believes in no time without progress that nobody has looked at ([`BlockedWrite::since`]): a late answer
//! ends nobody. Where the kernel does not say it, over a Unix socket, the bytes that it takes are all there is.

use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::task::Context;
use std::time::Duration;

use futures_util::task::AtomicWaker;

/// The time after which a blocked connection is asked first. Most writes are blocked for less.
const ASKED_AFTER: Duration = Duration::from_millis(500);

/// The interval at which a blocked connection is asked. Some 2 µs each time: a thousandth of a processor for each thousand
/// of them. It is small beside all the times after which such a one is ended.
const ASKED_EVERY: Duration = Duration::from_secs(2);

/// The acknowledged bytes that nobody has asked for since the write was blocked.
const UNKNOWN: u64 = u64::MAX;

/// The blocked write of one connection. Its task writes it, and the watcher reads it. Times are those of the coarse clock,
/// in milliseconds.
#[derive(Debug)]
pub(in crate::server) struct BlockedWrite {
    /// Time since which the client takes too little, plus one; 0 while nothing is blocked.
    since: AtomicU64,
    /// Time up to which that is known.
    known_until: AtomicU64,
    /// The bytes that the kernel took since.
    taken: AtomicU64,
    /// The number of acknowledged bytes then.
    acked: AtomicU64,
    /// True if the connection is to look at its socket.
    is_asked: AtomicBool,
    /// True if the kernel says what was acknowledged.
    tells_acked: AtomicBool,
    waker: AtomicWaker,
}

impl BlockedWrite {
    /// Returns the state of a connection that nothing blocks, and whose kernel says nothing.
    pub(in crate::server) const fn new() -> Self {
        Self {
            since: AtomicU64::new(0),
            known_until: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            acked: AtomicU64::new(UNKNOWN),
            is_asked: AtomicBool::new(false),
            tells_acked: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// Notes whether the kernel says what the client acknowledged.
    pub(super) fn tell_acked(&self, tells_acked: bool) {
        self.tells_acked.store(tells_acked, Relaxed);
    }

    /// Returns whether a write is blocked.
    pub(super) fn is_blocked(&self) -> bool {
        self.since.load(Relaxed) > 0
    }

    /// Returns the time since which the client has taken too little, if it blocks a write. The time up to `now` that nobody
    /// has looked at does not count against it: so much later it is.
    pub(super) fn since(&self, now: u64) -> Option<u64> {
        // Before the time, which was written before it.
        let known_until = self.known_until.load(Acquire);
        let since = self.since.load(Relaxed).checked_sub(1)?;
        if !self.tells_acked.load(Relaxed) {
            return Some(since);
        }
        Some(since + now.saturating_sub(known_until.max(since)))
    }

    /// Returns whether the connection is to be asked what its client acknowledged: before its deadline now and then, and
    /// from then on until it has answered.
    pub(super) fn is_to_be_asked(&self, now: u64, deadline: Duration) -> bool {
        let Some(since) = self.since.load(Relaxed).checked_sub(1) else {
            return false;
        };
        let age = |then: u64| u128::from(now.saturating_sub(then));
        let is_first = self.acked.load(Relaxed) == UNKNOWN;
        let is_due = is_first && age(since) > ASKED_AFTER.as_millis()
            || age(self.known_until.load(Relaxed)) >= ASKED_EVERY.as_millis()
            || age(since) > deadline.as_millis();
        self.tells_acked.load(Relaxed) && is_due
    }

    /// Asks the connection to look at its socket.
    pub(super) fn ask(&self) {
        self.is_asked.store(true, Release);
        self.waker.wake();
    }

    /// Notes that the socket takes nothing now. `acked` asks the kernel for the bytes that the client acknowledged, of
    /// which it must acknowledge so many in its time. Returns whether that time begins anew.
    pub(super) fn note_blocked(
        &self,
        context: &Context<'_>,
        now: u64,
        written_min: u64,
        acked: impl FnOnce() -> Option<u64>,
    ) -> bool {
        // Before the look, so that nobody asks in between unheard.
        self.waker.register(context.waker());
        if !self.is_blocked() {
            self.taken.store(0, Relaxed);
            self.acked.store(UNKNOWN, Relaxed);
            self.is_asked.store(false, Relaxed);
            self.since.store(now + 1, Relaxed);
            self.known_until.store(now, Release);
            return false;
        }
        if !self.is_asked.swap(false, Acquire) {
            return false;
        }
        let Some(acked) = acked() else {
            self.tell_acked(false);
            return false;
        };
        let before = self.acked.load(Relaxed);
        // The first answer is what the others are compared with.
        let begins_anew = before == UNKNOWN || acked.saturating_sub(before) >= written_min;
        if begins_anew {
            self.acked.store(acked, Relaxed);
            self.taken.store(0, Relaxed);
            self.since.store(now + 1, Relaxed);
        }
        self.known_until.store(now, Release);
        begins_anew
    }

    /// Notes that the kernel took bytes. Where they are enough, nothing is blocked any more.
    pub(super) fn note_taken(&self, bytes: usize, written_min: u64) {
        if self.is_blocked() {
            let taken = self.taken.load(Relaxed) + bytes as u64;
            self.taken.store(taken, Relaxed);
            if taken >= written_min {
                self.clear();
            }
        }
    }

    /// Notes that nothing is left to write.
    pub(super) fn clear(&self) {
        self.since.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(30);
    const WRITTEN_MIN: u64 = 1024;

    /// A blocked write, which the watcher looks at twice a second.
    struct Watched {
        write: BlockedWrite,
        now: u64,
        acked: Option<u64>,
        /// The number of times that the kernel was asked.
        asked: u32,
    }

    impl Watched {
        fn new(acked: Option<u64>) -> Self {
            let write = BlockedWrite::new();
            write.tell_acked(true);
            let (now, asked) = (1_000, 0);
            let mut watched = Self {
                write,
                now,
                acked,
                asked,
            };
            watched.poll();
            watched
        }

        /// The connection polls its write, in vain.
        fn poll(&mut self) -> bool {
            let context = Context::from_waker(Waker::noop());
            let acked = || {
                self.asked += 1;
                self.acked
            };
            self.write
                .note_blocked(&context, self.now, WRITTEN_MIN, acked)
        }

        /// Lets so much time go by, and returns the time without progress then, in milliseconds.
        fn wait(&mut self, millis: u64) -> u64 {
            for _ in 0..millis / 500 {
                self.now += 500;
                if self.write.is_to_be_asked(self.now, DEADLINE) {
                    self.write.ask();
                    self.poll();
                }
            }
            self.now - self.write.since(self.now).expect("a blocked write")
        }
    }

    #[test]
    fn the_time_begins_anew_with_each_kib_that_was_acknowledged_and_with_nothing_less() {
        let mut watched = Watched::new(Some(5_000));
        for acked in (5_000..50_000).step_by(1024) {
            watched.acked = Some(acked);
            assert!(watched.wait(29_000) < 30_000, "{acked}");
        }
        let before = watched.acked.unwrap();
        watched.wait(2_000);
        for more in [1, 1_000, 1_023] {
            watched.acked = Some(before + more);
            watched.wait(10_000);
        }
        assert!(watched.wait(1_500) > 30_000);
        watched.acked = Some(before + 1_024);
        assert!(watched.wait(500) < 500);
    }

    #[test]
    fn one_that_stops_is_ended_a_second_late_at_most_and_is_asked_every_two_seconds() {
        let mut watched = Watched::new(Some(0));
        assert!(watched.wait(30_000) <= 30_000);
        assert!(watched.wait(2_000) > 30_000);
        assert!((15..20).contains(&watched.asked), "{}", watched.asked);
    }

    #[test]
    fn the_kernel_is_not_asked_about_a_write_that_is_blocked_for_a_moment() {
        let mut watched = Watched::new(Some(0));
        for _ in 0..10 {
            watched.wait(500);
            watched.write.note_taken(70_000, WRITTEN_MIN);
            assert!(!watched.write.is_blocked());
            watched.poll();
        }
        assert_eq!(watched.asked, 0);
    }

    #[test]
    fn time_at_which_nobody_looked_is_not_held_against_a_client() {
        let mut watched = Watched::new(Some(0));
        watched.wait(9_000);
        // The task that would have to look waits for a processor.
        watched.now += 60_000;
        assert!(watched.write.since(watched.now).unwrap() > watched.now - 10_000);
        watched.acked = Some(WRITTEN_MIN);
        assert!(watched.write.is_to_be_asked(watched.now, DEADLINE));
        watched.write.ask();
        assert!(watched.poll(), "the time begins anew");
        assert!(!watched.poll(), "it was asked once");
        assert!(watched.wait(20_000) <= 20_000);
    }

    #[test]
    fn where_the_kernel_does_not_say_it_only_what_it_takes_counts() {
        let mut watched = Watched::new(None);
        watched.wait(3_000);
        watched.acked = Some(1_000_000);
        assert!(watched.wait(28_000) > 30_000);
        assert_eq!(watched.asked, 1);
        watched.write.note_taken(1_023, WRITTEN_MIN);
        assert!(watched.write.is_blocked());
        watched.write.note_taken(1, WRITTEN_MIN);
        assert!(!watched.write.is_blocked());
    }
}
