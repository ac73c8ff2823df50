//! The check of request lines for a fragment, which is no part of a request target (RFC 9112, §3.2).
//!
//! The HTTP library takes a fragment off before it hands out the target. So a connection of HTTP/1 looks at the bytes
//! that are read for a request, up to the end of its target. Two are not looked at: a request that its client sends
//! before the one before it is answered, whose bytes come with that one's, and one over HTTP/2, where the library alone
//! sees the target.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use memchr::memchr3;

/// The most bytes of one read that may hold a request's target: as many as the HTTP library asks for at first.
const READ_BYTES: usize = 8 * 1024;

/// The request targets of one connection, as its reader finds them.
#[derive(Debug, Default)]
pub(super) struct RequestTargets {
    /// The number of requests whose heads have come in.
    begun: AtomicU64,
    /// True if the target of the next one has a fragment.
    has_fragment: AtomicBool,
    /// True while a request is answered: what comes in then is its body, or a later request.
    is_busy: AtomicBool,
}

impl RequestTargets {
    /// Notes whether a request is answered now.
    pub(super) fn note_busy(&self, is_busy: bool) {
        self.is_busy.store(is_busy, Relaxed);
    }

    /// Notes that the head of a request has come in. Returns whether its target has a fragment.
    pub(super) fn begin(&self) -> bool {
        self.begun.fetch_add(1, Relaxed);
        self.has_fragment.swap(false, Relaxed)
    }
}

/// The part of a request's first line that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The method, perhaps behind empty lines, which mean nothing (RFC 9112, §2.2).
    Method,
    /// The first byte of the target.
    Begin,
    Target,
    Rest,
}

/// The stream of an HTTP/1 connection, whose request targets are looked at.
pub(super) struct CheckedStream<S> {
    stream: S,
    targets: Arc<RequestTargets>,
    /// The number of requests before the one that is looked at.
    before: u64,
    part: Part,
}

impl<S> CheckedStream<S> {
    pub(super) const fn new(stream: S, targets: Arc<RequestTargets>) -> Self {
        Self {
            stream,
            targets,
            before: 0,
            part: Part::Method,
        }
    }

    /// Returns whether the next bytes may be of a request's target.
    fn is_due(&mut self) -> bool {
        let begun = self.targets.begun.load(Relaxed);
        if begun != self.before {
            self.before = begun;
            self.part = Part::Method;
        }
        self.part != Part::Rest && !self.targets.is_busy.load(Relaxed)
    }

    /// Looks for a fragment in bytes of the first line. Whether they are that nobody knows: where a client sends requests
    /// before it is answered, they may be of a later line. So what does not begin as a request does is let be.
    fn look(&mut self, mut bytes: &[u8]) {
        if self.part == Part::Method {
            let first = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
            bytes = first
                .and_then(|first| bytes.get(first..))
                .unwrap_or_default();
            let is_letter = |byte: &u8| byte.is_ascii_uppercase();
            let Some(end) = bytes.iter().position(|byte| !is_letter(byte)) else {
                return;
            };
            self.part = match bytes.get(end) {
                Some(b' ') => Part::Begin,
                _ => Part::Rest,
            };
            bytes = bytes.get(end + 1..).unwrap_or_default();
        }
        if self.part == Part::Begin
            && let Some(first) = bytes.first()
        {
            self.part = match first {
                b'/' | b'h' | b'H' | b'#' => Part::Target,
                _ => Part::Rest,
            };
        }
        if self.part == Part::Target
            && let Some(end) = memchr3(b' ', b'\n', b'#', bytes)
        {
            if bytes.get(end) == Some(&b'#') {
                self.targets.has_fragment.store(true, Relaxed);
            }
            self.part = Part::Rest;
        }
    }
}

impl<S: Read + Unpin> Read for CheckedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_due() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let mut bytes = [MaybeUninit::uninit(); READ_BYTES];
        let (bytes, _) = bytes.split_at_mut(buffer.remaining().min(READ_BYTES));
        let mut read = ReadBuf::uninit(bytes);
        ready!(Pin::new(&mut this.stream).poll_read(context, read.unfilled()))?;
        this.look(read.filled());
        buffer.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: Write + Unpin> Write for CheckedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether a fragment is found in the first request of these reads.
    fn has_fragment(reads: &[&[u8]]) -> bool {
        let targets = Arc::new(RequestTargets::default());
        let mut stream = CheckedStream::new((), Arc::clone(&targets));
        for read in reads {
            if stream.is_due() {
                stream.look(read);
            }
        }
        targets.begin()
    }

    #[test]
    fn a_fragment_is_found_however_the_line_comes_in() {
        for (sent, expected) in [
            (&b"GET /a?b#c HTTP/1.1\r\nHost: x\r\n\r\n"[..], true),
            (b"GET /a?b# HTTP/1.1\r\n", true),
            (b"\r\n\nGET #x HTTP/1.1\r\n", true),
            (b"GET http://x/a#c HTTP/1.1\r\n", true),
            (b"GET /#\r\n", true),
            (b"GET /a?b HTTP/1.1\r\nX: #c\r\n\r\n#", false),
            // The method is another thing's to judge.
            (b"G#T / HTTP/1.1\r\n", false),
            (b"GET\r\nX: #\r\n", false),
            // The rest of a head whose beginning came with the request before.
            (b"kie: a#b\r\n\r\n", false),
            (b"AB cd#e\r\n\r\n", false),
            (
                b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nGET /# HTT",
                false,
            ),
            (b"", false),
        ] {
            for at in 0..=sent.len() {
                let (one, other) = sent.split_at(at);
                assert_eq!(has_fragment(&[one, other]), expected, "{sent:?} at {at}");
            }
            let single: Vec<&[u8]> = sent.chunks(1).collect();
            assert_eq!(has_fragment(&single), expected, "{sent:?}");
        }
    }
}
