//! The audit file: appended to in whole lines, and opened again where it was renamed away.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// The longest wait of a write for another process that is writing.
const LOCK_WAIT: Duration = Duration::from_secs(1);
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// The longest wait for a full pipe: its reader may be busy for a moment. One that has taken nothing for so long takes
/// no lines.
pub const PIPE_WAIT: Duration = Duration::from_secs(5);

/// The open file.
#[derive(Debug)]
pub(super) struct Sink {
    path: PathBuf,
    file: File,
    is_regular: bool,
    /// True if the end of the file can be read back.
    is_readable: bool,
}

impl Sink {
    /// Opens the file, or makes it with mode 0600. Waits for nobody: a pipe without a reader is opened, too.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let (file, is_readable) = open(path)?;
        Ok(Self {
            is_readable,
            is_regular: file.metadata()?.is_file(),
            path: path.to_owned(),
            file,
        })
    }

    /// Returns whether the path names another file than the one that is open, or none.
    pub(super) fn is_renamed(&self) -> bool {
        let id = |found: Metadata| (found.dev(), found.ino());
        let named = std::fs::metadata(&self.path).map(id).ok();
        named != self.file.metadata().map(id).ok()
    }

    /// Opens what the path names now. The file that is open stays, where that fails.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        *self = Self::open(&self.path)?;
        Ok(())
    }

    /// Appends whole lines, in one write where that is a file. Answers how many bytes of them are there:
    /// fewer than all with an error, and always whole lines. Waits for a pipe that is full, for [`PIPE_WAIT`]
    /// at most each time.
    pub(super) fn append(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        if self.is_regular {
            return self.append_to_file(lines);
        }
        let mut written = 0;
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            // A pipe takes a line of this length whole or not at all.
            match self.write_or_wait(line) {
                Ok(taken) if taken == line.len() => written += taken,
                Ok(_) => return (written, Err(torn())),
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }

    fn write_or_wait(&mut self, line: &[u8]) -> io::Result<usize> {
        match write(&mut self.file, line) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait_for_room(&self.file)?;
                write(&mut self.file, line)
            }
            written => written,
        }
    }

    /// Appends in one write, with all other writers locked out, so that a part of a line can be taken back.
    fn append_to_file(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        if let Err(error) = self.lock().and_then(|()| self.end_torn_line()) {
            let _ = self.file.unlock();
            return (0, Err(error));
        }
        let outcome = match write(&mut self.file, lines) {
            Ok(taken) if taken == lines.len() => (taken, Ok(())),
            Ok(taken) => {
                let (whole, part) = whole_lines(lines, taken);
                (whole, self.take_back(part).and(Err(torn())))
            }
            Err(error) => (0, Err(error)),
        };
        // It is given back with the file at the latest.
        let _ = self.file.unlock();
        outcome
    }

    fn lock(&self) -> io::Result<()> {
        let mut waited = Duration::ZERO;
        loop {
            match self.file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) if waited < LOCK_WAIT => pause(),
                Err(error) => return Err(error.into()),
            }
            waited += LOCK_PAUSE;
        }
    }

    /// Ends a line that somebody left in the midst of it, whom a signal or a power cut ended there: what
    /// comes next would else be a part of it, and be lost with it.
    fn end_torn_line(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        let Some(last) = length.checked_sub(1).filter(|_| self.is_readable) else {
            return Ok(());
        };
        let mut byte = [0];
        if self.file.read_at(&mut byte, last)? == 1 && byte != *b"\n" {
            tracing::warn!("the audit file ended in the midst of a line, which is lost");
            self.file.write_all(b"\n")?;
        }
        Ok(())
    }

    fn take_back(&self, bytes: u64) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        self.file.set_len(length.saturating_sub(bytes))
    }
}

/// Returns how many of the first `taken` bytes are whole lines, and how many are the beginning of one.
#[expect(
    clippy::expect_used,
    reason = "the system takes no more than it is given"
)]
fn whole_lines(lines: &[u8], taken: usize) -> (usize, u64) {
    let written = lines.get(..taken).expect("at most all of them");
    let last = written.iter().rposition(|byte| *byte == b'\n');
    let whole = last.map_or(0, |at| at + 1);
    (whole, (written.len() - whole) as u64)
}

fn torn() -> io::Error {
    io::Error::other("it took a part of a line")
}

/// Writes once, and again where a signal came in between.
fn write(file: &mut File, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match file.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => return written,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "on the audit's own thread, or in a command that does nothing else"
)]
fn pause() {
    thread::sleep(LOCK_PAUSE);
}

