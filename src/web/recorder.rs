//! The recorder of requests: the access log, the metrics, the audit stream, and the counts of links and files. All
//! of them are told here and nowhere else.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::access_log::AccessRecord;
use super::dialects::ApiDialect;
use super::download_watcher::{DownloadWatcher, EndedDownload};
use super::problem::Problem;
use super::route::Route;
use super::trace::TraceId;
use crate::gateway::Gateway;
use crate::gateway::archives::Archive;
use crate::gateway::limits::Admitted;
use crate::gateway::mint::Minted;
use crate::gateway::observe::{rejection_labels, rejection_place};
use crate::gateway::principal::Principal;
use crate::gateway::recheck::{InForce, Recheck, RunningShare};
use crate::gateway::redeem::{RunningAnswer, Started};
use crate::gateway::refusal::Refusal;
use crate::model::count::Counts;
use crate::model::file::FileRecord;
use crate::model::id::{ApiKeyId, FileId, OrganizationId};
use crate::model::name::FileName;
use crate::model::revocation::LinkId;
use crate::model::time::UnixSeconds;
use crate::telemetry::audit::{Audit, Event};
use crate::telemetry::metrics::{Deadline, Metrics, Outcome, Style};

/// Returns the metrics of a gateway that begins now.
pub fn metrics(now: UnixSeconds) -> Metrics {
    Metrics::new(now.get(), rejection_labels())
}

/// The recorder of all requests of a gateway.
pub(super) struct RequestRecorder {
    gateway: Arc<Gateway>,
    pub(super) metrics: Arc<Metrics>,
    audit: Option<Audit>,
    watcher: Option<Arc<dyn DownloadWatcher>>,
}

/// The recorder of one request's events: each names the request and its client.
#[derive(Clone, Copy)]
pub(super) struct EventRecorder<'a> {
    recorder: &'a RequestRecorder,
    pub(super) trace_id: TraceId,
    client: Option<IpAddr>,
}

/// What is downloaded.
#[derive(Clone)]
pub(super) enum Downloaded {
    /// A file.
    File(Arc<FileRecord>),
    /// An archive of several files, and the name that it is saved under.
    Archive(Arc<Archive>, FileName),
}

impl Downloaded {
    fn organization(&self) -> &OrganizationId {
        match self {
            Self::File(file) => &file.organization,
            Self::Archive(archive, _) => archive.organization(),
        }
    }

    fn file(&self) -> Option<&FileId> {
        match self {
            Self::File(file) => Some(&file.id),
            Self::Archive(..) => None,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::File(file) => file.name.as_str(),
            Self::Archive(_, name) => name.as_str(),
        }
    }
}

/// A download that is on its way.
pub(super) struct TrackedDownload {
    pub(super) what: Downloaded,
    pub(super) link: LinkId,
    /// The share that it is of, if it is one: its link id is in `link`. Boxed, as most are of none.
    pub(super) share: Option<Box<RunningShare>>,
    /// The signing key and the counters that the link was verified with.
    pub(super) in_force: InForce,
    pub(super) expires: UnixSeconds,
    pub(super) client: Option<IpAddr>,
    pub(super) trace_id: TraceId,
    /// HEAD, and not GET.
    pub(super) is_head: bool,
    pub(super) status: u16,
    /// True if the bytes are left to the proxy, or to the store.
    pub(super) is_handed_over: bool,
    /// True if the answer's body is all of it, and not a range, or nothing.
    pub(super) is_whole: bool,
    /// The bytes of it that were counted already; `None` before its beginning was.
    pub(super) counted: Option<u64>,
    /// The ticket that it came by, of a counted download. Boxed, as most are none.
    pub(super) ticket: Option<Box<RunningAnswer>>,
    /// Its permit among the downloads that there may be, until all of it is out. Boxed, as most need none.
    pub(super) _admitted: Option<Box<Admitted>>,
}

impl TrackedDownload {
    /// Returns whether its link was revoked since it began, or the signing key of its ticket was retired.
    pub(super) fn is_revoked(&self, recheck: &Recheck) -> bool {
        let ticket = self.ticket.as_ref();
        let of = (self.what.organization(), self.what.file());
        recheck.is_revoked(of, self.link, &self.in_force)
            || ticket.is_some_and(|ticket| recheck.is_retired(ticket.kid()))
    }

    /// Returns the share that it is of, if it is one.
    pub(super) fn share(&self) -> Option<&RunningShare> {
        self.share.as_deref()
    }

    /// Returns whether a link and a file count it: HEAD and 304 carry no bytes. A client that is sent on to the
    /// store has begun one.
    const fn is_counted(&self) -> bool {
        !self.is_head && matches!(self.status, 200 | 206 | 302)
    }
}

