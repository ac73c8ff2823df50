//! The password that a share is to have: from a file, or asked for on the terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::block_in_place;
use zeroize::Zeroizing;

use super::failure::Failure;
use super::interrupt::Interrupt;
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

/// Asks for a password on the terminal, twice, and shows nothing of it. A signal that ends the command leaves the terminal
/// as it was. `flag` is what asked for it.
///
/// # Errors
/// No terminal, two texts that differ, one that is no password, and a signal.
pub(super) fn asked(flag: &str) -> Result<Password, Failure> {
    // A command has nothing else to do meanwhile.
    block_in_place(|| Handle::current().block_on(typed_on_terminal(flag)))
}

async fn typed_on_terminal(flag: &str) -> Result<Password, Failure> {
    let no_terminal = |error: io::Error| {
        let why = format!("{flag} needs a terminal ({error}): --password-file takes a file");
        Failure::Usage(why)
    };
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    let terminal = terminal.map_err(no_terminal)?;
    let interrupt = Interrupt::listen();
    let silent = Silent::begin(&terminal).map_err(no_terminal)?;
    let typed = tokio::select! {
        typed = typed_twice(&terminal) => typed.map_err(no_terminal)?,
        () = interrupt.first() => {
            drop(silent);
            // The cursor stands behind the question.
            let _ = (&terminal).write_all(b"\n");
            return Err(interrupt.failure("no password was given"));
        }
    };
    drop(silent);
    let [first, again] = typed;
    if *first != *again {
        return Err(Failure::Usage("the two passwords differ".into()));
    }
    let unfit = |why| Failure::Usage(format!("the password {why}"));
    Password::new(first.to_string()).map_err(unfit)
}

/// Asks on a thread of its own, which ends with the process where nobody answers: the runtime would wait for one of its own.
async fn typed_twice(terminal: &File) -> io::Result<[Zeroizing<String>; 2]> {
    let terminal = terminal.try_clone()?;
    let (tell, answers) = oneshot::channel();
    std::thread::spawn(move || {
        let first = ask(&terminal, "Password: ");
        let both = first.and_then(|first| Ok([first, ask(&terminal, "The same again: ")?]));
        // Nobody waits for it after a signal.
        let _ = tell.send(both);
    });
    answers
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
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
