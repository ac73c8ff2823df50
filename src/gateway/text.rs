//! Text detection on files that came in before their bytes were judged on the way.

use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::sleep;

use super::Gateway;
use super::pieces::Pieces;
use super::refusal::Refusal;
use crate::blob::BlobError;
use crate::catalog::maintenance::Text;
use crate::model::file::{FileRecord, InPlace};
use crate::model::text::TextDetector;

/// The most files that are read between two writes of the results: each write makes every gateway read its rows
/// again.
const FILES_READ: u32 = 100;

/// The pause after each file, so that no more than two hundred are opened in a second, and the bytes that are read
/// in a second. Downloads need the disk, or the store, more.
const FILE_PAUSE: Duration = Duration::from_millis(5);
const BYTES_PER_SECOND: u64 = 32 * 1024 * 1024;

/// The most files in a row that the store does not give before it counts as out of reach. A single one may be
/// archived, or be refused to us alone.
const REFUSED_IN_A_ROW_MAX: u32 = 3;

impl Gateway {
    /// Reads every ready file of which nobody knows whether it is text, one after the other, and keeps the findings
    /// with the rows. Returns how many it judged. A binary file costs one read of its first bytes; a file in place
    /// whose identity moved, or is not known in full, is hashed, and its row takes the identity if the hash is its
    /// own. A file whose bytes cannot be had is left for the next call. Dropping the future stops between two
    /// pieces. At most `BYTES_PER_SECOND` are read.
    ///
    /// # Errors
    /// The refusal of the catalogue, or of the store where it gives several files in a row to nobody. The
    /// findings before it are kept.
    pub async fn detect_text(&self) -> Result<u64, Refusal> {
        let (mut judged, mut refused_in_a_row) = (0, 0);
        let mut last = None;
        loop {
            let page = self
                .catalog
                .files_of_unknown_text(last.as_ref(), FILES_READ);
            let page = self.ask(page).await?;
            let Some(file) = page.last() else {
                return Ok(judged);
            };
            last = Some((file.organization.clone(), file.id.clone()));
            let mut texts = Vec::new();
            let mut out_of_reach = None;
            for file in &page {
                let judged = self.judge_text(file).await;
                sleep(FILE_PAUSE).await;
                match judged {
                    Ok(text) => {
                        refused_in_a_row = 0;
                        texts.extend(text);
                    }
                    Err(_) if refused_in_a_row + 1 < REFUSED_IN_A_ROW_MAX => refused_in_a_row += 1,
                    Err(refusal) => {
                        out_of_reach = Some(refusal);
                        break;
                    }
                }
            }
            if !texts.is_empty() {
                judged += texts.len() as u64;
                let change = self.changing(self.catalog.set_text(&texts));
                self.ask(change).await?;
            }
            if let Some(refusal) = out_of_reach {
                return Err(refusal);
            }
            yield_now().await;
        }
    }

