//! A response body that says when its answer is out.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use hyper::body::{Body, Frame, SizeHint};

use super::connection_state::{OpenRequest, QueuedPiece};

/// A response body, at whose end, whichever it is, its request is answered: once it is dropped and its last
/// piece is out.
pub(super) struct Ending<B> {
    body: B,
    open: OpenRequest,
}

/// A piece of a response body, on its way to the client. It is the piece's own bytes, where they are.
pub(super) struct Leaving<D> {
    piece: D,
    /// Nothing, once all of it is out.
    due: Option<QueuedPiece>,
}

impl<B> Ending<B> {
    pub(super) const fn new(body: B, open: OpenRequest) -> Self {
        Self { body, open }
    }
}

impl<B: Body + Unpin> Body for Ending<B> {
    type Data = Leaving<B::Data>;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, B::Error>>> {
        let Self { body, open } = self.get_mut();
        let leaving = |piece: B::Data| Leaving {
            due: piece.has_remaining().then(|| open.piece()),
            piece,
        };
        let polled = Pin::new(body).poll_frame(context);
        open.note_waiting(polled.is_pending());
        polled.map_ok(|frame| frame.map_data(leaving))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<D: Buf> Buf for Leaving<D> {
    fn remaining(&self) -> usize {
        self.piece.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.piece.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.piece.advance(count);
        if let Some(due) = &self.due {
            due.note_taken(count);
        }
        if !self.piece.has_remaining() {
            self.due = None;
        }
    }
}
