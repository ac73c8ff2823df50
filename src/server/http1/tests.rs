//! Connections that are parked at every point of an exchange, over a real socket and in their table.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::super::coarse_clock::Deadlines;
use super::super::connection_state::TrackedStream;
use super::super::connections::{ConnectionLimits, Connections};
use super::*;
use crate::telemetry::metrics::{Listener, Metrics};
use crate::zero_copy::{Regions, Socket, Wire};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Requests with and without a body, behind empty lines, and one whose body is in chunks, which is the last.
const REQUESTS: [&[u8]; 5] = [
    b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\nGET / HTTP/1",
    b"HEAD /3 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\r\n\r\nGET /4 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /5 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
];

/// What each of them is answered.
const ANSWERS: [&str; 5] = [
    "GET /1 ",
    "POST /2 GET / HTTP/1",
    "",
    "GET /4 ",
    "POST /5 abc",
];

/// A connection in its table, and its client.
struct Connected {
    connections: Arc<Connections>,
    state: Arc<ConnectionState>,
    client: UnixStream,
}

/// Answers with the method, the path and the body of the request.
async fn echo(request: Request<Incoming>) -> Response<Tracked<Full<BodyPiece>, ()>> {
    let begun = format!("{} {} ", request.method(), request.uri());
    let body = request.into_body().collect().await.expect("a body");
    let all = [begun.as_bytes(), &body.to_bytes()].concat();
    Response::new(Tracked::new(Full::new(Bytes::from(all).into()), ()))
}

impl Connected {
    /// One that waits for its first request.
    async fn new() -> Self {
        let limits = ConnectionLimits {
            connections_max: 10,
            per_address_max: 0,
        };
        let metrics = Arc::new(Metrics::new(0, []));
        let (deadlines, listener) = (Deadlines::default(), Listener::Public);
        let connections = Connections::new(limits, deadlines, listener, metrics);
        let connections = Arc::new(connections);
        let (client, server) = UnixStream::pair().unwrap();
        let permit = connections.permit().await;
        let mut state = None;
        connections.serve(permit, None, |lease| {
            state = Some(Arc::clone(&lease.state));
            let wire = Wire::new(Socket::Unix(server), Bytes::new(), Regions::new());
            let stream = TrackedStream::new(wire, Arc::clone(&lease.state));
            serve(stream, lease, echo)
        });
        let connected = Self {
            connections,
            state: state.expect("a state"),
            client,
        };
        connected.park().await;
        connected
    }

    /// Asks the connection to park until it has.
    async fn park(&self) {
        while !self.state.parking.is_parked() {
            self.state.parking.ask();
            tokio::task::yield_now().await;
        }
    }

    /// Asks the connection to park where it must not.
    async fn do_not_park(&self) {
        for _ in 0..20 {
            self.state.parking.ask();
            tokio::task::yield_now().await;
            assert!(!self.state.parking.is_parked());
        }
    }

    /// Reads the answers to these requests.
    async fn read(&mut self, requests: std::ops::Range<usize>) {
        for number in requests {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.client.read_u8().await.expect("a head"));
            }
            let head = String::from_utf8(head).unwrap();
            assert!(head.contains(" 200 OK\r\n"), "{head}");
            let mut body = vec![0; ANSWERS[number].len()];
            self.client.read_exact(&mut body).await.expect("a body");
            assert_eq!(String::from_utf8_lossy(&body), ANSWERS[number]);
        }
    }

    /// Reads until the end, and returns what came.
    async fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.client.read_to_end(&mut rest).await.unwrap();
        self.connections.finish().await;
        rest
    }
}

/// The number of requests that are whole after so many bytes, and whether another one has begun. Empty lines are none.
fn whole_at(at: usize) -> (usize, bool) {
    let mut end = 0;
    for (number, request) in REQUESTS.iter().enumerate() {
        let begin = end
            + request
                .iter()
                .take_while(|byte| byte.is_ascii_whitespace())
                .count();
        end += request.len();
        if at < end {
            return (number, at > begin);
        }
    }
    (REQUESTS.len(), false)
}

#[tokio::test]
async fn a_connection_is_parked_at_every_point_between_pipelined_requests_and_at_none_within() {
    let all = REQUESTS.concat();
    for first in 0..=all.len() {
        let exchange = async {
            let mut connected = Connected::new().await;
            let (one, other) = all.split_at(first);
            connected.client.write_all(one).await.unwrap();
            let (whole, is_begun) = whole_at(first);
            connected.read(0..whole).await;
            if is_begun {
                // Its first bytes may not have been read yet.
                while connected.state.parking.is_parked() {
                    tokio::task::yield_now().await;
                }
                connected.do_not_park().await;
            } else if whole < REQUESTS.len() {
                connected.park().await;
            }
            connected.client.write_all(other).await.unwrap();
            connected.read(whole..REQUESTS.len()).await;
            connected.client.shutdown().await.unwrap();
            assert_eq!(connected.rest().await, b"");
        };
        let done = tokio::time::timeout(PATIENCE, exchange).await;
        done.unwrap_or_else(|_| panic!("it stopped where {first} bytes came first"));
    }
}

#[tokio::test]
async fn requests_behind_one_another_are_answered_each_from_a_parked_connection() {
    let mut connected = Connected::new().await;
    for round in 0..50 {
        let number = round % 4;
        connected.park().await;
        for half in REQUESTS[number].chunks(1 + round) {
            connected.client.write_all(half).await.unwrap();
            tokio::task::yield_now().await;
        }
        connected.read(number..number + 1).await;
    }
    connected.park().await;
    connected.client.shutdown().await.unwrap();
    assert_eq!(connected.rest().await, b"");
}

#[tokio::test]
async fn a_parked_connection_ends_when_it_is_asked_to_and_when_its_client_is_gone() {
    let mut connected = Connected::new().await;
    connected.client.write_all(REQUESTS[0]).await.unwrap();
    connected.read(0..1).await;
    connected.park().await;
    let connections = Arc::clone(&connected.connections);
    let (rest, ()) = tokio::join!(connected.rest(), connections.finish());
    assert_eq!(rest, b"");

    let mut connected = Connected::new().await;
    connected.client.write_all(REQUESTS[0]).await.unwrap();
    connected.read(0..1).await;
    connected.park().await;
    let Connected {
        connections,
        client,
        ..
    } = connected;
    drop(client);
    connections.finish().await;
}

#[tokio::test]
async fn a_request_that_has_begun_before_the_stop_is_answered_and_is_the_last() {
    let mut connected = Connected::new().await;
    connected.client.write_all(REQUESTS[0]).await.unwrap();
    connected.read(0..1).await;
    connected.park().await;
    let (one, other) = REQUESTS[0].split_at(9);
    connected.client.write_all(one).await.unwrap();
    while connected.state.parking.is_parked() {
        tokio::task::yield_now().await;
    }
    let connections = Arc::clone(&connected.connections);
    let rest = async {
        while !connected.state.is_last() {
            tokio::task::yield_now().await;
        }
        connected.client.write_all(other).await.unwrap();
        connected.rest().await
    };
    let (rest, ()) = tokio::join!(rest, connections.finish());
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.contains("Connection: close\r\n"), "{rest}");
    assert!(rest.ends_with("\r\n\r\nGET /1 "), "{rest}");
}
