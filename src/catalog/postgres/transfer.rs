//! Moving rows.

use sqlx::PgConnection;

use super::calls::call;
use super::{Postgres, versions};
use crate::catalog::Answer;
use crate::catalog::moving::moves_on;
use crate::catalog::transfer::Transfer;

moves_on!(PgConnection);

impl Transfer for Postgres {
    fn rows<'a>(&'a self, kind: Kind, after: Option<&'a Row>, limit: u32) -> Answer<'a, Vec<Row>> {
        call!(self, "reading rows to move", look, |connection| read(
            connection, kind, after, limit
        ))
    }

    fn put_rows<'a>(&'a self, rows: &'a [Row]) -> Answer<'a, u64> {
        call!(self, "putting moved rows", change, |connection| async {
            cells::check_count(rows)?;
            versions::lock_revocations(connection).await?;
            let put = put(connection, rows).await?;
            versions::raise_revocations(connection).await?;
            versions::raise_rows(connection).await?;
            Ok(put)
        })
    }

    fn remove_rows<'a>(&'a self, rows: &'a [Row]) -> Answer<'a, u64> {
        call!(self, "removing moved rows", change, |connection| async {
            cells::check_count(rows)?;
            versions::lock_revocations(connection).await?;
            let removed = remove(connection, rows).await?;
            versions::raise_revocations(connection).await?;
            versions::raise_rows(connection).await?;
            Ok(removed)
        })
    }

    fn totals(&self) -> Answer<'_, Totals> {
        call!(self, "counting what is kept", look, |connection| totals(
            connection
        ))
    }

    fn copy_note(&self) -> Answer<'_, Option<CopyNote>> {
        call!(self, "looking for the note of a copy", look, |connection| {
            copy_note(connection)
        })
    }

    fn note_copy<'a>(&'a self, note: Option<&'a CopyNote>) -> Answer<'a, ()> {
        call!(self, "noting a copy", change, |connection| note_copy(
            connection, note
        ))
    }
}
