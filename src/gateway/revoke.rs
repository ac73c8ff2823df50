//! Revoking: one link, all links of a file, all links of an organization.
//!
//! Each call answers once it is durable. This gateway refuses from its next request on, every other within
//! [`STALENESS_MAX`](super::revocations::STALENESS_MAX).
//!
//! Every gateway holds what was revoked in memory, so each organization has bounds. A revocation never fails open:
//! where an organization's list of links is full, all links of the link's file end in its place, and where its list
//! of files is, all of the organization. Only a link that is named by its id alone is refused then, as its file is not
//! known.
//!
//! Nor does a full disk keep a link open: a revocation that there is no room for, or that cannot be written for another reason
//! of the disk, holds in memory until it is written ([`Revoked::is_held`]): on this gateway and on all that hear of it. No link
//! of a file or of an organization is minted there meanwhile.

use std::sync::Arc;

use super::Gateway;
use super::refusal::{FieldFault, Refusal};
use crate::catalog::{Answer, CatalogError};
use crate::model::held_revocation::HeldRevocation;
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::{Denial, Extent, LinkId, RevocationBounds, Revocations};
use crate::sign::recognize::RecognizedLink;
use crate::sign::url::{self, SignedUrl};

/// Links that open nothing any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// The organization of the links.
    pub organization: OrganizationId,
    /// The link that was to end, if it was one.
    pub link_id: Option<LinkId>,
    /// The file whose links were to end, or that of the link where more than that ended.
    pub file: Option<FileId>,
    /// The links that ended. Where this is held, with the epoch or the link revision of before: the next is not known yet.
    pub extent: Extent,
    /// True if this holds in memory, as there was no room to write it yet.
    pub is_held: bool,
}

impl Revoked {
    /// Returns of what all links ended, where fewer were meant: `file` or `organization`.
    pub const fn widened(&self) -> Option<&'static str> {
        match (self.extent, &self.link_id, &self.file) {
            (Extent::File { .. }, Some(_), _) => Some("file"),
            (Extent::Organization { .. }, Some(_), _)
            | (Extent::Organization { .. }, _, Some(_)) => Some("organization"),
            _ => None,
        }
    }
}

/// On whose word links are revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoker {
    /// An API key's, within the bounds of its organization.
    Organization,
    /// The operator's, who has `links.revoke_reserve` more room.
    Operator,
}

impl Gateway {
    /// Revokes the link that `url` is, of `organization` if one is given. Whatever claims it has, it must be signed with a
    /// key of ours that is in use: else it is a fault of the field `download_url`, which never repeats the link. A link
    /// whose time is over is a success, with nothing to be done, and so is one that is revoked already, be it alone,
    /// with its file or with its organization, unless many more revocations of those followed.
    pub async fn revoke_url(
        &self,
        organization: Option<&OrganizationId>,
        url: &str,
        by: Revoker,
    ) -> Result<Revoked, Refusal> {
        let (link, ended) = self.recognized(organization, url).await?.ok_or_else(|| {
            let why =
                "must be a signed URL of this organization that no other revocation ended yet";
            FieldFault::missing("download_url", why)
        })?;
        let expires = link.expires;
        let denial = Denial {
            organization: link.organization,
            link: link.link_id,
            expires,
            signed: Some(link.signed),
        };
        let (extent, is_held) = match (expires > self.clock.now(), ended) {
            (false, _) => (Extent::Link { expires }, false),
            (true, Some(extent)) => (extent, false),
            (true, None) => self.deny(&denial, by).await?,
        };
        let (file, extent) = match extent {
            // It may have been revoked by its id alone before, for longer than it lives.
            Extent::Link { .. } => (None, Extent::Link { expires }),
            more => (denial.signed.map(|of| of.file), more),
        };
        Ok(Revoked {
            organization: denial.organization,
            link_id: Some(denial.link),
            file,
            extent,
            is_held,
        })
    }

    /// Revokes the link, or the address of a share, of this id, of which nothing else is known: it is denied for as long as
    /// either may live. One that is denied already stays so until the same end.
    ///
    /// # Errors
    /// [`Refusal::RevocationsFull`] where the organization revoked as many links by their ids alone as it may.
    pub async fn revoke_link(
        &self,
        organization: &OrganizationId,
        link_id: LinkId,
        by: Revoker,
    ) -> Result<Revoked, Refusal> {
        let denial = Denial {
            organization: organization.clone(),
            link: link_id,
            expires: self.clock.now().plus(self.longest_lifetime()),
            signed: None,
        };
        let (extent, is_held) = self.deny(&denial, by).await?;
        Ok(Revoked {
            organization: denial.organization,
            link_id: Some(link_id),
            file: None,
            extent,
            is_held,
        })
    }

    /// Revokes all links of a file, deleted or not, that were made so far; where its organization has too many such
    /// files, all of the organization.
    pub async fn revoke_links_of_file(
        &self,
        organization: &OrganizationId,
        file: &FileId,
        by: Revoker,
    ) -> Result<Revoked, Refusal> {
        let max = self.bounds(by).files;
        let raising = self.catalog.raise_link_revision(organization, file, max);
        let asked = HeldRevocation::File {
            organization: organization.clone(),
            file: file.clone(),
        };
        let (extent, is_held) = self.write_or_hold(&asked, by, raising).await?;
        Ok(Revoked {
            organization: organization.clone(),
            link_id: None,
            file: Some(file.clone()),
            extent,
            is_held,
        })
    }

