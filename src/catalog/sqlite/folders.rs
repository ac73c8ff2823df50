//! Shared folders: their members and their files.

use std::collections::BTreeMap;

use sqlx::{SqliteConnection, query, query_scalar};

use super::fault::Fault;
use super::{files, rows, tenancy};
use crate::catalog::{FILE, FOLDER};
use crate::catalog::{missing, taken};
use crate::model::file::FileState;
use crate::model::id::{FileId, FolderId, OrganizationId};
use crate::model::tenancy::Folder;

pub(super) async fn create(
    connection: &mut SqliteConnection,
    folder: &Folder,
) -> Result<(), Fault> {
    tenancy::know(connection, &folder.organization).await?;
    if is_known(connection, &folder.organization, &folder.id).await? {
        return Err(taken(FOLDER).into());
    }
    query("INSERT INTO folder (organization, id, name, created_at) VALUES (?, ?, ?, ?)")
        .bind(folder.organization.as_str())
        .bind(folder.id.as_str())
        .bind(&folder.name)
        .bind(rows::stored_time(folder.created_at))
        .execute(&mut *connection)
        .await?;
    add_members(
        connection,
        &folder.organization,
        &folder.id,
        &folder.members,
    )
    .await
}

pub(super) async fn list(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
) -> Result<Vec<Folder>, Fault> {
    let found =
        query("SELECT organization, id, name, created_at FROM folder WHERE organization = ?")
            .bind(organization.as_str())
            .fetch_all(&mut *connection)
            .await?;
    let mut folders = BTreeMap::new();
    for row in &found {
        let folder = rows::folder(row)?;
        folders.insert(folder.id.clone(), folder);
    }
    let members =
        query("SELECT folder, member FROM folder_member WHERE organization = ? ORDER BY member")
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

pub(super) async fn add_files(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    folder: &FolderId,
    files: &[FileId],
) -> Result<(), Fault> {
    know(connection, organization, folder).await?;
    for id in files {
        let file = files::file(connection, organization, id).await?;
        if file.is_none_or(|file| file.state != FileState::Ready) {
            return Err(missing(FILE).into());
        }
        query("INSERT OR IGNORE INTO folder_file (organization, folder, file) VALUES (?, ?, ?)")
            .bind(organization.as_str())
            .bind(folder.as_str())
            .bind(id.as_str())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

pub(super) async fn remove_files(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    folder: &FolderId,
    files: &[FileId],
) -> Result<(), Fault> {
    know(connection, organization, folder).await?;
    for file in files {
        query("DELETE FROM folder_file WHERE organization = ? AND folder = ? AND file = ?")
            .bind(organization.as_str())
            .bind(folder.as_str())
            .bind(file.as_str())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

pub(super) async fn files(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    folder: &FolderId,
) -> Result<Vec<FileId>, Fault> {
    know(connection, organization, folder).await?;
    let found =
        query("SELECT file FROM folder_file WHERE organization = ? AND folder = ? ORDER BY file")
            .bind(organization.as_str())
            .bind(folder.as_str())
            .fetch_all(connection)
            .await?;
    found.iter().map(|row| rows::file_id(row, "file")).collect()
}

pub(super) async fn share(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    folder: &FolderId,
    members: &[OrganizationId],
) -> Result<(), Fault> {
    know(connection, organization, folder).await?;
    add_members(connection, organization, folder, members).await
}

pub(super) async fn unshare(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    folder: &FolderId,
    members: &[OrganizationId],
) -> Result<(), Fault> {
    know(connection, organization, folder).await?;
    for member in members {
        query("DELETE FROM folder_member WHERE organization = ? AND folder = ? AND member = ?")
            .bind(organization.as_str())
            .bind(folder.as_str())
            .bind(member.as_str())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn is_known(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    folder: &FolderId,
) -> Result<bool, Fault> {
    let known =
        query_scalar("SELECT EXISTS (SELECT 1 FROM folder WHERE organization = ? AND id = ?)")
            .bind(organization.as_str())
            .bind(folder.as_str())
            .fetch_one(connection)
            .await?;
    Ok(known)
}

async fn know(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    folder: &FolderId,
) -> Result<(), Fault> {
    if is_known(connection, organization, folder).await? {
        Ok(())
    } else {
        Err(missing(FOLDER).into())
    }
}

async fn add_members(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    folder: &FolderId,
    members: &[OrganizationId],
) -> Result<(), Fault> {
    for member in members {
        if !tenancy::is_known(connection, member).await? {
            return Err(missing("the member organization").into());
        }
        query(
            "INSERT OR IGNORE INTO folder_member (organization, folder, member) VALUES (?, ?, ?)",
        )
        .bind(organization.as_str())
        .bind(folder.as_str())
        .bind(member.as_str())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
