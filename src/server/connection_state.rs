//! The state of a connection, and its deadlines.
//!
//! The connection itself only notes events, against a coarse clock that is a number in memory; the task that watches
//! all connections ([`mod@super::connections`]) asks [`ConnectionState::passed_deadline`] twice a second. So a
//! deadline costs no timer and no system call a request.

use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::task;

use super::coarse_clock::{CoarseClock, Deadlines};
use super::request_target::RequestTargets;
use super::streams::{CheckedStreams, Progress, StreamState, Streams, StreamsOf};
use crate::telemetry::metrics::Deadline;
use crate::web::response_memory::HeldBytes;
use crate::web::response_tracker::ResponseAborter;
use crate::web::tracked::ResponseWatcher;

use blocked_write::BlockedWrite;
use parking::Parking;

/// The wait of an answer for its next bytes after which each poll checks whether the client is still there.
const LONG_WAIT: Duration = Duration::from_millis(500);

/// The time without a request after which a connection of HTTP/1 is parked. A client that asks again and again is not to
/// have the HTTP library begin anew each time.
const PARKED_AFTER: Duration = Duration::from_millis(500);

/// The phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// It waits for a request.
    Idle,
    /// A request has begun to come in.
    Head,
    /// A request is being answered.
    Busy,
    /// The last answer is out; bytes that the client still sends are read and thrown away.
    Lingering,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Idle, Self::Head, Self::Busy, Self::Lingering];
}

/// The state of one connection. Its task writes it, and the watcher reads it.
#[derive(Debug)]
pub(super) struct ConnectionState {
    clock: Arc<CoarseClock>,
    phase: AtomicU8,
    /// Start of the phase.
    since: AtomicU64,
    /// The number of bodies, and pieces of bodies, of requests that are being answered.
    open: AtomicU32,
    /// True if there was a request.
    has_begun: AtomicBool,
    /// True if the connection is to end with the current answer.
    is_last: AtomicBool,
    /// True if the connection is to end in the midst of the current answer.
    is_aborted: AtomicBool,
    /// True if requests come beside one another (HTTP/2): a read need not be the beginning of one.
    is_multiplexed: AtomicBool,
    blocked: BlockedWrite,
    /// The number of pieces of answers that are with the HTTP library.
    queued: AtomicU32,
    /// Time since which the client takes too little of them.
    queued_since: AtomicU64,
    /// The bytes of them that it took since.
    queued_taken: AtomicU64,
    /// The bytes of them that it took in all, over HTTP/2.
    taken_of_all: AtomicU64,
    /// True if the client may still be sending a request that is answered already.
    unread: AtomicBool,
    /// Time since which the answer waits for its next bytes, plus one; 0 while it has some.
    waiting: AtomicU64,
    /// The streams of an HTTP/2 connection.
    streams: OnceLock<StreamsOf>,
    pub(super) targets: Arc<RequestTargets>,
    pub(super) parking: Parking,
}

impl ConnectionState {
    /// Returns the state of a new connection, whose first head is due.
    pub(super) fn new(clock: Arc<CoarseClock>) -> Self {
        Self {
            since: AtomicU64::new(clock.now()),
            clock,
            phase: AtomicU8::new(Phase::Head as u8),
            open: AtomicU32::new(0),
            has_begun: AtomicBool::new(false),
            is_last: AtomicBool::new(false),
            is_aborted: AtomicBool::new(false),
            is_multiplexed: AtomicBool::new(false),
            blocked: BlockedWrite::new(),
            queued: AtomicU32::new(0),
            queued_since: AtomicU64::new(0),
            queued_taken: AtomicU64::new(0),
            taken_of_all: AtomicU64::new(0),
            unread: AtomicBool::new(false),
            waiting: AtomicU64::new(0),
            streams: OnceLock::new(),
            targets: Arc::default(),
            parking: Parking::new(),
        }
    }

    /// Returns the deadlines of the connection.
    pub(super) fn deadlines(&self) -> &Deadlines {
        &self.clock.deadlines
    }

