//! The one response body, and what is done with a request body that nobody wants.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::problem::Problem;
use super::trace::TraceId;
use crate::gateway::download::Content;
use crate::gateway::refusal::Refusal;
use crate::model::revocation::LinkId;

/// How much of a file is read at once: what one slow reader can hold in memory.
const READ_BYTES: u64 = 128 * 1024;

/// What a response carries.
pub enum Body {
    /// Nothing.
    Empty,
    /// Bytes made here.
    Full(Bytes),
    /// A region of a file, read as the client takes it.
    Region(Region),
    /// One after the other.
    Sequence(VecDeque<Self>),
}

/// A region of an open file. A read that fails aborts the connection: a response never looks whole
/// when it is not.
pub struct Region {
    content: Content,
    reader: Option<Arc<Reader>>,
    next: u64,
    end: u64,
    reading: Option<Reading>,
}

/// Who reads a file, as the log names them.
pub(super) struct Reader {
    /// The request.
    pub(super) trace_id: TraceId,
    /// The link that opened the file.
    pub(super) link_id: LinkId,
}

type Reading = Pin<Box<dyn Future<Output = Result<Bytes, Refusal>> + Send>>;

impl Body {
    /// The bytes from `start` up to `end` of an open file, which has them.
    pub fn region(content: Content, start: u64, end: u64) -> Self {
        if let Some(bytes) = content.bytes() {
            // They lie in memory, so it fits.
            let [start, end] = [start, end].map(|at| usize::try_from(at).unwrap_or(bytes.len()));
            return Self::Full(bytes.slice(start..end));
        }
        Self::Region(Region {
            content,
            reader: None,
            next: start,
            end,
            reading: None,
        })
    }

    /// Says who reads the files in this body, for the log to name them where a read fails.
    pub(super) fn read_by(&mut self, reader: &Arc<Reader>) {
        match self {
            Self::Empty | Self::Full(_) => {}
            Self::Region(region) => region.reader = Some(Arc::clone(reader)),
            Self::Sequence(bodies) => bodies.iter_mut().for_each(|body| body.read_by(reader)),
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Refusal;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Refusal>>> {
        let this = self.get_mut();
        let chunk = match this {
            Self::Empty => return Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Ok(bytes)
            }
            Self::Region(region) => match ready!(region.poll_chunk(context)) {
                Some(chunk) => chunk,
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
        Poll::Ready(Some(chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.length() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length())
    }
}

impl Body {
    fn length(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Full(bytes) => bytes.len() as u64,
            Self::Region(region) => region.end.saturating_sub(region.next),
            Self::Sequence(bodies) => bodies.iter().map(Self::length).sum(),
        }
    }
}

impl Region {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Refusal>>> {
        if self.next >= self.end {
            return Poll::Ready(None);
        }
        let (content, start) = (&self.content, self.next);
        let length = usize::try_from((self.end - start).min(READ_BYTES)).unwrap_or_default();
        let reading = self.reading.get_or_insert_with(|| {
            let content = content.clone();
            Box::pin(async move { content.read(start, length).await })
        });
        let chunk = ready!(reading.as_mut().poll(context));
        self.reading = None;
        match &chunk {
            Ok(bytes) => self.next += bytes.len() as u64,
            Err(refusal) => {
                let reader = self.reader.as_deref();
                tracing::error!(
                    trace_id = reader.map(|reader| reader.trace_id.as_str()),
                    link_id = reader.map(|reader| reader.link_id.as_str()),
                    error = %refusal,
                    "a download was aborted"
                );
                self.next = self.end;
            }
        }
        Poll::Ready(Some(chunk))
    }
}

/// How long a request body may take that is read as a whole, from the first look at it to its end.
const WHOLE_TIME_MAX: Duration = Duration::from_secs(30);

/// Reads a request body that is no longer than `limit` bytes. A longer one is refused at its first byte
/// too many, or before any where it says so itself; one that breaks off is a bad body, and one that takes
/// longer than 30 seconds is too slow.
pub(super) async fn whole<B>(body: &mut B, limit: u64) -> Result<Bytes, Problem>
where
    B: HttpBody<Data = Bytes, Error: fmt::Display> + Unpin,
{
    let mut whole = BytesMut::new();
    each(body, limit, WHOLE_TIME_MAX, |bytes| {
        whole.extend_from_slice(bytes)
    })
    .await?;
    Ok(whole.freeze())
}

/// Reads as [`whole`] does, with the same faults at the same moments, and keeps nothing.
pub(super) async fn none<B>(body: &mut B, limit: u64) -> Result<(), Problem>
where
    B: HttpBody<Data = Bytes, Error: fmt::Display> + Unpin,
{
    each(body, limit, WHOLE_TIME_MAX, |_| ()).await
}

async fn each<B>(
    body: &mut B,
    limit: u64,
    time: Duration,
    mut take: impl FnMut(&[u8]),
) -> Result<(), Problem>
where
    B: HttpBody<Data = Bytes, Error: fmt::Display> + Unpin,
{
    if body.size_hint().lower() > limit {
        return Err(Problem::BodyTooLarge { limit });
    }
    let reading = async {
        let mut left = limit;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Problem::unreadable_body("it broke off", &error))?;
            let Some(bytes) = frame.data_ref() else {
                continue;
            };
            left = left
                .checked_sub(bytes.len() as u64)
                .ok_or(Problem::BodyTooLarge { limit })?;
            take(bytes);
        }
        Ok(())
    };
    let seconds = time.as_secs();
    let read = tokio::time::timeout(time, reading).await;
    read.unwrap_or(Err(Problem::BodyTooSlow { seconds }))
}

/// How much of an unwanted request body is read before the answer, so that the client reads the answer
/// instead of a reset.
const DRAIN_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long that may take.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// Reads what is left of a request body and throws it away, up to a bound.
pub(super) async fn drain(body: &mut Incoming) {
    let reading = async {
        let mut left = DRAIN_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Running out of time is no fault: the connection is closed after the answer.
    let _ = tokio::time::timeout(DRAIN_TIME_MAX, reading).await;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// A body that sends one byte every so often, and never ends.
    struct Dripping(Pin<Box<tokio::time::Sleep>>, Duration);

    impl HttpBody for Dripping {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            ready!(self.0.as_mut().poll(context));
            self.0 = Box::pin(tokio::time::sleep(self.1));
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" ")))))
        }
    }

    /// Any wait between its bytes is short, and there is always a next one.
    #[tokio::test]
    async fn a_body_has_a_time_for_all_of_it() {
        let every = Duration::from_millis(2);
        let read = async |limit| {
            let mut body = Dripping(Box::pin(tokio::time::sleep(every)), every);
            let time = Duration::from_millis(100);
            let read = each(&mut body, limit, time, |_| ()).await;
            read.unwrap_err().label()
        };
        assert_eq!(read(1 << 20).await, "request_timeout");
        assert_eq!(read(2).await, "body_too_large");
    }
}
