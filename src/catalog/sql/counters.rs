//! Downloads that were counted.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Serialize;

use super::calls::calls;
use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::session::{Session, Value, query};
use super::{Database, ORGANIZATIONS_LOCKED_MAX, rows};
use crate::catalog::counters::{COUNT_MAX, COUNTS_ADDED_MAX, Counters};
use crate::catalog::{Answer, expect_at_most};
use crate::model::count::{Counted, Counts, FileCount, LinkCount};
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::LinkId;
use crate::model::time::UnixSeconds;

const OF_FILE: &str = "SELECT downloads, whole, bytes_sent, last_at FROM file_count \
     WHERE organization = $1 AND file = $2";

const OF_LINK: &str = "SELECT downloads, whole, bytes_sent, last_at FROM link_count \
     WHERE organization = $1 AND link = $2";

const COUNTED_LINKS: &str = "SELECT links FROM link_counter WHERE organization = $1";

/// Finds the organizations of dead links that have counts, those first that died first.
pub(in crate::catalog) const OF_DEAD: &str = "SELECT organization FROM link_count WHERE expires <= $1 \
     ORDER BY expires LIMIT $2";

/// Forgets the counts of dead links of organizations whose counters are locked.
const FORGET: SqlText = text!(
    "WITH old AS (SELECT organization, link FROM link_count WHERE expires <= $1 AND organization ", [in "$3"],
    " ORDER BY expires LIMIT $2", [lock "UPDATE SKIP LOCKED"],
    ") DELETE FROM link_count WHERE (organization, link) IN (SELECT organization, link FROM old)"
);

/// Locks the counters of organizations, in the order of their ids, and makes those that are missing. Links come to have
/// counts, and lose them, only under this lock, which is taken before that of any link's row: so nobody counts
/// beyond the bound, and none wait in a circle. The organizations themselves are not locked.
const LOCK_COUNTERS: SqlText = text!(
    "INSERT INTO link_counter (organization, links) SELECT id, 0 FROM organization WHERE id ", [in "$1"],
    " ORDER BY id ON CONFLICT (organization) DO UPDATE SET links = link_counter.links \
     RETURNING organization, links"
);

const RECOUNT: &str = "SELECT \
     coalesce((SELECT links FROM link_counter WHERE organization = $1), 0) AS counted, \
     (SELECT count(*) FROM link_count WHERE organization = $1) AS found";

/// Finds organizations of which links are counted that have no counts yet.
const OF_NEW: SqlText = text!(
    "SELECT DISTINCT new.organization FROM ", [counts "$1"],
    " WHERE NOT EXISTS (SELECT 1 FROM link_count \
     WHERE link_count.organization = new.organization AND link_count.link = new.id)"
);

/// Locks the counts of links that have some, in the order of the keys.
const LOCK_LINKS: SqlText = text!(
    "SELECT link_count.organization, link_count.link FROM ", [counts "$1"],
    " JOIN link_count ON link_count.organization = new.organization AND link_count.link = new.id \
     ORDER BY link_count.organization, link_count.link",
    [lock "NO KEY UPDATE OF link_count"]
);

/// Keeps the files of counts from being forgotten until the transaction ends.
const HOLD: SqlText = text!(
    "SELECT 1 FROM ", [counts "$1"],
    " JOIN file ON file.organization = new.organization AND file.id = new.id",
    [lock "KEY SHARE OF file"]
);

// Both write in the order of the keys, so that two that write the same ones wait in no circle.

