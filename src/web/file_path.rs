//! The path of one file, as the byte route and the Aitronos dialect have it, and that of a ticket. Segments are
//! matched as they were sent: nothing is decoded, folded or normalised.

use std::fmt;

use memchr::memchr;

/// The head of every path that names an organization.
const ORGANIZATIONS: &str = "/v1/organizations/";

/// The two segments that name a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilePath<'a> {
    /// The organization's segment.
    pub organization: &'a str,
    /// The file's segment.
    pub file: &'a str,
}

impl<'a> FilePath<'a> {
    /// Reads what follows an organization's segment, `files/{file}` and perhaps `/` and more: the file, and
    /// what stands behind that slash.
    pub(super) fn split(organization: &'a str, rest: &'a str) -> Option<(Self, Option<&'a str>)> {
        let rest = rest.strip_prefix("files/")?;
        let (file, tail) = cut(rest).map_or((rest, None), |(file, tail)| (file, Some(tail)));
        (!file.is_empty()).then_some((Self { organization, file }, tail))
    }
}

/// The segments that name a ticket. The name behind them says nothing, but must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TicketPath<'a> {
    /// The organization's segment.
    pub organization: &'a str,
    /// The ticket's segment. It is a credential.
    pub ticket: &'a str,
    /// The file's name, for programs that save a file under the last segment.
    pub name: &'a str,
}

/// Shows nothing of the ticket.
impl fmt::Debug for TicketPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketPath(..)")
    }
}

impl<'a> TicketPath<'a> {
    /// Reads what follows an organization's segment.
    pub(super) fn split(organization: &'a str, rest: &'a str) -> Option<Self> {
        let (ticket, name) = rest.strip_prefix("tickets/")?.split_once('/')?;
        (!name.contains('/')).then_some(Self {
            organization,
            ticket,
            name,
        })
    }
}

/// Reads `/v1/organizations/{organization}/`, and what follows.
pub(super) fn organization_of(path: &str) -> Option<(&str, &str)> {
    let (organization, rest) = cut(path.strip_prefix(ORGANIZATIONS)?)?;
    (!organization.is_empty()).then_some((organization, rest))
}

/// Returns what stands before and behind the first `/`. Every request comes by here.
fn cut(path: &str) -> Option<(&str, &str)> {
    let at = memchr(b'/', path.as_bytes())?;
    Some((path.get(..at)?, path.get(at + 1..)?))
}
