//! A tracker of responses on their way: how many bytes were taken, the time to the first byte, and the end.
//!
//! A byte counts as sent when the HTTP library says that the connection took it. Over plain HTTP/1 that is
//! the kernel, which has it in the socket's buffer or sends it from the page cache; over TLS and HTTP/2 it is
//! the layer that encrypts or frames, which holds back some tens of kilobytes at most. Whether the client
//! read it nobody can know. Heads, chunks and frames are not counted, the heads of parts are.
//!
//! A connection has one `ResponseTracker`, made with it and used by its requests one after the other; only
//! those that come beside one another need more. So a request on a connection that is open allocates nothing for
//! it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::body::Body;
use super::recorder::{RequestRecorder, TrackedDownload};
use super::tracked::{ResponseWatcher, Tracked};
use crate::telemetry::metrics::Route;

/// The value of [`ResponseTracker::done_after`] before all bytes went out in one go, and where they did not.
const NOT_YET: u64 = u64::MAX;

/// A response that is no longer than this goes out at once, or as good as.
const ONE_GO_BYTES_MAX: u64 = 16 * 1024;

/// The trackers of connections that have long downloads, which are counted while they go on.
#[derive(Default)]
pub(super) struct LongDownloads(Mutex<Vec<Weak<ResponseTracker>>>);

/// The tracker of one connection's responses. Cloning is a reference count.
#[derive(Clone)]
pub struct ConnectionTracker(Arc<ResponseTracker>);

/// A tracker of one response at a time, from its head on.
pub(super) struct ResponseTracker {
    recorder: Arc<RequestRecorder>,
    long_downloads: Arc<LongDownloads>,
    /// True while it tracks a response.
    is_taken: AtomicBool,
    /// The number of its in-flight guards: the body, and pieces that are not out.
    in_flight: AtomicU32,
    /// Bytes of its body that were taken.
    sent: AtomicU64,
    /// The microseconds after which all of them were, where they went out in one go.
    done_after: AtomicU64,
    progress: Mutex<Option<ResponseProgress>>,
    /// True if it is among the long downloads, and looked at between flushes.
    is_long: AtomicBool,
}

/// The progress of the response that is tracked.
struct ResponseProgress {
    route: Route,
    /// The time at which its request came in, by the gateway's clock.
    begun: Duration,
    /// The length of its body in bytes.
    due: u64,
    /// The bytes of those sent that the metrics have already.
    metered: u64,
    download: Option<TrackedDownload>,
}

/// An in-flight guard: a part of a response that is not out. With the last one, the response is.
pub struct InFlight(Arc<ResponseTracker>);

impl LongDownloads {
    /// Counts what was sent so far of all of them.
    pub(super) fn count_so_far(&self) {
        let mut alive = Vec::new();
        {
            let mut trackers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            trackers.retain(|one| one.upgrade().map(|one| alive.push(one)).is_some());
        }
        for tracker in alive {
            tracker.count_so_far();
        }
    }

    fn add(&self, tracker: &Arc<ResponseTracker>) {
        let mut trackers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trackers.push(Arc::downgrade(tracker));
    }
}

impl ConnectionTracker {
    /// Returns the tracker of a new connection.
    pub(super) fn new(
        recorder: &Arc<RequestRecorder>,
        long_downloads: &Arc<LongDownloads>,
    ) -> Self {
        Self(Arc::new(ResponseTracker {
            recorder: Arc::clone(recorder),
            long_downloads: Arc::clone(long_downloads),
            is_taken: AtomicBool::new(false),
            in_flight: AtomicU32::new(0),
            sent: AtomicU64::new(0),
            done_after: AtomicU64::new(NOT_YET),
            progress: Mutex::new(None),
            is_long: AtomicBool::new(false),
        }))
    }

