//! Who is told what came to pass: the audit stream, the numbers, and the counts of links and files.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use hyper::Method;

use super::Exchange;
use super::deed::Deeds;
use super::delivery::Way;
use super::problem::Problem;
use super::route::Route;
use super::trace::{Trace, TraceId};
use crate::gateway::Gateway;
use crate::gateway::limits::Admitted;
use crate::gateway::mint::Minted;
use crate::gateway::observe::{rejection_labels, rejection_place};
use crate::gateway::principal::{Principal, Recognized};
use crate::gateway::refusal::Refusal;
use crate::model::count::Counts;
use crate::model::file::FileRecord;
use crate::model::id::{ApiKeyId, OrganizationId};
use crate::model::revocation::LinkId;
use crate::model::time::UnixSeconds;
use crate::telemetry::audit::{Audit, Event};
use crate::telemetry::metrics::{Deadline, Metrics, Outcome, Style};

/// Numbers of a gateway that begins now.
pub fn metrics(now: UnixSeconds) -> Metrics {
    Metrics::new(now.get(), rejection_labels())
}

/// Tells them.
pub(super) struct Reporter {
    gateway: Arc<Gateway>,
    pub(super) metrics: Arc<Metrics>,
    audit: Option<Audit>,
    /// The changes that are being made.
    pub(super) deeds: Deeds,
    /// Connections that have downloads.
    watched: Mutex<Vec<Weak<Way>>>,
}

/// A download that is on its way.
#[derive(Debug)]
pub(super) struct Download {
    pub(super) file: Arc<FileRecord>,
    pub(super) link: LinkId,
    pub(super) expires: UnixSeconds,
    pub(super) client: Option<IpAddr>,
    pub(super) trace_id: TraceId,
    /// HEAD, and not GET.
    pub(super) is_head: bool,
    pub(super) status: u16,
    /// True if the bytes are left to the proxy, or to the store.
    pub(super) is_handed_over: bool,
    /// True if the answer's body is the whole file, and not a range of it, or nothing.
    pub(super) is_whole_file: bool,
    /// How much of it was counted already; `None` before its beginning was.
    pub(super) counted: Option<u64>,
    /// The place that it takes among those who may, until all of it is out. Boxed, as most need none.
    pub(super) _admitted: Option<Box<Admitted>>,
}

impl Download {
    /// Whether it is one that a link and a file are counted for: HEAD and 304 carry no bytes. A client that is
    /// sent on to the store has begun one.
    const fn is_counted(&self) -> bool {
        !self.is_head && matches!(self.status, 200 | 206 | 302)
    }
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reporter(..)")
    }
}

impl Reporter {
    pub(super) fn new(gateway: Arc<Gateway>, metrics: Arc<Metrics>, audit: Option<Audit>) -> Self {
        Self {
            gateway,
            metrics,
            audit,
            deeds: Deeds::new(),
            watched: Mutex::new(Vec::new()),
        }
    }

    /// The gateway's own clock.
    pub(super) fn elapsed(&self) -> Duration {
        self.gateway.clock().elapsed()
    }

