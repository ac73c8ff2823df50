//! The CRC-32 of files that came in before it was taken on the way. Zip archives have it in their heads.

use tokio::task::{spawn_blocking, yield_now};
use tokio::time::sleep;

use super::Gateway;
use super::pieces::{DigestHasher, Pieces};
use super::refusal::Refusal;
use super::text::{FILE_PAUSE, FILES_LISTED, REFUSED_IN_A_ROW_MAX, time_for};
use crate::blob::BlobError;
use crate::catalog::maintenance::{Checksum, READ_FILES_SET_MAX};
use crate::model::file::{FileRecord, FileState, InPlace};
use crate::model::id::{FileId, OrganizationId};

/// The bytes after which a pass ends: with the rate that they are read at, half an hour. The file that is being read then
/// is read to its end.
const PASS_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;

/// The number of findings, and the bytes read, after which findings are written, whichever comes first.
const UNWRITTEN_MAX: usize = 64;
const UNWRITTEN_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The cursor at which a pass goes on: behind the last file that one before it read. `None`: at the first.
pub type ChecksumCursor = Option<(OrganizationId, FileId)>;

/// A pass over the files whose CRC-32 nobody knows.
#[derive(Default)]
struct ChecksumPass {
    /// The findings that were written.
    written: u64,
    /// Findings that are yet to be written.
    checksums: Vec<Checksum>,
    /// The bytes that were read, and those of them since the last write.
    read: u64,
    unwritten: u64,
}

/// The answer about one file.
enum Read {
    Checksum(Checksum),
    /// It went, or somebody else read it; or its own bytes are not there, or cannot be read.
    Nothing,
    /// The store does not give it.
    Refused(BlobError),
}

impl ChecksumPass {
    fn is_due(&self) -> bool {
        let is_much =
            self.checksums.len() >= UNWRITTEN_MAX || self.unwritten >= UNWRITTEN_BYTES_MAX;
        is_much && !self.checksums.is_empty()
    }

    /// Pauses for as long as bytes that were read may take.
    async fn pause_for(&mut self, bytes: u64) {
        self.read = self.read.saturating_add(bytes);
        self.unwritten = self.unwritten.saturating_add(bytes);
        sleep(time_for(bytes)).await;
    }
}

impl Gateway {
    /// Reads ready files whose CRC-32 nobody knows, one after the other from `cursor` on, and keeps it with the rows; at
    /// most `PASS_BYTES_MAX` bytes and the file that they end in. Returns how many it noted. `cursor` is moved on, so
    /// that files that cannot be read hold up no others: behind the last one it is the first again.
    ///
    /// What is read is held against the row's SHA-256: nothing is noted of other bytes. A file whose bytes cannot be had
    /// is left for a later pass. Bytes are read as slowly as [`Gateway::detect_text`] reads them. Dropping the future
    /// stops between two pieces, and loses the findings since the last write.
    ///
    /// # Errors
    /// The refusal of the catalogue, or of the store where it gives several files in a row to nobody. The
    /// findings before it are kept if the catalogue takes them.
    pub async fn take_checksums(&self, cursor: &mut ChecksumCursor) -> Result<u64, Refusal> {
        let mut pass = ChecksumPass::default();
        let outcome = self.read_unknown(&mut pass, cursor).await;
        let rest = self.write_pass(&mut pass).await;
        outcome.and(rest).map(|()| pass.written)
    }

    async fn read_unknown(
        &self,
        pass: &mut ChecksumPass,
        cursor: &mut ChecksumCursor,
    ) -> Result<(), Refusal> {
        let mut refused_in_a_row = 0;
        loop {
            let page = self
                .catalog
                .files_of_unknown_crc32(cursor.as_ref(), FILES_LISTED);
            let page = self.ask(page).await?;
            if page.is_empty() {
                *cursor = None;
                return Ok(());
            }
            for file in &page {
                if pass.read >= PASS_BYTES_MAX {
                    return Ok(());
                }
                let read = self.read_checksum(file, pass).await;
                sleep(FILE_PAUSE).await;
                *cursor = Some((file.organization.clone(), file.id.clone()));
                match read? {
                    Read::Checksum(checksum) => {
                        refused_in_a_row = 0;
                        pass.checksums.push(checksum);
                    }
                    Read::Nothing => refused_in_a_row = 0,
                    Read::Refused(_) if refused_in_a_row + 1 < REFUSED_IN_A_ROW_MAX => {
                        refused_in_a_row += 1;
                    }
                    Read::Refused(error) => return Err(error.into()),
                }
                if pass.is_due() {
                    self.write_pass(pass).await?;
                }
            }
            yield_now().await;
        }
    }

