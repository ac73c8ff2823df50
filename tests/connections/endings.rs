//! How connections end: answers that come early are read, and there is room for the next one.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::{answer, head, header, request};
use crate::support::app::TestApp;

/// How much a client sends that nobody wants.
const UNWANTED: usize = 3_000_000;

#[tokio::test]
async fn an_answer_before_the_end_of_an_upload_is_read_every_time() {
    let app = TestApp::start_with(&[("uploads.size_max", "100KiB")]).await;
    let app = app.with_org_123().await;
    let upload = |key: &str| {
        format!(
            "POST /v1/organizations/org_123/files/upload HTTP/1.1\r\nHost: x\r\n\
            X-API-Key: {key}\r\nContent-Length: {UNWANTED}\r\n\
            Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n"
        )
    };
    for (key, status) in [("wrong", "401"), ("k1", "413")].repeat(15) {
        let stream = TcpStream::connect(app.client.0).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let mut all = upload(key).into_bytes();
        all.resize(all.len() + UNWANTED, b'x');
        // A client that sends all it has before it reads a word.
        writer.write_all(&all).await.unwrap();
        let (head, _) = answer(&mut reader).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
        assert_eq!(header(&head, "connection"), Some("close"));
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
    }
}

#[tokio::test]
async fn a_refused_upload_is_not_asked_to_go_on() {
    let app = TestApp::start().await.with_org_123().await;
    let mut stream = TcpStream::connect(app.client.0).await.unwrap();
    let upload = "POST /v1/organizations/org_123/files/upload HTTP/1.1\r\nHost: x\r\n\
        Expect: 100-continue\r\nContent-Length: 10\r\n\
        Content-Type: multipart/form-data; boundary=b\r\n\r\n";
    stream.write_all(upload.as_bytes()).await.unwrap();
    let head = head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 401"), "{head}");
}

#[tokio::test]
async fn the_longest_idle_connection_makes_room_and_a_busy_one_does_not() {
    let app = TestApp::start_with(&[("server.connections_max", "2")]).await;
    let app = app.with_org_123().await;
    app.add("file_large", "large.bin", &vec![7; 20_000_000])
        .await;
    let (small, large) = (
        app.link("file_abc123", "").await,
        app.link("file_large", "").await,
    );
    let open = async |target: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(app.client.0).await.unwrap();
        stream
            .write_all(request(target, "").as_bytes())
            .await
            .unwrap();
        let head = head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        stream
    };
    let mut idle = open(&small).await;
    // It is idle when the last of its answer is out.
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let mut busy = open(&large).await;
    let third = open(&large).await;
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert_eq!(
        rest.len(),
        crate::support::app::PNG.len(),
        "the idle one was closed, its answer whole"
    );
    // Both places are taken by downloads now.
    let mut waiting = Box::pin(open(&small));
    let patience = Duration::from_secs(2);
    assert!(tokio::time::timeout(patience, &mut waiting).await.is_err());
    drop(third);
    tokio::time::timeout(patience * 10, waiting).await.unwrap();
    let mut whole = vec![0; 20_000_000];
    busy.read_exact(&mut whole)
        .await
        .expect("a busy one is left alone");
}

/// Who opens connections and says one byte on each keeps nobody out.
#[tokio::test]
async fn the_oldest_unfinished_head_makes_room_and_younger_ones_stay() {
    let app = TestApp::start_with(&[("server.connections_max", "3")]).await;
    let app = app.with_org_123().await;
    let target = app.link("file_abc123", "").await;
    let mut unfinished = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(app.client.0).await.unwrap();
        stream.write_all(b"G").await.unwrap();
        unfinished.push(stream);
        // The clock of connections is coarse: so each is older than the next.
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    let reply = app.client.get(&target, &[]).await;
    assert_eq!(reply.status, 200);
    let mut rest = Vec::new();
    unfinished[0].read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "it was closed without an answer");
    let mut youngest = unfinished.pop().unwrap();
    let whole = request(&target, "Connection: close\r\n");
    youngest.write_all(&whole.as_bytes()[1..]).await.unwrap();
    let head = head(&mut youngest).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

/// A client that takes nothing holds a place for ten seconds, not for the thirty after which it is ended anyway.
#[tokio::test]
async fn the_client_that_has_taken_nothing_for_longest_makes_room() {
    let app = TestApp::start_with(&[("server.connections_max", "2")]).await;
    let app = app.with_org_123().await;
    app.add("file_large", "large.bin", &vec![7; 20_000_000])
        .await;
    let large = app.link("file_large", "").await;
    let open = async || {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(app.client.0).await.unwrap();
        let request = request(&large, "");
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        stream
    };
    let mut stalled = open().await;
    let mut reads = open().await;
    let target = app.link("file_abc123", "").await;
    let (reply, whole) = tokio::join!(app.client.get(&target, &[]), async {
        // It is slow, but goes on: the kernel tells of it after some 64 KiB each time.
        let mut some = vec![0; 32_768];
        for _ in 0..14 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            reads.read_exact(&mut some).await?;
        }
        let mut rest = vec![0; 20_000_000 - 14 * some.len()];
        reads.read_exact(&mut rest).await
    });
    assert_eq!(reply.status, 200);
    whole.expect("the slow one was left alone");
    let mut rest = Vec::new();
    // With a reset, or cut off.
    let ended = stalled.read_to_end(&mut rest).await;
    assert!(ended.is_err() || rest.len() < 20_000_000);
}

/// A file in place is its owner's, who may write to it at any moment.
#[tokio::test]
async fn a_file_that_is_written_to_while_it_is_sent_is_never_sent_as_half_of_each() {
    let kept = tempfile::tempdir().unwrap();
    let root = kept.path().canonicalize().unwrap();
    let app = TestApp::start_with(&[("blobs.in_place_roots", root.to_str().unwrap())]).await;
    let app = app.with_org_123().await;
    let path = root.join("large.bin");
    std::fs::write(&path, vec![1; 20_000_000]).unwrap();
    app.register("file_large", &path).await;
    let link = app.link("file_large", "").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(app.client.0).await.unwrap();
    let sent = request(&link, "");
    stream.write_all(sent.as_bytes()).await.unwrap();
    head(&mut stream).await;
    // As long as before, and in the same place.
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, &vec![2; 20_000_000]).unwrap();
    let mut read = Vec::new();
    let _ = stream.read_to_end(&mut read).await;
    assert!(read.len() < 20_000_000, "it was sent to its end");
}
