//! Zip archives of stored files. An archive lies nowhere: its layout (`model/zip.rs`) says where each byte of it is, and
//! its files are opened one after the other as it goes out.
//!
//! 1. The files are laid out, as they are now.
//! 2. Before an entry's bytes go out its row is looked at again: a file that was deleted, that is damaged or whose links
//!    were revoked meanwhile ends the answer. Rows are read some at a time.
//! 3. The bytes are opened, as a download's are; they are not kept open for others.
//!
//! A layout is in memory for as long as answers of it go on, however slowly they are read. Answers of equal archives share
//! one, and all of them together are bounded, as are those of one organization. That of a share is kept for its next
//! request (`cached.rs`), and makes room for any other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::Gateway;
use super::doctor::expect_whole;
use super::download::Content;
use super::refusal::Refusal;
use super::revocations::STALENESS_MAX;
use crate::model::address::FileRef;
use crate::model::archive_file::ArchiveFile;
use crate::model::digest::Sha256Digest;
use crate::model::file::{FileRecord, FileState};
use crate::model::id::{FileId, OrganizationId};
use crate::model::zip::{ENTRIES_MAX, HEADS_BYTES_MAX, Layout, Member, ZipError};

mod cached;
mod read_ahead;

pub(super) use cached::CachedArchive;
use read_ahead::ReadAhead;

/// The most bytes that the layouts of all archives that are being sent take: some hundred of ten thousand files.
const ARCHIVES_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// The most bytes that those of one organization take.
const ORGANIZATION_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The wait that is advised where there are too many. They are read by their clients, who may take any time.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// What [`Refusal::TooMany`] counts.
const ARCHIVES: &str = "zip archives of one organization";

/// The most rows that are read at once, and by how many times more or fewer they become.
const ROWS_AT_ONCE: usize = 64;
const ROWS_FACTOR: usize = 4;

/// A file that is to be in an archive, and its path there.
#[derive(Clone, Copy, Debug)]
pub struct ArchiveMember<'a> {
    /// The path, with `/` between its segments. It is cleaned.
    pub path: &'a str,
    /// The file, which is the archive's organization's and ready.
    pub file: &'a ArchiveFile,
}

/// An archive that can be sent, any part of it and any number of times.
#[derive(Debug)]
pub struct Archive {
    /// The organization that its files belong to.
    organization: OrganizationId,
    layout: Layout,
    entries: Box<[Entry]>,
    _permit: LayoutPermit,
}

/// The identity of an entry's file.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    file: FileId,
    fingerprint: Sha256Digest,
    link_revision: u64,
}

/// The archives that are being sent.
#[derive(Debug, Default)]
pub(super) struct Archives {
    state: Mutex<ArchivesState>,
    read_ahead: ReadAhead,
}

#[derive(Debug, Default)]
struct ArchivesState {
    /// The bytes of all layouts, and of each organization's.
    bytes: u64,
    of: HashMap<OrganizationId, u64>,
    /// The archives by the digest of their layouts. Of two that differ only in whose bytes they have, the later one.
    known: HashMap<(OrganizationId, [u8; 32]), Weak<Archive>>,
}

/// The bytes of one layout. Dropped, they are free again.
#[derive(Debug)]
struct LayoutPermit {
    archives: Arc<Archives>,
    organization: OrganizationId,
    digest: [u8; 32],
    bytes: u64,
}

/// Opens the entries of one archive in their order.
pub struct EntryReader {
    gateway: Arc<Gateway>,
    archive: Arc<Archive>,
    /// Rows that were read ahead, and when, by the gateway's own clock.
    rows: HashMap<FileId, FileRecord>,
    read_at: Duration,
    /// The number of rows to read next: more for a client that takes quickly.
    ahead: usize,
}

impl<'a> ArchiveMember<'a> {
    fn laid_out(&self, read_ahead: &ReadAhead) -> Member<'a> {
        Member {
            path: self.path,
            size: self.file.size,
            fingerprint: self.file.fingerprint,
            crc32: read_ahead.known(self.file),
            is_read_ahead: ReadAhead::is_for(self.file),
            modified: self.file.updated_at,
        }
    }
}

impl Archive {
    /// Returns the layout.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The organization that its files belong to.
    pub const fn organization(&self) -> &OrganizationId {
        &self.organization
    }
}

