//! Epochs, link revisions and denied links. A write that changes them locks their organization, which counts them.
//!
//! A link revision and a denial are of the epoch in which they were made, and count for nothing in a later one. So
//! raising an epoch, the last resort of a revocation, writes one row, and `clear` removes the others by and by.

use std::collections::HashMap;

use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::session::{Query, Session, Value, query};
use super::{changes, rows};
use crate::catalog::changes::Change;
use crate::catalog::{CatalogError, FILE, missing};
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::{Extent, LinkId, Revocations};
use crate::model::time::UnixSeconds;

const LOCK_COUNTERS: SqlText = text!(
    "SELECT epoch, denied_links, denied_ids, revised_files FROM organization WHERE id = $1",
    [lock "NO KEY UPDATE"]
);

const LOCK_REVISION: SqlText = text!(
    "SELECT CASE WHEN link_epoch = $3 THEN link_revision ELSE 0 END AS link_revision, \
     CAST(CASE state WHEN 'swept' THEN 1 ELSE 0 END AS bigint) AS is_swept FROM file \
     WHERE organization = $1 AND id = $2",
    [lock "UPDATE"]
);

/// Finds the next organization that has something of an earlier epoch.
const UNCLEARED: &str = "SELECT id, epoch FROM organization WHERE cleared_epoch < epoch AND id > $1 ORDER BY id LIMIT 1";

const CLEAR_LINKS: &str = "DELETE FROM denied_link WHERE organization = $1 AND link IN (\
     SELECT link FROM denied_link WHERE organization = $1 AND epoch < $2 LIMIT $3)";

const CLEAR_REVISIONS: &str = "UPDATE file SET link_revision = 0 WHERE organization = $1 AND id IN (\
     SELECT id FROM file WHERE organization = $1 AND link_epoch < $2 AND link_revision > 0 LIMIT $3)";

/// Files that came with a link revision have it in the epoch that is in force.
const SET_LINK_EPOCH: SqlText = text!(
    "UPDATE file SET link_epoch = (SELECT epoch FROM organization WHERE organization.id = file.organization) \
     WHERE organization = $1 AND link_revision > 0 AND id ", [in "$2"]
);

