//! Many files at once, also those of shared folders.

use super::calls::calls;
use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::session::{Session, Value, query};
use super::{Database, rows};
use crate::catalog::batch::{Batch, SharedFiles};
use crate::model::file::FileRecord;
use crate::model::id::{FileId, FolderId, OrganizationId};

pub(in crate::catalog) const OF_IDS: SqlText = text!(
    [files], "WHERE organization = $1 AND id ", [in "$2"]
);
/// Reads those of [`OF_IDS`] that lie in a folder.
pub(in crate::catalog) const IN_FOLDER: SqlText = text!(
    [files], "WHERE organization = $1 AND id IN (SELECT file FROM folder_file \
     WHERE organization = $1 AND folder = $2 AND file ", [in "$3"], ")"
);
/// Finds the owner of the folder that an organization means: itself, else the first that shares one with it.
pub(in crate::catalog) const OWNER: &str = "SELECT owner FROM \
     (SELECT organization AS owner, 0 AS place FROM folder WHERE organization = $1 AND id = $2 \
     UNION ALL SELECT organization, 1 FROM folder_member WHERE member = $1 AND folder = $2) AS found \
     ORDER BY place, owner LIMIT 1";

impl<D: Database> Batch for D {
    calls! {
        fn files(organization: &'a OrganizationId, ids: &'a [FileId]) -> Vec<FileRecord>
            => Read, "looking for files", of_ids;
        fn shared_files(
            organization: &'a OrganizationId, folder: &'a FolderId, ids: &'a [FileId]
        ) -> Option<SharedFiles>
            => ReadTransaction, "looking into a shared folder", shared_files;
    }
}

async fn of_ids(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    ids: &[FileId],
) -> Result<Vec<FileRecord>, Fault> {
    let ids: Value<'_> = ids.iter().map(FileId::as_str).collect();
    let select = query(OF_IDS).bind(organization).bind(ids);
    session.all(select, rows::file).await
}

async fn shared_files(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    folder: &FolderId,
    ids: &[FileId],
) -> Result<Option<SharedFiles>, Fault> {
    let select = query(OWNER).bind(organization).bind(folder);
    let owner = session.optional(select, |row| rows::organization_id(row, "owner"));
    let Some(owner) = owner.await? else {
        return Ok(None);
    };
    let ids: Value<'_> = ids.iter().map(FileId::as_str).collect();
    let select = query(IN_FOLDER).bind(&owner).bind(folder).bind(ids);
    let files = session.all(select, rows::file).await?;
    Ok(Some(SharedFiles { owner, files }))
}
