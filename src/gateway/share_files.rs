//! The bytes of a share's files: by their numbers, where the share has neither a password nor a count, and what the bytes of
//! any of them are held against while they go out.

use super::Gateway;
use super::download::Download;
use super::refusal::Refusal;
use super::shares::OpenShare;
use crate::model::address::FileRef;
use crate::model::share::SharedFile;
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

/// Returns the end of a share: the largest time where it has none.
pub(super) fn ends(open: &OpenShare) -> UnixSeconds {
    let never = UnixSeconds::EPOCH.plus(u64::MAX);
    open.share().expires.unwrap_or(never)
}
