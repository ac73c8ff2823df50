//! HTTP/2 (RFC 9113): how a client begins with it, and how much of it one connection may have.

use std::io;

use bytes::BytesMut;
use hyper::server::conn::http2;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::streams::StreamsOf;

/// The first bytes of a client that speaks HTTP/2 by prior knowledge (RFC 9113, §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The most streams that the client resets before they were looked at, and the most that we reset for errors in them,
/// until the connection is ended.
const RESETS_MAX: usize = 100;

/// The most bytes of an answer that are queued behind the client's windows, for each stream.
const SEND_BYTES_MAX: usize = 16 * 1024;

/// The most bytes of a request's body that come before it is read: of one stream, and of all.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// The largest head of a request in any version of HTTP, in bytes.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The bytes of the first read of a connection: the first line of nearly every request.
const BEGIN_BYTES: usize = 1024;

/// Returns whether the client begins with HTTP/2's preface, and `false` where it begins with a request of HTTP/1.
/// All that was read is left in `begun`. The caller bounds the time.
///
/// # Errors
/// If the connection breaks, or the client begins with neither. That is an invalid preface, and not answered as
/// HTTP/1 would be (RFC 9113, §3.4).
pub(super) async fn is_begun(
    stream: &mut (impl AsyncRead + Unpin),
    begun: &mut BytesMut,
) -> io::Result<bool> {
    loop {
        let length = begun.len().min(PREFACE.len());
        if begun.get(..length) != PREFACE.get(..length) {
            match begins_http1(begun) {
                Some(true) => return Ok(false),
                Some(false) => return Err(io::Error::other("it begins with no HTTP")),
                None => {}
            }
        } else if length == PREFACE.len() {
            return Ok(true);
        }
        begun.reserve(BEGIN_BYTES);
        // The HTTP/1 server answers a head that is too long, or that breaks off.
        if begun.len() > HEAD_BYTES_MAX || stream.read_buf(begun).await? == 0 {
            return Ok(false);
        }
    }
}

/// Returns whether the first line is one of an HTTP/1 request, as far as its version tells; `None` until that is
/// known. Empty lines before it mean nothing (RFC 9112, §2.2).
fn begins_http1(begun: &[u8]) -> Option<bool> {
    let begun = begun.trim_ascii_start();
    let end = memchr::memchr(b'\n', begun);
    let line = begun.get(..end.unwrap_or(begun.len()))?;
    // No request line holds such a byte, but the first record of TLS and every frame of HTTP/2 do.
    let is_binary = |byte: &u8| byte.is_ascii_control() && *byte != b'\r';
    if line.iter().any(is_binary) {
        return Some(false);
    }
    end?;
    let mut words = line.trim_ascii_end().rsplit(|byte| *byte == b' ');
    Some(words.next()?.starts_with(b"HTTP/1."))
}

/// Returns the server of HTTP/2, with the limits of one connection, of which the client may open `streams_max` requests
/// at once.
pub(super) fn builder(executor: StreamsOf, streams_max: u32) -> http2::Builder<StreamsOf> {
    let mut builder = http2::Builder::new(executor);
    builder
        .max_concurrent_streams(streams_max)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_send_buf_size(SEND_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether the bytes begin with the preface, none if they are no HTTP, and all bytes: those that were read
    /// and those that were not.
    async fn begun(bytes: &[u8]) -> (Option<bool>, Vec<u8>) {
        let (mut stream, mut begun) = (bytes, BytesMut::new());
        let is_begun = is_begun(&mut stream, &mut begun).await.ok();
        (is_begun, [&begun, stream].concat())
    }

    #[tokio::test]
    async fn only_the_whole_preface_is_http_2_and_no_byte_is_lost() {
        for at in 0..PREFACE.len() {
            let cut = PREFACE[..at].to_vec();
            assert_eq!(begun(&cut).await, (Some(false), cut), "{at} bytes of it");
            let mut other = PREFACE.to_vec();
            other[at] ^= 0x20;
            assert_eq!(begun(&other).await, (None, other.clone()), "other at {at}");
        }
        let more = [PREFACE as &[u8], b"more"].concat();
        assert_eq!(begun(&more).await, (Some(true), more.clone()));
    }

    #[tokio::test]
    async fn what_is_neither_http_1_nor_http_2_is_told_from_its_first_line() {
        let long = vec![b'a'; HEAD_BYTES_MAX + 1];
        for (sent, expected) in [
            (&b"GET / HTTP/1.1"[..], Some(false)),
            (b"GET / HTTP/1.1\r\n", Some(false)),
            (b"\r\n\nGET / HTTP/1.0  \n", Some(false)),
            (b"GET /a b HTTP/1.1\r\n", Some(false)),
            (b"GET /a\tb HTTP/1.1\r\n", None),
            (b"PRI / HTTP/1.1\r\nHost: x\r\n\r\n", Some(false)),
            (b"", Some(false)),
            (&long, Some(false)),
            (b"INVALID CONNECTION PREFACE\r\n\r\n", None),
            (b"GET /\r\n", None),
            (b"GET / HTTP/2.0\r\n", None),
            (b"PRI * HTTP/2.0\r\n\r\nSM", Some(false)),
            (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", None),
            (b"\x16\x03\x01", None),
            (b"\0\0\0\x04\0\0\0\0\0", None),
        ] {
            let (is_begun, bytes) = begun(sent).await;
            let text = String::from_utf8_lossy(&sent[..sent.len().min(40)]);
            assert_eq!(is_begun, expected, "{text:?}");
            assert_eq!(bytes, sent, "{text:?}");
        }
    }
}
