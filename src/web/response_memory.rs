//! The memory budget of responses: a bound on the bytes of answers that one process holds until their clients take them.
//!
//! Plain HTTP/1 holds none of a file, as the kernel sends it. Over TLS and HTTP/2 bytes wait in four places, and each
//! counts: pieces of files that were read, answers that were made in memory, records that TLS has sealed and the socket
//! has not taken, and the task of each open HTTP/2 stream. While a connection holds any of them, the buffers that it has
//! itself count with it: not in its share, but in what is left to others.
//!
//! Each connection has a *share*: so much as its transport may hold, times the cube of the part of the budget that is
//! free. Where many clients take nothing, all shares shrink, so that some of it is left for the next one. A
//! body waits for memory before it reads.
//!
//! No connection waits for another one, and no stream of HTTP/2 for another one: what it lacks comes back when its own
//! client takes what waits for it. One that holds no piece gets a small one whatever the others hold. So a connection
//! holds at most its share, and besides one small piece for each stream that it has open
//! ([`STREAM_PIECE_BYTES`] times `server.http2_streams_max`). While the share is whole they are part of it: they are
//! kept back when others ask for more.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;

pub use grant::Grant;

mod grant;

/// The most bytes that one HTTP/1 connection over TLS holds.
pub const HTTP1_BYTES_MAX: usize = 256 * 1024;

/// The most bytes that one HTTP/2 connection holds, however many streams it has.
pub const HTTP2_BYTES_MAX: usize = 512 * 1024;

/// The buffers that a connection over TLS has itself: those of TLS and of the HTTP library (measured by `benches/slow_readers.rs`).
pub const HTTP1_BUFFER_BYTES: usize = 30 * 1024;

/// The same of HTTP/2.
pub const HTTP2_BUFFER_BYTES: usize = 48 * 1024;

/// The piece that a connection gets which holds none, and the least of a further one of a stream.
pub const PIECE_BYTES_MIN: usize = 4 * 1024;

/// The piece that an HTTP/2 stream gets which holds none, whatever the other streams of its connection hold.
pub const STREAM_PIECE_BYTES: usize = 2 * 1024;

/// The part of the share that must be free where an HTTP/2 stream gets one more piece: one quarter. So streams that are
/// not read leave something for those that are.
const FREE_FOR_MORE: usize = 4;

/// The part of what is free that one piece of an HTTP/2 stream may have: one eighth.
const FREE_FOR_ONE: usize = 8;

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

/// The account of one connection, as one of its responses uses it. Cloning is a reference count.
#[derive(Clone, Debug)]
pub struct ConnectionMemory {
    account: Arc<Account>,
    /// The bytes of pieces of one HTTP/2 stream. The account's lock guards their number.
    stream: Option<Arc<AtomicUsize>>,
}

#[derive(Debug)]
struct Account {
    budget: Arc<ResponseMemory>,
    /// The most that its transport may hold.
    most: usize,
    /// The bytes of its own buffers.
    buffers: usize,
    state: Mutex<AccountState>,
}

#[derive(Debug, Default)]
struct AccountState {
    /// All bytes that it holds.
    held: usize,
    /// The bytes of them that are pieces, answers included.
    pieces: usize,
    /// The bytes of pieces that are answers made in memory.
    answers: usize,
    /// The number of answers that are being made.
    in_making: usize,
    /// The number of streams that hold a piece.
    streams_with_pieces: usize,
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
    stream: Option<Arc<AtomicUsize>>,
    waker: Waker,
}

/// The kind of bytes that a connection holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A piece of a file.
    Piece,
    /// An answer that was made in memory.
    Answer,
    /// The allowance for an answer that is being made.
    InMaking,
    /// An open HTTP/2 stream.
    Stream,
    /// Records of TLS.
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

    /// Returns the account of a new connection, whose transport may hold so many bytes, and which has so many bytes of
    /// buffers itself.
    pub fn connection(self: &Arc<Self>, most: usize, buffers: usize) -> ConnectionMemory {
        ConnectionMemory {
            account: Arc::new(Account {
                budget: Arc::clone(self),
                most,
                buffers,
                state: Mutex::default(),
            }),
            stream: None,
        }
    }

    /// Returns the share of a connection whose transport may hold so many bytes.
    fn share(&self, most: usize) -> usize {
        let free = self.max.saturating_sub(self.held());
        let part = free.saturating_mul(STEPS) / self.max.max(1);
        let share = most as u64 * part * part * part / (STEPS * STEPS * STEPS);
        usize::try_from(share).unwrap_or(most)
    }
}

impl ConnectionMemory {
    /// Returns the account as the response of one HTTP/2 stream uses it, whose pieces count by themselves.
    pub fn of_stream(&self) -> Self {
        Self {
            account: Arc::clone(&self.account),
            stream: Some(Arc::default()),
        }
    }

    /// Waits for memory for a piece of at most so many bytes, more than none; it may be less, but never none. Those
    /// that wait are served in order, but a stream that holds no piece waits for nobody.
    pub fn grant(&self, most: usize) -> Grant {
        Grant {
            memory: self.clone(),
            most,
            is_answer: false,
            id: None,
        }
    }

