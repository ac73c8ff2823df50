//! The addresses at which other machines reach a listener on the wildcard address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The file in which Linux says whether a socket on `[::]` takes IPv6 alone.
const V6_ONLY: &str = "/proc/sys/net/ipv6/bindv6only";

/// Addresses for documentation, which nobody has (RFC 5737 §3, RFC 3849): the kernel would send to them from the
/// address from which it sends to the internet.
const ELSEWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// Returns the addresses of this machine's interfaces at which a listener on `wildcard` is reached: IPv4 first, and
/// of each kind the one first from which the machine reaches the internet, then in the system's order. Loopback and
/// link-local addresses are left out. `[::]` takes IPv4, too, unless the system says otherwise.
///
/// # Errors
/// The system's, where it does not name its interfaces.
pub fn reachable(wildcard: IpAddr) -> io::Result<Vec<IpAddr>> {
    let all = if_addrs::get_if_addrs()?;
    let all: Vec<IpAddr> = all.iter().map(if_addrs::Interface::ip).collect();
    let takes_both = wildcard.is_ipv6() && !is_v6_only();
    let first: Vec<IpAddr> = ELSEWHERE.into_iter().filter_map(source_towards).collect();
    Ok(choose(all, wildcard, takes_both, &first))
}

fn choose(
    mut all: Vec<IpAddr>,
    wildcard: IpAddr,
    takes_both: bool,
    first: &[IpAddr],
) -> Vec<IpAddr> {
    all.retain(|address| {
        let is_taken = takes_both || address.is_ipv4() == wildcard.is_ipv4();
        is_taken && !address.is_loopback() && !is_link_local(address)
    });
    all.sort_by_key(|address| (address.is_ipv6(), !first.contains(address)));
    all.dedup();
    all
}

/// Link-local addresses mean something on one link alone: 169.254.0.0/16 (RFC 3927), fe80::/10 (RFC 4291 §2.5.6).
const fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// The address that the kernel would send from. Nothing is sent.
fn source_towards(other: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match other {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(SocketAddr::new(other, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn is_v6_only() -> bool {
    std::fs::read_to_string(V6_ONLY).is_ok_and(|text| text.trim() == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_others_come_ipv4_first_and_the_way_out_before_the_rest() {
        let all = [
            "127.0.0.1",
            "::1",
            "fe80::1",
            "2001:db8::7",
            "172.17.0.1",
            "169.254.3.4",
            "192.0.2.7",
            "192.0.2.7",
        ];
        let parse = |texts: &[&str]| -> Vec<IpAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let first = parse(&["192.0.2.7", "2001:db8::7"]);
        let v4 = parse(&["192.0.2.7", "172.17.0.1"]);
        let v6 = parse(&["2001:db8::7"]);
        for (wildcard, takes_both, expected) in [
            ("0.0.0.0", false, v4.clone()),
            ("::", false, v6.clone()),
            ("::", true, [v4, v6].concat()),
        ] {
            let wildcard: IpAddr = wildcard.parse().unwrap();
            let chosen = choose(parse(&all), wildcard, takes_both, &first);
            assert_eq!(chosen, expected, "{wildcard} {takes_both}");
        }
    }
}
