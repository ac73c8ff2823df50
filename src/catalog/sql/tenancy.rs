//! Organizations, their spaces and their shared folders. None is ever removed, so that one that was seen is there.

use std::collections::{BTreeMap, BTreeSet};

use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::session::{Session, Value, query};
use super::values::insert;
use super::{changes, rows};
use crate::catalog::changes::Change;
use crate::catalog::transfer::Row;
use crate::catalog::{FILE, FOLDER, SPACE, missing};
use crate::model::id::{FileId, FolderId, OrganizationId, SpaceId};
use crate::model::tenancy::{Folder, Organization, Space};

/// `NotFound` unless there is an organization of this id.
pub(super) async fn expect(
    session: &mut Session<'_>,
    organization: &OrganizationId,
) -> Result<(), Fault> {
    let known = query("SELECT 1 FROM organization WHERE id = $1").bind(organization);
    if session.is_any(known).await? {
        return Ok(());
    }
    Err(missing("the organization").into())
}

pub(super) async fn create_organization(
    session: &mut Session<'_>,
    organization: &Organization,
) -> Result<(), Fault> {
    let row = Row::Organization(organization.clone());
    insert(session, &row, "the organization").await?;
    let space = Space {
        organization: organization.id.clone(),
        id: SpaceId::default_space(),
        name: String::new(),
        created_at: organization.created_at,
    };
    create_space(session, &space).await?;
    if organization.epoch == 0 {
        return Ok(());
    }
    let change = Change::EpochRaised {
        organization: organization.id.clone(),
        epoch: organization.epoch,
    };
    changes::append(session, &[change]).await
}

pub(super) async fn organization(
    session: &mut Session<'_>,
    id: &OrganizationId,
) -> Result<Option<Organization>, Fault> {
    let select = query("SELECT id, name, epoch, created_at FROM organization WHERE id = $1");
    session.optional(select.bind(id), rows::organization).await
}

pub(super) async fn organizations(session: &mut Session<'_>) -> Result<Vec<Organization>, Fault> {
    let select = query("SELECT id, name, epoch, created_at FROM organization ORDER BY id");
    session.all(select, rows::organization).await
}

pub(super) async fn create_space(session: &mut Session<'_>, space: &Space) -> Result<(), Fault> {
    expect(session, &space.organization).await?;
    insert(session, &Row::Space(space.clone()), SPACE).await
}

pub(super) async fn space(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    id: &SpaceId,
) -> Result<Option<Space>, Fault> {
    let select = query(
        "SELECT organization, id, name, created_at FROM space WHERE organization = $1 AND id = $2",
    );
    let select = select.bind(organization).bind(id);
    session.optional(select, rows::space).await
}

pub(super) async fn spaces(
    session: &mut Session<'_>,
    organization: &OrganizationId,
) -> Result<Vec<Space>, Fault> {
    let select = query(
        "SELECT organization, id, name, created_at FROM space WHERE organization = $1 ORDER BY id",
    );
    session.all(select.bind(organization), rows::space).await
}

/// Holds files as they are until the transaction ends, so that none is forgotten meanwhile.
const HOLD_FILES: SqlText = text!(
    "SELECT id FROM file WHERE organization = $1 AND state = 'ready' AND id ", [in "$2"],
    " ORDER BY id", [lock "KEY SHARE"]
);
const ADD_FILES: SqlText = text!(
    "INSERT INTO folder_file (organization, folder, file) SELECT organization, $2, id FROM file \
     WHERE organization = $1 AND id ", [in "$3"], " ON CONFLICT DO NOTHING"
);
const REMOVE_FILES: SqlText = text!(
    "DELETE FROM folder_file WHERE organization = $1 AND folder = $2 AND file ", [in "$3"]
);
const KNOWN_MEMBERS: SqlText = text!("SELECT id FROM organization WHERE id ", [in "$1"]);
const ADD_MEMBERS: SqlText = text!(
    "INSERT INTO folder_member (organization, folder, member) SELECT $1, $2, id FROM organization \
     WHERE id ", [in "$3"], " ON CONFLICT DO NOTHING"
);
const REMOVE_MEMBERS: SqlText = text!(
    "DELETE FROM folder_member WHERE organization = $1 AND folder = $2 AND member ", [in "$3"]
);