    /// Notes that a request has come in whole, but for its body.
    pub(super) fn begin(self: &Arc<Self>) -> OpenRequest {
        let open = self.begin_part();
        self.has_begun.store(true, Relaxed);
        self.enter(Phase::Busy);
        open
    }

    /// Has the streams of an HTTP/2 connection watched. Only the first call counts.
    pub(super) fn watch_streams(&self, streams: StreamsOf) {
        let _ = self.streams.set(streams);
    }

    /// Notes that the request of an HTTP/2 stream has come in whole, but for its body. `held` is the stream's memory.
    pub(super) fn begin_stream(
        self: &Arc<Self>,
        streams: &Streams,
        held: HeldBytes,
    ) -> OpenRequest {
        let mut open = self.begin();
        open.stream = Some(streams.begin(&self.clock, held));
        open
    }

    /// Ends each stream of which the client takes too little, and returns how many there are of which kind.
    pub(super) fn end_stalled_streams(&self) -> CheckedStreams {
        let progress = Progress {
            taken: self.taken_of_all.load(Relaxed),
            is_stalled: self.is_over(self.queued_since.load(Relaxed), self.deadlines().write),
        };
        let streams = self.streams.get();
        streams.map_or_else(CheckedStreams::default, |streams| {
            streams.end_stalled(progress)
        })
    }

    fn begin_part(self: &Arc<Self>) -> OpenRequest {
        self.open.fetch_add(1, Relaxed);
        OpenRequest {
            state: Arc::clone(self),
            stream: None,
            is_of_piece: false,
        }
    }

