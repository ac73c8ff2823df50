//! Many files at once. The ids come as one JSON array, so it is one statement however many they are.

use sqlx::{SqliteConnection, query};

use super::fault::Fault;
use super::{Sqlite, answer, files, rows};
use crate::catalog::Answer;
use crate::catalog::batch::{Batch, SharedFiles};
use crate::model::file::FileRecord;
use crate::model::id::{FileId, FolderId, OrganizationId};

/// Whose folder an organization means: its own, else the first that is shared with it.
pub(super) const OWNER: &str = "SELECT owner FROM \
     (SELECT organization AS owner, 0 AS place FROM folder WHERE organization = ?1 AND id = ?2 \
     UNION ALL SELECT organization, 1 FROM folder_member WHERE member = ?1 AND folder = ?2) \
     ORDER BY place, owner LIMIT 1";

impl Batch for Sqlite {
    fn files<'a>(
        &'a self,
        organization: &'a OrganizationId,
        ids: &'a [FileId],
    ) -> Answer<'a, Vec<FileRecord>> {
        answer("looking for files", async move {
            let mut look = self.look().await?;
            let found = query(files::OF_IDS)
                .bind(organization.as_str())
                .bind(rows::ids_text(ids))
                .fetch_all(&mut *look)
                .await?;
            found.iter().map(rows::file).collect()
        })
    }

    fn shared_files<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        ids: &'a [FileId],
    ) -> Answer<'a, Option<SharedFiles>> {
        answer("looking into a shared folder", async move {
            let mut moment = self.moment().await?;
            let Some(owner) = owner(&mut moment, organization, folder).await? else {
                return Ok(None);
            };
            let found = query(files::IN_FOLDER)
                .bind(owner.as_str())
                .bind(folder.as_str())
                .bind(rows::ids_text(ids))
                .fetch_all(&mut *moment)
                .await?;
            let files = found.iter().map(rows::file).collect::<Result<_, _>>()?;
            Ok(Some(SharedFiles { owner, files }))
        })
    }
}

async fn owner(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    folder: &FolderId,
) -> Result<Option<OrganizationId>, Fault> {
    let row = query(OWNER)
        .bind(organization.as_str())
        .bind(folder.as_str())
        .fetch_optional(connection)
        .await?;
    row.map(|row| rows::organization_id(&row, "owner"))
        .transpose()
}
