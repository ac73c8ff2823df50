//! The link that a reverse proxy asks about: it sends the URL that it was asked for in a header.
//!
//! One header is configured, and no other is looked at.

use hyper::HeaderMap;
use hyper::header::HeaderName;

use super::file_path::{FilePath, TicketPath};
use super::framing::TARGET_BYTES_MAX;
use super::header::only_line;
use super::route::{Route, RouteMatch};

/// `verify.header`: the one header that a proxy says the original URL in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyHeader(HeaderName);

/// The URL that a proxy was asked for.
pub(super) enum OriginalLink<'a> {
    /// A link: the path of its file, and its query.
    Download(FilePath<'a>, &'a str),
    /// The ticket of a counted download.
    Ticket(TicketPath<'a>),
}

impl VerifyHeader {
    /// Takes a header's name.
    pub fn parse(text: &str) -> Option<Self> {
        HeaderName::from_bytes(text.as_bytes()).ok().map(Self)
    }

    /// Returns the link or the ticket in the only line of this header, as the client sent it to the proxy. `mount` is the
    /// path of `public_base_url`, which it may have or not.
    pub(super) fn link<'a>(&self, headers: &'a HeaderMap, mount: &str) -> Option<OriginalLink<'a>> {
        let url = only_line(headers, &self.0).ok()??;
        if url.len() > TARGET_BYTES_MAX || url.contains(['#', ' ', '\t']) {
            return None;
        }
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        match RouteMatch::parse(mount, path).call {
            Some(Route::Download(at)) => Some(OriginalLink::Download(at, query)),
            Some(Route::Ticket(at)) => Some(OriginalLink::Ticket(at)),
            _ => None,
        }
    }
}
