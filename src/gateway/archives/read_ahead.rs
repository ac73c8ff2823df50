//! The CRC-32 of files that nobody has read, such as those that are served where they lie: each is read once before its head
//! goes out, as not every reader of archives takes one that stands behind the bytes. What was found is remembered, so the
//! next archive of the same files has an entity tag and ranges.

use quick_cache::sync::Cache;

use super::EntryReader;
use crate::gateway::refusal::Refusal;
use crate::model::archive_file::ArchiveFile;
use crate::model::digest::{Crc32, Sha256Digest};

/// The most bytes of a file that is read ahead: nobody waits long for it. The CRC-32 of a larger one stands behind its bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The most files whose CRC-32 is remembered: those of the largest archive.
const REMEMBERED_MAX: usize = 10_000;

/// The bytes of one read.
const READ_BYTES: usize = 128 * 1024;

/// The CRC-32s that are remembered, by the fingerprints of the files.
#[derive(Debug)]
pub(super) struct ReadAhead(Cache<Sha256Digest, Crc32>);

impl Default for ReadAhead {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED_MAX))
    }
}

impl ReadAhead {
    /// Returns the CRC-32 of a file, if somebody knows it.
    pub(super) fn known(&self, file: &ArchiveFile) -> Option<Crc32> {
        let remembered = || self.0.get(&file.fingerprint);
        file.crc32
            .or_else(|| remembered().filter(|_| !file.is_hashed))
    }

    /// Returns whether a file is read before its head goes out where nobody knows its CRC-32. One that was stored is read in
    /// the background.
    pub(super) const fn is_for(file: &ArchiveFile) -> bool {
        !file.is_hashed && file.size <= FILE_BYTES_MAX
    }
}

impl EntryReader {
    /// Reads the bytes of an entry for their CRC-32. Dropping the future stops between two pieces.
    ///
    /// # Errors
    /// As [`EntryReader::open`]; `Internal` if the file changes while it is read.
    pub async fn crc32(&mut self, number: usize) -> Result<Crc32, Refusal> {
        let content = self.open(number).await?;
        let size = self.archive.layout().size(number);
        let (mut hasher, mut next) = (crc32fast::Hasher::new(), 0);
        while next < size {
            let rest = usize::try_from(size - next);
            let length = rest.map_or(READ_BYTES, |rest| rest.min(READ_BYTES));
            hasher.update(&content.read(next, length).await?);
            next += length as u64;
        }
        let crc32 = Crc32::new(hasher.finalize());
        if let Some(entry) = self.archive.entries.get(number) {
            let remembered = &self.gateway.archives.read_ahead.0;
            remembered.insert(entry.fingerprint, crc32);
        }
        Ok(crc32)
    }
}
