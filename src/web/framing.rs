//! The checks that HTTP demands of a request's head before anything in it is believed (RFC 9112, §3.2 and §6.1;
//! RFC 9113, §8.3.1).
//! A proxy may read what is wrong here in another way than we do, and then we would answer a request that
//! it never saw.

use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::header::{HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, Version};

use super::problem::Problem;

/// The longest request target, in bytes. The longest link, its name encoded twice over, is under half of it.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;

/// The mark of a request whose target came with a fragment, which no request target has (RFC 9112, §3.2). The HTTP
/// library takes it off, so the connection says it.
#[derive(Clone, Copy, Debug)]
pub struct TargetHasFragment;

/// Refuses a head with a `Host` that is missing, doubled or malformed, with any `Transfer-Encoding`
/// other than `chunked` alone, or whose target is too long, no path, with a fragment, or a URL of a malformed authority. In HTTP/2 the
/// `:authority` takes the place of the `Host`; one that is there beside it must be the same.
pub(super) fn check(request: &Parts) -> Result<(), Problem> {
    check_coding(&request.headers)?;
    check_host(request)?;
    check_target(request)?;
    let target = request.uri.path_and_query();
    match target.map_or(0, |target| target.as_str().len()) {
        0..=TARGET_BYTES_MAX => Ok(()),
        _ => Err(Problem::TargetTooLong),
    }
}

/// `*` is for OPTIONS and a host alone for CONNECT, which is no method of ours (RFC 9112, §3.2).
fn check_target(request: &Parts) -> Result<(), Problem> {
    if request.extensions.get::<TargetHasFragment>().is_some() {
        return Err(Problem::BadHead("its target has a fragment"));
    }
    let path = request.uri.path();
    if path.starts_with('/') || (path == "*" && request.method == Method::OPTIONS) {
        Ok(())
    } else {
        Err(Problem::BadHead("its target is no path"))
    }
}

/// The HTTP library takes off the last `chunked` and hands out what is below it as if it were the bytes.
fn check_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings: Vec<&str> = Vec::new();
    for line in headers.get_all(TRANSFER_ENCODING) {
        let line = line.to_str().map_err(|_| Problem::UnknownCoding)?;
        codings.extend(
            line.split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty()),
        );
    }
    let is_chunked = |coding: &&str| coding.eq_ignore_ascii_case("chunked");
    match codings.split_last() {
        None => Ok(()),
        Some((last, _)) if !is_chunked(last) => {
            Err(Problem::BadHead("its last transfer coding is not chunked"))
        }
        Some((_, others)) if others.iter().any(is_chunked) => {
            Err(Problem::BadHead("it is chunked more than once"))
        }
        Some((_, [])) => Ok(()),
        Some(_) => Err(Problem::UnknownCoding),
    }
}

fn check_host(request: &Parts) -> Result<(), Problem> {
    let mut lines = request.headers.get_all(HOST).iter();
    let line = match (lines.next(), lines.next()) {
        (first, None) if request.version == Version::HTTP_2 => {
            return check_authority(request, first);
        }
        (None, _) if request.version >= Version::HTTP_11 => {
            return Err(Problem::BadHead("it has no Host"));
        }
        (line, None) => line,
        (_, Some(_)) => return Err(Problem::BadHead("it has more than one Host")),
    };
    if line.is_some_and(|line| !line.to_str().is_ok_and(is_host)) {
        return Err(Problem::BadHead("its Host is malformed"));
    }
    // The authority of a target that is a whole URL counts instead of the Host (RFC 9112, §3.2.2).
    match request.uri.authority() {
        Some(authority) if !is_host(authority.as_str()) => {
            Err(Problem::BadHead("the authority of its target is malformed"))
        }
        _ => Ok(()),
    }
}

fn check_authority(request: &Parts, host: Option<&HeaderValue>) -> Result<(), Problem> {
    let authority = request.uri.authority().map(Authority::as_str);
    let host = host.map(|line| line.to_str().unwrap_or_default());
    match (authority, host) {
        (None, None) => Err(Problem::BadHead("it has no :authority")),
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            Err(Problem::BadHead("its Host is another than its :authority"))
        }
        (Some(one), _) | (None, Some(one)) if is_host(one) => Ok(()),
        _ => Err(Problem::BadHead("its :authority is malformed")),
    }
}