/// The statement that changes one counter of an organization, which never falls below nothing.
#[derive(Clone, Copy)]
pub(super) struct Counter(&'static str);

macro_rules! counter {
    ($column:literal) => {
        Counter(concat!(
            "UPDATE organization SET ",
            $column,
            " = CASE WHEN ",
            $column,
            " + $1 > 0 THEN ",
            $column,
            " + $1 ELSE 0 END WHERE id = $2"
        ))
    };
}

pub(super) const DENIED_LINK_COUNT: Counter = counter!("denied_links");
pub(super) const DENIED_ID_COUNT: Counter = counter!("denied_ids");
pub(super) const REVISED_COUNT: Counter = counter!("revised_files");

/// The epoch of an organization and the counters of what was revoked in it, locked.
pub(super) struct Counters {
    pub(super) epoch: u64,
    pub(super) links: u64,
    pub(super) ids: u64,
    files: u64,
}

pub(super) async fn lock(
    session: &mut Session<'_>,
    organization: &OrganizationId,
) -> Result<Counters, Fault> {
    let lock = query(LOCK_COUNTERS).bind(organization);
    let found = session.optional(lock, |row| {
        Ok(Counters {
            epoch: rows::number(row, "epoch")?,
            links: rows::number(row, "denied_links")?,
            ids: rows::number(row, "denied_ids")?,
            files: rows::number(row, "revised_files")?,
        })
    });
    Ok(found.await?.ok_or(missing("the organization"))?)
}

pub(super) async fn all(session: &mut Session<'_>, now: UnixSeconds) -> Result<Revocations, Fault> {
    let mut all = Revocations::default();
    let epochs = query("SELECT id, epoch FROM organization WHERE epoch > 0");
    let epochs = session.all(epochs, |row| {
        let id = rows::organization_id(row, "id")?;
        Ok((id, rows::number(row, "epoch")?))
    });
    let epochs: HashMap<OrganizationId, u64> = epochs.await?.into_iter().collect();
    for (organization, epoch) in &epochs {
        all.raise_epoch(organization, *epoch);
    }
    let revisions = query(
        "SELECT organization, link_epoch AS epoch, string_agg(id || ' ' || link_revision, ' ') AS pairs \
         FROM file WHERE link_revision > 0 GROUP BY organization, link_epoch",
    );
    let revisions = in_force(session, revisions, &epochs, |id, revision| {
        Some((FileId::parse(id).ok()?, revision.parse().ok()?))
    });
    for (organization, revisions) in revisions.await? {
        all.set_revisions(&organization, revisions);
    }
    let denied = query(
        "SELECT organization, epoch, string_agg(link || ' ' || expires, ' ') AS pairs \
         FROM denied_link WHERE expires > $1 GROUP BY organization, epoch",
    );
    let denied = in_force(session, denied.bind(now), &epochs, |link, expires| {
        let expires = expires.parse().ok().and_then(UnixSeconds::new)?;
        Some((LinkId::parse(link)?, expires))
    });
    for (organization, links) in denied.await? {
        all.deny(&organization, links);
    }
    Ok(all)
}

/// Reads the pairs of each organization and epoch, but for those of an earlier epoch.
async fn in_force<K, V>(
    session: &mut Session<'_>,
    query: Query<'_>,
    epochs: &HashMap<OrganizationId, u64>,
    parse: impl Fn(&str, &str) -> Option<(K, V)>,
) -> Result<Vec<(OrganizationId, Vec<(K, V)>)>, Fault> {
    let found = session.all(query, |row| {
        let organization = rows::organization_id(row, "organization")?;
        let epoch = epochs.get(&organization).copied().unwrap_or(0);
        if rows::number(row, "epoch")? != epoch {
            return Ok(None);
        }
        Ok(Some((organization, rows::pairs(row, &parse)?)))
    });
    Ok(found.await?.into_iter().flatten().collect())
}

pub(super) async fn raise_link_revision(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &FileId,
    revisions_max: u64,
) -> Result<Extent, Fault> {
    let counted = lock(session, organization).await.map_err(no_file)?;
    match lock_revision(session, organization, id, counted.epoch).await? {
        Some((revision, false)) => {
            raise(session, organization, id, revision, &counted, revisions_max).await
        }
        Some((_, true)) | None => Err(missing(FILE).into()),
    }
}

/// An organization that is not there has no file.
fn no_file(fault: Fault) -> Fault {
    match fault {
        Fault::Known(CatalogError::NotFound { .. }) => missing(FILE).into(),
        other => other,
    }
}

/// Returns a file's link revision in this epoch, and whether it is swept; locks it.
pub(super) async fn lock_revision(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &FileId,
    epoch: u64,
) -> Result<Option<(u64, bool)>, Fault> {
    let lock = query(LOCK_REVISION).bind(organization).bind(id);
    let found = session.optional(lock.bind(rows::stored(epoch)?), |row| {
        let is_swept = rows::number(row, "is_swept")? == 1;
        Ok((rows::number(row, "link_revision")?, is_swept))
    });
    found.await
}

/// Raises the link revision of a file that is locked, which had this one; where too many files have a raised one, the
/// epoch of its organization.
pub(super) async fn raise(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &FileId,
    revision: u64,
    counted: &Counters,
    revisions_max: u64,
) -> Result<Extent, Fault> {
    if revision == 0 && counted.files >= revisions_max {
        let epoch = raise_epoch(session, organization).await?;
        return Ok(Extent::Organization { epoch });
    }
    let link_revision = revision + 1;
    let raise = query(
        "UPDATE file SET link_revision = $1, link_epoch = $2 WHERE organization = $3 AND id = $4",
    );
    let raise = raise
        .bind(rows::stored(link_revision)?)
        .bind(rows::stored(counted.epoch)?)
        .bind(organization)
        .bind(id);
    session.execute(raise).await?;
    if revision == 0 {
        count(session, organization, REVISED_COUNT, 1).await?;
    }
    let change = Change::RevisionSet {
        organization: organization.clone(),
        file: id.clone(),
        revision: link_revision,
    };
    changes::append(session, &[change]).await?;
    Ok(Extent::File { link_revision })
}

/// Counts files of an organization that is locked that were added with a link revision.
pub(super) async fn count_imported(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    files: &[&FileId],
) -> Result<(), Fault> {
    let ids: Value<'_> = files.iter().map(|id| id.as_str()).collect();
    let set = query(SET_LINK_EPOCH).bind(organization).bind(ids);
    session.execute(set).await?;
    let more = rows::stored(files.len() as u64)?;
    count(session, organization, REVISED_COUNT, more).await
}

/// Counts so many more, or fewer, in an organization that is locked.
pub(super) async fn count(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    counter: Counter,
    more: i64,
) -> Result<(), Fault> {
    let count = query(counter.0).bind(more).bind(organization);
    session.execute(count).await.map(drop)
}

/// Raises the epoch. Writes one row and the entry of the feed, whatever was revoked before.
pub(super) async fn raise_epoch(
    session: &mut Session<'_>,
    organization: &OrganizationId,
) -> Result<u64, Fault> {
    let raise = query(
        "UPDATE organization SET epoch = epoch + 1, denied_links = 0, denied_ids = 0, revised_files = 0 \
         WHERE id = $1 RETURNING epoch",
    );
    let epoch = session.optional(raise.bind(organization), |row| rows::number(row, "epoch"));
    let epoch = epoch.await?.ok_or(missing("the organization"))?;
    let organization = organization.clone();
    let change = Change::EpochRaised {
        organization,
        epoch,
    };
    changes::append(session, &[change]).await?;
    Ok(epoch)
}

/// Returns the next organization that has something of an epoch before this one.
pub(super) async fn uncleared(
    session: &mut Session<'_>,
    after: Option<&OrganizationId>,
) -> Result<Option<(OrganizationId, u64)>, Fault> {
    // Every id comes after the empty text.
    let after = after.map_or("", OrganizationId::as_str);
    let found = session.optional(query(UNCLEARED).bind(after), |row| {
        let id = rows::organization_id(row, "id")?;
        Ok((id, rows::number(row, "epoch")?))
    });
    found.await
}

/// Clears away some of what an organization revoked before this epoch. Nobody counts it, and no process holds it.
pub(super) async fn clear(
    session: &mut Session<'_>,
    organization: OrganizationId,
    epoch: u64,
    limit: u32,
) -> Result<(), Fault> {
    // A link that is denied anew meanwhile is of another epoch then.
    lock(session, &organization).await?;
    let epoch = rows::stored(epoch)?;
    let mut cleared = 0;
    for clear in [CLEAR_LINKS, CLEAR_REVISIONS] {
        let clear = query(clear).bind(&organization).bind(epoch).bind(limit);
        cleared += session.execute(clear).await?;
    }
    if cleared == 0 {
        let done = query("UPDATE organization SET cleared_epoch = $1 WHERE id = $2");
        session
            .execute(done.bind(epoch).bind(&organization))
            .await?;
    }
    Ok(())
}
