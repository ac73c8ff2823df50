//! The trick, under a real hyper on real sockets.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::Write as _;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::rt::Write as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::*;

/// A file whose every byte tells where it stands.
fn file(length: usize) -> (Arc<File>, Vec<u8>) {
    let bytes: Vec<u8> = (1..=251).cycle().take(length).collect();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    (Arc::new(file), bytes)
}

#[derive(Debug)]
struct Nobody;

impl Owner for Nobody {
    fn note_fault(&self, fault: &io::Error) {
        assert_eq!(fault.kind(), io::ErrorKind::UnexpectedEof);
    }
}

/// A part of a response: text, or a region of the file.
#[derive(Clone, Copy, Debug)]
enum Part {
    Text(&'static str),
    Region(usize, usize),
}

fn length(parts: &[Part]) -> usize {
    let of = |part: &Part| match part {
        Part::Text(text) => text.len(),
        Part::Region(_, length) => *length,
    };
    parts.iter().map(of).sum()
}

fn expected(parts: &[Part], bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => all.extend_from_slice(text.as_bytes()),
            Part::Region(offset, length) => {
                all.extend_from_slice(&bytes[*offset..offset + length]);
            }
        }
    }
    all
}

/// Returns the lines to add to the head of every other response: few, or more than a socket takes at once.
fn lines(which: usize) -> Option<Bytes> {
    let text = |length| format!("x-which: {which}\r\nx-long: {}\r\n", "x".repeat(length));
    (which % 2 == 1).then(|| text(which % 5 * 300_000).into())
}

/// Serves one connection; the path of a request says which of the responses it wants.
async fn serve(
    socket: Socket,
    file: Arc<File>,
    responses: Arc<Vec<Vec<Part>>>,
    builder: http1::Builder,
) -> hyper::Result<()> {
    let regions = Regions::new();
    let wire = Wire::new(socket, Bytes::new(), regions.clone());
    let wire = wire.with_budget(Arc::default());
    let service = service_fn(move |request: Request<Incoming>| {
        let which: usize = request.uri().path()[1..].parse().unwrap();
        let parts = responses[which].clone();
        let length = length(&parts);
        let (regions, file) = (regions.clone(), Arc::clone(&file));
        if let Some(lines) = lines(which).filter(|_| length > 0) {
            regions.add_to_head(lines);
        }
        let frames = parts.into_iter().map(move |part| {
            let piece = match part {
                Part::Text(text) => BodyPiece::from(Bytes::from_static(text.as_bytes())),
                Part::Region(offset, length) => {
                    regions.hand_over(Arc::clone(&file), offset as u64, length, Arc::new(Nobody))
                }
            };
            Ok::<_, Infallible>(Frame::data(piece))
        });
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let response = Response::builder().header("content-length", length);
        async move { Ok::<_, Infallible>(response.body(body).unwrap()) }
    });
    builder.serve_connection(wire, service).await
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.writev(true);
    builder
}

/// Writes regions of a file to a wire until its socket takes no more.
async fn fill(wire: &mut Wire, regions: &Regions, file: &Arc<File>) {
    loop {
        let mut piece = regions.hand_over(Arc::clone(file), 0, REGION_BYTES_MAX, Arc::new(Nobody));
        while piece.has_remaining() {
            let slices = [IoSlice::new(piece.chunk())];
            let write = poll_fn(|context| {
                Poll::Ready(Pin::new(&mut *wire).poll_write_vectored(context, &slices))
            });
            let Poll::Ready(written) = write.await else {
                return;
            };
            piece.advance(written.unwrap());
        }
    }
}

