//! Audit events of commands: a command that changes what an API call changes is in the audit stream, too.

use std::path::Path;
use std::sync::Arc;

use super::failure::{Failure, complain};
use super::session::Session;
use super::wire::Link;
use crate::gateway::clock::Clock;
use crate::gateway::shares::ShareView;
use crate::model::file::FileRecord;
use crate::model::id::OrganizationId;
use crate::model::key::ApiKey;
use crate::model::revocation::LinkId;
use crate::model::time::UnixSeconds;
use crate::telemetry::audit::{Direct, Event};

/// Records what a command did.
pub(super) struct Recorder {
    /// The open file, if there is to be one.
    file: Option<Direct>,
    clock: Arc<dyn Clock>,
    command: &'static str,
}

impl Recorder {
    /// Opens the file that `audit.file` names, before anything is done: what cannot be recorded is not
    /// begun.
    pub(super) fn open(session: &Session, command: &'static str) -> Result<Self, Failure> {
        let path = session.config.audit.file.as_deref();
        let open = |path: &Path| {
            let failed = |error| format!("audit.file: {}: {error}", path.display());
            Direct::open(path).map_err(|error| Failure::Usage(failed(error)))
        };
        Ok(Self {
            file: path.map(open).transpose()?,
            clock: Arc::clone(&session.clock),
            command,
        })
    }

    /// Records one event. It happened already, so a file that does not take it is complained about.
    pub(super) fn record(&mut self, event: &Event<'_>) {
        let event = Event {
            time: self.clock.unix_millis(),
            command: Some(self.command),
            ..*event
        };
        if let Some(file) = &mut self.file
            && let Err(error) = file.record(&event)
        {
            complain(&format!("audit.file: a line was not written: {error}"));
        }
    }

    /// A signed URL was minted.
    pub(super) fn minted(&mut self, organization: &OrganizationId, link: &Link) {
        self.record(&Event {
            event: "mint",
            organization_id: Some(organization.as_str()),
            file_id: Some(&link.file_id),
            link_id: Some(&link.link_id),
            kid: Some(&link.kid),
            expires: Some(link.expires),
            ..Event::default()
        });
    }

    /// A file was stored, or registered where it lies.
    pub(super) fn uploaded(&mut self, file: &FileRecord) {
        self.record(&Event {
            event: "upload",
            organization_id: Some(file.organization.as_str()),
            file_id: Some(file.id.as_str()),
            size_bytes: Some(file.size),
            ..Event::default()
        });
    }

    /// A file was deleted, or its bytes were.
    pub(super) fn deleted(&mut self, file: &FileRecord) {
        self.record(&Event {
            event: "delete",
            organization_id: Some(file.organization.as_str()),
            file_id: Some(file.id.as_str()),
            state: Some(file.state.as_str()),
            ..Event::default()
        });
    }

    /// A share was made or changed.
    pub(super) fn share(&mut self, event: &'static str, view: &ShareView) {
        let share = &view.share;
        self.record(&Event {
            event,
            organization_id: Some(share.organization.as_str()),
            share_id: Some(share.id.as_str()),
            link_id: view.link_id.as_ref().map(LinkId::as_str),
            kid: Some(&share.kid),
            expires: share.expires.map(UnixSeconds::get),
            state: Some(view.standing.as_str()),
            ..Event::default()
        });
    }

    /// An API key was made, or its state was changed.
    pub(super) fn api_key(&mut self, key: &ApiKey) {
        self.record(&Event {
            event: "api_key",
            organization_id: Some(key.organization.as_str()),
            api_key_id: Some(key.id.as_str()),
            state: Some(key.state.as_str()),
            ..Event::default()
        });
    }
}
