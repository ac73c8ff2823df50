//! Checking rows.

use sqlx::query;

use super::calls::call;
use super::{Postgres, files, rows, versions};
use crate::catalog::checkup::Checkup;
use crate::catalog::{Answer, FILE, missing};
use crate::model::file::FileRecord;
use crate::model::id::{FileId, InstallationId, OrganizationId};
use crate::model::time::UnixSeconds;

impl Checkup for Postgres {
    fn files_with_bytes<'a>(
        &'a self,
        after: Option<&'a (OrganizationId, FileId)>,
        limit: u32,
    ) -> Answer<'a, Vec<FileRecord>> {
        call!(self, "going through the files", look, |connection| async {
            // Every id comes after the empty text.
            let (organization, id) = after.map_or(("", ""), |(organization, id)| {
                (organization.as_str(), id.as_str())
            });
            let found = query(files::WITH_BYTES)
                .bind(organization)
                .bind(id)
                .bind(i64::from(limit))
                .fetch_all(connection)
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
        call!(self, "marking a damaged file", change, |connection| async {
            let marked = query(
                "UPDATE file SET damaged_at = $1 \
                 WHERE organization = $2 AND id = $3 AND state <> 'swept'",
            )
            .bind(since.map(rows::stored_time))
            .bind(organization.as_str())
            .bind(id.as_str())
            .execute(&mut *connection)
            .await?;
            if marked.rows_affected() == 0 {
                return Err(missing(FILE).into());
            }
            versions::raise_rows(connection).await
        })
    }

    fn installation(&self) -> Answer<'_, InstallationId> {
        call!(
            self,
            "looking whose catalogue it is",
            look,
            |connection| async {
                let found = query("SELECT id FROM installation").fetch_one(connection);
                rows::value(&found.await?, "id", InstallationId::parse)
            }
        )
    }
}
