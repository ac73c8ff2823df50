//! The audit stream: who minted, downloaded, changed and revoked what, one JSON object a line in one file.
//!
//! A caller that records an event never waits: lines go through a bounded queue to a writer thread. Lines that do
//! not fit are dropped and counted; the log says so once, and the stream has an event `dropped` when the file takes
//! lines again. The writer retries a file that fails for as long as it fails; lines wait in the queue meanwhile.
//!
//! Lines are whole, also where several processes append to one file, and where the disk is full: a batch is one
//! write to a file that is open for appending, and the writer cuts off a part of a line. Where a process died in
//! the midst of one, the next line begins on its own. A full pipe counts as failed after [`PIPE_WAIT`]. A file that
//! was renamed away is made anew before the next line, and within [`CHECK_EVERY`] where there is none.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

mod sink;
mod wire;

pub use sink::PIPE_WAIT;
use sink::Sink;
pub use wire::{Event, LINE_BYTES_MAX};

/// The most bytes of lines that wait for the file. As many again may be on their way into it.
pub const QUEUE_BYTES_MAX: usize = 1 << 20;
/// The interval at which the file is checked where nothing is written, and tried again after a failure.
pub const CHECK_EVERY: Duration = Duration::from_millis(500);
/// The longest wait, at the end of the process, for the last lines to be written.
pub const FLUSH_WAIT: Duration = Duration::from_secs(2);

/// Takes events. Cloning is a reference count.
#[derive(Clone, Debug)]
pub struct Audit(Arc<AuditQueue>);

#[derive(Debug, Default)]
struct AuditQueue {
    state: Mutex<AuditBuffer>,
    changed: Condvar,
    /// The number of lines dropped since the start.
    dropped: AtomicU64,
    /// The number of times that the file stopped taking lines since the start.
    failures: AtomicU64,
}

#[derive(Debug, Default)]
struct AuditBuffer {
    waiting: Vec<u8>,
    /// Lines that were dropped and not yet written about.
    dropped: u64,
    /// The time of the last event, for the line about those that were dropped.
    last_time: u64,
    is_to_reopen: bool,
    has_ended: bool,
    has_finished: bool,
}

/// Keeps the writer's thread. Dropping it waits until the recorded events are written, at most
/// [`FLUSH_WAIT`], and ends the stream: later events go nowhere.
#[must_use = "dropping the guard ends the audit stream"]
#[derive(Debug)]
pub struct AuditGuard(Audit);

/// Opens the file for one who writes few lines and waits for them: a command.
#[derive(Debug)]
pub struct Direct(Sink);

impl Direct {
    /// Opens the file, or makes it with mode 0600.
    ///
    /// # Errors
    /// A file that cannot be opened or made.
    pub fn open(path: &Path) -> io::Result<Self> {
        Sink::open(path).map(Self)
    }

    /// Appends the event, or fails; waits for another process that is writing, but not for long.
    ///
    /// # Errors
    /// A file that takes no line, or not in time.
    pub fn record(&mut self, event: &Event<'_>) -> io::Result<()> {
        let line = event.line().ok_or(io::ErrorKind::InvalidInput)?;
        self.0.append(&line).1
    }
}

/// Opens the file, or makes it with mode 0600, and starts the thread that writes to it.
///
/// # Errors
/// A file that cannot be opened or made, or no thread to be had.
pub fn start(path: &Path) -> io::Result<(Audit, AuditGuard)> {
    let sink = Sink::open(path)?;
    let audit = Audit(Arc::default());
    let shared = Arc::clone(&audit.0);
    let run = move || Writer::new(shared, sink).run();
    thread::Builder::new().name("audit".into()).spawn(run)?;
    Ok((audit.clone(), AuditGuard(audit)))
}

impl Audit {
    /// Records an event. Never waits for the file.
    pub fn record(&self, event: &Event<'_>) {
        let line = event.line();
        let shared = &self.0;
        let mut state = shared.lock();
        if state.has_ended {
            return;
        }
        state.last_time = event.time;
        let room = QUEUE_BYTES_MAX.saturating_sub(state.waiting.len());
        let is_first_dropped = match line.filter(|line| line.len() <= room) {
            Some(line) => {
                state.waiting.extend_from_slice(&line);
                false
            }
            None => {
                state.dropped = state.dropped.saturating_add(1);
                shared.dropped.fetch_add(1, Relaxed);
                state.dropped == 1
            }
        };
        drop(state);
        shared.changed.notify_all();
        if is_first_dropped {
            tracing::error!("the audit file does not take its lines in time: lines are dropped");
        }
    }