    async fn write_pass(&self, pass: &mut ChecksumPass) -> Result<(), Refusal> {
        let count = pass.checksums.len() as u64;
        self.write_checksums(&mut pass.checksums).await?;
        pass.written += count;
        pass.unwritten = 0;
        Ok(())
    }

    /// Writes findings that are yet to be written, at most [`READ_FILES_SET_MAX`].
    pub(super) async fn write_checksums(
        &self,
        checksums: &mut Vec<Checksum>,
    ) -> Result<(), Refusal> {
        debug_assert!(checksums.len() <= READ_FILES_SET_MAX, "they are written");
        if checksums.is_empty() {
            return Ok(());
        }
        let change = self.changing(self.catalog.set_crc32(checksums));
        self.ask(change).await?;
        checksums.clear();
        Ok(())
    }

    /// Reads one file, unless another gateway did so since it was listed.
    ///
    /// # Errors
    /// The refusal of the catalogue.
    async fn read_checksum(
        &self,
        listed: &FileRecord,
        pass: &mut ChecksumPass,
    ) -> Result<Read, Refusal> {
        let file = self.catalog.file(&listed.organization, &listed.id);
        let file = self.ask(file).await?;
        // A file that was registered unread stays so.
        let is_unread = |file: &FileRecord| {
            file.state == FileState::Ready && file.crc32.is_none() && file.sha256.is_some()
        };
        let Some(file) = file.filter(is_unread) else {
            return Ok(Read::Nothing);
        };
        match self.checksum_of(&file, pass).await {
            Ok(Some(checksum)) => Ok(Read::Checksum(checksum)),
            Err(BlobError::Moved { found }) => self.checksum_of_moved(&file, &found, pass).await,
            Ok(None) | Err(BlobError::Damaged { .. } | BlobError::Io { .. }) => Ok(Read::Nothing),
            Err(error) => Ok(Read::Refused(error)),
        }
    }

    /// Returns the CRC-32 of a file's bytes; `None` where they are others than its row's.
    async fn checksum_of(
        &self,
        file: &FileRecord,
        pass: &mut ChecksumPass,
    ) -> Result<Option<Checksum>, BlobError> {
        let blob = self.blobs.open(&file.location, file.size).await?;
        let (mut pieces, mut hasher) = (Pieces::of(blob), DigestHasher::default());
        while let Some(piece) = pieces.next().await? {
            let length = piece.len() as u64;
            // Hashing takes milliseconds, for which no request shall wait.
            let hashing = spawn_blocking(move || {
                hasher.update(&piece);
                hasher
            });
            hasher = hashing.await.map_err(|error| BlobError::Io {
                doing: "hashing a blob",
                source: error.into(),
            })?;
            pass.pause_for(length).await;
        }
        let found = hasher.finish();
        Ok((Some(found.sha256) == file.sha256).then(|| Checksum::of(file, found.crc32)))
    }

