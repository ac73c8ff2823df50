//! The time as connections know it. It is one for all of a kind, and so is what they may take of it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What a connection may take its time over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    /// The head of a request, from its first byte on; a new connection's first one, from the start.
    pub(super) head: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
    /// [`Deadlines::written_min`] bytes of answers that the client does not take: does not read off its
    /// socket or, in HTTP/2, does not ask for.
    pub(super) write: Duration,
    /// How much of an answer a client must take in each [`Deadlines::write`].
    pub(super) written_min: u64,
    /// Reading on after an answer that came before the request's end, so that the client can read it.
    pub(super) linger: Duration,
    /// How much of such a request is read, in bytes.
    pub(super) lingered_max: u64,
    /// Waiting for a new connection's first request once a stop was asked for: it may be on its way.
    pub(super) first: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
            written_min: 1024,
            linger: Duration::from_secs(5),
            lingered_max: 4 * 1024 * 1024,
            first: Duration::from_secs(1),
        }
    }
}

/// The time as the connections know it, moved on by one task, and what they may take of it.
#[derive(Debug)]
pub(super) struct Ticks {
    pub(super) deadlines: Deadlines,
    /// Milliseconds since the start.
    millis: AtomicU64,
}

impl Ticks {
    pub(super) const fn new(deadlines: Deadlines) -> Self {
        Self {
            deadlines,
            millis: AtomicU64::new(0),
        }
    }

    pub(super) fn move_to(&self, since_start: Duration) {
        let millis = u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis, Relaxed);
    }

    pub(super) fn now(&self) -> u64 {
        self.millis.load(Relaxed)
    }
}
