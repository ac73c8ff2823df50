//! Reads that are under way, so that of many who ask for the same thing at once one asks the catalogue, or the
//! blob store.
//!
//! Who asks between the same two changes of rows waits for whoever began, and is answered with what that one
//! found, as if it were kept already. What is not there is never kept, and so is not answered to others
//! either: it may have been made since the reading began, and each of them asks for itself. A failure is
//! everybody's: asking in turns would have the last one wait for all before.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::gateway::refusal::Refusal;
use crate::gateway::revocations::RowsAt;

/// The most time that a caller waits for a read, also where those that began it gave up one after the other. A
/// catalogue or a store answers, or says that it cannot, in less.
const READ_TIME_MAX: Duration = Duration::from_secs(15);

/// The result of one read, shared by all callers that wait for it.
type Flight<V> = OnceCell<Result<Option<V>, Refusal>>;

/// The reads of one kind of thing.
pub(in crate::gateway) struct SingleFlight<K: Eq + Hash, V> {
    under_way: Mutex<ReadsUnderWay<K, V>>,
}

/// Each read, and how many wait for it.
type ReadsUnderWay<K, V> = HashMap<(K, RowsAt), (Arc<Flight<V>>, usize)>;

/// Somebody who waits for a read. The last one to go takes it away.
struct FlightWaiter<'a, K: Eq + Hash, V> {
    flights: &'a SingleFlight<K, V>,
    key: (K, RowsAt),
    flight: Arc<Flight<V>>,
}

impl<K: Eq + Hash, V> Drop for FlightWaiter<'_, K, V> {
    fn drop(&mut self) {
        let mut under_way = self.flights.under_way();
        let Some((flight, waiting)) = under_way.get_mut(&self.key) else {
            return;
        };
        // One that is over may have been taken away, and another one begun.
        if Arc::ptr_eq(flight, &self.flight) {
            *waiting -= 1;
            if *waiting == 0 || flight.initialized() {
                under_way.remove(&self.key);
            }
        }
    }
}

impl<K: Eq + Hash, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self {
            under_way: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> SingleFlight<K, V> {
    /// Returns the result of `read`, single-flight: callers with the same key and the same version stamp share one
    /// read. `read` puts the value into the cache before it answers. Without a version stamp every caller reads for
    /// itself. Dropping the future leaves the reading to the next caller that waits for it.
    pub(in crate::gateway) async fn read<F>(
        &self,
        key: K,
        at: Option<RowsAt>,
        read: impl Fn() -> F,
    ) -> Result<Option<V>, Refusal>
    where
        F: Future<Output = Result<Option<V>, Refusal>>,
    {
        let Some(at) = at else {
            return read().await;
        };
        let waiter = self.join((key, at));
        let mut has_read = false;
        let reading = async {
            has_read = true;
            read().await
        };
        let outcome = timeout(READ_TIME_MAX, waiter.flight.get_or_init(|| reading)).await;
        match outcome {
            Ok(Ok(Some(value))) => Ok(Some(value.clone())),
            Ok(Ok(None)) if has_read => Ok(None),
            Ok(Ok(None)) => read().await,
            Ok(Err(Refusal::Unavailable(why))) => Err(Refusal::Unavailable(why.clone())),
            Ok(Err(Refusal::Internal(why))) => Err(Refusal::Internal(why.clone())),
            Ok(Err(other)) => Err(Refusal::Internal(other.to_string())),
            Err(late) => Err(Refusal::Unavailable(late.to_string())),
        }
    }

    fn join(&self, key: (K, RowsAt)) -> FlightWaiter<'_, K, V> {
        let mut under_way = self.under_way();
        let (flight, waiting) = under_way.entry(key.clone()).or_default();
        *waiting += 1;
        let flight = Arc::clone(flight);
        FlightWaiter {
            flights: self,
            key,
            flight,
        }
    }
}

impl<K: Eq + Hash, V> SingleFlight<K, V> {
    fn under_way(&self) -> MutexGuard<'_, ReadsUnderWay<K, V>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of reads under way.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.under_way().len()
    }
}
