//! Many files at once, also those of shared folders.

use super::calls::calls;
use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::session::{Session, SessionKind, Value, query};
use super::{Database, archive_rows, rows};
use crate::catalog::Answer;
use crate::catalog::batch::{Batch, SharedFiles};
use crate::model::archive_file::ArchiveFile;
use crate::model::file::FileRecord;
use crate::model::id::{FileId, FolderId, OrganizationId};

pub(in crate::catalog) const OF_IDS: SqlText = text!(
    [files], "WHERE organization = $1 AND id ", [in "$2"]
);
/// Reads what an archive has of those of [`OF_IDS`] that are there, as one text (`archive_rows.rs`).
pub(in crate::catalog) const ARCHIVE_FILES: SqlText = text!(
    "SELECT string_agg(concat_ws(' ', id, size, updated_at, CASE WHEN link_revision > 0 AND link_epoch <> \
     (SELECT epoch FROM organization WHERE organization.id = file.organization) THEN 0 ELSE link_revision END, \
     coalesce(CAST(expires_at AS text), '-'), coalesce(CAST(crc32 AS text), '-'), \
     ", [hex "sha256"], ", CASE WHEN path IS NOT NULL THEN concat_ws(' ', inode, modified_nanos, \
     coalesce(CAST(device AS text), '-'), coalesce(CAST(changed_nanos AS text), '-')) END), ',') AS files \
     FROM file WHERE organization = $1 AND state = 'ready' AND damaged_at IS NULL AND id ", [in "$2"]
);
/// The reading of [`ARCHIVE_FILES`], in an error.
pub(in crate::catalog) const ARCHIVING: &str = "looking for files of an archive";
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
    fn archive_files<'a>(
        &'a self,
        organization: &'a OrganizationId,
        ids: &'a [FileId],
    ) -> Answer<'a, Vec<ArchiveFile>> {
        Box::pin(async move {
            if let Some(found) = self.read_archive_files(organization, ids).await? {
                return Ok(found);
            }
            let read = self.run(SessionKind::Read, ARCHIVING, move |session| {
                Box::pin(archive_files(session, organization, ids))
            });
            read.await
        })
    }

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

async fn archive_files(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    ids: &[FileId],
) -> Result<Vec<ArchiveFile>, Fault> {
    let ids: Value<'_> = ids.iter().map(FileId::as_str).collect();
    let select = query(ARCHIVE_FILES).bind(organization).bind(ids);
    session.one(select, archive_rows::files).await
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
