//! The stream of a connection, which notes what becomes of each read and write in the connection's state.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

use super::{ConnectionState, Phase};
use crate::zero_copy::Wire;

/// The bytes of one read of a body that nobody wants.
const DRAIN_BYTES: usize = 16 * 1024;

/// The stream of a connection, which notes each read and write in the connection's state. After the last answer it
/// reads on for a while where the client may still be sending, since closing would take the answer back.
#[derive(Debug)]
pub(in crate::server) struct TrackedStream {
    stream: Wire,
    state: Arc<ConnectionState>,
    /// The bytes that were read after the last answer; `None` before.
    lingered: Option<u64>,
}

impl TrackedStream {
    pub(in crate::server) fn new(stream: Wire, state: Arc<ConnectionState>) -> Self {
        state.blocked.tell_acked(stream.tcp_info().is_some());
        Self {
            stream,
            state,
            lingered: None,
        }
    }

    fn note_written(&self, context: &Context<'_>, written: &Poll<io::Result<usize>>) {
        let (blocked, clock) = (&self.state.blocked, &self.state.clock);
        let written_min = clock.deadlines.written_min;
        match written {
            Poll::Pending => {
                let acked = || Some(self.stream.tcp_info()?.acked_bytes);
                if blocked.note_blocked(context, clock.now(), written_min, acked) {
                    self.state.note_progress();
                }
            }
            Poll::Ready(Ok(bytes)) => blocked.note_taken(*bytes, written_min),
            Poll::Ready(Err(_)) => {}
        }
    }

    /// Reads and throws away, until the client has sent all or too much. The watcher bounds the time.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut lingered = self.lingered.unwrap_or_default();
        let mut bytes = [0; DRAIN_BYTES];
        while lingered < self.state.deadlines().lingered_max {
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer.unfilled()))?;
            let read = buffer.filled().len();
            if read == 0 {
                break;
            }
            lingered += read as u64;
            self.lingered = Some(lingered);
        }
        Poll::Ready(Ok(()))
    }
}

impl Read for TrackedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if read.is_ready() {
            this.state.note_read();
        }
        read
    }
}

impl Write for TrackedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.note_written(context, &written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.note_written(context, &written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(context))?;
        // Nothing is left to write.
        this.state.blocked.clear();
        if this.state.has_long_waited() && this.stream.is_broken() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingered.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            if !this.state.unread.load(Relaxed) {
                return Poll::Ready(Ok(()));
            }
            this.lingered = Some(0);
            this.state.enter(Phase::Lingering);
        }
        this.poll_linger(context)
    }
}
