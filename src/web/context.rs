//! The context of one request: what its handlers know of it, and what they find out for its record.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

use super::access_log::{AccessRecord, Caller};
use super::body::Body;
use super::detached::DetachedOperations;
use super::dialects::ApiDialect;
use super::dialects::koodrive::budget::BodyBudget;
use super::html::PageContext;
use super::problem::Problem;
use super::recorder::{EventRecorder, RequestRecorder, TrackedDownload};
use super::reply;
use super::request_body::RequestBody;
use super::response_head::ResponseHeads;
use super::route::{Route, RouteMatch};
use super::settings::WebSettings;
use super::share::path::SharePart;
use super::texts::Language;
use super::trace::Trace;
use crate::gateway::Gateway;
use crate::gateway::mint::Minted;
use crate::gateway::principal::{Principal, Recognized};
use crate::gateway::refusal::Refusal;
use crate::model::id::FileId;
use crate::model::revocation::LinkId;
use crate::telemetry::metrics::Route as Kind;

/// The state that all requests of a gateway share.
pub(super) struct SharedState {
    pub(super) gateway: Arc<Gateway>,
    pub(super) settings: WebSettings,
    pub(super) heads: ResponseHeads,
    pub(super) recorder: Arc<RequestRecorder>,
    pub(super) operations: DetachedOperations,
    /// The memory that bodies may take before it is known who signed them.
    pub(super) signed_bodies: BodyBudget,
    /// The path in `public_base_url`, which a proxy in front may strip or leave; empty for none.
    pub(super) mount: String,
}

/// One request, from its head on.
pub(super) struct RequestContext<'a> {
    pub(super) shared: &'a SharedState,
    pub(super) request: &'a Parts,
    pub(super) body: &'a mut RequestBody,
    /// The match of its path, and so the API dialect that it is answered in.
    pub(super) matched: RouteMatch<'a>,
    pub(super) trace: Trace,
    /// The call's kind for the log and the metrics: none until its head was found good.
    pub(super) route: Kind,
    pub(super) client: Option<IpAddr>,
    /// The address that it counts as against limits.
    pub(super) counted: Option<IpAddr>,
    /// The caller, once that is known.
    pub(super) caller: OnceLock<Caller>,
    /// The link, once it is verified.
    pub(super) link_id: Option<LinkId>,
    /// The download that its answer is, for the response tracker.
    pub(super) download: Option<TrackedDownload>,
    /// The header block that its answer's head has besides the response's own headers.
    pub(super) header_block: Option<Bytes>,
    /// The page that a person is shown of a refusal, where that is more than its words. Boxed, as most have none.
    pub(super) page: Option<Box<Response<Bytes>>>,
}

impl<'a> RequestContext<'a> {
    /// Returns the context of a request whose client is not known yet.
    pub(super) fn new(
        shared: &'a SharedState,
        request: &'a Parts,
        body: &'a mut RequestBody,
        is_from_proxy: bool,
    ) -> Self {
        let matched = RouteMatch::parse(&shared.mount, request.uri.path());
        Self {
            shared,
            request,
            body,
            matched,
            trace: Trace::of(&request.headers, matched.dialect, is_from_proxy),
            route: Kind::default(),
            client: None,
            counted: None,
            caller: OnceLock::new(),
            link_id: None,
            download: None,
            header_block: None,
            page: None,
        }
    }

