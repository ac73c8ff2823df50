//! Pages, starts and bytes of shares over every transport.

use std::path::Path;

use super::{FORM, HTML, big, counted, of, sent_on, share};
use crate::archives::unzipped;
use crate::support::app::TestApp;
use crate::support::client::{Reply, exchange_over, parse};
use crate::transport::{Http2, Pair};

const START: &[u8] = b"start=1";

/// A way to the gateway.
#[derive(Clone, Copy, Debug)]
enum Way<'a> {
    Plain,
    Tls,
    PlainHttp2,
    TlsHttp2,
    Unix(&'a Path),
}

/// A gateway that listens in every way.
struct Listening<'a> {
    app: &'a TestApp,
    pair: &'a Pair,
    tls: std::net::SocketAddr,
}

impl Listening<'_> {
    async fn ask(&self, way: Way<'_>, method: &str, path: &str, more: &[(&str, &str)]) -> Reply {
        let body: &'static [u8] = match method {
            "POST" => START,
            _ => b"",
        };
        let plain = self.app.client.0;
        let mut http2 = match way {
            Way::PlainHttp2 => Http2::plain(plain).await,
            Way::TlsHttp2 => {
                let stream = self.pair.connect(self.tls, &["h2"]).await.unwrap();
                Http2::over(stream).await
            }
            Way::Plain => return self.app.client.request(method, path, more, body).await,
            Way::Tls => {
                let stream = self.pair.connect(self.tls, &["http/1.1"]).await.unwrap();
                return by_hand(stream, method, path, more, body).await;
            }
            Way::Unix(at) => {
                let stream = tokio::net::UnixStream::connect(at).await.unwrap();
                return by_hand(stream, method, path, more, body).await;
            }
        };
        http2.request(method, path, more, body).await.unwrap()
    }
}

/// Sends a request that is written out.
async fn by_hand<S>(
    stream: S,
    method: &str,
    path: &str,
    more: &[(&str, &str)],
    body: &[u8],
) -> Reply
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for (name, value) in more {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    let request = [request.as_bytes(), b"\r\n", body].concat();
    parse(
        &exchange_over(stream, &request, false).await,
        method == "HEAD",
    )
}

#[tokio::test]
async fn every_transport_has_pages_starts_and_bytes() {
    let pair = Pair::new();
    let socket = tempfile::tempdir().unwrap();
    let path = socket.path().join("s.sock");
    let place = format!("unix:{}", path.display());
    let settings = [("server.http2", "on"), ("server.listen", place.as_str())];
    let (app, tls) = pair.app(&settings).await;
    app.add("file_big", "big file.bin", &big()).await;
    let listening = Listening {
        app: &app,
        pair: &pair,
        tls,
    };
    let ways = [
        Way::Plain,
        Way::Tls,
        Way::PlainHttp2,
        Way::TlsHttp2,
        Way::Unix(&path),
    ];
    let mut zips = Vec::new();
    for way in ways {
        let one = share(&app, of(&["file_big"])).await;
        let page = listening.ask(way, "GET", &one.page, &[HTML]).await;
        assert_eq!(page.status, 200, "{way:?}");
        let html = String::from_utf8(page.body).unwrap();
        assert!(html.contains("big file.bin"), "{way:?}: {html}");
        let path = one.at("/files/1/big%20file.bin");
        let part = listening
            .ask(way, "GET", &path, &[("Range", "bytes=7-99")])
            .await;
        assert_eq!(part.status, 206, "{way:?}");
        assert!(part.body == big()[7..100], "{way:?}");

        let all = share(&app, counted(&["file_big", "file_def456"], 1)).await;
        let open = all.at("/open");
        let ticket = sent_on(&listening.ask(way, "POST", &open, &[FORM]).await);
        let head = listening.ask(way, "HEAD", &ticket, &[]).await;
        let zip = listening.ask(way, "GET", &ticket, &[]).await;
        assert_eq!((head.status, zip.status), (200, 200), "{way:?}");
        let length = zip.body.len().to_string();
        assert_eq!(
            head.header("content-length"),
            Some(length.as_str()),
            "{way:?}"
        );
        assert!(unzipped(&zip.body)["big file.bin"] == big(), "{way:?}");
        let rest = [("Range", "bytes=1000-")];
        let rest = listening.ask(way, "GET", &ticket, &rest).await;
        assert_eq!(
            (rest.status, rest.body == zip.body[1000..]),
            (206, true),
            "{way:?}"
        );
        let over = listening.ask(way, "POST", &ticket, &[FORM]).await;
        assert_eq!(over.status, 405, "{way:?}");
        zips.push(zip.body);
    }
    assert!(zips.windows(2).all(|two| two[0] == two[1]));
}
