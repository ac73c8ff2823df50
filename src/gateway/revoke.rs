//! Revoking: one link, all links of a file, all links of an organization.
//!
//! Each call answers once it is durable. This gateway refuses from its next request on, every other within
//! [`STALENESS_MAX`](super::revocations::STALENESS_MAX).

use super::Gateway;
use super::refusal::{FieldFault, Refusal};
use crate::catalog::{CatalogError, DENIED_LINKS_MAX};
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::LinkId;
use crate::model::time::UnixSeconds;
use crate::sign::url;
use crate::sign::verify::Attempt;

/// A link that opens nothing any more: its organization, its id, and until when the revocation is kept. From then on
/// the link is dead anyway.
pub use crate::sign::verify::RecognizedLink as RevokedLink;

impl Gateway {
    /// Revokes the link that `url` is, of `organization` if one is given. Whatever claims it has, it must be
    /// signed as a link is signed now: one whose file, organization or key was revoked is a fault of the
    /// field `download_url`, which never repeats the link. A link whose time is over is a success, with
    /// nothing to be done.
    pub async fn revoke_url(
        &self,
        organization: Option<&OrganizationId>,
        url: &str,
    ) -> Result<RevokedLink, Refusal> {
        let revocations = self.refresh_in_time().await?;
        let recognized = url::split(url).and_then(|(organization, file, query)| {
            let attempt = Attempt {
                organization,
                file,
                query,
            };
            self.keyring().recognize(&attempt, &revocations).ok()
        });
        let ours = |link: &RevokedLink| organization.is_none_or(|own| *own == link.organization);
        let link = recognized.filter(ours).ok_or_else(|| {
            let why =
                "must be a signed URL of this organization that no other revocation ended yet";
            FieldFault::missing("download_url", why)
        })?;
        if link.expires > self.clock.now() {
            self.deny(&link.organization, link.link_id, link.expires)
                .await?;
        }
        Ok(link)
    }

    /// Revokes the link of this id, of which nothing else is known: it is denied for as long as a link may
    /// live. One that is denied already stays so until the same end.
    pub async fn revoke_link(
        &self,
        organization: &OrganizationId,
        link_id: LinkId,
    ) -> Result<RevokedLink, Refusal> {
        let revocations = self.refresh_in_time().await?;
        let now = self.clock.now();
        let denied = revocations.denied_until(organization, link_id);
        let expires = match denied.filter(|end| *end > now) {
            Some(end) => end,
            None => {
                let end = now.plus(self.settings.lifetime_max);
                self.deny(organization, link_id, end).await?;
                end
            }
        };
        Ok(RevokedLink {
            organization: organization.clone(),
            link_id,
            expires,
        })
    }

    /// Revokes all links of a file, deleted or not, that were made so far. Answers the link revision with
    /// which links are signed from now on.
    pub async fn revoke_links_of_file(
        &self,
        organization: &OrganizationId,
        file: &FileId,
    ) -> Result<u64, Refusal> {
        let max = self.settings.revisions_max;
        let raising = self.catalog.raise_link_revision(organization, file, max);
        let raised = self.changing(raising).await;
        raised.map_err(|error| self.full(error))
    }

    /// Revokes all links of an organization that were made so far, and its derived keys. Answers the epoch
    /// with which links are signed from now on.
    pub async fn revoke_links_of_organization(
        &self,
        organization: &OrganizationId,
    ) -> Result<u64, Refusal> {
        let raising = self.catalog.raise_epoch(organization);
        self.ask(self.changing(raising)).await
    }

    async fn deny(
        &self,
        organization: &OrganizationId,
        link: LinkId,
        expires: UnixSeconds,
    ) -> Result<(), Refusal> {
        let deny = || {
            let denying = self
                .catalog
                .deny_link(organization, link, expires, DENIED_LINKS_MAX);
            self.changing(denying)
        };
        let mut denied = deny().await;
        if matches!(denied, Err(CatalogError::Limit { .. })) {
            // Those that are dead anyway still count, until somebody forgets them.
            let now = self.clock.now();
            self.ask(self.catalog.forget_denied(now)).await?;
            denied = deny().await;
        }
        denied.map_err(|error| self.full(error))
    }

    /// Returns the refusal of an error of the catalogue: a limit names the way out.
    fn full(&self, error: CatalogError) -> Refusal {
        match error {
            CatalogError::Limit { what, limit } => Refusal::RevocationsFull { what, limit },
            error => self.refusal(error),
        }
    }
}
