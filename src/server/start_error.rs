//! The errors on which a gateway or a command does not start.

use std::io;
use std::path::Path;

use super::disk;
use crate::config::Listen;
use crate::gateway::refusal::with_causes;

/// An error that keeps the program from starting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The installation or its configuration is not as it must be; a person has to mend it.
    #[error("{0}")]
    Setup(String),
    /// Something that should have worked did not.
    #[error("{0}")]
    Failed(String),
    /// A listener could not be bound.
    #[error("cannot listen on {at}: {}", why_not(.source))]
    Bind {
        /// The address, or the Unix socket.
        at: Listen,
        /// The cause.
        source: io::Error,
    },
}

impl StartError {
    pub(super) fn failed(doing: &str, error: impl std::error::Error) -> Self {
        Self::Failed(format!("{doing}: {}", with_causes(&error)))
    }

    /// Returns the error of an operation on the data directory, with what a person can do about it.
    pub(super) fn in_directory(
        doing: &str,
        directory: &Path,
        error: impl std::error::Error + 'static,
    ) -> Self {
        match disk::advice(directory, &error) {
            Some(advice) => Self::Failed(format!("{doing}: {advice}")),
            None => Self::failed(doing, error),
        }
    }

    pub(super) fn setup(doing: &str, error: impl std::error::Error) -> Self {
        Self::Setup(format!("{doing}: {}", with_causes(&error)))
    }
}

/// Returns the reason why a listener could not be bound, and what a person can do about it.
fn why_not(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "something else listens there: stop it, or name another address (--listen, or server.listen)"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: name one of its own, or 0.0.0.0 for all (--listen, or server.listen)"
        }
        io::ErrorKind::PermissionDenied => {
            "this user may not: a port below 1024 needs the capability CAP_NET_BIND_SERVICE, and a Unix socket a \
             directory that this user may write to"
        }
        io::ErrorKind::NotFound => "the directory of the socket is not there: make it first",
        io::ErrorKind::AlreadyExists => {
            "a file that is no socket is in its way: name another path, or move the file away"
        }
        _ => return error.to_string(),
    };
    advice.into()
}
