//! The output of `revoke`, as the API answers it.

use serde::Serialize;

use crate::cli::output::Show;
use crate::gateway::revoke::RevokedLink;
use crate::model::id::{FileId, OrganizationId};
use crate::telemetry::audit::Event;

/// The links that were revoked.
#[derive(Serialize)]
#[serde(untagged)]
pub(in crate::cli) enum Revocation {
    /// One link.
    Link {
        organization_id: String,
        link_id: String,
        expires: u64,
    },
    /// All links of a file, signed with an earlier revision.
    File {
        organization_id: String,
        file_id: String,
        link_revision: u64,
    },
    /// All links of an organization, signed in an earlier epoch.
    Organization {
        organization_id: String,
        organization_epoch: u64,
    },
}

impl Revocation {
    pub(in crate::cli) fn file(
        organization: &OrganizationId,
        file: &FileId,
        link_revision: u64,
    ) -> Self {
        Self::File {
            organization_id: organization.to_string(),
            file_id: file.to_string(),
            link_revision,
        }
    }

    pub(in crate::cli) fn organization(
        organization: &OrganizationId,
        organization_epoch: u64,
    ) -> Self {
        Self::Organization {
            organization_id: organization.to_string(),
            organization_epoch,
        }
    }

    /// Returns the subject's name in the audit stream.
    pub(in crate::cli) fn event(&self) -> Event<'_> {
        let event = Event {
            event: "revoke",
            ..Event::default()
        };
        match self {
            Self::Link {
                organization_id,
                link_id,
                expires,
            } => Event {
                organization_id: Some(organization_id),
                link_id: Some(link_id),
                expires: Some(*expires),
                ..event
            },
            Self::File {
                organization_id,
                file_id,
                link_revision,
            } => Event {
                organization_id: Some(organization_id),
                file_id: Some(file_id),
                link_revision: Some(*link_revision),
                ..event
            },
            Self::Organization {
                organization_id,
                organization_epoch,
            } => Event {
                organization_id: Some(organization_id),
                organization_epoch: Some(*organization_epoch),
                ..event
            },
        }
    }
}

impl From<RevokedLink> for Revocation {
    fn from(link: RevokedLink) -> Self {
        Self::Link {
            organization_id: link.organization.to_string(),
            link_id: link.link_id.to_string(),
            expires: link.expires.get(),
        }
    }
}

impl Show for Revocation {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            Self::Link {
                organization_id,
                link_id,
                ..
            } => format!("{organization_id}  link {link_id}  revoked"),
            Self::File {
                organization_id,
                file_id,
                link_revision,
            } => format!(
                "{organization_id}  {file_id}  all links revoked, now at link_revision {link_revision}"
            ),
            Self::Organization {
                organization_id,
                organization_epoch,
            } => format!(
                "{organization_id}  all links revoked, now at organization_epoch {organization_epoch}"
            ),
        }]
    }
}
