//! Takes a signed URL apart that a person pasted: each kind has one route.

use super::claims::{Claims, LinkKind as _};
use super::counted::CountedClaims;
use super::ticket::TicketAttempt;
use super::verify::Attempt;
use crate::model::address::is_name_in_path;

/// A signed URL, told by its path. Nothing proves it. It is a credential, so it has no `Debug`.
#[derive(Clone, Copy)]
pub enum SignedUrl<'a> {
    /// It opens a file's bytes.
    Download(Attempt<'a>),
    /// It starts a download that is counted.
    Counted(Attempt<'a>),
    /// It opens the bytes of a download that was started.
    Ticket(TicketAttempt<'a>),
}

/// Takes a signed URL of any kind apart. `url` is absolute or only a path; scheme, host, a fragment, whatever stands
/// before `/v1/organizations/`, and the name behind the route say nothing. `None` if the path is that of no kind.
/// Nothing is decoded or checked besides.
pub fn parse(url: &str) -> Option<SignedUrl<'_>> {
    let (path, query) = path_and_query(url)?;
    let attempt = |(organization, file)| Attempt {
        organization,
        file,
        query,
    };
    let download = of_download(path).map(|ids| SignedUrl::Download(attempt(ids)));
    let counted = || ids(path, CountedClaims::ROUTE).map(|ids| SignedUrl::Counted(attempt(ids)));
    download
        .or_else(counted)
        .or_else(|| ticket(path).map(SignedUrl::Ticket))
}

/// The address of a share's page, or of something below it. Nothing proves it. It is a credential, so it has no `Debug`.
#[derive(Clone, Copy)]
pub struct ShareUrl<'a> {
    /// The code's segment.
    pub code: &'a str,
    /// The ticket's segment, of the bytes of a download that was started.
    pub ticket: Option<&'a str>,
}

/// Takes the URL of a share apart, as [`parse`] does with those of links.
pub fn parse_share(url: &str) -> Option<ShareUrl<'_>> {
    let (path, _) = path_and_query(url)?;
    let behind = path.rsplit_once("/s/").map(|(_, behind)| behind);
    let behind = behind.or_else(|| path.strip_prefix("s/"))?;
    let (code, below) = match behind.split_once('/') {
        None => (behind, None),
        Some((code, below)) => (code, Some(below)),
    };
    let mut segments = below.into_iter().flat_map(|below| below.split('/'));
    let mut next = || segments.next();
    let ticket = match (next(), next(), next(), next()) {
        (None | Some("open" | "qr.svg"), None, ..) => None,
        (Some("files"), Some(_), Some(name), None) if is_name_in_path(name) => None,
        (Some("tickets"), ticket @ Some(_), Some(name), None) if is_name_in_path(name) => ticket,
        _ => return None,
    };
    (!code.is_empty()).then_some(ShareUrl { code, ticket })
}

/// The organization, the file and the query of a link that opens bytes, as [`parse`] gives them.
pub fn split(url: &str) -> Option<(&str, &str, &str)> {
    let (path, query) = path_and_query(url)?;
    let (organization, file) = of_download(path)?;
    Some((organization, file, query))
}

/// The path without its first slash, and the query.
fn path_and_query(url: &str) -> Option<(&str, &str)> {
    let url = url.split('#').next().unwrap_or_default();
    let (location, query) = url.split_once('?').unwrap_or((url, ""));
    let path = match location.split_once("://") {
        Some((_, host_and_path)) => host_and_path.split_once('/')?.1,
        None => location.strip_prefix('/')?,
    };
    Some((path, query))
}

/// The organization and the file in the path of a download, which may end with a name.
fn of_download(path: &str) -> Option<(&str, &str)> {
    let unnamed = || {
        let (rest, name) = path.rsplit_once('/')?;
        is_name_in_path(name)
            .then(|| ids(rest, Claims::ROUTE))
            .flatten()
    };
    ids(path, Claims::ROUTE).or_else(unnamed)
}

/// The organization and the file in a path that ends with this route.
fn ids<'a>(path: &'a str, route: &str) -> Option<(&'a str, &'a str)> {
    let mut segments = path.rsplit('/');
    let mut next = || segments.next();
    let (last, file, files) = (next()?, next()?, next()?);
    let (organization, organizations, version) = (next()?, next()?, next()?);
    let is_route = [version, organizations, files, last] == ["v1", "organizations", "files", route];
    is_route.then_some((organization, file))
}

