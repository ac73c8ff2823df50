//! Parked connections over TLS, those of HTTP/2, which are never parked, and a crowd that all wakes at once.

use std::net::TcpListener;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cli::support::{Place, Serving, text, until};
use crate::support::app::target;
use crate::support::client::Client;

use super::{Http2, NAME, Pair};

/// The connections of the crowd: the default of `server.connections_max`.
const CROWD: usize = 10_000;

/// The most bytes by which the process may be larger for each of the crowd that is parked, and for each that has left. This
/// build is not optimised; in one that is, a connection that is not parked has 12 KiB, and without the allocator all of
/// them are kept.
const PARKED_BYTES_MAX: u64 = 8 << 10;
const KEPT_BYTES_MAX: u64 = 4 << 10;

/// The status line of an answer with a whole file.
const OK: &str = "HTTP/1.1 200 OK";

/// Reads one answer, and returns its status line and its body.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer's head"));
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.split("Content-Length: ").nth(1).unwrap();
    let length = length.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("a whole body");
    let status = head.split("\r\n").next().unwrap();
    (status.to_owned(), body)
}

/// Reads one answer, which is 200, and returns its body.
async fn body(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let (status, body) = answer(stream).await;
    assert_eq!(status, OK);
    body
}

#[tokio::test]
async fn over_tls_a_connection_is_parked_and_goes_on_and_over_http_2_it_never_is() {
    let pair = Pair::new();
    let (app, tls) = pair.app(&[("server.admin_listen", "127.0.0.1:0")]).await;
    let admin = app.admin.unwrap();
    let bytes: Vec<u8> = (0..700_000_u32).map(|i| i.to_le_bytes()[1]).collect();
    app.add("file_big", "big.bin", &bytes).await;
    let link = app.link("file_big", "").await;
    let mut http2 = Http2::over(pair.connect(tls, &["h2"]).await.unwrap()).await;
    let mut stream = pair.connect(tls, &["http/1.1"]).await.unwrap();
    for _ in 0..3 {
        // All that time the one of HTTP/2 is idle, too.
        admin.until_parked(1).await;
        let request = format!("GET {link} HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(body(&mut stream).await == bytes);
        assert!(http2.get(&link, &[]).await.body == bytes);
    }
    admin.until_parked(1).await;
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "it ended as the client did");
    admin.until_parked(0).await;
}

/// Resident memory of a process, in bytes.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mut lines = status.lines();
    let line = lines.find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

/// Lets this process have as many descriptors as it may.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_wakes_all_at_once_is_answered_and_parks_again_in_little_memory() {
    raise_descriptor_limit();
    let place = Place::new();
    let file = place.add("a.bin", b"the bytes of the crowd");
    let admin = {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap()
    };
    let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
    command
        .env("HALLPASS_SERVER_ADMIN_LISTEN", admin.to_string())
        .env("HALLPASS_SERVER_CONNECTIONS_MAX", CROWD.to_string());
    let mut serving = Serving::of(command);
    let (base, admin) = (serving.url(), Client(admin));
    let link = target(&text(&place.sign(&base, &file, &[]), "download_url"));
    let request = format!("GET {link} HTTP/1.1\r\nHost: x\r\n\r\n");
    let address = base.strip_prefix("http://").unwrap();
    let mut crowd = Vec::new();
    let before = memory(serving.pid());
    for _ in 0..CROWD {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        crowd.push(stream);
    }
    for wakes in 0..3 {
        let mut again = 0;
        for stream in &mut crowd {
            let mut answered = answer(stream).await;
            // A gateway that has so much to do that it does not hear of revocations within a second opens no link.
            while answered.0 == "HTTP/1.1 503 Service Unavailable" {
                again += 1;
                stream.write_all(request.as_bytes()).await.unwrap();
                answered = answer(stream).await;
            }
            let whole = (OK.to_owned(), b"the bytes of the crowd".to_vec());
            assert_eq!(answered, whole);
        }
        println!("{again} requests were sent again");
        admin.until_parked(CROWD as u64).await;
        if wakes < 2 {
            for stream in &mut crowd {
                stream.write_all(request.as_bytes()).await.unwrap();
            }
        }
    }
    // The allocator gives back what nobody uses within some seconds.
    let of_each = || memory(serving.pid()).saturating_sub(before) / CROWD as u64;
    until("little memory is left for each", || {
        of_each() <= PARKED_BYTES_MAX
    });
    println!("{} bytes for each that is parked", of_each());
    drop(crowd);
    until("little memory is kept of each", || {
        of_each() <= KEPT_BYTES_MAX
    });
    println!("{} bytes are kept of each", of_each());
    let (status, _, log) = serving.stop("TERM");
    assert_eq!(status.code(), Some(0), "{log}");
}