    /// Reads one file as far as it may be text. `None` where its own bytes cannot be had.
    async fn judge_text(&self, file: &FileRecord) -> Result<Option<Text>, Refusal> {
        match self.is_text(file).await {
            Ok(is_text) => Ok(Some(Text {
                organization: file.organization.clone(),
                file: file.id.clone(),
                is_text,
            })),
            Err(BlobError::Moved { found }) => self.judge_moved(file, &found).await,
            Err(BlobError::Damaged { .. } | BlobError::Io { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Hashes a file in place whose identity moved. `None` where its own bytes are not there, or cannot be read.
    async fn judge_moved(
        &self,
        file: &FileRecord,
        found: &InPlace,
    ) -> Result<Option<Text>, Refusal> {
        let Ok(reread) = self.reread(file, found, None).await else {
            return Ok(None);
        };
        sleep(time_for(reread.registered.size)).await;
        if reread.expect_own(file, found).is_err() {
            return Ok(None);
        }
        self.ask(self.note_identity(file, &reread.registered.file))
            .await?;
        Ok(Some(Text {
            organization: file.organization.clone(),
            file: file.id.clone(),
            is_text: reread.registered.text.is_utf8,
        }))
    }

    /// Returns whether all of a file's bytes are UTF-8 text.
    async fn is_text(&self, file: &FileRecord) -> Result<bool, BlobError> {
        let blob = self.blobs.open(&file.location, file.size).await?;
        let (mut pieces, mut detector) = (Pieces::of(blob), TextDetector::default());
        while detector.may_be_utf8()
            && let Some(piece) = pieces.next().await?
        {
            detector.update(&piece);
            sleep(time_for(piece.len() as u64)).await;
        }
        Ok(detector.finish().is_utf8)
    }
}

/// Returns the time that so many bytes take at [`BYTES_PER_SECOND`].
fn time_for(bytes: u64) -> Duration {
    Duration::from_micros(bytes.saturating_mul(1_000_000) / BYTES_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use bytes::Bytes;

    use super::*;
    use crate::blob::BlobStore;
    use crate::blob::memory::MemoryBlobs;
    use crate::catalog::Catalog as _;
    use crate::catalog::contract::{file, organization};
    use crate::catalog::testing::TestCatalog;
    use crate::gateway::testing::stubborn::Stubborn;
    use crate::gateway::testing::{NOW, gateway};
    use crate::model::file::BlobLocation;
    use crate::model::id::BlobKey;
    use crate::model::time::UnixSeconds;

    #[test]
    fn so_many_bytes_are_read_in_a_second_at_most() {
        assert_eq!(time_for(BYTES_PER_SECOND), Duration::from_secs(1));
        assert_eq!(time_for(1 << 20), Duration::from_micros(31_250));
        assert!(time_for(u64::MAX) > Duration::from_secs(1));
    }

    /// More files than are read between two writes, every third of them binary, and one that the store does
    /// not give, whatever it says of it.
    #[tokio::test]
    async fn files_from_before_are_judged_once_and_what_cannot_be_read_is_left() {
        for is_unavailable in [false, true] {
            all_but_one_are_judged(is_unavailable).await;
        }
    }

    async fn all_but_one_are_judged(is_unavailable: bool) {
        const COUNT: u8 = 250;
        const UNREADABLE: u8 = 7;
        let key = |number| BlobKey::from_random([number; 16]);
        let blobs = Stubborn {
            inner: MemoryBlobs::new(|| UnixSeconds::EPOCH.plus(NOW)),
            fails: [key(UNREADABLE)].into(),
            stages: false,
            is_unavailable,
        };
        let catalog = Arc::new(TestCatalog::new().await);
        let owner = organization(catalog.as_ref(), "a").await;
        let is_text = |number: u8| !number.is_multiple_of(3);
        for number in 0..COUNT {
            let bytes = if is_text(number) {
                &b"text"[..]
            } else {
                b"\xff"
            };
            let mut stage = blobs.stage(key(number)).await.unwrap();
            stage.write(Bytes::from_static(bytes)).await.unwrap();
            let stored = stage.commit().await.unwrap();
            let before = FileRecord {
                size: stored.size,
                sha256: stored.sha256,
                location: BlobLocation::Stored(stored.key),
                is_text: None,
                ..file(&owner, &format!("f{number:03}"), 1)
            };
            catalog.add_file(&before).await.unwrap();
        }
        let gateway = gateway(Arc::clone(&catalog) as _, Arc::new(blobs));
        let begun = Instant::now();
        assert_eq!(gateway.detect_text().await.unwrap(), u64::from(COUNT) - 1);
        assert!(
            begun.elapsed() >= FILE_PAUSE * u32::from(COUNT),
            "it is throttled"
        );
        assert_eq!(gateway.detect_text().await.unwrap(), 0);
        for number in 0..COUNT {
            let id = crate::catalog::contract::file_id(&format!("f{number:03}"));
            let found = catalog.file(&owner, &id).await.unwrap().unwrap();
            let known = (number != UNREADABLE).then(|| is_text(number));
            assert_eq!(found.is_text, known, "{number}");
        }
    }
}
