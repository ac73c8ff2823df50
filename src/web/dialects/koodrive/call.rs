//! The calls of the KooDrive API, by their paths.

use crate::telemetry::metrics::Route;

/// A call of this API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KooDriveCall {
    /// `/koodrive/ose/v1/files/download`: mint for a batch of files.
    Links,
}

impl KooDriveCall {
    /// The call that the path names.
    pub fn of_path(path: &str) -> Option<Self> {
        (path == "/koodrive/ose/v1/files/download").then_some(Self::Links)
    }

    /// The methods of the call, as `Allow` lists them.
    pub const fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Links => &["POST"],
        }
    }

    /// The kind of the call, for logs and metrics.
    pub const fn kind(self) -> Route {
        match self {
            Self::Links => Route::KoodriveLinks,
        }
    }
}
