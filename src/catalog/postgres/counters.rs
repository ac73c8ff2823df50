//! Downloads that were counted.

use sqlx::{PgConnection, query};

use super::calls::call;
use super::fault::Fault;
use super::{Postgres, rows};
use crate::catalog::counters::{COUNT_MAX, COUNTS_ADDED_MAX, Counters};
use crate::catalog::{Answer, COUNTS_AT_ONCE, CatalogError};
use crate::model::count::{Count, Counted, Counts};
use crate::model::id::OrganizationId;
use crate::model::time::UnixSeconds;

/// What is added, as columns, and the files that it is of.
macro_rules! new {
    () => {
        "unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], \
         $8::bigint[]) AS new (organization, file, link, expires, downloads, whole, bytes_sent, last_at) \
         JOIN file ON file.organization = new.organization AND file.id = new.file"
    };
}

/// Keeps the files from being forgotten meanwhile.
const HOLD: &str = concat!("SELECT file.id FROM ", new!(), " FOR KEY SHARE OF file");

/// A sum that does not fit stays at the largest that does.
const ADD_TO_FILES: &str = concat!(
    "INSERT INTO file_count (organization, file, downloads, whole, bytes_sent, last_at) \
     SELECT new.organization, new.file, least(sum(downloads), 9223372036854775807)::bigint, \
     least(sum(whole), 9223372036854775807)::bigint, least(sum(bytes_sent), 9223372036854775807)::bigint, \
     max(last_at) FROM ",
    new!(),
    " GROUP BY new.organization, new.file ORDER BY new.organization, new.file \
     ON CONFLICT (organization, file) DO UPDATE SET \
     downloads = least(file_count.downloads::numeric + excluded.downloads, 9223372036854775807)::bigint, \
     whole = least(file_count.whole::numeric + excluded.whole, 9223372036854775807)::bigint, \
     bytes_sent = least(file_count.bytes_sent::numeric + excluded.bytes_sent, 9223372036854775807)::bigint, \
     last_at = greatest(file_count.last_at, excluded.last_at)"
);

/// The same of links.
const ADD_TO_LINKS: &str = concat!(
    "INSERT INTO link_count (organization, link, expires, downloads, whole, bytes_sent, last_at) \
     SELECT new.organization, new.link, max(expires), least(sum(downloads), 9223372036854775807)::bigint, \
     least(sum(whole), 9223372036854775807)::bigint, least(sum(bytes_sent), 9223372036854775807)::bigint, \
     max(last_at) FROM ",
    new!(),
    " GROUP BY new.organization, new.link ORDER BY new.organization, new.link \
     ON CONFLICT (organization, link) DO UPDATE SET \
     expires = greatest(link_count.expires, excluded.expires), \
     downloads = least(link_count.downloads::numeric + excluded.downloads, 9223372036854775807)::bigint, \
     whole = least(link_count.whole::numeric + excluded.whole, 9223372036854775807)::bigint, \
     bytes_sent = least(link_count.bytes_sent::numeric + excluded.bytes_sent, 9223372036854775807)::bigint, \
     last_at = greatest(link_count.last_at, excluded.last_at)"
);

const OF_FILE: &str = "SELECT downloads, whole, bytes_sent, last_at FROM file_count \
     WHERE organization = $1 AND file = $2";

const OF_LINK: &str = "SELECT downloads, whole, bytes_sent, last_at FROM link_count \
     WHERE organization = $1 AND link = $2";

impl Counters for Postgres {
    fn add_counts<'a>(&'a self, counts: &'a [Count]) -> Answer<'a, ()> {
        call!(self, "counting downloads", change, |connection| add(
            connection, counts
        ))
    }

    fn counts<'a>(
        &'a self,
        organization: &'a OrganizationId,
        of: Counted<'a>,
    ) -> Answer<'a, Counts> {
        call!(
            self,
            "looking for what was counted",
            look,
            |connection| async {
                let (sql, id) = match &of {
                    Counted::File(file) => (OF_FILE, file.as_str()),
                    Counted::Link(link) => (OF_LINK, link.as_str()),
                };
                let found = query(sql)
                    .bind(organization.as_str())
                    .bind(id)
                    .fetch_optional(connection)
                    .await?;
                found.as_ref().map_or(Ok(Counts::default()), rows::counts)
            }
        )
    }

    fn forget_counts(&self, now: UnixSeconds, limit: u32) -> Answer<'_, u64> {
        call!(
            self,
            "forgetting what was counted of dead links",
            change,
            |connection| async {
                let forgotten = query(
                    "DELETE FROM link_count USING \
                 (SELECT organization, link FROM link_count WHERE expires <= $1 LIMIT $2 \
                 FOR UPDATE SKIP LOCKED) AS old \
                 WHERE link_count.organization = old.organization AND link_count.link = old.link",
                )
                .bind(rows::stored_time(now))
                .bind(i64::from(limit))
                .execute(connection)
                .await?;
                Ok(forgotten.rows_affected())
            }
        )
    }
}

/// One statement for all files and one for all links: a count may be of the same file as another one.
async fn add(connection: &mut PgConnection, counts: &[Count]) -> Result<(), Fault> {
    if counts.len() > COUNTS_ADDED_MAX {
        let (what, limit) = (COUNTS_AT_ONCE, COUNTS_ADDED_MAX as u64);
        return Err(CatalogError::Limit { what, limit }.into());
    }
    fn each<'a, T>(counts: &'a [Count], column: impl Fn(&'a Count) -> T) -> Vec<T> {
        counts.iter().map(column).collect()
    }
    let number = |number: u64| number.min(COUNT_MAX).cast_signed();
    for sql in [HOLD, ADD_TO_FILES, ADD_TO_LINKS] {
        query(sql)
            .bind(each(counts, |count| count.file.organization.as_str()))
            .bind(each(counts, |count| count.file.file.as_str()))
            .bind(each(counts, |count| count.link.as_str()))
            .bind(each(counts, |count| rows::stored_time(count.expires)))
            .bind(each(counts, |count| number(count.counts.downloads)))
            .bind(each(counts, |count| number(count.counts.whole)))
            .bind(each(counts, |count| number(count.counts.bytes_sent)))
            .bind(each(counts, |count| {
                count.counts.last_at.map(rows::stored_time)
            }))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
