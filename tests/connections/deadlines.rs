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
    app.add("file_large", "large.bin", &vec![7; LARGE_BYTES])
        .await;
    let small = app.link("file_abc123", "").await;
    let large = app.link("file_large", "").await;
    tokio::join!(
        silent(&app),
        slow_head(&app),
        idle(&app, &small),
        slow_body(&app),
        slow_reader(&app, &large),
        others(&app, &small)
    );
}
