//! The tickets in use: what this gateway knows of each, what it sent by it, and what it still owes.
//!
//! A ticket's row is in memory for as long as any row may be without a look at the catalogue. Bytes that went out are
//! added up here and written every few seconds, and at once where they end a download. What the catalogue does not take
//! is kept and tried again. Where it did not say whether it took a batch, that one is tried again as it is, by its number,
//! before any other: the catalogue adds it once.
//!
//! How many bytes were sent by a ticket in all is what its row said, and what was added here since. A row that was read
//! while bytes were being written may have them or not: until the next look they count twice rather than never.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::catalog::redemptions::{Sent, Ticket};
use crate::gateway::refusal::Refusal;
use crate::gateway::revocations::STALENESS_MAX;
use crate::model::redemption::{RedemptionId, RedemptionState};
use crate::model::time::UnixSeconds;
use crate::sign::counted::CountedClaims;
use crate::sign::keyring::Kid;
use crate::sign::verify::InForce;

mod flush;

use flush::Writer;

/// The most tickets in use at once, about two kilobytes each.
const TICKETS_MAX: usize = 65_536;

/// What may be sent by a ticket beside three times its file: enough for the heads of parts.
const SLACK_BYTES: u64 = 1 << 20;

/// The wait that a request by a ticket is told of whose answers owe too much: nobody knows when they end.
const OWED_WAIT: Duration = Duration::from_secs(1);

/// A started download and its link, as they were read.
#[derive(Debug)]
pub(in crate::gateway) struct TicketRow {
    pub(super) ticket: Ticket,
    pub(super) of: TicketOf,
    /// The time at which its reading began.
    pub(super) read_at: Duration,
}

impl TicketRow {
    /// Returns whether it was read so lately that it may be believed at `now`.
    pub(super) fn is_fresh(&self, now: Duration) -> bool {
        now.saturating_sub(self.read_at) < STALENESS_MAX
    }
}

/// What a download was started by.
#[derive(Debug)]
pub(super) enum TicketOf {
    /// A counted link, judged by what it was when it was verified.
    Link {
        /// Its claims.
        claims: Box<CountedClaims>,
        /// The signing key and the counters that it was verified with.
        in_force: InForce,
    },
    /// A share, judged by its own row.
    Share,
}

/// All tickets in use.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Tickets {
    known: Mutex<HashMap<RedemptionId, TicketState>>,
    /// Wakes whoever writes: a download is done.
    is_due: Notify,
    /// One write at a time, so that what one gives back is not taken by another before.
    writer: tokio::sync::Mutex<Writer>,
}

#[derive(Debug, Default)]
struct TicketState {
    row: Option<Arc<TicketRow>>,
    /// The bytes that the catalogue has.
    written: u64,
    /// Those of this gateway that it has not.
    unwritten: u64,
    /// Those of them that are being written.
    in_write: u64,
    /// How many writes ended.
    writes: u64,
    /// The time at which the last of them went out.
    last_at: Option<UnixSeconds>,
    /// The bytes that answers under way still owe.
    owed: u64,
    /// The answers that are under way.
    running: u32,
}

/// A reading of a ticket's row: what was true when it began.
pub(super) struct Reading {
    writes: Option<u64>,
    begun: Duration,
}

impl Reading {
    /// The time at which it began.
    pub(super) const fn begun(&self) -> Duration {
        self.begun
    }
}

/// An answer with bytes of a ticket that is under way. Dropping it gives back what it still owes.
#[derive(Debug)]
pub struct RunningAnswer {
    tickets: Arc<Tickets>,
    rid: RedemptionId,
    size: u64,
    owed: u64,
    /// The signing key of the ticket itself.
    kid: Kid,
    /// True once all that it sent was counted.
    is_over: bool,
}

/// A ticket's row, and whether so much was sent by it that it is dead.
#[derive(Debug)]
pub(super) struct FoundTicket {
    pub(super) row: Arc<TicketRow>,
    pub(super) is_overdrawn: bool,
}

