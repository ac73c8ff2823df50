//! The bytes of a share's files: by their numbers, where the share has neither a password nor a count; all of them in one
//! archive; and what they are held against while they go out.
//!
//! An archive has the files that are there when it is asked for: those that were deleted, are damaged or whose links were
//! revoked are not in it. Whoever asks again for the rest of one that has changed since is told by its entity tag.

use std::sync::Arc;

use super::Gateway;
use super::archives::{Archive, ArchiveMember};
use super::download::Download;
use super::refusal::Refusal;
use super::shares::{FileStanding, OpenShare, SharedEntry};
use crate::model::address::FileRef;
use crate::model::name::FileName;
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

impl Gateway {
    /// Returns the exact length of the archive of all files of a share, where its page offers one; `entries` are its files as
    /// they are now. Where it counts its downloads, the archive is what there is to be downloaded of several files.
    pub fn offered_archive(&self, open: &OpenShare, entries: &[SharedEntry]) -> Option<u64> {
        let is_offered = gives_archive(open.share()) && open.files().len() > 1;
        is_offered.then(|| self.archive_length(&members(entries)))?
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
    /// Lays out an archive of the files of a share that are there now.
    ///
    /// # Errors
    /// `FileNotFound` where none is; the refusals of [`Gateway::archive`].
    pub(super) async fn archive_of_share(&self, open: &OpenShare) -> Result<Arc<Archive>, Refusal> {
        let entries = self.files_of_share(open).await?;
        let members = members(&entries);
        if members.is_empty() {
            return Err(Refusal::FileNotFound);
        }
        self.archive(&open.share().organization, &members)
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

/// The files that are there, each at its path.
fn members(entries: &[SharedEntry]) -> Vec<ArchiveMember<'_>> {
    let is_there = |entry: &&SharedEntry| entry.standing == FileStanding::Ready;
    let ready = entries.iter().filter(is_there).filter_map(|entry| {
        Some(ArchiveMember {
            path: &entry.shared.path,
            file: entry.file.as_deref()?,
        })
    });
    ready.collect()
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
