//! Detached operations: a change that a request makes is done to its end, and recorded, whether or not its client
//! waits for the answer.
//!
//! A client that goes away takes its request with it, in the midst of whatever that waits for. What is being
//! committed at that moment may be committed all the same, and nobody would hear of it. So every change that
//! a request makes is an operation in a task of its own, and has that task record it. Whatever a call makes and
//! does not commit, as a link, is recorded in the very step in which it is made: between the two nothing is waited
//! for.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::gateway::refusal::Refusal;
use crate::telemetry::panics;

/// The most operations at once, which nothing comes near.
const OPERATIONS_MAX: u32 = 1 << 24;

/// The longest that a graceful shutdown waits for operations whose clients are gone.
const FINISH_TIME_MAX: Duration = Duration::from_secs(5);

/// The operations that are under way.
#[derive(Debug)]
pub(super) struct DetachedOperations(Arc<Semaphore>);

impl DetachedOperations {
    pub(super) fn new() -> Self {
        // It fits into any number of permits.
        let permits = usize::try_from(OPERATIONS_MAX).unwrap_or(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(permits)))
    }

    /// Waits until none is under way, at most [`FINISH_TIME_MAX`]. Returns whether that is so.
    pub(super) async fn finish(&self) -> bool {
        let all = self.0.acquire_many(OPERATIONS_MAX);
        tokio::time::timeout(FINISH_TIME_MAX, all).await.is_ok()
    }

    /// Makes a change, and calls `record` if it was made. Dropping this future, as a client does that goes away,
    /// ends neither.
    ///
    /// # Errors
    /// The change's own. A panic is `Internal`.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, Refusal>> + Send + 'static,
        record: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, Refusal> {
        let permit = Arc::clone(&self.0).try_acquire_owned().ok();
        let operation = tokio::spawn(async move {
            let _permit = permit;
            let changed = panics::caught(pin!(change)).await;
            let changed = changed.unwrap_or_else(|said| Err(Refusal::Internal(said)))?;
            record(&changed);
            Ok(changed)
        });
        let ended = |error| Refusal::Internal(format!("making a change: {error}"));
        operation.await.map_err(ended)?
    }
}