/// Adds to the counts of files that are there. A file has one record at most.
const ADD_TO_FILES: SqlText = text!(
    "INSERT INTO file_count (organization, file, downloads, whole, bytes_sent, last_at) \
     SELECT organization, id, downloads, whole, bytes_sent, last_at FROM ", [counts "$1"],
    " WHERE EXISTS (SELECT 1 FROM file WHERE file.organization = new.organization AND file.id = new.id) \
     ORDER BY organization, id ON CONFLICT (organization, file) DO UPDATE SET ",
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
    fn add_file_counts(&self, counts: Vec<FileCount>) -> Answer<'_, ()> {
        self.run_whole("counting downloads of files", counts, |session, counts| {
            Box::pin(add_to_files(session, counts))
        })
    }

    fn add_link_counts(&self, counts: Vec<LinkCount>, links_max: u64) -> Answer<'_, u64> {
        let given = (counts, links_max);
        self.run_whole(
            "counting downloads by links",
            given,
            |session, (counts, links_max)| Box::pin(add_to_links(session, counts, *links_max)),
        )
    }

    calls! {
        fn counts(organization: &'a OrganizationId, of: Counted<'a>) -> Counts
            => Read, "looking for what was counted", counted;
        fn counted_links(organization: &'a OrganizationId) -> u64
            => Read, "looking for how many links have counts", counted_links;
        fn forget_counts(now: UnixSeconds, limit: u32) -> u64
            => Write, "forgetting what was counted of dead links", forget;
    }
}

