//! The memory budget of blobs: a bound on the bytes that one process holds, on their way in and out, however many
//! clients there are.
//!
//! Of `blobs.memory_max` downloads have a half and uploads the other: a quarter of that is for the first bytes
//! of uploads, most of which are small, the rest for whole parts. An upload that holds a part waits for nobody
//! but the store and its client, and one whose client is very slow is evicted for those that wait
//! ([`is_too_slow`]), so every upload gets its share in turn. A download never waits for others: without a share it
//! goes on in small pieces, one at a time, which are its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::blob::BlobError;

/// The bytes that an upload holds before it takes the budget of a part.
pub(super) const FIRST_BYTES: usize = 256 * 1024;

/// The bytes that a download holds which got no budget.
pub(super) const PIECE_BYTES: usize = 16 * 1024;

/// The smallest window of a download.
const WINDOW_BYTES_MIN: usize = 64 * 1024;

/// The unit of the budget.
const UNIT_BYTES: usize = 16 * 1024;

/// The longest wait of an upload for its budget.
const PERMIT_WITHIN: Duration = Duration::from_secs(60);

/// The time that an upload has to fill its budget though others wait.
const FILLED_WITHIN: Duration = Duration::from_secs(60);

/// The minimum rate after that, in bytes a second, for as long as others wait.
const RATE_MIN: u64 = 32 * 1024;

/// The budget, and its shares.
pub(super) struct MemoryBudget {
    firsts: WaitQueue,
    parts: WaitQueue,
    windows: Arc<Semaphore>,
    /// The part of it that counts as plenty.
    plenty: usize,
    part_bytes: usize,
}

/// A share of the budget, and the number of uploads that wait for it.
struct WaitQueue {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A guard that counts one upload as waiting.
struct Waiter<'a>(&'a AtomicUsize);

/// A permit for bytes of the budget. Dropped, they are free again.
pub(super) type MemoryPermit = Arc<OwnedSemaphorePermit>;

/// Bytes with the permit for their memory.
struct HeldBytes {
    bytes: Bytes,
    _permit: MemoryPermit,
}

impl MemoryBudget {
    /// Makes a budget of so many bytes, in which parts of `part_bytes` must fit.
    pub(super) fn new(bytes: u64, part_bytes: usize) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let of = |bytes: usize| Arc::new(Semaphore::new(units(bytes).min(Semaphore::MAX_PERMITS)));
        Self {
            firsts: WaitQueue::of(of((bytes / 8).max(FIRST_BYTES))),
            parts: WaitQueue::of(of((bytes / 8 * 3).max(part_bytes))),
            windows: of(bytes / 2),
            plenty: units(bytes / 4),
            part_bytes,
        }
    }

    /// Waits for a permit for the first bytes of an upload.
    pub(super) async fn first(&self) -> Result<MemoryPermit, BlobError> {
        self.firsts.take(FIRST_BYTES).await
    }

    /// Waits for a permit for a whole part.
    pub(super) async fn part(&self) -> Result<MemoryPermit, BlobError> {
        self.parts.take(self.part_bytes).await
    }

    /// Returns whether an upload must be evicted: it is slow, by the time since it took its budget and the bytes in it,
    /// and others wait.
    pub(super) fn must_be_evicted(&self, is_first: bool, held: Duration, bytes: usize) -> bool {
        let queue = if is_first { &self.firsts } else { &self.parts };
        is_too_slow(held, bytes) && queue.waiting.load(Ordering::Relaxed) > 0
    }

    /// Returns a permit for so much of a download, or for as much as is free; `None` where that is next to nothing.
    pub(super) fn window(&self, wanted: usize) -> Option<(usize, MemoryPermit)> {
        let mut bytes = wanted;
        loop {
            let many = u32::try_from(units(bytes)).ok()?;
            if let Ok(permit) = Arc::clone(&self.windows).try_acquire_many_owned(many) {
                return Some((bytes, Arc::new(permit)));
            }
            bytes /= 2;
            if bytes < WINDOW_BYTES_MIN {
                return None;
            }
        }
    }

    /// Returns whether half of the budget of downloads is free, so that none need be content with little.
    pub(super) fn is_plentiful(&self) -> bool {
        self.windows.available_permits() >= self.plenty
    }
}

impl WaitQueue {
    const fn of(free: Arc<Semaphore>) -> Self {
        let waiting = AtomicUsize::new(0);
        Self { free, waiting }
    }

