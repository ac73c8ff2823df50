//! The streams of an HTTP/2 connection: their tasks, and the deadline of each. Whoever takes next to nothing of one stream
//! loses that stream, whatever it takes of others.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use hyper::rt::Executor;
use tokio::task::{self, AbortHandle, JoinSet};

use super::coarse_clock::CoarseClock;
use crate::web::response_memory::HeldBytes;
use crate::web::response_tracker::ResponseAborter;

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
    /// The streams that are open, and some that were.
    open: Vec<Weak<StreamState>>,
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
    /// The stream's task, once there is one.
    task: OnceLock<AbortHandle>,
    /// The memory that the stream itself takes.
    _held: HeldBytes,
    _reaper: Reaper,
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

    /// Begins a stream. The next task that is executed is its own: hyper has the service called, and then the task
    /// executed.
    pub(super) fn begin(&self, clock: &Arc<CoarseClock>, held: HeldBytes) -> Arc<StreamState> {
        let stream = Arc::new(StreamState {
            clock: Arc::clone(clock),
            queued: AtomicU32::new(0),
            since: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            task: OnceLock::new(),
            _held: held,
            _reaper: self.reaper(),
        });
        let mut streams = lock(&self.0);
        if streams.open.len() == streams.open.capacity() {
            streams.open.retain(|stream| stream.strong_count() > 0);
        }
        streams.open.push(Arc::downgrade(&stream));
        streams.begun = Some(Arc::clone(&stream));
        stream
    }
}

impl StreamsOf {
    /// Ends each stream whose deadline has passed, and returns their number. Their clients are told (RST_STREAM).
    pub(super) fn end_stalled(&self) -> usize {
        let Some(streams) = self.0.upgrade() else {
            return 0;
        };
        let open: Vec<_> = lock(&streams)
            .open
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        open.iter().filter(|stream| stream.end_if_stalled()).count()
    }
}

impl ResponseAborter for StreamsOf {
    /// Drops the stream, which resets it and takes back what waits for the client's window.
    fn abort(&self, task: task::Id) {
        let Some(streams) = self.0.upgrade() else {
            return;
        };
        let streams = lock(&streams);
        let mut open = streams.open.iter().filter_map(Weak::upgrade);
        let is_its = |stream: &Arc<StreamState>| {
            let own = stream.task.get().filter(|own| own.id() == task);
            own.inspect(|own| own.abort()).is_some()
        };
        // The response is on its way, so its stream is open.
        let _ = open.any(|stream| is_its(&stream));
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
        // Whoever holds the lock executes a task or is a reaper, so another one will come.
        if let Some(streams) = self.0.0.upgrade()
            && let Ok(mut streams) = streams.try_lock()
        {
            while streams.tasks.try_join_next().is_some() {}
        }
    }
}

impl StreamState {
    /// Notes that a piece of its answer is with the HTTP library.
    pub(super) fn note_queued(&self) {
        if self.queued.fetch_add(1, Relaxed) == 0 {
            self.renew();
        }
    }

    /// Notes that such a piece is gone.
    pub(super) fn note_gone(&self) {
        self.queued.fetch_sub(1, Relaxed);
    }

    /// Notes bytes that the client took.
    pub(super) fn note_taken(&self, bytes: usize) {
        let taken = self.taken.fetch_add(bytes as u64, Relaxed) + bytes as u64;
        if taken >= self.clock.deadlines.written_min {
            self.renew();
        }
    }

    /// Ends the stream if its client takes too little of what waits for it. Returns whether it did.
    fn end_if_stalled(&self) -> bool {
        let waited = self.clock.now().saturating_sub(self.since.load(Relaxed));
        let is_stalled = self.queued.load(Relaxed) > 0
            && u128::from(waited) > self.clock.deadlines.write.as_millis();
        let task = self
            .task
            .get()
            .filter(|task| is_stalled && !task.is_finished());
        task.inspect(|task| task.abort()).is_some()
    }

    fn renew(&self) {
        self.since.store(self.clock.now(), Relaxed);
        self.taken.store(0, Relaxed);
    }
}

fn lock(streams: &Mutex<StreamTasks>) -> MutexGuard<'_, StreamTasks> {
    streams.lock().unwrap_or_else(PoisonError::into_inner)
}