impl TicketState {
    const fn sent(&self) -> u64 {
        self.written.saturating_add(self.unwritten)
    }

    const fn is_overdrawn(&self, size: u64) -> bool {
        self.sent() > bound(size)
    }

    const fn is_idle(&self) -> bool {
        self.running == 0 && self.unwritten == 0
    }

    /// Returns whether nothing is lost with it.
    fn is_over(&self, now: Duration) -> bool {
        let is_fresh = |row: &Arc<TicketRow>| row.is_fresh(now);
        self.is_idle() && !self.row.as_ref().is_some_and(is_fresh)
    }
}

/// The most bytes that may be sent by a ticket of a file of this size.
const fn bound(size: u64) -> u64 {
    size.saturating_mul(3).saturating_add(SLACK_BYTES)
}

impl Tickets {
    fn known(&self) -> MutexGuard<'_, HashMap<RedemptionId, TicketState>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a ticket's row, if it was read so lately that it may be believed.
    pub(super) fn found(&self, rid: RedemptionId, now: Duration) -> Option<FoundTicket> {
        let known = self.known();
        let state = known.get(&rid)?;
        let row = state.row.as_ref().filter(|row| row.is_fresh(now))?;
        Some(FoundTicket {
            row: Arc::clone(row),
            is_overdrawn: state.is_overdrawn(row.ticket.redemption.size),
        })
    }

    /// Returns the same of a row that was just read.
    pub(super) fn found_now(&self, row: Arc<TicketRow>) -> FoundTicket {
        let redemption = &row.ticket.redemption;
        let known = self.known();
        let state = known.get(&redemption.ticket.rid);
        let is_overdrawn = state.is_some_and(|state| state.is_overdrawn(redemption.size));
        drop(known);
        FoundTicket { row, is_overdrawn }
    }

    /// Forgets a ticket's row, which was changed.
    pub(super) fn forget_row(&self, rid: RedemptionId) {
        if let Some(state) = self.known().get_mut(&rid) {
            state.row = None;
        }
    }

    /// Begins to read a row at `now`.
    pub(super) fn begin_reading(&self, rid: RedemptionId, now: Duration) -> Reading {
        let known = self.known();
        let state = known.get(&rid);
        // One that is being written has no number: the row may have it or not.
        let writes = match state {
            Some(state) if state.in_write > 0 => None,
            state => Some(state.map_or(0, |state| state.writes)),
        };
        Reading { writes, begun: now }
    }

    /// Keeps a row that was read.
    ///
    /// # Errors
    /// `Unavailable` where [`TICKETS_MAX`] are in use.
    pub(super) fn keep_row(
        &self,
        row: &Arc<TicketRow>,
        reading: &Reading,
        now: Duration,
    ) -> Result<(), Refusal> {
        let (rid, bytes_sent) = (
            row.ticket.redemption.ticket.rid,
            row.ticket.redemption.bytes_sent,
        );
        let mut known = self.known();
        if known.len() >= TICKETS_MAX && !known.contains_key(&rid) {
            known.retain(|_, state| !state.is_over(now));
            if known.len() >= TICKETS_MAX {
                return Err(Refusal::Unavailable("too many tickets are in use".into()));
            }
        }
        let state = known.entry(rid).or_default();
        let is_exact = state.in_write == 0 && reading.writes == Some(state.writes);
        state.written = match is_exact {
            true => bytes_sent,
            false => state.written.max(bytes_sent),
        };
        let is_newer = |kept: &Arc<TicketRow>| kept.read_at < row.read_at;
        if state.row.as_ref().is_none_or(is_newer) {
            state.row = Some(Arc::clone(row));
        }
        Ok(())
    }

