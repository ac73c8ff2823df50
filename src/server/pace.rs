//! How far a connection has come, and when it has taken too long.
//!
//! The connection itself only notes what happens, against a clock that is a number in memory; whoever
//! watches all connections ([`super::connections`]) asks [`Pace::is_overdue`] now and then. So a deadline
//! costs no timer and no system call a request.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

/// What is read at once of a body that nobody wants, in bytes.
const DRAIN_BYTES: usize = 16 * 1024;

/// What a connection may take its time over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    /// The head of a request, from its first byte on; a new connection's first one, from the start.
    pub(super) head: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
    /// [`Deadlines::written_min`] bytes of an answer that the client does not read.
    pub(super) write: Duration,
    /// How much of an answer a client must take in each [`Deadlines::write`].
    pub(super) written_min: u64,
    /// Reading on after an answer that came before the request's end, so that the client can read it.
    pub(super) linger: Duration,
    /// How much of such a request is read, in bytes.
    pub(super) lingered_max: u64,
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
        }
    }
}

/// The time as the connections know it: milliseconds since the start, moved on by one task.
#[derive(Debug, Default)]
pub(super) struct Ticks(AtomicU64);

impl Ticks {
    pub(super) fn move_to(&self, since_start: Duration) {
        let millis = u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX);
        self.0.store(millis, Relaxed);
    }

    fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// It waits for a request.
    Idle,
    /// A request has begun to come in.
    Head,
    /// A request is being answered.
    Busy,
    /// All is said; what the client still sends is read and thrown away.
    Lingering,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Idle, Self::Head, Self::Busy, Self::Lingering];
}

/// The notes of one connection. Written by its task, read by the one that watches.
#[derive(Debug)]
pub(super) struct Pace {
    ticks: Arc<Ticks>,
    phase: AtomicU8,
    /// When the phase began.
    since: AtomicU64,
    /// How many requests are being answered.
    open: AtomicU32,
    /// When the client stopped reading, plus one; 0 while it reads.
    blocked: AtomicU64,
    /// How much it took since.
    taken: AtomicU64,
    /// Whether the client may still be sending a request that is answered already.
    unread: AtomicBool,
}

impl Pace {
    /// Of a new connection, whose first head is due.
    pub(super) fn new(ticks: Arc<Ticks>) -> Self {
        Self {
            since: AtomicU64::new(ticks.now()),
            ticks,
            phase: AtomicU8::new(Phase::Head as u8),
            open: AtomicU32::new(0),
            blocked: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            unread: AtomicBool::new(false),
        }
    }

    /// A request has come in whole, but for its body.
    pub(super) fn begin(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Relaxed);
        self.enter(Phase::Busy);
        Open(Arc::clone(self))
    }

    /// Whether it has taken longer over something than it may.
    pub(super) fn is_overdue(&self, deadlines: &Deadlines) -> bool {
        let now = self.ticks.now();
        let over =
            |since: u64, limit: Duration| u128::from(now.saturating_sub(since)) > limit.as_millis();
        let blocked = self.blocked.load(Relaxed);
        let since = self.since.load(Relaxed);
        match self.phase() {
            Phase::Lingering => over(since, deadlines.linger),
            _ if blocked > 0 => over(blocked - 1, deadlines.write),
            Phase::Idle => over(since, deadlines.idle),
            Phase::Head => over(since, deadlines.head),
            // Whoever waits for a request's body has a deadline for it.
            Phase::Busy => false,
        }
    }

    /// Since when it has waited for a request, if it does.
    pub(super) fn idle_since(&self) -> Option<u64> {
        let is_idle = self.phase() == Phase::Idle && self.blocked.load(Relaxed) == 0;
        is_idle.then(|| self.since.load(Relaxed))
    }

    fn phase(&self) -> Phase {
        let phase = self.phase.load(Relaxed);
        let known = Phase::ALL.into_iter().find(|known| *known as u8 == phase);
        known.unwrap_or(Phase::Busy)
    }

    fn enter(&self, phase: Phase) {
        self.since.store(self.ticks.now(), Relaxed);
        self.phase.store(phase as u8, Relaxed);
    }

    fn note_read(&self) {
        if self.phase.load(Relaxed) == Phase::Idle as u8 {
            self.enter(Phase::Head);
        }
    }

    fn note_written(&self, written: &Poll<io::Result<usize>>, written_min: u64) {
        match written {
            Poll::Pending if self.blocked.load(Relaxed) == 0 => {
                self.taken.store(0, Relaxed);
                self.blocked.store(self.ticks.now() + 1, Relaxed);
            }
            Poll::Ready(Ok(bytes)) if self.blocked.load(Relaxed) > 0 => {
                let taken = self.taken.load(Relaxed) + *bytes as u64;
                self.taken.store(taken, Relaxed);
                if taken >= written_min {
                    self.blocked.store(0, Relaxed);
                }
            }
            _ => {}
        }
    }
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(super) struct Open(Arc<Pace>);

