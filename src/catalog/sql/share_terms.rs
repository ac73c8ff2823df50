//! The terms of a share, under which its downloads are started: read where they are, whatever a gateway has in memory.

use super::fault::Fault;
use super::rows;
use super::session::{Session, query};
use crate::catalog::redemptions::Redeem;
use crate::model::id::{OrganizationId, ShareId};
use crate::model::time::UnixSeconds;

const FIND: &str = "SELECT CAST(CASE WHEN state = 'active' AND share.epoch = organization.epoch THEN 1 ELSE 0 END \
     AS bigint) AS is_active, allowed, expires, not_before, pass_revision \
     FROM share JOIN organization ON organization.id = share.organization \
     WHERE share.organization = $1 AND share.id = $2";

/// What the row of a share says of its downloads.
pub(super) struct ShareTerms {
    /// True if it is neither paused nor revoked, nor was its organization.
    pub(super) is_active: bool,
    /// The largest number where it is not said.
    pub(super) allowed: u64,
    /// Its end.
    pub(super) expires: Option<UnixSeconds>,
    not_before: Option<UnixSeconds>,
    pass_revision: u64,
}

impl ShareTerms {
    /// Returns whether the download may be started, its end and how many there are left aside.
    pub(super) fn let_start(&self, of: &Redeem) -> bool {
        let has_begun = self.not_before.is_none_or(|begin| begin <= of.now);
        self.is_active && has_begun && of.pass_revision == Some(self.pass_revision)
    }
}

/// Reads the terms of a share, if it is there.
pub(super) async fn find(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    share: &ShareId,
) -> Result<Option<ShareTerms>, Fault> {
    let find = query(FIND).bind(organization).bind(share);
    let found = session.optional(find, |row| {
        Ok(ShareTerms {
            is_active: rows::number(row, "is_active")? == 1,
            allowed: rows::optional_number(row, "allowed")?.unwrap_or(u64::MAX),
            expires: rows::optional(row, "expires", rows::unix_seconds)?,
            not_before: rows::optional(row, "not_before", rows::unix_seconds)?,
            pass_revision: rows::number(row, "pass_revision")?,
        })
    });
    found.await
}