    /// Has this connection's downloads counted while they go on.
    pub(super) fn watch(&self, way: &Arc<Way>) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.push(Arc::downgrade(way));
    }

    /// Counts what was sent so far of all downloads that are on their way.
    pub(super) fn count_so_far(&self) {
        let mut alive = Vec::new();
        {
            let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
            watched.retain(|way| way.upgrade().map(|way| alive.push(way)).is_some());
        }
        for way in alive {
            way.count_so_far();
        }
    }

    /// Counts what was sent of a download since that was done last.
    pub(super) fn count(&self, download: &mut Download, sent: u64, is_whole: bool) {
        if !download.is_counted() {
            return;
        }
        let begins = download.counted.is_none();
        let bytes_sent = sent - download.counted.replace(sent).unwrap_or_default();
        if begins || bytes_sent > 0 || is_whole {
            let counts = Counts {
                downloads: u64::from(begins),
                whole: u64::from(is_whole),
                bytes_sent,
                last_at: Some(self.gateway.clock().now()),
            };
            let (link, expires) = (download.link, download.expires);
            self.gateway
                .count_download(&download.file, link, expires, counts);
        }
    }

    /// A download ended. This is where every one does.
    pub(super) fn end(&self, mut download: Download, sent: u64, due: u64, took: Duration) {
        let outcome = if download.is_handed_over {
            Outcome::HandedOver
        } else if sent < due {
            Outcome::Aborted
        } else if download.is_whole_file {
            Outcome::Whole
        } else {
            Outcome::Part
        };
        self.metrics.note_download(outcome);
        self.count(&mut download, sent, outcome == Outcome::Whole);
        self.audit(|| Event {
            event: "download",
            trace_id: Some(download.trace_id.as_str()),
            client: download.client,
            organization_id: Some(download.file.organization.as_str()),
            file_id: Some(download.file.id.as_str()),
            link_id: Some(download.link.as_str()),
            expires: Some(download.expires.get()),
            method: Some(if download.is_head { "HEAD" } else { "GET" }),
            status: Some(download.status),
            outcome: Some(outcome.as_str()),
            bytes_sent: Some(sent),
            bytes_due: Some(due),
            took_millis: Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            ..Event::default()
        });
    }

    /// A request was refused.
    pub(super) fn refused(
        &self,
        request: &Refused<'_>,
        problem: &Problem,
        status: u16,
        known: &Known,
    ) {
        match problem {
            Problem::Refused(Refusal::Link(why)) => {
                self.metrics.note_rejected(rejection_place(*why));
            }
            Problem::BodyTooSlow { .. } => self.metrics.note_deadline(Deadline::Body),
            _ => {}
        }
        let Some(audit) = &self.audit else {
            return;
        };
        let route = Route::parse(request.method, request.path).ok();
        let (organization, file) = self.logged_names(route, problem, known);
        audit.record(&Event {
            time: self.gateway.clock().unix_millis(),
            event: "refused",
            trace_id: Some(request.trace.trace_id.as_str()),
            client: known.client,
            api_key_id: known.caller.as_ref().map(|caller| caller.key.as_str()),
            organization_id: organization.as_deref(),
            file_id: file.as_deref(),
            link_id: known.link_id.as_ref().map(LinkId::as_str),
            route: route.map(|route| route.kind().as_str()),
            method: route.map(|_| request.method.as_str()),
            status: Some(status),
            reason: Some(problem.label()),
            ..Event::default()
        });
    }

    /// The organization and the file that a refused request's path names. Whoever sends a key in place of an
    /// id must not find it in the audit stream: a name is there as it was sent only where it is one of a good
    /// link, the organization of the caller's key, or a file that was found there. Of any other there are the
    /// length and a keyed hash.
    fn logged_names<'a>(
        &self,
        route: Option<Route<'a>>,
        problem: &Problem,
        known: &Known,
    ) -> (Option<Cow<'a, str>>, Option<Cow<'a, str>>) {
        let (organization, file) = route.map_or((None, None), |route| route.names());
        let is_of_a_link = known.link_id.is_some();
        let is_the_callers = |text: &str| {
            let caller = known.caller.as_ref();
            caller.is_some_and(|caller| caller.organization.as_str() == text)
        };
        // The purpose is looked at once the file is found.
        let is_found = matches!(problem, Problem::PurposeDenied);
        let logged = |text: &'a str, is_known: bool| match is_known {
            true => Cow::Borrowed(text),
            false => self.gateway.log_hash(text.as_bytes()).into(),
        };
        (
            organization.map(|text| logged(text, is_of_a_link || is_the_callers(text))),
            file.map(|text| logged(text, is_of_a_link || is_found)),
        )
    }

    /// Records an event that a request caused.
    pub(super) fn tell<'a>(
        &self,
        trace_id: TraceId,
        client: Option<IpAddr>,
        event: impl FnOnce() -> Event<'a>,
    ) {
        self.audit(|| Event {
            trace_id: Some(trace_id.as_str()),
            client,
            ..event()
        });
    }

    /// Records an event, if there is a stream; its time is now.
    fn audit<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        if let Some(audit) = &self.audit {
            let time = self.gateway.clock().unix_millis();
            audit.record(&Event { time, ..event() });
        }
    }
}

/// What was asked for by a request that was refused.
pub(super) struct Refused<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) trace: &'a Trace,
}

/// Who calls, once an API key or an app's signature says so.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) key: ApiKeyId,
    pub(super) organization: OrganizationId,
}

/// What is known of who asks.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) client: Option<IpAddr>,
    pub(super) caller: Option<Caller>,
    pub(super) link_id: Option<LinkId>,
}

impl Exchange<'_> {
    /// Finds out who calls, for the audit stream to name the key whatever becomes of the call.
    pub(super) async fn authenticate(&self, key: &str) -> Result<Principal, Refusal> {
        let recognized = self.gateway.recognize(key).await?;
        self.admit(recognized)
    }

    /// Lets a caller in, and notes its key before: whoever is refused for calling too often is named, too.
    pub(super) fn admit(&self, recognized: Recognized) -> Result<Principal, Refusal> {
        // The first one is the only one.
        let _ = self.caller.set(Caller {
            key: recognized.key().clone(),
            organization: recognized.organization().clone(),
        });
        self.gateway.limits().admit_caller(recognized)
    }

    /// A signed URL was minted. `koodrive_user`: for whom, as a KooDrive caller says, whose users nobody here
    /// knows: the audit stream has the length and a keyed hash.
    pub(super) fn tell_minted(
        &self,
        style: Style,
        caller: &Principal,
        minted: &Minted,
        koodrive_user: Option<&str>,
    ) {
        self.reporter.metrics.note_minted(style);
        let user = koodrive_user.map(|user| self.gateway.log_hash(user.as_bytes()));
        self.tell(|| Event {
            event: "mint",
            koodrive_user_id: user.as_deref(),
            api_key_id: Some(caller.key.as_str()),
            organization_id: Some(minted.file.organization.as_str()),
            file_id: Some(minted.file.id.as_str()),
            link_id: Some(minted.link_id.as_str()),
            kid: Some(minted.kid.as_str()),
            expires: Some(minted.expires.get()),
            ..Event::default()
        });
    }

    /// A proxy was told that a link opens a file.
    pub(super) fn tell_verified(&self, file: &FileRecord, link: LinkId) {
        self.tell(|| Event {
            event: "verify",
            organization_id: Some(file.organization.as_str()),
            file_id: Some(file.id.as_str()),
            link_id: Some(link.as_str()),
            ..Event::default()
        });
    }

    fn tell<'a>(&'a self, event: impl FnOnce() -> Event<'a>) {
        self.reporter.tell(self.trace.trace_id, self.client, event);
    }
}
