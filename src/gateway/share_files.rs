//! The bytes of a share's files: by their numbers, where the share has neither a password nor a count; all of them in one
//! archive; and what they are held against while they go out.
//!
//! An archive has the files that are there when it is asked for: those that were deleted, are damaged or whose links were
//! revoked are not in it. A client that asks for the rest of one that has changed since learns so from its entity tag. It is
//! cached for the next request, until something that it was made from is changed (`archives/cached.rs`).

use std::sync::Arc;

use super::Gateway;
use super::archives::{Archive, ArchiveMember, CachedArchive};
use super::cache::ShareAddress;
use super::download::Download;
use super::refusal::Refusal;
use super::revocations::RowsAt;
use super::shares::{FileStanding, OpenShare, SharedEntry};
use crate::model::address::FileRef;
use crate::model::archive_file::ArchiveFile;
use crate::model::name::FileName;
use crate::model::revocation::{OrganizationSnapshot, Revocations};
use crate::model::share::{Share, SharedFile};
use crate::model::time::UnixSeconds;
use crate::sign::claims::Claims;
use crate::sign::verify::InForce;

/// A file of a share that was opened by its number.
#[derive(Debug)]
pub struct OpenedShareFile {
    /// The file and its bytes.
    pub download: Download,
    /// The signing key and the counters that the share was opened with.
    pub in_force: InForce,
}

/// The basis of a share's archive, besides rows.
struct ArchiveBasis {
    at: Option<RowsAt>,
    known: Arc<Revocations>,
    revoked: OrganizationSnapshot,
}

/// The offer of a share's page: all its files together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferedArchive {
    /// Nothing: it has but one file, or none that is there, or is to give no archive.
    None,
    /// An archive of exactly so many bytes.
    Bytes(u64),
    /// Nothing, as the names of its files are too long for one archive.
    NamesTooLong,
}

impl Gateway {
    /// Returns what the page of a share offers of all its files together; `entries` are they as they are now. Where it counts
    /// its downloads, the archive is what there is to be downloaded of several files.
    ///
    /// # Errors
    /// The refusal of a catalogue that does not say what was revoked.
    pub async fn offered_archive(
        &self,
        open: &OpenShare,
        entries: &[SharedEntry],
    ) -> Result<OfferedArchive, Refusal> {
        let is_there = |entry: &SharedEntry| entry.standing == FileStanding::Ready;
        let is_any = entries.iter().any(is_there);
        if !gives_archive(open.share()) || open.files().len() <= 1 || !is_any {
            return Ok(OfferedArchive::None);
        }
        let basis = self.archive_basis(open).await?;
        let length = match self.cached_archive(open, &basis) {
            Some(archive) => Ok(archive.layout().length()),
            None => self.archive_length(&members(&files_on_page(entries))),
        };
        Ok(length.map_or(OfferedArchive::NamesTooLong, OfferedArchive::Bytes))
    }

    /// Opens the bytes of a share's file, of a share that neither has a password nor counts its downloads: of any other
    /// nobody is given bytes but by a download that was started.
    ///
    /// # Errors
    /// The refusal of a bad link for a share that has either; `FileNotFound` for a number that no file has, and for one
    /// that is not there any more.
    pub async fn open_share_file(
        &self,
        open: &OpenShare,
        position: u64,
    ) -> Result<OpenedShareFile, Refusal> {
        let share = open.share();
        if share.password.is_some() || share.allowed.is_some() {
            return Err(Refusal::no_link());
        }
        let shared = open.file(position).ok_or(Refusal::FileNotFound)?;
        let file = self.file_of_share(open, shared).await;
        file.map_err(as_missing)?;
        let file = FileRef::new(&share.organization, &shared.file);
        Ok(OpenedShareFile {
            download: self.open_file(file, ends(open), Claims::none).await?,
            in_force: in_force(open, shared),
        })
    }
}

