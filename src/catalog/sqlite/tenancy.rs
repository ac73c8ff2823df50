//! Organizations and their spaces.

use sqlx::{SqliteConnection, query, query_scalar};

use super::fault::Fault;
use super::{rows, versions};
use crate::catalog::{SPACE, default_space, missing, taken};
use crate::model::id::{OrganizationId, SpaceId};
use crate::model::tenancy::{Organization, Space};

/// Whether there is an organization of this id.
pub(super) async fn is_known(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
) -> Result<bool, Fault> {
    let known = query_scalar("SELECT EXISTS (SELECT 1 FROM organization WHERE id = ?)")
        .bind(organization.as_str())
        .fetch_one(connection)
        .await?;
    Ok(known)
}

/// `NotFound` unless there is an organization of this id.
pub(super) async fn know(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
) -> Result<(), Fault> {
    if is_known(connection, organization).await? {
        Ok(())
    } else {
        Err(missing("the organization").into())
    }
}

pub(super) async fn create_organization(
    connection: &mut SqliteConnection,
    organization: &Organization,
) -> Result<(), Fault> {
    if is_known(connection, &organization.id).await? {
        return Err(taken("the organization").into());
    }
    query("INSERT INTO organization (id, name, epoch, created_at) VALUES (?, ?, ?, ?)")
        .bind(organization.id.as_str())
        .bind(&organization.name)
        .bind(rows::stored(organization.epoch)?)
        .bind(rows::stored_time(organization.created_at))
        .execute(&mut *connection)
        .await?;
    if organization.epoch > 0 {
        versions::raise_revocations(connection).await?;
    }
    create_space(connection, &default_space(organization)).await
}

pub(super) async fn organization(
    connection: &mut SqliteConnection,
    id: &OrganizationId,
) -> Result<Option<Organization>, Fault> {
    let row = query("SELECT id, name, epoch, created_at FROM organization WHERE id = ?")
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(rows::organization).transpose()
}

pub(super) async fn organizations(
    connection: &mut SqliteConnection,
) -> Result<Vec<Organization>, Fault> {
    let found = query("SELECT id, name, epoch, created_at FROM organization ORDER BY id")
        .fetch_all(connection)
        .await?;
    found.iter().map(rows::organization).collect()
}

pub(super) async fn create_space(
    connection: &mut SqliteConnection,
    wanted: &Space,
) -> Result<(), Fault> {
    know(connection, &wanted.organization).await?;
    if space(connection, &wanted.organization, &wanted.id)
        .await?
        .is_some()
    {
        return Err(taken(SPACE).into());
    }
    query("INSERT INTO space (organization, id, name, created_at) VALUES (?, ?, ?, ?)")
        .bind(wanted.organization.as_str())
        .bind(wanted.id.as_str())
        .bind(&wanted.name)
        .bind(rows::stored_time(wanted.created_at))
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn space(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    id: &SpaceId,
) -> Result<Option<Space>, Fault> {
    let row = query(
        "SELECT organization, id, name, created_at FROM space WHERE organization = ? AND id = ?",
    )
    .bind(organization.as_str())
    .bind(id.as_str())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(rows::space).transpose()
}

pub(super) async fn spaces(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
) -> Result<Vec<Space>, Fault> {
    let found = query(
        "SELECT organization, id, name, created_at FROM space WHERE organization = ? ORDER BY id",
    )
    .bind(organization.as_str())
    .fetch_all(connection)
    .await?;
    found.iter().map(rows::space).collect()
}
