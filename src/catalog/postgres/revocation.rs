//! Epochs, link revisions and denied links. What changes them waits for the others that do, whatever
//! organization they are of: they are counted together.

use sqlx::{PgConnection, query, query_scalar};

use super::fault::Fault;
use super::{rows, settling, tenancy, versions};
use crate::catalog::{CatalogError, DENIED_LINKS, FILE, missing};
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::{LinkId, Revocations};
use crate::model::time::UnixSeconds;

pub(super) async fn all(
    connection: &mut PgConnection,
    now: UnixSeconds,
) -> Result<Revocations, Fault> {
    let mut all = Revocations::default();
    let epochs = query("SELECT id, epoch FROM organization WHERE epoch > 0")
        .fetch_all(&mut *connection)
        .await?;
    for row in &epochs {
        all.epochs.insert(
            rows::organization_id(row, "id")?,
            rows::number(row, "epoch")?,
        );
    }
    let revisions = query(
        "SELECT organization, string_agg(id || ' ' || link_revision, ' ') AS pairs \
         FROM file WHERE link_revision > 0 GROUP BY organization",
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in &revisions {
        let of = rows::pairs(row, |id, revision| {
            Some((FileId::parse(id).ok()?, revision.parse().ok()?))
        })?;
        all.revisions
            .insert(rows::organization_id(row, "organization")?, of);
    }
    let denied = query(
        "SELECT organization, string_agg(link || ' ' || expires, ' ') AS pairs \
         FROM denied_link WHERE expires > $1 GROUP BY organization",
    )
    .bind(rows::stored_time(now))
    .fetch_all(connection)
    .await?;
    for row in &denied {
        let of = rows::pairs(row, |link, expires| {
            let expires = expires.parse().ok().and_then(UnixSeconds::new)?;
            Some((LinkId::parse(link)?, expires))
        })?;
        all.denied
            .insert(rows::organization_id(row, "organization")?, of);
    }
    Ok(all)
}

pub(super) async fn raise_link_revision(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    id: &FileId,
    revisions_max: u64,
) -> Result<u64, Fault> {
    versions::lock_revocations(connection).await?;
    let row = query(
        "SELECT link_revision FROM file \
         WHERE organization = $1 AND id = $2 AND state <> 'swept' FOR UPDATE",
    )
    .bind(organization.as_str())
    .bind(id.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let before = rows::number(&row.ok_or(missing(FILE))?, "link_revision")?;
    // At most as many as the limit, and counted in an index of just them.
    let raised: i64 = query_scalar("SELECT count(*) FROM file WHERE link_revision > 0")
        .fetch_one(&mut *connection)
        .await?;
    if raised.cast_unsigned() + u64::from(before == 0) > revisions_max {
        let what = "files with revoked links";
        return Err(CatalogError::Limit {
            what,
            limit: revisions_max,
        }
        .into());
    }
    let revision = before + 1;
    query("UPDATE file SET link_revision = $1 WHERE organization = $2 AND id = $3")
        .bind(rows::stored(revision)?)
        .bind(organization.as_str())
        .bind(id.as_str())
        .execute(&mut *connection)
        .await?;
    versions::raise_revocations(connection).await?;
    Ok(revision)
}

pub(super) async fn raise_epoch(
    connection: &mut PgConnection,
    organization: &OrganizationId,
) -> Result<u64, Fault> {
    versions::lock_revocations(connection).await?;
    let row = query("UPDATE organization SET epoch = epoch + 1 WHERE id = $1 RETURNING epoch")
        .bind(organization.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    let epoch = rows::number(&row.ok_or(missing("the organization"))?, "epoch")?;
    query("UPDATE file SET link_revision = 0 WHERE organization = $1 AND link_revision > 0")
        .bind(organization.as_str())
        .execute(&mut *connection)
        .await?;
    query("DELETE FROM denied_link WHERE organization = $1")
        .bind(organization.as_str())
        .execute(&mut *connection)
        .await?;
    versions::raise_revocations(connection).await?;
    Ok(epoch)
}

pub(super) async fn deny_link(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    link: LinkId,
    expires: UnixSeconds,
    denied_max: u64,
) -> Result<(), Fault> {
    versions::lock_revocations(connection).await?;
    tenancy::know(connection, organization).await?;
    // Counts at most as many as the limit.
    let others: i64 = query_scalar(
        "SELECT count(*) FROM denied_link WHERE NOT (organization = $1 AND link = $2)",
    )
    .bind(organization.as_str())
    .bind(link.as_str())
    .fetch_one(&mut *connection)
    .await?;
    if others.cast_unsigned() >= denied_max {
        let what = DENIED_LINKS;
        let limit = denied_max;
        return Err(CatalogError::Limit { what, limit }.into());
    }
    query(
        "INSERT INTO denied_link (organization, link, expires) VALUES ($1, $2, $3) \
         ON CONFLICT (organization, link) \
         DO UPDATE SET expires = greatest(denied_link.expires, excluded.expires)",
    )
    .bind(organization.as_str())
    .bind(link.as_str())
    .bind(rows::stored_time(expires))
    .execute(&mut *connection)
    .await?;
    versions::raise_revocations(connection).await
}

pub(super) async fn forget_denied(
    connection: &mut PgConnection,
    now: UnixSeconds,
) -> Result<u64, Fault> {
    settling::forget_marks(connection).await?;
    versions::lock_revocations(connection).await?;
    let forgotten = query("DELETE FROM denied_link WHERE expires <= $1")
        .bind(rows::stored_time(now))
        .execute(&mut *connection)
        .await?
        .rows_affected();
    if forgotten > 0 {
        versions::raise_revocations(connection).await?;
    }
    Ok(forgotten)
}