pub(super) async fn create_folder(session: &mut Session<'_>, folder: &Folder) -> Result<(), Fault> {
    expect(session, &folder.organization).await?;
    insert(session, &Row::Folder(folder.clone()), FOLDER).await?;
    add_members(session, &folder.organization, &folder.id, &folder.members).await
}

pub(super) async fn folders(
    session: &mut Session<'_>,
    organization: &OrganizationId,
) -> Result<Vec<Folder>, Fault> {
    let select =
        query("SELECT organization, id, name, created_at FROM folder WHERE organization = $1");
    let found = session.all(select.bind(organization), rows::folder).await?;
    let mut folders: BTreeMap<_, _> = found
        .into_iter()
        .map(|folder| (folder.id.clone(), folder))
        .collect();
    let select =
        query("SELECT folder, member FROM folder_member WHERE organization = $1 ORDER BY member");
    let members = session.all(select.bind(organization), |row| {
        Ok((
            rows::folder_id(row, "folder")?,
            rows::organization_id(row, "member")?,
        ))
    });
    for (folder, member) in members.await? {
        if let Some(folder) = folders.get_mut(&folder) {
            folder.members.push(member);
        }
    }
    Ok(folders.into_values().collect())
}

pub(super) async fn add_to_folder(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    folder: &FolderId,
    files: &[FileId],
) -> Result<(), Fault> {
    expect_folder(session, organization, folder).await?;
    let files: BTreeSet<&str> = files.iter().map(FileId::as_str).collect();
    let ids = || files.iter().copied().collect::<Value<'_>>();
    let hold = query(HOLD_FILES).bind(organization).bind(ids());
    if session.all(hold, |_| Ok(())).await?.len() < files.len() {
        return Err(missing(FILE).into());
    }
    let add = query(ADD_FILES).bind(organization).bind(folder).bind(ids());
    session.execute(add).await.map(drop)
}

pub(super) async fn remove_from_folder(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    folder: &FolderId,
    files: &[FileId],
) -> Result<(), Fault> {
    expect_folder(session, organization, folder).await?;
    let ids: Value<'_> = files.iter().map(FileId::as_str).collect();
    let remove = query(REMOVE_FILES)
        .bind(organization)
        .bind(folder)
        .bind(ids);
    session.execute(remove).await.map(drop)
}

pub(super) async fn folder_files(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    folder: &FolderId,
) -> Result<Vec<FileId>, Fault> {
    expect_folder(session, organization, folder).await?;
    let select =
        query("SELECT file FROM folder_file WHERE organization = $1 AND folder = $2 ORDER BY file");
    let select = select.bind(organization).bind(folder);
    session.all(select, |row| rows::file_id(row, "file")).await
}

pub(super) async fn share_folder(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    folder: &FolderId,
    members: &[OrganizationId],
) -> Result<(), Fault> {
    expect_folder(session, organization, folder).await?;
    add_members(session, organization, folder, members).await
}

pub(super) async fn unshare_folder(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    folder: &FolderId,
    members: &[OrganizationId],
) -> Result<(), Fault> {
    expect_folder(session, organization, folder).await?;
    let ids: Value<'_> = members.iter().map(OrganizationId::as_str).collect();
    let remove = query(REMOVE_MEMBERS)
        .bind(organization)
        .bind(folder)
        .bind(ids);
    session.execute(remove).await.map(drop)
}

/// `NotFound` unless the organization has a folder of this id.
async fn expect_folder(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    folder: &FolderId,
) -> Result<(), Fault> {
    let known = query("SELECT 1 FROM folder WHERE organization = $1 AND id = $2");
    if session
        .is_any(known.bind(organization).bind(folder))
        .await?
    {
        return Ok(());
    }
    Err(missing(FOLDER).into())
}

async fn add_members(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    folder: &FolderId,
    members: &[OrganizationId],
) -> Result<(), Fault> {
    let members: BTreeSet<&str> = members.iter().map(OrganizationId::as_str).collect();
    let ids = || members.iter().copied().collect::<Value<'_>>();
    let known = session.all(query(KNOWN_MEMBERS).bind(ids()), |_| Ok(()));
    if known.await?.len() < members.len() {
        return Err(missing("the member organization").into());
    }
    let add = query(ADD_MEMBERS)
        .bind(organization)
        .bind(folder)
        .bind(ids());
    session.execute(add).await.map(drop)
}
