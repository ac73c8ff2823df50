//! Downloads that are under way when their links are revoked, over every transport.
//!
//! The client reads the head, and no more until the audit stream has told how each of them ended. What it has got by
//! then is what it and the kernel hold.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hallpass::config::{Listen, keyring_file};
use hallpass::model::time::UnixSeconds;
use hallpass::server::installation::drawn_key;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UnixStream};

use super::{ALL, ONE, naming, revoke};
use crate::support::app::{T0, TestApp, target};
use crate::transport::Pair;
use hallpass::model::key::{Scope, Scopes};

/// More than any kernel holds for a client that does not read.
const LARGE_BYTES: usize = 20_000_000;

/// The longest wait for all of them to have ended.
const PATIENCE: Duration = Duration::from_secs(20);

/// A download of which the head was read.
enum Begun {
    Http1(Box<dyn AsyncRead + Unpin + Send>),
    Http2(h2::RecvStream),
}

impl Begun {
    /// Reads on, and answers the bytes of the body and whether it ended as it should.
    async fn rest(self) -> (usize, bool) {
        match self {
            Self::Http1(mut stream) => {
                let mut bytes = Vec::new();
                // With a reset, or cut off.
                let read = stream.read_to_end(&mut bytes).await;
                (bytes.len(), read.is_ok())
            }
            Self::Http2(mut body) => {
                let mut length = 0;
                while let Some(chunk) = body.data().await {
                    match chunk {
                        Ok(chunk) => {
                            length += chunk.len();
                            body.flow_control().release_capacity(chunk.len()).unwrap();
                        }
                        Err(error) => {
                            assert_eq!(error.reason(), Some(h2::Reason::CANCEL));
                            assert!(error.is_reset(), "of the stream, not the connection");
                            return (length, false);
                        }
                    }
                }
                (length, true)
            }
        }
    }
}

/// Begins a download over HTTP/1. The connection ends with it.
async fn begin(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    link: &str,
    headers: &str,
) -> Begun {
    let request = format!("GET {link} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 20"), "{head:?}");
    Begun::Http1(Box::new(stream))
}

/// A connection that takes little at once.
async fn narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(address).await.unwrap()
}

/// A client of HTTP/2 whose windows have the size that they begin with: 64 KiB.
struct Http2(h2::client::SendRequest<Bytes>);

impl Http2 {
    async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (send, connection) = h2::client::Builder::new()
            // Of the connection: several downloads wait beside one another.
            .initial_connection_window_size(1 << 20)
            .handshake(stream)
            .await
            .unwrap();
        tokio::spawn(connection);
        Self(send)
    }

    async fn begin(&self, link: &str) -> Begun {
        let mut send = self.0.clone().ready().await.unwrap();
        let request = http::Request::get(format!("http://localhost{link}"));
        let (response, _) = send.send_request(request.body(()).unwrap(), true).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        Begun::Http2(response.into_body())
    }
}

/// The outcomes of all downloads that ended, by their link ids.
fn outcomes(app: &TestApp) -> Vec<(String, String)> {
    let audit = app.directory.path().join("audit.jsonl");
    let text = std::fs::read_to_string(audit).unwrap_or_default();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let downloads = lines.filter(|line| line["event"] == "download");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    downloads
        .map(|line| (text(&line["link_id"]), text(&line["outcome"])))
        .collect()
}