    /// Returns whether there was a request already.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.load(Relaxed)
    }

    /// Notes that requests come beside one another: a read need not be the beginning of a request, and whenever the
    /// connection ends, the client may still be sending.
    pub(super) fn multiplex(&self) {
        self.is_multiplexed.store(true, Relaxed);
        self.unread.store(true, Relaxed);
    }

    /// Lets the connection end with the current answer, or with the first one where there was none yet.
    pub(super) fn end(&self) {
        self.is_last.store(true, Relaxed);
        if self.is_multiplexed.load(Relaxed) && self.open.load(Relaxed) == 0 {
            self.enter(Phase::Lingering);
        }
    }

    /// Returns whether [`ConnectionState::end`] was called.
    pub(super) fn is_last(&self) -> bool {
        self.is_last.load(Relaxed)
    }

    /// Returns whether the connection is to end in the midst of the current answer.
    pub(super) fn is_aborted(&self) -> bool {
        self.is_aborted.load(Relaxed)
    }

    /// Returns whether the connection has been idle for too long, and the client should be warned before it ends: on
    /// HTTP/2 it may be about to send a request, and must learn that nobody looked at it.
    pub(super) fn is_to_be_warned(&self) -> bool {
        let is_idle = self.phase() == Phase::Idle && self.is_multiplexed.load(Relaxed);
        is_idle && !self.is_last() && self.is_past_deadline()
    }

    /// Returns whether a deadline has passed.
    pub(super) fn is_past_deadline(&self) -> bool {
        self.passed_deadline().is_some()
    }

    /// Returns the deadline that has passed, if one has.
    pub(super) fn passed_deadline(&self) -> Option<Deadline> {
        let deadlines = self.deadlines();
        let blocked = self.blocked.since(self.clock.now());
        let since = self.since.load(Relaxed);
        let (kind, since, limit) = match (self.phase(), blocked) {
            (Phase::Lingering, _) => (Deadline::Linger, since, deadlines.linger),
            (_, Some(blocked)) => (Deadline::Write, blocked, deadlines.write),
            // Over HTTP/2 each stream has a deadline of its own.
            _ if self.queued.load(Acquire) > 0 && !self.is_multiplexed.load(Relaxed) => (
                Deadline::Write,
                self.queued_since.load(Relaxed),
                deadlines.write,
            ),
            (Phase::Idle, _) => (Deadline::Idle, since, deadlines.idle),
            (Phase::Head, _) => (Deadline::Head, since, deadlines.head),
            // A body that is awaited has its own deadline (`web`).
            (Phase::Busy, _) => return None,
        };
        self.is_over(since, limit).then_some(kind)
    }

    /// Returns whether more time than this has gone by since then.
    fn is_over(&self, since: u64, limit: Duration) -> bool {
        u128::from(self.clock.now().saturating_sub(since)) > limit.as_millis()
    }

    /// Returns the time since which the connection has waited for a request, if it does.
    pub(super) fn idle_since(&self) -> Option<u64> {
        let is_idle = self.phase() == Phase::Idle && !self.blocked.is_blocked();
        is_idle.then(|| self.since.load(Relaxed))
    }

    /// Returns whether the connection is to be asked, before it is judged, what its client acknowledged.
    pub(super) fn is_to_be_asked(&self) -> bool {
        let now = self.clock.now();
        self.blocked.is_to_be_asked(now, self.deadlines().write)
    }

    /// Asks the connection's task for what the watcher wants of it: to look at its socket where a write is blocked, else to
    /// park.
    pub(super) fn ask(&self) {
        if self.blocked.is_blocked() {
            self.blocked.ask();
        } else {
            self.parking.ask();
        }
    }

    /// Returns whether the connection has been idle for so long that it is to be parked, and is not. One of HTTP/2 is never
    /// parked: its library's part holds what both sides know of each other.
    pub(super) fn is_to_be_parked(&self) -> bool {
        let idle_since = self.idle_since().filter(|_| !self.parking.is_parked());
        idle_since.is_some_and(|since| self.is_over(since, PARKED_AFTER))
            && !self.is_multiplexed.load(Relaxed)
    }

    /// Completes when the connection is to be parked and nothing of a request or an answer is under way.
    pub(super) fn poll_parking(&self, context: &mut Context<'_>) -> Poll<()> {
        ready!(self.parking.poll_asked(context));
        if self.idle_since().is_some() && self.targets.is_next_due() {
            return Poll::Ready(());
        }
        // A request came first.
        self.parking.note_served();
        Poll::Pending
    }

    /// Returns the time since which the head of a request has been coming in, if one is.
    pub(super) fn head_since(&self) -> Option<u64> {
        (self.phase() == Phase::Head).then(|| self.since.load(Relaxed))
    }

    /// Returns the time since which the client has taken less than [`Deadlines::written_min`] bytes of answers that wait
    /// for it, if some do. Beside a request of HTTP/2 that waits for us, or whose body comes in, it is not stalled.
    pub(super) fn stalled_since(&self) -> Option<u64> {
        let blocked = self.blocked.since(self.clock.now());
        if blocked.is_some() {
            return blocked;
        }
        let waits_for_client = self.queued.load(Acquire) > 0
            && self
                .streams
                .get()
                .is_none_or(StreamsOf::all_wait_for_client);
        waits_for_client.then(|| self.queued_since.load(Relaxed))
    }

    /// Returns whether the answer has waited for its next bytes so long that the client may be gone unseen.
    fn has_long_waited(&self) -> bool {
        let since = self.waiting.load(Relaxed);
        let waited = || self.clock.now().saturating_sub(since - 1);
        since > 0 && u128::from(waited()) >= LONG_WAIT.as_millis()
    }

    #[expect(clippy::expect_used, reason = "only `enter` writes a phase")]
    fn phase(&self) -> Phase {
        let phase = self.phase.load(Relaxed);
        let known = Phase::ALL.into_iter().find(|known| *known as u8 == phase);
        known.expect("one of the phases")
    }

    fn enter(&self, phase: Phase) {
        self.since.store(self.clock.now(), Relaxed);
        self.phase.store(phase as u8, Relaxed);
    }

    fn note_read(&self) {
        let is_idle = self.phase.load(Relaxed) == Phase::Idle as u8;
        if is_idle && !self.is_multiplexed.load(Relaxed) {
            self.enter(Phase::Head);
        }
    }

    /// Notes that the client took enough of what waits for it. Only of HTTP/1, where that is one answer.
    fn note_progress(&self) {
        if !self.is_multiplexed.load(Relaxed) {
            self.queued_since.store(self.clock.now(), Relaxed);
            self.queued_taken.store(0, Relaxed);
        }
    }

    fn note_queued(&self) {
        // Before the number, so that nobody sees a piece with the time of an earlier one.
        if self.queued.load(Relaxed) == 0 {
            self.queued_since.store(self.clock.now(), Relaxed);
            self.queued_taken.store(0, Relaxed);
        }
        self.queued.fetch_add(1, Release);
    }

    fn note_taken(&self, bytes: usize) {
        let taken = self.queued_taken.fetch_add(bytes as u64, Relaxed) + bytes as u64;
        if taken >= self.deadlines().written_min {
            self.queued_since.store(self.clock.now(), Relaxed);
            self.queued_taken.store(0, Relaxed);
        }
    }
}

