//! The scheduler's account of the thread that asks.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

thread_local! {
    /// The account of this thread, whichever thread reads it.
    static ACCOUNT: Option<File> = File::open("/proc/thread-self/schedstat").ok();
}

/// Returns the time that the calling thread was on a processor, or waited for one, since it began, to a few milliseconds. The
/// rest of its life it waited for something else, as a disk. `None` where the kernel keeps no account (the first two numbers
/// of `/proc/<pid>/schedstat`: "Scheduler Statistics" of the kernel's documentation).
pub fn runnable() -> Option<Duration> {
    let mut bytes = [0; 96];
    let read = ACCOUNT.with(|account| account.as_ref()?.read_at(&mut bytes, 0).ok())?;
    let text = str::from_utf8(bytes.get(..read)?).ok()?;
    let mut numbers = text.split_ascii_whitespace();
    let (on_processor, waiting_for_one) = (numbers.next()?, numbers.next()?);
    let nanoseconds = on_processor
        .parse::<u64>()
        .ok()?
        .checked_add(waiting_for_one.parse().ok()?)?;
    Some(Duration::from_nanos(nanoseconds))
}
