//! The downloads of what is shared, each told of in a line as it ends.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::people::{self, People};
use crate::gateway::clock::Clock;
use crate::model::amount::RoundedSize;
use crate::server::{DownloadWatcher, EndedDownload};
use crate::telemetry::metrics::Outcome;

/// The most lines that wait for a terminal: one that is held up (Ctrl-S) holds up no download, and what comes then is not
/// told of.
const LINES_MAX: usize = 1_000;

/// The longest wait for the last lines.
const LAST_LINES_TIME_MAX: Duration = Duration::from_millis(500);

/// The downloads of a command that serves.
pub(in crate::cli) struct Downloads {
    running: AtomicU64,
    clock: Arc<dyn Clock>,
    lines: SyncSender<String>,
}

/// The thread that prints the lines.
pub(in crate::cli) struct Printer(Receiver<()>);

impl Downloads {
    /// Tells these people of downloads from now on.
    pub(in crate::cli) fn watch(people: People, clock: Arc<dyn Clock>) -> (Arc<Self>, Printer) {
        let (lines, printed) = sync_channel::<String>(LINES_MAX);
        let (ended, end) = sync_channel(1);
        // A thread of its own, which the process does not wait for: a terminal may take its time.
        std::thread::spawn(move || {
            for line in printed {
                people.say(&line);
            }
            let _ = ended.send(());
        });
        let downloads = Self {
            running: AtomicU64::new(0),
            clock,
            lines,
        };
        (Arc::new(downloads), Printer(end))
    }

    /// Returns how many are running.
    pub(in crate::cli) fn running(&self) -> u64 {
        self.running.load(Ordering::Relaxed)
    }
}

impl Printer {
    /// Waits until the lines of all downloads are printed, once nothing is served any more and `downloads` was given up.
    pub(in crate::cli) fn finish(&self, downloads: Arc<Downloads>) {
        drop(downloads);
        let _ = self.0.recv_timeout(LAST_LINES_TIME_MAX);
    }
}

impl fmt::Debug for Downloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Downloads({} running)", self.running())
    }
}

impl DownloadWatcher for Downloads {
    fn begun(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    fn ended(&self, download: &EndedDownload<'_>) {
        self.running.fetch_sub(1, Ordering::Relaxed);
        let Some(what) = outcome(download) else {
            return;
        };
        let now = self.clock.now();
        let client = download.client.map(|client| client.to_canonical());
        let client = client.map_or_else(|| "-".to_owned(), |client| client.to_string());
        let (time, name) = (people::clock(now, now), download.name);
        let _ = self
            .lines
            .try_send(format!("{time}  {client}  {name}  {what}"));
    }
}

/// Returns the outcome in words; `None` where no bytes were asked for.
fn outcome(download: &EndedDownload<'_>) -> Option<String> {
    let took = people::took(download.took);
    let (sent, due) = (RoundedSize(download.sent), RoundedSize(download.due));
    match download.outcome {
        Outcome::Whole => Some(format!("whole, {due} in {took}")),
        Outcome::Part if download.due > 0 => Some(format!("part, {due} in {took}")),
        Outcome::Part | Outcome::HandedOver => None,
        Outcome::Aborted => Some(format!("broke off after {sent} of {due}, {took}")),
        Outcome::Revoked => Some(format!("ended after {sent} of {due}: it was revoked")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_has_a_line_and_a_head_request_has_none() {
        let line = |outcome_of, sent, due| {
            outcome(&EndedDownload {
                name: "a",
                client: None,
                outcome: outcome_of,
                sent,
                due,
                took: Duration::from_secs(4),
            })
        };
        let whole = line(Outcome::Whole, 301_000_000, 301_000_000);
        assert_eq!(whole.as_deref(), Some("whole, 301 MB in 4 s"));
        let empty = line(Outcome::Whole, 0, 0);
        assert_eq!(empty.as_deref(), Some("whole, 0 bytes in 4 s"));
        let part = line(Outcome::Part, 7, 7);
        assert_eq!(part.as_deref(), Some("part, 7 bytes in 4 s"));
        assert_eq!(line(Outcome::Part, 0, 0), None);
        let broken = line(Outcome::Aborted, 1_000, 2_000);
        assert_eq!(broken.as_deref(), Some("broke off after 1 kB of 2 kB, 4 s"));
    }
}
