//! A bounded buffer of log lines in front of a writer that may be slow or stuck.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use super::Format;

/// The most bytes of lines that wait for the writer. As many again may be on their way out.
pub const BUFFER_BYTES_MAX: usize = 1 << 20;
/// The longest wait, at the end of the process, for the last lines to be written.
pub const FLUSH_WAIT: Duration = Duration::from_secs(1);

/// The number of lines that this process dropped.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Returns the number of lines of the log that this process dropped, since nobody took them in time.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Takes lines and never waits for the writer.
#[derive(Clone)]
pub(super) struct Lines {
    shared: Arc<LogQueue>,
}

#[derive(Default)]
struct LogQueue {
    state: Mutex<LogBuffer>,
    changed: Condvar,
}

#[derive(Default)]
struct LogBuffer {
    waiting: Vec<u8>,
    dropped: u64,
    writing: bool,
    ended: bool,
}

/// Keeps the writer's thread. Dropping it waits until the logged lines are written, at most
/// [`FLUSH_WAIT`], and ends the log: later lines go nowhere.
#[must_use = "dropping the guard ends the log"]
pub struct LogGuard {
    shared: Arc<LogQueue>,
}

/// Starts a thread that writes lines to `out`. An error of `out` costs the lines that were on their way.
pub(super) fn start(
    format: Format,
    mut out: impl Write + Send + 'static,
) -> io::Result<(Lines, LogGuard)> {
    let shared = Arc::new(LogQueue::default());
    let guard = LogGuard {
        shared: Arc::clone(&shared),
    };
    let lines = Lines {
        shared: Arc::clone(&shared),
    };
    let run = move || {
        while let Some((mut batch, dropped)) = shared.take() {
            if dropped > 0 {
                batch.extend_from_slice(report(format, dropped).as_bytes());
            }
            let lost = out.write_all(&batch).and_then(|()| out.flush()).is_err();
            let lines = batch.iter().filter(|byte| **byte == b'\n').count();
            shared.written(if lost { lines as u64 } else { 0 });
        }
    };
    thread::Builder::new().name("log".into()).spawn(run)?;
    Ok((lines, guard))
}

impl LogBuffer {
    /// Returns whether there is nothing to take.
    const fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.dropped == 0
    }
}

impl LogQueue {
    fn lock(&self) -> MutexGuard<'_, LogBuffer> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.ended {
            return;
        }
        let is_awaited = state.is_empty();
        if state.waiting.len().saturating_add(line.len()) > BUFFER_BYTES_MAX {
            state.dropped = state.dropped.saturating_add(1);
            DROPPED.fetch_add(1, Ordering::Relaxed);
        } else {
            state.waiting.extend_from_slice(line);
        }
        // A wake-up is a call of the system. A caller that left lines before has woken the writer already,
        // and they are still to be taken.
        if is_awaited {
            self.changed.notify_all();
        }
    }

    /// Waits for lines, and takes them all with the count of those that did not fit after them. `None` when
    /// the log has ended and everything is taken.
    fn take(&self) -> Option<(Vec<u8>, u64)> {
        let idle = |state: &mut LogBuffer| state.is_empty() && !state.ended;
        let waited = self.changed.wait_while(self.lock(), idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let taken = (
            std::mem::take(&mut state.waiting),
            std::mem::take(&mut state.dropped),
        );
        state.writing = !(taken.0.is_empty() && taken.1 == 0);
        state.writing.then_some(taken)
    }

    fn written(&self, lost: u64) {
        let mut state = self.lock();
        state.writing = false;
        state.dropped = state.dropped.saturating_add(lost);
        DROPPED.fetch_add(lost, Ordering::Relaxed);
        self.changed.notify_all();
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ended = true;
        self.shared.changed.notify_all();
        let busy =
            |state: &mut LogBuffer| state.writing || !state.waiting.is_empty() || state.dropped > 0;
        drop(
            self.shared
                .changed
                .wait_timeout_while(state, FLUSH_WAIT, busy),
        );
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Each write is one event, with its newline: the formatter hands it over in one piece.
impl Write for &Lines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.shared.push(event);
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The line that stands for those that were dropped. It has no time: no clock is read here.
fn report(format: Format, dropped: u64) -> String {
    let why = "standard error did not take them in time";
    match format {
        Format::Text => format!("WARN {dropped} lines of the log were dropped: {why}\n"),
        Format::Json => format!(
            "{{\"level\":\"WARN\",\"message\":\"lines of the log were dropped: {why}\",\"dropped\":{dropped}}}\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::time::Instant;

    use super::*;

    /// Blocks in its first write until it may go on.
    struct Stuck {
        entered: SyncSender<()>,
        go: Receiver<()>,
        out: SyncSender<Vec<u8>>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.entered.try_send(());
            let _ = self.go.recv();
            let _ = self.out.try_send(bytes.into());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_writer_holds_nobody_up_and_what_it_missed_is_reported() {
        for format in [Format::Text, Format::Json] {
            let (entered, is_entered) = sync_channel(1);
            let (release, go) = sync_channel(0);
            let (out, written) = sync_channel(100);
            let (lines, guard) = start(format, Stuck { entered, go, out }).unwrap();
            writeln!(&lines, "the first line").unwrap();
            is_entered.recv().unwrap();
            let line = "x".repeat(1023);
            for _ in 0..2000 {
                (&lines).write_all(format!("{line}\n").as_bytes()).unwrap();
            }
            let before = Instant::now();
            drop(guard);
            let waited = before.elapsed();
            assert!((FLUSH_WAIT..FLUSH_WAIT * 5).contains(&waited), "{waited:?}");

            drop(release);
            let first = written.recv().unwrap();
            assert_eq!(first, b"the first line\n");
            let rest = String::from_utf8(written.recv().unwrap()).unwrap();
            let kept = BUFFER_BYTES_MAX / 1024;
            let said: Vec<&str> = rest.lines().collect();
            assert_eq!(said.len(), kept + 1);
            let dropped = (2000 - kept).to_string();
            let last = said.last().unwrap();
            assert!(
                last.contains(&dropped) && last.contains("dropped"),
                "{last}"
            );
        }
    }

    #[test]
    fn an_error_of_the_writer_is_reported_as_dropped_lines() {
        struct Fails(SyncSender<Vec<u8>>, u32);

        impl Write for Fails {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                if self.1 > 0 {
                    self.1 -= 1;
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                self.0.send(bytes.into()).map_err(io::Error::other)?;
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let (out, written) = sync_channel(100);
        let (lines, guard) = start(Format::Text, Fails(out, 1)).unwrap();
        writeln!(&lines, "lost").unwrap();
        let said = String::from_utf8(written.recv().unwrap()).unwrap();
        assert!(said.contains("1 lines of the log were dropped"), "{said}");
        drop(guard);
    }
}