    /// Has the file opened again before the next line: on SIGHUP.
    pub fn reopen(&self) {
        self.0.lock().is_to_reopen = true;
        self.0.changed.notify_all();
    }

    /// Returns the number of lines dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Relaxed)
    }

    /// Returns the number of times that the file stopped taking lines since the start: it failed, or is a pipe that
    /// took nothing for [`PIPE_WAIT`].
    pub fn failures(&self) -> u64 {
        self.0.failures.load(Relaxed)
    }
}

impl AuditQueue {
    fn lock(&self) -> MutexGuard<'_, AuditBuffer> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AuditGuard {
    fn drop(&mut self) {
        let shared = &self.0.0;
        let mut state = shared.lock();
        state.has_ended = true;
        shared.changed.notify_all();
        let busy = |state: &mut AuditBuffer| !state.has_finished;
        drop(shared.changed.wait_timeout_while(state, FLUSH_WAIT, busy));
    }
}

/// The thread that writes.
struct Writer {
    shared: Arc<AuditQueue>,
    sink: Sink,
    /// Lines that the file is yet to take.
    batch: Vec<u8>,
    /// True if the last attempt failed. The log says so once.
    is_failing: bool,
}

impl Writer {
    const fn new(shared: Arc<AuditQueue>, sink: Sink) -> Self {
        Self {
            shared,
            sink,
            batch: Vec::new(),
            is_failing: false,
        }
    }

    /// Writes until the stream has ended, and then once more.
    fn run(mut self) {
        loop {
            let (is_to_reopen, has_ended) = self.wait();
            let outcome = self.write_all(is_to_reopen);
            self.say(outcome);
            if has_ended {
                self.shared.lock().has_finished = true;
                self.shared.changed.notify_all();
                return;
            }
        }
    }