    async fn take(&self, bytes: usize) -> Result<MemoryPermit, BlobError> {
        let full = || BlobError::Unavailable {
            doing: "waiting for room",
            why: "as many uploads are under way as fit into blobs.memory_max".into(),
        };
        let many = u32::try_from(units(bytes)).map_err(|_| full())?;
        // The semaphore is fair: free permits go to the uploads that wait.
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_many_owned(many) {
            return Ok(Arc::new(permit));
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiter(&self.waiting);
        let taking = Arc::clone(&self.free).acquire_many_owned(many);
        let permit = timeout(PERMIT_WITHIN, taking).await.map_err(|_| full())?;
        Ok(Arc::new(permit.map_err(|_| full())?))
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns bytes that keep their permit until the last of them is dropped.
pub(super) fn held(bytes: Bytes, permit: MemoryPermit) -> Bytes {
    Bytes::from_owner(HeldBytes {
        bytes,
        _permit: permit,
    })
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

const fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT_BYTES)
}

/// Returns whether an upload has brought too few bytes since it took its budget.
fn is_too_slow(held: Duration, bytes: usize) -> bool {
    held > FILLED_WITHIN && (bytes as u64) < held.as_secs().saturating_mul(RATE_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    /// Returns whether there is none now.
    async fn is_full(waiting: impl Future<Output = Result<MemoryPermit, BlobError>>) -> bool {
        timeout(Duration::from_millis(50), waiting).await.is_err()
    }

    #[tokio::test]
    async fn memory_is_bounded_and_comes_back() {
        let budget = MemoryBudget::new(40 << 20, 5 * MIB);
        let mut parts = Vec::new();
        for _ in 0..3 {
            parts.push(held(
                Bytes::from_static(b"part"),
                budget.part().await.unwrap(),
            ));
        }
        assert!(is_full(budget.part()).await);
        // A slice of a part keeps all of it.
        let slice = parts.pop().unwrap().slice(1..2);
        assert!(is_full(budget.part()).await);
        drop(slice);
        budget.part().await.unwrap();
        // Small ones have budget of their own.
        let firsts: Vec<_> = (0..20).map(|_| budget.first()).collect();
        let firsts = futures_util::future::join_all(firsts).await;
        assert!(firsts.iter().all(Result::is_ok));
        assert!(is_full(budget.first()).await);
    }

    #[tokio::test]
    async fn an_upload_that_brings_next_to_nothing_makes_way_for_those_that_wait() {
        let (budget, minute) = (MemoryBudget::new(8 << 20, 5 * MIB), Duration::from_secs(60));
        let part = budget.part().await.unwrap();
        let late = minute + Duration::from_secs(5);
        assert!(!budget.must_be_evicted(false, late, 0), "nobody waits");
        let mut waiting = Box::pin(budget.part());
        assert!(timeout(Duration::ZERO, &mut waiting).await.is_err());
        for (held, bytes, must_be_evicted) in [
            (minute, 0, false),
            (late, 0, true),
            (late, 65 * 32 * 1024 - 1, true),
            (late, 65 * 32 * 1024, false),
        ] {
            assert_eq!(budget.must_be_evicted(false, held, bytes), must_be_evicted);
            assert!(
                !budget.must_be_evicted(true, held, bytes),
                "of the other kind"
            );
        }
        drop(part);
        drop(waiting.await.unwrap());
        assert!(
            !budget.must_be_evicted(false, late, 0),
            "nobody waits any more"
        );
        let mut gone = Box::pin(budget.part());
        let _part = timeout(Duration::ZERO, &mut gone).await.unwrap();
        drop(timeout(Duration::from_millis(1), budget.part()).await);
        assert!(!budget.must_be_evicted(false, late, 0), "it gave up");
    }

    #[test]
    fn a_download_gets_what_there_is_and_then_nothing() {
        let budget = MemoryBudget::new(5 << 20, MIB);
        let got: Vec<_> = (0..5).map_while(|_| budget.window(MIB)).collect();
        let bytes: Vec<usize> = got.iter().map(|(bytes, _)| *bytes).collect();
        assert_eq!(bytes, [MIB, MIB, MIB / 2]);
        assert!(budget.window(MIB).is_none() && !budget.is_plentiful());
        drop(got);
        let half = budget.window(MIB).unwrap();
        assert_eq!((half.0, budget.is_plentiful()), (MIB, true));
        let _more = budget.window(MIB / 2).unwrap();
        assert!(!budget.is_plentiful());
    }
}
