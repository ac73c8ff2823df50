//! The table of all connections: it keeps the connection limits and the deadlines, and drains them in the end.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::AbortHandle;

use super::background::ticks;
use super::coarse_clock::{CoarseClock, Deadlines};
use super::connection_state::ConnectionState;
use crate::telemetry::metrics::{Deadline, Listener, Metrics, Refused};

/// The interval at which the connections are checked, and so the most by which one ends after its deadline.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// The age from which an unfinished head makes room for another connection, the TLS handshake before it included: an
/// honest one is whole within a few round trips, however many bad ones there are.
const HEAD_SPARED_FOR: Duration = Duration::from_secs(3);

/// The time without progress from which a client that takes next to nothing makes room for another connection.
const STALL_SPARED_FOR: Duration = Duration::from_secs(10);

/// The most connections that are asked something at once: some 0.1 ms of work, for which others may wait.
const ASKED_AT_ONCE: usize = 32;

/// The connection limits of a listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    /// The most connections in all. Where there are as many, one makes room for the next: the one that has been idle
    /// longest, else that with the oldest unfinished head, else that whose client has taken nothing for longest. Where
    /// all are busy, the next one waits.
    pub(super) connections_max: usize,
    /// The most connections of one address, and never more than half of all; 0 for any number. One more is closed at once.
    pub(super) per_address_max: usize,
}

/// The connections of one kind of listener.
#[derive(Debug)]
pub(super) struct Connections {
    permits: Arc<Semaphore>,
    limits: ConnectionLimits,
    metrics: Arc<Metrics>,
    listener: Listener,
    clock: Arc<CoarseClock>,
    open: Mutex<OpenOnes>,
    /// Told whenever one ends.
    ended: Notify,
}

#[derive(Debug, Default)]
struct OpenOnes {
    next_id: u64,
    /// True if each new connection ends with its first answer.
    are_ending: bool,
    entries: HashMap<u64, ConnectionEntry>,
    /// The number of connections of each address, where that is limited.
    of_address: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct ConnectionEntry {
    state: Arc<ConnectionState>,
    address: Option<IpAddr>,
    /// Dropped, it asks the connection to end when it has answered.
    stop: Option<oneshot::Sender<()>>,
    /// Missing for the moment in which its task is made.
    abort: Option<AbortHandle>,
    /// True once it was ended for another one to have its permit. It is in the table until its task is gone.
    is_evicted: bool,
}

/// The place of one connection in the table, from its accept to its end.
pub(super) struct ConnectionLease {
    pub(super) state: Arc<ConnectionState>,
    pub(super) stopping: Stopping,
    /// The table that it stands in.
    pub(super) connections: Arc<Connections>,
}

/// The signal that a connection is to end after its current answer.
#[derive(Debug)]
pub(super) struct Stopping(Option<oneshot::Receiver<()>>);

impl Stopping {
    /// Completes when that is asked for, and at once when it was.
    pub(super) async fn asked(&mut self) {
        if let Some(asked) = &mut self.0 {
            // The sender says nothing; it is dropped.
            let _ = asked.await;
            self.0 = None;
        }
    }

    /// Completes when no answer is to be waited for any more: a new connection has a moment for its first
    /// request, which may be on its way.
    pub(super) async fn over(&mut self, state: &ConnectionState) {
        self.asked().await;
        state.end();
        if !state.has_begun() {
            // Boxed, as most connections never come here.
            Box::pin(tokio::time::sleep(state.deadlines().first)).await;
        }
    }
}

/// A guard that counts a connection as parked.
pub(super) struct ParkedGuard<'a>(&'a Connections);

/// A guard that removes the entry of a connection, in whatever way that ended.
struct Entered {
    connections: Arc<Connections>,
    id: u64,
    permit: Option<OwnedSemaphorePermit>,
}