/// The unsent bytes of many large answers are no more than those of some, but for the least that each has.
#[tokio::test]
async fn many_large_answers_have_the_budget_together() {
    const CONNECTIONS: u32 = 200;
    let (file, _) = file(REGION_BYTES_MAX);
    let budget = Arc::new(UnsentBudget::default());
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let (server, client) = tcp().await;
        let regions = Regions::new();
        let wire = Wire::new(Socket::Tcp(server), Bytes::new(), regions.clone());
        let mut wire = wire.with_budget(Arc::clone(&budget));
        fill(&mut wire, &regions, &file).await;
        open.push((wire, client));
    }
    let unsent: Vec<u32> = open
        .iter()
        .map(|(wire, _)| wire.tcp_info().unwrap().unsent_bytes)
        .collect();
    // The kernel takes a segment to its end.
    let segment = 64 * 1024;
    let all: u32 = unsent.iter().sum();
    let max = (64 << 20) + CONNECTIONS * (UNSENT_BYTES + segment);
    assert!(all <= max, "{all}");
    assert!(unsent[0] > 512 * 1024, "{}", unsent[0]);
    let last = unsent.last().unwrap();
    assert!(*last <= UNSENT_BYTES + segment, "{last}");
    // Once they are gone, the next has the largest part again.
    drop(open);
    let (server, _client) = tcp().await;
    let regions = Regions::new();
    let wire = Wire::new(Socket::Tcp(server), Bytes::new(), regions.clone());
    let mut wire = wire.with_budget(budget);
    fill(&mut wire, &regions, &file).await;
    assert!(wire.tcp_info().unwrap().unsent_bytes > 512 * 1024);
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await;
    (listener.accept().await.unwrap().0, client.unwrap())
}

/// The head and the body of the next response in what a client read, if all of it is there.
fn next_response(read: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let head = memchr::memmem::find(read, b"\r\n\r\n")? + 4;
    let text = String::from_utf8(read[..head].to_vec()).unwrap();
    let length = text.split("content-length: ").nth(1)?.split('\r').next()?;
    let end = head + length.parse::<usize>().unwrap();
    if read.len() < end {
        return None;
    }
    let body = read[head..end].to_vec();
    read.drain(..end);
    Some((text, body))
}

/// Asks for all responses at once, reads as slowly as told, and compares every byte.
async fn compare(
    server: Socket,
    client: impl tokio::io::AsyncRead + tokio::io::AsyncWrite,
    responses: Vec<Vec<Part>>,
    pause: Option<Duration>,
) {
    let (file, bytes) = file(3 * REGION_BYTES_MAX + 12_345);
    let responses = Arc::new(responses);
    let serving = tokio::spawn(serve(server, file, Arc::clone(&responses), builder()));
    let (mut reader, mut writer) = tokio::io::split(client);
    for number in 0..responses.len() {
        let request = format!("GET /{number} HTTP/1.1\r\nhost: x\r\n\r\n");
        writer.write_all(request.as_bytes()).await.unwrap();
    }
    let (mut read, mut chunk) = (Vec::new(), vec![0; 50_000]);
    for (number, parts) in responses.iter().enumerate() {
        let (head, body) = loop {
            if let Some(response) = next_response(&mut read) {
                break response;
            }
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            let length = reader.read(&mut chunk).await.unwrap();
            assert_ne!(length, 0, "the connection ended within {parts:?}");
            read.extend_from_slice(&chunk[..length]);
        };
        assert!(body == expected(parts, &bytes), "{parts:?}");
        let lines = lines(number).filter(|_| !body.is_empty());
        let lines = lines.map(|lines| String::from_utf8(lines.to_vec()).unwrap());
        assert_eq!(head.matches("x-which").count(), lines.iter().count());
        assert!(head.contains(&lines.unwrap_or_default()), "{parts:?}");
    }
    drop((reader, writer));
    serving.abort();
}

/// One of each, in an order that puts regions beside text, beside one another and across responses.
fn all_kinds() -> Vec<Vec<Part>> {
    use Part::{Region, Text};
    let max = REGION_BYTES_MAX;
    vec![
        vec![Region(0, 1)],
        vec![Text("only text")],
        vec![Region(1, 1023), Text("between"), Region(5, 70_000)],
        vec![Text("head"), Region(0, 4096), Text("tail")],
        vec![Region(0, max), Region(max, max), Region(77, 1)],
        vec![],
        vec![Region(max - 1, 2), Region(0, 2), Region(9, 2)],
        [Text("a"), Region(3, 10)].repeat(40),
        vec![Region(2 * max + 12_345, max)],
    ]
}

#[tokio::test]
async fn every_byte_is_the_files_on_tcp() {
    let (server, client) = tcp().await;
    compare(Socket::Tcp(server), client, all_kinds(), None).await;
}

#[tokio::test]
async fn every_byte_is_the_files_on_a_unix_socket() {
    let (server, client) = UnixStream::pair().unwrap();
    compare(Socket::Unix(server), client, all_kinds(), None).await;
}

#[tokio::test]
async fn every_byte_is_the_files_for_a_client_that_reads_slowly() {
    let (server, client) = UnixStream::pair().unwrap();
    let pause = Some(Duration::from_millis(1));
    compare(Socket::Unix(server), client, all_kinds(), pause).await;
    let (server, client) = tcp().await;
    compare(Socket::Tcp(server), client, all_kinds(), pause).await;
}

