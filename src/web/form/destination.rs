//! The place that the files of a form go to, and how many bytes there may be.

use crate::gateway::Gateway;
use crate::gateway::refusal::Refusal;
use crate::gateway::upload::RemainingQuota;
use crate::model::id::OrganizationId;

/// The place that the files of a form go to.
pub(super) struct Destination<'a> {
    pub(super) gateway: &'a Gateway,
    /// The organization whose quota holds; `None` where the files are not to stay.
    pub(super) organization: Option<&'a OrganizationId>,
    /// The least size of the file in bytes, by the length of the body.
    pub(super) file_min: u64,
}

impl Destination<'_> {
    /// Returns the bytes that the quota leaves, of which there are `at_least` so many to come.
    pub(super) async fn remaining_quota(
        &self,
        at_least: u64,
    ) -> Result<Option<RemainingQuota>, Refusal> {
        match self.organization {
            Some(organization) => self.gateway.remaining_quota(organization, at_least).await,
            None => Ok(None),
        }
    }

    /// Returns the bytes that the quota leaves for the only file of a form, which is refused here if it is too
    /// large.
    pub(super) async fn remaining_quota_for_one(&self) -> Result<Option<RemainingQuota>, Refusal> {
        let limit = self.gateway.settings().upload_size_max;
        if self.file_min > limit {
            return Err(Refusal::TooLarge { limit });
        }
        self.remaining_quota(self.file_min).await
    }
}