    /// Revokes all links of an organization that were made so far, and its derived keys.
    pub async fn revoke_links_of_organization(
        &self,
        organization: &OrganizationId,
        by: Revoker,
    ) -> Result<Revoked, Refusal> {
        let asked = HeldRevocation::Organization {
            organization: organization.clone(),
        };
        let raising = self.raise_epoch(organization);
        let (extent, is_held) = self.write_or_hold(&asked, by, raising).await?;
        Ok(Revoked {
            organization: organization.clone(),
            link_id: None,
            file: None,
            extent,
            is_held,
        })
    }

    /// Raises an organization's epoch.
    pub(super) fn raise_epoch<'a>(
        &'a self,
        organization: &'a OrganizationId,
    ) -> Answer<'a, Extent> {
        let raising = self.catalog.raise_epoch(organization);
        Box::pin(async move {
            let epoch = raising.await?;
            Ok(Extent::Organization { epoch })
        })
    }

    /// Waits for a change that revokes what is asked. Where nothing can be written, it holds until it is: the second part of
    /// the answer is true then. A command, whose process ends, holds it only where that outlives it.
    async fn write_or_hold(
        &self,
        asked: &HeldRevocation,
        by: Revoker,
        change: Answer<'_, Extent>,
    ) -> Result<(Extent, bool), Refusal> {
        let begun = self.held_so_far();
        let queued = self
            .changes
            .enter(Some(asked.organization().clone()))
            .await?;
        let written = self.changing(change).await;
        drop(queued);
        let cannot_write = written.as_ref().is_err_and(CatalogError::is_of_all_writes);
        let written = self.ask(std::future::ready(written)).await;
        match (written, by) {
            (Err(_), Revoker::Organization) if cannot_write => Ok((self.hold(asked).await?, true)),
            (Err(refusal), Revoker::Operator) if cannot_write => {
                let held = self.hold_elsewhere(asked).await?;
                held.map(|extent| (extent, true)).ok_or(refusal)
            }
            (written, _) => {
                let extent = written?;
                self.release_held(asked, begun).await;
                Ok((extent, false))
            }
        }
    }

    /// Returns the link that `url` is, of `organization` if one is given, and how it ended, if it did with others; `None`
    /// where it is none of this installation.
    async fn recognized(
        &self,
        organization: Option<&OrganizationId>,
        url: &str,
    ) -> Result<Option<(RecognizedLink, Option<Extent>)>, Refusal> {
        let Some(signed) = url::parse(url) else {
            return Ok(None);
        };
        let owner = match signed {
            SignedUrl::Download(link) | SignedUrl::Counted(link) => link.organization,
            SignedUrl::Ticket(ticket) => ticket.organization,
        };
        if organization.is_some_and(|own| own.as_str() != owner) {
            return Ok(None);
        }
        let known = Arc::clone(&self.current().await?.revocations);
        if let Ok(link) = self.keyring().recognize(&signed, &known) {
            return Ok(Some((link, None)));
        }
        // It may have been signed after another gateway revoked something, a moment ago.
        let known = self.refresh_in_time().await?;
        if let Ok(link) = self.keyring().recognize(&signed, &known) {
            return Ok(Some((link, None)));
        }
        let ended = self.keyring().recognize_ended(&signed, &known);
        Ok(ended.map(|link| {
            let extent = ended_by(&link, &known);
            (link, Some(extent))
        }))
    }

    /// Denies a link, or more where there is no room. Asks the catalogue for nothing where the link is denied for as long
    /// already.
    async fn deny(&self, denial: &Denial, by: Revoker) -> Result<(Extent, bool), Refusal> {
        let now = self.clock.now();
        let is_enough = |end| match denial.signed {
            Some(_) => end >= denial.expires,
            None => end > now,
        };
        let denied = self
            .current()
            .await?
            .written
            .denied_until(&denial.organization, denial.link);
        if let Some(expires) = denied.filter(|end| is_enough(*end)) {
            return Ok((Extent::Link { expires }, false));
        }
        let bounds = self.bounds(by);
        let denying = self.catalog.deny_link(denial, now, bounds);
        let asked = HeldRevocation::Link(denial.clone());
        let denied = self.write_or_hold(&asked, by, denying);
        denied.await.map_err(|refusal| match refusal {
            Refusal::Limit { what, limit } => Refusal::RevocationsFull { what, limit },
            other => other,
        })
    }

    const fn bounds(&self, by: Revoker) -> RevocationBounds {
        match by {
            Revoker::Organization => self.settings.revocation_bounds,
            Revoker::Operator => self
                .settings
                .revocation_bounds
                .with(self.settings.revoke_reserve),
        }
    }
}

/// Returns the revocation that ended a link which was signed with earlier counters.
fn ended_by(link: &RecognizedLink, known: &Revocations) -> Extent {
    let epoch = known.epoch(&link.organization);
    if link.signed.epoch < epoch {
        return Extent::Organization { epoch };
    }
    let link_revision = known.revision(&link.organization, &link.signed.file);
    Extent::File { link_revision }
}
