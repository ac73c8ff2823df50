//! `hallpass rm`.

use clap::Args;

use super::audit::Recorder;
use super::failure::{Failure, complain};
use super::session::{Global, Logging, Session, expect_organization};
use super::wire;
use crate::model::id::{DEFAULT_ORGANIZATION, FileId, OrganizationId};
use crate::server::setup::SetupPolicy;

#[derive(Args, Debug)]
pub(super) struct Rm {
    /// Ids of the files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<FileId>,
    /// Organization that owns the files
    #[arg(long, value_name = "ID", default_value = DEFAULT_ORGANIZATION)]
    organization: OrganizationId,
    /// Remove the bytes at once, also of files that were deleted before; nothing brings them back
    #[arg(long)]
    purge: bool,
}

impl Rm {
    /// Deletes each file, passes over those that fail, and says which they are.
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut session = Session::begin(global, Vec::new(), Logging::Warnings)?;
        let mut recorder = Recorder::open(&session, "rm")?;
        let gateway = session.gateway(SetupPolicy::Change).await?;
        expect_organization(&gateway, &self.organization).await?;
        let mut removed = Vec::new();
        for id in &self.files {
            let done = if self.purge {
                gateway.purge(&self.organization, id).await
            } else {
                gateway.delete(&self.organization, id).await
            };
            match done {
                Ok(file) => {
                    recorder.deleted(&file);
                    removed.push(wire::Removed {
                        file_id: file.id.to_string(),
                        status: file.state.as_str(),
                    });
                }
                Err(refusal) => complain(&format!("{id}: {refusal}")),
            }
        }
        session.output.done(self.files.len(), removed)
    }
}
