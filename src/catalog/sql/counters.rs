//! Downloads that were counted.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::calls::calls;
use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::session::{Session, Value, made, query};
use super::transfer::{self, Writing};
use super::{Database, rows, tables};
use crate::catalog::counters::{COUNTS_ADDED_MAX, Counters};
use crate::catalog::expect_at_most;
use crate::catalog::transfer::Row;
use crate::model::address::FileAddress;
use crate::model::count::{Count, Counted, Counts};
use crate::model::id::OrganizationId;
use crate::model::time::UnixSeconds;

const OF_FILE: &str = "SELECT downloads, whole, bytes_sent, last_at FROM file_count \
     WHERE organization = $1 AND file = $2";

const OF_LINK: &str = "SELECT downloads, whole, bytes_sent, last_at FROM link_count \
     WHERE organization = $1 AND link = $2";

const FORGET: SqlText = text!(
    "WITH old AS (SELECT organization, link FROM link_count WHERE expires <= $1 LIMIT $2",
    [lock "UPDATE SKIP LOCKED"],
    ") DELETE FROM link_count WHERE (organization, link) IN (SELECT organization, link FROM old)"
);

impl<D: Database> Counters for D {
    calls! {
        fn add_counts(counts: &'a [Count]) -> ()
            => Write, "counting downloads", add;
        fn counts(organization: &'a OrganizationId, of: Counted<'a>) -> Counts
            => Read, "looking for what was counted", counted;
        fn forget_counts(now: UnixSeconds, limit: u32) -> u64
            => Write, "forgetting what was counted of dead links", forget;
    }
}

async fn forget(session: &mut Session<'_>, now: UnixSeconds, limit: u32) -> Result<u64, Fault> {
    session.execute(query(FORGET).bind(now).bind(limit)).await
}

async fn counted(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    of: Counted<'_>,
) -> Result<Counts, Fault> {
    let (text, id) = match &of {
        Counted::File(file) => (OF_FILE, file.as_str()),
        Counted::Link(link) => (OF_LINK, link.as_str()),
    };
    let select = query(text).bind(organization).bind(id);
    Ok(session
        .optional(select, rows::counts)
        .await?
        .unwrap_or_default())
}

/// Adds with one statement for all files and one for all links: a count may be of the same file as another one.
async fn add(session: &mut Session<'_>, counts: &[Count]) -> Result<(), Fault> {
    expect_at_most(COUNTS_ADDED_MAX, "counts added at once", counts.len())?;
    if counts.is_empty() {
        return Ok(());
    }
    let known = hold_files(session, counts).await?;
    let mut files: BTreeMap<_, Counts> = BTreeMap::new();
    let mut links: BTreeMap<_, (UnixSeconds, Counts)> = BTreeMap::new();
    for count in counts.iter().filter(|count| known.contains(&count.file)) {
        let FileAddress { organization, file } = &count.file;
        let of_file = files.entry((organization, file)).or_default();
        of_file.add(&count.counts);
        let first = (count.expires, Counts::default());
        let (expires, of_link) = links.entry((organization, count.link)).or_insert(first);
        *expires = count.expires.max(*expires);
        of_link.add(&count.counts);
    }
    let files = files
        .into_iter()
        .map(|((organization, file), counts)| Row::FileCount {
            organization: organization.clone(),
            file: file.clone(),
            counts,
        });
    let links = links
        .into_iter()
        .map(|((organization, link), (expires, counts))| Row::LinkCount {
            organization: organization.clone(),
            link,
            expires,
            counts,
        });
    let (files, links): (Vec<Row>, Vec<Row>) = (files.collect(), links.collect());
    transfer::write(session, &files, Writing::Add).await?;
    transfer::write(session, &links, Writing::Add).await?;
    Ok(())
}

/// Finds those files of counts that are there, and keeps them from being forgotten until the transaction ends.
async fn hold_files(
    session: &mut Session<'_>,
    counts: &[Count],
) -> Result<HashSet<FileAddress>, Fault> {
    let files: BTreeSet<[&str; 2]> = counts
        .iter()
        .map(|count| [count.file.organization.as_str(), count.file.file.as_str()])
        .collect();
    let text = tables::known_files(files.len());
    let values = files.into_iter().flatten().map(Value::from).collect();
    let mut hold = made(text, values);
    hold.lock = " FOR KEY SHARE OF file";
    let known = session.all(hold, |row| {
        Ok(FileAddress {
            organization: rows::organization_id(row, "organization")?,
            file: rows::file_id(row, "id")?,
        })
    });
    Ok(known.await?.into_iter().collect())
}
