//! The stream of a TLS connection, which counts the records that are sealed and that the socket has not taken.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::web::response_memory::{ConnectionMemory, HeldBytes};

/// The bytes that TLS puts around the text of one record: a header of 5, and a nonce of 8 and a tag of 16 (TLS 1.2 with
/// AES-GCM, RFC 5288), or a type of 1 and a tag of 16 (TLS 1.3, RFC 8446, §5.2).
const RECORD_OVERHEAD: usize = 5 + 8 + 16;

/// The most text of one record, so that a sealed one has at most 16 KiB. The allocator has no size between that and 20 KiB,
/// which each record of the longest text allowed, 16 KiB, would take.
const RECORD_TEXT_MAX: usize = 16 * 1024 - RECORD_OVERHEAD;

/// The bound that `rustls` takes for that: it counts the header in.
pub(super) const FRAGMENT_MAX: usize = RECORD_TEXT_MAX + 5;

/// The most bytes that are sealed before the socket takes them, but for what is put around them: two whole records.
const SEALED_BYTES_MAX: usize = 2 * RECORD_TEXT_MAX;

/// The same while the socket has left some behind: none is sealed beside a whole record that waits.
const SEALED_BYTES_BEHIND_MAX: usize = RECORD_TEXT_MAX;

/// A TLS connection whose sealed records count in the connection's memory.
#[derive(Debug)]
pub(super) struct SealedStream<S> {
    stream: TlsStream<S>,
    held: HeldBytes,
}

impl<S> SealedStream<S> {
    /// Returns the stream of a connection that has shaken hands.
    pub(super) fn new(mut stream: TlsStream<S>, memory: &ConnectionMemory) -> Self {
        stream.get_mut().1.set_buffer_limit(Some(SEALED_BYTES_MAX));
        Self {
            stream,
            held: memory.sealed(),
        }
    }

    /// Counts `written` bytes more, as far as the socket left records behind.
    fn count(&mut self, written: &Poll<io::Result<usize>>) {
        let written = match written {
            Poll::Ready(Ok(bytes)) => *bytes,
            _ => 0,
        };
        let session = self.stream.get_mut().1;
        let (held, limit) = match session.wants_write() {
            true => {
                let held = (self.held.bytes() + written).min(SEALED_BYTES_MAX);
                (held, SEALED_BYTES_BEHIND_MAX)
            }
            false => (0, SEALED_BYTES_MAX),
        };
        session.set_buffer_limit(Some(limit));
        self.held.resize(held);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for SealedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for SealedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.count(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.count(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        this.count(&Poll::Pending);
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.stream).poll_shutdown(context);
        this.count(&Poll::Pending);
        shut
    }
}