    /// Waits for something to do, at most [`CHECK_EVERY`]; where the file fails, that long.
    fn wait(&mut self) -> (bool, bool) {
        let (shared, is_failing) = (&self.shared, self.is_failing);
        let idle = |state: &mut AuditBuffer| {
            let has_lines = !is_failing && (!state.waiting.is_empty() || state.dropped > 0);
            !(has_lines || state.is_to_reopen || state.has_ended)
        };
        let waited = shared
            .changed
            .wait_timeout_while(shared.lock(), CHECK_EVERY, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut state.is_to_reopen), state.has_ended)
    }

    /// Writes what is there, and then how much is missing.
    fn write_all(&mut self, is_to_reopen: bool) -> io::Result<()> {
        if is_to_reopen || self.is_failing || self.sink.is_renamed() {
            self.sink.reopen()?;
        }
        // The rest of the last batch comes first, then all that came since.
        loop {
            if self.batch.is_empty() {
                std::mem::swap(&mut self.batch, &mut self.shared.lock().waiting);
            }
            if self.batch.is_empty() {
                return self.write_dropped();
            }
            let (written, outcome) = self.sink.append(&self.batch);
            self.batch.drain(..written);
            outcome?;
        }
    }

    /// Writes how many lines were dropped, if any were.
    #[expect(
        clippy::expect_used,
        reason = "an event of two numbers fits into a line"
    )]
    fn write_dropped(&mut self) -> io::Result<()> {
        let (time, dropped) = {
            let state = self.shared.lock();
            (state.last_time, state.dropped)
        };
        if dropped == 0 {
            return Ok(());
        }
        let event = Event {
            time,
            event: "dropped",
            count: Some(dropped),
            ..Event::default()
        };
        let line = event.line().expect("a short line");
        self.sink.append(&line).1?;
        let mut state = self.shared.lock();
        state.dropped = state.dropped.saturating_sub(dropped);
        Ok(())
    }

    fn say(&mut self, outcome: io::Result<()>) {
        match outcome {
            Ok(()) if self.is_failing => {
                self.is_failing = false;
                tracing::warn!("the audit file takes lines again");
            }
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                self.shared.failures.fetch_add(1, Relaxed);
                tracing::error!(%error, "the audit file takes no lines: it is tried again");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use super::*;

    fn event(name: &str) -> Event<'_> {
        Event {
            time: 1_779_118_492_000,
            event: name,
            ..Event::default()
        }
    }

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(path).unwrap_or_default();
        assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
        let parse = |line| serde_json::from_str(line).unwrap();
        text.lines().map(parse).collect()
    }

    #[track_caller]
    fn until(what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < CHECK_EVERY * 20, "{what}");
            thread::yield_now();
        }
        println!("{what}: after {:?}", begun.elapsed());
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_written_when_it_does() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        // The disk is full: writing fails, opening does not.
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let (audit, guard) = start(&path).unwrap();
        let long = "x".repeat(1000);
        let begun = Instant::now();
        for _ in 0..3_000 {
            audit.record(&Event {
                reason: Some(&long),
                ..event("refused")
            });
        }
        assert!(begun.elapsed() < CHECK_EVERY * 20, "nobody waits");
        let dropped = audit.dropped();
        assert!((500..3_000).contains(&dropped), "{dropped}");
        fs::remove_file(&path).unwrap();
        until("the file takes lines again", || {
            // A line that is being written may be seen in part.
            let text = fs::read_to_string(&path).unwrap_or_default();
            let last = text.lines().last();
            text.ends_with('\n') && last.is_some_and(|last| last.contains("\"dropped\""))
        });
        audit.record(&event("mint"));
        drop(guard);
        let lines = lines(&path);
        assert_eq!(lines.len() as u64, 3_000 - dropped + 2);
        assert_eq!(lines[lines.len() - 2]["count"], dropped);
        assert_eq!(lines[lines.len() - 1]["event"], "mint");
        audit.record(&event("late"));
    }

    /// The reader of a pipe may be busy for a moment: no line is lost for it, and the log says nothing.
    #[test]
    fn a_pipe_that_is_full_for_a_moment_is_waited_for_and_one_that_stays_so_fails() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let (audit, guard) = start(&path).unwrap();
        let count = 3_000;
        let begun = Instant::now();
        for _ in 0..count {
            audit.record(&event("refused"));
        }
        assert!(begun.elapsed() < CHECK_EVERY * 20, "nobody waits");
        // Several times as long as it takes to see that the pipe is full.
        until("a while", || begun.elapsed() > CHECK_EVERY * 3);
        assert_eq!((audit.failures(), audit.dropped()), (0, 0));
        let reader = io::BufReader::new(fs::File::open(&path).unwrap());
        let mut lines = io::BufRead::lines(reader);
        for number in 0..count {
            let line = lines.next().unwrap().unwrap();
            assert!(line.contains("\"refused\""), "{number}: {line}");
        }
        assert_eq!((audit.failures(), audit.dropped()), (0, 0));
        for _ in 0..count {
            audit.record(&event("mint"));
        }
        let begun = Instant::now();
        while audit.failures() == 0 {
            assert!(begun.elapsed() < PIPE_WAIT * 10);
            thread::yield_now();
        }
        println!(
            "failed after {:?}, promised after {PIPE_WAIT:?}",
            begun.elapsed()
        );
        for _ in 0..count {
            assert!(lines.next().unwrap().unwrap().contains("\"mint\""));
        }
        drop(guard);
        assert_eq!((audit.failures(), audit.dropped()), (1, 0));
    }

    #[test]
    fn a_file_that_is_renamed_away_is_made_anew_without_a_line_or_a_signal() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let (audit, guard) = start(&path).unwrap();
        audit.record(&event("a"));
        until("the first line", || lines(&path).len() == 1);
        fs::rename(&path, directory.path().join("1")).unwrap();
        until("a new file", || path.exists());
        audit.record(&event("b"));
        fs::rename(directory.path().join("1"), directory.path().join("2")).unwrap();
        audit.reopen();
        drop(guard);
        assert_eq!(lines(&path)[0]["event"], "b");
        assert_eq!(lines(&directory.path().join("2"))[0]["event"], "a");
    }

    #[test]
    fn what_cannot_be_opened_is_said_at_once() {
        let directory = tempfile::tempdir().unwrap();
        assert!(start(directory.path()).is_err(), "a directory");
        assert!(start(&directory.path().join("none/audit.jsonl")).is_err());
    }
}
