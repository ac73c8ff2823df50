//! Who stops in the midst of something is not waited for for ever, and nobody else waits meanwhile.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::{answer, head, request};
use crate::support::app::TestApp;

/// More than any kernel holds for a client that does not read.
const LARGE_BYTES: usize = 20_000_000;

/// Up to ten times as long as promised.
async fn within<T>(promised: u64, what: &str, work: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let done = tokio::time::timeout(Duration::from_secs(promised * 10), work).await;
    println!("{what}, promised after {promised} s: {:?}", begun.elapsed());
    done.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// Reads until the connection is gone, by an end or a reset.
async fn gone(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let _ = stream.read_to_end(&mut read).await;
    read
}

async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.client.0).await.unwrap()
}

async fn silent(app: &TestApp) {
    let mut stream = connect(app).await;
    within(
        10,
        "the end of one that never says a word",
        gone(&mut stream),
    )
    .await;
}

async fn slow_head(app: &TestApp) {
    let (mut reader, mut writer) = connect(app).await.into_split();
    let dripping = async {
        writer.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        while writer.write_all(b"y").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let mut read = Vec::new();
    let ended = async {
        let _ = reader.read_to_end(&mut read).await;
    };
    tokio::join!(dripping, within(10, "the end of a slow head", ended));
}

async fn idle(app: &TestApp, small: &str) {
    let mut stream = connect(app).await;
    stream
        .write_all(request(small, "").as_bytes())
        .await
        .unwrap();
    answer(&mut stream).await;
    let begun = Instant::now();
    let read = within(75, "the end of an idle connection", gone(&mut stream)).await;
    assert!(read.is_empty());
    assert!(
        begun.elapsed() > Duration::from_secs(70),
        "not before its time"
    );
}

async fn slow_body(app: &TestApp) {
    let mut stream = connect(app).await;
    let upload = "POST /v1/organizations/org_123/files/upload HTTP/1.1\r\nHost: x\r\n\
        X-API-Key: k1\r\nContent-Length: 1000000\r\n\
        Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"stalled\"\r\n\r\nbytes";
    stream.write_all(upload.as_bytes()).await.unwrap();
    let head = within(30, "the answer to a body that stops", head(&mut stream)).await;
    assert!(head.starts_with("HTTP/1.1 408"), "{head}");
    gone(&mut stream).await;
    let list = app
        .client
        .get("/v1/organizations/org_123/files", &[("X-API-Key", "k1")]);
    let stored = String::from_utf8(list.await.body).unwrap();
    assert!(
        stored.contains("report.png") && !stored.contains("stalled"),
        "{stored}"
    );
}

async fn slow_reader(app: &TestApp, large: &str) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(app.client.0).await.unwrap();
    stream
        .write_all(request(large, "").as_bytes())
        .await
        .unwrap();
    head(&mut stream).await;
    // A byte a second is less than 1 KiB in 30 seconds.
    for _ in 0..45 {
        stream.read_u8().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // What the kernel held, and no more.
    let read = gone(&mut stream).await.len() + 45;
    println!("a slow reader got {read} bytes");
    assert!(read < LARGE_BYTES, "it was not ended");
}

/// A client that takes in little at a time, but never stops for longer than it may, has the whole file: 13 KiB a second for
/// 45 seconds, and then pauses of 20 seconds. The kernel takes up to 1 MiB at once for it, or 512 KiB where half of that
/// went out.
async fn steady_reader(app: &TestApp, large: &str) {
    let mut stream = connect(app).await;
    let requests = request(large, "") + &request(large, "Range: bytes=5-6\r\n");
    stream.write_all(requests.as_bytes()).await.unwrap();
    head(&mut stream).await;
    let (begun, mut read) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(45) {
        read_on(&mut stream, &mut read, 4_096).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    for _ in 0..2 {
        read_on(&mut stream, &mut read, 2_000_000).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    let rest = LARGE_BYTES - read;
    read_on(&mut stream, &mut read, rest).await;
    // And the answer to the next request comes after it.
    let (head, body) = answer(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 206"), "{head}");
    assert_eq!(body, [pattern(5), pattern(6)]);
    println!("a steady reader got all after {:?}", begun.elapsed());
}

/// One that takes much, and then nothing for longer than it may.
async fn stopped_reader(app: &TestApp, large: &str) {
    let mut stream = connect(app).await;
    let request = request(large, "");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.read_exact(&mut vec![0; 2_000_000]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(40)).await;
    let read = gone(&mut stream).await.len() + 2_000_000;
    println!("a stopped reader got {read} bytes");
    assert!(read < LARGE_BYTES, "it was not ended");
}

/// Reads so many bytes of the large file more.
async fn read_on(stream: &mut TcpStream, read: &mut usize, length: usize) {
    let mut bytes = vec![0; length];
    let is_whole = stream.read_exact(&mut bytes).await.is_ok();
    assert!(is_whole, "it was ended after {read} bytes");
    let mut pairs = bytes.into_iter().zip(*read..);
    assert!(pairs.all(|(byte, place)| byte == pattern(place)));
    *read += length;
}

/// The byte of the large file at a place.
fn pattern(place: usize) -> u8 {
    u8::try_from(place % 251).unwrap()
}

async fn others(app: &TestApp, small: &str) {
    let (begun, mut answered) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(40) {
        assert_eq!(app.client.get(small, &[]).await.status, 200);
        answered += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("others were answered {answered} times meanwhile");
}

/// One after the other would take minutes, so all happen at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stops_is_ended_and_others_are_served_meanwhile() {
    let app = TestApp::start().await.with_org_123().await;
    let bytes: Vec<u8> = (0..LARGE_BYTES).map(pattern).collect();
    app.add("file_large", "large.bin", &bytes).await;
    let small = app.link("file_abc123", "").await;
    let large = app.link("file_large", "").await;
    tokio::join!(
        silent(&app),
        slow_head(&app),
        idle(&app, &small),
        slow_body(&app),
        slow_reader(&app, &large),
        steady_reader(&app, &large),
        stopped_reader(&app, &large),
        others(&app, &small)
    );
}
