//! The calls of the Qoder API, by their paths.

use crate::telemetry::metrics::Route;

/// The roots of the API: the one in the vendor's prose, and the one in its samples.
const ROOTS: [&str; 2] = ["/v1/files", "/api/v1/cloud/files"];

/// A call of this API, with the segment of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QoderCall<'a> {
    /// `…/files/{file}/content`: mint and redirect.
    Content(&'a str),
    /// `…/files/{file}`: retrieve and delete.
    File(&'a str),
    /// `…/files`: list and upload.
    Files,
}

impl<'a> QoderCall<'a> {
    /// The call that the path names.
    pub fn of_path(path: &'a str) -> Option<Self> {
        let rest = ROOTS.iter().find_map(|root| path.strip_prefix(root))?;
        if rest.is_empty() {
            return Some(Self::Files);
        }
        let rest = rest.strip_prefix('/')?;
        let (file, tail) = rest.split_once('/').unwrap_or((rest, ""));
        match tail {
            _ if file.is_empty() => None,
            "content" => Some(Self::Content(file)),
            "" if file == rest => Some(Self::File(file)),
            _ => None,
        }
    }

    /// The methods of the call, as `Allow` lists them.
    pub const fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Content(_) => &["GET", "HEAD"],
            Self::File(_) => &["GET", "HEAD", "DELETE"],
            Self::Files => &["GET", "HEAD", "POST"],
        }
    }

    /// The kind of the call, for logs and metrics.
    pub const fn kind(&self) -> Route {
        match self {
            Self::Content(_) => Route::QoderContent,
            Self::File(_) => Route::QoderFile,
            Self::Files => Route::QoderFiles,
        }
    }

    /// The file in the path, as it was sent.
    pub const fn file(&self) -> Option<&'a str> {
        match self {
            Self::Content(file) | Self::File(file) => Some(file),
            Self::Files => None,
        }
    }
}
