//! Moving rows.

use sqlx::SqliteConnection;

use super::{Sqlite, answer, versions};
use crate::catalog::Answer;
use crate::catalog::moving::moves_on;
use crate::catalog::transfer::Transfer;

moves_on!(SqliteConnection);

impl Transfer for Sqlite {
    fn rows<'a>(&'a self, kind: Kind, after: Option<&'a Row>, limit: u32) -> Answer<'a, Vec<Row>> {
        answer("reading rows to move", async move {
            let mut look = self.look().await?;
            read(&mut look, kind, after, limit).await
        })
    }

    fn put_rows<'a>(&'a self, rows: &'a [Row]) -> Answer<'a, u64> {
        answer("putting moved rows", async move {
            cells::check_count(rows)?;
            let mut change = self.change().await?;
            let put = put(&mut change, rows).await?;
            versions::raise_revocations(&mut change).await?;
            versions::raise_rows(&mut change).await?;
            change.commit().await?;
            Ok(put)
        })
    }

    fn remove_rows<'a>(&'a self, rows: &'a [Row]) -> Answer<'a, u64> {
        answer("removing moved rows", async move {
            cells::check_count(rows)?;
            let mut change = self.change().await?;
            let removed = remove(&mut change, rows).await?;
            versions::raise_revocations(&mut change).await?;
            versions::raise_rows(&mut change).await?;
            change.commit().await?;
            Ok(removed)
        })
    }

    fn totals(&self) -> Answer<'_, Totals> {
        answer("counting what is kept", async move {
            let mut look = self.look().await?;
            totals(&mut look).await
        })
    }

    fn copy_note(&self) -> Answer<'_, Option<CopyNote>> {
        answer("looking for the note of a copy", async move {
            let mut look = self.look().await?;
            copy_note(&mut look).await
        })
    }

    fn note_copy<'a>(&'a self, note: Option<&'a CopyNote>) -> Answer<'a, ()> {
        answer("noting a copy", async move {
            let mut change = self.change().await?;
            note_copy(&mut change, note).await?;
            Ok(change.commit().await?)
        })
    }
}
