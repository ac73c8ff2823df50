//! Limits of one address and of all, and what ends.

use std::future::pending;
use std::net::Ipv4Addr;

use tokio::net::{TcpListener, TcpStream};

use super::super::listen::Accepted;
use super::*;
use crate::model::network::Network;
use crate::web::client::TrustedProxies;

fn connections(connections_max: usize, per_address_max: usize) -> Arc<Connections> {
    let limits = ConnectionLimits {
        connections_max,
        per_address_max,
    };
    let metrics = Arc::new(Metrics::new(0, []));
    let (deadlines, listener) = (Deadlines::default(), Listener::Public);
    Arc::new(Connections::new(limits, deadlines, listener, metrics))
}

async fn held(mut lease: ConnectionLease) {
    lease.stopping.asked().await;
}

#[tokio::test]
async fn an_address_has_so_many_and_no_more_and_gets_them_back() {
    let connections = connections(100, 2);
    let one = Some(IpAddr::from([192, 0, 2, 1]));
    let other = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    for (address, is_served) in [
        (one, true),
        (one, true),
        (one, false),
        (other, true),
        (None, true),
        (None, true),
        (None, true),
    ] {
        let permit = connections.permit().await;
        assert_eq!(connections.serve(permit, address, held), is_served);
    }
    connections.finish().await;
    assert!(connections.lock().of_address.is_empty());
    let permit = connections.permit().await;
    assert!(connections.serve(permit, one, held));
    assert_eq!(connections.permits.available_permits(), 99);
}

/// Connections of made-up peers over a real socket, counted as those of a public listener are.
#[tokio::test]
async fn an_ipv6_network_of_64_bits_has_so_many_together() {
    let connections = connections(100, 2);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let proxies = TrustedProxies {
        networks: vec![Network::parse("2001:db8:0:9::1").unwrap()],
        unix_sockets: false,
    };
    for (peer, is_served) in [
        ("[2001:db8:0:1::1]:1", true),
        ("[2001:db8:0:1:ffff::2]:2", true),
        ("[2001:db8:0:1::3]:3", false),
        ("[2001:db8:0:2::1]:4", true),
        ("[2001:db8:0:1:ffff:ffff:ffff:ffff]:5", false),
        // One address of IPv4 is one, however it is written.
        ("[::ffff:192.0.2.1]:6", true),
        ("192.0.2.1:7", true),
        ("[::ffff:192.0.2.1]:8", false),
        ("192.0.2.2:9", true),
        // A proxy's, and the machine's own, are any number.
        ("[2001:db8:0:9::1]:10", true),
        ("[2001:db8:0:9::1]:11", true),
        ("[2001:db8:0:9::1]:12", true),
        ("[::1]:13", true),
        ("[::1]:14", true),
        ("[::1]:15", true),
    ] {
        let (stream, _) = tokio::try_join!(TcpStream::connect(at), listener.accept()).unwrap();
        let accepted = Accepted::Tcp(stream, peer.parse().unwrap());
        let address = accepted.counted_address(&proxies);
        let permit = connections.permit().await;
        assert_eq!(
            connections.serve(permit, address, held),
            is_served,
            "{peer}"
        );
    }
    connections.finish().await;
    assert!(connections.lock().of_address.is_empty());
}

#[tokio::test]
async fn whoever_does_not_end_when_asked_is_ended() {
    let connections = connections(2, 0);
    let permit = connections.permit().await;
    connections.serve(permit, None, |_| pending());
    let finished = connections.finish();
    let patience = Duration::from_millis(50);
    assert!(tokio::time::timeout(patience, finished).await.is_err());
    connections.abort();
    connections.finish().await;
    assert_eq!(connections.permits.available_permits(), 2);
}
