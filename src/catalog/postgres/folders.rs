//! Shared folders: their members and their files. Folders are never removed.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{PgConnection, query, query_scalar};

use super::fault::Fault;
use super::{rows, tenancy};
use crate::catalog::{FILE, FOLDER};
use crate::catalog::{missing, taken};
use crate::model::id::{FileId, FolderId, OrganizationId};
use crate::model::tenancy::Folder;

pub(super) async fn create(connection: &mut PgConnection, folder: &Folder) -> Result<(), Fault> {
    tenancy::know(connection, &folder.organization).await?;
    let made = query(
        "INSERT INTO folder (organization, id, name, created_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
    )
    .bind(folder.organization.as_str())
    .bind(folder.id.as_str())
    .bind(&folder.name)
    .bind(rows::stored_time(folder.created_at))
    .execute(&mut *connection)
    .await?;
    if made.rows_affected() == 0 {
        return Err(taken(FOLDER).into());
    }
    add_members(
        connection,
        &folder.organization,
        &folder.id,
        &folder.members,
    )
    .await
}

pub(super) async fn list(
    connection: &mut PgConnection,
    organization: &OrganizationId,
) -> Result<Vec<Folder>, Fault> {
    let found =
        query("SELECT organization, id, name, created_at FROM folder WHERE organization = $1")
            .bind(organization.as_str())
            .fetch_all(&mut *connection)
            .await?;
    let mut folders = BTreeMap::new();
    for row in &found {
        let folder = rows::folder(row)?;
        folders.insert(folder.id.clone(), folder);
    }
    let members =
        query("SELECT folder, member FROM folder_member WHERE organization = $1 ORDER BY member")
            .bind(organization.as_str())
            .fetch_all(connection)
            .await?;
    for row in &members {
        if let Some(folder) = folders.get_mut(&rows::folder_id(row, "folder")?) {
            folder.members.push(rows::organization_id(row, "member")?);
        }
    }
    Ok(folders.into_values().collect())
}

/// The files are held as they are until the transaction ends, so that none is forgotten meanwhile.
pub(super) async fn add_files(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    folder: &FolderId,
    files: &[FileId],
) -> Result<(), Fault> {
    know(connection, organization, folder).await?;
    let files: BTreeSet<&str> = files.iter().map(FileId::as_str).collect();
    let files: Vec<&str> = files.into_iter().collect();
    let ready = query(
        "SELECT id FROM file WHERE organization = $1 AND id = ANY($2) AND state = 'ready' \
         ORDER BY id FOR KEY SHARE",
    )
    .bind(organization.as_str())
    .bind(&files)
    .fetch_all(&mut *connection)
    .await?;
    if ready.len() < files.len() {
        return Err(missing(FILE).into());
    }
    query(
        "INSERT INTO folder_file (organization, folder, file) SELECT $1, $2, id \
         FROM unnest($3::text[]) AS new (id) ON CONFLICT DO NOTHING",
    )
    .bind(organization.as_str())
    .bind(folder.as_str())
    .bind(&files)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn remove_files(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    folder: &FolderId,
    files: &[FileId],
) -> Result<(), Fault> {
    know(connection, organization, folder).await?;
    let files: Vec<&str> = files.iter().map(FileId::as_str).collect();
    query("DELETE FROM folder_file WHERE organization = $1 AND folder = $2 AND file = ANY($3)")
        .bind(organization.as_str())
        .bind(folder.as_str())
        .bind(&files)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn files(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    folder: &FolderId,
) -> Result<Vec<FileId>, Fault> {
    know(connection, organization, folder).await?;
    let found =
        query("SELECT file FROM folder_file WHERE organization = $1 AND folder = $2 ORDER BY file")
            .bind(organization.as_str())
            .bind(folder.as_str())
            .fetch_all(connection)
            .await?;
    found.iter().map(|row| rows::file_id(row, "file")).collect()
}

pub(super) async fn share(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    folder: &FolderId,
    members: &[OrganizationId],
) -> Result<(), Fault> {
    know(connection, organization, folder).await?;
    add_members(connection, organization, folder, members).await
}

pub(super) async fn unshare(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    folder: &FolderId,
    members: &[OrganizationId],
) -> Result<(), Fault> {
    know(connection, organization, folder).await?;
    let members: Vec<&str> = members.iter().map(OrganizationId::as_str).collect();
    query("DELETE FROM folder_member WHERE organization = $1 AND folder = $2 AND member = ANY($3)")
        .bind(organization.as_str())
        .bind(folder.as_str())
        .bind(&members)
        .execute(connection)
        .await?;
    Ok(())
}

async fn know(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    folder: &FolderId,
) -> Result<(), Fault> {
    let known: bool =
        query_scalar("SELECT EXISTS (SELECT 1 FROM folder WHERE organization = $1 AND id = $2)")
            .bind(organization.as_str())
            .bind(folder.as_str())
            .fetch_one(connection)
            .await?;
    if known {
        Ok(())
    } else {
        Err(missing(FOLDER).into())
    }
}

async fn add_members(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    folder: &FolderId,
    members: &[OrganizationId],
) -> Result<(), Fault> {
    let members: BTreeSet<&str> = members.iter().map(OrganizationId::as_str).collect();
    let members: Vec<&str> = members.into_iter().collect();
    let known: i64 = query_scalar("SELECT count(*) FROM organization WHERE id = ANY($1)")
        .bind(&members)
        .fetch_one(&mut *connection)
        .await?;
    if known.cast_unsigned() < members.len() as u64 {
        return Err(missing("the member organization").into());
    }
    query(
        "INSERT INTO folder_member (organization, folder, member) SELECT $1, $2, id \
         FROM unnest($3::text[]) AS new (id) ON CONFLICT DO NOTHING",
    )
    .bind(organization.as_str())
    .bind(folder.as_str())
    .bind(&members)
    .execute(connection)
    .await?;
    Ok(())
}
