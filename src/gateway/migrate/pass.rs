//! One pass over everything.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use super::bytes::{Bytes, Carrier};
use super::merge::{Merge, Step};
use super::{COPIES_AT_ONCE_MAX, End, Ends, MigrateError, Moved, Told, stray};
use crate::catalog::transfer::{Kind, ROWS_AT_ONCE_MAX, Row};
use crate::gateway::progress::PassProgress;
use crate::model::file::{BlobLocation, FileRecord, FileState};
use crate::model::id::BlobKey;
use crate::model::time::UnixSeconds;

/// Goes through every kind once.
pub(super) async fn pass(
    ends: &Ends,
    now: UnixSeconds,
    progress: &Arc<PassProgress>,
    tell: &mut impl FnMut(Told<'_>),
) -> Result<Moved, MigrateError> {
    let mut moved = Moved::default();
    for kind in Kind::ALL {
        if ends.to_catalog.is_some() || kind == Kind::File {
            let pass = KindPass {
                ends,
                now,
                progress,
                moved: &mut moved,
                put: Vec::new(),
                gone: Vec::new(),
                copies: JoinSet::new(),
            };
            pass.all_of(kind, tell).await?;
        }
    }
    Ok(moved)
}

/// The pass over one kind.
struct KindPass<'a> {
    ends: &'a Ends,
    now: UnixSeconds,
    progress: &'a Arc<PassProgress>,
    moved: &'a mut Moved,
    /// Rows to be put, and to be removed.
    put: Vec<Row>,
    gone: Vec<Row>,
    copies: JoinSet<Result<Seen, MigrateError>>,
}

/// A file whose bytes were seen to.
struct Seen {
    /// As the source has it.
    file: FileRecord,
    /// As the copy is to have it, and has it.
    wanted: FileRecord,
    before: Option<FileRecord>,
    bytes: Bytes,
}