/// `host [ ":" port ]` (RFC 9110, §7.2), and nobody's name before it.
fn is_host(text: &str) -> bool {
    if is_plain_host(text) {
        return true;
    }
    let Ok(authority) = text.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let port = text.strip_prefix(host);
    let is_literal = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    let literal = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    !host.is_empty()
        && literal.map_or_else(|| is_name_or_ipv4(host), is_literal)
        && port.is_some_and(|rest| rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

/// A name or an IPv4 address, with a port perhaps: what nearly every request has, told without parsing.
fn is_plain_host(text: &str) -> bool {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() | (byte == b'-') | (byte == b'.');
    // Every byte is looked at, which many are at once.
    !host.is_empty()
        && host.bytes().fold(true, |all, byte| all & is_plain(byte))
        && is_port(port)
        && is_name_or_ipv4(host)
}

/// A number of 16 bits, or nothing.
fn is_port(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.is_empty() || (digits && text.parse::<u16>().is_ok())
}

/// Returns whether a host that ends in a number is an IPv4 address as RFC 3986, §3.2.2 writes it. Browsers and system
/// libraries read other spellings (`017700000001`, `0x7f.1`) as addresses, too: a name here would be another there.
///
/// A final dot changes nothing of that (WHATWG URL, "ends in a number checker").
fn is_name_or_ipv4(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or(host);
    if !last.starts_with(|c: char| c.is_ascii_digit()) {
        return true;
    }
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    };
    !is_number || host.parse::<Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn checked(version: Version, lines: &[(&str, &str)]) -> Result<(), &'static str> {
        let mut request = Request::builder().version(version);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        check(&parts).map_err(|problem| problem.label())
    }

    #[test]
    fn a_target_is_a_path() {
        let checked = |method: &str, target: &str| {
            let request = Request::builder().method(method).uri(target);
            let (parts, ()) = request.body(()).unwrap().into_parts();
            check_target(&parts).map_err(|problem| problem.label())
        };
        for (method, good) in [
            ("GET", "/"),
            ("GET", "/a?b"),
            ("GET", "http://x/a"),
            ("GET", "http://x"),
            ("OPTIONS", "*"),
        ] {
            assert_eq!(checked(method, good), Ok(()), "{good}");
        }
        for (method, bad) in [("GET", "*"), ("GET", "foo"), ("CONNECT", "a:80")] {
            assert_eq!(checked(method, bad), Err("bad_head"), "{bad}");
        }
    }

    #[test]
    fn the_authority_of_a_whole_url_is_one_and_counts_instead_of_the_host() {
        let checked = |target: &str, version, host: Option<&str>| {
            let mut request = Request::builder().version(version).uri(target);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            check(&parts).map_err(|problem| problem.label())
        };
        let versions = [Version::HTTP_10, Version::HTTP_11];
        for authority in ["a", "a.example:81", "[::1]:81", "10.0.0.1:81"] {
            for version in versions {
                let target = format!("http://{authority}/a");
                assert_eq!(checked(&target, version, Some("b")), Ok(()), "{authority}");
            }
        }
        for authority in [
            "user@a",
            "a:80x",
            "a:80:80",
            "a::80",
            "[4712::abcd::]",
            "4713::abcd:8001",
            "0x7f.1",
        ] {
            let target = format!("http://{authority}/a");
            if target.parse::<hyper::Uri>().is_err() {
                // The HTTP library refuses it by itself.
                continue;
            }
            for version in versions {
                assert_eq!(
                    checked(&target, version, Some("b")),
                    Err("bad_head"),
                    "{authority}"
                );
            }
        }
        let good = "http://a/a";
        assert_eq!(checked(good, Version::HTTP_10, None), Ok(()));
        // It is malformed beside a good authority, too (RFC 9112, §3.2).
        assert_eq!(checked(good, Version::HTTP_11, None), Err("bad_head"));
        assert_eq!(
            checked(good, Version::HTTP_11, Some("b b")),
            Err("bad_head")
        );
    }

    #[test]
    fn chunked_is_the_only_coding_and_is_there_once() {
        let coded = |lines: &[&'static str]| {
            let mut all = vec![("host", "x")];
            all.extend(lines.iter().map(|line| ("transfer-encoding", *line)));
            checked(Version::HTTP_11, &all)
        };
        for good in [&[][..], &["chunked"], &["CHUNKED"], &[" , chunked,"]] {
            assert_eq!(coded(good), Ok(()), "{good:?}");
        }
        for bad in [
            &["chunked, chunked"][..],
            &["chunked", "Chunked"],
            &["gzip, chunked, chunked"],
            &["chunked, gzip"],
            &["identity"],
            &["chunked;q=1"],
            &["x chunked"],
        ] {
            assert_eq!(coded(bad), Err("bad_head"), "{bad:?}");
        }
        for other in [
            &["gzip, chunked"][..],
            &["gzip", "chunked"],
            &["identity, chunked"],
        ] {
            assert_eq!(coded(other), Err("unknown_coding"), "{other:?}");
        }
    }

    #[test]
    fn the_authority_takes_the_place_of_the_host() {
        let checked = |authority: &str, hosts: &[&str]| {
            let mut request = Request::builder().version(Version::HTTP_2);
            request = match authority {
                "" => request.uri("/"),
                _ => request.uri(format!("https://{authority}/")),
            };
            for host in hosts {
                request = request.header("host", *host);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            check(&parts).map_err(|problem| problem.label())
        };
        for (authority, hosts) in [
            ("a.example", &[][..]),
            ("a.example:443", &[]),
            ("[::1]:8443", &["[::1]:8443"]),
            ("a.example", &["A.example"]),
            ("", &["a.example:443"]),
        ] {
            assert_eq!(checked(authority, hosts), Ok(()), "{authority} {hosts:?}");
        }
        for (authority, hosts) in [
            ("", &[][..]),
            ("", &[""]),
            ("", &["a b"]),
            ("", &["a", "a"]),
            ("a", &["b"]),
            ("a", &["a:80"]),
            ("a", &["a", "a"]),
            ("user@a", &[]),
            ("[x]", &[]),
            ("127.1", &[]),
        ] {
            assert_eq!(
                checked(authority, hosts),
                Err("bad_head"),
                "{authority} {hosts:?}"
            );
        }
    }

    #[test]
    fn the_host_is_there_once_and_is_one() {
        for good in [
            "x",
            "a.example:80",
            "a_b",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:8080",
            "x:",
            "a.1b",
            "1.a",
            "1a",
            "a.1b.",
            "127.0.0.1.",
        ] {
            assert_eq!(
                checked(Version::HTTP_11, &[("host", good)]),
                Ok(()),
                "{good}"
            );
        }
        for bad in [
            "",
            " ",
            ":80",
            "a b",
            "user@a",
            "@a",
            "a/b",
            "http://a",
            "a:b",
            "a:1:2",
            "a:65536",
            "a:+1",
            "a?b",
            "a#b",
            "[::1",
            "[x]",
            "[::1]x",
            "::1",
            "a\tb",
            "1",
            "127.1",
            "127.0.0.1.1",
            "127.01.0.1",
            "017700000001",
            "0x7f.1",
            "0X7F000001",
            "a.1",
            "256.0.0.1:80",
            "a_b.1",
            "a.1.",
            "127.1.",
            "%3127.0.0.1",
        ] {
            assert_eq!(
                checked(Version::HTTP_11, &[("host", bad)]),
                Err("bad_head"),
                "{bad}"
            );
            assert_eq!(
                checked(Version::HTTP_10, &[("host", bad)]),
                Err("bad_head"),
                "{bad}"
            );
        }
        let twice = [("host", "x"), ("host", "x")];
        assert_eq!(checked(Version::HTTP_11, &twice), Err("bad_head"));
        assert_eq!(checked(Version::HTTP_10, &twice), Err("bad_head"));
        assert_eq!(checked(Version::HTTP_11, &[]), Err("bad_head"));
        assert_eq!(checked(Version::HTTP_10, &[]), Ok(()));
    }
}
