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
//!
//! The links of long downloads are compared with what was revoked, every `links.recheck_interval`, and their shares with what
//! those are by then. A response whose link was revoked is ended from outside, as its body may wait for the client: with its connection over HTTP/1, with its
//! stream over HTTP/2.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::task;

use super::body::Body;
use super::recorder::{RequestRecorder, TrackedDownload};
use super::tracked::{ResponseWatcher, Tracked};
use crate::gateway::recheck::{Recheck, RunningShare};
use crate::telemetry::metrics::Route;

/// The value of [`ResponseTracker::done_after`] before all bytes went out in one go, and where they did not.
const NOT_YET: u64 = u64::MAX;

/// A response that is no longer than this goes out at once, or as good as.
const ONE_GO_BYTES_MAX: u64 = 16 * 1024;

/// The server's way to end a response that is on its way.
pub trait ResponseAborter: Send + Sync {
    /// Ends the response that this task sends: with its connection over HTTP/1, with its stream over HTTP/2.
    fn abort(&self, task: task::Id);

    /// Takes an abort back that came too late: the response of this task is over, and the next may be another link's.
    fn forget_abort(&self);
}

/// The trackers of connections that have long downloads, which are counted, and whose links are compared with what was
/// revoked, while they go on.
#[derive(Default)]
pub(super) struct LongDownloads(Mutex<Vec<Weak<ResponseTracker>>>);

/// The tracker of one connection's responses. Cloning is a reference count.
#[derive(Clone)]
pub struct ConnectionTracker(Arc<ResponseTracker>);

/// A tracker of one response at a time, from its head on.
pub(super) struct ResponseTracker {
    recorder: Arc<RequestRecorder>,
    long_downloads: Arc<LongDownloads>,
    aborter: Arc<dyn ResponseAborter>,
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
    /// The task that sends it, of a long download.
    task: Option<task::Id>,
    /// True once it was ended, as its link was revoked.
    is_revoked: bool,
}

/// An in-flight guard: a part of a response that is not out. With the last one, the response is.
pub struct InFlight(Arc<ResponseTracker>);

impl LongDownloads {
    /// Counts what was sent so far of all of them.
    pub(super) fn count_so_far(&self) {
        for tracker in self.alive() {
            tracker.count_so_far();
        }
    }

    /// Ends those whose links were revoked.
    pub(super) fn end_revoked(&self, recheck: &Recheck) {
        for tracker in self.alive() {
            let is_revoked = |download: &TrackedDownload| download.is_revoked(recheck);
            tracker.end_if(is_revoked, "a download was ended: its link was revoked");
        }
    }

    /// Returns the shares that they are of.
    pub(super) fn shares(&self) -> HashSet<RunningShare> {
        let mut shares = HashSet::new();
        for tracker in self.alive() {
            let progress = tracker.progress();
            let download = progress.as_ref().and_then(|one| one.download.as_ref());
            shares.extend(download.and_then(TrackedDownload::share).cloned());
        }
        shares
    }

    /// Ends those of these shares.
    pub(super) fn end_closed(&self, closed: &HashSet<RunningShare>) {
        for tracker in self.alive() {
            let is_of = |download: &TrackedDownload| {
                let share = download.share();
                share.is_some_and(|share| closed.contains(share))
            };
            tracker.end_if(is_of, "a download was ended: its share opens no more");
        }
    }

    /// Returns the trackers of connections that are open, and forgets the others.
    fn alive(&self) -> Vec<Arc<ResponseTracker>> {
        let mut alive = Vec::new();
        let mut trackers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trackers.retain(|one| one.upgrade().map(|one| alive.push(one)).is_some());
        alive
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
        aborter: Arc<dyn ResponseAborter>,
    ) -> Self {
        Self(Arc::new(ResponseTracker {
            recorder: Arc::clone(recorder),
            long_downloads: Arc::clone(long_downloads),
            aborter,
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
                let aborter = Arc::clone(&self.0.aborter);
                let Self(tracker) = Self::new(&self.0.recorder, &self.0.long_downloads, aborter);
                tracker.is_taken.store(true, Ordering::Relaxed);
                tracker
            }
        };
        let due = body.length();
        let is_download = download.is_some();
        if is_download {
            tracker.recorder.download_begun();
        }
        if due == 0 {
            tracker.note_first_byte(route, begun, true);
        }
        tracker.in_flight.store(1, Ordering::Relaxed);
        tracker.sent.store(0, Ordering::Relaxed);
        // A response that goes out in one go is counted when it is out, which is at once.
        let is_long = is_download && due > ONE_GO_BYTES_MAX;
        *tracker.progress() = Some(ResponseProgress {
            route,
            begun,
            due,
            metered: 0,
            download,
            task: is_long.then(task::try_id).flatten(),
            is_revoked: false,
        });
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
            self.recorder.count(download, sent, None);
        }
    }

    /// Ends a long download that is revoked by this measure, and says so in the log.
    fn end_if(&self, is_revoked: impl Fn(&TrackedDownload) -> bool, message: &str) {
        // Held to the end: the response that is ended is still the one that was looked at.
        let mut progress = self.progress();
        let Some(progress) = progress.as_mut() else {
            return;
        };
        if let (Some(download), Some(task)) = (&progress.download, progress.task)
            && !progress.is_revoked
            && is_revoked(download)
        {
            progress.is_revoked = true;
            let (trace_id, link_id) = (download.trace_id.as_str(), download.link.as_str());
            tracing::info!(trace_id, link_id, "{message}");
            self.aborter.abort(task);
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
                let (due, is_revoked) = (progress.due, progress.is_revoked);
                if is_revoked {
                    self.aborter.forget_abort();
                }
                self.recorder
                    .downloaded(download, sent, due, is_revoked, took);
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

    fn is_one_of_several(&self) -> bool {
        false
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.finish();
        }
    }
}
