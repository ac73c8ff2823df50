//! A watcher of downloads: it is told of each as it begins and as it ends, for a person who looks on.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::telemetry::metrics::Outcome;

/// Is told of downloads, on the tasks that send them: it waits for nothing.
pub trait DownloadWatcher: fmt::Debug + Send + Sync {
    /// A download begins. Its end is told, however it ends.
    fn begun(&self);

    /// A download that had begun ended.
    fn ended(&self, download: &EndedDownload<'_>);
}

/// A download that ended.
#[derive(Clone, Copy, Debug)]
pub struct EndedDownload<'a> {
    /// The name of what was downloaded.
    pub name: &'a str,
    /// The address of its client, where it is known.
    pub client: Option<IpAddr>,
    /// How it ended.
    pub outcome: Outcome,
    /// The bytes of its body that were sent: none of HEAD, or where the client has them already.
    pub sent: u64,
    /// The bytes of its body.
    pub due: u64,
    /// The time from the request to the end.
    pub took: Duration,
}
