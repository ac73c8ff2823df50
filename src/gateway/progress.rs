//! The progress of a long pass over an installation, for display.

use std::sync::atomic::{AtomicU64, Ordering};

/// The progress of a pass, which others may look at while it goes on.
#[derive(Debug, Default)]
pub struct PassProgress {
    rows: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
}

impl PassProgress {
    /// Rows that were looked at.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Files whose bytes were read to their end, or as far as they are, or are settled in another way.
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Bytes of theirs.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Begins another pass.
    pub(super) fn begin(&self) {
        for number in [&self.rows, &self.files, &self.bytes] {
            number.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn add_row(&self) {
        self.rows.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_file(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
