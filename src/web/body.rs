//! The one response body.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::archive_body::ArchiveBody;
use super::region::{Region, RegionOptions};
use super::response_memory::ConnectionMemory;
use super::throttled::ThrottledBytes;
use crate::gateway::download::Content;
use crate::gateway::limits::Pace;
use crate::gateway::refusal::Refusal;
use crate::zero_copy::BodyPiece;

/// The body of a response.
#[derive(Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes made here.
    Full(Bytes),
    /// Bytes that may only go out so fast.
    Throttled(ThrottledBytes),
    /// A region of a file, read as the client takes it. Boxed, as connections keep space for a body.
    Region(Box<Region>),
    /// A zip archive, or a part of one.
    Archive(Box<ArchiveBody>),
    /// One after the other.
    Sequence(VecDeque<Self>),
}

impl Body {
    /// The bytes from `start` up to `end` of an open file, which has them.
    pub(super) fn region(
        content: Content,
        start: u64,
        end: u64,
        options: &RegionOptions<'_>,
    ) -> Self {
        if let Some(bytes) = content.bytes() {
            // They lie in memory, so it fits.
            let [start, end] = [start, end].map(|at| usize::try_from(at).unwrap_or(bytes.len()));
            return Self::Full(bytes.slice(start..end));
        }
        Self::Region(Box::new(Region::new(content, start, end, options)))
    }

    /// Holds bytes in memory to what they may have.
    pub(super) fn throttle(&mut self, pace: Pace) {
        let bytes = match std::mem::replace(self, Self::Empty) {
            Self::Full(bytes) => bytes,
            Self::Sequence(bodies) => {
                let pieces = bodies.iter().map(|body| match body {
                    Self::Full(bytes) => bytes.as_ref(),
                    _ => &[],
                });
                Bytes::from(pieces.collect::<Vec<_>>().concat())
            }
            // Nothing is sent, or files are, whose regions are held to it.
            other => {
                *self = other;
                return;
            }
        };
        *self = if pace.spend_at_once(bytes.len() as u64) {
            Self::Full(bytes)
        } else {
            Self::Throttled(ThrottledBytes::new(bytes, pace))
        };
    }

    /// Has the bytes of it that are in memory count as the connection's: at once, or when they may go out.
    pub(super) fn count_in(&mut self, memory: &ConnectionMemory) {
        match self {
            Self::Full(bytes) => *bytes = memory.hold(std::mem::take(bytes)),
            Self::Throttled(throttled) => throttled.count_in(memory),
            // A region and an archive count piece by piece. The heads between several, some kilobytes, go out after those before them:
            // counted from the beginning, they would have the regions wait for what waits for them.
            Self::Empty | Self::Region(_) | Self::Archive(_) | Self::Sequence(_) => {}
        }
    }

    /// Returns the number of bytes that are left of it.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Full(bytes) => bytes.len() as u64,
            Self::Throttled(throttled) => throttled.left(),
            Self::Region(region) => region.left(),
            Self::Archive(archive) => archive.left(),
            Self::Sequence(bodies) => bodies.iter().map(Self::length).sum(),
        }
    }
}

impl HttpBody for Body {
    type Data = BodyPiece;
    type Error = Refusal;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<BodyPiece>, Refusal>>> {
        let this = self.get_mut();
        let piece = match this {
            Self::Empty => return Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Ok(BodyPiece::from(bytes))
            }
            Self::Throttled(throttled) => {
                let bytes = ready!(throttled.poll_bytes(context));
                if throttled.left() == 0 {
                    *this = Self::Empty;
                }
                Ok(BodyPiece::from(bytes))
            }
            Self::Region(region) => match ready!(region.poll_piece(context)) {
                Some(piece) => piece,
                None => return Poll::Ready(None),
            },
            Self::Archive(archive) => match ready!(archive.poll_piece(context)) {
                Some(piece) => piece,
                None => return Poll::Ready(None),
            },
            Self::Sequence(bodies) => {
                while let Some(first) = bodies.front_mut() {
                    if let Some(frame) = ready!(Pin::new(first).poll_frame(context)) {
                        return Poll::Ready(Some(frame));
                    }
                    bodies.pop_front();
                }
                return Poll::Ready(None);
            }
        };
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.length() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length())
    }
}