impl RequestRecorder {
    pub(super) const fn new(
        gateway: Arc<Gateway>,
        metrics: Arc<Metrics>,
        audit: Option<Audit>,
        watcher: Option<Arc<dyn DownloadWatcher>>,
    ) -> Self {
        Self {
            gateway,
            metrics,
            audit,
            watcher,
        }
    }

    /// Returns what the links of downloads that are under way are held against.
    pub(super) fn recheck(&self) -> Recheck {
        self.gateway.recheck()
    }

    /// Returns the time by the gateway's own clock.
    pub(super) fn elapsed(&self) -> Duration {
        self.gateway.clock().elapsed()
    }

    /// Returns the recorder of a request's events.
    pub(super) const fn of(&self, trace_id: TraceId, client: Option<IpAddr>) -> EventRecorder<'_> {
        EventRecorder {
            recorder: self,
            trace_id,
            client,
        }
    }

    /// Records a request that has its answer. It came in at `begun`.
    pub(super) fn answered(&self, record: &AccessRecord<'_>, begun: Duration) {
        let took = || self.elapsed().saturating_sub(begun);
        record.log(&self.gateway, took);
        let status = record.status.as_u16();
        self.metrics.note_answered(record.route, status);
        if let Some(problem) = record.problem {
            self.refused(record, problem);
        }
    }

    fn refused(&self, record: &AccessRecord<'_>, problem: &Problem) {
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
        let route = record.matched.for_method(record.method).ok();
        let (organization, file) = self.logged_names(route, problem, record);
        audit.record(&Event {
            time: self.gateway.clock().unix_millis(),
            event: "refused",
            trace_id: Some(record.trace.trace_id.as_str()),
            client: record.client,
            api_key_id: record.caller.map(|caller| caller.key.as_str()),
            organization_id: organization.as_deref(),
            file_id: file.as_deref(),
            link_id: record.link_id.as_ref().map(LinkId::as_str),
            route: route.map(|route| route.kind().as_str()),
            method: route.map(|_| record.method.as_str()),
            status: Some(record.status.as_u16()),
            reason: Some(problem.label()),
            ..Event::default()
        });
    }

    /// Returns the organization and the file that a refused request's path names. A client that sends a key in
    /// place of an id must not find it in the audit stream: a name is there as it was sent only where it is one of
    /// a good link, the organization of the caller's key, or a file that was found there. Of any other there are
    /// the length and a keyed hash.
    fn logged_names<'a>(
        &self,
        route: Option<Route<'a>>,
        problem: &Problem,
        record: &AccessRecord<'_>,
    ) -> (Option<Cow<'a, str>>, Option<Cow<'a, str>>) {
        let (organization, file) = route.map_or((None, None), |route| route.names());
        let is_of_a_link = record.link_id.is_some();
        let is_the_callers = |text: &str| {
            let caller = record.caller;
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

    /// Counts what was sent of a download since that was done last; `ended`, if it has come to that.
    pub(super) fn count(&self, download: &mut TrackedDownload, sent: u64, ended: Option<Outcome>) {
        let is_whole = ended == Some(Outcome::Whole);
        if !download.is_counted() {
            return;
        }
        let begins = download.counted.is_none();
        let bytes_sent = sent - download.counted.replace(sent).unwrap_or(0);
        if begins || bytes_sent > 0 || is_whole {
            let now = self.gateway.clock().now();
            let counts = Counts {
                downloads: u64::from(begins),
                whole: u64::from(is_whole),
                bytes_sent,
                last_at: Some(now),
            };
            if let Some(mut ticket) = download.ticket.take_if(|_| bytes_sent > 0) {
                match ended {
                    Some(_) => ticket.end(bytes_sent, now),
                    None => {
                        ticket.note_sent(bytes_sent, now);
                        download.ticket = Some(ticket);
                    }
                }
            }
            // An archive counts for its share, and for none of its files.
            if let Downloaded::File(file) = &download.what {
                let (link, expires) = (download.link, download.expires);
                self.gateway.count_download(file, link, expires, counts);
            }
            if let Some(share) = &download.share {
                self.gateway
                    .count_share_download(&share.organization, &share.id, counts);
            }
        }
    }

    /// Records a download that begins.
    pub(super) fn download_begun(&self) {
        self.metrics.note_download_begun();
        if let Some(watcher) = &self.watcher {
            watcher.begun();
        }
    }

    /// Records a download that ended: every one that was begun comes by here. Of the `due` bytes of its body
    /// `sent` were. `is_revoked`: its link was revoked meanwhile, which ended it unless it was quicker.
    pub(super) fn downloaded(
        &self,
        mut download: TrackedDownload,
        sent: u64,
        due: u64,
        is_revoked: bool,
        took: Duration,
    ) {
        let outcome = if download.is_handed_over {
            Outcome::HandedOver
        } else if sent < due {
            match is_revoked {
                true => Outcome::Revoked,
                false => Outcome::Aborted,
            }
        } else if download.is_whole {
            Outcome::Whole
        } else {
            Outcome::Part
        };
        self.metrics.note_download(outcome);
        self.count(&mut download, sent, Some(outcome));
        if let Some(watcher) = &self.watcher {
            watcher.ended(&EndedDownload {
                name: download.what.name(),
                client: download.client,
                outcome,
                sent,
                due,
                took,
            });
        }
        self.audit(|| Event {
            event: "download",
            trace_id: Some(download.trace_id.as_str()),
            client: download.client,
            organization_id: Some(download.what.organization().as_str()),
            file_id: download.what.file().map(FileId::as_str),
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

    /// Records an event, if there is a stream; its time is now.
    fn audit<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        if let Some(audit) = &self.audit {
            let time = self.gateway.clock().unix_millis();
            audit.record(&Event { time, ..event() });
        }
    }
}

impl EventRecorder<'_> {
    /// Returns a text of a caller's as the audit stream has it; `None` where there is no stream.
    pub(super) fn audited_hash(&self, text: &str) -> Option<String> {
        let audit = self.recorder.audit.as_ref();
        audit.map(|_| self.recorder.gateway.log_hash(text.as_bytes()))
    }

    /// Records a signed URL that was minted in this dialect. `koodrive_user`: for whom, as a KooDrive caller says,
    /// whose users nobody here knows: their [`EventRecorder::audited_hash`].
    pub(super) fn minted(
        &self,
        dialect: ApiDialect,
        caller: &Principal,
        minted: &Minted,
        koodrive_user: Option<&str>,
    ) {
        self.recorder.metrics.note_minted(match dialect {
            ApiDialect::Aitronos => Style::Aitronos,
            ApiDialect::Qoder => Style::Qoder,
            ApiDialect::KooDrive => Style::Koodrive,
        });
        self.record(|| Event {
            event: "mint",
            koodrive_user_id: koodrive_user,
            api_key_id: Some(caller.key.as_str()),
            organization_id: Some(minted.file.organization.as_str()),
            file_id: Some(minted.file.id.as_str()),
            link_id: Some(minted.link_id.as_str()),
            kid: Some(minted.kid.as_str()),
            expires: Some(minted.expires.get()),
            ..Event::default()
        });
    }

    /// Records that a proxy was told that a link opens a file.
    pub(super) fn verified(&self, file: &FileRecord, link: LinkId) {
        self.record(|| Event {
            event: "verify",
            organization_id: Some(file.organization.as_str()),
            file_id: Some(file.id.as_str()),
            link_id: Some(link.as_str()),
            ..Event::default()
        });
    }

    /// Records a counted download that was started.
    pub(super) fn redeemed(&self, started: &Started) {
        self.record(|| Event {
            event: "redeem",
            organization_id: Some(started.organization.as_str()),
            file_id: started.file.as_ref().map(FileId::as_str),
            link_id: Some(started.link.as_str()),
            expires: Some(started.expires.get()),
            ..Event::default()
        });
    }

    /// Records a file that was stored.
    pub(super) fn uploaded(&self, file: &FileRecord) {
        self.recorder.metrics.note_uploaded(file.size);
        self.record(|| Event {
            event: "upload",
            api_key_id: file.uploaded_by.as_ref().map(ApiKeyId::as_str),
            organization_id: Some(file.organization.as_str()),
            file_id: Some(file.id.as_str()),
            size_bytes: Some(file.size),
            ..Event::default()
        });
    }

    /// Records that links were revoked; the event says which.
    pub(super) fn revoked(&self, caller: &Principal, which: Event<'_>) {
        self.record(|| Event {
            event: "revoke",
            api_key_id: Some(caller.key.as_str()),
            organization_id: Some(caller.organization.as_str()),
            ..which
        });
    }

    /// Records what was done with a share.
    pub(super) fn shared(&self, caller: &Principal, which: Event<'_>) {
        self.record(|| Event {
            api_key_id: Some(caller.key.as_str()),
            organization_id: Some(caller.organization.as_str()),
            ..which
        });
    }

    /// Records that a file was deleted.
    pub(super) fn deleted(&self, caller: &Principal, file: &FileId) {
        self.record(|| Event {
            event: "delete",
            api_key_id: Some(caller.key.as_str()),
            organization_id: Some(caller.organization.as_str()),
            file_id: Some(file.as_str()),
            ..Event::default()
        });
    }

    fn record<'a>(&'a self, event: impl FnOnce() -> Event<'a>) {
        self.recorder.audit(|| Event {
            trace_id: Some(self.trace_id.as_str()),
            client: self.client,
            ..event()
        });
    }
}
