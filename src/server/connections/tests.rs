//! Limits of one address and of all, and what ends.

use std::future::{pending, poll_fn};
use std::net::Ipv4Addr;
use std::pin::Pin;

use bytes::Bytes;
use hyper::rt::Write as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::super::connection_state::TrackedStream;
use super::super::listen::Accepted;
use super::*;
use crate::model::network::Network;
use crate::web::client::TrustedProxies;
use crate::zero_copy::{Regions, Socket, Wire};

fn connections(connections_max: usize, per_address_max: usize) -> Arc<Connections> {
    let limits = ConnectionLimits {
        connections_max,
        per_address_max,
    };
    Arc::new(of(limits, Deadlines::default()))
}

fn of(limits: ConnectionLimits, deadlines: Deadlines) -> Connections {
    let metrics = Arc::new(Metrics::new(0, []));
    Connections::new(limits, deadlines, Listener::Public, metrics)
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

static BYTES: [u8; 65_536] = [7; 65_536];

/// Writes to the socket without an end.
async fn write_on(socket: Socket, state: Arc<ConnectionState>) {
    let wire = Wire::new(socket, Bytes::new(), Regions::new());
    let mut stream = TrackedStream::new(wire, state);
    while poll_fn(|context| Pin::new(&mut stream).poll_write(context, &BYTES))
        .await
        .is_ok()
    {}
}

/// A client that reads so many bytes twice a second, and the state of its connection.
async fn reader(
    connections: &Arc<Connections>,
    bytes: usize,
) -> (Arc<ConnectionState>, impl Future<Output = ()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpSocket::new_v4().unwrap();
    // It takes more only once all of that is read: here within a second.
    client.set_recv_buffer_size(4_096).unwrap();
    let client = client.connect(listener.local_addr().unwrap());
    let (client, accepted) = tokio::join!(client, listener.accept());
    let (mut client, socket) = (client.unwrap(), Socket::Tcp(accepted.unwrap().0));
    let (sender, state) = oneshot::channel();
    let permit = connections.permit().await;
    connections.serve(permit, None, |lease| {
        sender.send(Arc::clone(&lease.state)).unwrap();
        write_on(socket, lease.state)
    });
    let reading = async move {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            if client.read_exact(&mut vec![0; bytes]).await.is_err() {
                pending::<()>().await;
            }
        }
    };
    (state.await.unwrap(), reading)
}

/// Both have a socket that takes nothing for longer than the deadline: it takes 64 KiB at once, and the slow one reads 8 KiB a
/// second.
#[tokio::test]
async fn a_slow_reader_stays_and_a_stopped_one_ends_in_its_time() {
    let limits = ConnectionLimits {
        connections_max: 10,
        per_address_max: 0,
    };
    let deadlines = Deadlines {
        write: Duration::from_secs(4),
        ..Deadlines::default()
    };
    let connections = Arc::new(of(limits, deadlines));
    let (slow, reading) = reader(&connections, 4_096).await;
    let (stopped, stopping) = reader(&connections, 0).await;
    let open = |state: &Arc<ConnectionState>| {
        let open = connections.lock();
        let mut entries = open.entries.values();
        entries.any(|entry| Arc::ptr_eq(&entry.state, state))
    };
    let checking = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(open(&slow) && open(&stopped), "not before its time");
        let begun = Instant::now();
        while open(&stopped) {
            assert!(begun.elapsed() < Duration::from_secs(8), "it is not ended");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(open(&slow), "it was ended");
    };
    tokio::select! {
        () = checking => {}
        () = connections.watch() => unreachable!(),
        () = async { tokio::join!(reading, stopping); } => unreachable!(),
    }
}
