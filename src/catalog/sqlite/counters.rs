//! Downloads that were counted.

use sqlx::{SqliteConnection, query};

use super::fault::Fault;
use super::{Sqlite, answer, rows};
use crate::catalog::counters::{COUNT_MAX, COUNTS_ADDED_MAX, Counters};
use crate::catalog::{Answer, COUNTS_AT_ONCE, CatalogError};
use crate::model::count::{Count, Counted, Counts};
use crate::model::id::OrganizationId;
use crate::model::time::UnixSeconds;

/// Adds to a file's counts, if there is such a file. A sum that does not fit is no integer, and larger
/// than the largest one.
const ADD_TO_FILE: &str = "INSERT INTO file_count \
     SELECT organization, id, ?3, ?4, ?5, ?6 FROM file WHERE organization = ?1 AND id = ?2 \
     ON CONFLICT (organization, file) DO UPDATE SET \
     downloads = min(downloads + excluded.downloads, 9223372036854775807), \
     whole = min(whole + excluded.whole, 9223372036854775807), \
     bytes_sent = min(bytes_sent + excluded.bytes_sent, 9223372036854775807), \
     last_at = max(coalesce(last_at, 0), excluded.last_at)";

/// The same of a link.
const ADD_TO_LINK: &str = "INSERT INTO link_count \
     SELECT organization, ?7, ?8, ?3, ?4, ?5, ?6 FROM file WHERE organization = ?1 AND id = ?2 \
     ON CONFLICT (organization, link) DO UPDATE SET \
     downloads = min(downloads + excluded.downloads, 9223372036854775807), \
     whole = min(whole + excluded.whole, 9223372036854775807), \
     bytes_sent = min(bytes_sent + excluded.bytes_sent, 9223372036854775807), \
     last_at = max(coalesce(last_at, 0), excluded.last_at), \
     expires = max(expires, excluded.expires)";

const OF_FILE: &str = "SELECT downloads, whole, bytes_sent, last_at FROM file_count \
     WHERE organization = ? AND file = ?";

const OF_LINK: &str = "SELECT downloads, whole, bytes_sent, last_at FROM link_count \
     WHERE organization = ? AND link = ?";

impl Counters for Sqlite {
    fn add_counts<'a>(&'a self, counts: &'a [Count]) -> Answer<'a, ()> {
        answer("counting downloads", async move {
            if counts.len() > COUNTS_ADDED_MAX {
                let (what, limit) = (COUNTS_AT_ONCE, COUNTS_ADDED_MAX as u64);
                return Err(CatalogError::Limit { what, limit }.into());
            }
            let mut change = self.change().await?;
            for count in counts {
                add(&mut change, count).await?;
            }
            Ok(change.commit().await?)
        })
    }

    fn counts<'a>(
        &'a self,
        organization: &'a OrganizationId,
        of: Counted<'a>,
    ) -> Answer<'a, Counts> {
        answer("looking for what was counted", async move {
            let mut look = self.look().await?;
            let (sql, id) = match &of {
                Counted::File(file) => (OF_FILE, file.as_str()),
                Counted::Link(link) => (OF_LINK, link.as_str()),
            };
            let found = query(sql)
                .bind(organization.as_str())
                .bind(id)
                .fetch_optional(&mut *look)
                .await?;
            found.as_ref().map_or(Ok(Counts::default()), rows::counts)
        })
    }

    fn forget_counts(&self, now: UnixSeconds, limit: u32) -> Answer<'_, u64> {
        answer("forgetting what was counted of dead links", async move {
            let mut change = self.change().await?;
            let forgotten = query(
                "DELETE FROM link_count WHERE (organization, link) IN \
                 (SELECT organization, link FROM link_count WHERE expires <= ? LIMIT ?)",
            )
            .bind(rows::stored_time(now))
            .bind(limit)
            .execute(&mut *change)
            .await?
            .rows_affected();
            change.commit().await?;
            Ok(forgotten)
        })
    }
}

async fn add(connection: &mut SqliteConnection, count: &Count) -> Result<(), Fault> {
    let Counts {
        downloads,
        whole,
        bytes_sent,
        last_at,
    } = count.counts;
    let number = |number: u64| number.min(COUNT_MAX).cast_signed();
    for sql in [ADD_TO_FILE, ADD_TO_LINK] {
        query(sql)
            .bind(count.file.organization.as_str())
            .bind(count.file.file.as_str())
            .bind(number(downloads))
            .bind(number(whole))
            .bind(number(bytes_sent))
            .bind(last_at.map(rows::stored_time))
            .bind(count.link.as_str())
            .bind(rows::stored_time(count.expires))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