impl Open {
    /// The answer is known. `has_unread_body`: the client may not have said all.
    pub(super) fn note_answer(&self, has_unread_body: bool) {
        self.0.unread.store(has_unread_body, Relaxed);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Relaxed) == 1 {
            self.0.enter(Phase::Idle);
        }
    }
}

/// A connection's two ends, which note how far it has come; and which, once all is said, read on for a
/// while where the client may still be sending, since closing would take the answer back.
#[derive(Debug)]
pub(super) struct Paced<S> {
    stream: S,
    pace: Arc<Pace>,
    deadlines: Deadlines,
    /// How much was read since all was said; `None` before.
    lingered: Option<u64>,
}

impl<S> Paced<S> {
    pub(super) const fn new(stream: S, pace: Arc<Pace>, deadlines: Deadlines) -> Self {
        Self {
            stream,
            pace,
            deadlines,
            lingered: None,
        }
    }
}

impl<S: Read + Unpin> Paced<S> {
    /// Reads and throws away, until the client has said all or said too much. How long that may take is
    /// for the watcher.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut lingered = self.lingered.unwrap_or_default();
        let mut bytes = [0; DRAIN_BYTES];
        while lingered < self.deadlines.lingered_max {
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer.unfilled()))?;
            let read = buffer.filled().len();
            if read == 0 {
                break;
            }
            lingered += read as u64;
            self.lingered = Some(lingered);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Read + Unpin> Read for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if read.is_ready() {
            this.pace.note_read();
        }
        read
    }
}

impl<S: Read + Write + Unpin> Write for Paced<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.pace.note_written(&written, this.deadlines.written_min);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.pace.note_written(&written, this.deadlines.written_min);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(context))?;
        // Nothing is left to write.
        this.pace.blocked.store(0, Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingered.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            if !this.pace.unread.load(Relaxed) {
                return Poll::Ready(Ok(()));
            }
            this.lingered = Some(0);
            this.pace.enter(Phase::Lingering);
        }
        this.poll_linger(context)
    }
}

/// A response body, at whose end, whichever it is, its request is answered.
pub(super) struct Ending<B> {
    body: B,
    _open: Open,
}

impl<B> Ending<B> {
    pub(super) const fn new(body: B, open: Open) -> Self {
        Self { body, _open: open }
    }
}

impl<B: Body + Unpin> Body for Ending<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINES: Deadlines = Deadlines {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        write: Duration::from_secs(30),
        written_min: 1024,
        linger: Duration::from_secs(5),
        lingered_max: 1,
    };

    /// A connection, and a way to let time go by.
    fn pace() -> (Arc<Pace>, impl Fn(u64)) {
        let ticks = Arc::new(Ticks::default());
        let pace = Arc::new(Pace::new(Arc::clone(&ticks)));
        let wait =
            move |seconds| ticks.move_to(Duration::from_millis(ticks.now() + seconds * 1000));
        (pace, wait)
    }

    #[test]
    fn each_phase_has_its_own_time() {
        let (pace, wait) = pace();
        wait(10);
        assert!(!pace.is_overdue(&DEADLINES), "the first head is due");
        wait(1);
        assert!(pace.is_overdue(&DEADLINES));
        let open = pace.begin();
        wait(1_000);
        assert!(!pace.is_overdue(&DEADLINES), "we may take our time");
        let second = pace.begin();
        drop(open);
        assert_eq!(pace.idle_since(), None, "another answer is open");
        drop(second);
        wait(75);
        assert!(!pace.is_overdue(&DEADLINES) && pace.idle_since().is_some());
        pace.note_read();
        wait(10);
        assert!(!pace.is_overdue(&DEADLINES), "a head has begun");
        pace.note_read();
        wait(1);
        assert!(pace.is_overdue(&DEADLINES), "from its first byte on");
        pace.enter(Phase::Lingering);
        wait(5);
        assert!(!pace.is_overdue(&DEADLINES));
        wait(1);
        assert!(pace.is_overdue(&DEADLINES));
    }

    #[test]
    fn a_reader_must_take_so_much_in_its_time() {
        let (pace, wait) = pace();
        let _open = pace.begin();
        let write = |written: Poll<io::Result<usize>>| pace.note_written(&written, 1024);
        for bytes in [1024, 5_000] {
            write(Poll::Pending);
            wait(30);
            assert!(!pace.is_overdue(&DEADLINES));
            write(Poll::Ready(Ok(bytes)));
            wait(1_000);
            assert!(
                !pace.is_overdue(&DEADLINES),
                "it took enough, and nothing waits for it"
            );
        }
        write(Poll::Pending);
        wait(20);
        write(Poll::Ready(Ok(1_000)));
        write(Poll::Pending);
        wait(11);
        assert!(pace.is_overdue(&DEADLINES), "it took too little");
        write(Poll::Ready(Ok(24)));
        assert!(!pace.is_overdue(&DEADLINES));
    }
}
