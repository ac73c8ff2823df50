//! When rows are read on the spot, and when not, because a disk would be waited for. All times are since one moment.

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::page_cache;
use crate::thread_time;

/// The pages of a sample, and their length.
pub(super) const SAMPLED_PAGES: u64 = 64;
const PAGE_BYTES: u64 = 4096;

/// The time for which a sample holds whose pages were all in memory.
const SAMPLE_TIME: Duration = Duration::from_secs(1);

/// The pause after any other sample: what was missing may have been read by then.
const SAMPLE_PAUSE: Duration = Duration::from_millis(50);

/// A read that waited for longer than this, and not for a processor, waited for a disk.
pub(in super::super) const READ_TIME_MAX: Duration = Duration::from_millis(10);

/// The time for which reads are watched after one that took longer than [`READ_TIME_MAX`].
const WATCH_TIME: Duration = Duration::from_secs(60);

/// The pause after a read that waited, the first time, and at most.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(16);

/// What is known of the time that reads take.
#[derive(Debug, Default)]
pub(in super::super) struct Pauses {
    /// The time until which nothing is read, in milliseconds.
    until: AtomicU64,
    /// The time until which reads are watched, in milliseconds.
    watched_until: AtomicU64,
    /// The reads that waited since the last one that did not.
    waited: AtomicU64,
    /// The time of the last sample, in milliseconds; 0 where there was none.
    sampled_at: AtomicU64,
}

/// A read that began now, and the time that its thread was runnable for until then, where that is known.
pub(in super::super) enum Watch {
    No,
    Since(Option<Duration>),
}

impl Pauses {
    /// Returns whether no pause holds.
    pub(super) fn are_over(&self, now: Duration) -> bool {
        millis(now) >= self.until.load(Relaxed)
    }

    /// Returns whether no pause holds, and the catalogue is in memory as far as its last sample tells, which `sample` takes
    /// anew where that is due.
    pub(in super::super) fn is_in_memory(
        &self,
        now: Duration,
        sample: impl FnOnce(u64) -> bool,
    ) -> bool {
        if !self.are_over(now) {
            return false;
        }
        let now = millis(now);
        let sampled_at = self.sampled_at.load(Relaxed);
        // The first one is taken at once.
        if sampled_at != 0 && now - sampled_at.min(now) < millis(SAMPLE_TIME) {
            return true;
        }
        // Of several who find it too old, one takes the next.
        let taken = self
            .sampled_at
            .compare_exchange(sampled_at, now.max(1), Relaxed, Relaxed);
        if taken.is_ok() && !sample(now) {
            self.until.store(now + millis(SAMPLE_PAUSE), Relaxed);
            // The next one is taken as soon as that is over.
            self.sampled_at.store(0, Relaxed);
            return false;
        }
        sampled_at != 0 || taken.is_ok()
    }

    /// Returns how the read that begins now is watched. It takes a call of the system where one took long lately.
    pub(in super::super) fn watch(&self, now: Duration) -> Watch {
        if millis(now) < self.watched_until.load(Relaxed) {
            Watch::Since(thread_time::runnable())
        } else {
            Watch::No
        }
    }

    /// Notes the time of a read, on the thread that made it. The first one that takes long has the next ones watched; one of
    /// those that waited for a disk begins a pause.
    pub(in super::super) fn note(&self, watch: Watch, begun: Duration, now: Duration) {
        let took = now.saturating_sub(begun);
        if took <= READ_TIME_MAX {
            if self.waited.load(Relaxed) != 0 {
                self.waited.store(0, Relaxed);
            }
            return;
        }
        self.watched_until.store(millis(now + WATCH_TIME), Relaxed);
        let Watch::Since(before) = watch else {
            return;
        };
        // Where the kernel does not tell, it may all have been the disk's.
        let runnable = match (before, thread_time::runnable()) {
            (Some(before), Some(after)) => after.saturating_sub(before),
            (None, _) | (_, None) => Duration::ZERO,
        };
        if took.saturating_sub(runnable) > READ_TIME_MAX {
            self.pause(now);
        }
    }

    /// Begins a pause, twice as long as the one before where no read without a wait was between.
    pub(super) fn pause(&self, now: Duration) {
        let times = self.waited.fetch_add(1, Relaxed).min(16);
        let pause = (millis(PAUSE) << times).min(millis(PAUSE_MAX));
        self.until.store(millis(now) + pause, Relaxed);
    }
}

/// Returns how many of some pages are not in memory, which differ from one time to the next.
pub(in super::super) fn missing_of_sample(file: &File, seed: u64) -> u64 {
    let Ok(pages) = file
        .metadata()
        .map(|found| found.len().div_ceil(PAGE_BYTES))
    else {
        return SAMPLED_PAGES;
    };
    let is_missing = |number: &u64| {
        // Knuth's multiplicative hash (The Art of Computer Programming, vol. 3, §6.4).
        let mixed = (seed * SAMPLED_PAGES + number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        !page_cache::has_byte(file, mixed % pages.max(1) * PAGE_BYTES)
    };
    (0..SAMPLED_PAGES).filter(is_missing).count() as u64
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
