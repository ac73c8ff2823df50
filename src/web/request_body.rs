//! A reader of request bodies, as far as somebody wants them.
//!
//! A client may take its time for a large body, but not stop: it has to send [`PACE_BYTES_MIN`] in every
//! [`PACE_TIME`] that we wait for it. That is as little as a reader has to take of an answer (`server`), and so little
//! that a hundred uploads at once keep it together over a line of 27 kbit/s. Alone it would let 1 GiB come in for a
//! year, so that an upload has an end besides ([`RequestBody::end_within`]).

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Incoming};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout};

use super::problem::Problem;

/// The time that we wait for [`PACE_BYTES_MIN`] of a body.
const PACE_TIME: Duration = Duration::from_secs(30);

/// The fewest bytes that a client has to send in [`PACE_TIME`].
const PACE_BYTES_MIN: usize = 1024;

/// The longest that a body may take that is read as a whole, from the first look at it to its end.
const WHOLE_TIME_MAX: Duration = Duration::from_secs(30);

/// A request body that is being read.
pub(super) struct RequestBody<B = Incoming> {
    body: B,
    pace_time: Duration,
    /// The time that we have waited for bytes that are not yet [`PACE_BYTES_MIN`].
    waited: Duration,
    /// The bytes that came in that time.
    came: usize,
    /// The time at which the body must have come in whole, and how long it had until then.
    end: Option<(Instant, Duration)>,
}

impl<B> RequestBody<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    pub(super) const fn new(body: B) -> Self {
        Self {
            body,
            pace_time: PACE_TIME,
            waited: Duration::ZERO,
            came: 0,
            end: None,
        }
    }

    /// Gives the whole body so long to come in, from now on.
    pub(super) fn end_within(&mut self, time: Duration) {
        self.end = Some((Instant::now() + time, time));
    }

    /// Returns whether there is more, or may be.
    pub(super) fn is_unread(&self) -> bool {
        !self.body.is_end_stream()
    }

    /// Returns the least bytes that are left of the body: all of it, where its head says how long, and nothing was
    /// read.
    pub(super) fn length_min(&self) -> u64 {
        self.body.size_hint().lower()
    }

    /// Returns the most bytes that the body may have: `u64::MAX` where its head does not say.
    pub(super) fn length_max(&self) -> u64 {
        self.body.size_hint().upper().unwrap_or(u64::MAX)
    }

    /// The next bytes; `None` at the end. Trailers are read past. A body that breaks off is a bad one,
    /// one that does not keep the pace is too slow, and one whose time is over takes too long, also where it has bytes.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let begun = Instant::now();
            let (left, late) = self.patience(begun);
            if left.is_zero() {
                return Err(late);
            }
            let next = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context));
            let Ok(frame) = timeout(left, next).await else {
                return Err(late);
            };
            let Some(frame) = frame else {
                return Ok(None);
            };
            let frame = frame.map_err(|_| Problem::bad_body("the body broke off"))?;
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            self.keep_pace(begun.elapsed(), bytes.len());
            return Ok(Some(bytes));
        }
    }

    /// Returns how long the next bytes may take, and what is wrong if they take longer.
    fn patience(&self, now: Instant) -> (Duration, Problem) {
        let pace = self.pace_time.saturating_sub(self.waited);
        match self.end {
            Some((end, time)) if end.saturating_duration_since(now) < pace => (
                end.saturating_duration_since(now),
                Problem::UploadTooLong {
                    seconds: time.as_secs(),
                },
            ),
            _ => (pace, too_slow(self.pace_time)),
        }
    }

    fn keep_pace(&mut self, waited: Duration, came: usize) {
        self.waited += waited;
        self.came += came;
        if self.came >= PACE_BYTES_MIN {
            (self.waited, self.came) = (Duration::ZERO, 0);
        }
    }

    /// The whole body, if it is no longer than `limit` bytes. A longer one is refused at its first byte
    /// too many, or before any where it says so itself; one that breaks off is a bad body, and one that
    /// takes longer than 30 seconds is too slow.
    pub(super) async fn whole(&mut self, limit: u64) -> Result<Bytes, Problem> {
        let mut whole = BytesMut::new();
        self.each(limit, WHOLE_TIME_MAX, |bytes| {
            whole.extend_from_slice(bytes)
        })
        .await?;
        Ok(whole.freeze())
    }

    /// Reads as [`RequestBody::whole`] does, and hashes the body with SHA-256 while it comes in.
    pub(super) async fn whole_hashed(&mut self, limit: u64) -> Result<(Bytes, [u8; 32]), Problem> {
        let (mut whole, mut hash) = (BytesMut::new(), Sha256::new());
        self.each(limit, WHOLE_TIME_MAX, |bytes| {
            whole.extend_from_slice(bytes);
            hash.update(bytes);
        })
        .await?;
        Ok((whole.freeze(), hash.finalize().into()))
    }

    async fn each(
        &mut self,
        limit: u64,
        time: Duration,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), Problem> {
        if self.body.size_hint().lower() > limit {
            return Err(Problem::BodyTooLarge { limit });
        }
        let reading = async {
            let mut left = limit;
            while let Some(bytes) = self.chunk().await? {
                left = less(left, &bytes, limit)?;
                take(&bytes);
            }
            Ok(())
        };
        let read = timeout(time, reading).await;
        read.unwrap_or_else(|_| Err(too_slow(time)))
    }
}

