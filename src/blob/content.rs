//! One pass over a blob's bytes while they come in: their SHA-256, and whether they are text.

use sha2::{Digest as _, Sha256};

use crate::model::digest::Sha256Digest;
use crate::model::text::{DetectedText, TextDetector};

/// A hasher that also detects text. It reads bytes in order, in pieces of any length.
#[derive(Default)]
pub(super) struct ContentHasher {
    sha256: Sha256,
    text: TextDetector,
}

impl ContentHasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.text.update(bytes);
    }

    /// Returns the digest of all bytes, and whether they are text.
    pub(super) fn finish(self) -> (Sha256Digest, DetectedText) {
        let sha256 = Sha256Digest::new(self.sha256.finalize().into());
        (sha256, self.text.finish())
    }
}
