//! The memory budget of responses: a bound on the bytes of answers that one process holds until their clients take them.
//!
//! Plain HTTP/1 holds none of a file, as the kernel sends it. Over TLS and HTTP/2 bytes wait in four places, and each
//! counts: pieces of files that were read, answers that were made in memory, records that TLS has sealed and the socket
//! has not taken, and the task of each open HTTP/2 stream.
//!
//! Each connection has a *share*: so much as its transport may hold, times the square of the part of the budget that is
//! free. Where many clients take nothing, all shares shrink, and there is always some of it left for the next one. A
//! body waits for memory before it reads. No connection waits for another one: what it lacks comes back when the client
//! takes what waits for it, and one that holds no piece gets a small one whatever the others hold.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;

pub use grant::Grant;

mod grant;

/// The most bytes that one HTTP/1 connection over TLS holds.
pub const HTTP1_BYTES_MAX: usize = 256 * 1024;

/// The most bytes that one HTTP/2 connection holds, however many streams it has.
pub const HTTP2_BYTES_MAX: usize = 512 * 1024;

/// The piece that a connection gets which holds none.
pub const PIECE_BYTES_MIN: usize = 4 * 1024;

/// The allowance for an open HTTP/2 stream: its task, its request's head and the HTTP library's entry.
pub const STREAM_BYTES: usize = 2560;

/// The allowance for an answer that is being made: most that are made in memory have no more.
const ANSWER_BYTES: usize = 16 * 1024;

/// The streams that a connection may have open whatever its share is: some more than a browser opens connections over
/// HTTP/1.
const STREAMS_MIN: usize = 8;

/// The steps of the part that is free.
const STEPS: u64 = 1024;

/// The memory budget of a process.
#[derive(Debug)]
pub struct ResponseMemory {
    max: u64,
    held: AtomicU64,
}

/// The account of one connection. Cloning is a reference count.
#[derive(Clone, Debug)]
pub struct ConnectionMemory(Arc<Account>);

#[derive(Debug)]
struct Account {
    budget: Arc<ResponseMemory>,
    /// The most that its transport may hold.
    most: usize,
    state: Mutex<AccountState>,
}

#[derive(Debug, Default)]
struct AccountState {
    /// All bytes that it holds.
    held: usize,
    /// The bytes of them that are pieces.
    pieces: usize,
    /// The number of open streams; 0 over HTTP/1.
    streams: usize,
    /// Those that wait for memory, in order: answers that are to be made, and then bodies.
    waiting: VecDeque<Waiting>,
    next_id: u64,
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    is_answer: bool,
    waker: Waker,
}

/// The kind of bytes that a connection holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Piece,
    Stream,
    Sealed,
}

/// Bytes of the budget. Dropped, they are free again.
#[derive(Debug)]
pub struct HeldBytes {
    memory: ConnectionMemory,
    kind: Kind,
    bytes: usize,
}

/// Bytes with their part of the budget.
struct OwnedBytes {
    bytes: Bytes,
    _held: HeldBytes,
}

impl ResponseMemory {
    /// Makes a budget of so many bytes.
    pub const fn new(max: u64) -> Self {
        Self {
            max,
            held: AtomicU64::new(0),
        }
    }

    /// Returns the bytes that all connections hold together.
    pub fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }

    /// Returns the account of a new connection, whose transport may hold so many bytes.
    pub fn connection(self: &Arc<Self>, most: usize) -> ConnectionMemory {
        ConnectionMemory(Arc::new(Account {
            budget: Arc::clone(self),
            most,
            state: Mutex::default(),
        }))
    }

    /// Returns the share of a connection whose transport may hold so many bytes.
    fn share(&self, most: usize) -> usize {
        let free = self.max.saturating_sub(self.held());
        let part = free.saturating_mul(STEPS) / self.max.max(1);
        let share = most as u64 * part * part / (STEPS * STEPS);
        usize::try_from(share).unwrap_or(most)
    }
}

impl ConnectionMemory {
    /// Waits for memory for a piece of at most so many bytes, more than none; it may be less, but never none. Those
    /// that wait are served in order.
    pub fn grant(&self, most: usize) -> Grant {
        Grant {
            memory: self.clone(),
            most,
            is_answer: false,
            id: None,
        }
    }

    /// Waits until an answer may be made: the connection is within its share, or holds no piece. The allowance is for as
    /// long as it is being made; then it counts itself. So bodies that are not read hold up no other request, and
    /// requests that come at once do not all have their answers made at once where memory is short.
    pub fn grant_answer(&self) -> Grant {
        let mut grant = self.grant(ANSWER_BYTES);
        grant.is_answer = true;
        grant
    }

