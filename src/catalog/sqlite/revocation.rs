//! Epochs, link revisions and denied links.

use sqlx::{SqliteConnection, query, query_scalar};

use super::fault::Fault;
use super::{files, rows, tenancy, versions};
use crate::catalog::{CatalogError, DENIED_LINKS, FILE, missing};
use crate::model::file::FileState;
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::{LinkId, Revocations};
use crate::model::time::UnixSeconds;

pub(super) async fn all(
    connection: &mut SqliteConnection,
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
        "SELECT organization, group_concat(id || ' ' || link_revision, ' ') AS pairs \
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
        "SELECT organization, group_concat(link || ' ' || expires, ' ') AS pairs \
         FROM denied_link WHERE expires > ? GROUP BY organization",
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
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    id: &FileId,
    revisions_max: u64,
) -> Result<u64, Fault> {
    let file = files::file(connection, organization, id).await?;
    let file = file.ok_or(missing(FILE))?;
    if matches!(file.state, FileState::Swept { .. }) {
        return Err(missing(FILE).into());
    }
    // At most as many as the limit, and counted in an index of just them.
    let raised: i64 = query_scalar("SELECT count(*) FROM file WHERE link_revision > 0")
        .fetch_one(&mut *connection)
        .await?;
    if raised.cast_unsigned() + u64::from(file.link_revision == 0) > revisions_max {
        let what = "files with revoked links";
        return Err(CatalogError::Limit {
            what,
            limit: revisions_max,
        }
        .into());
    }
    let revision = file.link_revision + 1;
    query("UPDATE file SET link_revision = ? WHERE organization = ? AND id = ?")
        .bind(rows::stored(revision)?)
        .bind(organization.as_str())
        .bind(id.as_str())
        .execute(&mut *connection)
        .await?;
    versions::raise_revocations(connection).await?;
    Ok(revision)
}

pub(super) async fn raise_epoch(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
) -> Result<u64, Fault> {
    let found = tenancy::organization(connection, organization).await?;
    let epoch = found.ok_or(missing("the organization"))?.epoch + 1;
    query("UPDATE organization SET epoch = ? WHERE id = ?")
        .bind(rows::stored(epoch)?)
        .bind(organization.as_str())
        .execute(&mut *connection)
        .await?;
    query("UPDATE file SET link_revision = 0 WHERE organization = ? AND link_revision > 0")
        .bind(organization.as_str())
        .execute(&mut *connection)
        .await?;
    query("DELETE FROM denied_link WHERE organization = ?")
        .bind(organization.as_str())
        .execute(&mut *connection)
        .await?;
    versions::raise_revocations(connection).await?;
    Ok(epoch)
}

pub(super) async fn deny_link(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    link: LinkId,
    expires: UnixSeconds,
    denied_max: u64,
) -> Result<(), Fault> {
    tenancy::know(connection, organization).await?;
    // Counts at most as many as the limit.
    let others: i64 =
        query_scalar("SELECT count(*) FROM denied_link WHERE NOT (organization = ? AND link = ?)")
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
        "INSERT INTO denied_link (organization, link, expires) VALUES (?, ?, ?) \
         ON CONFLICT (organization, link) DO UPDATE SET expires = max(expires, excluded.expires)",
    )
    .bind(organization.as_str())
    .bind(link.as_str())
    .bind(rows::stored_time(expires))
    .execute(&mut *connection)
    .await?;
    versions::raise_revocations(connection).await
}

pub(super) async fn forget_denied(
    connection: &mut SqliteConnection,
    now: UnixSeconds,
) -> Result<u64, Fault> {
    let forgotten = query("DELETE FROM denied_link WHERE expires <= ?")
        .bind(rows::stored_time(now))
        .execute(&mut *connection)
        .await?
        .rows_affected();
    if forgotten > 0 {
        versions::raise_revocations(connection).await?;
    }
    Ok(forgotten)
}
