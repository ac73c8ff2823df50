//! Counted downloads: started, done, lapsed, and started again.

use std::collections::BTreeMap;

use super::allowance::{self, Locked, LockedRows};
use super::calls::calls;
use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::redemption_rows::{allowance_for, new_ticket, redemption_for};
use super::session::{Session, SessionKind, Value, made, query};
use super::tables::Table;
use super::values::{insert, insert_new};
use super::{Database, rows, share_terms, tickets, values};
use crate::catalog::redemptions::{
    DONE_SECONDS, KEPT_SECONDS, LAPSE_SECONDS, LinkAllowance, NewTicket, REDEMPTION, Redeem,
    Redeemed, Redemptions, SENT_ADDED_MAX, Sent, SentBatch, Ticket,
};
use crate::catalog::shares::SHARE;
use crate::catalog::{Answer, expect_at_most, missing, transfer};
use crate::model::id::{FileId, OrganizationId};
use crate::model::redemption::{DownloadCounts, RedemptionId, RedemptionState};
use crate::model::revocation::LinkId;
use crate::model::time::UnixSeconds;

/// What a start is doing, in an error.
const STARTING: &str = "starting a counted download";

/// Finds the time of the open download that may lapse first.
pub(in crate::catalog) const FIRST: &str = "SELECT last_at FROM redemption \
     WHERE organization = $1 AND subject = $2 AND state = 'open' ORDER BY last_at LIMIT 1";
/// Finds the download of this id, else the client's own of that file, under that password, that is open, or was done
/// after `$6`.
pub(in crate::catalog) const SAME: &str = "SELECT rid, kid, expires FROM \
     (SELECT rid, kid, expires, 1 AS is_asked_for, opened_at FROM redemption \
     WHERE rid = $3 AND organization = $1 AND subject = $2 \
     UNION ALL SELECT rid, kid, expires, 0, opened_at FROM redemption \
     WHERE organization = $1 AND subject = $2 AND client = $4 AND expires > $5 \
     AND (state = 'open' OR done_at > $6) \
     AND pass_revision IS NOT DISTINCT FROM $7 AND file IS NOT DISTINCT FROM $8) AS found \
     ORDER BY is_asked_for DESC, opened_at DESC LIMIT 1";
const USE: &str = "UPDATE redemption SET first_at = coalesce(first_at, $3) WHERE rid = $1 AND organization = $2 \
     RETURNING first_at";
const KNOWN: &str = "SELECT expires FROM redemption WHERE rid = $1 AND organization = $2";
/// Finds the subject first, for which the index is enough: without statistics SQLite would go through all allowances of
/// the organization.
pub(in crate::catalog) const OF_LINK: &str = "SELECT allowed, done, open, bytes, allowance.expires AS expires, \
     coalesce(downloads, 0) AS downloads, last_at FROM allowance LEFT JOIN link_count \
     ON link_count.organization = allowance.organization AND link_count.link = allowance.link_id \
     WHERE allowance.organization = $1 AND subject = \
     (SELECT subject FROM allowance WHERE organization = $1 AND link_id = $2 LIMIT 1)";
/// Finds downloads whose tickets ended long ago, and that send nothing any more.
pub(in crate::catalog) const ENDED: &str = "SELECT rid FROM redemption \
     WHERE expires <= $1 AND (state <> 'open' OR last_at <= $2) ORDER BY expires LIMIT $3";
const REMOVE: SqlText = text!("DELETE FROM redemption WHERE rid ", [in "$1"]);
/// Notes a batch, unless it or a later one of its writer was noted: then no row is written. A call that notes the same batch
/// meanwhile is waited for.
const NOTE_BATCH: &str = "INSERT INTO sent_mark (writer, number, at) VALUES ($1, $2, $3) \
     ON CONFLICT (writer) DO UPDATE SET number = excluded.number, at = excluded.at \
     WHERE sent_mark.number < excluded.number";

// None of them waits for anybody: what another transaction has locked is left to the next round.

pub(in crate::catalog) const FORGET_ALLOWANCES: SqlText = text!(
    "WITH old AS (SELECT organization, subject FROM allowance WHERE expires <= $1 AND NOT EXISTS \
     (SELECT 1 FROM redemption WHERE redemption.organization = allowance.organization \
     AND redemption.subject = allowance.subject) ORDER BY expires LIMIT $2",
    [lock "UPDATE OF allowance SKIP LOCKED"],
    ") DELETE FROM allowance WHERE (organization, subject) IN (SELECT organization, subject FROM old)"
);
/// A ticket is dead from its end on, or ten minutes after its download was done: the order of `redemption_known`.
pub(in crate::catalog) const FORGET_CLIENTS: SqlText = text!(
    "WITH old AS (SELECT rid FROM redemption WHERE (client IS NOT NULL OR starter IS NOT NULL) \
     AND CASE WHEN done_at + 600 < expires THEN done_at + 600 ELSE expires END <= $1 LIMIT $2",
    [lock "UPDATE SKIP LOCKED"],
    ") UPDATE redemption SET client = NULL, starter = NULL WHERE rid IN (SELECT rid FROM old)"
);

