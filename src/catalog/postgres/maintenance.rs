//! Background tasks' calls.

use sqlx::PgConnection;

use super::calls::call;
use super::{Postgres, files, versions};
use crate::catalog::maintenance_sql::maintained_on;

maintained_on!(PgConnection);

impl Maintenance for Postgres {
    fn files_of_unknown_text<'a>(
        &'a self,
        after: Option<&'a (OrganizationId, FileId)>,
        limit: u32,
    ) -> Answer<'a, Vec<FileRecord>> {
        call!(
            self,
            "looking for files that nobody has read",
            look,
            |connection| files_of_unknown_text(connection, after, limit)
        )
    }

    fn set_text<'a>(&'a self, texts: &'a [Text]) -> Answer<'a, ()> {
        call!(self, "noting which files are text", change, |connection| {
            set_text(connection, texts)
        })
    }

    fn replace_identity<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        seen: &'a InPlace,
        found: &'a InPlace,
    ) -> Answer<'a, ()> {
        call!(
            self,
            "noting the identity of a file in place",
            change,
            |connection| replace_identity(connection, organization, id, seen, found)
        )
    }

    fn expired_files(&self, now: UnixSeconds, limit: u32) -> Answer<'_, Vec<FileRecord>> {
        call!(self, "looking for expired files", look, |connection| {
            expired_files(connection, now, limit)
        })
    }
}
