//! The counters of a file, or of a link.

use serde::Serialize;

use crate::cli::output::Show;
use crate::model::count::Counts;

/// The number of downloads.
#[derive(Serialize)]
pub(in crate::cli) struct Downloads {
    downloads: u64,
    downloads_whole: u64,
    bytes_sent: u64,
    last_download_at: Option<String>,
}

impl From<Counts> for Downloads {
    fn from(counts: Counts) -> Self {
        Self {
            downloads: counts.downloads,
            downloads_whole: counts.whole,
            bytes_sent: counts.bytes_sent,
            last_download_at: counts.last_at.map(|at| at.to_string()),
        }
    }
}

impl Show for Downloads {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("downloads: {}", self.downloads),
            format!("downloads_whole: {}", self.downloads_whole),
            format!("bytes_sent: {}", self.bytes_sent),
        ];
        let last = self.last_download_at.iter();
        lines.extend(last.map(|at| format!("last_download_at: {at}")));
        lines
    }
}
