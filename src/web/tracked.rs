//! A response body that is watched to its end: what of it was taken, and when its last piece is out.
//!
//! One wrapper serves all who want to know: the numbers of a request ([`super::response_tracker`]) and the
//! deadlines of its connection, which the server adds with [`Tracked::watched_by`].

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use hyper::body::{Body, Frame, SizeHint};

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
}

/// A response body that is watched.
pub struct Tracked<B, W> {
    body: B,
    /// Gone with the last piece.
    watcher: Option<W>,
}

/// A piece of one, on its way to the client. It is the piece's own bytes, where they are.
#[derive(Debug)]
pub struct TrackedPiece<D, W> {
    piece: D,
    /// Gone once all of it is out.
    watcher: Option<W>,
}

impl<B, W> Tracked<B, W> {
    /// Has this body watched.
    pub const fn new(body: B, watcher: W) -> Self {
        Self {
            body,
            watcher: Some(watcher),
        }
    }

    /// Has another one watch it, too.
    pub fn watched_by<V>(self, other: V) -> Tracked<B, (W, V)> {
        Tracked {
            body: self.body,
            watcher: self.watcher.map(|watcher| (watcher, other)),
        }
    }
}

impl<B: Body + Unpin, W: ResponseWatcher + Unpin> Body for Tracked<B, W> {
    type Data = TrackedPiece<B::Data, W>;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, B::Error>>> {
        let Self { body, watcher } = self.get_mut();
        let polled = Pin::new(&mut *body).poll_frame(context);
        if let Some(watcher) = watcher {
            watcher.note_polled(polled.is_pending());
        }
        polled.map_ok(|frame| {
            frame.map_data(|piece| TrackedPiece {
                watcher: match piece.has_remaining() {
                    true if body.is_end_stream() => watcher.take().map(ResponseWatcher::last_piece),
                    true => watcher.as_ref().map(ResponseWatcher::piece),
                    false => None,
                },
                piece,
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<D: Buf, W: ResponseWatcher> Buf for TrackedPiece<D, W> {
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
}

/// Nobody watches.
impl ResponseWatcher for () {
    fn note_polled(&self, _: bool) {}

    fn piece(&self) -> Self {}

    fn last_piece(self) -> Self {}

    fn note_taken(&self, _: usize) {}
}
