//! A region of a file in a response body.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use hyper::Version;

use super::response_memory::{ConnectionMemory, Grant, HeldBytes};
use super::throttled::Throttle;
use super::trace::TraceId;
use crate::gateway::download::{Content, Stamp, Stream};
use crate::gateway::limits::{Admitted, Pace};
use crate::gateway::refusal::Refusal;
use crate::model::revocation::LinkId;
use crate::zero_copy::{BodyPiece, Owner, REGION_BYTES_MAX, Regions};

/// The bytes of a file that one read takes: as much as one slow reader can hold in memory.
const READ_BYTES: usize = 128 * 1024;

/// The same of HTTP/2, where one client may read a hundred files slowly at once: its largest frame.
const READ_BYTES_OF_MANY: usize = 16 * 1024;

/// The reads that the first request to a store covers at most where memory is scarce: its answers take longer.
const STORE_READS: usize = 8;

/// A region of an open file. A read that fails aborts the connection: a response never looks whole
/// when it is not.
///
/// Where the connection can send a file itself, its bytes are handed over by reference, as far as they
/// are in memory; what is not is first read ahead where waiting is no harm, a window at a time. Elsewhere
/// they are read a piece at a time, when the connection's share of the memory budget has a permit for one.
pub struct Region {
    content: Content,
    identity: Arc<DownloadIdentity>,
    /// The connection's own queue, if it can send files.
    regions: Option<Regions>,
    /// The connection's share of the memory budget, if its bytes count.
    memory: Option<ConnectionMemory>,
    start: u64,
    next: u64,
    end: u64,
    /// The file's stamp when its first piece went out, where there are more.
    stamp: Option<Stamp>,
    /// The bytes on their way here, where they come from a store piece by piece.
    stream: Option<Stream>,
    /// The bytes that came from it and wait for their rate.
    rest: Bytes,
    /// The wait for memory for the next piece.
    grant: Option<Grant>,
    waiting: Option<NextBytes>,
    /// The throttle of a region whose bytes may only go out so fast.
    throttle: Option<Box<Throttle>>,
}

/// The options that the regions of one download have in common.
#[derive(Debug)]
pub struct RegionOptions<'a> {
    /// The download.
    pub identity: DownloadIdentity,
    /// True if the head takes ready lines.
    pub takes_lines: bool,
    /// The queue by which the connection sends files, if it can.
    pub regions: Option<&'a Regions>,
    /// The connection's share of the memory budget, if its bytes count.
    pub memory: Option<&'a ConnectionMemory>,
    /// The limits that the download was admitted by, if there are any. Each region goes out at a pace of its own.
    pub admitted: Option<&'a Admitted>,
}

/// The identity of a download: the request and the link that the log names where reading the file fails.
#[derive(Clone, Copy, Debug)]
pub struct DownloadIdentity {
    /// The bytes that one read takes where the kernel does not send the file.
    read_bytes: usize,
    /// The request.
    trace_id: TraceId,
    /// The link that opened the file.
    link_id: LinkId,
}

impl DownloadIdentity {
    /// Returns the identity of a request of this version.
    pub fn new(version: Version, trace_id: TraceId, link_id: LinkId) -> Self {
        let read_bytes = match version <= Version::HTTP_11 {
            true => READ_BYTES,
            false => READ_BYTES_OF_MANY,
        };
        Self {
            read_bytes,
            trace_id,
            link_id,
        }
    }

    pub(super) fn note_aborted(&self, error: &dyn fmt::Display) {
        let (trace_id, link_id) = (self.trace_id.as_str(), self.link_id.as_str());
        tracing::error!(trace_id, link_id, %error, "a download was aborted");
    }
}

impl Owner for DownloadIdentity {
    fn note_fault(&self, fault: &io::Error) {
        self.note_aborted(fault);
    }
}

/// The wait of a region: for its next bytes, or (`None`) until so many of them are in memory.
type NextBytes = Pin<Box<dyn Future<Output = Result<Option<Bytes>, Refusal>> + Send>>;

impl Region {
    /// Returns the bytes from `start` up to `end` of an open file, which has them.
    pub(super) fn new(content: Content, start: u64, end: u64, options: &RegionOptions<'_>) -> Self {
        let pace = options.admitted.and_then(Admitted::pace);
        Self {
            content,
            identity: Arc::new(options.identity),
            regions: options.regions.cloned(),
            memory: options.memory.cloned(),
            start,
            next: start,
            end,
            stamp: None,
            stream: None,
            rest: Bytes::new(),
            grant: None,
            waiting: None,
            throttle: pace.map(|pace| Box::new(Throttle::new(pace))),
        }
    }

    /// Holds it to a pace of its own.
    pub(super) fn paced(mut self, pace: Option<Pace>) -> Self {
        self.throttle = pace.map(|pace| Box::new(Throttle::new(pace)));
        self
    }

    /// Returns the number of bytes that are left of it.
    pub(super) const fn left(&self) -> u64 {
        self.end.saturating_sub(self.next)
    }