    pub(super) const fn gateway(&self) -> &'a Arc<Gateway> {
        &self.shared.gateway
    }

    pub(super) const fn settings(&self) -> &'a WebSettings {
        &self.shared.settings
    }

    /// Returns what pages for this client are written with. Only they look at its language.
    pub(super) fn page_context(&self) -> PageContext<'a> {
        let language = Language::of(&self.request.headers);
        PageContext::new(language, &self.settings().branding)
    }

    /// Returns the query as sent, without its `?`.
    pub(super) fn query(&self) -> &'a str {
        self.request.uri.query().unwrap_or("")
    }

    /// Returns whether this is a call of `/verify`, and there is one.
    pub(super) fn is_verify(&self) -> bool {
        self.matched.call == Some(Route::Verify) && self.settings().verify_header.is_some()
    }

    /// Returns whether the answer may be shown to the person who opened a link: a proxy passes that of `/verify`
    /// on.
    pub(super) fn is_about_a_link(&self) -> bool {
        let call = self.matched.call;
        let is_link = |route| {
            matches!(
                route,
                Route::Download(_) | Route::Redeem(_) | Route::Ticket(_) | Route::Share(_)
            )
        };
        call.is_some_and(is_link) || self.is_verify()
    }

    /// Returns whether scripts of other sites may read the answer, as far as `cors.origins` lets them: it is bytes, or
    /// what is said in their place. The page of a share is for those who open it.
    pub(super) fn is_for_scripts(&self) -> bool {
        match self.matched.call {
            Some(Route::Share(at)) => matches!(at.part, SharePart::File(_) | SharePart::Ticket(_)),
            _ => self.is_about_a_link(),
        }
    }

    /// Returns whether browsers send cookies over TLS alone: where they reach us without, they would never send such a one.
    pub(super) fn is_secure(&self) -> bool {
        let base = &self.gateway().settings().public_base_url;
        !base.starts_with("http://")
    }

    /// Returns the record of the request, which was answered so.
    pub(super) fn record<'r>(
        &'r self,
        status: StatusCode,
        problem: Option<&'r Problem>,
    ) -> AccessRecord<'r> {
        AccessRecord {
            method: &self.request.method,
            matched: self.matched,
            route: self.route,
            trace: &self.trace,
            client: self.client,
            caller: self.caller.get(),
            link_id: self.link_id,
            status,
            problem,
        }
    }

    /// Finds out who calls, for the audit stream to name the key whatever becomes of the call.
    pub(super) async fn authenticate(&self, key: &str) -> Result<Principal, Refusal> {
        let recognized = self.gateway().recognize(key).await?;
        self.admit(recognized)
    }

    /// Lets a caller in, and notes its key before: one that is refused for calling too often is named, too.
    pub(super) fn admit(&self, recognized: Recognized) -> Result<Principal, Refusal> {
        // The first one is the only one.
        let _ = self.caller.set(Caller {
            key: recognized.key().clone(),
            organization: recognized.organization().clone(),
        });
        self.gateway().limits().admit_caller(recognized)
    }

    /// Makes a change as a detached operation, and has it recorded if it was made.
    pub(super) async fn carry_out<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, Refusal>> + Send + 'static,
        record: impl FnOnce(EventRecorder<'_>, &T) + Send + 'static,
    ) -> Result<T, Refusal> {
        let recorder = Arc::clone(&self.shared.recorder);
        let (trace_id, client) = (self.trace.trace_id, self.client);
        let record = move |made: &T| record(recorder.of(trace_id, client), made);
        self.shared.operations.run(change, record).await
    }

    /// Deletes one of the caller's files.
    pub(super) async fn delete(&self, caller: Principal, file: FileId) -> Result<(), Refusal> {
        let gateway = Arc::clone(self.gateway());
        let (organization, id) = (caller.organization.clone(), file.clone());
        let delete = async move { gateway.delete(&organization, &id).await.map(drop) };
        self.carry_out(delete, move |recorder, ()| recorder.deleted(&caller, &file))
            .await
    }

    /// Returns an answer in JSON, with this request's id.
    pub(super) fn json(&self, text: Vec<u8>) -> Response<Body> {
        reply::json(StatusCode::OK, &self.trace, text)
    }

    /// Returns the recorder of this request's events.
    pub(super) fn recorder(&self) -> EventRecorder<'_> {
        self.shared.recorder.of(self.trace.trace_id, self.client)
    }

    /// Records a signed URL that was minted, and says in the log who minted what. The link itself is not said.
    pub(super) fn log_minted(&self, dialect: ApiDialect, caller: &Principal, minted: &Minted) {
        self.recorder().minted(dialect, caller, minted, None);
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
