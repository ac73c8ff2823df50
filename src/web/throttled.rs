//! A throttled body: bytes that go out no faster than they may. [`crate::gateway::limits`] says when.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep};

use super::response_memory::ConnectionMemory;
use crate::gateway::limits::Pace;

/// A throttle of one body: its pace, and the wait for the next piece.
pub(super) struct Throttle {
    pub(super) pace: Pace,
    waiting: Option<RateWait>,
}

/// A wait for a rate, in parts: at the end of each the connection is polled, since one that waits neither reads
/// nor writes, and would not learn that the client is gone.
struct RateWait {
    until: Instant,
    next_check: Pin<Box<Sleep>>,
}

/// Bytes in memory that may not all go out at once.
pub struct ThrottledBytes {
    bytes: Bytes,
    /// The connection's account, if its bytes count.
    memory: Option<ConnectionMemory>,
    throttle: Box<Throttle>,
}

/// The longest time between two checks of a connection that waits for its rate.
const CHECK_EVERY: Duration = Duration::from_secs(1);

impl RateWait {
    /// The wait that is left until then, if any is.
    fn until(until: Instant) -> Option<Self> {
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| Self {
            until,
            next_check: Box::pin(sleep(left.min(CHECK_EVERY))),
        })
    }
}

impl Throttle {
    pub(super) const fn new(pace: Pace) -> Self {
        Self {
            pace,
            waiting: None,
        }
    }

    /// Waits until the next piece is due, of up to `left` bytes. Until it is spent it stays granted.
    pub(super) fn poll_grant(&mut self, context: &mut Context<'_>, left: u64) -> Poll<()> {
        if self.pace.granted() == 0 {
            let wait = self.pace.grant(left);
            self.waiting = RateWait::until(Instant::now() + wait);
        }
        while let Some(waiting) = &mut self.waiting {
            ready!(waiting.next_check.as_mut().poll(context));
            self.waiting = RateWait::until(waiting.until);
        }
        Poll::Ready(())
    }
}

impl ThrottledBytes {
    pub(super) fn new(bytes: Bytes, pace: Pace) -> Self {
        Self {
            bytes,
            memory: None,
            throttle: Box::new(Throttle::new(pace)),
        }
    }

    /// Has each piece count as the connection's when it is due: until then it waits for the limit, not for the client.
    pub(super) fn count_in(&mut self, memory: &ConnectionMemory) {
        self.memory = Some(memory.clone());
    }

    /// Returns the number of bytes that are yet to go out.
    pub(super) const fn left(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The next of them, when they are due.
    pub(super) fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        let left = self.left();
        ready!(self.throttle.poll_grant(context, left));
        let pace = &mut self.throttle.pace;
        let length = usize::try_from(pace.granted()).unwrap_or(usize::MAX);
        let piece = self.bytes.split_to(length.min(self.bytes.len()));
        pace.spend(piece.len() as u64);
        Poll::Ready(match &self.memory {
            Some(memory) => memory.hold(piece),
            None => piece,
        })
    }
}