impl Connections {
    /// Makes an empty table. Its events count for listeners of this kind.
    pub(super) fn new(
        limits: ConnectionLimits,
        deadlines: Deadlines,
        listener: Listener,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limits.connections_max)),
            limits,
            metrics,
            listener,
            clock: Arc::new(CoarseClock::new(deadlines)),
            open: Mutex::default(),
            ended: Notify::new(),
        }
    }

    /// Waits for a permit for one more connection, and ends one that can be spared to free one.
    pub(super) async fn permit(&self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
                return permit;
            }
            let ended = self.ended.notified();
            self.evict_one();
            tokio::select! {
                () = ended => {}
                // One that was busy may be idle by now.
                () = tokio::time::sleep(CHECK_EVERY) => {}
            }
        }
    }

    /// Serves one connection in a task of its own. `address` counts against the limit of one address;
    /// false if that many are open.
    pub(super) fn serve<F: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
        address: Option<IpAddr>,
        serve: impl FnOnce(ConnectionLease) -> F,
    ) -> bool {
        self.metrics.note_accepted(self.listener);
        let (stop, stopping) = oneshot::channel();
        let state = Arc::new(ConnectionState::new(Arc::clone(&self.clock)));
        let entry = ConnectionEntry {
            state: Arc::clone(&state),
            address,
            stop: Some(stop),
            abort: None,
            is_evicted: false,
        };
        let Some(id) = self.enter(entry) else {
            self.metrics.note_refused(Refused::AddressLimit);
            return false;
        };
        self.metrics.note_opened(self.listener);
        let entered = Entered {
            connections: Arc::clone(self),
            id,
            permit: Some(permit),
        };
        let lease = ConnectionLease {
            state,
            stopping: Stopping(Some(stopping)),
            connections: Arc::clone(self),
        };
        // Boxed: a future that is moved into another has room in it twice, as long as the connection lives.
        let serving = Box::pin(serve(lease));
        let task = tokio::spawn(async move {
            let _entered = entered;
            serving.await;
        });
        // It may have ended already, and be gone.
        if let Some(entry) = self.lock().entries.get_mut(&id) {
            entry.abort = Some(task.abort_handle());
        }
        true
    }

    /// Ends each connection whose deadline has passed, has idle ones parked, and has blocked ones look at their sockets.
    /// Runs until its task ends.
    pub(super) async fn watch(&self) {
        let started = Instant::now();
        let mut tick = ticks(CHECK_EVERY);
        loop {
            tick.tick().await;
            self.clock.advance_to(started.elapsed());
            for asked in self.check().chunks(ASKED_AT_ONCE) {
                for state in asked {
                    state.ask();
                }
                // Requests of others are not to wait until all have done it.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Ends each connection whose deadline has passed, and returns those that are to be asked something.
    fn check(&self) -> Vec<Arc<ConnectionState>> {
        let mut asked = Vec::new();
        for entry in self.lock().entries.values_mut() {
            if entry.state.is_aborted() {
                entry.abort();
            } else if entry.state.is_to_be_warned() {
                entry.stop = None;
            } else if let Some(deadline) = entry.state.passed_deadline() {
                self.metrics.note_deadline(deadline);
                tracing::debug!("a connection was ended: it took too long");
                entry.abort();
            } else if entry.state.is_to_be_parked() {
                asked.push(Arc::clone(&entry.state));
            } else {
                if entry.state.is_to_be_asked() {
                    asked.push(Arc::clone(&entry.state));
                }
                self.end_stalled_streams(entry);
            }
        }
        asked
    }

    /// Ends each stream of which the client takes too little. Where one cannot be reset any more, the client is asked to
    /// send its requests on another connection, and this one ends when no other stream is open.
    fn end_stalled_streams(&self, entry: &mut ConnectionEntry) {
        let checked = entry.state.end_stalled_streams();
        for _ in 0..checked.reset {
            self.metrics.note_deadline(Deadline::Write);
            tracing::debug!("a stream was ended: it took too long");
        }
        if checked.stuck > 0 && entry.stop.take().is_none() && checked.stuck == checked.open {
            self.metrics.note_deadline(Deadline::Write);
            tracing::debug!("a connection was ended: its last streams took too long");
            entry.abort();
        }
    }

    /// Notes that one of them is parked, until the guard is dropped.
    pub(super) fn park(&self) -> ParkedGuard<'_> {
        self.metrics.note_parked(self.listener);
        ParkedGuard(self)
    }

    /// Asks every connection to end after its current answer, and waits until all have ended.
    pub(super) async fn finish(&self) {
        self.ask_all_to_end();
        loop {
            let ended = self.ended.notified();
            if self.lock().entries.is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// Ends every connection at once.
    pub(super) fn abort(&self) {
        for entry in self.lock().entries.values() {
            entry.abort();
        }
    }

    /// Asks all connections to end, and those that come after this, too.
    fn ask_all_to_end(&self) {
        let mut open = self.lock();
        open.are_ending = true;
        for entry in open.entries.values_mut() {
            entry.stop = None;
        }
    }

    fn enter(&self, mut entry: ConnectionEntry) -> Option<u64> {
        let mut open = self.lock();
        if open.are_ending {
            entry.stop = None;
        }
        let half = self.limits.connections_max.div_ceil(2);
        let max = self.limits.per_address_max.min(half);
        if let Some(address) = entry.address
            && max > 0
        {
            let count = open.of_address.entry(address).or_default();
            if *count >= max {
                return None;
            }
            *count += 1;
        }
        open.next_id += 1;
        let id = open.next_id;
        open.entries.insert(id, entry);
        Some(id)
    }

    /// Ends one connection that can be spared, unless one is ending or a permit is free.
    fn evict_one(&self) {
        let mut open = self.lock();
        let is_ending = |entry: &ConnectionEntry| entry.is_evicted;
        if self.permits.available_permits() > 0 || open.entries.values().any(is_ending) {
            return;
        }
        if let Some(idle) = open.longest(|entry| entry.stop.as_ref().and(entry.state.idle_since()))
        {
            idle.stop = None;
            return;
        }
        let now = self.clock.now();
        for (kind, spared_for) in [
            (Deadline::Head, HEAD_SPARED_FOR),
            (Deadline::Write, STALL_SPARED_FOR),
        ] {
            let longest = open.longest(|entry| {
                entry.abort.as_ref()?;
                let since = match kind {
                    Deadline::Head => entry.state.head_since(),
                    _ => entry.state.stalled_since(),
                };
                let age = |since| u128::from(now.saturating_sub(since));
                since.filter(|since| age(*since) >= spared_for.as_millis())
            });
            if let Some(entry) = longest {
                self.metrics.note_deadline(kind);
                tracing::debug!("a connection was ended: others want its place");
                entry.is_evicted = true;
                entry.abort();
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, OpenOnes> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionEntry {
    fn abort(&self) {
        if let Some(task) = &self.abort {
            task.abort();
        }
    }
}

impl OpenOnes {
    /// Returns the entry of which something has been so for longest; of several, the oldest connection's.
    fn longest(
        &mut self,
        since: impl Fn(&ConnectionEntry) -> Option<u64>,
    ) -> Option<&mut ConnectionEntry> {
        let entries = self.entries.iter_mut();
        let matching = entries.filter_map(|(id, entry)| Some((since(entry)?, *id, entry)));
        matching
            .min_by_key(|(since, id, _)| (*since, *id))
            .map(|(_, _, entry)| entry)
    }

    fn remove(&mut self, id: u64) {
        let address = self.entries.remove(&id).and_then(|entry| entry.address);
        if let Some(address) = address
            && let Some(count) = self.of_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.of_address.remove(&address);
            }
        }
    }
}

impl Drop for ParkedGuard<'_> {
    fn drop(&mut self) {
        self.0.metrics.note_unparked(self.0.listener);
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.connections.lock().remove(self.id);
        // Before who waits for one is woken, or that one would end another connection.
        drop(self.permit.take());
        self.connections
            .metrics
            .note_closed(self.connections.listener);
        self.connections.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
