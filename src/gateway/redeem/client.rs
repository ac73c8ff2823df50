//! Who asks for a download: what a client is known by again, if it is known by anything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::base62;
use crate::sign::client_digest::ClientIdentity;

/// The client that asks for a download.
#[derive(Clone, Copy, Debug, Default)]
pub struct Redeemer<'a> {
    /// The value of the cookie that a page set.
    pub cookie: Option<&'a str>,
    /// Its address, where that is its own as far as anybody knows.
    pub address: Option<IpAddr>,
    /// True if a trusted proxy named that address.
    pub is_named_by_proxy: bool,
    /// Its `User-Agent`, where there is one.
    pub agent: Option<&'a str>,
    /// The address that it counts as against limits.
    pub counted: Option<IpAddr>,
}

/// What a client is known by.
pub(super) enum Identity<'a> {
    Cookie(&'a str),
    Address { prefix: String, agent: &'a str },
}

impl<'a> Redeemer<'a> {
    /// Returns what the client is known by: its cookie, else its network and its program, where the network is its own.
    pub(super) fn identity(&self) -> Option<Identity<'a>> {
        if let Some(cookie) = self.cookie.filter(|text| base62::is_drawn(text)) {
            return Some(Identity::Cookie(cookie));
        }
        Some(Identity::Address {
            prefix: self.prefix()?,
            agent: self.agent.filter(|agent| !agent.is_empty())?,
        })
    }

    /// Returns the network that the client is in, where it is its own.
    pub(super) fn prefix(&self) -> Option<String> {
        let is_own = |address: &IpAddr| self.is_named_by_proxy || is_of_one_client(*address);
        let address = self.address.map(|address| address.to_canonical());
        address.filter(is_own).map(prefix)
    }
}

impl Identity<'_> {
    pub(super) fn as_signed(&self) -> ClientIdentity<'_> {
        match self {
            Self::Cookie(value) => ClientIdentity::Cookie(value),
            Self::Address { prefix, agent } => ClientIdentity::Address { prefix, agent },
        }
    }
}

/// The network that one customer has.
fn prefix(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}/32"),
        IpAddr::V6(address) => {
            let network = Ipv6Addr::from_bits(address.to_bits() >> 64 << 64);
            format!("{network}/64")
        }
    }
}

/// Returns whether an address is of one customer's network: not of this machine, nor one that any network has.
fn is_of_one_client(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            // Shared by the customers of a carrier (RFC 6598).
            let is_shared = first == 100 && (64..128).contains(&second);
            !(address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || is_shared
                || address.is_unspecified()
                || address == Ipv4Addr::BROADCAST)
        }
        IpAddr::V6(address) => {
            !(address.is_loopback()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known_by(redeemer: Redeemer<'_>) -> Option<String> {
        redeemer.identity().map(|identity| match identity {
            Identity::Cookie(value) => value.to_owned(),
            Identity::Address { prefix, agent } => format!("{prefix} {agent}"),
        })
    }

    fn from(address: &str, is_named_by_proxy: bool) -> Option<String> {
        known_by(Redeemer {
            address: Some(address.parse().unwrap()),
            is_named_by_proxy,
            agent: Some("a"),
            ..Redeemer::default()
        })
    }

    #[test]
    fn a_client_is_known_by_its_own_network_and_program() {
        assert_eq!(from("192.0.2.1", false).unwrap(), "192.0.2.1/32 a");
        assert_eq!(from("::ffff:192.0.2.1", false).unwrap(), "192.0.2.1/32 a");
        assert_eq!(
            from("2001:db8:1:2:3::4", false).unwrap(),
            "2001:db8:1:2::/64 a"
        );
        for shared in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert_eq!(from(shared, false), None, "{shared}");
            assert!(from(shared, true).is_some(), "{shared} by a proxy");
        }
    }

    #[test]
    fn a_good_cookie_comes_first_and_no_program_is_nobody() {
        let cookie = "0123456789abcdefghijkl";
        let with = |cookie, agent| {
            known_by(Redeemer {
                cookie,
                address: Some("192.0.2.1".parse().unwrap()),
                agent,
                ..Redeemer::default()
            })
        };
        assert_eq!(with(Some(cookie), Some("a")).unwrap(), cookie);
        for bad in ["", "x", "0123456789abcdefghijk-"] {
            assert_eq!(with(Some(bad), Some("a")).unwrap(), "192.0.2.1/32 a");
        }
        assert_eq!(with(None, None), None);
        assert_eq!(with(None, Some("")), None);
        assert_eq!(known_by(Redeemer::default()), None);
    }
}