/// The ticket in a path that ends with one and a name.
fn ticket(path: &str) -> Option<TicketAttempt<'_>> {
    let mut segments = path.rsplit('/');
    let mut next = || segments.next();
    let (name, ticket, tickets) = (next()?, next()?, next()?);
    let (organization, organizations, version) = (next()?, next()?, next()?);
    let is_route = [version, organizations, tickets] == ["v1", "organizations", "tickets"];
    (is_route && is_name_in_path(name)).then_some(TicketAttempt {
        organization,
        ticket,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_host_and_prefix_say_nothing() {
        for before in [
            "",
            "http://127.0.0.1:8080",
            "https://files.example.com",
            "https://files.example.com/a/prefix",
            "/prefix",
            "http://user@[::1]:8080",
        ] {
            let url = format!("{before}/v1/organizations/o/files/f/download?a=b://c/d?e#f");
            assert_eq!(split(&url), Some(("o", "f", "a=b://c/d?e")), "{url}");
        }
        for name in ["a.txt", "%2e%2e", "%D0%BE%2Fx", "download", "a;b=c", "..."] {
            let url = format!("https://h/p/v1/organizations/o/files/f/download/{name}?a=b");
            assert_eq!(split(&url), Some(("o", "f", "a=b")), "{url}");
        }
        let bare = "/v1/organizations/o/files/f/download";
        assert_eq!(split(bare), Some(("o", "f", "")));
    }

    /// The kind of a URL, and its parts.
    fn parts(url: &str) -> Option<(&'static str, [&str; 3])> {
        Some(match parse(url)? {
            SignedUrl::Download(link) => ("download", [link.organization, link.file, link.query]),
            SignedUrl::Counted(link) => ("counted", [link.organization, link.file, link.query]),
            SignedUrl::Ticket(ticket) => ("ticket", [ticket.organization, ticket.ticket, ""]),
        })
    }

    #[test]
    fn the_path_of_a_url_names_its_kind() {
        let before = "https://h/p/v1/organizations/o";
        let (link, ticket) = (["o", "f", "a=b"], ["o", "k.1.r.m", ""]);
        for (url, expected) in [
            ("/files/f/download?a=b", ("download", link)),
            ("/files/f/download/redeem?a=b", ("download", link)),
            ("/files/f/redeem?a=b#c", ("counted", link)),
            ("/tickets/k.1.r.m/a.txt", ("ticket", ticket)),
            ("/tickets/k.1.r.m/a.txt?utm=1", ("ticket", ticket)),
            ("/tickets/k.1.r.m/%2f%E2%80%AE", ("ticket", ticket)),
            ("/tickets/k.1.r.m/download", ("ticket", ticket)),
        ] {
            assert_eq!(parts(&format!("{before}{url}")), Some(expected), "{url}");
        }
        for none in [
            "/files/f/redeem/",
            "/files/f/redeem/a.txt?a=b",
            "/f/redeem?a=b",
            "/tickets/k.1.r.m",
            "/tickets/k.1.r.m/",
            "/tickets/k.1.r.m/.",
            "/tickets/k.1.r.m/..",
            "/tickets/k.1.r.m/a/b",
            "/ticket/k.1.r.m/a",
        ] {
            assert_eq!(parts(&format!("{before}{none}")), None, "{none}");
        }
    }

    #[test]
    fn the_url_of_a_share_has_its_code_and_perhaps_a_ticket() {
        for before in ["", "http://h", "https://h/p", "/p", "https://h/s/x/p"] {
            for (path, ticket) in [
                ("/s/c", None),
                ("/s/c?page=2#x", None),
                ("/s/c/open", None),
                ("/s/c/qr.svg", None),
                ("/s/c/files/1/a%2fb", None),
                ("/s/c/tickets/k.1.r.m/a.zip", Some("k.1.r.m")),
            ] {
                let url = format!("{before}{path}");
                let found = parse_share(&url).map(|share| (share.code, share.ticket));
                assert_eq!(found, Some(("c", ticket)), "{url}");
                assert!(parse(&url).is_none(), "{url}");
            }
        }
        for none in [
            "/s",
            "/s/",
            "s/c",
            "https://s/c",
            "/s/c/",
            "/s/c/open/",
            "/s/c/files/1",
            "/s/c/files/1/..",
            "/s/c/files/1/a/b",
            "/s/c/tickets/k.1.r.m",
            "/s/c/tickets/k.1.r.m/",
            "/S/c",
            "/v1/organizations/o/files/f/download",
        ] {
            assert!(parse_share(none).is_none(), "{none}");
        }
    }

    #[test]
    fn other_paths_are_no_download() {
        for url in [
            "",
            "/",
            "https://v1/organizations/o/files/f/download",
            "v1/organizations/o/files/f/download",
            "/v2/organizations/o/files/f/download",
            "/v1/organizations/o/files/f/download/",
            "/v1/organizations/o/files/f/download/.",
            "/v1/organizations/o/files/f/download/..",
            "/v1/organizations/o/files/f/download//a",
            "/v1/organizations/o/files/f/download/a/",
            "/v1/organizations/o/files/f/download/a/b",
            "/v1/organizations/o/files/f/content/a",
            "/v1/organizations/o/files/f/content",
            "/v1/organizations/o/f/download",
            "/v1/organizations/o/files/f/g/download",
            "?/v1/organizations/o/files/f/download",
            "https://example.com",
        ] {
            assert_eq!(split(url), None, "{url}");
        }
    }
}
