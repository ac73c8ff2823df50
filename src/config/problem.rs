//! Problems of a configuration, and the origin of each value.

use std::fmt;
use std::path::PathBuf;

/// The origin of a value. Displayed as a person would look for it: `file /etc/hallpass.toml`,
/// `environment HALLPASS_SERVER_LISTEN`, `flag --listen`, `default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing named it.
    Default,
    /// The configuration file at this path.
    File(PathBuf),
    /// The environment variable of this name.
    Environment(String),
    /// The flag of this name on the command line, with its dashes.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display().to_string().escape_debug()),
            Self::Environment(name) => write!(f, "environment {}", name.escape_debug()),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// An error of the configuration. It never holds the value that was given: the value may be a secret, or one that was
/// put under the wrong key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} ({origin}): {why}", key.escape_debug())]
pub struct ConfigError {
    /// The key, or `configuration file` where a whole file cannot be read.
    pub key: String,
    /// The origin of the value.
    pub origin: Origin,
    /// The rule that the value breaks, or the form that it must have.
    pub why: String,
}