    /// Hashes a file in place whose identity moved, unless its hash is remembered.
    ///
    /// # Errors
    /// The refusal of the catalogue.
    async fn checksum_of_moved(
        &self,
        file: &FileRecord,
        found: &InPlace,
        pass: &mut ChecksumPass,
    ) -> Result<Read, Refusal> {
        let (own, hashed) = self.taken_back(file, found).await?;
        pass.pause_for(hashed).await;
        let checksum = own.map(|own| Read::Checksum(Checksum::of(file, own.registered.crc32)));
        Ok(checksum.unwrap_or(Read::Nothing))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use tempfile::TempDir;

    use super::*;
    use crate::blob::BlobStore;
    use crate::blob::disk::{Disk, Readers};
    use crate::blob::memory::MemoryBlobs;
    use crate::catalog::Catalog as _;
    use crate::catalog::contract::{file, file_id, organization};
    use crate::catalog::testing::TestCatalog;
    use crate::gateway::testing::stubborn::Stubborn;
    use crate::gateway::testing::{NOW, gateway};
    use crate::model::digest::{Crc32, Sha256Digest};
    use crate::model::file::BlobLocation;
    use crate::model::id::BlobKey;
    use crate::model::time::UnixSeconds;

    /// The check value of this CRC (Williams, "A Painless Guide to CRC Error Detection Algorithms").
    const CHECK: (&[u8], u32) = (b"123456789", 0xcbf4_3926);

    fn key(number: u8) -> BlobKey {
        BlobKey::from_random([number; 16])
    }

    /// More files than are listed at once; one that the store does not give, and one of other bytes than its row says.
    #[tokio::test]
    async fn files_from_before_are_read_once_and_nothing_is_noted_of_other_bytes() {
        const COUNT: u8 = 120;
        const UNREADABLE: u8 = 7;
        const OF_OTHER_BYTES: u8 = 9;
        let blobs = Stubborn {
            inner: MemoryBlobs::new(|| UnixSeconds::EPOCH.plus(NOW)),
            fails: [key(UNREADABLE)].into(),
            stages: false,
            is_unavailable: false,
        };
        let catalog = Arc::new(TestCatalog::new().await);
        let owner = organization(catalog.as_ref(), "a").await;
        for number in 0..COUNT {
            let mut stage = blobs.stage(key(number)).await.unwrap();
            stage.write(Bytes::from_static(CHECK.0)).await.unwrap();
            let stored = stage.commit().await.unwrap();
            assert_eq!(stored.crc32, Crc32::new(CHECK.1));
            let sha256 = match number {
                OF_OTHER_BYTES => Sha256Digest::new([0; 32]),
                _ => stored.sha256,
            };
            let before = FileRecord {
                size: stored.size,
                sha256: Some(sha256),
                location: BlobLocation::Stored(stored.key),
                ..file(&owner, &format!("f{number:03}"), 1)
            };
            catalog.add_file(&before).await.unwrap();
        }
        let gateway = gateway(Arc::clone(&catalog) as _, Arc::new(blobs));
        let mut cursor = None;
        let noted = gateway.take_checksums(&mut cursor).await.unwrap();
        assert_eq!((noted, &cursor), (u64::from(COUNT) - 2, &None));
        assert_eq!(gateway.take_checksums(&mut cursor).await.unwrap(), 0);
        for number in 0..COUNT {
            let id = file_id(&format!("f{number:03}"));
            let found = catalog.file(&owner, &id).await.unwrap().unwrap();
            let is_noted = ![UNREADABLE, OF_OTHER_BYTES].contains(&number);
            let wanted = is_noted.then_some(Crc32::new(CHECK.1));
            assert_eq!(found.crc32, wanted, "{number}");
        }
    }

    #[tokio::test]
    async fn a_pass_that_read_enough_goes_on_where_it_ended() {
        let catalog = Arc::new(TestCatalog::new().await);
        let owner = organization(catalog.as_ref(), "a").await;
        let blobs = MemoryBlobs::new(|| UnixSeconds::EPOCH.plus(NOW));
        for number in 0..3 {
            let mut stage = blobs.stage(key(number)).await.unwrap();
            stage.write(Bytes::from_static(CHECK.0)).await.unwrap();
            let stored = stage.commit().await.unwrap();
            let before = FileRecord {
                size: stored.size,
                sha256: Some(stored.sha256),
                location: BlobLocation::Stored(stored.key),
                ..file(&owner, &format!("f{number}"), 1)
            };
            catalog.add_file(&before).await.unwrap();
        }
        let gateway = gateway(Arc::clone(&catalog) as _, Arc::new(blobs));
        let mut cursor = None;
        let mut pass = ChecksumPass {
            read: PASS_BYTES_MAX - 1,
            ..ChecksumPass::default()
        };
        gateway.read_unknown(&mut pass, &mut cursor).await.unwrap();
        gateway.write_pass(&mut pass).await.unwrap();
        assert_eq!(pass.written, 1);
        assert_eq!(cursor, Some((owner.clone(), file_id("f0"))));
        assert_eq!(gateway.take_checksums(&mut cursor).await.unwrap(), 2);
        assert_eq!(cursor, None);
    }

    #[tokio::test]
    async fn a_file_in_place_whose_identity_moved_is_read_too() {
        let (root, directory) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let path = directory.path().canonicalize().unwrap().join("a");
        std::fs::write(&path, CHECK.0).unwrap();
        let roots = [directory.path().to_owned()];
        let disk = Disk::open(root.path(), &roots, Readers::Owner).unwrap();
        let registered = disk.register(&path).await.unwrap();
        assert_eq!(registered.crc32, Crc32::new(CHECK.1));
        let catalog = Arc::new(TestCatalog::new().await);
        let owner = organization(catalog.as_ref(), "a").await;
        let row = FileRecord {
            size: registered.size,
            sha256: Some(registered.sha256),
            location: BlobLocation::InPlace(InPlace {
                device: None,
                ..registered.file.clone()
            }),
            ..file(&owner, "f", 1)
        };
        catalog.add_file(&row).await.unwrap();
        let gateway = gateway(Arc::clone(&catalog) as _, Arc::new(disk));
        assert_eq!(gateway.take_checksums(&mut None).await.unwrap(), 1);
        let found = catalog.file(&owner, &row.id).await.unwrap().unwrap();
        assert_eq!(found.crc32, Some(Crc32::new(CHECK.1)));
        assert_eq!(found.location, BlobLocation::InPlace(registered.file));
    }
}