impl Gateway {
    /// Lays out an archive of the files of a share that are there now, or finds it in memory.
    ///
    /// # Errors
    /// `FileNotFound` where none is; the refusals of [`Gateway::archive`].
    pub(super) async fn archive_of_share(&self, open: &OpenShare) -> Result<Arc<Archive>, Refusal> {
        let basis = self.archive_basis(open).await?;
        if let Some(archive) = self.cached_archive(open, &basis) {
            return Ok(archive);
        }
        let whole = open.whole();
        let organization = &whole.share.organization;
        let files = self.archive_files(organization, &whole.files, &basis.known);
        let files = files.await?;
        if files.is_empty() {
            return Err(Refusal::FileNotFound);
        }
        let cached = Arc::new(CachedArchive {
            archive: self.archive(organization, &members(&files))?,
            whole: Arc::clone(whole),
            revoked: basis.revoked,
            until: files.iter().filter_map(|(_, file)| file.expires_at).min(),
        });
        if cached.is_cacheable() {
            self.cache.cache_archive(&cached, basis.at);
        }
        Ok(Arc::clone(&cached.archive))
    }

    /// Notes what is known now, before anything is read that the archive of a share is made from.
    async fn archive_basis(&self, open: &OpenShare) -> Result<ArchiveBasis, Refusal> {
        let at = self.rows_at();
        let known = Arc::clone(&self.current().await?.revocations);
        let revoked = known.snapshot_of(&open.share().organization);
        Ok(ArchiveBasis { at, known, revoked })
    }

    /// Returns the archive of a share that is cached, if it is the one that would be made now.
    fn cached_archive(&self, open: &OpenShare, basis: &ArchiveBasis) -> Option<Arc<Archive>> {
        let address = ShareAddress::of(open.whole());
        let cached = self.cache.archives.get(&address, basis.at)?;
        let is_same = cached.is_of(open.whole(), &basis.revoked, self.clock.now());
        is_same.then(|| Arc::clone(&cached.archive))
    }
}

/// Returns whether several files of a share may be had in one archive. What counts its downloads has no other way.
pub(super) const fn gives_archive(share: &Share) -> bool {
    share.allowed.is_some() || share.options.zip
}

/// Returns the name that the archive of a share is saved under.
#[expect(clippy::expect_used, reason = "a good name")]
pub(super) fn archive_name(share: &Share) -> FileName {
    // A slash in it is no path.
    let title = share.title.replace(['/', '\\'], "_");
    let named = match title.trim() {
        "" => None,
        title => FileName::from_client(&format!("{title}.zip")).ok(),
    };
    named.unwrap_or_else(|| FileName::from_client("files.zip").expect("a good name"))
}

/// The files of a page that are there, each with its path.
fn files_on_page(entries: &[SharedEntry]) -> Vec<(&str, ArchiveFile)> {
    let is_there = |entry: &&SharedEntry| entry.standing == FileStanding::Ready;
    let ready = entries.iter().filter(is_there).filter_map(|entry| {
        let file = entry.file.as_deref()?;
        Some((entry.shared.path.as_str(), ArchiveFile::from(file)))
    });
    ready.collect()
}

fn members<'a>(files: &'a [(&'a str, ArchiveFile)]) -> Vec<ArchiveMember<'a>> {
    let member = |(path, file): &'a (&'a str, ArchiveFile)| ArchiveMember { path, file };
    files.iter().map(member).collect()
}

/// A file whose links were revoked is not in the share any more: the share itself is as good as before.
pub(super) fn as_missing(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Link(_) => Refusal::FileNotFound,
        other => other,
    }
}

/// Returns what a download of a share's file is held against while it goes on.
pub(super) fn in_force(open: &OpenShare, shared: &SharedFile) -> InForce {
    InForce {
        kid: open.verified().kid().clone(),
        epoch: open.verified().epoch(),
        link_revision: shared.link_revision,
    }
}

/// The same of an archive, whose files are looked at before each goes out.
pub(super) fn in_force_of_archive(open: &OpenShare) -> InForce {
    InForce {
        kid: open.verified().kid().clone(),
        epoch: open.verified().epoch(),
        link_revision: 0,
    }
}

/// Returns the end of a share: the largest time where it has none.
pub(super) fn ends(open: &OpenShare) -> UnixSeconds {
    let never = UnixSeconds::EPOCH.plus(u64::MAX);
    open.share().expires.unwrap_or(never)
}
