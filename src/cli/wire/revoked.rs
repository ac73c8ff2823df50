//! The output of `revoke`, as the API answers it.

use serde::Serialize;

use crate::cli::output::Show;
use crate::gateway::revoke::RevokedLink;
use crate::model::id::{FileId, OrganizationId};
use crate::telemetry::audit::Event;

/// The links of an organization that were revoked.
#[derive(Serialize)]
pub(in crate::cli) struct Revocation {
    organization_id: String,
    #[serde(flatten)]
    links: RevokedLinks,
}

#[derive(Serialize)]
#[serde(untagged)]
enum RevokedLinks {
    /// One link.
    One { link_id: String, expires: u64 },
    /// All links of a file, signed with an earlier revision.
    OfFile { file_id: String, link_revision: u64 },
    /// All links, signed in an earlier epoch.
    All { organization_epoch: u64 },
}

impl Revocation {
    pub(in crate::cli) fn file(
        organization: &OrganizationId,
        file: &FileId,
        link_revision: u64,
    ) -> Self {
        let file_id = file.to_string();
        let links = RevokedLinks::OfFile {
            file_id,
            link_revision,
        };
        Self::new(organization, links)
    }

    pub(in crate::cli) fn organization(
        organization: &OrganizationId,
        organization_epoch: u64,
    ) -> Self {
        Self::new(organization, RevokedLinks::All { organization_epoch })
    }

    fn new(organization: &OrganizationId, links: RevokedLinks) -> Self {
        let organization_id = organization.to_string();
        Self {
            organization_id,
            links,
        }
    }

    /// Returns the event in the audit stream.
    pub(in crate::cli) fn event(&self) -> Event<'_> {
        let event = Event {
            event: "revoke",
            organization_id: Some(&self.organization_id),
            ..Event::default()
        };
        match &self.links {
            RevokedLinks::One { link_id, expires } => Event {
                link_id: Some(link_id),
                expires: Some(*expires),
                ..event
            },
            RevokedLinks::OfFile {
                file_id,
                link_revision,
            } => Event {
                file_id: Some(file_id),
                link_revision: Some(*link_revision),
                ..event
            },
            RevokedLinks::All { organization_epoch } => Event {
                organization_epoch: Some(*organization_epoch),
                ..event
            },
        }
    }
}

impl From<RevokedLink> for Revocation {
    fn from(link: RevokedLink) -> Self {
        let links = RevokedLinks::One {
            link_id: link.link_id.to_string(),
            expires: link.expires.get(),
        };
        Self::new(&link.organization, links)
    }
}

impl Show for Revocation {
    fn lines(&self) -> Vec<String> {
        let what = match &self.links {
            RevokedLinks::One { link_id, .. } => format!("link {link_id}  revoked"),
            RevokedLinks::OfFile {
                file_id,
                link_revision,
            } => {
                format!("{file_id}  all links revoked, now at link_revision {link_revision}")
            }
            RevokedLinks::All { organization_epoch } => {
                format!("all links revoked, now at organization_epoch {organization_epoch}")
            }
        };
        vec![format!("{}  {what}", self.organization_id)]
    }
}
