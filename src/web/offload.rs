//! Handing the bytes over to the proxy in front, which sends them itself.
//!
//! Hallpass answers as ever, with every header and no byte, and names the file in one header more:
//! `X-Accel-Redirect`, a path inside nginx, or `X-Sendfile`, a path on the disk. It goes on answering what
//! needs no bytes itself (304, 412, 416, HEAD), and ranges are the proxy's. The listener must then be open
//! to the proxy alone: to others an answer would be empty.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use hyper::header::{HeaderName, HeaderValue, IF_MATCH, IF_UNMODIFIED_SINCE};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

const X_ACCEL_REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");
const X_SENDFILE: HeaderName = HeaderName::from_static("x-sendfile");

/// The internal location of nginx, where none is configured.
const LOCATION: &str = "/hallpass-internal";

/// The characters that are escaped in a file's name: all but RFC 3986's unreserved ones and the slash. nginx,
/// Apache and lighttpd decode them.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// `handover.mode`: who sends the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OffloadMode {
    /// Hallpass.
    #[default]
    Stream,
    /// nginx.
    XAccelRedirect,
    /// Apache's `mod_xsendfile`, or lighttpd.
    XSendfile,
    /// The store that keeps the bytes, to which the client is sent on.
    Redirect,
}

impl OffloadMode {
    /// The words of the configuration.
    pub const WORDS: [(&str, Self); 4] = [
        ("stream", Self::Stream),
        ("x-accel-redirect", Self::XAccelRedirect),
        ("x-sendfile", Self::XSendfile),
        ("redirect", Self::Redirect),
    ];
}

/// `handover.counted`: when a counted download is spent, and so who may send its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CountedHandover {
    /// Once as many bytes were sent as the file has: Hallpass sends them itself, however others are.
    #[default]
    Streamed,
    /// As soon as it is started: its bytes may be handed over to a proxy.
    AtStart,
}

impl CountedHandover {
    /// The words of the configuration.
    pub const WORDS: [(&str, Self); 2] =
        [("streamed", Self::Streamed), ("at-start", Self::AtStart)];
}

/// The proxy offload: the header that names a file to the proxy, and the beginning of its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offload {
    header: HeaderName,
    /// The text before the path below the data directory, escaped, without a final slash.
    prefix: String,
}

impl Offload {
    /// The hand-over of this mode, if it is one. `prefix` is `handover.prefix`; `data_dir` is absolute.
    pub fn new(mode: OffloadMode, prefix: Option<&str>, data_dir: &Path) -> Option<Self> {
        let (header, usual) = match mode {
            OffloadMode::Stream | OffloadMode::Redirect => return None,
            OffloadMode::XAccelRedirect => (X_ACCEL_REDIRECT, Path::new(LOCATION)),
            OffloadMode::XSendfile => (X_SENDFILE, data_dir),
        };
        let prefix = prefix.map_or(usual, Path::new);
        Some(Self {
            header,
            prefix: escaped(prefix).trim_end_matches('/').to_owned(),
        })
    }

    /// Returns whether these are the headers of an answer that leaves the bytes to the proxy.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        headers.contains_key(&self.header)
    }

    /// The header that names the file at this path below the data directory.
    pub(super) fn header(&self, path: &Path) -> Option<(HeaderName, HeaderValue)> {
        let path = escaped(path);
        let value = HeaderValue::from_str(&format!("{}/{path}", self.prefix)).ok()?;
        Some((self.header.clone(), value))
    }
}

/// Returns whether a proxy would answer this request as Hallpass does. HEAD has no bytes to hand over, and nginx
/// would hold the conditions that must be met against a file whose tag and time it does not know.
pub(super) fn is_possible(request: &Parts) -> bool {
    let conditions = [IF_MATCH, IF_UNMODIFIED_SINCE];
    let has = |name: &HeaderName| request.headers.contains_key(name);
    request.method == Method::GET && !conditions.iter().any(has)
}

fn escaped(path: &Path) -> String {
    percent_encode(path.as_os_str().as_bytes(), ESCAPED).to_string()
}
