//! HTTP/2 (RFC 9113): how a client begins with it, how much of it one connection may have, and the tasks of
//! its streams.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::BytesMut;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::task::JoinSet;

use super::connection::HEAD_BYTES_MAX;

/// What a client begins with that speaks HTTP/2 by prior knowledge (RFC 9113, §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How many requests one connection may have open at once; the fewest that RFC 9113, §6.5.2 advises.
const STREAMS_MAX: u32 = 100;

/// How many streams may be reset by the client before they were looked at, and how many we may reset for
/// what is wrong with them, until the connection is ended.
const RESETS_MAX: usize = 100;

/// How much of an answer is put behind what the client's windows let through, for each stream, in bytes.
const SEND_BYTES_MAX: usize = 16 * 1024;

/// How much of a request's body may come before it is read: of one stream, and of all, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Whether the client begins with HTTP/2's preface. What was read is left in `begun`: as much as shows that it
/// does not, or the whole preface and what came with it. It is for the caller to bound the time.
pub(super) async fn is_begun(
    stream: &mut (impl AsyncRead + Unpin),
    begun: &mut BytesMut,
) -> io::Result<bool> {
    loop {
        let length = begun.len().min(PREFACE.len());
        if begun.get(..length) != PREFACE.get(..length) {
            return Ok(false);
        }
        // A client that says nothing more is left to HTTP/1, which knows what to do with it.
        if length == PREFACE.len() || stream.read_buf(begun).await? == 0 {
            return Ok(length == PREFACE.len());
        }
    }
}

/// What serves HTTP/2, with the limits of one connection.
pub(super) fn builder(streams: &Streams) -> http2::Builder<StreamsOf> {
    let mut builder = http2::Builder::new(StreamsOf(Arc::downgrade(&streams.0)));
    builder
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_send_buf_size(SEND_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}

/// The tasks of one connection's streams. They end when this is dropped, as what an HTTP/1 connection does
/// ends with it.
#[derive(Debug, Default)]
pub(super) struct Streams(Arc<Mutex<JoinSet<()>>>);

/// Where the HTTP library has a stream's task run. A task may hold this, so it must not hold the tasks.
#[derive(Clone, Debug)]
pub(super) struct StreamsOf(Weak<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for StreamsOf {
    fn execute(&self, stream: F) {
        if let Some(streams) = self.0.upgrade() {
            let mut streams = streams.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that have ended would else be kept until the connection ends.
            while streams.try_join_next().is_some() {}
            streams.spawn(stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn begun(bytes: &[u8]) -> (bool, Vec<u8>) {
        let (mut stream, mut begun) = (bytes, BytesMut::new());
        let is_begun = is_begun(&mut stream, &mut begun).await.unwrap();
        (is_begun, [&begun, stream].concat())
    }

    #[tokio::test]
    async fn only_the_whole_preface_is_http_2_and_no_byte_is_lost() {
        for at in 0..PREFACE.len() {
            assert_eq!(
                begun(&PREFACE[..at]).await,
                (false, PREFACE[..at].to_vec()),
                "{at} bytes of it"
            );
            let mut other = PREFACE.to_vec();
            other[at] ^= 0x20;
            assert_eq!(begun(&other).await, (false, other.clone()), "other at {at}");
        }
        let more = [PREFACE as &[u8], b"more"].concat();
        assert_eq!(begun(&more).await, (true, more.clone()));
        assert_eq!(
            begun(b"GET / HTTP/1.1").await,
            (false, b"GET / HTTP/1.1".to_vec())
        );
        assert_eq!(
            begun(b"\x16\x03\x01").await,
            (false, b"\x16\x03\x01".to_vec())
        );
    }
}