    /// The next piece; `None` after the last one, or after an error.
    pub(super) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyPiece, Refusal>>> {
        if self.next >= self.end {
            return Poll::Ready(None);
        }
        if let Some(throttle) = &mut self.throttle {
            ready!(throttle.poll_grant(context, self.end - self.next));
        }
        let piece = ready!(self.poll_next(context));
        match &piece {
            Ok(piece) => {
                let length = piece.remaining() as u64;
                self.next += length;
                if let Some(throttle) = &mut self.throttle {
                    throttle.pace.spend(length);
                }
            }
            Err(refusal) => {
                self.identity.note_aborted(refusal);
                self.next = self.end;
            }
        }
        Poll::Ready(Some(piece))
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<BodyPiece, Refusal>> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Ok(self.cut(rest)));
        }
        let bytes = match &mut self.waiting {
            Some(waiting) => ready!(waiting.as_mut().poll(context)),
            None => {
                // Before the file is checked: it may change while memory is waited for.
                let held = ready!(self.poll_memory(context));
                match self.begin(held) {
                    Ok(None) => Ok(None),
                    Ok(Some(waiting)) => {
                        ready!(self.waiting.insert(waiting).as_mut().poll(context))
                    }
                    Err(refusal) => Err(refusal),
                }
            }
        };
        self.waiting = None;
        Poll::Ready(bytes.map(|bytes| match bytes {
            Some(bytes) => self.cut(bytes),
            None => self.hand_over(),
        }))
    }

    /// A piece of these bytes, as long as it may be. A store sends what it likes at once.
    fn cut(&mut self, mut bytes: Bytes) -> BodyPiece {
        self.rest = bytes.split_off(self.length(bytes.len()));
        BodyPiece::from(bytes)
    }

    /// Waits for memory for the next piece; `None` if it needs none that counts.
    fn poll_memory(&mut self, context: &mut Context<'_>) -> Poll<Option<HeldBytes>> {
        let Some(memory) = self.memory.as_ref().filter(|_| self.queue().is_none()) else {
            return Poll::Ready(None);
        };
        let most = self.length(self.identity.read_bytes);
        let mut grant = self.grant.take().unwrap_or_else(|| memory.grant(most));
        let granted = Pin::new(&mut grant).poll(context);
        if granted.is_pending() {
            self.grant = Some(grant);
        }
        granted.map(Some)
    }

    /// Returns the wait for the next piece, whose memory is `held`; `None` if it can be handed over at once.
    fn begin(&mut self, held: Option<HeldBytes>) -> Result<Option<NextBytes>, Refusal> {
        let granted = held.as_ref().map(HeldBytes::bytes);
        let counted = move |bytes| match held {
            Some(held) => held.around(bytes),
            None => bytes,
        };
        if let Some(stream) = self.stream() {
            return Ok(Some(Box::pin(async move {
                stream.next().await.map(|bytes| Some(counted(bytes)))
            })));
        }
        let (content, start) = (self.content.clone(), self.next);
        let is_sent_by_the_kernel = self.queue().is_some();
        let length = self.length(match is_sent_by_the_kernel {
            true => REGION_BYTES_MAX,
            false => granted.unwrap_or(self.identity.read_bytes),
        });
        // A file that was changed while it is sent must not go out as half the one and half the other.
        if (length as u64) < self.end - self.start {
            let stamp = content.stamp()?;
            if *self.stamp.get_or_insert(stamp) != stamp {
                return Err(Refusal::Internal("a file changed while it was sent".into()));
            }
        }
        if !is_sent_by_the_kernel {
            return Ok(Some(Box::pin(async move {
                let bytes = content.read(start, length).await?;
                Ok(Some(counted(bytes)))
            })));
        }
        if content.is_at_hand(start, length) {
            return Ok(None);
        }
        Ok(Some(Box::pin(async move {
            content.fetch(start, length).await.map(|()| None)
        })))
    }

    /// The bytes from here on as a store sends them, if it is one that does.
    fn stream(&mut self) -> Option<Stream> {
        if self.stream.is_none() {
            let first = self.identity.read_bytes * STORE_READS;
            self.stream = self.content.stream(self.next, self.end, first);
        }
        self.stream.clone()
    }

    /// The queue of a connection that can send this file itself, and the file.
    fn queue(&self) -> Option<(&Regions, &Arc<File>)> {
        self.regions.as_ref().zip(self.content.file())
    }

    fn hand_over(&self) -> BodyPiece {
        let length = self.length(REGION_BYTES_MAX);
        match self.queue() {
            Some((regions, file)) => {
                let owner = Arc::clone(&self.identity) as Arc<dyn Owner>;
                regions.hand_over(Arc::clone(file), self.next, length, owner)
            }
            // Only what has a queue is ever handed over. An empty piece sends nothing, and is passed over.
            None => BodyPiece::from(Bytes::new()),
        }
    }

    /// Returns the number of bytes that go into the next piece, at most `max`.
    fn length(&self, max: usize) -> usize {
        let throttle = self.throttle.as_ref();
        let granted = throttle.map(|throttle| throttle.pace.granted());
        let left = (self.end - self.next).min(granted.unwrap_or(u64::MAX));
        usize::try_from(left).map_or(max, |left| left.min(max))
    }
}
