//! Connections that wait parked for each next request: every byte is the file's, and they end as others do.

use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::bytes::{Case, SIZES, bytes, cases, narrow};
use super::{answer, head, request};
use crate::support::app::{PNG, TestApp};

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A connection, and what is asked on it, one after the other.
struct Asking {
    stream: Box<dyn Stream>,
    cases: std::vec::IntoIter<Case>,
    way: &'static str,
}

impl Asking {
    /// Asks for what is next, and compares the answer. The last one is asked again and again.
    async fn next(&mut self) {
        let Some(case) = self.cases.next() else {
            return;
        };
        let name = format!("{} by {}", case.name, self.way);
        self.stream
            .write_all(case.request.as_bytes())
            .await
            .unwrap();
        if case.request.starts_with("HEAD") || case.status == "304" {
            let head = head(&mut self.stream).await;
            assert!(
                head.contains(&format!(" {} ", case.status)),
                "{name}: {head}"
            );
            return;
        }
        let (head, body) = answer(&mut self.stream).await;
        assert!(
            head.contains(&format!(" {} ", case.status)),
            "{name}: {head}"
        );
        if case.status.starts_with('2') {
            assert!(body == case.body, "{name}: {head}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_is_the_files_on_connections_that_were_parked_before_each_request() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("socket");
    let unix = format!("unix:{}", socket.display());
    let app = TestApp::start_with(&[
        ("server.listen", "127.0.0.1:0"),
        ("server.listen", &unix),
        ("server.admin_listen", "127.0.0.1:0"),
    ])
    .await;
    let app = app.with_org_123().await;
    let admin = app.admin.expect("a private listener");
    let mut all = Vec::new();
    for size in SIZES {
        let (id, file) = (format!("file_{size}"), bytes(size));
        app.add(&id, "bytes.bin", &file).await;
        let link = app.link(&id, "").await;
        let streams: [(&str, Box<dyn Stream>); 3] = [
            (
                "TCP",
                Box::new(TcpStream::connect(app.client.0).await.unwrap()),
            ),
            ("narrow TCP", Box::new(narrow(&app).await)),
            (
                "Unix",
                Box::new(UnixStream::connect(&socket).await.unwrap()),
            ),
        ];
        for (way, stream) in streams {
            let cases = cases(&link, &file).into_iter();
            all.push(Asking { stream, cases, way });
        }
    }
    let count = all.len() as u64;
    while all.iter().any(|asking| asking.cases.len() > 0) {
        admin.until_parked(count).await;
        for asking in &mut all {
            asking.next().await;
        }
    }
    admin.until_parked(count).await;
    drop(all);
    admin.until_parked(0).await;
}

#[tokio::test]
async fn parked_connections_make_room_in_their_order_and_end_with_the_gateway() {
    let app = TestApp::start_with(&[
        ("server.connections_max", "2"),
        ("server.admin_listen", "127.0.0.1:0"),
    ])
    .await;
    let app = app.with_org_123().await;
    let (admin, link) = (app.admin.unwrap(), app.link("file_abc123", "").await);
    let ask = async |stream: &mut TcpStream| {
        let sent = request(&link, "");
        stream.write_all(sent.as_bytes()).await.unwrap();
        let (_, body) = answer(stream).await;
        assert_eq!(body, PNG);
    };
    let mut older = TcpStream::connect(app.client.0).await.unwrap();
    ask(&mut older).await;
    admin.until_parked(1).await;
    let mut younger = TcpStream::connect(app.client.0).await.unwrap();
    ask(&mut younger).await;
    admin.until_parked(2).await;
    // It is the one that has been idle longest no more.
    ask(&mut older).await;
    admin.until_parked(2).await;
    let mut third = TcpStream::connect(app.client.0).await.unwrap();
    ask(&mut third).await;
    let mut rest = Vec::new();
    younger.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "it made room");
    ask(&mut older).await;
    admin.until_parked(2).await;
    app.stop().await;
    for mut stream in [older, third] {
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty(), "it ended with the gateway");
    }
}

/// The half of a head is no reason to park, however long it takes.
#[tokio::test]
async fn a_head_that_comes_in_parts_is_waited_for_and_no_byte_of_it_is_lost() {
    let app = TestApp::start_with(&[("server.admin_listen", "127.0.0.1:0")]).await;
    let app = app.with_org_123().await;
    let (admin, link) = (app.admin.unwrap(), app.link("file_abc123", "").await);
    let sent = request(&link, "");
    let mut stream = TcpStream::connect(app.client.0).await.unwrap();
    let (mut first, mut other) = sent.as_bytes().split_at(sent.len() / 2);
    for _ in 0..3 {
        admin.until_parked(1).await;
        stream.write_all(first).await.unwrap();
        admin.until_parked(0).await;
        // Longer than an idle connection is left as it is.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        admin.until_parked(0).await;
        stream.write_all(other).await.unwrap();
        let (_, body) = answer(&mut stream).await;
        assert_eq!(body, PNG);
        (first, other) = sent.as_bytes().split_at(1);
    }
}
