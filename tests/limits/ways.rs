//! Uploads over each transport.

use std::any::Any;
use std::net::SocketAddr;

use hallpass::config::Listen;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use super::*;
use crate::support::client::{exchange_over, parse};
use crate::support::form::{FORM, Form};
use crate::transport::{Http2, NAME, Pair};

pub(super) const K1: (&str, &str) = ("X-API-Key", "k1");
pub(super) const UPLOAD: &str = "/v1/organizations/org_123/files/upload";

pub(super) fn form(length: usize) -> Vec<u8> {
    Form::default().file("a.bin", &bytes(length)).close()
}

/// A transport.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Plain,
    Tls,
    Unix,
    H2c,
    H2OverTls,
}

pub(super) const WAYS: [Way; 5] = [Way::Plain, Way::Tls, Way::Unix, Way::H2c, Way::H2OverTls];

impl Way {
    pub(super) const fn is_http2(self) -> bool {
        matches!(self, Self::H2c | Self::H2OverTls)
    }
}

/// A gateway with a listener of each kind.
pub(super) struct Gateways {
    pair: Pair,
    pub(super) app: TestApp,
    tls: SocketAddr,
}

pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Io for S {}

impl Gateways {
    pub(super) async fn start(place: &tempfile::TempDir, more: &[(&'static str, &str)]) -> Self {
        let pair = Pair::new();
        let socket = format!("unix:{}", place.path().join("socket").display());
        let own = [("server.listen", socket.as_str()), ("server.http2", "on")];
        let (app, tls) = pair.app(&[&own, more].concat()).await;
        Self { pair, app, tls }
    }

    pub(super) async fn connect(&self, way: Way) -> Box<dyn Io> {
        let protocol = match way {
            Way::Unix => {
                let Listen::Unix(path) = &self.app.listeners[2] else {
                    panic!("{:?}", self.app.listeners)
                };
                return Box::new(UnixStream::connect(path).await.unwrap());
            }
            Way::Plain | Way::H2c => {
                return Box::new(TcpStream::connect(self.app.client.0).await.unwrap());
            }
            Way::Tls => "http/1.1",
            Way::H2OverTls => "h2",
        };
        Box::new(self.pair.connect(self.tls, &[protocol]).await.unwrap())
    }

    /// Begins an upload that lasts until the answer is dropped.
    pub(super) async fn hold(&self, way: Way) -> Box<dyn Any> {
        let mut stream = self.connect(way).await;
        let body = form(1_000);
        if way.is_http2() {
            let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
            let connection = tokio::spawn(connection);
            let request = http::Request::post(format!("https://{NAME}{UPLOAD}"));
            let request = request.header(K1.0, K1.1).header(FORM.0, FORM.1);
            let (answer, mut sending) =
                send.send_request(request.body(()).unwrap(), false).unwrap();
            sending.send_data(body.into(), false).unwrap();
            return Box::new((send, connection, answer, sending));
        }
        let head = format!(
            "POST {UPLOAD} HTTP/1.1\r\nHost: x\r\n{}: {}\r\n{}: {}\r\nContent-Length: 1000000\r\n\r\n",
            K1.0, K1.1, FORM.0, FORM.1
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body[..500]).await.unwrap();
        stream.flush().await.unwrap();
        Box::new(stream)
    }

    /// Sends a whole upload with a body of so many bytes.
    pub(super) async fn upload(&self, way: Way, length: usize) -> Reply {
        let (stream, body) = (self.connect(way).await, form(length));
        if way.is_http2() {
            let mut http2 = Http2::over(stream).await;
            let sent = http2.request("POST", UPLOAD, &[K1, FORM], body.leak());
            let reply = sent.await.unwrap();
            // A stream that is refused ends no other one.
            let files = http2.get("/v1/organizations/org_123/files", &[K1]);
            assert_eq!(files.await.status, 200, "{way:?}");
            return reply;
        }
        let head = format!(
            "POST {UPLOAD} HTTP/1.1\r\nHost: x\r\n{}: {}\r\n{}: {}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            K1.0,
            K1.1,
            FORM.0,
            FORM.1,
            body.len()
        );
        let all = [head.as_bytes(), &body].concat();
        parse(&exchange_over(stream, &all, false).await, false)
    }

    /// Sends an upload that has no end, `piece` every so often, until it is answered; over HTTP/2 beside other requests.
    pub(super) async fn drip(&self, way: Way, piece: &'static [u8], every: Duration) -> Reply {
        let mut stream = self.connect(way).await;
        if way.is_http2() {
            let (send, connection) = h2::client::handshake(stream).await.unwrap();
            let connection = tokio::spawn(connection);
            let request = http::Request::post(format!("https://{NAME}{UPLOAD}"));
            let request = request.header(K1.0, K1.1).header(FORM.0, FORM.1);
            let mut send = send.ready().await.unwrap();
            let request = request.body(()).unwrap();
            let (answer, mut sending) = send.send_request(request, false).unwrap();
            let dripping = async {
                let mut next = form_begun();
                while sending.send_data(next.into(), false).is_ok() {
                    tokio::time::sleep(every).await;
                    next = piece.to_vec();
                }
                std::future::pending::<()>().await
            };
            let answered = tokio::select! {
                answered = answer => answered.unwrap(),
                () = dripping => unreachable!(),
            };
            // It ends this stream alone.
            let other =
                http::Request::get(format!("https://{NAME}/v1/organizations/org_123/files"));
            let other = other.header(K1.0, K1.1).body(()).unwrap();
            let mut send = send.ready().await.unwrap();
            let other = send.send_request(other, true).unwrap().0.await.unwrap();
            assert_eq!(other.status(), 200, "{way:?}");
            connection.abort();
            return Reply {
                status: answered.status().as_u16(),
                headers: Vec::new(),
                body: Vec::new(),
            };
        }
        let head = format!(
            "POST {UPLOAD} HTTP/1.1\r\nHost: x\r\n{}: {}\r\n{}: {}\r\nContent-Length: 100000000\r\n\r\n",
            K1.0, K1.1, FORM.0, FORM.1
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&form_begun()).await.unwrap();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut answer = Vec::new();
        let dripping = async {
            while writer.write_all(piece).await.is_ok() && writer.flush().await.is_ok() {
                tokio::time::sleep(every).await;
            }
            std::future::pending::<()>().await
        };
        tokio::select! {
            // The answer may be followed by a reset: the client goes on sending.
            _ = reader.read_to_end(&mut answer) => {}
            () = dripping => unreachable!(),
        }
        parse(&answer, false)
    }
}

/// A form whose file has begun.
fn form_begun() -> Vec<u8> {
    let mut form = form(1_000);
    form.truncate(500);
    form
}