/// Returns the bytes that a client gets of one response, and whether serving it was an error.
async fn received(
    file: Arc<File>,
    parts: Vec<Part>,
    builder: http1::Builder,
) -> (Vec<u8>, hyper::Result<()>) {
    let (server, mut client) = tcp().await;
    let responses = Arc::new(vec![parts]);
    let serving = tokio::spawn(serve(Socket::Tcp(server), file, responses, builder));
    let request = b"GET /0 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut read = Vec::new();
    // It may end in a reset.
    let _ = client.read_to_end(&mut read).await;
    (read, serving.await.unwrap())
}

/// A failure means that hyper copies what it should hand through, and clients would be sent zeros.
#[tokio::test]
async fn a_piece_that_was_copied_is_never_sent() {
    let (file, _) = file(100_000);
    let mut flattening = builder();
    flattening.pipeline_flush(true);
    for parts in [
        vec![Part::Region(0, 100_000)],
        vec![Part::Text("text"), Part::Region(0, 1)],
        vec![Part::Region(0, 10), Part::Text("text")],
    ] {
        let (read, served) = received(Arc::clone(&file), parts.clone(), flattening.clone()).await;
        assert!(served.is_err(), "{parts:?}");
        assert!(!read.contains(&0), "{parts:?}: zeros went out");
        let (read, served) = received(Arc::clone(&file), parts.clone(), builder()).await;
        assert!(served.is_ok(), "{parts:?}");
        assert!(!read.contains(&0), "{parts:?}: zeros went out");
    }
}

/// Lines are never sent where hyper has put other bytes behind the head.
#[tokio::test]
async fn lines_are_never_sent_but_in_a_head() {
    let (file, _) = file(10);
    let mut flattening = builder();
    flattening.pipeline_flush(true);
    let (server, mut client) = tcp().await;
    let responses = Arc::new(vec![vec![], vec![Part::Text("text")]]);
    let serving = tokio::spawn(serve(Socket::Tcp(server), file, responses, flattening));
    let request = b"GET /1 HTTP/1.1\r\nhost: x\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut read = Vec::new();
    let _ = client.read_to_end(&mut read).await;
    assert!(serving.await.unwrap().is_err());
    assert_eq!(read, b"");
}

#[tokio::test]
async fn a_file_that_is_too_short_ends_the_connection() {
    let (file, bytes) = file(50_000);
    let (read, served) = received(file, vec![Part::Region(0, 60_000)], builder()).await;
    assert!(served.is_err());
    let body = read
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    assert!(
        bytes == read[body..],
        "the bytes that there are, and no more"
    );
}

/// Only regions that were handed over pass the one check that all writes go through.
#[test]
fn only_what_was_handed_over_is_let_through() {
    let (file, _) = file(10);
    let regions = Regions::new();
    let own = |count: usize| -> Vec<BodyPiece> {
        (0..count)
            .map(|_| regions.hand_over(Arc::clone(&file), 0, 5, Arc::new(Nobody)))
            .collect()
    };
    let check = |slices: &[&[u8]]| {
        let slices: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        regions.lock().check(&slices).ok()
    };
    assert_eq!(check(&[b"text"]), Some(1));
    assert_eq!(check(&[]), Some(0));
    let pieces = own(2);
    let (first, second) = (pieces[0].chunk(), pieces[1].chunk());
    assert_eq!(check(&[b"text", first, second]), Some(1));
    assert_eq!(check(&[first, b"text", second]), Some(0));
    for wrong in [
        &[b"text" as &[u8]] as &[&[u8]],
        &[first],
        &[second, first],
        &[first, first],
        &[first, second, second],
        &[&first[1..], second],
        &[&first[..4], second],
        &[&[0; 5], &[0; 5]],
        &[],
    ] {
        assert_eq!(check(wrong), None, "{wrong:?}");
    }
    let other = Regions::new();
    let stray = other.hand_over(Arc::clone(&file), 0, 5, Arc::new(Nobody));
    assert_eq!(check(&[first, second, stray.chunk()]), None);
    regions.lock().advance(5);
    regions.lock().advance(2);
    assert_eq!(check(&[second]), None, "some of it is out already");
    let mut rest = pieces;
    rest[1].advance(2);
    assert_eq!(check(&[rest[1].chunk()]), Some(0));
}
