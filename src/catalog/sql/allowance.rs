//! The counters of counted downloads, and the lock under which they are changed.
//!
//! Whatever counts locks the allowances first, in the order of their keys. Then all that it reads of them and of
//! their downloads stays as it is, and is written back as it is worked out.

use std::collections::BTreeMap;

use serde::Serialize;

use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::rows::{self, Row};
use super::session::{Session, Value, made, query};
use crate::catalog::counters::COUNT_MAX;
use crate::catalog::redemptions::{LAPSE_SECONDS, LAPSED_MAX, Sent};
use crate::model::id::OrganizationId;
use crate::model::redemption::{DownloadCounts, RedemptionId, RedemptionState, Subject};
use crate::model::time::UnixSeconds;

pub(in crate::catalog) const LOCK: SqlText = text!(
    "SELECT organization, subject, allowed, done, open, lapsed_bytes, bytes FROM allowance \
     WHERE organization = $1 AND subject = $2",
    [lock "UPDATE"]
);
/// Locks the allowances of downloads.
pub(in crate::catalog) const LOCK_OF: SqlText = text!(
    "SELECT organization, subject, allowed, done, open, lapsed_bytes, bytes FROM allowance \
     WHERE (organization, subject) IN (SELECT organization, subject FROM redemption WHERE rid ", [in "$1"],
    ") ORDER BY organization, subject",
    [lock "UPDATE"]
);
pub(in crate::catalog) const OF_IDS: SqlText = text!(
    "SELECT rid, organization, subject, size, bytes_sent, state, last_at, done_at FROM redemption \
     WHERE rid ", [in "$1"]
);
/// Finds open downloads that may lapse.
pub(in crate::catalog) const STALE: &str = "SELECT rid, organization, subject, size, bytes_sent, state, last_at, done_at \
     FROM redemption WHERE organization = $1 AND subject = $2 AND state = 'open' AND last_at <= $3 \
     ORDER BY last_at LIMIT $4";
pub(in crate::catalog) const SET_COUNTS: SqlText = text!(
    "UPDATE allowance SET done = new.done, open = new.open, lapsed_bytes = new.lapsed_bytes, bytes = new.bytes FROM ",
    [records "$1" organization text, subject text, done bigint, open bigint, lapsed_bytes bigint, bytes bigint],
    " WHERE allowance.organization = new.organization AND allowance.subject = new.subject"
);
pub(in crate::catalog) const SET_PROGRESS: SqlText = text!(
    "UPDATE redemption SET bytes_sent = new.bytes_sent, last_at = new.last_at, state = new.state, \
     done_at = new.done_at FROM ",
    [records "$1" rid text, bytes_sent bigint, last_at bigint, state text, done_at bigint],
    " WHERE redemption.rid = new.rid"
);
/// Finds the allowances that count other open downloads than they have.
const MISCOUNTED: &str = "SELECT subject FROM allowance WHERE organization = $1 AND open <> \
     (SELECT count(*) FROM redemption WHERE redemption.organization = allowance.organization \
     AND redemption.subject = allowance.subject AND state = 'open') ORDER BY subject";
const COUNT_ANEW: SqlText = text!(
    "UPDATE allowance SET open = (SELECT count(*) FROM redemption \
     WHERE redemption.organization = allowance.organization AND redemption.subject = allowance.subject \
     AND state = 'open') WHERE organization = $1 AND subject ", [in "$2"]
);

/// The counters of a subject, which nobody else changes until the transaction ends.
pub(super) struct Locked {
    organization: OrganizationId,
    pub(super) subject: Subject,
    /// Of a link.
    pub(super) allowed: Option<u64>,
    pub(super) counts: DownloadCounts,
    bytes: u64,
}

/// The part of a started download that changes, and what it is counted by.
pub(super) struct Progress {
    pub(super) rid: RedemptionId,
    organization: OrganizationId,
    subject: Subject,
    size: u64,
    bytes_sent: u64,
    pub(super) state: RedemptionState,
    last_at: UnixSeconds,
    done_at: Option<UnixSeconds>,
}

/// Allowances that are locked, and some of their downloads.
pub(super) struct LockedRows {
    allowances: BTreeMap<(OrganizationId, Subject), Locked>,
    pub(super) redemptions: Vec<Progress>,
    /// Downloads that are not among them: they are damaged, or their allowance is.
    pub(super) damaged: Vec<RedemptionId>,
}

impl Progress {
    /// Returns the key of its allowance.
    fn key(&self) -> (OrganizationId, Subject) {
        (self.organization.clone(), self.subject.clone())
    }

    /// An open download that its allowance does not count is damage, and nothing is made of it.
    fn expect_counted(&self, by: &Locked) -> Result<(), Fault> {
        if self.state == RedemptionState::Open && by.counts.open == 0 {
            return Err(miscounted());
        }
        Ok(())
    }

    /// Returns whether it is open, and sent nothing for so long that it may lapse.
    pub(super) fn is_stale(&self, now: UnixSeconds) -> bool {
        self.state == RedemptionState::Open && self.last_at <= now.minus(LAPSE_SECONDS)
    }

