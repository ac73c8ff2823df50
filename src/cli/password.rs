//! The password that a share is to have: from a file, or asked for on the terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::failure::Failure;
use super::value_parsers::warn_if_others_may_read;
use crate::gateway::passwords::{PASSWORD_BYTES_MAX, Password};

/// The most that is read of a line: a longer one is no password, with its end.
const LINE_BYTES_MAX: u64 = PASSWORD_BYTES_MAX as u64 + 2;

/// Reads the password that is the first line of a file.
pub(super) fn in_file(path: &Path) -> Result<Password, Failure> {
    let failed = |error| Failure::unreadable(path, &error);
    let file = File::open(path).map_err(failed)?;
    warn_if_others_may_read(&file, path, "a password").map_err(failed)?;
    let line = line_of(file).map_err(failed)?;
    let unfit = |why| Failure::Usage(format!("--password-file: the password {why}"));
    Password::new(line.to_string()).map_err(unfit)
}

/// Asks for a password on the terminal, twice, and shows nothing of it.
pub(super) fn asked() -> Result<Password, Failure> {
    let no_terminal = |error: io::Error| {
        let why =
            format!("--ask-password needs a terminal ({error}): --password-file takes a file");
        Failure::Usage(why)
    };
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    let terminal = terminal.map_err(no_terminal)?;
    let silent = Silent::begin(&terminal).map_err(no_terminal)?;
    let first = ask(&terminal, "Password: ").map_err(no_terminal)?;
    let again = ask(&terminal, "The same again: ").map_err(no_terminal)?;
    drop(silent);
    if *first != *again {
        return Err(Failure::Usage("the two passwords differ".into()));
    }
    let unfit = |why| Failure::Usage(format!("the password {why}"));
    Password::new(first.to_string()).map_err(unfit)
}

fn ask(mut terminal: &File, question: &str) -> io::Result<Zeroizing<String>> {
    terminal.write_all(question.as_bytes())?;
    let line = line_of(terminal.try_clone()?)?;
    terminal.write_all(b"\n")?;
    Ok(line)
}

/// Reads one line, without its end.
fn line_of(from: File) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    BufReader::new(from.take(LINE_BYTES_MAX)).read_line(&mut line)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn begin(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}
