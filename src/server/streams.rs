//! The streams of an HTTP/2 connection: their tasks, and the deadline of each. A client that takes next to nothing of one
//! stream loses that stream, whatever it takes of others, and keeps the others.

use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use hyper::rt::Executor;
use tokio::task::{self, AbortHandle, JoinSet};

use super::coarse_clock::CoarseClock;
use crate::web::response_memory::{HTTP2_BYTES_MAX, HeldBytes};
use crate::web::response_tracker::ResponseAborter;

/// The bytes that a client takes of other streams until one of which it takes nothing is stalled: twice what may wait for
/// it on its connection. Each stream has its turn at least once in that, however slowly the client reads.
const TAKEN_OF_OTHERS_MAX: u64 = 2 * HTTP2_BYTES_MAX as u64;

/// The write deadlines after which such a stream is stalled whatever the client takes of others.
const WRITE_DEADLINES_MAX: u32 = 4;

/// The tasks of one connection's streams. They end when this is dropped, as what an HTTP/1 connection does
/// ends with it.
#[derive(Debug, Default)]
pub(super) struct Streams(Arc<Mutex<StreamTasks>>);

/// The executor of the streams' tasks. A task may hold this, so it must not hold the tasks.
#[derive(Clone, Debug)]
pub(super) struct StreamsOf(Weak<Mutex<StreamTasks>>);

/// A guard that frees the memory of tasks that have ended, once one more has.
#[derive(Debug)]
pub(super) struct Reaper(StreamsOf);

#[derive(Debug, Default)]
struct StreamTasks {
    tasks: JoinSet<()>,
    /// The stream whose task comes next.
    begun: Option<Arc<StreamState>>,
    /// The streams that are open.
    open: Vec<Weak<StreamState>>,
}

/// The progress of a connection: what its client takes of all streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// The bytes that it took of answers so far.
    pub(super) taken: u64,
    /// True if it has taken too little of all together for a write deadline.
    pub(super) is_stalled: bool,
}

/// The result of a check of a connection's streams: their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CheckedStreams {
    /// Those that are open, and were not reset before.
    pub(super) open: usize,
    /// Those that were reset now.
    pub(super) reset: usize,
    /// Those that cannot be: the HTTP library has their answers whole, and the client takes nothing of them.
    pub(super) stuck: usize,
}

/// The state of a stream, from its request to the last piece of its answer.
#[derive(Debug)]
pub(super) struct StreamState {
    clock: Arc<CoarseClock>,
    /// The number of pieces of its answer that are with the HTTP library.
    queued: AtomicU32,
    /// Time since which the client takes too little of them.
    since: AtomicU64,
    /// The bytes of them that it took since.
    taken: AtomicU64,
    /// [`Progress::taken`] at that time.
    taken_of_all: AtomicU64,
    /// True once it was reset. The HTTP library drops its pieces when the socket takes the reset.
    is_reset: AtomicBool,
    /// The stream's task, once there is one.
    task: OnceLock<AbortHandle>,
    /// The memory that the stream itself takes.
    _held: HeldBytes,
    streams: StreamsOf,
}

impl Streams {
    /// Returns the executor of their tasks.
    pub(super) fn executor(&self) -> StreamsOf {
        StreamsOf(Arc::downgrade(&self.0))
    }

    /// Returns the guard that a task holds to its end which has no stream.
    pub(super) fn reaper(&self) -> Reaper {
        Reaper(self.executor())
    }

    /// Returns the number of streams in the table.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        lock(&self.0).open.len()
    }

    /// Begins a stream. The next task that is executed is its own: hyper has the service called, and then the task
    /// executed.
    pub(super) fn begin(&self, clock: &Arc<CoarseClock>, held: HeldBytes) -> Arc<StreamState> {
        let stream = Arc::new(StreamState {
            clock: Arc::clone(clock),
            queued: AtomicU32::new(0),
            since: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            taken_of_all: AtomicU64::new(0),
            is_reset: AtomicBool::new(false),
            task: OnceLock::new(),
            _held: held,
            streams: self.executor(),
        });
        let mut streams = lock(&self.0);
        // An entry stays where its stream ended while another thread held the lock.
        if streams.open.len() == streams.open.capacity() {
            streams.open.retain(|stream| stream.strong_count() > 0);
        }
        streams.open.push(Arc::downgrade(&stream));
        streams.begun = Some(Arc::clone(&stream));
        stream
    }
}

impl StreamsOf {
    /// Ends each stream of which the client takes too little. Their clients are told (RST_STREAM).
    pub(super) fn end_stalled(&self, connection: Progress) -> CheckedStreams {
        let mut checked = CheckedStreams::default();
        for stream in self.open() {
            if stream.is_reset.load(Relaxed) {
                // It was at its last piece when it was reset.
                checked.stuck += usize::from(stream.is_over(1));
                continue;
            }
            checked.open += 1;
            if !stream.is_stalled(connection) {
                continue;
            }
            match stream.reset(connection.taken) {
                true => checked.reset += 1,
                false => checked.stuck += 1,
            }
        }
        checked
    }

