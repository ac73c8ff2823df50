//! What a request changes: done to its end, and told of, whether or not its client waits for the answer.
//!
//! A client that goes away takes its request with it, in the midst of whatever that waits for. What is being
//! committed at that moment may be committed all the same, and nobody would hear of it. So every change that
//! a request makes goes through [`Exchange::carry_out`], which does it in a task of its own, and has that task
//! tell of it. Whatever a call makes and does not commit, as a link, is told of in the very step in which it
//! is made: between the two nothing is waited for.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Exchange;
use super::report::Reporter;
use super::trace::TraceId;
use crate::gateway::principal::Principal;
use crate::gateway::refusal::Refusal;
use crate::model::file::FileRecord;
use crate::model::id::{ApiKeyId, FileId};
use crate::telemetry::audit::Event;
use crate::telemetry::panics;

/// The most changes at once, which nothing comes near.
const UNDER_WAY_MAX: u32 = 1 << 24;

/// How long the end of a gateway waits for changes whose clients are gone.
const FINISH_TIME_MAX: Duration = Duration::from_secs(5);

/// The changes that are being made.
#[derive(Debug)]
pub(super) struct Deeds(Arc<Semaphore>);

/// Tells of what one request changed, also when that request is gone.
pub(super) struct Teller {
    reporter: Arc<Reporter>,
    pub(super) trace_id: TraceId,
    client: Option<IpAddr>,
    _under_way: Option<OwnedSemaphorePermit>,
}

impl Deeds {
    pub(super) fn new() -> Self {
        // It fits into any number of places.
        let places = usize::try_from(UNDER_WAY_MAX).unwrap_or(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(places)))
    }

    /// Waits until none is under way, at most [`FINISH_TIME_MAX`]. Answers whether that is so.
    pub(super) async fn finish(&self) -> bool {
        let all = self.0.acquire_many(UNDER_WAY_MAX);
        tokio::time::timeout(FINISH_TIME_MAX, all).await.is_ok()
    }
}

impl Exchange<'_> {
    /// Makes a change, and tells of it if it was made. Dropping this future, as a client does that goes away,
    /// ends neither. A panic is a refusal.
    pub(super) async fn carry_out<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, Refusal>> + Send + 'static,
        tell: impl FnOnce(&Teller, &T) + Send + 'static,
    ) -> Result<T, Refusal> {
        let deeds = Arc::clone(&self.reporter.deeds.0);
        let teller = Teller {
            reporter: Arc::clone(self.reporter),
            trace_id: self.trace.trace_id,
            client: self.client,
            _under_way: deeds.try_acquire_owned().ok(),
        };
        let deed = tokio::spawn(async move {
            let changed = panics::caught(pin!(change)).await;
            let changed = changed.unwrap_or_else(|said| Err(Refusal::Internal(said)))?;
            tell(&teller, &changed);
            Ok(changed)
        });
        let ended = |error| Refusal::Internal(format!("making a change: {error}"));
        deed.await.map_err(ended)?
    }

    /// Deletes one of the caller's files.
    pub(super) async fn delete(&self, caller: Principal, file: FileId) -> Result<(), Refusal> {
        let gateway = Arc::clone(self.gateway);
        let (organization, id) = (caller.organization.clone(), file.clone());
        let delete = async move { gateway.delete(&organization, &id).await.map(drop) };
        self.carry_out(delete, move |teller, ()| teller.deleted(&caller, &file))
            .await
    }
}

impl Teller {
    /// A file was stored.
    pub(super) fn uploaded(&self, file: &FileRecord) {
        self.reporter.metrics.note_uploaded(file.size);
        self.tell(Event {
            event: "upload",
            api_key_id: file.uploaded_by.as_ref().map(ApiKeyId::as_str),
            organization_id: Some(file.organization.as_str()),
            file_id: Some(file.id.as_str()),
            size_bytes: Some(file.size),
            ..Event::default()
        });
    }

    /// Links were revoked; the event says which.
    pub(super) fn revoked(&self, caller: &Principal, which: Event<'_>) {
        self.tell(Event {
            event: "revoke",
            api_key_id: Some(caller.key.as_str()),
            organization_id: Some(caller.organization.as_str()),
            ..which
        });
    }

    fn deleted(&self, caller: &Principal, file: &FileId) {
        self.tell(Event {
            event: "delete",
            api_key_id: Some(caller.key.as_str()),
            organization_id: Some(caller.organization.as_str()),
            file_id: Some(file.as_str()),
            ..Event::default()
        });
    }

    fn tell(&self, event: Event<'_>) {
        self.reporter.tell(self.trace_id, self.client, || event);
    }
}
