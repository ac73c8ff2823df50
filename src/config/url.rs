//! The address under which clients reach the gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest public base URL, in bytes: it is repeated in every link, and links end up in mails.
pub const PUBLIC_BASE_URL_BYTES_MAX: usize = 512;

/// The prefix of every minted link: `http://` or `https://`, a host, and optionally a port and a path. It has no user,
/// query, fragment or final slash, and nothing in it needs escaping anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicBaseUrl {
    text: String,
    path_start: usize,
}

impl PublicBaseUrl {
    /// Reads the URL and drops slashes at its end. The error says the form that it must have.
    ///
    /// # Errors
    /// The form that it must have.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > PUBLIC_BASE_URL_BYTES_MAX {
            return Err("must be at most 512 bytes long");
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => (scheme, rest.trim_end_matches('/')),
            _ => return Err("must begin with http:// or https://"),
        };
        if rest.contains(['?', '#', '@']) {
            return Err("must have no user, query or fragment");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if !is_authority(authority) {
            return Err("must name a host, and a port only as a number from 1 to 65535");
        }
        if !is_plain_path(path) {
            return Err(
                "must have a path of plain names: A-Z, a-z, 0-9, and . _ ~ - between slashes",
            );
        }
        Ok(Self::new(format!("{scheme}://{authority}"), path))
    }

    /// The URL of a listener, given the address it was bound to and whether TLS is spoken there. The wildcard
    /// address, which no client can connect to, becomes 127.0.0.1: such links open on this machine only, which
    /// is worth a warning.
    pub fn of_listener(bound: SocketAddr, is_tls: bool) -> Self {
        let ip = match bound.ip() {
            wildcard if wildcard.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            ip => ip,
        };
        let scheme = if is_tls { "https" } else { "http" };
        let address = SocketAddr::new(ip, bound.port());
        Self::new(format!("{scheme}://{address}"), "")
    }

    /// The whole URL, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path: empty, or `/` and one or more names. Requests may come with or without it.
    #[expect(
        clippy::expect_used,
        reason = "`path_start` is set where the path begins"
    )]
    pub fn path(&self) -> &str {
        self.text
            .get(self.path_start..)
            .expect("a place in the URL")
    }

    fn new(mut text: String, path: &str) -> Self {
        let path_start = text.len();
        text.push_str(path);
        Self { text, path_start }
    }
}

/// Returns whether this is a host, and perhaps a port.
pub(super) fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        // The last colon of a bare `[::1]` belongs to the host.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let good_port = port.is_none_or(|port| {
        port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    good_port && is_host(host)
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => host.split('.').all(|label| {
            let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            !label.is_empty() && label.bytes().all(good)
        }),
    }
}

/// Returns whether a path is empty, or names without anything that needs escaping, each after a slash.
pub(super) fn is_plain_path(path: &str) -> bool {
    path.split('/').skip(1).all(is_segment)
}

fn is_segment(segment: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    !matches!(segment, "" | "." | "..") && segment.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_urls_are_kept_without_their_final_slash() {
        let cases = [
            ("http://a", "http://a", ""),
            (
                "https://files.example.com/",
                "https://files.example.com",
                "",
            ),
            (
                "https://a.b:8443/x/y_z//",
                "https://a.b:8443/x/y_z",
                "/x/y_z",
            ),
            ("http://[::1]", "http://[::1]", ""),
            (
                "http://[2001:db8::1]:80/~a",
                "http://[2001:db8::1]:80/~a",
                "/~a",
            ),
        ];
        for (text, kept, path) in cases {
            let url = PublicBaseUrl::parse(text).unwrap();
            assert_eq!((url.as_str(), url.path()), (kept, path), "{text}");
        }
    }

    #[test]
    fn anything_that_could_break_out_of_a_link_is_refused() {
        let long = format!("http://{}", "a".repeat(PUBLIC_BASE_URL_BYTES_MAX));
        let bad = [
            "",
            "/",
            "http",
            "http:/a",
            "ftp://a",
            "HTTP://a",
            "//a",
            "http://",
            "http:///x",
            "http://a?b",
            "http://a#b",
            "http://u:p@a",
            "http://a:0",
            "http://a:65536",
            "http://a:+80",
            "http://a:",
            "http://:80",
            "http://a b",
            "http://a\n",
            "http://ä",
            "http://a..b",
            "http://a.",
            "http://[::1",
            "http://::1",
            "http://[::1]x",
            "http://[a]",
            "http://a//b",
            "http://a/../b",
            "http://a/.",
            "http://a/%2e",
            "http://a/\"",
            "http://a/b;c",
            "http://a\\b",
            "http://a/b\\c",
            &long,
        ];
        for text in bad {
            assert!(PublicBaseUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_listener_s_url_never_names_the_wildcard() {
        let cases = [
            ("127.0.0.1:8080", false, "http://127.0.0.1:8080"),
            ("127.0.0.1:8443", true, "https://127.0.0.1:8443"),
            ("0.0.0.0:81", false, "http://127.0.0.1:81"),
            ("[::]:81", true, "https://127.0.0.1:81"),
            ("[::1]:81", false, "http://[::1]:81"),
            ("[fe80::1%3]:81", false, "http://[fe80::1]:81"),
        ];
        for (bound, is_tls, url) in cases {
            let of = PublicBaseUrl::of_listener(bound.parse().unwrap(), is_tls);
            assert_eq!(of.as_str(), url);
            assert_eq!(PublicBaseUrl::parse(url), Ok(of));
        }
    }
}
