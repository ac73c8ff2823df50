//! `hallpass show`.

use clap::Args;

use super::failure::Failure;
use super::session::{Global, Logging, Session, expect_organization, of_file};
use super::wire;
use crate::gateway::refusal::Refusal;
use crate::model::count::Counted;
use crate::model::id::{DEFAULT_ORGANIZATION, FileId, OrganizationId};
use crate::server::setup::SetupPolicy;

#[derive(Args, Debug)]
pub(super) struct ShowCommand {
    /// Id of the file
    #[arg(value_name = "FILE")]
    file: FileId,
    /// Organization that owns the file
    #[arg(long, value_name = "ID", default_value = DEFAULT_ORGANIZATION)]
    organization: OrganizationId,
}

impl ShowCommand {
    /// Prints the file, a deleted one too as long as its id is taken.
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut session = Session::begin(global, Vec::new(), Logging::Warnings)?;
        let gateway = session.gateway(SetupPolicy::Existing).await?;
        expect_organization(&gateway, &self.organization).await?;
        let found = gateway
            .file_in_any_state(&self.organization, &self.file)
            .await?;
        let missing = || of_file(&self.organization, &self.file, Refusal::FileNotFound);
        let file = found.ok_or_else(missing)?;
        let counted = Counted::File(&self.file);
        let counts = gateway.counts(&self.organization, counted).await?;
        session.output.one(&wire::WholeFile {
            file: wire::FileEntry::from(&file),
            counts: counts.into(),
        })
    }
}
