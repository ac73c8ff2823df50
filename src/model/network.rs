//! Networks: what an `ip` claim lets in, and whose word on a client's address counts.

use std::net::IpAddr;

use super::amount::decimal;

/// The bits that stand before the last 32 of an IPv4-mapped IPv6 address.
const MAPPED_PREFIX: u128 = 0xffff;

/// One address, or all that share its first bits. IPv4 written as IPv4-mapped IPv6 is IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The lowest address, an IPv4 one in its mapped form.
    first: u128,
    /// The number of last bits that may differ, at most 128.
    free_bits: u32,
}

impl Network {
    /// Takes an address, which then is exact, or a CIDR without host bits set. Addresses are spelled
    /// as `std` reads them; the length is decimal without a leading zero.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(decimal(length)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width: u8 = if address.is_ipv4() { 32 } else { 128 };
        let free_bits = width.checked_sub(length.unwrap_or(width)).map(u32::from)?;
        let first = bits(address);
        (first & mask(free_bits) == first).then_some(Self { first, free_bits })
    }

    /// Returns whether the address is in the network. No IPv4 address is in an IPv6 network, `::/0` included, but a
    /// mapped one counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = bits(address);
        let is_ipv4 = bits >> 32 == MAPPED_PREFIX;
        let wider_than_ipv4 = self.free_bits > 32;
        bits & mask(self.free_bits) == self.first && !(is_ipv4 && wider_than_ipv4)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn mask(free_bits: u32) -> u128 {
    u128::MAX.checked_shl(free_bits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses_and_no_others() {
        let cases = [
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("192.0.2.7", "::ffff:192.0.2.7", true),
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::ffff:192.0.2.7", "192.0.2.7", true),
            ("::ffff:192.0.2.0/120", "192.0.2.9", true),
            ("::ffff:0:0/96", "198.51.100.1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("2001:db8::1", "2001:db8::1", true),
            ("2001:db8::1", "2001:db8::2", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.7", false),
            ("::/0", "::ffff:192.0.2.7", false),
        ];
        for (network, address, expected) in cases {
            let contains = Network::parse(network)
                .unwrap()
                .contains(address.parse().unwrap());
            assert_eq!(contains, expected, "{address} in {network}");
        }
    }

    #[test]
    fn other_texts_are_no_network() {
        let bad = [
            "",
            "192.0.2",
            "192.0.2.07",
            "192.0.2.7 ",
            "192.0.2.7/",
            "192.0.2.7/33",
            "192.0.2.7/24",
            "192.0.2.0/024",
            "192.0.2.0/+24",
            "192.0.2.0/-1",
            "192.0.2.0/24/24",
            "192.0.2.0/255.255.255.0",
            "192.0.2.0/256",
            "::1/129",
            "::1/127",
            "::ffff:0:0/80",
            "[::1]",
            "fe80::1%eth0",
            "localhost",
            "192.0.2.7:80",
        ];
        for text in bad {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
