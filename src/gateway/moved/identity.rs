//! The identities that rows of files in place take once the files were read again.
//!
//! Each gateway gives a row an identity once. One that another gateway gave it, which sees the file on another device,
//! stays.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::Gateway;
use super::Reread;
use crate::catalog::maintenance::{Checksum, Text};
use crate::catalog::{Catalog, CatalogError};
use crate::model::file::{BlobLocation, FileRecord, InPlace};

/// The pause before a row is tried again to which its file's identity could not be given.
pub(super) const NOTED_EVERY: Duration = Duration::from_secs(10);

/// The most tries in a row to give a row an identity, where others change it meanwhile.
const NOTING_TRIES: usize = 3;

/// The state of giving a row the identity that was found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Noting {
    /// Not begun.
    #[default]
    Due,
    /// Under way, or failed: to be begun again at this time, by the gateway's own clock.
    Again(Duration),
    /// The row took the identity, is gone, or had been given one by somebody else. Not to be begun again.
    Done,
}

impl Reread {
    /// Returns whether the row is to be given the identity now. If so, that counts as under way.
    pub(super) fn begin_noting(&self, now: Duration) -> bool {
        let mut noting = self.noting();
        let is_due = match *noting {
            Noting::Due => true,
            Noting::Again(at) => at <= now,
            Noting::Done => false,
        };
        if is_due {
            *noting = Noting::Again(now.saturating_add(NOTED_EVERY));
        }
        is_due
    }

    fn noting(&self) -> MutexGuard<'_, Noting> {
        self.noting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a row the identity, and says whether its bytes are text, and their CRC-32, where nobody has. Only after an error it is to be
    /// begun again.
    pub(super) async fn note(
        &self,
        catalog: &dyn Catalog,
        file: &FileRecord,
    ) -> Result<(), CatalogError> {
        if let Some(row) = self.give_identity(catalog, file).await? {
            self.note_text(catalog, &row).await?;
            self.note_crc32(catalog, &row).await?;
        }
        *self.noting() = Noting::Done;
        Ok(())
    }

    /// Gives a row the identity, if it still has the one that `file` has or an earlier one of the same device. Returns
    /// the row as it was before; `None` where it is gone, or has another one by now and keeps it: another gateway sees
    /// the file so.
    async fn give_identity(
        &self,
        catalog: &dyn Catalog,
        file: &FileRecord,
    ) -> Result<Option<FileRecord>, CatalogError> {
        let (owner, id) = (&file.organization, &file.id);
        let found = &self.registered.file;
        let mut row = file.clone();
        for _ in 0..NOTING_TRIES {
            let BlobLocation::InPlace(seen) = &row.location else {
                return Ok(None);
            };
            if seen == found {
                return Ok(Some(row));
            }
            match catalog.replace_identity(owner, id, seen, found).await {
                Ok(()) => return Ok(Some(row)),
                Err(CatalogError::NotFound { .. }) => return Ok(None),
                // The row in memory was old.
                Err(CatalogError::Conflict { .. }) => match catalog.file(owner, id).await? {
                    Some(now) if is_behind(&now, found) => row = now,
                    _ => return Ok(None),
                },
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn note_text(&self, catalog: &dyn Catalog, row: &FileRecord) -> Result<(), CatalogError> {
        if row.is_text.is_some() {
            return Ok(());
        }
        let text = Text {
            organization: row.organization.clone(),
            file: row.id.clone(),
            is_text: self.registered.text.is_utf8,
        };
        catalog.set_text(&[text]).await
    }

    async fn note_crc32(
        &self,
        catalog: &dyn Catalog,
        row: &FileRecord,
    ) -> Result<(), CatalogError> {
        if row.crc32.is_some() {
            return Ok(());
        }
        let checksum = Checksum::of(row, self.registered.crc32);
        catalog.set_crc32(&[checksum]).await
    }
}

/// Returns whether a row has the identity `found`, or one that the file had before on the same device.
fn is_behind(row: &FileRecord, found: &InPlace) -> bool {
    let BlobLocation::InPlace(row) = &row.location else {
        return false;
    };
    let is_same_device = row.device.is_none() || row.device == found.device;
    is_same_device && row.changed_nanos <= found.changed_nanos
}

impl Gateway {
    /// Gives a row its file's new identity while the download goes on, and says whether its bytes are text where the
    /// row does not. After an error it is tried again, every [`NOTED_EVERY`] at most.
    pub(super) fn note_in_background(&self, file: &FileRecord, reread: &Arc<Reread>) {
        if !reread.begin_noting(self.clock.elapsed()) {
            return;
        }
        let (catalog, file) = (Arc::clone(&self.catalog), file.clone());
        let reread = Arc::clone(reread);
        // The row in memory is as good as the new one until the next refresh of the snapshot.
        tokio::spawn(async move {
            if let Err(error) = reread.note(catalog.as_ref(), &file).await {
                tracing::warn!(%error, "the new identity of a file in place is not in its row yet");
            }
        });
    }

    /// Gives a row the identity of a file that was read again, unless this gateway did so before.
    ///
    /// # Errors
    /// The catalogue's; then it is to be begun again.
    pub(in crate::gateway) async fn note_reread(
        &self,
        file: &FileRecord,
        reread: &Reread,
    ) -> Result<(), CatalogError> {
        if matches!(*reread.noting(), Noting::Done) {
            return Ok(());
        }
        let change = reread.give_identity(self.catalog.as_ref(), file);
        self.changing(Box::pin(change)).await?;
        *reread.noting() = Noting::Done;
        Ok(())
    }

    /// Gives a row its file's new identity. That somebody else did, or that the file was removed, is no error.
    pub(in crate::gateway) async fn note_identity(
        &self,
        file: &FileRecord,
        now: &InPlace,
    ) -> Result<(), CatalogError> {
        let (BlobLocation::InPlace(seen), Some(_)) = (&file.location, file.sha256) else {
            return Ok(());
        };
        let (owner, id) = (&file.organization, &file.id);
        let change = self.catalog.replace_identity(owner, id, seen, now);
        match self.changing(change).await {
            Err(CatalogError::NotFound { .. } | CatalogError::Conflict { .. }) => Ok(()),
            noted => noted,
        }
    }
}
