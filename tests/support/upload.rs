//! Uploads that are under way for as long as a test wants.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client::{Reply, parse};
use super::form::FORM;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A request whose head was sent, and whose body the gateway waits for. Dropped, its client breaks off.
pub(crate) struct UnderWay {
    stream: TcpStream,
    body: Vec<u8>,
}

impl UnderWay {
    /// Sends the head, and answers once the gateway asks for the body (RFC 9110, section 10.1.1).
    pub(crate) async fn begin(
        address: SocketAddr,
        target: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Self {
        let mut head = format!("POST {target} HTTP/1.1\r\nHost: {address}\r\n");
        for (name, value) in [headers, &[FORM]].concat() {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!(
            "Content-Length: {}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
            body.len()
        ));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut said = [0; CONTINUE.len()];
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(said, CONTINUE, "{}", String::from_utf8_lossy(&said));
        Self { stream, body }
    }

    /// Sends the body but for its last `count` bytes.
    pub(crate) async fn send_all_but(&mut self, count: usize) {
        let rest = self.body.split_off(self.body.len() - count);
        let first = std::mem::replace(&mut self.body, rest);
        self.stream.write_all(&first).await.unwrap();
    }

    /// Sends nothing more, and answers what comes back.
    pub(crate) async fn ended(mut self) -> Reply {
        let mut answer = Vec::new();
        self.stream.read_to_end(&mut answer).await.unwrap();
        parse(&answer, false)
    }

    /// Sends the body, and answers what came back.
    pub(crate) async fn finish(mut self) -> Reply {
        self.stream.write_all(&self.body).await.unwrap();
        let mut answer = Vec::new();
        self.stream.read_to_end(&mut answer).await.unwrap();
        parse(&answer, false)
    }
}
