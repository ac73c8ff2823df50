//! A small HTTP/1.1 client over a plain socket: what it sends is what the test wrote, and what it answers
//! is what was on the wire.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// No answer may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer, as it was on the wire.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The only line of a header, or none.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let line = lines.next().map(|(_, value)| value.as_str());
        assert!(lines.next().is_none(), "{name} is there twice");
        line
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// Asserts the status and the envelope of an Aitronos error, and answers its `error`.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{text}");
        let json = self.json();
        assert_eq!(json["success"], false);
        let error = &json["error"];
        assert_eq!(error["code"], code, "{text}");
        assert_eq!(error["status"], status);
        assert_eq!(
            error["type"],
            if status < 500 {
                "client_error"
            } else {
                "server_error"
            }
        );
        uuid::Uuid::parse_str(error["trace_id"].as_str().unwrap()).unwrap();
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        assert!(self.header("x-request-id").is_some());
        assert_eq!(self.header("set-cookie"), None);
        assert_eq!(self.header("server"), None);
        if status == 401 {
            let is_of_a_link = code == "TOKEN_INVALID" || code.starts_with("PASSWORD_");
            let challenge = if is_of_a_link {
                "SignedUrl"
            } else {
                "Bearer realm=\"hallpass\""
            };
            assert_eq!(self.header("www-authenticate"), Some(challenge));
        }
        error.clone()
    }

    /// Asserts the one answer to every link that does not open.
    #[track_caller]
    pub(crate) fn is_dead_link(&self) {
        let error = self.refused(401, "TOKEN_INVALID");
        assert_eq!(
            error["message"],
            "The download link has expired or is invalid."
        );
        assert_eq!(error["system_message"], "Token invalid or expired");
        assert_eq!(error["details"], serde_json::json!({}));
    }
}

/// Sends whole requests, each on a connection of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client(pub(crate) SocketAddr);

impl Client {
    pub(crate) async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Reply {
        self.request("GET", target, headers, b"").await
    }

    /// The value of a metric with its labels, of a private listener.
    pub(crate) async fn number(&self, name: &str) -> u64 {
        let reply = self.get("/metrics", &[]).await;
        let text = String::from_utf8(reply.body).unwrap();
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
        line.parse().unwrap()
    }

    /// Waits until so many public connections are parked, of a private listener.
    pub(crate) async fn until_parked(&self, count: u64) {
        let parked = async {
            let name = "hallpass_connections_parked{listener=\"public\"}";
            while self.number(name).await != count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let parked = tokio::time::timeout(PATIENCE, parked).await;
        parked.unwrap_or_else(|_| panic!("{count} connections were never parked"));
    }

    pub(crate) async fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.0);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("Connection: close\r\n\r\n");
        let bytes = [head.as_bytes(), body].concat();
        self.send(&bytes, method == "HEAD").await
    }

    /// Sends these very bytes and reads until the server closes.
    pub(crate) async fn send(&self, bytes: &[u8], to_head: bool) -> Reply {
        let answer = self.exchange(bytes, false).await;
        parse(&answer, to_head)
    }

    /// Sends these very bytes, then, where asked, closes the writing side, and answers all that came back.
    pub(crate) async fn exchange(&self, bytes: &[u8], then_close: bool) -> Vec<u8> {
        let stream = TcpStream::connect(self.0).await;
        exchange_over(stream.expect("the gateway listens"), bytes, then_close).await
    }
}

/// Sends these very bytes over a connection and answers all that came back.
pub(crate) async fn exchange_over<S>(stream: S, bytes: &[u8], then_close: bool) -> Vec<u8>
where
    S: AsyncRead + AsyncWrite,
{
    super::secrets::keep_tokens(bytes);
    let work = async {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut answer = Vec::new();
        let sending = async {
            // A server that has heard enough may close; what it said is still to be read.
            let sent = writer.write_all(bytes).await;
            if then_close && sent.is_ok() {
                let _ = writer.shutdown().await;
            }
        };
        let (_, read) = tokio::join!(sending, reader.read_to_end(&mut answer));
        if let Err(error) = read {
            assert!(!answer.is_empty(), "no answer: {error}");
        }
        super::secrets::keep_tokens(&answer);
        answer
    };
    tokio::time::timeout(PATIENCE, work)
        .await
        .expect("an answer in time")
}

/// Reads a whole answer.
#[track_caller]
pub(crate) fn parse(answer: &[u8], to_head: bool) -> Reply {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no head in {:?}", String::from_utf8_lossy(answer)));
    let head = std::str::from_utf8(&answer[..end]).expect("the head is ASCII");
    assert!(head.is_ascii());
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap();
    let status = status_line.strip_prefix("HTTP/1.1 ").unwrap()[..3]
        .parse()
        .unwrap();
    let headers = lines
        .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{line}")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let reply = Reply {
        status,
        headers,
        body: answer[end + 4..].to_vec(),
    };
    let length = reply
        .header("content-length")
        .map(|length| length.parse::<usize>().unwrap());
    match length {
        Some(_) if to_head => assert!(reply.body.is_empty(), "HEAD has no body"),
        Some(length) => assert_eq!(length, reply.body.len(), "the length is true"),
        None => assert!(reply.body.is_empty() && reply.header("transfer-encoding").is_none()),
    }
    reply
}