    /// Returns an answer's bytes, which count as a piece of it until the last of them is dropped. They are there, so
    /// nothing is waited for.
    pub fn hold(&self, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        self.take(Kind::Piece, bytes.len()).around(bytes)
    }

    /// Returns the count of records that are sealed and not sent: none yet.
    pub fn sealed(&self) -> HeldBytes {
        self.take(Kind::Sealed, 0)
    }

    /// Returns how many of at most `most` streams the client may be told to open.
    pub fn streams_max(&self, most: u32) -> u32 {
        let (share, whole) = (self.share() as u64, self.0.most as u64);
        let streams = u64::from(most) * share / whole.max(1);
        let least = u32::try_from(STREAMS_MIN).unwrap_or(u32::MAX);
        u32::try_from(streams).map_or(most, |streams| streams.clamp(least.min(most), most))
    }

    /// Opens a stream. `None` if the connection has more of them than its share allows.
    pub fn open_stream(&self) -> Option<HeldBytes> {
        let share = self.share();
        let mut state = self.lock();
        // So it has what it was told for as long as half of its share is left to it.
        let fit = (share / STREAM_BYTES).max(STREAMS_MIN);
        if state.streams >= fit {
            return None;
        }
        state.streams += 1;
        Some(self.take_locked(&mut state, Kind::Stream, STREAM_BYTES))
    }

    fn share(&self) -> usize {
        self.0.budget.share(self.0.most)
    }

    fn take(&self, kind: Kind, bytes: usize) -> HeldBytes {
        self.take_locked(&mut self.lock(), kind, bytes)
    }

    fn take_locked(&self, state: &mut AccountState, kind: Kind, bytes: usize) -> HeldBytes {
        state.add(kind, bytes);
        self.0.budget.held.fetch_add(bytes as u64, Relaxed);
        HeldBytes {
            memory: self.clone(),
            kind,
            bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, AccountState> {
        // Nothing that holds the lock can leave the account half changed.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccountState {
    fn add(&mut self, kind: Kind, bytes: usize) {
        self.held += bytes;
        if kind == Kind::Piece {
            self.pieces += bytes;
        }
    }

    fn subtract(&mut self, kind: Kind, bytes: usize) {
        self.held -= bytes;
        if kind == Kind::Piece {
            self.pieces -= bytes;
        }
    }

    /// Returns the bytes that a piece of at most so many may have now; `None` if it must wait.
    fn grantable(&self, share: usize, most: usize) -> Option<usize> {
        let free = share.saturating_sub(self.held);
        // Small pieces cost time, so one of HTTP/1 waits for a quarter of the share. Of many streams each gets a part of
        // what is left, so that those that are not read leave something for those that are.
        let (least, piece) = match self.streams {
            0 => (share / 4, free),
            _ => (0, free / 8),
        };
        let least = least.max(PIECE_BYTES_MIN).min(most);
        if free >= least.max(1) {
            return Some(piece.clamp(least, most));
        }
        (self.pieces == 0).then(|| PIECE_BYTES_MIN.min(most))
    }

    /// Returns whether the connection is within its share, or holds no piece.
    const fn may_answer(&self, share: usize) -> bool {
        self.held < share || self.pieces == 0
    }

    /// Returns the position of a newcomer in the queue.
    fn position(&self, is_answer: bool) -> usize {
        match is_answer {
            true => self.waiting.partition_point(|waiting| waiting.is_answer),
            false => self.waiting.len(),
        }
    }

    /// Returns the waker of the first in the queue.
    fn next(&self) -> Option<Waker> {
        self.waiting.front().map(|waiting| waiting.waker.clone())
    }
}

impl HeldBytes {
    /// Returns their number.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Has so many bytes count from now on.
    pub fn resize(&mut self, bytes: usize) {
        if bytes > self.bytes {
            let more = bytes - self.bytes;
            self.memory.lock().add(self.kind, more);
            self.memory.0.budget.held.fetch_add(more as u64, Relaxed);
        } else if bytes < self.bytes {
            self.release(self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    /// Returns these bytes, which count until the last of them is dropped.
    pub fn around(mut self, bytes: Bytes) -> Bytes {
        self.resize(bytes.len());
        Bytes::from_owner(OwnedBytes { bytes, _held: self })
    }

    fn release(&self, bytes: usize) {
        let memory = &self.memory;
        memory.0.budget.held.fetch_sub(bytes as u64, Relaxed);
        let mut state = memory.lock();
        state.subtract(self.kind, bytes);
        let next = state.next();
        drop(state);
        if let Some(next) = next {
            next.wake();
        }
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        if self.kind == Kind::Stream {
            self.memory.lock().streams -= 1;
        }
        self.release(self.bytes);
    }
}

impl AsRef<[u8]> for OwnedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests;
