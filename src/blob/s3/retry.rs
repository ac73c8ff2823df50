//! Retry of requests to the store: the one policy, in the one place.
//!
//! The store's client makes no request again by itself (`connect.rs`). All requests that are made again are idempotent:
//! what changes the store carries a condition, or can be told from another's afterwards (`write.rs`).

use std::time::Duration;

use object_store::Error;
use tokio::time::timeout;

use super::Shared;
use super::fault::{is_transient, late};
use crate::blob::BlobError;

/// The most tries of a request.
pub(super) const TRIES_MAX: u32 = 4;

/// The pause before the second try; each further one is twice as long. A random part of it, at least half, so that
/// those who failed together do not come back together.
const PAUSE: Duration = Duration::from_millis(200);

/// The tries of one request.
#[derive(Default)]
pub(super) struct Retry {
    failures: u32,
}

impl Retry {
    /// Notes a failure. Waits and returns true where a try is left; else returns false at once.
    pub(super) async fn again(&mut self) -> bool {
        self.failures += 1;
        let is_left = self.failures < TRIES_MAX;
        if is_left {
            pause(self.failures).await;
        }
        is_left
    }
}

impl Shared {
    /// Makes a request without a body when a permit is free, and again where it failed for now. All tries together
    /// must be answered in the time of one.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`] where no answer came in time; the inner error is the store's own.
    pub(super) async fn ask<T, F>(
        &self,
        doing: &'static str,
        mut request: impl FnMut() -> F,
    ) -> Result<Result<T, Error>, BlobError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.within(doing, retried(&mut request)).await
    }

    /// Makes a request again where it failed for now, or was not answered `within` this time, as long as `retry` has a
    /// try left.
    ///
    /// # Errors
    /// As [`Shared::ask`].
    pub(super) async fn send<T, F>(
        &self,
        doing: &'static str,
        within: Duration,
        retry: &mut Retry,
        mut request: impl FnMut() -> F,
    ) -> Result<Result<T, Error>, BlobError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        loop {
            let failed = match timeout(within, request()).await {
                Ok(Err(error)) if is_transient(&error) => Ok(Err(error)),
                Ok(answer) => return Ok(answer),
                Err(_) => Err(late(doing, within)),
            };
            if !retry.again().await {
                return failed;
            }
        }
    }
}

/// Makes a request again where it failed for now.
pub(super) async fn retried<T, F>(mut request: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut retry = Retry::default();
    loop {
        match request().await {
            Err(error) if is_transient(&error) && retry.again().await => {}
            answer => return answer,
        }
    }
}

/// Waits before another try.
async fn pause(failures: u32) {
    let whole = PAUSE * (1 << failures.min(5));
    let mut random = [0];
    // Without randomness it is the whole time.
    let share = getrandom::fill(&mut random).map_or(255, |()| random[0]);
    tokio::time::sleep(whole / 2 + whole / 2 * u32::from(share) / 255).await;
}
