//! Epochs, link revisions and denied links. A write that changes them waits for the others that do, of
//! whatever organization: they are counted together.

use std::collections::HashMap;
use std::hash::Hash;

use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::session::{Query, Session, query};
use super::{rows, tenancy, versions};
use crate::catalog::{CatalogError, DENIED_LINKS, FILE, missing};
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::{LinkId, Revocations};
use crate::model::time::UnixSeconds;

/// Deletes the commit markers that no gateway has used for a day: it is gone, or writes them anew.
const FORGET_MARKERS: &str = "DELETE FROM change_mark WHERE slot IN (SELECT slot FROM change_mark \
     WHERE at < extract(epoch FROM now())::bigint - 86400 FOR UPDATE SKIP LOCKED)";

const LOCK_REVISION: SqlText = text!(
    "SELECT link_revision FROM file WHERE organization = $1 AND id = $2 AND state <> 'swept'",
    [lock "UPDATE"]
);

pub(super) async fn all(session: &mut Session<'_>, now: UnixSeconds) -> Result<Revocations, Fault> {
    let epochs = query("SELECT id, epoch FROM organization WHERE epoch > 0");
    let epochs = session.all(epochs, |row| {
        Ok((
            rows::organization_id(row, "id")?,
            rows::number(row, "epoch")?,
        ))
    });
    let epochs = epochs.await?.into_iter().collect();
    let revisions = query(
        "SELECT organization, string_agg(id || ' ' || link_revision, ' ') AS pairs \
         FROM file WHERE link_revision > 0 GROUP BY organization",
    );
    let revisions = pairs(session, revisions, |id, revision| {
        Some((FileId::parse(id).ok()?, revision.parse().ok()?))
    });
    let revisions = revisions.await?;
    let denied = query(
        "SELECT organization, string_agg(link || ' ' || expires, ' ') AS pairs \
         FROM denied_link WHERE expires > $1 GROUP BY organization",
    );
    let denied = pairs(session, denied.bind(now), |link, expires| {
        let expires = expires.parse().ok().and_then(UnixSeconds::new)?;
        Some((LinkId::parse(link)?, expires))
    });
    Ok(Revocations {
        epochs,
        revisions,
        denied: denied.await?,
    })
}

/// Reads the pairs of each organization.
async fn pairs<K: Eq + Hash, V>(
    session: &mut Session<'_>,
    query: Query<'_>,
    parse: impl Fn(&str, &str) -> Option<(K, V)>,
) -> Result<HashMap<OrganizationId, HashMap<K, V>>, Fault> {
    let found = session.all(query, |row| {
        Ok((
            rows::organization_id(row, "organization")?,
            rows::pairs(row, &parse)?,
        ))
    });
    Ok(found.await?.into_iter().collect())
}

/// Counts the rows of a query that has the column `count`.
async fn count(session: &mut Session<'_>, query: Query<'_>) -> Result<u64, Fault> {
    session.one(query, |row| rows::number(row, "count")).await
}

pub(super) async fn raise_link_revision(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &FileId,
    revisions_max: u64,
) -> Result<u64, Fault> {
    versions::lock_revocations(session).await?;
    let lock = query(LOCK_REVISION).bind(organization).bind(id);
    let before = session.optional(lock, |row| rows::number(row, "link_revision"));
    let before = before.await?.ok_or(missing(FILE))?;
    // At most as many as the limit, and counted in an index of just them.
    let raised = query("SELECT count(*) AS count FROM file WHERE link_revision > 0");
    if count(session, raised).await? + u64::from(before == 0) > revisions_max {
        let (what, limit) = ("files with revoked links", revisions_max);
        return Err(CatalogError::Limit { what, limit }.into());
    }
    let revision = before + 1;
    let raise = query("UPDATE file SET link_revision = $1 WHERE organization = $2 AND id = $3");
    let raise = raise
        .bind(rows::stored(revision)?)
        .bind(organization)
        .bind(id);
    session.execute(raise).await?;
    versions::raise_revocations(session).await?;
    Ok(revision)
}

pub(super) async fn raise_epoch(
    session: &mut Session<'_>,
    organization: &OrganizationId,
) -> Result<u64, Fault> {
    versions::lock_revocations(session).await?;
    let raise = query("UPDATE organization SET epoch = epoch + 1 WHERE id = $1 RETURNING epoch");
    let epoch = session.optional(raise.bind(organization), |row| rows::number(row, "epoch"));
    let epoch = epoch.await?.ok_or(missing("the organization"))?;
    for forget in [
        "UPDATE file SET link_revision = 0 WHERE organization = $1 AND link_revision > 0",
        "DELETE FROM denied_link WHERE organization = $1",
    ] {
        session.execute(query(forget).bind(organization)).await?;
    }
    versions::raise_revocations(session).await?;
    Ok(epoch)
}

pub(super) async fn deny_link(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    link: LinkId,
    expires: UnixSeconds,
    denied_max: u64,
) -> Result<(), Fault> {
    versions::lock_revocations(session).await?;
    tenancy::expect(session, organization).await?;
    // Counts at most as many as the limit.
    let others = query(
        "SELECT count(*) AS count FROM denied_link WHERE NOT (organization = $1 AND link = $2)",
    );
    let others = others.bind(organization).bind(link.as_str());
    if count(session, others).await? >= denied_max {
        let (what, limit) = (DENIED_LINKS, denied_max);
        return Err(CatalogError::Limit { what, limit }.into());
    }
    let deny = query(
        "INSERT INTO denied_link (organization, link, expires) VALUES ($1, $2, $3) \
         ON CONFLICT (organization, link) DO UPDATE SET expires = CASE \
         WHEN denied_link.expires > excluded.expires THEN denied_link.expires ELSE excluded.expires END",
    );
    let deny = deny.bind(organization).bind(link.as_str()).bind(expires);
    session.execute(deny).await?;
    versions::raise_revocations(session).await
}

pub(super) async fn forget_denied(
    session: &mut Session<'_>,
    now: UnixSeconds,
) -> Result<u64, Fault> {
    session.execute_if_postgres(query(FORGET_MARKERS)).await?;
    versions::lock_revocations(session).await?;
    let forget = query("DELETE FROM denied_link WHERE expires <= $1").bind(now);
    let forgotten = session.execute(forget).await?;
    if forgotten > 0 {
        versions::raise_revocations(session).await?;
    }
    Ok(forgotten)
}
