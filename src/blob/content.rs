//! One pass over a blob's bytes while they come in: their SHA-256, their CRC-32, and whether they are text.

use sha2::{Digest as _, Sha256};

use crate::model::digest::{Crc32, Sha256Digest};
use crate::model::text::{DetectedText, TextDetector};

/// The findings of one pass over all bytes.
#[derive(Clone, Copy)]
pub(super) struct ContentFindings {
    pub(super) sha256: Sha256Digest,
    pub(super) crc32: Crc32,
    pub(super) text: DetectedText,
}

/// A hasher that also detects text. It reads bytes in order, in pieces of any length.
#[derive(Default)]
pub(super) struct ContentHasher {
    sha256: Sha256,
    crc32: crc32fast::Hasher,
    text: TextDetector,
}

impl ContentHasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.crc32.update(bytes);
        self.text.update(bytes);
    }

    /// Returns the findings about all bytes.
    pub(super) fn finish(self) -> ContentFindings {
        ContentFindings {
            sha256: Sha256Digest::new(self.sha256.finalize().into()),
            crc32: Crc32::new(self.crc32.finalize()),
            text: self.text.finish(),
        }
    }
}
