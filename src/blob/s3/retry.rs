//! Retry of requests to the store: the one policy, in the one place.
//!
//! The store's client makes no request again by itself (`connect.rs`). All requests that are made again are idempotent:
//! what changes the store carries a condition, or can be told from another's afterwards (`write.rs`).

use std::time::Duration;

use object_store::Error;
use tokio::time::{Instant, timeout, timeout_at};

use super::fault::{is_transient, late};
use super::{ANSWER_WITHIN, Shared};
use crate::blob::BlobError;

/// The most tries of a request.
pub(super) const TRIES_MAX: u32 = 4;

/// The pause before the second try; each further one is twice as long. A random part of it, at least half, so that
/// those who failed together do not come back together.
const PAUSE: Duration = Duration::from_millis(200);

/// The store's answer to a request, or the error that none came in time.
type Answer<T> = Result<Result<T, Error>, BlobError>;

/// The tries of one request.
#[derive(Default)]
pub(super) struct Retry {
    failures: u32,
    /// The time at which no further try may begin.
    deadline: Option<Instant>,
}

impl Retry {
    /// Notes a failure. Waits and returns true where a try is left, and can begin before the deadline; else returns
    /// false at once.
    pub(super) async fn again(&mut self) -> bool {
        self.failures += 1;
        let until = Instant::now() + pause(self.failures);
        let is_left = self.failures < TRIES_MAX && self.deadline.is_none_or(|end| until < end);
        if is_left {
            tokio::time::sleep_until(until).await;
        }
        is_left
    }

    /// Makes a request again where it failed for now, or was not answered in time, as long as a try is left.
    pub(super) async fn run<T, F>(&mut self, mut request: impl FnMut() -> F) -> Answer<T>
    where
        F: Future<Output = Answer<T>>,
    {
        loop {
            let answer = request().await;
            if !may_pass(&answer) || !self.again().await {
                return answer;
            }
        }
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
        request: impl FnMut() -> F,
    ) -> Answer<T>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let _permit = self.permit(doing).await?;
        retried(doing, ANSWER_WITHIN, request).await
    }
}

/// Makes a request again where it failed for now. All tries together must be answered `within` this time; where the
/// last of them is not, the answer is the error of the one before.
pub(super) async fn retried<T, F>(
    doing: &'static str,
    within: Duration,
    mut request: impl FnMut() -> F,
) -> Answer<T>
where
    F: Future<Output = Result<T, Error>>,
{
    let deadline = Instant::now() + within;
    let mut retry = Retry {
        deadline: Some(deadline),
        ..Retry::default()
    };
    let mut last = Err(late(doing, within));
    while let Ok(answer) = timeout_at(deadline, request()).await {
        last = Ok(answer);
        if !may_pass(&last) || !retry.again().await {
            break;
        }
    }
    last
}

/// Returns what comes of `asked`, if it comes `within` this time.
pub(super) async fn in_time<T>(
    doing: &'static str,
    within: Duration,
    asked: impl Future<Output = T>,
) -> Result<T, BlobError> {
    let answer = timeout(within, asked).await;
    answer.map_err(|_| late(doing, within))
}

/// Returns whether the same request may be answered otherwise a moment later.
pub(super) fn may_pass<T>(answer: &Answer<T>) -> bool {
    match answer {
        Ok(answer) => answer.as_ref().is_err_and(is_transient),
        Err(_) => true,
    }
}

/// Returns the pause before another try.
fn pause(failures: u32) -> Duration {
    let whole = PAUSE * (1 << failures.min(5));
    let mut random = [0];
    // Without randomness it is the whole time.
    let share = getrandom::fill(&mut random).map_or(255, |()| random[0]);
    whole / 2 + whole / 2 * u32::from(share) / 255
}
