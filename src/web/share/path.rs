//! The paths of shares: the page, and what lies below it.
//!
//! ```text
//! /s/{code}                              the page
//! /s/{code}/open                         the password, or a start
//! /s/{code}/files/{n}/{name}             the bytes of a file, of a share without a password and without a count
//! /s/{code}/qr.svg                       the address of the page as a QR code
//! /s/{code}/tickets/{ticket}/{name}      the bytes of a download that was started
//! ```

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::model::address::is_name_in_path;

/// All but the unreserved characters of RFC 3986, §2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The path of a share's page, or of something below it. Borrowed parts are path segments as sent: not decoded, and not
/// yet a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharePath<'a> {
    /// The code's segment. It is a credential.
    pub code: &'a str,
    /// What is asked for.
    pub part: SharePart<'a>,
}

/// The parts that a share's paths lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharePart<'a> {
    /// Its page.
    Page,
    /// The place that its forms are posted to.
    Open,
    /// The bytes of a file: its number's segment. The name behind it says nothing, but is there.
    File(&'a str),
    /// The address of its page as a QR code.
    Qr,
    /// The bytes of a download that was started: the ticket's segment, which is a credential.
    Ticket(&'a str),
}

impl<'a> SharePath<'a> {
    /// Reads a path.
    pub fn of_path(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/s/")?;
        let (code, tail) = match rest.split_once('/') {
            None => (rest, None),
            Some((code, tail)) => (code, Some(tail)),
        };
        let part = match tail {
            None => SharePart::Page,
            Some("open") => SharePart::Open,
            Some("qr.svg") => SharePart::Qr,
            Some(tail) => {
                let (kind, rest) = tail.split_once('/')?;
                let (segment, name) = rest.split_once('/')?;
                match kind {
                    "files" if is_name_in_path(name) => SharePart::File(segment),
                    "tickets" if !name.contains('/') && !name.is_empty() => {
                        SharePart::Ticket(segment)
                    }
                    _ => return None,
                }
            }
        };
        (!code.is_empty()).then_some(Self { code, part })
    }
}

/// Returns the path of a share's page as browsers have it: `mount` is what `public_base_url` has before it.
pub(super) fn page(mount: &str, code: &str) -> String {
    format!("{mount}/s/{code}")
}

/// Returns the path of a ticket's bytes.
pub(super) fn ticket(mount: &str, code: &str, ticket: &str, name: &str) -> String {
    let mut path = page(mount, code);
    // A text takes whatever is written.
    let _ = write!(path, "/tickets/{ticket}/{}", encoded(name));
    path
}

/// A name as a segment of a path.
pub(super) fn encoded(name: &str) -> impl std::fmt::Display {
    utf8_percent_encode(name, RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_its_path() {
        for (path, part) in [
            ("/s/c", SharePart::Page),
            ("/s/c/open", SharePart::Open),
            ("/s/c/qr.svg", SharePart::Qr),
            ("/s/c/files/0/a%2Fb", SharePart::File("0")),
            ("/s/c/files/-1/a", SharePart::File("-1")),
            ("/s/c/tickets/t/a", SharePart::Ticket("t")),
        ] {
            let found = SharePath::of_path(path).unwrap();
            assert_eq!((found.code, found.part), ("c", part), "{path}");
        }
        for path in [
            "/s",
            "/s/",
            "/s//open",
            "/s/c/",
            "/s/c/open/",
            "/s/c/opens",
            "/s/c/qr.png",
            "/s/c/files",
            "/s/c/files/0",
            "/s/c/files/0/",
            "/s/c/files/0/.",
            "/s/c/files/0/..",
            "/s/c/files/0/a/b",
            "/s/c/tickets/t",
            "/s/c/tickets/t/",
            "/s/c/tickets/t/a/b",
            "/s/c/x/y/z",
            "/S/c",
            "s/c",
            "//s/c",
            "/v1/s/c",
        ] {
            assert_eq!(SharePath::of_path(path), None, "{path}");
        }
    }

    #[test]
    fn names_are_one_segment() {
        let path = ticket("/base", "c", "k.1.r.m", "a/b ?#%é.txt");
        assert_eq!(
            path,
            "/base/s/c/tickets/k.1.r.m/a%2Fb%20%3F%23%25%C3%A9.txt"
        );
        assert_eq!(page("", "c"), "/s/c");
    }
}