impl ResponseAborter for ConnectionState {
    /// Has the connection ended when it is looked at next. It has one task for all its answers.
    fn abort(&self, _: task::Id) {
        self.is_aborted.store(true, Relaxed);
    }

    fn forget_abort(&self) {
        self.is_aborted.store(false, Relaxed);
    }
}

/// A request that is being answered, until this and the watchers of all pieces of its answer are dropped.
#[derive(Debug)]
pub(super) struct OpenRequest {
    state: Arc<ConnectionState>,
    /// The stream that it is on, over HTTP/2.
    stream: Option<Arc<StreamState>>,
    /// Whether it is that of a piece, which is with the HTTP library until it is dropped.
    is_of_piece: bool,
}

impl OpenRequest {
    /// Notes the answer. `has_unread_body`: the client may still be sending the request.
    pub(super) fn note_answer(&self, has_unread_body: bool) {
        if !self.state.is_multiplexed.load(Relaxed) {
            self.state.unread.store(has_unread_body, Relaxed);
        }
    }
}

impl ResponseWatcher for OpenRequest {
    fn note_polled(&self, is_waiting: bool) {
        let waiting = &self.state.waiting;
        if is_waiting != (waiting.load(Relaxed) > 0) {
            let now = || self.state.clock.now() + 1;
            waiting.store(if is_waiting { now() } else { 0 }, Relaxed);
        }
    }

    fn piece(&self) -> Self {
        let mut part = self.state.begin_part();
        part.stream.clone_from(&self.stream);
        part.last_piece()
    }

    fn last_piece(mut self) -> Self {
        self.state.note_queued();
        if let Some(stream) = &self.stream {
            stream.note_queued(self.state.taken_of_all.load(Relaxed));
        }
        self.is_of_piece = true;
        self
    }

    fn note_taken(&self, bytes: usize) {
        self.state.note_taken(bytes);
        if let Some(stream) = &self.stream {
            let before = self.state.taken_of_all.fetch_add(bytes as u64, Relaxed);
            stream.note_taken(bytes, before + bytes as u64);
        }
    }

    fn is_one_of_several(&self) -> bool {
        self.stream.is_some()
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        // It is idle only once no piece of it is queued.
        if self.is_of_piece {
            self.state.queued.fetch_sub(1, Relaxed);
            if let Some(stream) = &self.stream {
                stream.note_gone();
            }
        }
        if self.state.open.fetch_sub(1, Relaxed) == 1 {
            let is_over = self.state.is_last() && self.state.is_multiplexed.load(Relaxed);
            self.state.enter(if is_over {
                Phase::Lingering
            } else {
                Phase::Idle
            });
        }
    }
}

mod blocked_write;
mod parking;
#[cfg(test)]
mod tests;
mod tracked_stream;

pub(super) use tracked_stream::TrackedStream;