/// Waits until so many downloads have ended as their links were revoked, and no other has.
async fn revoked(app: &TestApp, count: usize) {
    let begun = Instant::now();
    loop {
        let ended = outcomes(app);
        let revoked = ended.iter().filter(|(_, outcome)| outcome == "revoked");
        if revoked.count() == count {
            assert_eq!(ended.len(), count, "{ended:?}");
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{count}: {ended:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A gateway that listens everywhere and looks every second, with a large file, and a key `root` that may revoke.
async fn everywhere(
    pair: &Pair,
    place: &Path,
    more: &[(&'static str, &str)],
) -> (TestApp, SocketAddr) {
    let unix = format!("unix:{}", place.join("socket").display());
    let mut settings = vec![
        ("server.listen", unix.as_str()),
        ("server.http2", "on"),
        ("links.recheck_interval", "1s"),
    ];
    settings.extend(more);
    let (app, tls) = pair.app(&settings).await;
    app.api_key("org_123", "root", Scopes::of(&[Scope::Admin]))
        .await;
    app.add("large", "large.bin", &vec![7; LARGE_BYTES]).await;
    (app, tls)
}

fn link(minted: &Value) -> String {
    target(minted["download_url"].as_str().unwrap())
}

#[tokio::test]
async fn a_download_ends_soon_after_its_link_is_revoked_and_those_beside_it_go_on() {
    let (pair, place) = (Pair::new(), tempfile::tempdir().unwrap());
    let (app, tls) = everywhere(&pair, place.path(), &[]).await;
    assert!(matches!(app.listeners[2], Listen::Unix(_)));
    let socket = place.path().join("socket");
    let minted = app.mint("large", "").await;
    let (leaked, good) = (
        link(&minted),
        app.link("large", "disposition=attachment").await,
    );
    let over_tls = async |protocols| {
        let stream = narrow(tls).await;
        pair.connect_over(stream, protocols).await.unwrap()
    };
    let (mut of_leaked, mut of_good) = (Vec::new(), Vec::new());
    // Each connection is used at once: one without a request is ended after ten seconds.
    let two = Http2::over(narrow(app.client.0).await).await;
    of_leaked.push(two.begin(&leaked).await);
    let two_tls = Http2::over(over_tls(&["h2"]).await).await;
    of_leaked.push(two_tls.begin(&leaked).await);
    let two_unix = Http2::over(UnixStream::connect(&socket).await.unwrap()).await;
    of_leaked.push(two_unix.begin(&leaked).await);
    let parts = "Range: bytes=0-9999999,10000002-19999999\r\n";
    for (link, begun) in [(&leaked, &mut of_leaked), (&good, &mut of_good)] {
        let unix = UnixStream::connect(&socket).await.unwrap();
        begun.push(begin(narrow(app.client.0).await, link, "").await);
        begun.push(begin(narrow(app.client.0).await, link, parts).await);
        begun.push(begin(over_tls(&["http/1.1"]).await, link, "").await);
        begun.push(begin(unix, link, "").await);
    }
    for connection in [&two, &two_tls, &two_unix] {
        of_good.push(connection.begin(&good).await);
    }
    let count = of_leaked.len();
    revoke(&app, ONE, &naming(&minted)).await;
    revoked(&app, count).await;
    for (which, download) in of_leaked.into_iter().enumerate() {
        let (length, _) = download.rest().await;
        assert!(length < LARGE_BYTES / 2, "{which}: {length} bytes came");
    }
    for (which, download) in of_good.into_iter().enumerate() {
        let (length, is_whole) = download.rest().await;
        assert!(is_whole && length + 10 > LARGE_BYTES, "{which}: {length}");
    }
    assert_eq!(
        app.client
            .get(&good, &[("Range", "bytes=0-2")])
            .await
            .status,
        206
    );
}

/// Nothing but the last piece waits for the client, and of that it has the beginning.
#[tokio::test]
async fn the_last_piece_of_an_answer_ends_with_its_link_too() {
    const WINDOW: usize = 60_000;
    let (pair, place) = (Pair::new(), tempfile::tempdir().unwrap());
    let (app, tls) = everywhere(&pair, place.path(), &[]).await;
    app.add("middle", "middle.bin", &[7; WINDOW + 5_000]).await;
    let minted = app.mint("middle", "").await;
    let socket = place.path().join("socket");
    let connections: [Box<dyn Stream>; 3] = [
        Box::new(TcpStream::connect(app.client.0).await.unwrap()),
        Box::new(pair.connect(tls, &["h2"]).await.unwrap()),
        Box::new(UnixStream::connect(&socket).await.unwrap()),
    ];
    let mut begun = Vec::new();
    for connection in connections {
        let (send, connection) = h2::client::Builder::new()
            .initial_window_size(60_000)
            .handshake(connection)
            .await
            .unwrap();
        tokio::spawn(connection);
        let Begun::Http2(mut body) = Http2(send).begin(&link(&minted)).await else {
            unreachable!()
        };
        let mut came = 0;
        while came < WINDOW {
            came += body.data().await.unwrap().unwrap().len();
        }
        begun.push(Begun::Http2(body));
    }
    revoke(&app, ONE, &naming(&minted)).await;
    revoked(&app, begun.len()).await;
    for download in begun {
        let (length, is_whole) = download.rest().await;
        assert!(length == 0 && !is_whole, "{length}");
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Bytes that lie in memory, and bytes that may only go out so fast.
#[tokio::test]
async fn bytes_in_memory_and_throttled_ones_end_too() {
    let (pair, place) = (Pair::new(), tempfile::tempdir().unwrap());
    let more = [
        ("cache.small_file_max", "1MiB"),
        ("limits.link_bytes_per_second", "2KiB"),
    ];
    let (app, _) = everywhere(&pair, place.path(), &more).await;
    app.add("small", "small.bin", &[7; 500_000]).await;
    let two = Http2::over(narrow(app.client.0).await).await;
    let mut begun = Vec::new();
    for file in ["small", "large"] {
        let minted = app.mint(file, "").await;
        begun.push(begin(narrow(app.client.0).await, &link(&minted), "").await);
        begun.push(two.begin(&link(&minted)).await);
        revoke(&app, ONE, &naming(&minted)).await;
    }
    revoked(&app, begun.len()).await;
    for download in begun {
        let (length, _) = download.rest().await;
        assert!(length < 500_000, "{length}");
    }
}

/// By this process or by another: a file's links, an organization's, and a signing key's.
#[tokio::test]
async fn every_kind_of_revocation_ends_downloads() {
    let (pair, place) = (Pair::new(), tempfile::tempdir().unwrap());
    let (app, _) = everywhere(&pair, place.path(), &[]).await;
    let mut ended = 0;
    let mut ends = async |what: &str| {
        let (file, other) = ("large", app.link("file_abc123", "").await);
        let download = begin(narrow(app.client.0).await, &app.link(file, "").await, "").await;
        match what {
            "of the file" => app.revoke_links_of(file).await,
            "of the organization" => drop(revoke(&app, ALL, "").await),
            _ => retire_the_active_key(&app),
        }
        ended += 1;
        revoked(&app, ended).await;
        let (length, _) = download.rest().await;
        assert!(length < LARGE_BYTES / 2, "{what}: {length}");
        let is_of_the_file = what == "of the file";
        let status = app.client.get(&other, &[]).await.status;
        assert_eq!(status, if is_of_the_file { 200 } else { 401 }, "{what}");
        // That one is in the audit stream as well.
        ended += usize::from(is_of_the_file);
    };
    ends("of the organization").await;
    ends("of the signing key").await;
    ends("of the file").await;
}

/// Puts another key into the keyring's file, as an operator does, and retires the one that signed so far.
fn retire_the_active_key(app: &TestApp) {
    let path = app.directory.path().join("data/keyring.toml");
    let keyring = keyring_file::read(&path).unwrap();
    let old = keyring.active().clone();
    let (kid, secret) = drawn_key().unwrap();
    let now = UnixSeconds::new(T0).unwrap();
    let keyring = keyring_file::generate(Some(keyring), kid.clone(), secret, now).unwrap();
    let keyring = keyring_file::rotate(keyring, &kid).unwrap();
    let keyring = keyring_file::retire(keyring, &old).unwrap();
    keyring_file::write(&path, &keyring).unwrap();
}