/// Returns the bytes that may still come in behind these. `limit` is told to the client where these are too many.
pub(super) fn less(left: u64, bytes: &[u8], limit: u64) -> Result<u64, Problem> {
    let left = left.checked_sub(bytes.len() as u64);
    left.ok_or(Problem::BodyTooLarge { limit })
}

fn too_slow(time: Duration) -> Problem {
    Problem::BodyTooSlow {
        seconds: time.as_secs(),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};

    use http_body_util::Full;
    use hyper::body::Frame;

    use super::*;

    /// A body that sends one byte every so often, and never ends.
    struct Dripping(Pin<Box<tokio::time::Sleep>>, Duration);

    impl Body for Dripping {
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

    fn dripping(every: Duration) -> RequestBody<Dripping> {
        RequestBody::new(Dripping(Box::pin(tokio::time::sleep(every)), every))
    }

    /// Any wait between its bytes is short, and there is always a next one.
    #[tokio::test]
    async fn a_body_has_a_time_for_all_of_it() {
        let read = async |limit| {
            let mut body = dripping(Duration::from_millis(2));
            let read = body.each(limit, Duration::from_millis(100), |_| ()).await;
            read.unwrap_err().label()
        };
        assert_eq!(read(1 << 20).await, "request_timeout");
        assert_eq!(read(2).await, "body_too_large");
    }

    #[tokio::test]
    async fn a_body_has_an_end_whatever_it_brings() {
        let mut body = dripping(Duration::from_millis(2));
        body.end_within(Duration::from_millis(100));
        let begun = Instant::now();
        let refused = loop {
            if let Err(problem) = body.chunk().await {
                break problem;
            }
        };
        assert!(begun.elapsed() >= Duration::from_millis(100));
        assert_eq!(refused.setting(), Some("uploads.duration_max"));
        // Also where there are always bytes.
        let mut body = RequestBody::new(Full::new(Bytes::from_static(b"x")));
        body.end_within(Duration::ZERO);
        let refused = body.chunk().await.unwrap_err();
        assert_eq!(refused.label(), "request_timeout");
    }

    #[tokio::test]
    async fn a_body_must_keep_its_pace_for_as_long_as_we_wait_for_it() {
        let mut body = dripping(Duration::from_millis(1));
        body.pace_time = Duration::from_millis(100);
        let refused = loop {
            if let Err(problem) = body.chunk().await {
                break problem;
            }
        };
        assert_eq!(refused.label(), "request_timeout");
        // Time that we take ourselves does not count.
        let mut body = dripping(Duration::from_millis(1));
        body.pace_time = Duration::from_secs(5);
        body.keep_pace(Duration::from_millis(4_900), PACE_BYTES_MIN);
        body.keep_pace(Duration::from_millis(4_900), PACE_BYTES_MIN - 1);
        assert_eq!(body.waited, Duration::from_millis(4_900));
        body.keep_pace(Duration::ZERO, 1);
        assert_eq!(body.waited, Duration::ZERO);
    }
}
