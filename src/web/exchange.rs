//! One request, as those who answer it see it.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use hyper::http::request::Parts;

use super::Settings;
use super::dialects::koodrive::budget::BodyBudget;
use super::head::Heads;
use super::received::Received;
use super::report::{Caller, Reporter};
use super::trace::Trace;
use crate::gateway::Gateway;
use crate::gateway::mint::Minted;
use crate::gateway::principal::Principal;
use crate::telemetry::metrics;

/// One request and what it is answered with.
pub(super) struct Exchange<'a> {
    pub(super) gateway: &'a Arc<Gateway>,
    pub(super) settings: &'a Settings,
    pub(super) heads: &'a Heads,
    pub(super) request: &'a Parts,
    pub(super) body: &'a mut Received,
    pub(super) trace: &'a Trace,
    pub(super) reporter: &'a Arc<Reporter>,
    /// The memory that bodies may take before it is known who signed them.
    pub(super) signed_bodies: &'a BodyBudget,
    pub(super) client: Option<IpAddr>,
    /// Who calls, once that is known.
    pub(super) caller: OnceLock<Caller>,
}

impl Exchange<'_> {
    /// The query as sent, without its `?`.
    pub(super) fn query(&self) -> &str {
        self.request.uri.query().unwrap_or_default()
    }

    /// Says in the log, and wherever else that is told, who minted what. The link itself is not said.
    pub(super) fn log_minted(&self, style: metrics::Style, caller: &Principal, minted: &Minted) {
        self.tell_minted(style, caller, minted, None);
        tracing::info!(
            target: "hallpass::web",
            trace_id = self.trace.trace_id.as_str(),
            link_id = %minted.link_id,
            kid = %minted.kid,
            api_key_id = %caller.key,
            organization_id = %minted.file.organization,
            file_id = %minted.file.id,
            expires = minted.expires.get(),
            "minted a signed URL"
        );
    }
}
