//! The numbers for Prometheus: what they are, and how they are counted.
//!
//! Counting is a relaxed addition or two to numbers that were made at the start: nothing is looked up by a
//! name, nothing allocated, and the numbers that every request moves are there several times over, so that
//! no two processors fight for one. They are added up when they are asked for.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

mod families;
mod labels;
mod text;

pub use labels::{Deadline, Listener, Outcome, Refused, Route, Style};
pub use text::{Durations, Family, Labels, Numbers, text};

/// The number of copies of the counters that every request moves.
const SHARDS: usize = 8;

/// The upper bounds of what durations are sorted into, in microseconds.
const BOUNDS: [u64; 18] = [
    50,
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    10_000_000,
    60_000_000,
    600_000_000,
];
const BUCKETS: usize = BOUNDS.len() + 1;

/// Makes a table of statuses with their labels.
macro_rules! statuses {
    ($($status:literal),+ $(,)?) => {
        [$(($status, stringify!($status))),+]
    };
}

/// The statuses that have a label of their own; every other is `other`. In order.
const STATUSES: [(u16, &str); 34] = statuses![
    200, 201, 202, 204, 206, 302, 303, 304, 307, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410,
    411, 412, 413, 414, 415, 416, 417, 422, 429, 431, 500, 501, 502, 503, 507,
];
const STATUS_KINDS: usize = STATUSES.len() + 1;

/// The metrics of one gateway.
#[derive(Debug)]
pub struct Metrics {
    shards: Box<[MetricShard]>,
    accepted: [AtomicU64; Listener::COUNT],
    opened: [AtomicU64; Listener::COUNT],
    closed: [AtomicU64; Listener::COUNT],
    parked: [AtomicU64; Listener::COUNT],
    unparked: [AtomicU64; Listener::COUNT],
    refused: [AtomicU64; Refused::COUNT],
    deadlines: [AtomicU64; Deadline::COUNT],
    mints: [AtomicU64; Style::COUNT],
    upload_bytes: AtomicU64,
    /// The words of [`Metrics::note_rejected`].
    reasons: Vec<&'static str>,
    rejected: Vec<AtomicU64>,
    /// Start of the process, in Unix seconds.
    started: u64,
}

/// The numbers that every request moves, on cache lines of their own.
#[derive(Debug)]
#[repr(align(128))]
struct MetricShard {
    requests: [[AtomicU64; STATUS_KINDS]; Route::COUNT],
    durations: [Histogram; Route::COUNT],
    first_bytes: [Histogram; Route::COUNT],
    bytes_sent: [AtomicU64; Route::COUNT],
    downloads_begun: AtomicU64,
    downloads: [AtomicU64; Outcome::COUNT],
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    micros: AtomicU64,
}

impl Metrics {
    /// Zeros. `started` is when the process began, in Unix seconds; `reasons` are the words of the reasons
    /// why a link opens nothing.
    pub fn new(started: u64, reasons: impl IntoIterator<Item = &'static str>) -> Self {
        let reasons: Vec<_> = reasons.into_iter().collect();
        Self {
            shards: (0..SHARDS).map(|_| MetricShard::new()).collect(),
            accepted: zeros(),
            opened: zeros(),
            closed: zeros(),
            parked: zeros(),
            unparked: zeros(),
            refused: zeros(),
            deadlines: zeros(),
            mints: zeros(),
            upload_bytes: AtomicU64::new(0),
            rejected: reasons.iter().map(|_| AtomicU64::new(0)).collect(),
            reasons,
            started,
        }
    }

    /// A request was answered.
    pub fn note_answered(&self, route: Route, status: u16) {
        let place = STATUSES.binary_search_by_key(&status, |(known, _)| *known);
        let place = place.unwrap_or(STATUSES.len());
        let of_route = self.shard().requests.get(route as usize);
        add(of_route.and_then(|of| of.get(place)), 1);
    }

    /// Notes the time to first byte: from a request's head until the first byte of its answer's body was handed to the
    /// socket, or the answer was ready where there is none.
    pub fn note_first_byte(&self, route: Route, after: Duration) {
        if let Some(of) = self.shard().first_bytes.get(route as usize) {
            of.note(after);
        }
    }

    /// Notes the duration of a request: from its head until all of its answer was handed to the socket, or was given
    /// up.
    pub fn note_done(&self, route: Route, after: Duration) {
        if let Some(of) = self.shard().durations.get(route as usize) {
            of.note(after);
        }
    }

    /// Notes bytes of an answer's body that were handed to the socket.
    pub fn note_sent(&self, route: Route, bytes: u64) {
        add(self.shard().bytes_sent.get(route as usize), bytes);
    }

    /// A download begins.
    pub fn note_download_begun(&self) {
        add(Some(&self.shard().downloads_begun), 1);
    }

    /// A download that had begun ended.
    pub fn note_download(&self, outcome: Outcome) {
        add(self.shard().downloads.get(outcome as usize), 1);
    }

