//! The client's address, where proxies stand between. Only an `ip` claim is checked against it.
//!
//! Every peer that reaches a listener can write any header. So `X-Forwarded-For` and `Forwarded` (RFC 7239) are
//! read only where the peer itself is trusted, and from the right, where the nearest proxy wrote: the
//! first address that is not a trusted proxy's own is the client. The text left of it is the client's
//! own word. A header that could be read in two ways makes the client unknown, and no `ip` claim lets an
//! unknown client through.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use hyper::HeaderMap;

use super::header::only_line;
use crate::model::network::Network;

const X_FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED: &str = "forwarded";

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A machine.
    Address(IpAddr),
    /// A process of this machine, on a Unix socket.
    UnixSocket,
    /// Nobody knows: a proxy announced the connection without saying whose it is.
    Unknown,
}

/// `server.trusted_proxies`: the peers whose word on a client's address counts. By default nobody's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Machines.
    pub networks: Vec<Network>,
    /// True if every peer on a Unix socket is trusted.
    pub unix_sockets: bool,
}

impl TrustedProxies {
    /// Returns whether no peer is trusted.
    pub const fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix_sockets
    }

    /// Returns whether this peer's word on a client's address counts.
    pub fn trusts(&self, peer: Peer) -> bool {
        match peer {
            Peer::Address(address) => self.trusts_address(address),
            Peer::UnixSocket => self.unix_sockets,
            Peer::Unknown => false,
        }
    }

    /// The address of the client that sent these headers, by way of `peer`, if it is known.
    ///
    /// Of a peer that is not trusted it is the peer's own. Where every hop is trusted, it is the farthest
    /// one. It is unknown where a header is there on two lines, where both headers are there, and where
    /// the first hop that counts is no plain address.
    pub fn client(&self, peer: Peer, headers: &HeaderMap) -> Option<IpAddr> {
        let own = match peer {
            Peer::Address(address) => Some(address.to_canonical()),
            Peer::UnixSocket | Peer::Unknown => None,
        };
        if !self.trusts(peer) {
            return own;
        }
        match (
            only_line(headers, X_FORWARDED_FOR).ok()?,
            only_line(headers, FORWARDED).ok()?,
        ) {
            (None, None) => own,
            (Some(list), None) => self.first_untrusted(list.rsplit(',').map(address)),
            (None, Some(list)) => {
                let hops = forwarded(list)?;
                self.first_untrusted(hops.into_iter().rev())
            }
            // Most proxies write one of the two and pass the other on as the client made it.
            (Some(_), Some(_)) => None,
        }
    }

    /// Returns the client's address where it is its own, and whether a trusted proxy named it. `None` where a proxy that
    /// is trusted says nothing of its client, or names another trusted one: that address is everybody's.
    pub fn own(
        &self,
        peer: Peer,
        headers: &HeaderMap,
        client: Option<IpAddr>,
    ) -> Option<(IpAddr, bool)> {
        let is_from_proxy = self.trusts(peer);
        let says_something =
            headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(FORWARDED);
        let client = client.filter(|_| !is_from_proxy || says_something)?;
        (!self.trusts_address(client)).then_some((client, is_from_proxy))
    }

    /// As which address a request counts against limits. As [`TrustedProxies::client`]; where that is unknown,
    /// as the peer's own, and where that has none but said something of the client, as one for all such: who
    /// makes himself unknown gets no more than others. None only where nothing at all is known.
    pub fn counted(
        &self,
        peer: Peer,
        headers: &HeaderMap,
        client: Option<IpAddr>,
    ) -> Option<IpAddr> {
        let says_something =
            || headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(FORWARDED);
        client.or_else(|| match peer {
            Peer::Address(address) => Some(address.to_canonical()),
            Peer::UnixSocket | Peer::Unknown => {
                says_something().then_some(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
            }
        })
    }

    /// The first hop that is not trusted, or the last of all; none if one on the way there is unknown.
    fn first_untrusted(&self, hops: impl Iterator<Item = Option<IpAddr>>) -> Option<IpAddr> {
        let mut farthest = None;
        for hop in hops {
            let address = hop?;
            farthest = Some(address);
            if !self.trusts_address(address) {
                break;
            }
        }
        farthest
    }

    fn trusts_address(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(address))
    }
}

fn address(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.trim_matches([' ', '\t']).parse().ok()?;
    Some(address.to_canonical())
}

/// The `for` of each element of a `Forwarded` list, `None` for one that names no address; nothing at all
/// of a list that is not as RFC 7239 §4 writes it.
fn forwarded(list: &str) -> Option<Vec<Option<IpAddr>>> {
    let mut hops = Vec::new();
    for element in split_unquoted(list, ',')? {
        let mut node = None;
        for pair in split_unquoted(element, ';')? {
            let (name, value) = pair.split_once('=')?;
            let (name, value) = (name.trim_matches([' ', '\t']), unquoted(value)?);
            if !is_token(name) {
                return None;
            }
            if name.eq_ignore_ascii_case("for") && node.replace(value).is_some() {
                return None;
            }
        }
        hops.push(node.and_then(node_address));
    }
    Some(hops)
}

