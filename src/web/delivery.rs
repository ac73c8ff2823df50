//! What becomes of an answer on its way: how many of its bytes were taken, and when it ended.
//!
//! A byte counts as sent when the HTTP library says that the connection took it. Over plain HTTP/1 that is
//! the kernel, which has it in the socket's buffer or sends it from the page cache; over TLS and HTTP/2 it is
//! the layer that encrypts or frames, which holds back some tens of kilobytes at most. Whether the client
//! read it nobody can know. Heads, chunks and frames are not counted, the heads of parts are.
//!
//! A connection has one `Way`, made with it and used by its requests one after the other; only those that
//! come beside one another need more. So a request on a connection that is open allocates nothing for it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::body::Body;
use super::report::{Download, Reporter};
use crate::gateway::refusal::Refusal;
use crate::handover::Piece;
use crate::telemetry::metrics::Route;

/// What [`Way::done_after`] says before that, and where they did not.
const NOT_YET: u64 = u64::MAX;

/// Where the answers of one connection are counted. Cloning is a reference count.
#[derive(Clone, Debug)]
pub struct Deliveries(Arc<Way>);

/// An answer's way to its client, from its head on.
#[derive(Debug)]
pub(super) struct Way {
    reporter: Arc<Reporter>,
    /// Whether an answer is on it.
    is_taken: AtomicBool,
    /// How many bodies and pieces of it are not out.
    parts: AtomicU32,
    /// Bytes of its body that were taken.
    sent: AtomicU64,
    /// After how many microseconds all of them were, where they went out in one go.
    done_after: AtomicU64,
    answer: Mutex<Option<Answer>>,
    /// Whether the reporter knows of this way, and looks at it between flushes.
    is_watched: AtomicBool,
}

/// The answer that is on its way.
#[derive(Debug)]
struct Answer {
    route: Route,
    /// When its request came in.
    begun: Duration,
    /// How many bytes its body has.
    due: u64,
    /// How much of what was sent the numbers have already.
    metered: u64,
    download: Option<Download>,
}

/// A part of an answer that is not out. With the last one, the answer is.
#[derive(Debug)]
struct Part(Arc<Way>);

/// A response body that is counted.
pub struct Delivered {
    body: Body,
    /// Gone with the last piece.
    part: Option<Part>,
}

/// A piece of one.
#[derive(Debug)]
pub struct Counted {
    piece: Piece,
    /// Gone when it is out.
    part: Option<Part>,
}

impl Deliveries {
    /// Of a new connection.
    pub(super) fn new(reporter: &Arc<Reporter>) -> Self {
        Self(Arc::new(Way::new(Arc::clone(reporter))))
    }

    /// Sends this body out.
    pub(super) fn deliver(
        &self,
        body: Body,
        route: Route,
        begun: Duration,
        download: Option<Download>,
    ) -> Delivered {
        let way = match self.0.is_taken.swap(true, Ordering::AcqRel) {
            false => Arc::clone(&self.0),
            // Another answer of the same connection is still on it.
            true => {
                let way = Way::new(Arc::clone(&self.0.reporter));
                way.is_taken.store(true, Ordering::Relaxed);
                Arc::new(way)
            }
        };
        let due = body.length();
        let is_download = download.is_some();
        if is_download {
            way.reporter.metrics.note_download_begun();
        }
        if due == 0 {
            way.note_first(route, begun, true);
        }
        way.parts.store(1, Ordering::Relaxed);
        way.sent.store(0, Ordering::Relaxed);
        *way.answer() = Some(Answer {
            route,
            begun,
            due,
            metered: 0,
            download,
        });
        // What goes out at once is counted when it is out, which is at once.
        let is_long = is_download && due > ONE_GO_BYTES_MAX;
        if is_long && !way.is_watched.swap(true, Ordering::Relaxed) {
            way.reporter.watch(&way);
        }
        Delivered {
            body,
            part: Some(Part(way)),
        }
    }
}

impl Way {
    const fn new(reporter: Arc<Reporter>) -> Self {
        Self {
            reporter,
            is_taken: AtomicBool::new(false),
            parts: AtomicU32::new(0),
            sent: AtomicU64::new(0),
            done_after: AtomicU64::new(NOT_YET),
            answer: Mutex::new(None),
            is_watched: AtomicBool::new(false),
        }
    }

    /// Counts what was sent of a download that is still on its way, in the numbers and for its link.
    pub(super) fn count_so_far(&self) {
        let mut answer = self.answer();
        let Some(answer) = answer.as_mut() else {
            return;
        };
        let sent = self.sent.load(Ordering::Relaxed);
        self.meter(answer, sent);
        if let Some(download) = &mut answer.download {
            self.reporter.count(download, sent, false);
        }
    }

    /// Adds to the numbers what they do not have yet of what was sent.
    fn meter(&self, answer: &mut Answer, sent: u64) {
        let more = sent.saturating_sub(answer.metered);
        answer.metered = sent;
        self.reporter.metrics.note_sent(answer.route, more);
    }

    fn answer(&self) -> MutexGuard<'_, Option<Answer>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first byte is out; `is_all`: and with it all the others.
    fn note_first(&self, route: Route, begun: Duration, is_all: bool) {
        let after = self.reporter.elapsed().saturating_sub(begun);
        if is_all {
            let micros = u64::try_from(after.as_micros()).unwrap_or(NOT_YET - 1);
            self.done_after.store(micros, Ordering::Relaxed);
        }
        self.reporter.metrics.note_first_byte(route, after);
    }

    fn note_sent(&self, bytes: usize) {
        let before = self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        if before == 0
            && bytes > 0
            && let Some(answer) = &*self.answer()
        {
            self.note_first(answer.route, answer.begun, bytes as u64 >= answer.due);
        }
    }

    /// The answer is out, or was given up.
    fn finish(&self) {
        let answer = self.answer().take();
        let sent = self.sent.load(Ordering::Relaxed);
        let done_after = self.done_after.swap(NOT_YET, Ordering::Relaxed);
        if let Some(mut answer) = answer {
            self.meter(&mut answer, sent);
            // What went out in one go needs no second look at the clock.
            let took = if done_after != NOT_YET {
                Duration::from_micros(done_after)
            } else {
                self.reporter.elapsed().saturating_sub(answer.begun)
            };
            let metrics = &self.reporter.metrics;
            metrics.note_done(answer.route, took);
            if let Some(download) = answer.download {
                self.reporter.end(download, sent, answer.due, took);
            }
        }
        self.is_taken.store(false, Ordering::Release);
    }
}

/// An answer that is no longer than this goes out at once, or as good as.
const ONE_GO_BYTES_MAX: u64 = 16 * 1024;

impl Clone for Part {
    fn clone(&self) -> Self {
        self.0.parts.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.0.parts.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.finish();
        }
    }
}

impl HttpBody for Delivered {
    type Data = Counted;
    type Error = Refusal;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Counted>, Refusal>>> {
        let Self { body, part } = self.get_mut();
        let polled = Pin::new(&mut *body).poll_frame(context);
        polled.map_ok(|frame| {
            frame.map_data(|piece| Counted {
                part: match piece.has_remaining() {
                    true if body.is_end_stream() => part.take(),
                    true => part.clone(),
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

impl Buf for Counted {
    fn remaining(&self) -> usize {
        self.piece.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.piece.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.piece.advance(count);
        if let Some(Part(way)) = &self.part {
            way.note_sent(count);
        }
        if !self.piece.has_remaining() {
            self.part = None;
        }
    }
}
