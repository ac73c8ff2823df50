//! `hallpass folder …`: the sets of files that other organizations may mint links for.

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::session::{Global, Logging, Session, expect_organization};
use super::wire;
use crate::gateway::Gateway;
use crate::gateway::refusal::{FOLDER, Refusal};
use crate::model::id::{DEFAULT_ORGANIZATION, FileId, FolderId, OrganizationId};
use crate::server::setup::SetupPolicy;

#[derive(Subcommand, Debug)]
pub(super) enum FolderCommand {
    /// Make a folder
    Create(CreateFolder),
    /// List the folders of an organization
    List(FolderOwner),
    /// Put files into a folder: all of them or none
    Add(FolderFiles),
    /// Take files out of a folder
    Remove(FolderFiles),
    /// Let organizations mint links for a folder's files: all of them or none
    Share(FolderMembers),
    /// Let organizations no longer do that
    Unshare(FolderMembers),
}

#[derive(Args, Debug)]
pub(super) struct FolderOwner {
    /// Organization that the folder belongs to
    #[arg(long, value_name = "ID", default_value = DEFAULT_ORGANIZATION)]
    organization: OrganizationId,
}

#[derive(Args, Debug)]
pub(super) struct CreateFolder {
    #[command(flatten)]
    owner: FolderOwner,
    /// Id of the folder [default: drawn]
    #[arg(long, value_name = "ID")]
    id: Option<FolderId>,
    /// A word for it, for people
    #[arg(long, value_name = "NAME", default_value = "")]
    name: String,
    /// Organizations that may mint links for its files
    #[arg(long, value_name = "ORG", num_args = 1..)]
    member: Vec<OrganizationId>,
}

#[derive(Args, Debug)]
pub(super) struct FolderFiles {
    #[command(flatten)]
    owner: FolderOwner,
    /// Id of the folder
    #[arg(value_name = "FOLDER")]
    folder: FolderId,
    /// Ids of the files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<FileId>,
}

#[derive(Args, Debug)]
pub(super) struct FolderMembers {
    #[command(flatten)]
    owner: FolderOwner,
    /// Id of the folder
    #[arg(value_name = "FOLDER")]
    folder: FolderId,
    /// Ids of the organizations
    #[arg(required = true, value_name = "ORG")]
    members: Vec<OrganizationId>,
}

impl FolderCommand {
    /// Changes a folder and prints it, or prints all folders.
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut session = Session::begin(global, Vec::new(), Logging::Warnings)?;
        let access = match self {
            Self::Create(_) => SetupPolicy::SetUp,
            Self::List(_) => SetupPolicy::Existing,
            _ => SetupPolicy::Change,
        };
        let gateway = session.gateway(access).await?;
        let owner = self.owner().clone();
        expect_organization(&gateway, &owner).await?;
        let (folder, done) = match self {
            Self::Create(create) => {
                let (name, members) = (create.name, create.member);
                let made = gateway.create_folder(owner, create.id, name, members);
                return session.output.one(&wire::TenancyEntry::from(&made.await?));
            }
            Self::List(_) => {
                let folders = gateway.folders(&owner).await?;
                let folders = folders.iter().map(wire::TenancyEntry::from);
                return session.output.many(folders);
            }
            Self::Add(FolderFiles { folder, files, .. }) => {
                let done = gateway.add_to_folder(&owner, &folder, &files).await;
                (folder, done)
            }
            Self::Remove(FolderFiles { folder, files, .. }) => {
                let done = gateway.remove_from_folder(&owner, &folder, &files).await;
                (folder, done)
            }
            Self::Share(FolderMembers {
                folder, members, ..
            }) => {
                let done = gateway.share_folder(&owner, &folder, &members).await;
                (folder, done)
            }
            Self::Unshare(FolderMembers {
                folder, members, ..
            }) => {
                let done = gateway.unshare_folder(&owner, &folder, &members).await;
                (folder, done)
            }
        };
        done.map_err(|refusal| of_folder(&owner, &folder, refusal))?;
        let place = find(&gateway, &owner, &folder).await?;
        session.output.one(&place)
    }

    const fn owner(&self) -> &OrganizationId {
        match self {
            Self::Create(create) => &create.owner.organization,
            Self::List(owner) => &owner.organization,
            Self::Add(files) | Self::Remove(files) => &files.owner.organization,
            Self::Share(members) | Self::Unshare(members) => &members.owner.organization,
        }
    }
}

/// Names the folder where it is what does not exist.
fn of_folder(owner: &OrganizationId, folder: &FolderId, refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Missing { what: FOLDER } => Failure::Failed(format!(
            "organization {owner} has no folder {folder}: `hallpass folder create --id {folder}` makes it"
        )),
        other => other.into(),
    }
}

async fn find(
    gateway: &Gateway,
    owner: &OrganizationId,
    id: &FolderId,
) -> Result<wire::TenancyEntry, Failure> {
    let folders = gateway.folders(owner).await?;
    let found = folders.iter().find(|folder| folder.id == *id);
    let gone = || Failure::Failed(format!("organization {owner} has no folder {id}"));
    Ok(wire::TenancyEntry::from(found.ok_or_else(gone)?))
}
