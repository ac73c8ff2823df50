//! Why a command ends with another exit code than 0.

use std::io;
use std::process::ExitCode;

use super::output::printable;
use crate::config::Problem;
use crate::config::keyring_file::KeyringFileError;
use crate::gateway::refusal::Refusal;
use crate::server::StartError;

/// The exit code of what a person has to mend first: a wrong flag, a wrong configuration.
const USAGE: u8 = 2;

/// Why a command did not do, or not do all, of what it was told.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command line, the configuration or the installation is not as it must be. Exit code 2.
    Usage(String),
    /// The configuration is not as it must be: everything that is wrong with it. Exit code 2.
    Configuration(Vec<Problem>),
    /// It was tried, and did not work. Exit code 1.
    Failed(String),
    /// The answer is no, and all was said already. Exit code 1.
    Said,
}

impl Failure {
    /// Something went wrong while doing `doing`.
    pub(super) fn io(doing: impl std::fmt::Display, error: &io::Error) -> Self {
        Self::Failed(format!("{doing}: {error}"))
    }

    /// Says it on standard error, once, and gives the exit code.
    pub(super) fn report(&self) -> ExitCode {
        match self {
            Self::Usage(why) => {
                complain(why);
                ExitCode::from(USAGE)
            }
            Self::Configuration(problems) => {
                for problem in problems {
                    complain(&problem.to_string());
                }
                ExitCode::from(USAGE)
            }
            Self::Failed(why) => {
                complain(why);
                ExitCode::FAILURE
            }
            Self::Said => ExitCode::FAILURE,
        }
    }
}

/// Writes one line for the person, whatever is in it. Nobody may be listening.
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
        Self::Failed(refusal.to_string())
    }
}

impl From<KeyringFileError> for Failure {
    fn from(error: KeyringFileError) -> Self {
        use std::error::Error as _;
        let why = match error.source() {
            Some(cause) if matches!(error, KeyringFileError::Io { .. }) => {
                format!("{error}: {cause}")
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
