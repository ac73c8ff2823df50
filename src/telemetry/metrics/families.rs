//! The numbers as families, added up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{BOUNDS, BUCKETS, Deadline, Durations, Family, Histogram, Listener, Metrics, Numbers};
use super::{MetricShard, Outcome, Refused, Route, STATUSES, Style};

impl Metrics {
    /// Returns all metrics as they are now.
    pub fn families(&self) -> Vec<Family> {
        let mut all = vec![
            self.requests(),
            self.histogram(
                "hallpass_request_duration_seconds",
                "From a request's head to the last byte of its answer",
                |of| &of.durations,
            ),
            self.histogram(
                "hallpass_time_to_first_byte_seconds",
                "From a request's head to the first byte of its answer's body",
                |of| &of.first_bytes,
            ),
            Family::gauges(
                "hallpass_build_info",
                "Which version this is",
                "version",
                [(env!("CARGO_PKG_VERSION"), 1)],
            ),
            Family::gauge(
                "process_start_time_seconds",
                "When the process began, in Unix seconds",
                self.started,
            ),
        ];
        all.extend(self.transfers());
        all.extend(self.connections());
        all
    }

    /// Downloads, uploads, and links.
    fn transfers(&self) -> [Family; 6] {
        let downloads = |outcome: Outcome| self.sum(|of| of.downloads.get(outcome as usize));
        let ended: u64 = Outcome::ALL.iter().map(|outcome| downloads(*outcome)).sum();
        let begun = self.sum(|of| Some(&of.downloads_begun));
        let sent = |route: Route| self.sum(|of| of.bytes_sent.get(route as usize));
        let sent = Route::ALL.iter().map(|of| (of.label(), sent(*of)));
        let outcomes = Outcome::ALL.iter();
        let reasons = self.reasons.iter().copied();
        [
            Family::counters(
                "hallpass_bytes_sent",
                "Bytes of answers' bodies that were handed to the socket",
                "route",
                sent,
            ),
            Family::gauge(
                "hallpass_downloads_in_flight",
                "Downloads that have begun and not ended",
                begun.saturating_sub(ended),
            ),
            Family::counters(
                "hallpass_downloads",
                "Downloads that ended",
                "outcome",
                outcomes.map(|of| (of.as_str(), downloads(*of))),
            ),
            Family::counter(
                "hallpass_upload_bytes",
                "Bytes of files that were uploaded and stored",
                self.upload_bytes.load(Relaxed),
            ),
            Family::counters(
                "hallpass_mints",
                "Signed URLs that were minted by calls",
                "style",
                named(Style::ALL.iter().map(|of| of.as_str()), &self.mints),
            ),
            Family::counters(
                "hallpass_verify_refusals",
                "Links that opened nothing",
                "reason",
                named(reasons, &self.rejected),
            ),
        ]
    }

    fn connections(&self) -> [Family; 5] {
        let listeners = || Listener::ALL.iter().map(|of| of.as_str());
        [
            Family::gauges(
                "hallpass_connections_open",
                "Connections that are open",
                "listener",
                still(listeners(), &self.opened, &self.closed),
            ),
            Family::gauges(
                "hallpass_connections_parked",
                "Of these, those of HTTP/1 that wait for a request and hold next to no memory",
                "listener",
                still(listeners(), &self.parked, &self.unparked),
            ),
            Family::counters(
                "hallpass_connections_accepted",
                "Connections that were accepted",
                "listener",
                named(listeners(), &self.accepted),
            ),
            Family::counters(
                "hallpass_connections_refused",
                "Public connections that were closed before their first request",
                "reason",
                named(Refused::ALL.iter().map(|of| of.as_str()), &self.refused),
            ),
            Family::counters(
                "hallpass_deadlines",
                "Connections and requests that were ended since somebody took too long",
                "kind",
                named(Deadline::ALL.iter().map(|of| of.as_str()), &self.deadlines),
            ),
        ]
    }

    /// Returns the counters of requests that there were: not every route has every status.
    fn requests(&self) -> Family {
        let words = STATUSES.iter().map(|(_, word)| *word).chain(["other"]);
        let words: Vec<_> = words.collect();
        let mut numbers = Vec::new();
        for route in Route::ALL {
            for (place, status) in words.iter().enumerate() {
                let number = self.sum(|of| of.requests.get(*route as usize)?.get(place));
                if number > 0 {
                    let labels = vec![
                        ("route", route.label()),
                        ("style", route.style()),
                        ("status", *status),
                    ];
                    numbers.push((labels, number));
                }
            }
        }
        let numbers = Numbers::Counter(numbers);
        Family::new("hallpass_requests", "Requests that were answered", numbers)
    }

    fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        of: impl Fn(&MetricShard) -> &[Histogram; Route::COUNT],
    ) -> Family {
        let mut numbers = Vec::new();
        for route in Route::ALL {
            let mine = |shard| of(shard).get(*route as usize);
            let bounds = BOUNDS.iter().map(|micros| seconds(*micros));
            let in_bucket = |place| self.sum(|shard| mine(shard)?.buckets.get(place));
            let buckets: Vec<_> = bounds
                .chain([f64::INFINITY])
                .zip((0..BUCKETS).map(in_bucket))
                .collect();
            let count = buckets.iter().map(|(_, number)| number).sum();
            let took = Durations {
                sum: seconds(self.sum(|shard| mine(shard).map(|of| &of.micros))),
                count,
                buckets,
            };
            if count > 0 {
                numbers.push((vec![("route", route.label())], took));
            }
        }
        Family::new(name, help, Numbers::Histogram(numbers))
    }
}

/// Numbers with their words.
fn named<'a>(
    words: impl Iterator<Item = &'static str> + 'a,
    numbers: &'a [AtomicU64],
) -> impl Iterator<Item = (&'static str, u64)> + 'a {
    words.zip(numbers.iter().map(|number| number.load(Relaxed)))
}

/// Numbers of what has begun and not ended, with their words.
fn still<'a>(
    words: impl Iterator<Item = &'static str> + 'a,
    begun: &'a [AtomicU64],
    ended: &'a [AtomicU64],
) -> impl Iterator<Item = (&'static str, u64)> + 'a {
    // What ends after this look has begun before the other one.
    let ended: Vec<_> = ended.iter().map(|number| number.load(Relaxed)).collect();
    let both = named(words, begun).zip(ended);
    both.map(|((word, begun), ended)| (word, begun.saturating_sub(ended)))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "after 285 years of requests the last microsecond is lost"
)]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
