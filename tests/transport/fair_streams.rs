//! Clients that share one HTTP/2 connection, as those of a proxy do: one that takes next to nothing of its answers stops
//! none of the others.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::TestApp;

use super::Pair;
use super::frames::*;

/// INITIAL_WINDOW_SIZE (RFC 9113, §6.5.2).
const WINDOW: u16 = 4;

/// As much window as nobody uses up.
const WIDE: u32 = 1 << 28;

/// Streams of which next to nothing is taken: more than hold a connection's share in pieces of the usual size.
const SLOW: u32 = 60;

const LARGE_BYTES: usize = 2_000_000;
/// The most of a file that is kept in memory.
const IN_MEMORY_BYTES: usize = 16 * 1024;

fn bytes(length: usize) -> Vec<u8> {
    (0..251).cycle().take(length).collect()
}

fn get(path: &str, stream: u32) -> Vec<u8> {
    let fields = [request("GET", path), vec![("x-api-key", "k1")]].concat();
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&fields))
}

/// The body that comes on this stream, to its end. Adds what comes meanwhile on others, none of which ends.
async fn body<R: AsyncRead + Unpin>(
    frames: &mut Frames<R>,
    stream: u32,
    on_others: &mut usize,
) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let frame = frames.next_of(&[DATA, RST_STREAM]).await;
        let frame = frame.expect("the connection goes on");
        assert_eq!(frame.kind, DATA, "stream {} was reset", frame.stream);
        if frame.stream != stream {
            assert_eq!(frame.flags & END_STREAM, 0, "{}", frame.stream);
            *on_others += frame.payload.len();
            continue;
        }
        body.extend_from_slice(&frame.payload);
        if frame.flags & END_STREAM != 0 {
            return body;
        }
    }
}

/// One that has streams open of which it takes a byte each, and asks for more.
async fn one_connection(
    stream: impl AsyncRead + AsyncWrite,
    large: &str,
    others: &[(&str, Option<Vec<u8>>)],
) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut frames = Frames::of(reader);
    writer.write_all(&preface(&[(WINDOW, 1)])).await.unwrap();
    writer.write_all(&grant(0, WIDE)).await.unwrap();
    for at in 0..SLOW {
        writer.write_all(&get(large, at * 2 + 1)).await.unwrap();
    }
    // Each has a byte, so that the gateway has read the next ones.
    for _ in 0..SLOW {
        assert_eq!(frames.next_of(&[DATA]).await.unwrap().payload, [0]);
    }
    let (mut stream, mut granted, mut taken) = (SLOW * 2, 0, 0);
    for round in 0..2 {
        for (target, expected) in others {
            stream += 2;
            let id = stream + 1;
            let asked = [get(target, id), grant(id, WIDE)].concat();
            writer.write_all(&asked).await.unwrap();
            let came = body(&mut frames, id, &mut taken).await;
            match expected {
                Some(expected) => assert!(came == *expected, "round {round}: {target}"),
                None => assert!(came.starts_with(b"{"), "round {round}: {target}"),
            }
            // A slow client is one that still takes something.
            let slow = (0..SLOW).flat_map(|at| grant(at * 2 + 1, 1));
            writer.write_all(&slow.collect::<Vec<_>>()).await.unwrap();
            granted += SLOW as usize;
        }
    }
    // Nor are the slow ones given up, or starved.
    while taken < granted {
        let frame = frames.next_of(&[DATA, RST_STREAM]).await.unwrap();
        assert_eq!(
            (frame.kind, frame.payload.len()),
            (DATA, 1),
            "{}",
            frame.stream
        );
        taken += 1;
    }
    assert_eq!(taken, granted);
}

async fn with_files() -> (Pair, TestApp, SocketAddr) {
    let pair = Pair::new();
    let (app, tls) = pair.app(&[("server.http2", "on")]).await;
    for (id, length) in [
        ("file_large", LARGE_BYTES),
        ("file_memory", IN_MEMORY_BYTES),
        ("file_small", 1_000),
    ] {
        app.add(id, "a.bin", &bytes(length)).await;
    }
    (pair, app, tls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_hardly_read_hold_up_no_other_one_of_their_connection() {
    let (pair, app, tls) = with_files().await;
    let link = async |id: &str| app.link(id, "").await;
    let (large, memory, small) = (
        link("file_large").await,
        link("file_memory").await,
        link("file_small").await,
    );
    let others = [
        (large.as_str(), Some(bytes(LARGE_BYTES))),
        (memory.as_str(), Some(bytes(IN_MEMORY_BYTES))),
        (small.as_str(), Some(bytes(1_000))),
        ("/v1/organizations/org_123/files", None),
    ];
    let plain = TcpStream::connect(app.client.0).await.unwrap();
    one_connection(plain, &large, &others).await;
    let sealed = pair.connect(tls, &["h2"]).await.unwrap();
    one_connection(sealed, &large, &others).await;
}

/// Each length goes out whole and ends its stream, in whatever pieces.
#[tokio::test]
async fn answers_of_every_length_end_their_streams() {
    let (pair, app, tls) = with_files().await;
    let mut files = Vec::new();
    for length in [
        1, 2, 4_095, 4_096, 4_097, 16_383, 16_384, 16_385, 32_768, 32_769, 65_537,
    ] {
        let id = format!("file_{length}");
        app.add(&id, "a.bin", &bytes(length)).await;
        files.push((app.link(&id, "").await, length));
    }
    let over = [
        Box::new(TcpStream::connect(app.client.0).await.unwrap()) as Box<dyn Stream>,
        Box::new(pair.connect(tls, &["h2"]).await.unwrap()),
    ];
    for stream in over {
        let (reader, mut writer) = tokio::io::split(stream);
        let mut frames = Frames::of(reader);
        writer.write_all(&preface(&[])).await.unwrap();
        writer.write_all(&grant(0, WIDE)).await.unwrap();
        for (at, (link, length)) in (0..).zip(&files) {
            let id = at * 2 + 1;
            writer.write_all(&get(link, id)).await.unwrap();
            writer.write_all(&grant(id, WIDE)).await.unwrap();
            assert!(
                body(&mut frames, id, &mut 0).await == bytes(*length),
                "{length}"
            );
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}
