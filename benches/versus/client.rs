//! Just enough HTTP/1.1 to look at what a server answers before it is measured.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use hallpass::model::digest::Sha256Digest;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use sha2::{Digest as _, Sha256};

use super::connection::name_of;
use super::process::Outcome;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much of a body is kept; the rest is hashed only.
const BODY_BYTES_KEPT: usize = 1 << 20;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// The method; GET if it is empty.
    pub(crate) method: &'static str,
    /// The request target.
    pub(crate) target: String,
    /// Header lines besides `Host`.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The body.
    pub(crate) body: String,
}

/// What was answered.
pub(crate) struct Reply {
    /// The status code.
    pub(crate) status: u16,
    /// The whole head, with the empty line at its end.
    pub(crate) head: Vec<u8>,
    /// The beginning of the body.
    pub(crate) body: Vec<u8>,
    /// The body's length.
    pub(crate) length: u64,
    /// The SHA-256 of the body.
    pub(crate) sha256: Sha256Digest,
}

impl Request {
    /// A GET without headers.
    pub(crate) fn get(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            ..Self::default()
        }
    }

    /// The method.
    pub(crate) fn method(&self) -> &'static str {
        if self.method.is_empty() {
            "GET"
        } else {
            self.method
        }
    }

    /// The head as bytes, for a body of this length.
    pub(crate) fn head(&self, at: SocketAddr, length: u64) -> String {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {at}\r\n",
            self.method(),
            self.target
        );
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if length > 0 {
            head += &format!("Content-Length: {length}\r\n");
        }
        head + "\r\n"
    }

    /// Sends it over a connection of its own, and reads the answer.
    pub(crate) fn send(&self, at: SocketAddr) -> Outcome<Reply> {
        self.send_over(connect(at)?, at)
    }

    /// Sends it over a TLS connection of its own, and reads the answer.
    pub(crate) fn send_tls(&self, at: SocketAddr, config: &Arc<ClientConfig>) -> Outcome<Reply> {
        let session = ClientConnection::new(Arc::clone(config), name_of(at))?;
        self.send_over(StreamOwned::new(session, connect(at)?), at)
    }

    /// Sends it over this connection, and reads the answer.
    pub(crate) fn send_over(
        &self,
        mut stream: impl Read + Write,
        at: SocketAddr,
    ) -> Outcome<Reply> {
        stream.write_all(self.head(at, self.body.len() as u64).as_bytes())?;
        stream.write_all(self.body.as_bytes())?;
        stream.flush()?;
        Reply::read(stream)
    }

    /// Sends it over a connection of its own, and waits for the first bytes of an answer, which must be a whole file's or a
    /// page's: status 200. The rest is not read.
    pub(crate) fn expect_first_byte(&self, at: SocketAddr) -> Outcome<()> {
        let mut stream = connect(at)?;
        stream.write_all(self.head(at, 0).as_bytes())?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        match &answer {
            b"HTTP/1.1 200" => Ok(()),
            _ => Err("the first answer was no good one".into()),
        }
    }

    /// Sends it, and expects this status.
    pub(crate) fn expect(&self, at: SocketAddr, status: u16) -> Outcome<Reply> {
        let reply = self.send(at)?;
        if reply.status == status {
            return Ok(reply);
        }
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let (got, target) = (reply.status, &self.target);
        Err(format!("{target}: status {got}, expected {status}: {text}").into())
    }
}

impl Reply {
    /// Reads one answer from a connection.
    pub(crate) fn read(stream: impl Read) -> Outcome<Self> {
        let mut reader = BufReader::new(stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head)? == 0 {
                return Err("a connection ended before the answer's head did".into());
            }
        }
        let text = String::from_utf8(head.clone())?;
        let status: u16 = text.split(' ').nth(1).ok_or("no status")?.parse()?;
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse().ok())?
        });
        let length: u64 = match status {
            204 => 0,
            _ => length.ok_or("no Content-Length")?,
        };
        let mut reply = Self {
            status,
            head,
            body: Vec::new(),
            length,
            sha256: Sha256Digest::new([0; 32]),
        };
        reply.read_body(reader.take(length))?;
        Ok(reply)
    }

    fn read_body(&mut self, mut body: impl Read) -> Outcome<()> {
        let mut buffer = vec![0; 256 * 1024];
        let (mut hasher, mut left) = (Sha256::new(), self.length);
        while left > 0 {
            let read = body.read(&mut buffer)?;
            let (bytes, _) = buffer.split_at(read);
            if bytes.is_empty() {
                return Err("a connection ended before the answer's body did".into());
            }
            hasher.update(bytes);
            let room = BODY_BYTES_KEPT - self.body.len();
            self.body.extend(bytes.iter().take(room));
            left -= read as u64;
        }
        self.sha256 = Sha256Digest::new(hasher.finalize().into());
        Ok(())
    }
}

/// A connection to a server of ours.
pub(crate) fn connect(at: SocketAddr) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(at)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
