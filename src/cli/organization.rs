//! `hallpass organization …`: the tenants.

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::session::{Global, Logging, Session};
use super::wire;
use crate::model::id::OrganizationId;
use crate::server::setup::SetupPolicy;

#[derive(Subcommand, Debug)]
pub(super) enum OrganizationCommand {
    /// Make an organization with its space space_default
    Create(CreateOrganization),
    /// List the organizations
    List,
}

#[derive(Args, Debug)]
pub(super) struct CreateOrganization {
    /// Id of the organization [default: drawn]
    #[arg(long, value_name = "ID")]
    id: Option<OrganizationId>,
    /// A word for it, for people
    #[arg(long, value_name = "NAME", default_value = "")]
    name: String,
}

impl OrganizationCommand {
    /// Makes or prints organizations.
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut session = Session::begin(global, Vec::new(), Logging::Warnings)?;
        match self {
            Self::Create(create) => {
                let gateway = session.gateway(SetupPolicy::SetUp).await?;
                let made = gateway.create_organization(create.id, create.name).await?;
                session.output.one(&wire::TenancyEntry::from(&made))
            }
            Self::List => {
                let gateway = session.gateway(SetupPolicy::Existing).await?;
                let organizations = gateway.organizations().await?;
                let organizations = organizations.iter().map(wire::TenancyEntry::from);
                session.output.many(organizations)
            }
        }
    }
}
