//! A response body that is watched to its end: what of it was taken, and when its last piece is out.
//!
//! One wrapper serves all who want to know: the numbers of a request ([`super::response_tracker`]) and the
//! deadlines of its connection, which the server adds with [`Tracked::watched_by`].

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use hyper::body::{Body, Frame, SizeHint};

use crate::zero_copy::BodyPiece;

/// The longest answer whose only piece ends a response of several. Nearly all windows of clients have room for it.
const UNSPLIT_BYTES_MAX: usize = 4 * 1024;

/// A watcher of one response, or of a piece of it. The response is over once all of them are dropped: the body's, and
/// each piece's when that is out.
pub trait ResponseWatcher: Sized {
    /// Notes that the body was asked for its next piece, and whether it waits for that.
    fn note_polled(&self, is_waiting: bool);

    /// Returns the watcher of a piece that the HTTP library is handed.
    fn piece(&self) -> Self;

    /// Returns the watcher of the last piece, in place of this one.
    fn last_piece(self) -> Self;

    /// Notes that the connection took so many bytes of the piece.
    fn note_taken(&self, bytes: usize);

    /// Returns whether the response is one of several on its connection, with a task of its own that can be ended.
    fn is_one_of_several(&self) -> bool;
}

/// A response body that is watched.
///
/// The last byte of a response that is one of several (HTTP/2) goes out by itself. The HTTP library takes a piece whole as
/// soon as the client's window has room for its first byte, and ends the response's task with the last piece. From
/// then on nothing can reset the stream. So the last piece is one byte: when the library takes it, the window has room
/// for all before it.
pub struct Tracked<B, W> {
    body: B,
    /// The last byte, once all before it is with the HTTP library.
    last: Option<BodyPiece>,
    /// True once a piece went out.
    has_begun: bool,
    /// Gone with the last piece.
    watcher: Option<W>,
}

/// A piece of one, on its way to the client. It is the piece's own bytes, where they are.
#[derive(Debug)]
pub struct TrackedPiece<W> {
    piece: BodyPiece,
    /// Gone once all of it is out.
    watcher: Option<W>,
}

impl<B, W> Tracked<B, W> {
    /// Has this body watched.
    pub const fn new(body: B, watcher: W) -> Self {
        Self {
            body,
            last: None,
            has_begun: false,
            watcher: Some(watcher),
        }
    }

    /// Has another one watch it, too.
    pub fn watched_by<V>(self, other: V) -> Tracked<B, (W, V)> {
        Tracked {
            body: self.body,
            last: self.last,
            has_begun: self.has_begun,
            watcher: self.watcher.map(|watcher| (watcher, other)),
        }
    }
}

impl<B, W> Body for Tracked<B, W>
where
    B: Body<Data = BodyPiece> + Unpin,
    W: ResponseWatcher + Unpin,
{
    type Data = TrackedPiece<W>;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, B::Error>>> {
        let this = self.get_mut();
        if let Some(piece) = this.last.take() {
            let watcher = this.watcher.take().map(ResponseWatcher::last_piece);
            let piece = TrackedPiece { piece, watcher };
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if let Some(watcher) = &this.watcher {
            watcher.note_polled(polled.is_pending());
        }
        polled.map_ok(|frame| frame.map_data(|piece| this.watched(piece)))
    }

    fn is_end_stream(&self) -> bool {
        self.last.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let last = self.last.as_ref().map_or(0, |last| last.remaining() as u64);
        let hint = self.body.size_hint();
        hint.exact()
            .map_or(hint, |left| SizeHint::with_exact(left + last))
    }
}

impl<B: Body, W: ResponseWatcher> Tracked<B, W> {
    /// Returns this piece of the body, watched, but for its last byte where that goes out by itself.
    fn watched(&mut self, mut piece: BodyPiece) -> TrackedPiece<W> {
        if !piece.has_remaining() {
            return TrackedPiece {
                piece,
                watcher: None,
            };
        }
        let is_only_piece = !std::mem::replace(&mut self.has_begun, true);
        let is_last = self.body.is_end_stream();
        let is_small = is_only_piece && piece.remaining() <= UNSPLIT_BYTES_MAX;
        let watcher = self.watcher.as_ref();
        if is_last && !is_small && watcher.is_some_and(ResponseWatcher::is_one_of_several) {
            self.last = piece.split_last_byte();
        }
        let watcher = match is_last && self.last.is_none() {
            true => self.watcher.take().map(ResponseWatcher::last_piece),
            false => self.watcher.as_ref().map(ResponseWatcher::piece),
        };
        TrackedPiece { piece, watcher }
    }
}

impl<W: ResponseWatcher> Buf for TrackedPiece<W> {
    fn remaining(&self) -> usize {
        self.piece.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.piece.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.piece.advance(count);
        if let Some(watcher) = &self.watcher {
            watcher.note_taken(count);
        }
        if !self.piece.has_remaining() {
            self.watcher = None;
        }
    }
}

impl<A: ResponseWatcher, B: ResponseWatcher> ResponseWatcher for (A, B) {
    fn note_polled(&self, is_waiting: bool) {
        self.0.note_polled(is_waiting);
        self.1.note_polled(is_waiting);
    }

    fn piece(&self) -> Self {
        (self.0.piece(), self.1.piece())
    }

    fn last_piece(self) -> Self {
        (self.0.last_piece(), self.1.last_piece())
    }

    fn note_taken(&self, bytes: usize) {
        self.0.note_taken(bytes);
        self.1.note_taken(bytes);
    }

    fn is_one_of_several(&self) -> bool {
        self.0.is_one_of_several() || self.1.is_one_of_several()
    }
}

/// Nobody watches.
impl ResponseWatcher for () {
    fn note_polled(&self, _: bool) {}

    fn piece(&self) -> Self {}

    fn last_piece(self) -> Self {}

    fn note_taken(&self, _: usize) {}

    fn is_one_of_several(&self) -> bool {
        false
    }
}