    /// Sends this body out, tracked.
    pub(super) fn track(
        &self,
        body: Body,
        route: Route,
        begun: Duration,
        download: Option<TrackedDownload>,
    ) -> Tracked<Body, InFlight> {
        let tracker = match self.0.is_taken.swap(true, Ordering::AcqRel) {
            false => Arc::clone(&self.0),
            // It still tracks another response of the same connection.
            true => {
                let Self(tracker) = Self::new(&self.0.recorder, &self.0.long_downloads);
                tracker.is_taken.store(true, Ordering::Relaxed);
                tracker
            }
        };
        let due = body.length();
        let is_download = download.is_some();
        if is_download {
            tracker.recorder.metrics.note_download_begun();
        }
        if due == 0 {
            tracker.note_first_byte(route, begun, true);
        }
        tracker.in_flight.store(1, Ordering::Relaxed);
        tracker.sent.store(0, Ordering::Relaxed);
        *tracker.progress() = Some(ResponseProgress {
            route,
            begun,
            due,
            metered: 0,
            download,
        });
        // A response that goes out in one go is counted when it is out, which is at once.
        let is_long = is_download && due > ONE_GO_BYTES_MAX;
        if is_long && !tracker.is_long.swap(true, Ordering::Relaxed) {
            tracker.long_downloads.add(&tracker);
        }
        Tracked::new(body, InFlight(tracker))
    }
}

impl ResponseTracker {
    /// Counts what was sent of a download that is still on its way, in the metrics and for its link.
    fn count_so_far(&self) {
        let mut progress = self.progress();
        let Some(progress) = progress.as_mut() else {
            return;
        };
        let sent = self.sent.load(Ordering::Relaxed);
        self.meter(progress, sent);
        if let Some(download) = &mut progress.download {
            self.recorder.count(download, sent, false);
        }
    }

    /// Adds to the metrics what they do not have yet of what was sent.
    fn meter(&self, progress: &mut ResponseProgress, sent: u64) {
        let more = sent.saturating_sub(progress.metered);
        progress.metered = sent;
        self.recorder.metrics.note_sent(progress.route, more);
    }

    fn progress(&self) -> MutexGuard<'_, Option<ResponseProgress>> {
        let progress = self.progress.lock();
        progress.unwrap_or_else(PoisonError::into_inner)
    }

    /// The first byte is out; `is_all`: and with it all the others.
    fn note_first_byte(&self, route: Route, begun: Duration, is_all: bool) {
        let after = self.recorder.elapsed().saturating_sub(begun);
        if is_all {
            let micros = u64::try_from(after.as_micros()).unwrap_or(NOT_YET - 1);
            self.done_after.store(micros, Ordering::Relaxed);
        }
        self.recorder.metrics.note_first_byte(route, after);
    }

    /// The response is out, or was given up.
    fn finish(&self) {
        let progress = self.progress().take();
        let sent = self.sent.load(Ordering::Relaxed);
        let done_after = self.done_after.swap(NOT_YET, Ordering::Relaxed);
        if let Some(mut progress) = progress {
            self.meter(&mut progress, sent);
            // A response that went out in one go needs no second look at the clock.
            let took = if done_after != NOT_YET {
                Duration::from_micros(done_after)
            } else {
                self.recorder.elapsed().saturating_sub(progress.begun)
            };
            self.recorder.metrics.note_done(progress.route, took);
            if let Some(download) = progress.download {
                self.recorder.downloaded(download, sent, progress.due, took);
            }
        }
        self.is_taken.store(false, Ordering::Release);
    }
}

impl ResponseWatcher for InFlight {
    fn note_polled(&self, _: bool) {}

    fn piece(&self) -> Self {
        self.0.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }

    fn last_piece(self) -> Self {
        self
    }

    fn note_taken(&self, bytes: usize) {
        let tracker = &*self.0;
        let before = tracker.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        if before == 0
            && bytes > 0
            && let Some(progress) = &*tracker.progress()
        {
            let is_all = bytes as u64 >= progress.due;
            tracker.note_first_byte(progress.route, progress.begun, is_all);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.finish();
        }
    }
}
