//! The check of request lines for a fragment, which is no part of a request target (RFC 9112, §3.2).
//!
//! The HTTP library takes a fragment off before it hands out the target. So a connection of HTTP/1 follows the bytes of
//! its requests: the first line, the fields up to the empty line, and the body, whose length the library says
//! (RFC 9112, §6). It passes one head on at a time. What the client sends behind one waits until the library has begun
//! with that request, so that each target is looked at, and nothing else is taken for one. One over HTTP/2 is not
//! looked at, where the library alone sees the target.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use memchr::{memchr, memchr_iter, memchr2, memchr3};

/// The most bytes of one read of a head: as many as the HTTP library asks for at first.
const HEAD_READ_BYTES: usize = 8 * 1024;

/// The most bytes of one read of a body.
const BODY_READ_BYTES: usize = 64 * 1024;

/// The length of a body in chunks (RFC 9112, §7.1). Such a request is the last of its connection.
const IN_CHUNKS: u64 = u64::MAX;

/// The request targets of one connection, as its reader finds them.
#[derive(Debug, Default)]
pub(super) struct RequestTargets {
    /// The number of requests whose heads have come in.
    begun: AtomicU64,
    /// The length of the last one's body, or [`IN_CHUNKS`].
    body_length: AtomicU64,
    /// True if the target of the next one has a fragment.
    has_fragment: AtomicBool,
    /// True if the library waits for the first byte of the next one.
    is_next_due: AtomicBool,
}

impl RequestTargets {
    /// Notes that the head of a request has come in, with a body of this length, or in chunks. Returns whether its target
    /// has a fragment.
    pub(super) fn begin(&self, body_length: Option<u64>) -> bool {
        let length = body_length.unwrap_or(IN_CHUNKS);
        self.body_length.store(length, Relaxed);
        self.begun.fetch_add(1, Relaxed);
        self.has_fragment.swap(false, Relaxed)
    }

    /// Returns whether the library has taken all requests before, and waits for the first byte of the next one.
    pub(super) fn is_next_due(&self) -> bool {
        self.is_next_due.load(Relaxed)
    }
}

/// The part of a request that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Its first byte, perhaps behind empty lines, which mean nothing (RFC 9112, §2.2).
    First,
    Method,
    Target,
    /// The rest of the first line.
    Version,
    /// The fields. True if their line has no byte yet.
    Fields(bool),
    /// Nothing: the head is whole.
    Whole,
    /// So many bytes of the body.
    Body(u64),
    /// Nobody knows: a body in chunks, or the HTTP library reads it otherwise.
    Unknown,
}

/// The stream of an HTTP/1 connection, whose request targets are looked at.
pub(super) struct CheckedStream<S> {
    stream: S,
    targets: Arc<RequestTargets>,
    /// The number of requests before the one that is looked at.
    before: u64,
    part: Part,
    /// The bytes that came with a head, behind it.
    left: Bytes,
}

impl<S> CheckedStream<S> {
    pub(super) const fn new(stream: S, targets: Arc<RequestTargets>) -> Self {
        Self {
            stream,
            targets,
            before: 0,
            part: Part::First,
            left: Bytes::new(),
        }
    }

    /// Goes on behind a head, where the HTTP library has begun with its request.
    fn go_on(&mut self) {
        let begun = self.targets.begun.load(Relaxed);
        let has_begun = begun != self.before;
        self.before = begun;
        self.part = match (self.part == Part::Whole, has_begun) {
            (true, true) => match self.targets.body_length.load(Relaxed) {
                0 => Part::First,
                IN_CHUNKS => Part::Unknown,
                length => Part::Body(length),
            },
            (false, false) => self.part,
            _ => Part::Unknown,
        };
    }

    /// Follows these bytes, up to the end of a head. Returns their number.
    fn follow(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() && self.part != Part::Whole {
            let followed = self.follow_part(rest);
            rest = rest.get(followed..).unwrap_or_default();
        }
        bytes.len() - rest.len()
    }

