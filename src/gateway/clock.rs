//! The one place where the time of day is read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::model::time::UnixSeconds;

/// The gateway's source of time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970, by the wall clock: it may jump.
    fn unix_millis(&self) -> u64;

    /// Returns the time that this clock has run. It never jumps, so deadlines are measured with it.
    fn elapsed(&self) -> Duration;

    /// Returns the same as of the kernel's last tick, which is 10 ms ago at most, at a sixth of the cost: for bounds of a
    /// second, which each request is held against.
    fn coarse_elapsed(&self) -> Duration {
        self.elapsed()
    }
}

impl dyn Clock + '_ {
    /// The wall clock in whole seconds.
    pub fn now(&self) -> UnixSeconds {
        UnixSeconds::EPOCH.plus(self.unix_millis() / 1000)
    }
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: Duration,
}

impl SystemClock {
    /// A clock that starts to run now.
    pub fn start() -> Self {
        Self {
            started: read(ClockId::Monotonic),
        }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    fn unix_millis(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn elapsed(&self) -> Duration {
        read(ClockId::Monotonic).saturating_sub(self.started)
    }

    fn coarse_elapsed(&self) -> Duration {
        read(ClockId::MonotonicCoarse).saturating_sub(self.started)
    }
}

/// Reads a clock of the kernel that begins with the machine.
fn read(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

/// A wall clock that stands still until it is moved, for tests and benches.
#[derive(Debug)]
pub struct ManualClock {
    unix_millis: AtomicU64,
    started: Instant,
}

impl ManualClock {
    /// A clock that stands at `unix_millis`.
    pub fn at(unix_millis: u64) -> Self {
        Self {
            unix_millis: AtomicU64::new(unix_millis),
            started: Instant::now(),
        }
    }

    /// Moves the wall clock to `unix_millis`, forwards or back.
    pub fn set(&self, unix_millis: u64) {
        self.unix_millis.store(unix_millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn unix_millis(&self) -> u64 {
        self.unix_millis.load(Ordering::SeqCst)
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
