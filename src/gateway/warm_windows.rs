//! The windows of an open file that were found in memory of late. A file that is sent again and again is looked at once a
//! second, and not for each piece of each answer.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::clock::Clock;
use super::revocations::STALENESS_MAX;

/// The bytes of a window: as many as one piece of an answer has at most.
const WINDOW_BYTES: u64 = 1024 * 1024;

/// The most windows of a file that are remembered: those of its first 64 GiB, in 8 KiB of memory.
const WINDOWS_MAX: u64 = 65_536;

/// The windows of one file that were found in memory, each as a whole, within the last [`STALENESS_MAX`].
pub(super) struct WarmWindows {
    clock: Arc<dyn Clock>,
    size: u64,
    /// One bit for each window.
    found: Box<[AtomicU64]>,
    /// The time when they were last forgotten, in milliseconds of the clock.
    since: AtomicU64,
}

impl WarmWindows {
    /// Returns those of a file of so many bytes: none yet.
    pub(super) fn new(size: u64, clock: Arc<dyn Clock>) -> Self {
        let windows = size.div_ceil(WINDOW_BYTES).min(WINDOWS_MAX);
        let words = windows.div_ceil(u64::from(u64::BITS));
        Self {
            since: AtomicU64::new(millis(clock.as_ref())),
            clock,
            size,
            found: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Returns whether all windows that a part of the file lies in are in memory. `look` says so of one that is not
    /// remembered.
    pub(super) fn have(&self, part: Range<u64>, look: impl Fn(Range<u64>) -> bool) -> bool {
        self.forget_old();
        let mut windows = part.start / WINDOW_BYTES..part.end.div_ceil(WINDOW_BYTES);
        windows.all(|window| {
            let word = usize::try_from(window / u64::from(u64::BITS)).unwrap_or(usize::MAX);
            let bit = 1 << (window % u64::from(u64::BITS));
            let Some(word) = self.found.get(word) else {
                return false;
            };
            if word.load(Relaxed) & bit != 0 {
                return true;
            }
            let start = window * WINDOW_BYTES;
            let is_found = look(start..(start + WINDOW_BYTES).min(self.size));
            if is_found {
                word.fetch_or(bit, Relaxed);
            }
            is_found
        })
    }

    /// Forgets all of them where the first may be too old.
    fn forget_old(&self) {
        let (now, since) = (millis(self.clock.as_ref()), self.since.load(Relaxed));
        if u128::from(now.saturating_sub(since)) >= STALENESS_MAX.as_millis() {
            self.since.store(now, Relaxed);
            for word in &self.found {
                word.store(0, Relaxed);
            }
        }
    }
}

fn millis(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.coarse_elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for WarmWindows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WarmWindows(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;

    /// A clock that is set by hand.
    struct Hand(Mutex<Duration>);

    impl Clock for Hand {
        fn unix_millis(&self) -> u64 {
            0
        }

        fn elapsed(&self) -> Duration {
            *self.0.lock().unwrap()
        }
    }

    #[test]
    fn a_window_is_looked_at_once_until_it_is_forgotten() {
        let clock = Arc::new(Hand(Mutex::new(Duration::ZERO)));
        let size = 2 * WINDOW_BYTES + 10;
        let windows = WarmWindows::new(size, Arc::clone(&clock) as _);
        let looked = RefCell::new(Vec::new());
        let (asked, cold) = (
            |part| {
                windows.have(part, |at| {
                    looked.borrow_mut().push(at);
                    true
                })
            },
            |part| windows.have(part, |_| false),
        );
        assert!(!cold(0..1) && looked.borrow().is_empty());
        assert!(asked(5..WINDOW_BYTES + 1));
        let both = [0..WINDOW_BYTES, WINDOW_BYTES..2 * WINDOW_BYTES];
        assert_eq!(
            *looked.borrow(),
            both,
            "as a whole, and after what was cold"
        );
        assert!(cold(0..2 * WINDOW_BYTES) && !cold(0..size), "remembered");
        assert!(asked(size - 1..size));
        assert_eq!(looked.borrow().last(), Some(&(2 * WINDOW_BYTES..size)));
        *clock.0.lock().unwrap() = STALENESS_MAX - Duration::from_millis(1);
        assert!(cold(0..size));
        *clock.0.lock().unwrap() = STALENESS_MAX;
        assert!(!cold(0..1) && asked(0..1) && cold(0..1) && !cold(0..size));
    }

    #[test]
    fn windows_past_the_most_are_not_remembered() {
        let clock = Arc::new(Hand(Mutex::new(Duration::ZERO)));
        let end = WINDOWS_MAX * WINDOW_BYTES;
        let windows = WarmWindows::new(end + 1, clock);
        assert!(windows.have(end - 1..end, |_| true));
        assert!(!windows.have(end..end + 1, |_| true));
        assert!(windows.have(end - 1..end, |_| false));
    }
}
