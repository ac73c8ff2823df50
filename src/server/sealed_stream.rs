//! The stream of a TLS connection, which counts the records that are sealed and that the socket has not taken.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::web::response_memory::{ConnectionMemory, HeldBytes};

/// The most bytes of records that are sealed before the socket takes them, but for their heads: two whole ones, of which one
/// holds the largest frame of HTTP/2.
const SEALED_BYTES_MAX: usize = 32 * 1024;

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
        let held = match self.stream.get_ref().1.wants_write() {
            true => (self.held.bytes() + written).min(SEALED_BYTES_MAX),
            false => 0,
        };
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