async fn forget(session: &mut Session<'_>, now: UnixSeconds, limit: u32) -> Result<u64, Fault> {
    let find = query(OF_DEAD).bind(now).bind(limit);
    let found: BTreeSet<OrganizationId> =
        session.all(find, organization).await?.into_iter().collect();
    if found.is_empty() {
        return Ok(0);
    }
    let found = found.into_iter().take(ORGANIZATIONS_LOCKED_MAX);
    let organizations: Vec<OrganizationId> = found.collect();
    lock_counters(session, &organizations).await?;
    let forget = query(FORGET).bind(now).bind(limit);
    session.execute(forget.bind(ids(&organizations))).await
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

async fn counted_links(
    session: &mut Session<'_>,
    organization: &OrganizationId,
) -> Result<u64, Fault> {
    let select = query(COUNTED_LINKS).bind(organization);
    let found = session.optional(select, |row| rows::number(row, "links"));
    Ok(found.await?.unwrap_or_default())
}

async fn add_to_files(session: &mut Session<'_>, counts: &[FileCount]) -> Result<(), Fault> {
    expect_at_most(COUNTS_ADDED_MAX, "counts added at once", counts.len())?;
    if counts.is_empty() {
        return Ok(());
    }
    let text = json_of_files(counts)?;
    session
        .execute_if_postgres(query(HOLD).bind(text.as_str()))
        .await?;
    session.execute(query(ADD_TO_FILES).bind(text)).await?;
    Ok(())
}

async fn add_to_links(
    session: &mut Session<'_>,
    counts: &[LinkCount],
    links_max: u64,
) -> Result<u64, Fault> {
    expect_at_most(COUNTS_ADDED_MAX, "counts added at once", counts.len())?;
    if counts.is_empty() {
        return Ok(0);
    }
    let mut links = of_links(counts);
    let (text, folded) = fold(session, &mut links, links_max).await?;
    session.execute(query(ADD_TO_LINKS).bind(text)).await?;
    Ok(folded)
}

/// Leaves out the links that have no counts and get none, since their organizations have as many as they may, or are not
/// there. A link whose counts are forgotten meanwhile is dead, and gets none again. Returns the others, as `[counts …]` reads
/// them, and how many have none for their organizations' bounds.
async fn fold(
    session: &mut Session<'_>,
    links: &mut Links<'_>,
    links_max: u64,
) -> Result<(String, u64), Fault> {
    let text = json_of_links(links)?;
    let find = query(OF_NEW).bind(text.as_str());
    let of_new = session.all(find, organization).await?;
    let mut counters = lock_counters(session, &of_new).await?;
    let mut wanted: HashMap<&OrganizationId, u64> = HashMap::new();
    for (organization, _) in links.keys() {
        *wanted.entry(organization).or_default() += 1;
    }
    let is_postgres = session.is_postgres();
    let fits = |(organization, more): (&&OrganizationId, &u64)| match counters.get(*organization) {
        // Under the locks of all their counters, nobody needs to know which of them have counts where there is room for all.
        Some(counted) => counted.saturating_add(*more) <= links_max,
        // None of its links is new. In SQLite nobody else writes, so none is forgotten meanwhile.
        None => !is_postgres,
    };
    if counters.len() == of_new.len() && wanted.iter().all(fits) {
        return Ok((text, 0));
    }
    let have_counts = session.all(query(LOCK_LINKS).bind(text), |row| {
        let link = rows::value(row, "link", LinkId::parse)?;
        Ok((rows::organization_id(row, "organization")?, link))
    });
    let have_counts: HashSet<(OrganizationId, LinkId)> = have_counts.await?.into_iter().collect();
    let mut folded = 0;
    links.retain(|(organization, link), _| {
        if have_counts.contains(&((*organization).clone(), *link)) {
            return true;
        }
        let Some(counted) = counters.get_mut(*organization) else {
            return false;
        };
        let has_room = *counted < links_max;
        match has_room {
            true => *counted += 1,
            false => folded += 1,
        }
        has_room
    });
    Ok((json_of_links(links)?, folded))
}

/// Locks the counters of these organizations, and returns how many links of each have counts.
pub(super) async fn lock_counters(
    session: &mut Session<'_>,
    organizations: &[OrganizationId],
) -> Result<HashMap<OrganizationId, u64>, Fault> {
    if organizations.is_empty() {
        return Ok(HashMap::new());
    }
    let lock = query(LOCK_COUNTERS).bind(ids(organizations));
    let counters = session.all(lock, |row| {
        Ok((organization(row)?, rows::number(row, "links")?))
    });
    Ok(counters.await?.into_iter().collect())
}

/// Returns by how much the counter of an organization's links that have counts is wrong; with `mend` it is right
/// afterwards.
pub(super) async fn wrong_links(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    mend: bool,
) -> Result<u64, Fault> {
    if mend {
        lock_counters(session, std::slice::from_ref(organization)).await?;
    }
    let look = query(RECOUNT).bind(organization);
    let (counted, found) = session
        .one(look, |row| {
            Ok((rows::number(row, "counted")?, rows::number(row, "found")?))
        })
        .await?;
    if mend && counted != found {
        let set = query("UPDATE link_counter SET links = $1 WHERE organization = $2");
        let set = set.bind(rows::stored(found)?).bind(organization);
        session.execute(set).await?;
    }
    Ok(counted.abs_diff(found))
}

fn organization(row: rows::Row<'_>) -> Result<OrganizationId, Fault> {
    rows::organization_id(row, "organization")
}

fn ids(organizations: &[OrganizationId]) -> Value<'_> {
    organizations.iter().map(|id| id.as_str()).collect()
}

/// Returns the counts of each file, as `[counts …]` reads them.
fn json_of_files(counts: &[FileCount]) -> Result<String, Fault> {
    let mut files: BTreeMap<(&OrganizationId, &FileId), Counts> = BTreeMap::new();
    for FileCount { file, counts } in counts {
        let of_file = files.entry((&file.organization, &file.file)).or_default();
        of_file.add(counts);
    }
    let files = files.iter();
    json(files.map(|((organization, file), counts)| {
        CountRecord::new(organization, file.as_str(), counts)
    }))
}

/// The counts of each link, and when it is dead.
type Links<'a> = BTreeMap<(&'a OrganizationId, LinkId), (UnixSeconds, Counts)>;

/// Returns the counts of each link.
fn of_links(counts: &[LinkCount]) -> Links<'_> {
    let mut links = Links::new();
    for count in counts {
        let first = (count.expires, Counts::default());
        let link = (&count.organization, count.link);
        let (expires, of_link) = links.entry(link).or_insert(first);
        *expires = count.expires.max(*expires);
        of_link.add(&count.counts);
    }
    links
}

/// Returns the counts of each link, as `[counts …]` reads them.
fn json_of_links(links: &Links<'_>) -> Result<String, Fault> {
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
