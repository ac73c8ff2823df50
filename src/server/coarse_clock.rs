//! The coarse clock of connections, and their deadlines. All connections of a kind share one of each.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The deadlines of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    /// The head of a request, from its first byte on; a new connection's first one, from the start.
    pub(super) head: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
    /// [`Deadlines::written_min`] bytes of answers that the client does not take: does not read off its
    /// socket or, in HTTP/2, does not ask for.
    pub(super) write: Duration,
    /// The bytes of answers that a client must take in each [`Deadlines::write`].
    pub(super) written_min: u64,
    /// Reading on after an answer that came before the request's end, so that the client can read it.
    pub(super) linger: Duration,
    /// The most bytes of such a request that are read.
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

/// A coarse clock that one task moves on, and the deadlines that are measured by it.
#[derive(Debug)]
pub(super) struct CoarseClock {
    pub(super) deadlines: Deadlines,
    /// Milliseconds since the start.
    millis: AtomicU64,
}

impl CoarseClock {
    pub(super) const fn new(deadlines: Deadlines) -> Self {
        Self {
            deadlines,
            millis: AtomicU64::new(0),
        }
    }

    pub(super) fn advance_to(&self, since_start: Duration) {
        let millis = u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis, Relaxed);
    }

    pub(super) fn now(&self) -> u64 {
        self.millis.load(Relaxed)
    }
}