    /// Follows bytes of the part that comes next, at least one, and returns their number.
    fn follow_part(&mut self, bytes: &[u8]) -> usize {
        let all = bytes.len();
        let (next, end) = match self.part {
            Part::First => match bytes.first() {
                Some(b'\r' | b'\n') => (Part::First, Some(0)),
                _ => (Part::Method, Some(0)),
            },
            Part::Method => {
                let end = memchr2(b' ', b'\n', bytes);
                (self.behind(bytes, end, Part::Target), end)
            }
            Part::Target => {
                let end = memchr3(b' ', b'\n', b'#', bytes);
                if end.and_then(|end| bytes.get(end)) == Some(&b'#') {
                    self.targets.has_fragment.store(true, Relaxed);
                }
                (self.behind(bytes, end, Part::Version), end)
            }
            Part::Version => (Part::Fields(true), memchr(b'\n', bytes)),
            Part::Fields(is_empty) => return self.follow_fields(bytes, is_empty),
            Part::Body(left) => return self.pass(left, all),
            Part::Whole | Part::Unknown => return all,
        };
        match end {
            Some(end) => {
                self.part = next;
                end + 1
            }
            None => all,
        }
    }

    /// Follows lines of fields, up to the empty one. `is_empty`: the first of them has no byte before these.
    fn follow_fields(&mut self, bytes: &[u8], mut is_empty: bool) -> usize {
        let has_no_byte = |line: Option<&[u8]>| {
            let mut bytes = line.into_iter().flatten();
            bytes.all(|byte| *byte == b'\r')
        };
        let mut start = 0;
        for end in memchr_iter(b'\n', bytes) {
            if is_empty && has_no_byte(bytes.get(start..end)) {
                self.part = Part::Whole;
                return end + 1;
            }
            (start, is_empty) = (end + 1, true);
        }
        // A line that is not over knows whether it has a byte.
        self.part = Part::Fields(is_empty && has_no_byte(bytes.get(start..)));
        bytes.len()
    }

    /// Returns what comes behind a part of the first line that ends there: the fields, where the line ends with it.
    fn behind(&self, bytes: &[u8], end: Option<usize>, next: Part) -> Part {
        match end.and_then(|end| bytes.get(end)) {
            Some(b'\n') => Part::Fields(true),
            Some(_) => next,
            None => self.part,
        }
    }

    /// Follows bytes of a body of which `left` come.
    fn pass(&mut self, left: u64, all: usize) -> usize {
        let followed = usize::try_from(left).map_or(all, |left| left.min(all));
        self.part = match left - followed as u64 {
            0 => Part::First,
            left => Part::Body(left),
        };
        followed
    }
}