impl Archives {
    fn lock(&self) -> MutexGuard<'_, ArchivesState> {
        // Nothing that holds the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an archive equal to this one that is being sent, or has this one be it.
    fn share(
        self: &Arc<Self>,
        organization: &OrganizationId,
        layout: Layout,
        entries: Box<[Entry]>,
    ) -> Result<Arc<Archive>, Refusal> {
        let key = (organization.clone(), *layout.digest());
        // The last of an archive must not be dropped behind the lock, which that takes.
        let known = self.lock().known.get(&key).and_then(Weak::upgrade);
        if let Some(known) = known
            && known.entries == entries
        {
            return Ok(known);
        }
        let bytes = bytes_of(&layout, &entries);
        let mut state = self.lock();
        state.expect_budget(organization, bytes)?;
        state.bytes += bytes;
        *state.of.entry(organization.clone()).or_default() += bytes;
        let archive = Arc::new(Archive {
            organization: organization.clone(),
            layout,
            entries,
            _permit: LayoutPermit {
                archives: Arc::clone(self),
                organization: organization.clone(),
                digest: key.1,
                bytes,
            },
        });
        state.known.insert(key, Arc::downgrade(&archive));
        Ok(archive)
    }
}

impl ArchivesState {
    /// Expects that an archive of so many bytes fits into both memory budgets.
    fn expect_budget(&self, organization: &OrganizationId, bytes: u64) -> Result<(), Refusal> {
        let of_organization = self.of.get(organization).copied().unwrap_or(0);
        if of_organization + bytes > ORGANIZATION_BYTES_MAX {
            return Err(Refusal::TooMany {
                what: ARCHIVES,
                wait: RETRY_AFTER,
            });
        }
        if self.bytes + bytes > ARCHIVES_BYTES_MAX {
            let why = "too many zip archives are being sent";
            return Err(Refusal::Unavailable(why.into()));
        }
        Ok(())
    }
}

impl Drop for LayoutPermit {
    fn drop(&mut self) {
        let mut state = self.archives.lock();
        state.bytes -= self.bytes;
        if let Some(of) = state.of.get_mut(&self.organization) {
            *of -= self.bytes;
            if *of == 0 {
                state.of.remove(&self.organization);
            }
        }
        // An equal one may be in its place already.
        let key = (self.organization.clone(), self.digest);
        let known = state.known.get(&key);
        if known.is_some_and(|known| known.strong_count() == 0) {
            state.known.remove(&key);
        }
    }
}