    /// Begins an answer of `due` bytes.
    ///
    /// # Errors
    /// `TooMany` where that, what was sent and what other answers of this gateway owe is more than a ticket gives;
    /// `Overdrawn` where it would be more without those others.
    pub(super) fn begin(
        self: &Arc<Self>,
        row: &TicketRow,
        kid: Kid,
        due: u64,
    ) -> Result<RunningAnswer, Refusal> {
        let redemption = &row.ticket.redemption;
        let (rid, size) = (redemption.ticket.rid, redemption.size);
        let mut known = self.known();
        let state = known.entry(rid).or_insert_with(|| TicketState {
            written: redemption.bytes_sent,
            ..TicketState::default()
        });
        let alone = state.sent().saturating_add(due);
        if alone > bound(size) {
            return Err(Refusal::Overdrawn);
        }
        if alone.saturating_add(state.owed) > bound(size) {
            return Err(Refusal::TooMany {
                what: "bytes of one download",
                wait: OWED_WAIT,
            });
        }
        state.owed = state.owed.saturating_add(due);
        state.running += 1;
        drop(known);
        Ok(RunningAnswer {
            tickets: Arc::clone(self),
            rid,
            size,
            owed: due,
            kid,
            is_over: false,
        })
    }

    /// Returns what is to be written, and forgets what is over.
    fn unwritten(&self, now: Duration) -> Vec<Sent> {
        let mut known = self.known();
        known.retain(|_, state| !state.is_over(now));
        let sent = known.iter().filter(|(_, state)| state.unwritten > 0);
        let sent = sent.filter_map(|(rid, state)| {
            Some(Sent {
                rid: *rid,
                bytes: state.unwritten,
                at: state.last_at?,
            })
        });
        sent.collect()
    }

    fn begin_write(&self, all: &[Sent]) {
        let mut known = self.known();
        for sent in all {
            if let Some(state) = known.get_mut(&sent.rid) {
                state.in_write = sent.bytes;
            }
        }
    }

    /// Ends a write, which the catalogue took, but for some downloads, or not at all.
    fn end_write(&self, all: &[Sent], is_taken: impl Fn(RedemptionId) -> bool) {
        let mut known = self.known();
        for sent in all {
            let Some(state) = known.get_mut(&sent.rid) else {
                continue;
            };
            state.in_write = 0;
            state.writes += 1;
            if is_taken(sent.rid) {
                state.unwritten = state.unwritten.saturating_sub(sent.bytes);
                state.written = state.written.saturating_add(sent.bytes);
            }
        }
    }
}

impl RunningAnswer {
    /// Counts bytes of it that went out at `at`.
    pub fn note_sent(&mut self, bytes: u64, at: UnixSeconds) {
        let of_owed = bytes.min(self.owed);
        self.owed -= of_owed;
        let mut known = self.tickets.known();
        let state = known.entry(self.rid).or_default();
        state.owed = state.owed.saturating_sub(of_owed);
        state.unwritten = state.unwritten.saturating_add(bytes);
        state.last_at = state.last_at.max(Some(at));
    }

    /// Counts its last bytes, which went out at `at`: it is over.
    pub fn end(mut self, bytes: u64, at: UnixSeconds) {
        self.close(bytes, Some(at));
    }

    fn close(&mut self, bytes: u64, at: Option<UnixSeconds>) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let mut known = self.tickets.known();
        let state = known.entry(self.rid).or_default();
        state.owed = state.owed.saturating_sub(self.owed);
        state.unwritten = state.unwritten.saturating_add(bytes);
        state.last_at = state.last_at.max(at);
        state.running = state.running.saturating_sub(1);
        let is_open = |row: &Arc<TicketRow>| row.ticket.redemption.state != RedemptionState::Done;
        let is_open = state.row.as_ref().is_none_or(is_open);
        if is_open && state.unwritten > 0 && state.sent() >= self.size {
            self.tickets.is_due.notify_one();
        }
    }

    /// The signing key of its ticket.
    pub const fn kid(&self) -> &Kid {
        &self.kid
    }
}

impl Drop for RunningAnswer {
    fn drop(&mut self) {
        self.close(0, None);
    }
}

#[cfg(test)]
mod tests;
