//! `hallpass space …`: the containers of files inside an organization.

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::session::{Global, Logging, Session, expect_organization};
use super::wire;
use crate::model::id::{DEFAULT_ORGANIZATION, OrganizationId, SpaceId};
use crate::server::setup::SetupPolicy;

#[derive(Subcommand, Debug)]
pub(super) enum SpaceCommand {
    /// Make a space
    Create(CreateSpace),
    /// List the spaces of an organization
    List(ListSpaces),
}

#[derive(Args, Debug)]
pub(super) struct CreateSpace {
    /// Organization that it belongs to
    #[arg(long, value_name = "ID", default_value = DEFAULT_ORGANIZATION)]
    organization: OrganizationId,
    /// Id of the space [default: drawn]
    #[arg(long, value_name = "ID")]
    id: Option<SpaceId>,
    /// A word for it, for people
    #[arg(long, value_name = "NAME", default_value = "")]
    name: String,
}

#[derive(Args, Debug)]
pub(super) struct ListSpaces {
    /// Organization whose spaces are listed
    #[arg(long, value_name = "ID", default_value = DEFAULT_ORGANIZATION)]
    organization: OrganizationId,
}

impl SpaceCommand {
    /// Makes or prints spaces.
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut session = Session::begin(global, Vec::new(), Logging::Warnings)?;
        match self {
            Self::Create(create) => {
                let gateway = session.gateway(SetupPolicy::SetUp).await?;
                expect_organization(&gateway, &create.organization).await?;
                let made = gateway.create_space(create.organization, create.id, create.name);
                session.output.one(&wire::TenancyEntry::from(&made.await?))
            }
            Self::List(list) => {
                let gateway = session.gateway(SetupPolicy::Existing).await?;
                expect_organization(&gateway, &list.organization).await?;
                let spaces = gateway.spaces(&list.organization).await?;
                let spaces = spaces.iter().map(wire::TenancyEntry::from);
                session.output.many(spaces)
            }
        }
    }
}
