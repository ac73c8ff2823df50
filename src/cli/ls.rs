//! `hallpass ls`.

use clap::Args;

use super::failure::Failure;
use super::session::{Global, Logging, Session, expect_organization};
use super::{value_parsers, wire};
use crate::model::file::Purpose;
use crate::model::id::{DEFAULT_ORGANIZATION, OrganizationId, SpaceId};
use crate::server::setup::SetupPolicy;

/// The rows of one page.
const PAGE_ROWS: u32 = 500;

#[derive(Args, Debug)]
pub(super) struct Ls {
    /// Organization whose files are listed
    #[arg(long, value_name = "ID", default_value = DEFAULT_ORGANIZATION)]
    organization: OrganizationId,
    /// List the files of this space only
    #[arg(long, value_name = "ID")]
    space: Option<SpaceId>,
    /// List the files of this purpose only
    #[arg(long, value_name = "PURPOSE", value_parser = value_parsers::purpose)]
    purpose: Option<Purpose>,
    /// List at most so many [default: all]
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
}

impl Ls {
    /// Prints page after page, and stops once nobody reads any more.
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut session = Session::begin(global, Vec::new(), Logging::Warnings)?;
        let gateway = session.gateway(SetupPolicy::Existing).await?;
        expect_organization(&gateway, &self.organization).await?;
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut last = None;
        while left > 0 && !session.output.is_gone() {
            let rows = u32::try_from(left).unwrap_or(PAGE_ROWS).min(PAGE_ROWS);
            let page = gateway
                .page_after(&self.organization, self.purpose, last.as_ref(), rows)
                .await?;
            for file in &page {
                let wanted = self.space.as_ref().is_none_or(|space| file.space == *space);
                if wanted && left > 0 {
                    left -= 1;
                    session.output.item(&wire::FileEntry::from(file))?;
                }
            }
            last = page.into_iter().next_back();
            if last.is_none() {
                break;
            }
        }
        session.output.end()
    }
}
