//! Background tasks' calls.

use sqlx::SqliteConnection;

use super::{Sqlite, answer, files, versions};
use crate::catalog::maintenance_sql::maintained_on;

maintained_on!(SqliteConnection);

impl Maintenance for Sqlite {
    fn files_of_unknown_text<'a>(
        &'a self,
        after: Option<&'a (OrganizationId, FileId)>,
        limit: u32,
    ) -> Answer<'a, Vec<FileRecord>> {
        answer("looking for files that nobody has read", async move {
            let mut look = self.look().await?;
            files_of_unknown_text(&mut look, after, limit).await
        })
    }

    fn set_text<'a>(&'a self, texts: &'a [Text]) -> Answer<'a, ()> {
        answer("noting which files are text", async move {
            let mut change = self.change().await?;
            set_text(&mut change, texts).await?;
            Ok(change.commit().await?)
        })
    }

    fn replace_identity<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        seen: &'a InPlace,
        found: &'a InPlace,
    ) -> Answer<'a, ()> {
        answer("noting the identity of a file in place", async move {
            let mut change = self.change().await?;
            replace_identity(&mut change, organization, id, seen, found).await?;
            Ok(change.commit().await?)
        })
    }

    fn expired_files(&self, now: UnixSeconds, limit: u32) -> Answer<'_, Vec<FileRecord>> {
        answer("looking for expired files", async move {
            let mut look = self.look().await?;
            expired_files(&mut look, now, limit).await
        })
    }
}
