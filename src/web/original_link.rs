//! The link that a reverse proxy asks about: it sends the URL that it was asked for in a header.
//!
//! One header is configured, and no other is looked at.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use super::file_path::FilePath;
use super::framing::TARGET_BYTES_MAX;
use super::route::{Route, RouteMatch};

/// `verify.header`: the one header that a proxy says the original URL in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyHeader(HeaderName);

/// A link in that header: where its file is, and its query.
pub(super) struct OriginalLink<'a> {
    pub(super) at: FilePath<'a>,
    pub(super) query: &'a str,
}

impl VerifyHeader {
    /// Takes a header's name.
    pub fn parse(text: &str) -> Option<Self> {
        HeaderName::from_bytes(text.as_bytes()).ok().map(Self)
    }

    /// Returns the link in the only line of this header, as the client sent it to the proxy. `mount` is the path
    /// of `public_base_url`, which it may have or not.
    pub(super) fn link<'a>(&self, headers: &'a HeaderMap, mount: &str) -> Option<OriginalLink<'a>> {
        let mut lines = headers.get_all(&self.0).iter();
        let only = lines.next().filter(|_| lines.next().is_none());
        let url = only.map(HeaderValue::to_str)?.ok()?;
        if url.len() > TARGET_BYTES_MAX || url.contains(['#', ' ', '\t']) {
            return None;
        }
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        match RouteMatch::parse(mount, path).call {
            Some(Route::Download(at)) => Some(OriginalLink { at, query }),
            _ => None,
        }
    }
}