impl Gateway {
    /// Lays out an archive of files of one organization, in their order. It is in memory for as long as it, or a reader
    /// of it, is held.
    ///
    /// # Errors
    /// `Limit` for more than [`ENTRIES_MAX`] files or longer names than an archive has; `TooMany` and `Unavailable` where
    /// too many archives are being sent.
    pub fn archive(
        &self,
        organization: &OrganizationId,
        members: &[ArchiveMember<'_>],
    ) -> Result<Arc<Archive>, Refusal> {
        // 1.
        let known = &self.archives.read_ahead;
        let laid_out = members.iter().map(|member| member.laid_out(known));
        let laid_out: Vec<Member<'_>> = laid_out.collect();
        let layout = Layout::new(&laid_out).map_err(refusal)?;
        let entries = members.iter().map(|ArchiveMember { file, .. }| Entry {
            file: file.id.clone(),
            fingerprint: file.fingerprint,
            link_revision: file.link_revision,
        });
        let entries: Box<[Entry]> = entries.collect();
        self.evict_for_archive(organization, bytes_of(&layout, &entries));
        self.archives.share(organization, layout, entries)
    }

    /// Evicts archives that are cached for their next requests, as far as the memory budgets have no room for another one
    /// beside them.
    fn evict_for_archive(&self, organization: &OrganizationId, bytes: u64) {
        let is_within_budget = || {
            self.archives
                .lock()
                .expect_budget(organization, bytes)
                .is_ok()
        };
        if !is_within_budget() {
            self.cache
                .evict_archives(|cached| cached.organization() == organization);
        }
        if !is_within_budget() {
            self.cache.evict_archives(|_| true);
        }
    }

    /// Returns the exact length of an archive of these files.
    ///
    /// # Errors
    /// `Limit` for more than [`ENTRIES_MAX`] files or longer names than an archive has.
    pub(super) fn archive_length(&self, members: &[ArchiveMember<'_>]) -> Result<u64, Refusal> {
        let read_ahead = &self.archives.read_ahead;
        let laid_out = members.iter().map(|member| member.laid_out(read_ahead));
        let layout = Layout::new(&laid_out.collect::<Vec<_>>()).map_err(refusal)?;
        Ok(layout.length())
    }

    /// Reads the rows of so many entries from this one on.
    async fn entry_rows(
        &self,
        archive: &Archive,
        first: usize,
        count: usize,
    ) -> Result<HashMap<FileId, FileRecord>, Refusal> {
        let ids = archive.entries.iter().skip(first).take(count);
        let ids: Vec<FileId> = ids.map(|entry| entry.file.clone()).collect();
        let found = self.catalog.files(&archive.organization, &ids);
        let found = self.read_of(&archive.organization, found).await?;
        Ok(found
            .into_iter()
            .map(|file| (file.id.clone(), file))
            .collect())
    }

    /// Opens the bytes of a row, unless they are open already.
    async fn open_entry(&self, file: &FileRecord) -> Result<Content, Refusal> {
        let at = FileRef::new(&file.organization, &file.id);
        let cached = self.cache.open_file(at, self.rows_at());
        if let Some(open) = cached.filter(|open| self.was_found_whole(open)) {
            return Ok(open.content.clone());
        }
        Ok(Content::new(self.open_bytes(file).await?, &self.clock))
    }
}

impl EntryReader {
    /// Returns a reader of the entries of an archive. Nothing is opened yet.
    pub fn new(gateway: &Arc<Gateway>, archive: &Arc<Archive>) -> Self {
        Self {
            gateway: Arc::clone(gateway),
            archive: Arc::clone(archive),
            rows: HashMap::new(),
            read_at: Duration::ZERO,
            ahead: 1,
        }
    }

    /// Opens the bytes of an entry. Dropping the future changes nothing.
    ///
    /// # Errors
    /// `FileNotFound` if the file was deleted or is expired, `Internal` if it is damaged or its links were revoked since the
    /// archive was laid out, and the refusals of the stores.
    pub async fn open(&mut self, number: usize) -> Result<Content, Refusal> {
        let (gateway, archive) = (&self.gateway, &self.archive);
        let entry = archive.entries.get(number);
        let entry = entry.ok_or_else(|| Refusal::Internal(format!("no entry {number}")))?;
        // 2.
        let now = gateway.clock.elapsed();
        let is_old = now.saturating_sub(self.read_at) >= STALENESS_MAX;
        if is_old || !self.rows.contains_key(&entry.file) {
            let ahead = match is_old {
                true => self.ahead.div_ceil(ROWS_FACTOR),
                false => (self.ahead * ROWS_FACTOR).min(ROWS_AT_ONCE),
            };
            self.rows = gateway.entry_rows(archive, number, ahead).await?;
            (self.read_at, self.ahead) = (now, ahead);
        }
        let file = self.rows.get(&entry.file).ok_or(Refusal::FileNotFound)?;
        if file.state_at(gateway.clock.now()) != FileState::Ready {
            return Err(Refusal::FileNotFound);
        }
        expect_whole(file)?;
        if (file.fingerprint(), file.link_revision) != (entry.fingerprint, entry.link_revision) {
            let id = &entry.file;
            return Err(Refusal::Internal(format!(
                "file {id} of a zip archive was revoked"
            )));
        }
        // 3.
        gateway.open_entry(file).await
    }
}

/// Returns the bytes of memory that an archive takes, about.
fn bytes_of(layout: &Layout, entries: &[Entry]) -> u64 {
    layout.memory_bytes() + size_of_val(entries) as u64
}

fn refusal(error: ZipError) -> Refusal {
    let (what, limit) = match error {
        ZipError::TooMany => ("files in an archive", ENTRIES_MAX as u64),
        ZipError::NamesTooLong => ("bytes of names in an archive", HEADS_BYTES_MAX),
        ZipError::TooLarge => ("bytes in an archive", i64::MAX.cast_unsigned()),
    };
    Refusal::Limit { what, limit }
}

#[cfg(test)]
mod tests;