impl KindPass<'_> {
    async fn all_of(
        mut self,
        kind: Kind,
        tell: &mut impl FnMut(Told<'_>),
    ) -> Result<(), MigrateError> {
        let mut rows = Merge::of(kind, &self.ends.catalog, self.ends.to_catalog.as_ref());
        while let Some(step) = rows.next().await? {
            match step {
                Step::Has(Row::File(file), before) => {
                    self.progress.add_row();
                    let before = match before {
                        Some(Row::File(before)) => Some(*before),
                        _ => None,
                    };
                    self.file(*file, before, tell).await?;
                }
                Step::Has(row, before) => {
                    self.progress.add_row();
                    if before.as_ref() != Some(&row) {
                        self.put.push(row);
                    }
                }
                Step::Lacks(row) if kind.is_forgotten() => self.gone.push(row),
                Step::Lacks(row) => return Err(MigrateError::Strayed(stray(&row))),
            }
            self.write_if_full().await?;
        }
        while self.settle_one(tell).await? {
            self.write_if_full().await?;
        }
        self.write().await
    }

    /// Puts a file's row, once its bytes are there; or that of another one, whose bytes are there first.
    async fn file(
        &mut self,
        file: FileRecord,
        before: Option<FileRecord>,
        tell: &mut impl FnMut(Told<'_>),
    ) -> Result<(), MigrateError> {
        let is_moved = self.ends.to_blobs.is_some() && !is_swept(&file);
        if !is_moved {
            self.put_file(file, before);
            return Ok(());
        }
        let wanted = match (&file.location, &self.ends.to_catalog) {
            (BlobLocation::Stored(_), _) => file.clone(),
            (BlobLocation::InPlace(_), Some(_)) => FileRecord {
                location: BlobLocation::Stored(key_in_place_of(&file)),
                ..file.clone()
            },
            (BlobLocation::InPlace(_), None) => {
                self.moved.in_place += 1;
                return Ok(());
            }
        };
        if !self.ends.verify
            && before
                .as_ref()
                .is_some_and(|before| has_bytes(before, &wanted))
        {
            self.moved.files_there += 1;
            self.progress.add_file();
            self.progress.add_bytes(file.size);
            self.put_file(wanted, before);
            return Ok(());
        }
        if self.copies.len() >= COPIES_AT_ONCE_MAX {
            self.settle_one(tell).await?;
        }
        self.see_to(file, wanted, before);
        Ok(())
    }

    /// Begins to see to the bytes of a file.
    fn see_to(&mut self, file: FileRecord, wanted: FileRecord, before: Option<FileRecord>) {
        let (Some(to), BlobLocation::Stored(key)) = (&self.ends.to_blobs, &wanted.location) else {
            return;
        };
        let carrier = Carrier {
            from: Arc::clone(&self.ends.blobs),
            to: Arc::clone(to),
            key: *key,
            bytes_max: self.ends.blob_bytes_max,
            // With a row that says so, somebody read them there. Without a catalogue there is no such row.
            reads_there: self.ends.verify || self.ends.to_catalog.is_some(),
            progress: Arc::clone(self.progress),
        };
        self.copies.spawn(async move {
            let bytes = carrier.see_to(&file).await?;
            Ok(Seen {
                file,
                wanted,
                before,
                bytes,
            })
        });
    }

    /// Waits for the bytes of one file; `false` where none are on their way.
    async fn settle_one(&mut self, tell: &mut impl FnMut(Told<'_>)) -> Result<bool, MigrateError> {
        let Some(seen) = self.copies.join_next().await else {
            return Ok(false);
        };
        let seen = seen??;
        self.progress.add_file();
        let crc32 = match &seen.bytes {
            Bytes::There(crc32) => {
                self.moved.files_there += 1;
                *crc32
            }
            Bytes::Copied(crc32) => {
                self.moved.files_copied += 1;
                self.moved.bytes_copied += seen.file.size;
                Some(*crc32)
            }
            Bytes::LeftOut(why) => {
                if self.has_changed(&seen.file).await? {
                    // It was deleted, and its bytes with it.
                    self.moved.unsettled += 1;
                    return Ok(true);
                }
                self.moved.left_out += 1;
                tell(Told::LeftOut(&seen.file, why));
                let marked = seen.before.as_ref().and_then(|before| before.damaged_at);
                let wanted = FileRecord {
                    damaged_at: seen.wanted.damaged_at.or(marked).or(Some(self.now)),
                    ..seen.wanted
                };
                self.put_file(wanted, seen.before);
                return Ok(true);
            }
        };
        let wanted = FileRecord {
            crc32: seen.wanted.crc32.or(crc32),
            ..seen.wanted
        };
        self.put_file(wanted, seen.before);
        Ok(true)
    }

    /// Returns whether the source has swept, moved or lost the file by now.
    async fn has_changed(&self, file: &FileRecord) -> Result<bool, MigrateError> {
        let now = self.ends.catalog.file(&file.organization, &file.id).await;
        let now = now.map_err(End::Source.catalog())?;
        Ok(now.is_none_or(|now| is_swept(&now) || now.location != file.location))
    }

    /// Puts a file's row. A CRC-32 that the copy knows of the same bytes stays where the source knows none.
    fn put_file(&mut self, mut wanted: FileRecord, before: Option<FileRecord>) {
        let of_same_bytes = before
            .as_ref()
            .filter(|before| (before.size, before.sha256) == (wanted.size, wanted.sha256));
        wanted.crc32 = wanted
            .crc32
            .or(of_same_bytes.and_then(|before| before.crc32));
        if before.as_ref() != Some(&wanted) {
            self.put.push(Row::File(Box::new(wanted)));
        }
    }

    /// Writes what has gathered, if no more goes in one go. At most one row comes between two such calls.
    async fn write_if_full(&mut self) -> Result<(), MigrateError> {
        if self.put.len().max(self.gone.len()) < ROWS_AT_ONCE_MAX {
            return Ok(());
        }
        self.write().await
    }

    /// Writes what has gathered.
    async fn write(&mut self) -> Result<(), MigrateError> {
        let put = std::mem::take(&mut self.put);
        let gone = std::mem::take(&mut self.gone);
        let Some(to) = &self.ends.to_catalog else {
            return Ok(());
        };
        if !gone.is_empty() {
            let removed = to.remove_rows(&gone).await;
            self.moved.rows_removed += removed.map_err(End::Destination.catalog())?;
        }
        if !put.is_empty() {
            let copied = to.put_rows(&put).await;
            let copied = copied.map_err(End::Destination.catalog())?;
            self.moved.rows_copied += copied;
            // The rows left over belong to something that was made after the pass looked for it.
            self.moved.unsettled += (put.len() as u64).saturating_sub(copied);
        }
        Ok(())
    }
}

/// Returns whether a row of the copy says that these bytes were seen there.
fn has_bytes(before: &FileRecord, wanted: &FileRecord) -> bool {
    !is_swept(before)
        && before.damaged_at.is_none()
        && before.location == wanted.location
        && (before.size, before.sha256) == (wanted.size, wanted.sha256)
}

fn is_swept(file: &FileRecord) -> bool {
    matches!(file.state, FileState::Swept { .. })
}

/// The key of the blob that a file in place becomes: the same in every run.
fn key_in_place_of(file: &FileRecord) -> BlobKey {
    let mut hasher = Sha256::new();
    for part in [file.organization.as_str(), file.id.as_str()] {
        hasher.update(part);
        hasher.update([0]);
    }
    hasher.update(file.fingerprint().as_bytes());
    let digest: [u8; 32] = hasher.finalize().into();
    let mut key = [0; 16];
    for (to, from) in key.iter_mut().zip(digest) {
        *to = from;
    }
    BlobKey::from_random(key)
}
