//! The failures of commands, and the exit code of each.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use super::terminal::printable;
use crate::config::ConfigError;
use crate::config::keyring_file::KeyringFileError;
use crate::gateway::refusal::Refusal;
use crate::server::shutdown::StopSignal;
use crate::server::{StartError, disk};

/// The exit code of problems that a person has to mend first: a wrong flag, a wrong configuration.
const USAGE: u8 = 2;

/// A failure of a command, whole or in part.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command line, the configuration or the installation is not as it must be. Exit code 2.
    Usage(String),
    /// The configuration is not as it must be: all its problems. Exit code 2.
    Configuration(Vec<ConfigError>),
    /// It was tried, and did not work. Exit code 1.
    Failed(String),
    /// There is no room for more files or rows. Exit code 1.
    NoRoom,
    /// A signal ended it before it was done, with this result. The exit code is the signal's.
    Interrupted(StopSignal, String),
    /// The answer is no, and all was said already. Exit code 1.
    Said,
}

impl Failure {
    /// Something went wrong while doing `doing`.
    pub(super) fn io(doing: impl std::fmt::Display, error: &io::Error) -> Self {
        Self::Failed(format!("{doing}: {error}"))
    }

    /// A failure in a directory of the installation, with what a person can do about it.
    pub(super) fn in_directory(
        doing: impl std::fmt::Display,
        directory: &Path,
        error: &io::Error,
    ) -> Self {
        match disk::advice(directory, error) {
            Some(advice) => Self::Failed(format!("{doing}: {advice}")),
            None => Self::io(doing, error),
        }
    }

    /// The failure of a file that a person named and that could not be read.
    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        let shown = path.display();
        let why = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file or directory",
            io::ErrorKind::PermissionDenied => "this user may not read it",
            io::ErrorKind::NotADirectory => "a part of the path is no directory",
            _ => return Self::Failed(format!("cannot read {shown}: {error}")),
        };
        Self::Failed(format!("cannot read {shown}: {why}"))
    }

    /// Prints the failure on standard error, once, and returns the exit code. `is_full` names the full disk or store.
    pub(super) fn report(&self, is_full: impl FnOnce() -> String) -> ExitCode {
        match self {
            Self::NoRoom => complain(&is_full()),
            Self::Usage(why) | Self::Failed(why) | Self::Interrupted(_, why) => complain(why),
            Self::Configuration(problems) => {
                for problem in problems {
                    complain(&problem.to_string());
                }
            }
            Self::Said => {}
        }
        match self {
            Self::Usage(_) | Self::Configuration(_) => ExitCode::from(USAGE),
            Self::Interrupted(signal, _) => ExitCode::from(signal.exit_code()),
            Self::Failed(_) | Self::NoRoom | Self::Said => ExitCode::FAILURE,
        }
    }
}

/// Ends a command that has printed its answer.
pub(super) fn answer(is_yes: bool) -> Result<(), Failure> {
    if is_yes { Ok(()) } else { Err(Failure::Said) }
}

/// Writes one line for the person, escaped. The reader may be gone.
pub(super) fn complain(text: &str) {
    use io::Write as _;
    let _ = writeln!(io::stderr(), "hallpass: {}", printable(text));
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Setup(why) => Self::Usage(why),
            StartError::Failed(_) | StartError::Bind { .. } => Self::Failed(error.to_string()),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match (&refusal, refusal.setting()) {
            (Refusal::NoSpace, _) => Self::NoRoom,
            (_, Some(setting)) => Self::Failed(format!("{refusal} ({setting})")),
            (_, None) => Self::Failed(refusal.to_string()),
        }
    }
}

impl From<KeyringFileError> for Failure {
    fn from(error: KeyringFileError) -> Self {
        use std::error::Error as _;
        let why = match (&error, error.source()) {
            (KeyringFileError::Io { path, .. }, Some(cause)) => {
                let directory = path.parent().unwrap_or(path);
                let advice = disk::advice(directory, &error);
                format!("{error}: {}", advice.unwrap_or_else(|| cause.to_string()))
            }
            _ => error.to_string(),
        };
        match error {
            KeyringFileError::Io { .. }
            | KeyringFileError::Unknown { .. }
            | KeyringFileError::Retired { .. }
            | KeyringFileError::Active { .. } => Self::Failed(why),
            KeyringFileError::Exposed { .. }
            | KeyringFileError::NotAKeyringFile { .. }
            | KeyringFileError::Syntax { .. }
            | KeyringFileError::NotKeys
            | KeyringFileError::Key { .. }
            | KeyringFileError::Weak { .. }
            | KeyringFileError::Keyring(_) => Self::Usage(why),
        }
    }
}
