//! Every byte, by every way that one can take: the size of the file, the part of it, TCP and Unix sockets,
//! clients that read slowly, and requests that come before the last answer has gone.

use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UnixStream};

use super::{answer, header, request};
use crate::support::app::TestApp;

/// Around every border that the code knows: none, small files, one piece of a file, several.
pub(super) const SIZES: [usize; 12] = [
    0,
    1,
    1_000,
    16 * 1024 - 1,
    16 * 1024,
    16 * 1024 + 1,
    128 * 1024,
    1024 * 1024 - 1,
    1024 * 1024,
    1024 * 1024 + 1,
    2 * 1024 * 1024 + 5,
    9_000_000,
];

/// Bytes in which no two neighbourhoods are alike, and none is zero.
pub(super) fn bytes(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0] | 1
    };
    (0..length).map(|_| next()).collect()
}

/// One request, and what must come back.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) request: String,
    pub(super) status: &'static str,
    pub(super) body: Vec<u8>,
}

fn case(name: &str, request: String, status: &'static str, body: &[u8]) -> Case {
    Case {
        name: name.to_owned(),
        request,
        status,
        body: body.to_vec(),
    }
}

/// What is asked of one file.
pub(super) fn cases(link: &str, file: &[u8]) -> Vec<Case> {
    let size = file.len();
    let mut cases = vec![
        case("whole", request(link, ""), "200", file),
        case(
            "head",
            request(link, "").replacen("GET", "HEAD", 1),
            "200",
            b"",
        ),
        case(
            "not modified",
            request(link, "If-None-Match: *\r\n"),
            "304",
            b"",
        ),
        case("a bad link", request(&format!("{link}x"), ""), "401", b""),
        case("failed", request(link, "If-Match: \"x\"\r\n"), "412", b""),
    ];
    let half = size / 2;
    for (first, last) in [
        (0, 0),
        (0, size - size.min(1)),
        (half, half + 70_000),
        (1, half),
    ] {
        let last_sent = last.min(size.saturating_sub(1));
        if first < size && first <= last {
            let range = request(link, &format!("Range: bytes={first}-{last}\r\n"));
            cases.push(case(
                &format!("{first} to {last}"),
                range,
                "206",
                &file[first..=last_sent],
            ));
        }
    }
    cases.push(case(
        "outside",
        request(link, &format!("Range: bytes={size}-\r\n")),
        "416",
        b"",
    ));
    cases
}

/// Several parts of one answer: the body is read by its own boundary.
fn check_parts(name: &str, head: &str, body: &[u8], file: &[u8]) {
    let kind = header(head, "content-type").unwrap();
    let boundary = kind.split("boundary=").nth(1).unwrap();
    let mut rest = body;
    let mut parts = 0;
    loop {
        let opening = format!("\r\n--{boundary}\r\n");
        let Some(after) = rest.strip_prefix(opening.as_bytes()) else {
            break;
        };
        let end = after
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let lines = std::str::from_utf8(&after[..end]).unwrap();
        let range = header(lines, "content-range").unwrap();
        let (first, last) = range["bytes ".len()..]
            .split_once('/')
            .and_then(|(range, _)| range.split_once('-'))
            .unwrap();
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        let bytes = &after[end + 4..][..=last - first];
        assert!(
            bytes == &file[first..=last],
            "{name}: part {first} to {last}"
        );
        rest = &after[end + 4 + bytes.len()..];
        parts += 1;
    }
    assert_eq!(rest, format!("\r\n--{boundary}--\r\n").as_bytes(), "{name}");
    assert_eq!(parts, 3, "{name}");
}

/// Sends all requests at once, and compares the answers while it reads them, as slowly as told.
async fn run_pipelined(
    stream: impl AsyncRead + AsyncWrite,
    cases: &[Case],
    pause: Option<Duration>,
) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = Slow { reader, pause };
    let all: String = cases.iter().map(|case| case.request.as_str()).collect();
    let sending = async { writer.write_all(all.as_bytes()).await.unwrap() };
    let reading = async {
        for case in cases {
            let head = super::head(&mut reader.reader).await;
            let name = &case.name;
            assert!(
                head.starts_with(&format!("HTTP/1.1 {}", case.status)),
                "{name}: {head}"
            );
            if case.request.starts_with("HEAD") || case.status == "304" {
                continue;
            }
            let length: usize = header(&head, "content-length").unwrap().parse().unwrap();
            let body = reader.exactly(length).await;
            if case.status.starts_with('2') {
                assert!(body == case.body, "{name}: {head}");
            }
        }
    };
    tokio::join!(sending, reading);
}

struct Slow<R> {
    reader: R,
    pause: Option<Duration>,
}

impl<R: AsyncRead + Unpin> Slow<R> {
    async fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut body = vec![0; length];
        for chunk in body.chunks_mut(60_000) {
            if let Some(pause) = self.pause {
                tokio::time::sleep(pause).await;
            }
            self.reader.read_exact(chunk).await.unwrap();
        }
        body
    }
}

/// A connection on which the kernel holds little, so that the server has to wait again and again.
pub(super) async fn narrow(app: &TestApp) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(app.client.0).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_by_every_way_is_the_files() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("socket");
    let unix = format!("unix:{}", socket.display());
    let listen = ["127.0.0.1:0", &unix].map(|at| ("server.listen", at));
    let app = TestApp::start_with(&listen).await;
    let app = app.with_org_123().await;
    let pause = Some(Duration::from_micros(300));
    for size in SIZES {
        let (id, file) = (format!("file_{size}"), bytes(size));
        app.add(&id, "bytes.bin", &file).await;
        let link = app.link(&id, "").await;
        let cases = cases(&link, &file);
        // Twice: what is kept in memory after the first time must be the same.
        for _ in 0..2 {
            for case in &cases {
                let mut stream = TcpStream::connect(app.client.0).await.unwrap();
                let sent = case.request.as_bytes();
                stream.write_all(sent).await.unwrap();
                run_pipelined_one(stream, case).await;
            }
        }
        let tcp = TcpStream::connect(app.client.0).await.unwrap();
        run_pipelined(tcp, &cases, None).await;
        run_pipelined(narrow(&app).await, &cases, pause).await;
        let unix = UnixStream::connect(&socket).await.unwrap();
        run_pipelined(unix, &cases, None).await;
        let unix = UnixStream::connect(&socket).await.unwrap();
        run_pipelined(unix, &cases, pause).await;
        if size > 100_000 {
            let ranges = format!("Range: bytes=0-9,500-{},-20\r\n", size / 2);
            for mut stream in [
                TcpStream::connect(app.client.0).await.unwrap(),
                narrow(&app).await,
            ] {
                stream
                    .write_all(request(&link, &ranges).as_bytes())
                    .await
                    .unwrap();
                let (head, body) = answer(&mut stream).await;
                assert!(head.starts_with("HTTP/1.1 206"), "{head}");
                check_parts(&id, &head, &body, &file);
            }
        }
    }
}

/// The client has said all it wants to say and closes its side, as `nc -N` does.
async fn run_pipelined_one(mut stream: TcpStream, case: &Case) {
    stream.shutdown().await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let head = std::str::from_utf8(&all[..end]).unwrap();
    assert!(
        head.starts_with(&format!("HTTP/1.1 {}", case.status)),
        "{}: {head}",
        case.name
    );
    if case.status.starts_with('2') {
        assert!(all[end..] == case.body, "{}", case.name);
    }
}