/// The pieces between the separators that stand outside of quotes; `None` if a quote does not end.
fn split_unquoted(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut quoted, mut escaped) = (false, false);
    let pieces = text.split(|c: char| {
        let is_end = c == separator && !quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        is_end
    });
    let pieces = pieces.collect();
    (!quoted).then_some(pieces)
}

/// A token, or what a quoted string without escapes holds: no address has anything to escape.
fn unquoted(value: &str) -> Option<&str> {
    let value = value.trim_matches([' ', '\t']);
    match value.strip_prefix('"') {
        Some(rest) => rest
            .strip_suffix('"')
            .filter(|inner| !inner.contains(['"', '\\'])),
        None => is_token(value).then_some(value),
    }
}

fn is_token(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(good)
}

/// An address, alone or with a port; IPv6 stands in brackets. `unknown` and made-up names are none.
fn node_address(node: &str) -> Option<IpAddr> {
    let bare = match node
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(inner) => inner.parse().ok().map(IpAddr::V6),
        None => node.parse().ok().map(IpAddr::V4),
    };
    let with_port = || node.parse().ok().map(|address: SocketAddr| address.ip());
    bare.or_else(with_port)
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn trusted() -> TrustedProxies {
        let networks = ["10.0.0.0/8", "2001:db8::/32"];
        TrustedProxies {
            networks: networks.map(|text| Network::parse(text).unwrap()).into(),
            unix_sockets: true,
        }
    }

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn seen_through(peer: Peer, lines: &[(&str, &str)]) -> Option<String> {
        let client = trusted().client(peer, &headers(lines));
        client.map(|address| address.to_string())
    }

    fn seen(lines: &[(&str, &str)]) -> Option<String> {
        seen_through(Peer::Address("10.0.0.1".parse().unwrap()), lines)
    }

    #[test]
    fn the_first_untrusted_address_from_the_right_is_the_client() {
        let xff = "X-Forwarded-For";
        for (list, client) in [
            ("192.0.2.1", "192.0.2.1"),
            ("198.51.100.9, 192.0.2.1", "192.0.2.1"),
            ("198.51.100.9,192.0.2.1 ,\t10.1.1.1,10.2.2.2", "192.0.2.1"),
            ("garbage, 192.0.2.1, 10.1.1.1", "192.0.2.1"),
            ("::ffff:192.0.2.1, ::ffff:10.0.0.9", "192.0.2.1"),
            ("2001:db9::1, 2001:db8::1", "2001:db9::1"),
            ("10.3.3.3, 10.1.1.1", "10.3.3.3"),
        ] {
            assert_eq!(seen(&[(xff, list)]).as_deref(), Some(client), "{list}");
        }
        for (list, client) in [
            ("for=192.0.2.1", "192.0.2.1"),
            (
                "For=\"192.0.2.1:4711\";proto=https;by=10.0.0.1",
                "192.0.2.1",
            ),
            (
                "for=198.51.100.9, by=x; for=192.0.2.1 , for=10.1.1.1",
                "192.0.2.1",
            ),
            (
                "for=_x, for=\"[2001:db9::1]:80\", for=\"[2001:db8::1]\"",
                "2001:db9::1",
            ),
            ("for=192.0.2.1;host=\"a,b;for=198.51.100.9\"", "192.0.2.1"),
        ] {
            assert_eq!(
                seen(&[("Forwarded", list)]).as_deref(),
                Some(client),
                "{list}"
            );
        }
        assert_eq!(seen(&[]).as_deref(), Some("10.0.0.1"));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_nobody() {
        let xff = "X-Forwarded-For";
        for lines in [
            &[(xff, "192.0.2.1"), (xff, "192.0.2.1")] as &[_],
            &[(xff, "192.0.2.1"), ("Forwarded", "for=192.0.2.1")],
            &[
                ("Forwarded", "for=192.0.2.1"),
                ("Forwarded", "for=192.0.2.1"),
            ],
            &[(xff, "")],
            &[(xff, "192.0.2.1, garbage")],
            &[(xff, "192.0.2.1, garbage, 10.1.1.1")],
            &[(xff, "192.0.2.1,")],
            &[(xff, "192.0.2.1:80")],
            &[(xff, "[2001:db9::1]")],
            &[(xff, "192.0.2.01")],
            &[(xff, "\"192.0.2.1\"")],
            &[("Forwarded", "")],
            &[("Forwarded", "192.0.2.1")],
            &[("Forwarded", "for=192.0.2.1;for=192.0.2.2")],
            &[("Forwarded", "for=192.0.2.1, for=unknown")],
            &[("Forwarded", "for=192.0.2.1, for=_hidden")],
            &[("Forwarded", "for=192.0.2.1, proto=https")],
            &[("Forwarded", "for=2001:db9::1")],
            &[("Forwarded", "for=\"2001:db9::1\"")],
            &[("Forwarded", "for=\"192.0.2.1")],
            &[("Forwarded", "for=\"192.0.2.\\1\"")],
            &[("Forwarded", "for=192.0.2.1:80")],
            &[("Forwarded", "for =192.0.2.1 x")],
        ] {
            assert_eq!(seen(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn a_stranger_s_headers_and_headers_of_other_names_are_nothing() {
        let forged = [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-For", "x")];
        let stranger = Peer::Address("::ffff:203.0.113.5".parse().unwrap());
        assert_eq!(
            seen_through(stranger, &forged).as_deref(),
            Some("203.0.113.5")
        );
        assert_eq!(seen_through(Peer::Unknown, &forged[..1]), None);
        for name in [
            "X_Forwarded_For",
            "X.Forwarded.For",
            "X-Forwarded_For",
            "X-Forwarded",
            "X-Real-IP",
            "Client-IP",
        ] {
            assert_eq!(
                seen(&[(name, "192.0.2.1")]).as_deref(),
                Some("10.0.0.1"),
                "{name}"
            );
        }
    }

    #[test]
    fn a_unix_socket_s_client_is_known_by_a_header_alone() {
        let line = [("X-Forwarded-For", "192.0.2.1")];
        assert_eq!(
            seen_through(Peer::UnixSocket, &line).as_deref(),
            Some("192.0.2.1")
        );
        assert_eq!(seen_through(Peer::UnixSocket, &[]), None);
        let nobody = TrustedProxies::default();
        assert!(nobody.is_empty());
        assert_eq!(nobody.client(Peer::UnixSocket, &headers(&line)), None);
    }

    #[test]
    fn an_address_is_a_client_s_own_unless_it_is_a_proxy_s() {
        let own = |peer, lines: &[(&str, &str)]| {
            let (proxies, headers) = (trusted(), headers(lines));
            let client = proxies.client(peer, &headers);
            let own = proxies.own(peer, &headers, client);
            own.map(|(address, is_named)| (address.to_string(), is_named))
        };
        let line = [("X-Forwarded-For", "192.0.2.1")];
        let proxy = Peer::Address("10.0.0.1".parse().unwrap());
        let stranger = Peer::Address("192.0.2.7".parse().unwrap());
        let named = Some(("192.0.2.1".to_owned(), true));
        assert_eq!(own(proxy, &line), named);
        assert_eq!(own(Peer::UnixSocket, &line), named);
        // Every hop is a proxy: the farthest one is no client.
        let hops = [("X-Forwarded-For", "10.3.3.3, 10.1.1.1")];
        assert_eq!(own(proxy, &hops), None);
        assert_eq!(own(Peer::UnixSocket, &hops), None);
        assert_eq!(own(proxy, &[]), None);
        assert_eq!(own(Peer::UnixSocket, &[]), None);
        assert_eq!(own(stranger, &line), Some(("192.0.2.7".to_owned(), false)));
    }

    #[test]
    fn who_is_unknown_counts_as_somebody_all_the_same() {
        let two = [
            ("X-Forwarded-For", "192.0.2.1"),
            ("Forwarded", "for=192.0.2.2"),
        ];
        let counted = |peer, lines: &[(&str, &str)]| {
            let (proxies, headers) = (trusted(), headers(lines));
            let client = proxies.client(peer, &headers);
            let counted = proxies.counted(peer, &headers, client);
            counted.map(|address| address.to_string())
        };
        let proxy = Peer::Address("10.0.0.1".parse().unwrap());
        assert_eq!(counted(proxy, &two[..1]).as_deref(), Some("192.0.2.1"));
        assert_eq!(counted(proxy, &two).as_deref(), Some("10.0.0.1"));
        assert_eq!(counted(Peer::UnixSocket, &two).as_deref(), Some("::"));
        assert_eq!(counted(Peer::UnixSocket, &[]), None);
    }

    proptest! {
        /// Whatever a client writes left of what a trusted proxy appends, the proxy's word counts.
        #[test]
        fn no_client_talks_over_its_proxy(forged in "[ -~]{0,40}") {
            let list = format!("{forged}, 192.0.2.1");
            prop_assert_eq!(seen(&[("X-Forwarded-For", &list)]), Some("192.0.2.1".to_owned()));
            let list = format!("{forged}, for=192.0.2.1");
            let client = seen(&[("Forwarded", &list)]);
            prop_assert!(client.is_none() || client.as_deref() == Some("192.0.2.1"), "{client:?}");
        }
    }
}
