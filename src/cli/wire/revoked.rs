//! The output of `revoke`, as the API answers it; and of a share, with what its audit event has.

use serde::Serialize;

use crate::cli::output::Show;
use crate::gateway::revoke::Revoked;
use crate::gateway::shares::ShareView;
use crate::model::time::UnixSeconds;
use crate::telemetry::audit::Event;

/// The links that were revoked: one, those of a file, or those of an organization.
#[derive(Serialize)]
pub(in crate::cli) struct Revocation {
    organization_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    share_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization_epoch: Option<u64>,
    /// The file or organization whose links were all revoked, where fewer were named.
    #[serde(skip_serializing_if = "Option::is_none")]
    widened: Option<&'static str>,
    /// True if it holds, and is not written yet.
    #[serde(skip)]
    pub(in crate::cli) is_held: bool,
}

impl Revocation {
    /// Returns the event in the audit stream.
    pub(in crate::cli) fn event(&self) -> Event<'_> {
        Event {
            event: match self.share_id {
                Some(_) => "share_revoke",
                None => "revoke",
            },
            organization_id: Some(&self.organization_id),
            share_id: self.share_id.as_deref(),
            file_id: self.file_id.as_deref(),
            link_id: self.link_id.as_deref(),
            expires: self.expires,
            link_revision: self.link_revision.filter(|_| !self.is_held),
            organization_epoch: self.organization_epoch.filter(|_| !self.is_held),
            outcome: self.is_held.then_some("held"),
            ..Event::default()
        }
    }
}

impl From<Revoked> for Revocation {
    fn from(revoked: Revoked) -> Self {
        Self {
            organization_id: revoked.organization.to_string(),
            share_id: None,
            link_id: revoked.link_id.map(|link| link.to_string()),
            file_id: revoked.file.as_ref().map(ToString::to_string),
            expires: revoked.extent.expires().map(UnixSeconds::get),
            link_revision: revoked.extent.link_revision(),
            organization_epoch: revoked.extent.epoch(),
            widened: revoked.widened(),
            is_held: revoked.is_held,
        }
    }
}

impl From<&ShareView> for Revocation {
    fn from(revoked: &ShareView) -> Self {
        let share = &revoked.share;
        Self {
            organization_id: share.organization.to_string(),
            share_id: Some(share.id.to_string()),
            link_id: revoked.link_id.map(|link| link.to_string()),
            file_id: None,
            expires: share.expires.map(UnixSeconds::get),
            link_revision: None,
            organization_epoch: None,
            widened: None,
            is_held: false,
        }
    }
}

impl Show for Revocation {
    fn lines(&self) -> Vec<String> {
        let mut line = self.organization_id.clone();
        if let Some(share_id) = &self.share_id {
            return vec![format!("{line}  share {share_id}  revoked")];
        }
        if let Some(link_id) = &self.link_id {
            line += &format!("  link {link_id}");
        }
        if let Some(file_id) = &self.file_id {
            line += &format!("  {file_id}");
        }
        let ended = match (self.link_revision, self.organization_epoch) {
            (Some(revision), _) => format!("all links revoked, now at link_revision {revision}"),
            (_, Some(epoch)) => format!("all links revoked, now at organization_epoch {epoch}"),
            (None, None) => "revoked".into(),
        };
        line += &format!("  {ended}");
        if let Some(of) = self.widened {
            line += &format!(" (widened to the {of}: all links of it ended)");
        }
        vec![line]
    }
}
