//! Checking rows.

use sqlx::query;

use super::{Sqlite, answer, files, rows, versions};
use crate::catalog::checkup::Checkup;
use crate::catalog::{Answer, FILE, missing};
use crate::model::file::FileRecord;
use crate::model::id::{FileId, InstallationId, OrganizationId};
use crate::model::time::UnixSeconds;

impl Checkup for Sqlite {
    fn files_with_bytes<'a>(
        &'a self,
        after: Option<&'a (OrganizationId, FileId)>,
        limit: u32,
    ) -> Answer<'a, Vec<FileRecord>> {
        answer("going through the files", async move {
            let mut look = self.look().await?;
            // Every id comes after the empty text.
            let (organization, id) = after.map_or(("", ""), |(organization, id)| {
                (organization.as_str(), id.as_str())
            });
            let found = query(files::WITH_BYTES)
                .bind(organization)
                .bind(id)
                .bind(limit)
                .fetch_all(&mut *look)
                .await?;
            found.iter().map(rows::file).collect()
        })
    }

    fn mark_damaged<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        since: Option<UnixSeconds>,
    ) -> Answer<'a, ()> {
        answer("marking a damaged file", async move {
            let mut change = self.change().await?;
            let marked = query(
                "UPDATE file SET damaged_at = ? \
                 WHERE organization = ? AND id = ? AND state <> 'swept'",
            )
            .bind(since.map(rows::stored_time))
            .bind(organization.as_str())
            .bind(id.as_str())
            .execute(&mut *change)
            .await?;
            if marked.rows_affected() == 0 {
                return Err(missing(FILE).into());
            }
            versions::raise_rows(&mut change).await?;
            Ok(change.commit().await?)
        })
    }

    fn installation(&self) -> Answer<'_, InstallationId> {
        answer("looking whose catalogue it is", async move {
            let mut look = self.look().await?;
            let found = query("SELECT id FROM installation").fetch_one(&mut *look);
            rows::value(&found.await?, "id", InstallationId::parse)
        })
    }
}