/// Waits until a pipe takes more, or has failed, which the next write says. Begun again after a signal, which
/// this thread is sent none of.
fn wait_for_room(pipe: &File) -> io::Result<()> {
    let most = Timespec::try_from(PIPE_WAIT).ok();
    let mut waiting = [PollFd::new(pipe, PollFlags::OUT)];
    match poll(&mut waiting, most.as_ref()) {
        Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The open file, and whether it can be read, too.
fn open(path: &Path) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    options
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed());
    let is_pipe = || {
        path.metadata()
            .is_ok_and(|found| found.file_type().is_fifo())
    };
    // A pipe that is opened for reading, too, has a reader that never reads.
    let is_file = path.metadata().map_or(true, |found| found.is_file());
    if is_file && let Ok(file) = options.clone().read(true).open(path) {
        return Ok((file, true));
    }
    let opened = match options.open(path) {
        // A pipe that nobody reads yet cannot be opened for writing alone.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NXIO) && is_pipe() => {
            options.read(true).open(path)
        }
        opened => opened,
    };
    opened.map(|file| (file, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_whole_lines_and_the_beginning_of_one() {
        let lines = b"one\ntwo\nthree\n";
        for (taken, wanted) in [
            (0, (0, 0)),
            (3, (0, 3)),
            (4, (4, 0)),
            (13, (8, 5)),
            (14, (14, 0)),
        ] {
            assert_eq!(whole_lines(lines, taken), wanted);
        }
    }

    #[test]
    fn a_file_is_its_owner_s_alone_and_is_made_again_once_renamed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let mut sink = Sink::open(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
        assert!(matches!(sink.append(b"a\n"), (2, Ok(()))));
        assert!(!sink.is_renamed());
        let away = directory.path().join("audit.jsonl.1");
        std::fs::rename(&path, &away).unwrap();
        assert!(sink.is_renamed());
        sink.reopen().unwrap();
        assert!(matches!(sink.append(b"b\n"), (2, Ok(()))));
        assert_eq!(std::fs::read(&away).unwrap(), b"a\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"b\n");
        std::fs::remove_file(&path).unwrap();
        assert!(sink.is_renamed());
    }

    #[test]
    fn a_part_of_a_line_is_taken_back_where_the_file_takes_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let mut sink = Sink::open(&path).unwrap();
        sink.append(b"before\n").1.unwrap();
        let part = b"one\ntw".len() as u64;
        // The file that a write leaves behind if the disk had no room to finish it.
        std::fs::write(&path, b"before\none\ntw").unwrap();
        let (whole, torn) = whole_lines(b"one\ntwo\n", usize::try_from(part).unwrap());
        assert_eq!(whole, 4);
        sink.take_back(torn).unwrap();
        sink.append(b"two\n").1.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"before\none\ntwo\n");
    }

    #[test]
    fn whoever_holds_the_lock_too_long_is_an_error_and_nothing_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let mut sink = Sink::open(&path).unwrap();
        let holder = File::open(&path).unwrap();
        holder.lock().unwrap();
        assert!(matches!(sink.append(b"a\n"), (0, Err(_))));
        drop(holder);
        assert!(matches!(sink.append(b"a\n"), (2, Ok(()))));
        assert_eq!(std::fs::read(&path).unwrap(), b"a\n");
    }

    #[test]
    fn a_pipe_that_nobody_reads_takes_so_many_lines_and_then_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let mut sink = Sink::open(&path).unwrap();
        let lines = b"0123456789abcde\n".repeat(100_000);
        let begun = std::time::Instant::now();
        let (written, outcome) = sink.append(&lines);
        println!(
            "given up after {:?}, promised after {PIPE_WAIT:?}",
            begun.elapsed()
        );
        assert!((PIPE_WAIT..PIPE_WAIT * 10).contains(&begun.elapsed()));
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(written > 0 && written % 16 == 0, "{written}");
    }

    #[test]
    fn a_line_that_somebody_left_in_the_midst_swallows_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        std::fs::write(&path, "{\"whole\":1}\n{\"torn").unwrap();
        let mut sink = Sink::open(&path).unwrap();
        sink.append(b"one\n").1.unwrap();
        // Another process is ended in the midst of its write while this one has the file open.
        let mut other = OpenOptions::new().append(true).open(&path).unwrap();
        other.write_all(b"two\n{\"to").unwrap();
        sink.append(b"three\nfour\n").1.unwrap();
        let read = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            read,
            "{\"whole\":1}\n{\"torn\none\ntwo\n{\"to\nthree\nfour\n"
        );
    }

    #[test]
    fn a_file_that_may_only_be_written_takes_lines_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        std::fs::write(&path, "torn").unwrap();
        let (file, _) = open(&path).unwrap();
        let mut sink = Sink {
            path,
            file,
            is_regular: true,
            is_readable: false,
        };
        assert!(matches!(sink.append(b"a\n"), (2, Ok(()))));
        assert_eq!(std::fs::read(&sink.path).unwrap(), b"torna\n");
    }
}
