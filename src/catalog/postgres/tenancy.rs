//! Organizations and their spaces. Neither is ever removed, so that one that was seen is there.

use sqlx::{PgConnection, query, query_scalar};

use super::fault::Fault;
use super::{rows, versions};
use crate::catalog::{SPACE, default_space, missing, taken};
use crate::model::id::{OrganizationId, SpaceId};
use crate::model::tenancy::{Organization, Space};

/// `NotFound` unless there is an organization of this id.
pub(super) async fn know(
    connection: &mut PgConnection,
    organization: &OrganizationId,
) -> Result<(), Fault> {
    let known = query_scalar("SELECT EXISTS (SELECT 1 FROM organization WHERE id = $1)")
        .bind(organization.as_str())
        .fetch_one(connection)
        .await?;
    if known {
        Ok(())
    } else {
        Err(missing("the organization").into())
    }
}

pub(super) async fn create_organization(
    connection: &mut PgConnection,
    organization: &Organization,
) -> Result<(), Fault> {
    if organization.epoch > 0 {
        versions::lock_revocations(connection).await?;
    }
    let made = query(
        "INSERT INTO organization (id, name, epoch, created_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
    )
    .bind(organization.id.as_str())
    .bind(&organization.name)
    .bind(rows::stored(organization.epoch)?)
    .bind(rows::stored_time(organization.created_at))
    .execute(&mut *connection)
    .await?;
    if made.rows_affected() == 0 {
        return Err(taken("the organization").into());
    }
    if organization.epoch > 0 {
        versions::raise_revocations(connection).await?;
    }
    create_space(connection, &default_space(organization)).await
}

pub(super) async fn organization(
    connection: &mut PgConnection,
    id: &OrganizationId,
) -> Result<Option<Organization>, Fault> {
    let row = query("SELECT id, name, epoch, created_at FROM organization WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(rows::organization).transpose()
}

pub(super) async fn organizations(
    connection: &mut PgConnection,
) -> Result<Vec<Organization>, Fault> {
    let found = query("SELECT id, name, epoch, created_at FROM organization ORDER BY id")
        .fetch_all(connection)
        .await?;
    found.iter().map(rows::organization).collect()
}

pub(super) async fn create_space(
    connection: &mut PgConnection,
    wanted: &Space,
) -> Result<(), Fault> {
    know(connection, &wanted.organization).await?;
    let made = query(
        "INSERT INTO space (organization, id, name, created_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
    )
    .bind(wanted.organization.as_str())
    .bind(wanted.id.as_str())
    .bind(&wanted.name)
    .bind(rows::stored_time(wanted.created_at))
    .execute(connection)
    .await?;
    if made.rows_affected() == 0 {
        return Err(taken(SPACE).into());
    }
    Ok(())
}

pub(super) async fn space(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    id: &SpaceId,
) -> Result<Option<Space>, Fault> {
    let row = query(
        "SELECT organization, id, name, created_at FROM space WHERE organization = $1 AND id = $2",
    )
    .bind(organization.as_str())
    .bind(id.as_str())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(rows::space).transpose()
}

pub(super) async fn spaces(
    connection: &mut PgConnection,
    organization: &OrganizationId,
) -> Result<Vec<Space>, Fault> {
    let found = query(
        "SELECT organization, id, name, created_at FROM space WHERE organization = $1 ORDER BY id",
    )
    .bind(organization.as_str())
    .fetch_all(connection)
    .await?;
    found.iter().map(rows::space).collect()
}
