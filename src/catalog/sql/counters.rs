//! Downloads that were counted.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::calls::calls;
use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::session::{Session, query};
use super::{Database, rows};
use crate::catalog::counters::{COUNT_MAX, COUNTS_ADDED_MAX, Counters};
use crate::catalog::expect_at_most;
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

/// Keeps the files of counts from being forgotten until the transaction ends.
const HOLD: SqlText = text!(
    "SELECT 1 FROM ", [counts "$1"],
    " JOIN file ON file.organization = new.organization AND file.id = new.id",
    [lock "KEY SHARE OF file"]
);

/// Finds the files of counts that are not there.
const MISSING: SqlText = text!(
    "SELECT new.organization, new.id FROM ", [counts "$1"],
    " WHERE NOT EXISTS (SELECT 1 FROM file WHERE file.organization = new.organization AND file.id = new.id)"
);

// Both write in the order of the keys, so that two that write the same ones wait in no circle.

/// Adds to the counts of files. A file has one record at most.
const ADD_TO_FILES: SqlText = text!(
    "INSERT INTO file_count (organization, file, downloads, whole, bytes_sent, last_at) \
     SELECT organization, id, downloads, whole, bytes_sent, last_at FROM ", [counts "$1"],
    " WHERE true ORDER BY organization, id ON CONFLICT (organization, file) DO UPDATE SET ",
    [sum "file_count" "downloads"], ", ", [sum "file_count" "whole"], ", ",
    [sum "file_count" "bytes_sent"], ", ", [later "file_count" "last_at"]
);

/// Adds to the counts of links. A link has one record at most.
const ADD_TO_LINKS: SqlText = text!(
    "INSERT INTO link_count (organization, link, expires, downloads, whole, bytes_sent, last_at) \
     SELECT organization, id, expires, downloads, whole, bytes_sent, last_at FROM ", [counts "$1"],
    " WHERE true ORDER BY organization, id ON CONFLICT (organization, link) DO UPDATE SET ",
    [later "link_count" "expires"], ", ",
    [sum "link_count" "downloads"], ", ", [sum "link_count" "whole"], ", ",
    [sum "link_count" "bytes_sent"], ", ", [later "link_count" "last_at"]
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
    let files = of_files(counts)?;
    session
        .execute_if_postgres(query(HOLD).bind(files.as_str()))
        .await?;
    let missing = session.all(query(MISSING).bind(files.as_str()), |row| {
        Ok(FileAddress {
            organization: rows::organization_id(row, "organization")?,
            file: rows::file_id(row, "id")?,
        })
    });
    let missing: HashSet<FileAddress> = missing.await?.into_iter().collect();
    let counts = counts.iter().filter(|count| !missing.contains(&count.file));
    let files = match missing.is_empty() {
        true => files,
        false => of_files(counts.clone())?,
    };
    session.execute(query(ADD_TO_FILES).bind(files)).await?;
    let links = of_links(counts)?;
    session.execute(query(ADD_TO_LINKS).bind(links)).await?;
    Ok(())
}

/// Returns the counts of each file, as `[counts …]` reads them.
fn of_files<'a>(counts: impl IntoIterator<Item = &'a Count>) -> Result<String, Fault> {
    let mut files: BTreeMap<_, Counts> = BTreeMap::new();
    for count in counts {
        let FileAddress { organization, file } = &count.file;
        files
            .entry((organization, file))
            .or_default()
            .add(&count.counts);
    }
    let files = files.iter();
    json(files.map(|((organization, file), counts)| {
        CountRecord::new(organization, file.as_str(), counts)
    }))
}

/// Returns the counts of each link, as `[counts …]` reads them.
fn of_links<'a>(counts: impl IntoIterator<Item = &'a Count>) -> Result<String, Fault> {
    let mut links: BTreeMap<_, (UnixSeconds, Counts)> = BTreeMap::new();
    for count in counts {
        let first = (count.expires, Counts::default());
        let link = (&count.file.organization, count.link);
        let (expires, of_link) = links.entry(link).or_insert(first);
        *expires = count.expires.max(*expires);
        of_link.add(&count.counts);
    }
    let links = links.iter();
    json(
        links.map(|((organization, link), (expires, counts))| CountRecord {
            expires: Some(rows::stored_time(*expires)),
            ..CountRecord::new(organization, link.as_str(), counts)
        }),
    )
}

/// The counts to add to one row, as the statements read them.
#[derive(Serialize)]
struct CountRecord<'a> {
    organization: &'a str,
    /// Of the file or the link.
    id: &'a str,
    /// Of a link.
    expires: Option<i64>,
    downloads: u64,
    whole: u64,
    bytes_sent: u64,
    last_at: Option<i64>,
}

impl<'a> CountRecord<'a> {
    /// Numbers that do not fit into a column stay at the largest that does.
    fn new(organization: &'a OrganizationId, id: &'a str, counts: &Counts) -> Self {
        Self {
            organization: organization.as_str(),
            id,
            expires: None,
            downloads: counts.downloads.min(COUNT_MAX),
            whole: counts.whole.min(COUNT_MAX),
            bytes_sent: counts.bytes_sent.min(COUNT_MAX),
            last_at: counts.last_at.map(rows::stored_time),
        }
    }
}

/// Returns the array of objects that `[counts …]` reads: one value, so that the statements are prepared once for
/// any number of counts.
fn json<'a>(added: impl Iterator<Item = CountRecord<'a>>) -> Result<String, Fault> {
    let added: Vec<CountRecord<'_>> = added.collect();
    serde_json::to_string(&added).map_err(|error| sqlx::Error::Encode(error.into()).into())
}
