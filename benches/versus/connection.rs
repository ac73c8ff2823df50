//! A keep-alive connection that never blocks, of a client that checks every answer.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use memchr::memmem;
use rustix::net::RecvFlags;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::client;
use super::process::Outcome;

/// The longest head that is expected, and how much of an answer is read with it.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The most bytes of a body that are taken at once.
pub(crate) const BODY_BYTES_AT_ONCE: usize = 1024 * 1024;

/// The status and the length that every answer must have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Its status code.
    pub(crate) status: u16,
    /// Its body's length, where all have the same.
    pub(crate) length: Option<u64>,
}

/// A connection with at most one request under way.
pub(crate) struct Connection {
    stream: Stream,
    /// The bytes of the answer that came with its head.
    head: Vec<u8>,
    filled: usize,
    /// The bytes of the body that are still to come, once the head is there.
    left: Option<u64>,
    /// The moment at which the request was sent, or was to be sent.
    since: Instant,
}

/// The part of an answer that came at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Received {
    /// Its bytes, of head and body.
    pub(crate) bytes: u64,
    /// True once the answer is whole.
    pub(crate) is_whole: bool,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    /// Connects, with the TLS handshake where there is one, and blocks until that is done.
    pub(crate) fn open(at: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Outcome<Self> {
        let mut stream = client::connect(at)?;
        let stream = match tls {
            None => {
                stream.set_nonblocking(true)?;
                Stream::Plain(stream)
            }
            Some(config) => {
                let mut session = ClientConnection::new(Arc::clone(config), name_of(at))?;
                while session.is_handshaking() {
                    session.complete_io(&mut stream)?;
                }
                stream.set_nonblocking(true)?;
                Stream::Tls(Box::new(StreamOwned::new(session, stream)))
            }
        };
        Ok(Self {
            stream,
            head: vec![0; HEAD_BYTES_MAX],
            filled: 0,
            left: None,
            since: Instant::now(),
        })
    }

    /// Sends a request. It fits into the socket, as the last answer is whole.
    pub(crate) fn send(&mut self, request: &[u8], since: Instant) -> Outcome<()> {
        self.since = since;
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(request)?,
            Stream::Tls(stream) => {
                stream.write_all(request)?;
                stream.flush()?;
            }
        }
        Ok(())
    }

    /// Returns when the request that is answered was sent, or was to be sent.
    pub(crate) const fn since(&self) -> Instant {
        self.since
    }

    /// Returns the socket, to be waited for.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Plain(stream) => stream.as_fd(),
            Stream::Tls(stream) => stream.sock.as_fd(),
        }
    }

    /// Takes the bytes of an answer that are there, if any are. `scratch` is written over.
    pub(crate) fn receive(&mut self, shape: &Shape, scratch: &mut [u8]) -> Outcome<Received> {
        let read = match self.left {
            Some(left) => self.stream.discard(scratch, left),
            None => {
                let (_, free) = self.head.split_at_mut(self.filled);
                self.stream.read(free)
            }
        };
        let bytes = match read {
            Ok(0) => return Err("a server ended a connection".into()),
            Ok(read) => read as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Received::default()),
            Err(error) => return Err(error.into()),
        };
        let left = match self.left {
            Some(left) => Some(left - bytes),
            None => self.left_behind_head(bytes, shape)?,
        };
        let is_whole = left == Some(0);
        self.left = left;
        if is_whole {
            (self.filled, self.left) = (0, None);
        }
        Ok(Received { bytes, is_whole })
    }

    /// Looks for the end of the head, and says how much of the body is to come behind what is there.
    fn left_behind_head(&mut self, bytes: u64, shape: &Shape) -> Outcome<Option<u64>> {
        self.filled += usize::try_from(bytes)?;
        let (there, free) = self.head.split_at(self.filled);
        let Some(end) = memmem::find(there, b"\r\n\r\n") else {
            return if free.is_empty() {
                Err("a head is longer than expected".into())
            } else {
                Ok(None)
            };
        };
        let (head, body) = there.split_at(end + 4);
        let left = shape.check(head)?.checked_sub(body.len() as u64);
        Ok(Some(left.ok_or("more bytes came than were announced")?))
    }
}

impl Shape {
    /// Checks status and length. Returns the length.
    fn check(&self, head: &[u8]) -> Outcome<u64> {
        let status = head.strip_prefix(b"HTTP/1.1 ").and_then(number);
        let mut line_start = 0;
        let lines = memchr::memchr_iter(b'\n', head).filter_map(|end| {
            let line = head.get(line_start..end);
            line_start = end + 1;
            line
        });
        let length = lines.filter_map(content_length).next();
        let expected = self.length.or(length);
        match (status, length) {
            (Some(status), Some(length))
                if status == u64::from(self.status) && Some(length) == expected =>
            {
                Ok(length)
            }
            _ => {
                let head = String::from_utf8_lossy(head);
                Err(format!("not the answer that was expected, {self:?}: {head}").into())
            }
        }
    }
}

impl Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }

    /// Takes bytes of a body off the socket. On a plain one the kernel drops them without copying them
    /// (`tcp(7)`, `MSG_TRUNC`), so that a client keeps up with a server that does not copy them either.
    fn discard(&mut self, scratch: &mut [u8], left: u64) -> io::Result<usize> {
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let (part, _) = scratch.split_at_mut(most.min(scratch.len()));
        match self {
            Self::Plain(stream) => {
                let (_, dropped) = rustix::net::recv(stream, part, RecvFlags::TRUNC)?;
                Ok(dropped)
            }
            Self::Tls(stream) => stream.read(part),
        }
    }
}

/// The server's name for TLS: its address.
pub(crate) fn name_of(at: SocketAddr) -> ServerName<'static> {
    ServerName::IpAddress(at.ip().into())
}

/// The value of a line, if it is that of the length.
fn content_length(line: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"content-length: ";
    let (name, value) = line.split_at_checked(NAME.len())?;
    name.eq_ignore_ascii_case(NAME).then(|| number(value))?
}

/// The number that the text begins with.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = text.get(..digits).filter(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0_u64, |sum, digit| {
        let digit = u64::from(digit.wrapping_sub(b'0'));
        sum.checked_mul(10)?.checked_add(digit)
    })
}
