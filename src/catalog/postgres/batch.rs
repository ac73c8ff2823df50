//! Many files at once. The ids come as one array, so it is one statement however many they are.

use sqlx::query;

use super::calls::call;
use super::{Postgres, files, rows};
use crate::catalog::Answer;
use crate::catalog::batch::{Batch, SharedFiles};
use crate::model::file::FileRecord;
use crate::model::id::{FileId, FolderId, OrganizationId};

/// Whose folder an organization means: its own, else the first that is shared with it.
const OWNER: &str = "SELECT owner FROM \
     (SELECT organization AS owner, 0 AS place FROM folder WHERE organization = $1 AND id = $2 \
     UNION ALL SELECT organization, 1 FROM folder_member WHERE member = $1 AND folder = $2) AS found \
     ORDER BY place, owner LIMIT 1";

impl Batch for Postgres {
    fn files<'a>(
        &'a self,
        organization: &'a OrganizationId,
        ids: &'a [FileId],
    ) -> Answer<'a, Vec<FileRecord>> {
        call!(self, "looking for files", look, |connection| async {
            let ids: Vec<&str> = ids.iter().map(FileId::as_str).collect();
            let found = query(files::OF_IDS)
                .bind(organization.as_str())
                .bind(ids)
                .fetch_all(connection)
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
        call!(
            self,
            "looking into a shared folder",
            moment,
            |connection| async {
                let owner = query(OWNER)
                    .bind(organization.as_str())
                    .bind(folder.as_str())
                    .fetch_optional(&mut *connection)
                    .await?;
                let Some(owner) = owner else {
                    return Ok(None);
                };
                let owner = rows::organization_id(&owner, "owner")?;
                let ids: Vec<&str> = ids.iter().map(FileId::as_str).collect();
                let found = query(files::IN_FOLDER)
                    .bind(owner.as_str())
                    .bind(folder.as_str())
                    .bind(ids)
                    .fetch_all(connection)
                    .await?;
                let files = found.iter().map(rows::file).collect::<Result<_, _>>()?;
                Ok(Some(SharedFiles { owner, files }))
            }
        )
    }
}
