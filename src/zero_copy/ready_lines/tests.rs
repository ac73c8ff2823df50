//! The place of ready lines: in each head that is cut anywhere, and under a real hyper whose socket takes its bytes in pieces.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::*;

fn added(lines: &'static str) -> HeadLines {
    let mut added = HeadLines::default();
    added.add(Bytes::from_static(lines.as_bytes()));
    added
}

#[test]
fn lines_have_no_place_but_in_a_head() {
    let head = b"HTTP/1.1 200 OK\r\nc: d\r\n\r\n";
    let none = HeadLines::default().place_in(b"anything");
    assert_eq!(none.unwrap(), None, "nothing is to be added");
    let mut lines = added("a: b\r\n");
    assert_eq!(lines.place_in(head).unwrap(), Some(23));
    for wrong in [&b""[..], b"\r\n", b"\n\r\n", b"a\r\n\r\nb", b"a\r\n"] {
        lines.place_in(wrong).unwrap_err();
    }
    assert_eq!(lines.advance(24, head, 23), 23, "one byte of them");
    assert_eq!(lines.place_in(b"\r\n").unwrap(), Some(0));
    for wrong in [&b""[..], b"\n", b"\r\n\r\n", b"ab"] {
        lines.place_in(wrong).unwrap_err();
    }
    lines.add(Bytes::from_static(b"e: f\r\n"));
    lines.place_in(head).unwrap_err();
}

/// A socket may take any part of a write, so each byte may be the last of one.
#[test]
fn lines_stand_in_their_head_wherever_a_write_is_cut() {
    let (head, body) = (b"HTTP/1.1 200 OK\r\nc: d\r\n\r\n", b"body");
    let whole = b"HTTP/1.1 200 OK\r\nc: d\r\na: b\r\ne: f\r\n\r\nbody";
    for first_cut in 1..=whole.len() {
        for then in [1, 2, 3, whole.len()] {
            let mut lines = added("a: b\r\ne: f\r\n");
            let (mut rest, mut out, mut most) = (&head[..], Vec::new(), first_cut);
            while !lines.left.is_empty() {
                let place = lines.place_in(rest).unwrap().unwrap();
                let (before, behind) = rest.split_at(place);
                let written = [before, &lines.left, behind, body].concat();
                let sent = &written[..most.min(written.len())];
                let of_hyper = lines.advance(sent.len(), rest, place);
                out.extend_from_slice(sent);
                rest = rest.get(of_hyper..).unwrap_or_default();
                most = then;
            }
            let missing = whole.len() - out.len();
            let left = [
                rest,
                &body[..missing.saturating_sub(rest.len()).min(body.len())],
            ];
            out.extend_from_slice(&[left[0], &body[body.len() - left[1].len()..]].concat());
            assert_eq!(out, whole, "cut after {first_cut}, then every {then}");
        }
    }
}

/// The lines of the response with this number: none, few, or more than a socket takes at once.
fn lines_of(number: usize) -> String {
    match number % 3 {
        0 => String::new(),
        1 => format!("x-which: {number}\r\n"),
        _ => format!("x-which: {number}\r\nx-long: {}\r\n", "x".repeat(700_000)),
    }
}

fn body_of(number: usize) -> String {
    format!("<{number}>").repeat([1, 40, 90_000][number / 3 % 3])
}

/// Answers ten requests that were sent at once. Returns what the client gets, which reads a few bytes at a time, and
/// whether serving it was an error.
async fn received(builder: http1::Builder) -> (Vec<u8>, hyper::Result<()>) {
    let (server, client) = UnixStream::pair().unwrap();
    let lines = ReadyLines::default();
    let stream = LinedStream::new(TokioIo::new(server), lines.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let number: usize = request.uri().path()[1..].parse().unwrap();
        let of_head = lines_of(number);
        if !of_head.is_empty() {
            lines.add_to_head(of_head.into());
        }
        let response = Response::new(Full::new(Bytes::from(body_of(number))));
        async move { Ok::<_, Infallible>(response) }
    });
    let serving = tokio::spawn(builder.serve_connection(stream, service));
    let (mut reader, mut writer) = client.into_split();
    for number in 0..10 {
        let request = format!("GET /{number} HTTP/1.1\r\nhost: x\r\n\r\n");
        writer.write_all(request.as_bytes()).await.unwrap();
    }
    writer.shutdown().await.unwrap();
    let (mut read, mut chunk) = (Vec::new(), [0; 3_001]);
    while let Ok(length @ 1..) = reader.read(&mut chunk).await {
        read.extend_from_slice(&chunk[..length]);
    }
    (read, serving.await.unwrap())
}

#[tokio::test]
async fn lines_are_in_their_own_heads_and_every_byte_is_the_bodys() {
    let mut builder = http1::Builder::new();
    builder
        .writev(true)
        .half_close(true)
        .auto_date_header(false);
    let (read, served) = received(builder).await;
    served.unwrap();
    let expected: Vec<String> = (0..10)
        .map(|number| {
            let (lines, body) = (lines_of(number), body_of(number));
            let length = body.len();
            format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{lines}\r\n{body}")
        })
        .collect();
    assert!(read == expected.concat().into_bytes());
}

/// Were they written all the same, they would stand in a body.
#[tokio::test]
async fn lines_are_not_written_where_other_bytes_are_behind_the_head() {
    let mut flattening = http1::Builder::new();
    flattening.pipeline_flush(true).auto_date_header(false);
    let (read, served) = received(flattening).await;
    served.unwrap_err();
    assert!(!read.windows(7).any(|seven| seven == b"x-which"));
}
