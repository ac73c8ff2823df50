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
const ROOM_WITHIN: Duration = Duration::from_secs(60);

/// The time that an upload has to fill its budget though others wait.
const FILLED_WITHIN: Duration = Duration::from_secs(60);

/// The minimum rate after that, in bytes a second, for as long as others wait.
const RATE_MIN: u64 = 32 * 1024;

/// The budget, and its shares.
pub(super) struct Room {
    firsts: Queue,
    parts: Queue,
    windows: Arc<Semaphore>,
    /// The part of it that counts as plenty.
    plenty: usize,
    part_bytes: usize,
}

/// A share of the budget, and the number of uploads that wait for it.
struct Queue {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A guard that counts one upload as waiting.
struct Waiting<'a>(&'a AtomicUsize);

/// A permit for bytes of the budget. Dropped, they are free again.
pub(super) type Taken = Arc<OwnedSemaphorePermit>;

/// Bytes with the permit for their memory.
struct Held {
    bytes: Bytes,
    _taken: Taken,
}

impl Room {
    /// Makes a budget of so many bytes, in which parts of `part_bytes` must fit.
    pub(super) fn new(bytes: u64, part_bytes: usize) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let of = |bytes: usize| Arc::new(Semaphore::new(units(bytes).min(Semaphore::MAX_PERMITS)));
        Self {
            firsts: Queue::of(of((bytes / 8).max(FIRST_BYTES))),
            parts: Queue::of(of((bytes / 8 * 3).max(part_bytes))),
            windows: of(bytes / 2),
            plenty: units(bytes / 4),
            part_bytes,
        }
    }

    /// Waits for a permit for the first bytes of an upload.
    pub(super) async fn first(&self) -> Result<Taken, BlobError> {
        self.firsts.take(FIRST_BYTES).await
    }

    /// Waits for a permit for a whole part.
    pub(super) async fn part(&self) -> Result<Taken, BlobError> {
        self.parts.take(self.part_bytes).await
    }

    /// Returns whether an upload must be evicted: it is slow, by the time since it took its budget and the bytes in it,
    /// and others wait.
    pub(super) fn is_in_the_way(&self, is_first: bool, held: Duration, bytes: usize) -> bool {
        let queue = if is_first { &self.firsts } else { &self.parts };
        is_too_slow(held, bytes) && queue.waiting.load(Ordering::Relaxed) > 0
    }

    /// Returns a permit for so much of a download, or for as much as is free; `None` where that is next to nothing.
    pub(super) fn window(&self, wanted: usize) -> Option<(usize, Taken)> {
        let mut bytes = wanted;
        loop {
            let many = u32::try_from(units(bytes)).ok()?;
            if let Ok(taken) = Arc::clone(&self.windows).try_acquire_many_owned(many) {
                return Some((bytes, Arc::new(taken)));
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

impl Queue {
    const fn of(free: Arc<Semaphore>) -> Self {
        let waiting = AtomicUsize::new(0);
        Self { free, waiting }
    }

    async fn take(&self, bytes: usize) -> Result<Taken, BlobError> {
        let full = || BlobError::Unavailable {
            doing: "waiting for room",
            why: "as many uploads are under way as fit into blobs.memory_max".into(),
        };
        let many = u32::try_from(units(bytes)).map_err(|_| full())?;
        // The semaphore is fair: free permits go to the uploads that wait.
        if let Ok(taken) = Arc::clone(&self.free).try_acquire_many_owned(many) {
            return Ok(Arc::new(taken));
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        let taking = Arc::clone(&self.free).acquire_many_owned(many);
        let taken = timeout(ROOM_WITHIN, taking).await.map_err(|_| full())?;
        Ok(Arc::new(taken.map_err(|_| full())?))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns bytes that keep their permit until the last of them is dropped.
pub(super) fn held(bytes: Bytes, taken: Taken) -> Bytes {
    Bytes::from_owner(Held {
        bytes,
        _taken: taken,
    })
}

impl AsRef<[u8]> for Held {
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
    async fn is_full(waiting: impl Future<Output = Result<Taken, BlobError>>) -> bool {
        timeout(Duration::from_millis(50), waiting).await.is_err()
    }

    #[tokio::test]
    async fn room_is_bounded_and_comes_back() {
        let room = Room::new(40 << 20, 5 * MIB);
        let mut parts = Vec::new();
        for _ in 0..3 {
            parts.push(held(
                Bytes::from_static(b"part"),
                room.part().await.unwrap(),
            ));
        }
        assert!(is_full(room.part()).await);
        // A slice of a part keeps all of it.
        let slice = parts.pop().unwrap().slice(1..2);
        assert!(is_full(room.part()).await);
        drop(slice);
        room.part().await.unwrap();
        // Small ones have room of their own.
        let firsts: Vec<_> = (0..20).map(|_| room.first()).collect();
        let firsts = futures_util::future::join_all(firsts).await;
        assert!(firsts.iter().all(Result::is_ok));
        assert!(is_full(room.first()).await);
    }

    #[tokio::test]
    async fn an_upload_that_brings_next_to_nothing_makes_way_for_those_that_wait() {
        let (room, minute) = (Room::new(8 << 20, 5 * MIB), Duration::from_secs(60));
        let part = room.part().await.unwrap();
        let late = minute + Duration::from_secs(5);
        assert!(!room.is_in_the_way(false, late, 0), "nobody waits");
        let mut waiting = Box::pin(room.part());
        assert!(timeout(Duration::ZERO, &mut waiting).await.is_err());
        for (held, bytes, is_in_the_way) in [
            (minute, 0, false),
            (late, 0, true),
            (late, 65 * 32 * 1024 - 1, true),
            (late, 65 * 32 * 1024, false),
        ] {
            assert_eq!(room.is_in_the_way(false, held, bytes), is_in_the_way);
            assert!(!room.is_in_the_way(true, held, bytes), "of the other kind");
        }
        drop(part);
        drop(waiting.await.unwrap());
        assert!(!room.is_in_the_way(false, late, 0), "nobody waits any more");
        let mut gone = Box::pin(room.part());
        let _part = timeout(Duration::ZERO, &mut gone).await.unwrap();
        drop(timeout(Duration::from_millis(1), room.part()).await);
        assert!(!room.is_in_the_way(false, late, 0), "it gave up");
    }

    #[test]
    fn a_download_gets_what_there_is_and_then_nothing() {
        let room = Room::new(5 << 20, MIB);
        let got: Vec<_> = (0..5).map_while(|_| room.window(MIB)).collect();
        let bytes: Vec<usize> = got.iter().map(|(bytes, _)| *bytes).collect();
        assert_eq!(bytes, [MIB, MIB, MIB / 2]);
        assert!(room.window(MIB).is_none() && !room.is_plentiful());
        drop(got);
        let half = room.window(MIB).unwrap();
        assert_eq!((half.0, room.is_plentiful()), (MIB, true));
        let _more = room.window(MIB / 2).unwrap();
        assert!(!room.is_plentiful());
    }
}
