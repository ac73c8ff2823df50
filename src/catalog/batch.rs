//! The sub-trait for many files at once, for calls that name a batch of them.

use super::Answer;
use crate::model::archive_file::ArchiveFile;
use crate::model::file::FileRecord;
use crate::model::id::{FileId, FolderId, OrganizationId};

/// Looks for many files at once, under the contract of [`Catalog`](super::Catalog).
pub trait Batch: Send + Sync {
    /// Those of these files that the organization has, in whatever state: each once, in any order. One
    /// read, however many they are.
    fn files<'a>(
        &'a self,
        organization: &'a OrganizationId,
        ids: &'a [FileId],
    ) -> Answer<'a, Vec<FileRecord>>;

    /// Those of these files that are ready and not known to be damaged, as an archive has them: each once, in any order. An
    /// expired one may be among them. One read, however many they are.
    fn archive_files<'a>(
        &'a self,
        organization: &'a OrganizationId,
        ids: &'a [FileId],
    ) -> Answer<'a, Vec<ArchiveFile>>;

    /// Looks into a folder for an organization: `None` unless the organization owns it or is one of its
    /// members. Folder ids are unique only inside their organization; where there are several, the
    /// organization's own counts, else the one of the first owner by id.
    fn shared_files<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        ids: &'a [FileId],
    ) -> Answer<'a, Option<SharedFiles>>;
}

/// The files that an organization found in a folder that it owns or that is shared with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedFiles {
    /// The organization that the folder and its files belong to.
    pub owner: OrganizationId,
    /// Those of the wanted files that lie in the folder, in whatever state: each once, in any order.
    pub files: Vec<FileRecord>,
}
