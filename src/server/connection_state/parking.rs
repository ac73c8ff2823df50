//! The signal by which an idle connection of HTTP/1 is parked: the HTTP library's part of it is given back, and its
//! stream alone waits for the next request.
//!
//! 1. The task that watches all connections finds one that has been idle for a while, and asks it ([`Parking::ask`]).
//! 2. The connection's own task hears that ([`Parking::poll_asked`]), takes the library's part apart between two
//!    requests, and says so ([`Parking::note_parked`]). `http1` does that.
//! 3. It reads the first bytes of the next request by itself, says so ([`Parking::note_served`]), and has the library
//!    begin anew.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

/// The HTTP library has the connection.
const SERVED: u8 = 0;

/// It has, and is to give it back once the connection is between two requests.
const ASKED: u8 = 1;

/// The stream of the connection waits alone.
const PARKED: u8 = 2;

/// Whether one connection is parked, or is asked to.
#[derive(Debug)]
pub(in crate::server) struct Parking {
    step: AtomicU8,
    waker: AtomicWaker,
}

impl Parking {
    /// Returns the signal of a connection that is served.
    pub(in crate::server) const fn new() -> Self {
        Self {
            step: AtomicU8::new(SERVED),
            waker: AtomicWaker::new(),
        }
    }

    /// Asks the connection to park. One that is parked, or was asked, is left alone.
    pub(in crate::server) fn ask(&self) {
        let asked = self.step.compare_exchange(SERVED, ASKED, Relaxed, Relaxed);
        if asked.is_ok() {
            self.waker.wake();
        }
    }

    /// Returns whether the connection is parked.
    pub(in crate::server) fn is_parked(&self) -> bool {
        self.step.load(Relaxed) == PARKED
    }

    /// Completes when the connection is asked to park.
    pub(in crate::server) fn poll_asked(&self, context: &mut Context<'_>) -> Poll<()> {
        // Before the look, so that nobody asks in between unheard.
        self.waker.register(context.waker());
        match self.step.load(Relaxed) {
            ASKED => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    /// Notes that the stream waits alone.
    pub(in crate::server) fn note_parked(&self) {
        self.step.store(PARKED, Relaxed);
    }

    /// Notes that the HTTP library has the connection, or keeps it although it was asked.
    pub(in crate::server) fn note_served(&self) {
        self.step.store(SERVED, Relaxed);
    }
}
