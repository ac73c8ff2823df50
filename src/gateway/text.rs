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

/// The most files that are listed at once.
pub(super) const FILES_LISTED: u32 = 100;

/// The number of findings, the bytes read and the time after which findings are written, whichever comes first. A stop
/// loses what is not written; but each write makes every gateway read its rows again.
const UNWRITTEN_MAX: usize = 64;
const UNWRITTEN_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const UNWRITTEN_FOR: Duration = Duration::from_secs(60);

/// The pause after each file, so that no more than two hundred are opened in a second, and the bytes that are read
/// in a second on average. Downloads need the disk, or the store, more.
pub(super) const FILE_PAUSE: Duration = Duration::from_millis(5);
const BYTES_PER_SECOND: u64 = 32 * 1024 * 1024;

/// The most files in a row that the store does not give before it counts as out of reach. A single one may be
/// archived, or be refused to us alone.
pub(super) const REFUSED_IN_A_ROW_MAX: u32 = 3;

/// A pass over the files of which nobody knows whether they are text.
struct TextPass {
    /// The findings that were written.
    written: u64,
    /// Findings that are yet to be written.
    texts: Vec<Text>,
    /// The bytes that were read since the last write.
    read: u64,
    /// The time of the last write, by the gateway's own clock.
    since: Duration,
}

/// The answer about one file.
enum Judged {
    Text(bool),
    /// Its own bytes are not there, or cannot be read.
    Unreadable,
    /// The store does not give it.
    Refused(BlobError),
}

impl TextPass {
    fn begin(now: Duration) -> Self {
        Self {
            written: 0,
            texts: Vec::new(),
            read: 0,
            since: now,
        }
    }

    /// Returns whether the findings are to be written now.
    fn is_due(&self, now: Duration) -> bool {
        let is_much = self.texts.len() >= UNWRITTEN_MAX
            || self.read >= UNWRITTEN_BYTES_MAX
            || now.saturating_sub(self.since) >= UNWRITTEN_FOR;
        is_much && !self.texts.is_empty()
    }

    /// Pauses for as long as bytes that were read may take.
    async fn pause_for(&mut self, bytes: u64) {
        self.read = self.read.saturating_add(bytes);
        sleep(time_for(bytes)).await;
    }
}

impl Gateway {
    /// Reads every ready file of which nobody knows whether it is text, one after the other, and keeps the findings
    /// with the rows. Returns how many it judged. A binary file costs one read of its first bytes; a file in place
    /// whose identity moved, or is not known in full, is hashed, and its row takes the identity if the hash is its
    /// own. A file whose bytes cannot be had is left for the next call. Dropping the future stops between two
    /// pieces, and loses the findings since the last write.
    ///
    /// `BYTES_PER_SECOND` are read on average: a file that is hashed is read as fast as the disk gives it, and the
    /// pause follows.
    ///
    /// # Errors
    /// The refusal of the catalogue, or of the store where it gives several files in a row to nobody. The
    /// findings before it are kept if the catalogue takes them.
    pub async fn detect_text(&self) -> Result<u64, Refusal> {
        let mut pass = TextPass::begin(self.clock.elapsed());
        let outcome = self.judge_texts(&mut pass).await;
        let rest = self.write_texts(&mut pass).await;
        outcome.and(rest).map(|()| pass.written)
    }

    async fn judge_texts(&self, pass: &mut TextPass) -> Result<(), Refusal> {
        let mut refused_in_a_row = 0;
        let mut last = None;
        loop {
            let page = self
                .catalog
                .files_of_unknown_text(last.as_ref(), FILES_LISTED);
            let page = self.ask(page).await?;
            let Some(file) = page.last() else {
                return Ok(());
            };
            last = Some((file.organization.clone(), file.id.clone()));
            // A file that was registered unread stays so.
            for file in page.iter().filter(|file| file.sha256.is_some()) {
                let judged = self.judge_text(file, pass).await;
                sleep(FILE_PAUSE).await;
                match judged? {
                    Judged::Text(is_text) => {
                        refused_in_a_row = 0;
                        pass.texts.push(Text {
                            organization: file.organization.clone(),
                            file: file.id.clone(),
                            is_text,
                        });
                    }
                    Judged::Unreadable => refused_in_a_row = 0,
                    Judged::Refused(_) if refused_in_a_row + 1 < REFUSED_IN_A_ROW_MAX => {
                        refused_in_a_row += 1;
                    }
                    Judged::Refused(error) => return Err(error.into()),
                }
                if pass.is_due(self.clock.elapsed()) {
                    self.write_texts(pass).await?;
                }
            }
            yield_now().await;
        }
    }

    /// Writes the findings that are yet to be written.
    async fn write_texts(&self, pass: &mut TextPass) -> Result<(), Refusal> {
        if pass.texts.is_empty() {
            return Ok(());
        }
        let change = self.changing(self.catalog.set_text(&pass.texts));
        self.ask(change).await?;
        let written = pass.written + pass.texts.len() as u64;
        *pass = TextPass {
            written,
            ..TextPass::begin(self.clock.elapsed())
        };
        Ok(())
    }