    /// Waits until an answer may be made: the connection is within its share, or makes no other one. The allowance is for
    /// as long as it is being made; then it counts itself. So bodies that are not read hold up no other request, and
    /// requests that come at once do not all have their answers made at once where memory is short. Where all of the
    /// budget is used up, the connection has one answer at a time that its client has not taken.
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
        self.take(Kind::Answer, bytes.len()).around(bytes)
    }

    /// Returns the count of records that are sealed and not sent: none yet.
    pub fn sealed(&self) -> HeldBytes {
        self.take(Kind::Sealed, 0)
    }

    /// Returns how many of at most `most` streams the client may be told to open.
    pub fn streams_max(&self, most: u32) -> u32 {
        let (share, whole) = (self.share() as u64, self.account.most as u64);
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
        self.account.budget.share(self.account.most)
    }

    fn take(&self, kind: Kind, bytes: usize) -> HeldBytes {
        self.take_locked(&mut self.lock(), kind, bytes)
    }

    fn take_locked(&self, state: &mut AccountState, kind: Kind, bytes: usize) -> HeldBytes {
        self.add(state, kind, bytes);
        if kind == Kind::InMaking {
            state.in_making += 1;
        }
        HeldBytes {
            memory: self.clone(),
            kind,
            bytes,
        }
    }

    fn add(&self, state: &mut AccountState, kind: Kind, bytes: usize) {
        let is_first = usize::from(state.held == 0 && bytes > 0);
        state.add(kind, bytes, self.stream.as_deref());
        let more = bytes + is_first * self.account.buffers;
        self.account.budget.held.fetch_add(more as u64, Relaxed);
    }

    fn subtract(&self, state: &mut AccountState, kind: Kind, bytes: usize) {
        state.subtract(kind, bytes, self.stream.as_deref());
        let is_last = usize::from(state.held == 0 && bytes > 0);
        let less = bytes + is_last * self.account.buffers;
        self.account.budget.held.fetch_sub(less as u64, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, AccountState> {
        // Nothing that holds the lock can leave the account half changed.
        self.account
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccountState {
    fn add(&mut self, kind: Kind, bytes: usize, stream: Option<&AtomicUsize>) {
        self.held += bytes;
        if !kind.is_piece() {
            return;
        }
        self.pieces += bytes;
        if kind == Kind::Answer {
            self.answers += bytes;
        }
        if let Some(stream) = stream
            && bytes > 0
            && stream.fetch_add(bytes, Relaxed) == 0
        {
            self.streams_with_pieces += 1;
        }
    }

    fn subtract(&mut self, kind: Kind, bytes: usize, stream: Option<&AtomicUsize>) {
        self.held -= bytes;
        if !kind.is_piece() {
            return;
        }
        self.pieces -= bytes;
        if kind == Kind::Answer {
            self.answers -= bytes;
        }
        if let Some(stream) = stream
            && bytes > 0
            && stream.fetch_sub(bytes, Relaxed) == bytes
        {
            self.streams_with_pieces -= 1;
        }
    }

    /// Returns the bytes that a piece of at most so many may have now; `None` if it must wait. `own`: the bytes that its
    /// stream holds already; `None` over HTTP/1.
    fn grantable(&self, share: usize, most: usize, own: Option<usize>) -> Option<usize> {
        let Some(own) = own else {
            let free = share.saturating_sub(self.held);
            // Small pieces cost time, so it waits for a quarter of the share.
            let least = (share / 4).max(PIECE_BYTES_MIN).min(most);
            if free >= least.max(1) {
                return Some(free.clamp(least, most));
            }
            return (self.pieces == 0).then(|| PIECE_BYTES_MIN.min(most));
        };
        let without_piece = self.streams.saturating_sub(self.streams_with_pieces);
        let free = share.saturating_sub(self.held + without_piece * STREAM_PIECE_BYTES);
        let least = match own {
            0 if self.pieces == 0 => PIECE_BYTES_MIN,
            0 => STREAM_PIECE_BYTES,
            _ if free >= (share / FREE_FOR_MORE).max(PIECE_BYTES_MIN) => PIECE_BYTES_MIN,
            _ => return None,
        };
        Some((free / FREE_FOR_ONE).clamp(least.min(most), most))
    }

    /// Returns whether an answer may be made: a few at once whatever the connection holds, so that one whose making waits
    /// for something holds up no other. Where the process's budget is used up, one.
    const fn may_answer(&self, share: usize) -> bool {
        let fits = match share {
            0 => self.in_making == 0 && self.answers < ANSWER_BYTES,
            _ => self.in_making < STREAMS_MIN,
        };
        self.held < share || fits
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

    /// Returns the waker of the body that waits for this stream, if the stream holds no piece: it is granted one wherever
    /// it is in the queue.
    fn of_stream_without_piece(&self, stream: Option<&Arc<AtomicUsize>>) -> Option<Waker> {
        let stream = stream.filter(|stream| stream.load(Relaxed) == 0)?;
        let is_its = |waiting: &&Waiting| {
            let own = waiting.stream.as_ref();
            !waiting.is_answer && own.is_some_and(|own| Arc::ptr_eq(own, stream))
        };
        let waiting = self.waiting.iter().find(is_its);
        waiting.map(|waiting| waiting.waker.clone())
    }
}

impl Kind {
    const fn is_piece(self) -> bool {
        matches!(self, Self::Piece | Self::Answer)
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
            let mut state = self.memory.lock();
            self.memory.add(&mut state, self.kind, bytes - self.bytes);
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
        let mut state = memory.lock();
        memory.subtract(&mut state, self.kind, bytes);
        let own = state.of_stream_without_piece(memory.stream.as_ref());
        let next = state.next();
        drop(state);
        for waker in own.into_iter().chain(next) {
            waker.wake();
        }
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        match self.kind {
            Kind::Stream => self.memory.lock().streams -= 1,
            Kind::InMaking => self.memory.lock().in_making -= 1,
            Kind::Piece | Kind::Answer | Kind::Sealed => {}
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