    pub(super) fn lapse(&mut self, by: &mut Locked) -> Result<(), Fault> {
        self.expect_counted(by)?;
        by.counts.lapse(self.size, self.bytes_sent);
        self.state = RedemptionState::Lapsed;
        Ok(())
    }

    /// Lapses before it is removed. One that its allowance does not count gives nothing back, and then is counted right.
    pub(super) fn lapse_at_its_end(&mut self, by: &mut Locked) {
        if self.lapse(by).is_err() {
            by.counts.add_lapsed(self.size, self.bytes_sent);
            self.state = RedemptionState::Lapsed;
        }
    }

    pub(super) fn add(&mut self, sent: &Sent, by: &mut Locked) -> Result<(), Fault> {
        self.expect_counted(by)?;
        let bytes = sent.bytes.min(COUNT_MAX.saturating_sub(self.bytes_sent));
        self.bytes_sent += bytes;
        self.last_at = self.last_at.max(sent.at);
        by.bytes = by.bytes.saturating_add(sent.bytes);
        match self.state {
            RedemptionState::Open if self.bytes_sent >= self.size => {
                by.counts.finish();
                self.state = RedemptionState::Done;
                self.done_at = Some(sent.at);
            }
            RedemptionState::Lapsed => by.counts.add_lapsed(self.size, bytes),
            RedemptionState::Open | RedemptionState::Done => {}
        }
        Ok(())
    }

    pub(super) fn reopen(&mut self, now: UnixSeconds, by: &mut Locked) {
        self.state = by.counts.reopen(self.size, self.bytes_sent);
        self.done_at = (self.state == RedemptionState::Done).then_some(now);
        self.last_at = now;
    }
}

impl LockedRows {
    /// Locks the allowances of these downloads, and reads both. Those that are not there are left out. A row that is
    /// damaged keeps none of the others from being read.
    pub(super) async fn of<'q>(
        session: &mut Session<'_>,
        rids: impl Iterator<Item = &'q RedemptionId> + Clone,
    ) -> Result<Self, Fault> {
        let rids = || -> Value<'q> { rids.clone().map(RedemptionId::as_str).collect() };
        let lock = query(LOCK_OF).bind(rids());
        let allowances = session.all(lock, |row| Ok(locked(row).ok())).await?;
        let is_one_damaged = allowances.iter().any(Option::is_none);
        let keyed = |of: Locked| ((of.organization.clone(), of.subject.clone()), of);
        let allowances: BTreeMap<_, _> = allowances.into_iter().flatten().map(keyed).collect();
        let find = query(OF_IDS).bind(rids());
        let (mut redemptions, mut damaged) = (Vec::new(), Vec::new());
        for (rid, of) in session.all(find, progress_if_whole).await? {
            match of {
                Some(of) if allowances.contains_key(&of.key()) => redemptions.push(of),
                // One that was made since, under an allowance that is not locked, is as if it were not there.
                Some(_) if !is_one_damaged => {}
                _ => damaged.push(rid),
            }
        }
        Ok(Self {
            allowances,
            redemptions,
            damaged,
        })
    }

    /// Changes each download together with its allowance. One whose change is refused stays as it is, and is among the
    /// damaged ones from then on.
    pub(super) fn each(
        &mut self,
        mut change: impl FnMut(&mut Progress, &mut Locked) -> Result<(), Fault>,
    ) {
        let (allowances, damaged) = (&mut self.allowances, &mut self.damaged);
        self.redemptions.retain_mut(|of| {
            let by = allowances.get_mut(&of.key());
            let is_changed = by.is_some_and(|by| change(of, by).is_ok());
            if !is_changed {
                damaged.push(of.rid);
            }
            is_changed
        });
    }

    /// Returns the only download, and its allowance, if it is there.
    pub(super) fn only(&mut self) -> Result<Option<(&mut Progress, &mut Locked)>, Fault> {
        if !self.damaged.is_empty() {
            return Err(Fault::damage("a counted download is damaged"));
        }
        let of = self.redemptions.first_mut();
        Ok(of.zip(self.allowances.values_mut().next()))
    }

    /// Writes the counters of the allowances.
    pub(super) async fn set_counts(&self, session: &mut Session<'_>) -> Result<(), Fault> {
        set_counts(session, self.allowances.values()).await
    }
}

/// Says that an allowance's counters are not what its rows are.
pub(super) fn miscounted() -> Fault {
    Fault::damage(
        "an allowance counts other open downloads than it has: `hallpass doctor --mend` counts them anew",
    )
}

/// Locks the allowance of a subject, if it has one.
pub(super) async fn lock(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    subject: &Subject,
) -> Result<Option<Locked>, Fault> {
    let lock = query(LOCK).bind(organization).bind(subject.as_str());
    session.optional(lock, locked).await
}

