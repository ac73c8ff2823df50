//! The lines that go into the head of a response ready-made, and the stream that adds them where bytes are sealed on their way.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use hyper::rt::{Read, ReadBufCursor, Write};

use super::unclaimed;

#[cfg(test)]
mod tests;

/// The end of a head (RFC 9112, §2.1): the end of its last line, and an empty one.
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// The length of the end of a line.
const LINE_BREAK_BYTES: usize = 2;

/// The most slices that a sealed head is written with: the two halves of the head, the lines, and what is behind it.
const SLICES_MAX: usize = 8;

/// The lines that one connection has yet to send, shared between those who answer its requests and its [`LinedStream`].
/// Cloning is a reference count.
#[derive(Clone, Debug, Default)]
pub struct ReadyLines(Arc<Mutex<HeadLines>>);

/// Lines that go into the head of the next response.
#[derive(Debug, Default)]
pub(super) struct HeadLines {
    /// The bytes that are not out yet.
    pub(super) left: Bytes,
    /// The number of bytes of the head that hyper has left to write, once it has written some of it.
    rest_of_head: Option<usize>,
    /// True if others were added before these were out.
    are_mixed_up: bool,
}

/// A stream that adds the lines of its own [`ReadyLines`] to the heads that hyper writes to it, and ends with an error
/// rather than write them anywhere else. The stream below takes several slices at once.
#[derive(Debug)]
pub struct LinedStream<S> {
    stream: S,
    lines: ReadyLines,
}

impl ReadyLines {
    /// Adds lines to the head that this connection writes next, as [`super::WriterHandle::add_to_head`] does.
    pub fn add_to_head(&self, lines: Bytes) {
        self.lock().add(lines);
    }

    fn lock(&self) -> MutexGuard<'_, HeadLines> {
        // Nothing that holds the lock can leave them half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeadLines {
    /// Takes lines for the next head.
    pub(super) fn add(&mut self, lines: Bytes) {
        *self = Self {
            are_mixed_up: !self.left.is_empty(),
            left: lines,
            rest_of_head: None,
        };
    }

    /// Returns the offset in the first slice of a write at which the lines belong: before the last line break of the
    /// head. `None` if there are none to send. An error if it is no head, nor what must be left of one.
    pub(super) fn place_in(&self, first: &[u8]) -> io::Result<Option<usize>> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let is_head = match self.rest_of_head {
            None => first.ends_with(END_OF_HEAD),
            Some(rest) => {
                let end = first.get(rest.saturating_sub(END_OF_HEAD.len())..);
                first.len() == rest && end.is_some_and(|end| END_OF_HEAD.ends_with(end))
            }
        };
        match first.len().checked_sub(LINE_BREAK_BYTES) {
            Some(place) if is_head && !self.are_mixed_up => Ok(Some(place)),
            _ => Err(unclaimed()),
        }
    }

    /// Returns how many of `sent` bytes are hyper's own: they begin with the first slice and have the lines at `place`
    /// in it.
    pub(super) fn advance(&mut self, sent: usize, first: &[u8], place: usize) -> usize {
        let ours = sent.saturating_sub(place).min(self.left.len());
        self.left.advance(ours);
        self.rest_of_head = Some(first.len().saturating_sub(sent - ours));
        sent - ours
    }
}

impl<S: Write + Unpin> LinedStream<S> {
    /// Adds these lines to the heads that go to this stream.
    pub const fn new(stream: S, lines: ReadyLines) -> Self {
        Self { stream, lines }
    }

    /// Writes a head with its lines, and what follows it. Says how much of the slices went out.
    #[expect(
        clippy::expect_used,
        reason = "the check before it bounds the place in the head, and the loop the count"
    )]
    fn poll_write_head(
        &mut self,
        context: &mut Context<'_>,
        (head, following): (&[u8], &[IoSlice<'_>]),
        place: usize,
    ) -> Poll<io::Result<usize>> {
        let split = head.split_at_checked(place);
        let (before, behind) = split.expect("a place in the head");
        loop {
            let lines = self.lines.lock().left.clone();
            let mut all = [IoSlice::new(&[]); SLICES_MAX];
            let own = [before, &lines, behind].map(IoSlice::new);
            let mut count = 0;
            for (room, slice) in all.iter_mut().zip(own.iter().chain(following)) {
                *room = *slice;
                count += 1;
            }
            let all = all.get(..count).expect("as many as were filled");
            let written = Pin::new(&mut self.stream).poll_write_vectored(context, all);
            let written = ready!(written)?;
            let of_hyper = self.lines.lock().advance(written, head, place);
            // To say that nothing of its own went out would mean to hyper that nothing ever will.
            if of_hyper > 0 || written == 0 {
                return Poll::Ready(Ok(of_hyper));
            }
        }
    }
}

impl<S: Write + Unpin> Write for LinedStream<S> {
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some((head, following)) = slices.split_first() {
            let place = this.lines.lock().place_in(head)?;
            if let Some(place) = place {
                return this.poll_write_head(context, (head, following), place);
            }
        }
        Pin::new(&mut this.stream).poll_write_vectored(context, slices)
    }

    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

impl<S: Read + Unpin> Read for LinedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}