    /// Reads one file as far as it may be text.
    ///
    /// # Errors
    /// The refusal of the catalogue.
    async fn judge_text(&self, file: &FileRecord, pass: &mut TextPass) -> Result<Judged, Refusal> {
        match self.is_text(file, pass).await {
            Ok(is_text) => Ok(Judged::Text(is_text)),
            Err(BlobError::Moved { found }) => self.judge_moved(file, &found, pass).await,
            Err(BlobError::Damaged { .. } | BlobError::Io { .. }) => Ok(Judged::Unreadable),
            Err(error) => Ok(Judged::Refused(error)),
        }
    }

    /// Hashes a file in place whose identity moved, unless its hash is remembered.
    ///
    /// # Errors
    /// The refusal of the catalogue.
    async fn judge_moved(
        &self,
        file: &FileRecord,
        found: &InPlace,
        pass: &mut TextPass,
    ) -> Result<Judged, Refusal> {
        let (own, hashed) = self.taken_back(file, found).await?;
        pass.pause_for(hashed).await;
        let judged = own.map(|own| Judged::Text(own.registered.text.is_utf8));
        Ok(judged.unwrap_or(Judged::Unreadable))
    }

    /// Returns whether all of a file's bytes are UTF-8 text.
    async fn is_text(&self, file: &FileRecord, pass: &mut TextPass) -> Result<bool, BlobError> {
        let blob = self.blobs.open(&file.location, file.size).await?;
        let (mut pieces, mut detector) = (Pieces::of(blob), TextDetector::default());
        while detector.may_be_utf8()
            && let Some(piece) = pieces.next().await?
        {
            detector.update(&piece);
            pass.pause_for(piece.len() as u64).await;
        }
        Ok(detector.finish().is_utf8)
    }
}

/// Returns the time that so many bytes take at [`BYTES_PER_SECOND`].
pub(super) fn time_for(bytes: u64) -> Duration {
    Duration::from_micros(bytes.saturating_mul(1_000_000) / BYTES_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use bytes::Bytes;
    use tempfile::TempDir;

    use super::*;
    use crate::blob::BlobStore;
    use crate::blob::disk::{Disk, Readers};
    use crate::blob::memory::MemoryBlobs;
    use crate::catalog::Catalog as _;
    use crate::catalog::contract::{file, file_id, organization, organization_id};
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

    #[test]
    fn findings_are_written_after_so_many_files_or_bytes_or_so_long() {
        let text = Text {
            organization: organization_id("a"),
            file: file_id("f"),
            is_text: true,
        };
        let start = Duration::from_secs(5);
        let pass = |count, read| TextPass {
            texts: vec![text.clone(); count],
            read,
            ..TextPass::begin(start)
        };
        let late = start + UNWRITTEN_FOR;
        assert!(!pass(0, UNWRITTEN_BYTES_MAX).is_due(late));
        assert!(!pass(UNWRITTEN_MAX - 1, UNWRITTEN_BYTES_MAX - 1).is_due(start));
        assert!(pass(UNWRITTEN_MAX, 0).is_due(start));
        assert!(pass(1, UNWRITTEN_BYTES_MAX).is_due(start));
        assert!(pass(1, 0).is_due(late));
    }

    /// A file whose row lacks the device: its bytes are to be hashed first. Its text is unknown, too.
    #[tokio::test]
    async fn a_pause_is_for_bytes_that_were_read_only() {
        let (root, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let path = place.path().canonicalize().unwrap().join("a");
        std::fs::write(&path, b"text").unwrap();
        let roots = [place.path().to_owned()];
        let disk = Disk::open(root.path(), &roots, Readers::Owner).unwrap();
        let registered = disk.register(&path).await.unwrap();
        let catalog = Arc::new(TestCatalog::new().await);
        let owner = organization(catalog.as_ref(), "a").await;
        let row = FileRecord {
            size: registered.size,
            sha256: Some(registered.sha256),
            location: BlobLocation::InPlace(InPlace {
                device: None,
                ..registered.file.clone()
            }),
            is_text: None,
            ..file(&owner, "f", 1)
        };
        catalog.add_file(&row).await.unwrap();
        let gateway = gateway(Arc::clone(&catalog) as _, Arc::new(disk));
        for read in [4, 0] {
            let mut pass = TextPass::begin(Duration::ZERO);
            let judged = gateway.judge_text(&row, &mut pass).await.unwrap();
            assert!(matches!(judged, Judged::Text(true)));
            assert_eq!(pass.read, read);
        }
        let found = catalog.file(&owner, &row.id).await.unwrap().unwrap();
        assert_eq!(found.location, BlobLocation::InPlace(registered.file));
    }

    /// More files than are listed at once, every third of them binary, and one that the store does
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
                sha256: Some(stored.sha256),
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
            let id = file_id(&format!("f{number:03}"));
            let found = catalog.file(&owner, &id).await.unwrap().unwrap();
            let known = (number != UNREADABLE).then(|| is_text(number));
            assert_eq!(found.is_text, known, "{number}");
        }
    }
}