impl<S: Read + Unpin> CheckedStream<S> {
    /// Reads at most so many bytes, and passes those on that come before the end of a head.
    #[inline(never)]
    fn poll_read_some<const BYTES: usize>(
        &mut self,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [MaybeUninit::uninit(); BYTES];
        let (bytes, _) = bytes.split_at_mut(buffer.remaining().min(BYTES));
        let mut read = ReadBuf::uninit(bytes);
        ready!(Pin::new(&mut self.stream).poll_read(context, read.unfilled()))?;
        let followed = self.follow(read.filled());
        let (passed, left) = read.filled().split_at(followed);
        buffer.put_slice(passed);
        if !left.is_empty() {
            self.left = Bytes::copy_from_slice(left);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Read + Unpin> CheckedStream<S> {
    /// Waits for the next bytes of a client, and holds them until the HTTP library asks. Returns `false` at the end of the
    /// stream.
    ///
    /// # Errors
    /// If the connection breaks.
    pub(super) async fn arrival(&mut self) -> io::Result<bool> {
        poll_fn(|context| self.poll_arrival(context)).await
    }

    #[inline(never)]
    fn poll_arrival(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.left.is_empty() {
            let mut bytes = [MaybeUninit::uninit(); HEAD_READ_BYTES];
            let mut read = ReadBuf::uninit(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(context, read.unfilled()))?;
            self.left = Bytes::copy_from_slice(read.filled());
        }
        Poll::Ready(Ok(!self.left.is_empty()))
    }

    /// Passes bytes of the part that comes next on to the HTTP library.
    fn poll_read_part(
        &mut self,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.left.is_empty() {
            let mut left = std::mem::take(&mut self.left);
            let most = left.len().min(buffer.remaining());
            let followed = self.follow(&left.slice(..most));
            buffer.put_slice(&left.split_to(followed));
            self.left = left;
            return Poll::Ready(Ok(()));
        }
        match self.part {
            Part::Unknown => Pin::new(&mut self.stream).poll_read(context, buffer),
            Part::Body(_) => self.poll_read_some::<BODY_READ_BYTES>(context, buffer),
            _ => self.poll_read_some::<HEAD_READ_BYTES>(context, buffer),
        }
    }
}

impl<S: Read + Unpin> Read for CheckedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.go_on();
        let is_first = this.part == Part::First;
        let read = this.poll_read_part(context, buffer);
        let is_next_due = is_first && read.is_pending();
        this.targets.is_next_due.store(is_next_due, Relaxed);
        read
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

    /// Returns for each request of these reads whether it has a fragment. Their bodies have these lengths.
    fn fragments(reads: &[&[u8]], lengths: &[Option<u64>]) -> Vec<bool> {
        let targets = Arc::new(RequestTargets::default());
        let mut stream = CheckedStream::new((), Arc::clone(&targets));
        let (mut found, mut lengths) = (Vec::new(), lengths.iter());
        for read in reads {
            let mut rest = *read;
            while !rest.is_empty() {
                stream.go_on();
                assert_ne!(stream.part, Part::Unknown, "{rest:?}");
                rest = &rest[stream.follow(rest)..];
                if stream.part == Part::Whole {
                    found.push(targets.begin(lengths.next().copied().flatten()));
                }
            }
        }
        found
    }

    #[test]
    fn a_fragment_is_found_however_the_bytes_come_in_and_wherever_the_request_is() {
        let none = Some(0);
        for (sent, lengths, expected) in [
            (
                &b"GET /a?b#c HTTP/1.1\r\nHost: x\r\n\r\n"[..],
                &[none][..],
                &[true][..],
            ),
            (b"GET /a?b# HTTP/1.1\r\n\r\n", &[none], &[true]),
            (b"\r\n\nGET #x HTTP/1.1\n\n", &[none], &[true]),
            (b"GET http://x/a#c HTTP/1.1\r\n\r\n", &[none], &[true]),
            (b"GET /#\r\n\r\n", &[none], &[true]),
            (b"GET /a?b HTTP/1.1\r\nX: #c\r\n\r\n", &[none], &[false]),
            // The method is another thing's to judge.
            (b"G#T / HTTP/1.1\r\n\r\n", &[none], &[false]),
            (b"GET\r\nX: #\r\n\r\n", &[none], &[false]),
            // Requests behind one another, each field of which could be a request.
            (
                b"GET /a HTTP/1.1\r\nX: GET /#\r\n\r\nGET /b#c HTTP/1.1\r\n\r\nGET /d HTTP/1.1\r\n\r\n",
                &[none, none, none],
                &[false, true, false],
            ),
            (
                b"POST / HTTP/1.1\r\n\r\nGET /# HTT\r\nGET /#x HTTP/1.1\r\n\r\n",
                &[Some(12), none],
                &[false, true],
            ),
            (b"", &[], &[]),
        ] {
            let text = String::from_utf8_lossy(sent);
            for at in 0..=sent.len() {
                let (one, other) = sent.split_at(at);
                assert_eq!(fragments(&[one, other], lengths), expected, "{text} at {at}");
            }
            let single: Vec<&[u8]> = sent.chunks(1).collect();
            assert_eq!(fragments(&single, lengths), expected, "{text}");
        }
    }

    #[test]
    fn what_the_library_reads_otherwise_is_followed_no_further() {
        let targets = Arc::new(RequestTargets::default());
        let mut stream = CheckedStream::new((), Arc::clone(&targets));
        stream.follow(b"GET / HTTP/1.1\r\nX: y");
        assert!(!targets.begin(Some(0)));
        stream.go_on();
        stream.follow(b"GET /#x HTTP/1.1\r\n\r\n");
        assert!(!targets.begin(Some(0)));
        let mut stream = CheckedStream::new((), Arc::clone(&targets));
        stream.before = targets.begun.load(Relaxed);
        stream.follow(b"POST / HTTP/1.1\r\n\r\n");
        assert!(!targets.begin(None), "its body is in chunks");
        stream.go_on();
        assert_eq!(stream.part, Part::Unknown);
    }
}