pub(in crate::catalog) const FORGET_WRITERS: SqlText = text!(
    "WITH old AS (SELECT writer FROM sent_mark WHERE at <= $1 LIMIT $2",
    [lock "UPDATE SKIP LOCKED"],
    ") DELETE FROM sent_mark WHERE writer IN (SELECT writer FROM old)"
);

impl<D: Database> Redemptions for D {
    fn redeem<'a>(&'a self, redeem: &'a Redeem) -> Answer<'a, Redeemed> {
        Box::pin(async move {
            // The terms of a share are read first, which takes a transaction.
            if Self::IS_A_SERVER && redeem.subject.share().is_none() {
                let first = self.run(SessionKind::OneWrite, STARTING, move |session| {
                    Box::pin(start_first(session, redeem))
                });
                if let Some(started) = first.await? {
                    return Ok(started);
                }
            }
            let start = self.run_whole(STARTING, redeem.clone(), |session, redeem| {
                Box::pin(redeem_one(session, redeem))
            });
            start.await
        })
    }

    fn redemption_on_the_spot(
        &self,
        organization: &OrganizationId,
        rid: RedemptionId,
    ) -> Option<Option<Ticket>> {
        self.read_ticket_on_the_spot(organization, rid)
    }

    calls! {
        fn add_redeemed(batch: &'a SentBatch) -> Vec<RedemptionId>
            => Write, "adding what counted downloads sent", add;
        fn reopen(
            organization: &'a OrganizationId, rid: RedemptionId, now: UnixSeconds
        ) -> RedemptionState
            => Write, "starting a lapsed download again", reopen;
        fn redemption(organization: &'a OrganizationId, rid: RedemptionId) -> Option<Ticket>
            => Read, "looking for a counted download", tickets::find;
        fn first_used(
            organization: &'a OrganizationId, rid: RedemptionId, at: UnixSeconds
        ) -> UnixSeconds
            => Write, "noting that a ticket is used", first_used;
        fn allowance_of_link(organization: &'a OrganizationId, link: LinkId) -> Option<LinkAllowance>
            => Read, "looking what is left of a link", of_link;
        fn forget_redemptions(now: UnixSeconds, limit: u32) -> u64
            => Write, "forgetting counted downloads", forget;
    }
}

/// Starts the first download of a link by one statement; `None` where it takes several. Most counted links are downloaded
/// once.
async fn start_first(session: &mut Session<'_>, of: &Redeem) -> Result<Option<Redeemed>, Fault> {
    if let Some(refused) = refused_at_once(of) {
        return Ok(Some(refused));
    }
    let mut first = DownloadCounts::default();
    let state = first.begin(due(of));
    let allowance = transfer::Row::Allowance(Box::new(allowance_for(of, first)));
    let redemption = transfer::Row::Redemption(Box::new(redemption_for(of, state)));
    let (by, started) = (Table::of(allowance.kind()), Table::of(redemption.kind()));
    let text = format!(
        "WITH made AS ({} RETURNING 1) {}",
        by.insert(1),
        started.insert_for_each_of("made", by.columns().len()),
    );
    let mut values = values::all(&allowance)?;
    values.extend(values::all(&redemption)?);
    let mut insert = made(text, values);
    insert.is_kept = true;
    let left = first.left(of.allowed);
    let is_started = session.execute(insert).await? == 1;
    Ok(is_started.then_some(Redeemed::Fresh { left }))
}

async fn redeem_one(session: &mut Session<'_>, of: &Redeem) -> Result<Redeemed, Fault> {
    let Some(share) = of.subject.share() else {
        return start_or_find(session, of).await;
    };
    let terms = share_terms::find(session, &of.organization, &share).await?;
    let terms = terms.ok_or(missing(SHARE))?;
    if !terms.let_start(of) {
        return Ok(Redeemed::Expired);
    }
    let of = Redeem {
        allowed: terms.allowed,
        expires: terms.expires,
        ..of.clone()
    };
    start_or_find(session, &of).await
}

async fn start_or_find(session: &mut Session<'_>, of: &Redeem) -> Result<Redeemed, Fault> {
    if let Some(refused) = refused_at_once(of) {
        return Ok(refused);
    }
    let mut first = DownloadCounts::default();
    let state = first.begin(due(of));
    let made = transfer::Row::Allowance(Box::new(allowance_for(of, first)));
    if insert_new(session, &made).await? {
        return start(session, of, state, first).await;
    }
    let Some(mut locked) = allowance::lock(session, &of.organization, &of.subject).await? else {
        // By another clock it ended so long ago that it was forgotten in between.
        return Ok(Redeemed::Expired);
    };
    allowance::lapse_if_full(session, &mut locked, of.allowed, of.now).await?;
    let left = locked.counts.left(of.allowed);
    match same(session, of).await? {
        Some(ticket) if ticket.rid == of.ticket.rid => return Ok(Redeemed::Fresh { left }),
        Some(ticket) => return Ok(Redeemed::Same { ticket, left }),
        None => {}
    }
    if left == 0 {
        return refusal(session, of, &locked).await;
    }
    let state = locked.counts.begin(due(of));
    allowance::set_counts(session, [&locked]).await?;
    start(session, of, state, locked.counts).await
}

/// Returns why none is started, whatever was started before.
fn refused_at_once(of: &Redeem) -> Option<Redeemed> {
    let has_ended = |end: UnixSeconds| end <= of.now;
    if has_ended(of.ticket.expires) || of.expires.is_some_and(has_ended) {
        return Some(Redeemed::Expired);
    }
    (of.allowed == 0).then_some(Redeemed::Exhausted)
}

/// Returns the bytes that are to be sent until a download is done.
const fn due(of: &Redeem) -> u64 {
    match of.is_done_at_start {
        true => 0,
        false => of.size,
    }
}

/// Inserts a download that is counted already.
async fn start(
    session: &mut Session<'_>,
    of: &Redeem,
    state: RedemptionState,
    counts: DownloadCounts,
) -> Result<Redeemed, Fault> {
    let started = transfer::Row::Redemption(Box::new(redemption_for(of, state)));
    insert(session, &started, REDEMPTION).await?;
    let left = counts.left(of.allowed);
    Ok(Redeemed::Fresh { left })
}

async fn same(session: &mut Session<'_>, of: &Redeem) -> Result<Option<NewTicket>, Fault> {
    let file = of.file.as_ref().map(FileId::as_str);
    let find = query(SAME)
        .bind(&of.organization)
        .bind(of.subject.as_str())
        .bind(of.ticket.rid.as_str())
        .bind(Value::Bytes(of.client.as_ref().map(<[u8; 16]>::as_slice)))
        .bind(of.now)
        .bind(of.now.minus(DONE_SECONDS))
        .bind(of.pass_revision.map(rows::stored).transpose()?)
        .bind(Value::Text(file.map(Into::into)));
    session.optional(find, new_ticket).await
}

async fn refusal(
    session: &mut Session<'_>,
    of: &Redeem,
    locked: &Locked,
) -> Result<Redeemed, Fault> {
    if locked.counts.done >= of.allowed {
        return Ok(Redeemed::Exhausted);
    }
    let first = query(FIRST)
        .bind(&of.organization)
        .bind(of.subject.as_str());
    let first = session.optional(first, |row| rows::time(row, "last_at"));
    let first = first.await?.ok_or_else(allowance::miscounted)?;
    Ok(Redeemed::Held {
        until: first.plus(LAPSE_SECONDS),
    })
}

async fn add(session: &mut Session<'_>, batch: &SentBatch) -> Result<Vec<RedemptionId>, Fault> {
    let given = batch.sent.len();
    expect_at_most(SENT_ADDED_MAX, "records of sent bytes added at once", given)?;
    let sent = of_each(&batch.sent);
    if sent.is_empty() {
        return Ok(Vec::new());
    }
    let note = query(NOTE_BATCH)
        .bind(batch.writer.as_str())
        .bind(rows::stored(batch.number)?)
        .bind(batch.now);
    if session.execute(note).await? == 0 {
        // It was added already, and the answer was lost.
        return Ok(Vec::new());
    }
    let mut found = LockedRows::of(session, sent.keys()).await?;
    found.each(|of, by| match sent.get(&of.rid) {
        Some(sent) => of.add(sent, by),
        None => Ok(()),
    });
    allowance::set_progress(session, &found.redemptions).await?;
    found.set_counts(session).await?;
    Ok(found.damaged)
}

/// Returns what each download sent in all.
fn of_each(sent: &[Sent]) -> BTreeMap<RedemptionId, Sent> {
    let mut all: BTreeMap<RedemptionId, Sent> = BTreeMap::new();
    for sent in sent.iter().filter(|sent| sent.bytes > 0) {
        let of = all.entry(sent.rid).or_insert(Sent { bytes: 0, ..*sent });
        of.bytes = of.bytes.saturating_add(sent.bytes);
        of.at = of.at.max(sent.at);
    }
    all
}

async fn reopen(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    rid: RedemptionId,
    now: UnixSeconds,
) -> Result<RedemptionState, Fault> {
    let known = query(KNOWN).bind(rid.as_str()).bind(organization);
    let expires = session.optional(known, |row| rows::time(row, "expires"));
    let expires = expires.await?.ok_or(missing(REDEMPTION))?;
    let mut found = LockedRows::of(session, std::iter::once(&rid)).await?;
    let (of, by) = found.only()?.ok_or(missing(REDEMPTION))?;
    if of.state != RedemptionState::Lapsed || expires <= now {
        return Ok(of.state);
    }
    let allowed = match by.subject.share() {
        None => by.allowed,
        Some(share) => {
            let terms = share_terms::find(session, organization, &share).await?;
            terms.filter(|of| of.is_active).map(|of| of.allowed)
        }
    };
    let Some(allowed) = allowed else {
        return Ok(of.state);
    };
    allowance::lapse_if_full(session, by, allowed, now).await?;
    if by.counts.left(allowed) > 0 {
        of.reopen(now, by);
        allowance::set_progress(session, std::slice::from_ref(of)).await?;
        allowance::set_counts(session, [&*by]).await?;
    }
    Ok(of.state)
}

async fn first_used(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    rid: RedemptionId,
    at: UnixSeconds,
) -> Result<UnixSeconds, Fault> {
    let used = query(USE).bind(rid.as_str()).bind(organization).bind(at);
    let first = session.optional(used, |row| rows::time(row, "first_at"));
    Ok(first.await?.ok_or(missing(REDEMPTION))?)
}

async fn of_link(
    session: &mut Session<'_>,
    organization: &OrganizationId,
    link: LinkId,
) -> Result<Option<LinkAllowance>, Fault> {
    let find = query(OF_LINK).bind(organization).bind(link.as_str());
    let found = session.optional(find, |row| {
        Ok(LinkAllowance {
            allowed: rows::number(row, "allowed")?,
            done: rows::number(row, "done")?,
            open: rows::number(row, "open")?,
            downloads: rows::number(row, "downloads")?,
            bytes_sent: rows::number(row, "bytes")?,
            last_download_at: rows::optional(row, "last_at", rows::unix_seconds)?,
            expires: rows::time(row, "expires")?,
        })
    });
    found.await
}

async fn forget(session: &mut Session<'_>, now: UnixSeconds, limit: u32) -> Result<u64, Fault> {
    let before = now.minus(KEPT_SECONDS);
    let removed = remove_ended(session, before, now, limit).await?;
    let allowances = query(FORGET_ALLOWANCES).bind(before).bind(limit);
    let allowances = session.execute(allowances).await?;
    let clients = query(FORGET_CLIENTS).bind(now).bind(limit);
    let clients = session.execute(clients).await?;
    let writers = query(FORGET_WRITERS).bind(before).bind(limit);
    let writers = session.execute(writers).await?;
    Ok(removed + allowances + clients + writers)
}

/// Removes downloads whose tickets ended before, and has those lapse first that are open. Their bytes stay counted.
async fn remove_ended(
    session: &mut Session<'_>,
    before: UnixSeconds,
    now: UnixSeconds,
    limit: u32,
) -> Result<u64, Fault> {
    let ended = query(ENDED)
        .bind(before)
        .bind(now.minus(LAPSE_SECONDS))
        .bind(limit);
    let ended = session.all(ended, |row| Ok(rows::redemption_id(row).ok()));
    let ended: Vec<RedemptionId> = ended.await?.into_iter().flatten().collect();
    if ended.is_empty() {
        return Ok(0);
    }
    let mut found = LockedRows::of(session, ended.iter()).await?;
    let mut gone = Vec::new();
    found.each(|of, by| {
        if of.is_stale(now) {
            of.lapse_at_its_end(by);
        }
        // One that sent something since it was found stays.
        if of.state != RedemptionState::Open {
            gone.push(of.rid);
        }
        Ok(())
    });
    found.set_counts(session).await?;
    let gone: Value<'_> = gone.iter().map(RedemptionId::as_str).collect();
    session.execute(query(REMOVE).bind(gone)).await
}