    /// Returns whether each stream that is open waits for the client to take what it has.
    pub(super) fn all_wait_for_client(&self) -> bool {
        let open = self.open();
        let mut queued = open.iter().map(|stream| stream.queued.load(Relaxed));
        queued.all(|queued| queued > 0)
    }

    fn open(&self) -> Vec<Arc<StreamState>> {
        let Some(streams) = self.0.upgrade() else {
            return Vec::new();
        };
        let streams = lock(&streams);
        streams.open.iter().filter_map(Weak::upgrade).collect()
    }

    /// Frees the memory of tasks that have ended, and forgets this stream.
    fn reap(&self, ended: Option<*const StreamState>) {
        // The lock is held to execute a task or to end one, so another end will come.
        if let Some(streams) = self.0.upgrade()
            && let Ok(mut streams) = streams.try_lock()
        {
            while streams.tasks.try_join_next().is_some() {}
            let is_ended = |stream: &Weak<StreamState>| Some(stream.as_ptr()) == ended;
            if let Some(at) = streams.open.iter().position(is_ended) {
                streams.open.swap_remove(at);
            }
        }
    }
}

impl ResponseAborter for StreamsOf {
    /// Drops the stream, which resets it and takes back what waits for the client's window.
    fn abort(&self, task: task::Id) {
        // The response is on its way, so its stream is open. A task that is over has handed all bytes over, and the
        // client's window has room for them.
        for stream in self.open() {
            if stream.task.get().is_some_and(|own| own.id() == task) {
                stream.reset(stream.taken_of_all.load(Relaxed));
            }
        }
    }

    /// The task is over with its response.
    fn forget_abort(&self) {}
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for StreamsOf {
    fn execute(&self, stream: F) {
        if let Some(streams) = self.0.upgrade() {
            let mut streams = lock(&streams);
            let task = streams.tasks.spawn(stream);
            if let Some(begun) = streams.begun.take() {
                // It has none yet.
                let _ = begun.task.set(task);
            }
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.0.reap(None);
    }
}

impl Drop for StreamState {
    fn drop(&mut self) {
        self.streams.reap(Some(std::ptr::from_ref(self)));
    }
}

impl StreamState {
    /// Notes that a piece of its answer is with the HTTP library. `taken_of_all`: [`Progress::taken`].
    pub(super) fn note_queued(&self, taken_of_all: u64) {
        // Before the number, so that nobody sees a piece with the time of an earlier one.
        if self.queued.load(Relaxed) == 0 {
            self.renew(taken_of_all);
        }
        self.queued.fetch_add(1, Release);
    }

    /// Notes that such a piece is gone.
    pub(super) fn note_gone(&self) {
        self.queued.fetch_sub(1, Relaxed);
    }

    /// Notes bytes that the client took. `taken_of_all`: [`Progress::taken`], these included.
    pub(super) fn note_taken(&self, bytes: usize, taken_of_all: u64) {
        let taken = self.taken.fetch_add(bytes as u64, Relaxed) + bytes as u64;
        if taken >= self.clock.deadlines.written_min {
            self.renew(taken_of_all);
        }
    }

    /// Returns whether the client takes too little of what waits for it: for a write deadline in which it took as little of
    /// all streams, or much of others, or for several deadlines. One that reads slowly, and all the while, takes some of
    /// each stream in between.
    fn is_stalled(&self, connection: Progress) -> bool {
        if !self.is_over(1) {
            return false;
        }
        let taken_since = connection
            .taken
            .saturating_sub(self.taken_of_all.load(Relaxed));
        connection.is_stalled
            || taken_since >= TAKEN_OF_OTHERS_MAX
            || self.is_over(WRITE_DEADLINES_MAX)
    }

    /// Returns whether something has waited for the client for more than so many write deadlines.
    fn is_over(&self, deadlines: u32) -> bool {
        if self.queued.load(Acquire) == 0 {
            return false;
        }
        let waited = u128::from(self.clock.now().saturating_sub(self.since.load(Relaxed)));
        waited > (self.clock.deadlines.write * deadlines).as_millis()
    }

    /// Drops its task, which resets the stream. Returns `false` if the task is over. `taken_of_all`: [`Progress::taken`].
    fn reset(&self, taken_of_all: u64) -> bool {
        let task = self.task.get().filter(|task| !task.is_finished());
        if let Some(task) = task {
            self.renew(taken_of_all);
            self.is_reset.store(true, Relaxed);
            task.abort();
        }
        task.is_some()
    }

    fn renew(&self, taken_of_all: u64) {
        self.since.store(self.clock.now(), Relaxed);
        self.taken.store(0, Relaxed);
        self.taken_of_all.store(taken_of_all, Relaxed);
    }
}

fn lock(streams: &Mutex<StreamTasks>) -> MutexGuard<'_, StreamTasks> {
    streams.lock().unwrap_or_else(PoisonError::into_inner)
}