/// Has open downloads lapse that may, where no other one can be started: nothing is written before it matters.
pub(super) async fn lapse_if_full(
    session: &mut Session<'_>,
    locked: &mut Locked,
    allowed: u64,
    now: UnixSeconds,
) -> Result<(), Fault> {
    if locked.counts.left(allowed) > 0 || locked.counts.open == 0 {
        return Ok(());
    }
    let organization = locked.organization.clone();
    let subject = locked.subject.clone();
    let stale = query(STALE)
        .bind(&organization)
        .bind(subject.as_str())
        .bind(now.minus(LAPSE_SECONDS))
        .bind(LAPSED_MAX);
    let mut stale = session.all(stale, progress).await?;
    if stale.is_empty() {
        return Ok(());
    }
    for of in &mut stale {
        of.lapse(locked)?;
    }
    set_progress(session, &stale).await?;
    set_counts(session, [&*locked]).await
}

/// Writes the counters of allowances, whose number is bounded.
pub(super) async fn set_counts<'a>(
    session: &mut Session<'_>,
    allowances: impl IntoIterator<Item = &'a Locked>,
) -> Result<(), Fault> {
    let record = |of: &'a Locked| CountsRecord {
        organization: of.organization.as_str(),
        subject: of.subject.as_str(),
        done: of.counts.done.min(COUNT_MAX),
        open: of.counts.open,
        lapsed_bytes: of.counts.lapsed_bytes,
        bytes: of.bytes.min(COUNT_MAX),
    };
    let set = query(SET_COUNTS).bind(json(allowances.into_iter().map(record))?);
    session.execute(set).await.map(drop)
}

/// Writes what changes of downloads, whose number is bounded.
pub(super) async fn set_progress(
    session: &mut Session<'_>,
    redemptions: &[Progress],
) -> Result<(), Fault> {
    let record = |of: &Progress| ProgressRecord {
        rid: of.rid.to_string(),
        bytes_sent: of.bytes_sent,
        last_at: rows::stored_time(of.last_at),
        state: of.state.as_str(),
        done_at: of.done_at.map(rows::stored_time),
    };
    let set = query(SET_PROGRESS).bind(json(redemptions.iter().map(record))?);
    session.execute(set).await.map(drop)
}

/// Counts the allowances of an organization that count other open downloads than they have; with `mend` they count
/// them anew.
pub(super) async fn recount(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    mend: bool,
) -> Result<u64, Fault> {
    let mut find = made(MISCOUNTED.to_owned(), vec![organization.into()]);
    if mend {
        find.lock = " FOR UPDATE";
    }
    let wrong = session.all(find, rows::subject).await?;
    if mend && !wrong.is_empty() {
        let subjects: Value<'_> = wrong.iter().map(Subject::as_str).collect();
        let count = query(COUNT_ANEW).bind(organization).bind(subjects);
        session.execute(count).await?;
    }
    Ok(wrong.len() as u64)
}

/// Reads the counters of a row of `allowance`.
pub(super) fn counts(row: Row<'_>) -> Result<DownloadCounts, Fault> {
    Ok(DownloadCounts {
        done: rows::number(row, "done")?,
        open: rows::number(row, "open")?,
        lapsed_bytes: rows::value(row, "lapsed_bytes", Some::<i64>)?,
    })
}

fn locked(row: Row<'_>) -> Result<Locked, Fault> {
    Ok(Locked {
        organization: rows::organization_id(row, "organization")?,
        subject: rows::subject(row)?,
        allowed: rows::optional_number(row, "allowed")?,
        counts: counts(row)?,
        bytes: rows::number(row, "bytes")?,
    })
}

/// Reads a row whose other values may be damaged.
fn progress_if_whole(row: Row<'_>) -> Result<(RedemptionId, Option<Progress>), Fault> {
    Ok((rows::redemption_id(row)?, progress(row).ok()))
}

fn progress(row: Row<'_>) -> Result<Progress, Fault> {
    Ok(Progress {
        rid: rows::redemption_id(row)?,
        organization: rows::organization_id(row, "organization")?,
        subject: rows::subject(row)?,
        size: rows::number(row, "size")?,
        bytes_sent: rows::number(row, "bytes_sent")?,
        state: rows::value(row, "state", RedemptionState::parse)?,
        last_at: rows::time(row, "last_at")?,
        done_at: rows::optional(row, "done_at", rows::unix_seconds)?,
    })
}

/// The counters of one allowance, as the statement reads them.
#[derive(Serialize)]
struct CountsRecord<'a> {
    organization: &'a str,
    subject: &'a str,
    done: u64,
    open: u64,
    lapsed_bytes: i64,
    bytes: u64,
}

/// What changes of one download, as the statement reads it.
#[derive(Serialize)]
struct ProgressRecord {
    rid: String,
    bytes_sent: u64,
    last_at: i64,
    state: &'static str,
    done_at: Option<i64>,
}

/// Returns the array of objects that `[records …]` reads.
fn json<T: Serialize>(records: impl Iterator<Item = T>) -> Result<String, Fault> {
    let records: Vec<T> = records.collect();
    serde_json::to_string(&records).map_err(|error| sqlx::Error::Encode(error.into()).into())
}