    /// A connection was accepted.
    pub fn note_accepted(&self, listener: Listener) {
        add(self.accepted.get(listener as usize), 1);
    }

    /// A connection is served.
    pub fn note_opened(&self, listener: Listener) {
        add(self.opened.get(listener as usize), 1);
    }

    /// Notes the end of a connection that was served.
    pub fn note_closed(&self, listener: Listener) {
        add(self.closed.get(listener as usize), 1);
    }

    /// Notes that a connection waits for a request, and holds next to nothing meanwhile.
    pub fn note_parked(&self, listener: Listener) {
        add(self.parked.get(listener as usize), 1);
    }

    /// Notes that such a connection no longer waits.
    pub fn note_unparked(&self, listener: Listener) {
        add(self.unparked.get(listener as usize), 1);
    }

    /// A connection was closed before its first request.
    pub fn note_refused(&self, why: Refused) {
        add(self.refused.get(why as usize), 1);
    }

    /// Somebody took too long.
    pub fn note_deadline(&self, deadline: Deadline) {
        add(self.deadlines.get(deadline as usize), 1);
    }

    /// A signed URL was minted.
    pub fn note_minted(&self, style: Style) {
        add(self.mints.get(style as usize), 1);
    }

    /// A file was stored.
    pub fn note_uploaded(&self, bytes: u64) {
        add(Some(&self.upload_bytes), bytes);
    }

    /// A link opened nothing; `reason` is the place of the word.
    pub fn note_rejected(&self, reason: usize) {
        add(self.rejected.get(reason), 1);
    }

    fn sum<'a>(&'a self, of: impl Fn(&'a MetricShard) -> Option<&'a AtomicU64>) -> u64 {
        let numbers = self.shards.iter().filter_map(of);
        numbers.map(|number| number.load(Relaxed)).sum()
    }

    /// The numbers of this thread.
    fn shard(&self) -> &MetricShard {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
        }
        let place = PLACE.get();
        if let Some(shard) = self.shards.get(place) {
            return shard;
        }
        let place = NEXT.fetch_add(1, Relaxed) % SHARDS;
        PLACE.set(place);
        #[expect(clippy::indexing_slicing, reason = "it is below their number")]
        &self.shards[place]
    }
}

impl MetricShard {
    fn new() -> Self {
        Self {
            requests: std::array::from_fn(|_| zeros()),
            durations: Default::default(),
            first_bytes: Default::default(),
            bytes_sent: zeros(),
            downloads_begun: AtomicU64::new(0),
            downloads: zeros(),
        }
    }
}

impl Histogram {
    fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS.partition_point(|bound| *bound < micros);
        add(self.buckets.get(place), 1);
        add(Some(&self.micros), micros);
    }
}

fn zeros<const N: usize>() -> [AtomicU64; N] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

fn add(number: Option<&AtomicU64>, more: u64) {
    if let Some(number) = number {
        number.fetch_add(more, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_at_its_own_place_and_the_statuses_are_in_order() {
        for (place, route) in Route::ALL.iter().enumerate() {
            assert_eq!(*route as usize, place);
        }
        assert!(STATUSES.is_sorted_by(|one, next| one.0 < next.0));
        for (status, word) in STATUSES {
            assert_eq!(status.to_string(), word);
        }
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn what_many_threads_count_adds_up() {
        let metrics = Metrics::new(7, ["expired", "malformed"]);
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        metrics.note_answered(Route::Download, 206);
                        metrics.note_answered(Route::Download, 599);
                        metrics.note_done(Route::Download, Duration::from_micros(50));
                        metrics.note_sent(Route::Download, 3);
                        metrics.note_first_byte(Route::Download, Duration::from_hours(1));
                        metrics.note_download_begun();
                        metrics.note_rejected(1);
                    }
                    metrics.note_download(Outcome::Whole);
                });
            }
        });
        let (text, _) = text(metrics.families(), "");
        for line in [
            "hallpass_requests_total{route=\"download\",style=\"none\",status=\"206\"} 2000",
            "hallpass_requests_total{route=\"download\",style=\"none\",status=\"other\"} 2000",
            "hallpass_bytes_sent_total{route=\"download\"} 6000",
            "hallpass_downloads_in_flight 1980",
            "hallpass_downloads_total{outcome=\"whole\"} 20",
            "hallpass_request_duration_seconds_bucket{le=\"0.00005\",route=\"download\"} 2000",
            "hallpass_time_to_first_byte_seconds_bucket{le=\"600.0\",route=\"download\"} 0",
            "hallpass_time_to_first_byte_seconds_bucket{le=\"+Inf\",route=\"download\"} 2000",
            "hallpass_time_to_first_byte_seconds_sum{route=\"download\"} 7200000.0",
            "hallpass_verify_refusals_total{reason=\"expired\"} 0",
            "hallpass_verify_refusals_total{reason=\"malformed\"} 2000",
            "process_start_time_seconds 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
