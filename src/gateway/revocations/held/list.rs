//! The list of the revocations that one gateway holds.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::model::held_revocation::{Announcement, HeldCall, HeldRevocation};
use crate::model::id::OrganizationId;
use crate::model::revocation::{Denial, Revocations};

/// The most links and files that are held for one organization. Beyond it all of the organization is.
pub const HELD_OF_ORGANIZATION_MAX: usize = 256;

/// The most links and files that are held for all organizations: about a megabyte. Each organization may be held as a
/// whole besides.
pub const HELD_MAX: usize = 4_096;

/// The most calls that one revocation that is held stands for by name.
const CALLS_MAX: usize = 2 * HELD_OF_ORGANIZATION_MAX;

/// The calls that are remembered as written, so that an announcement that comes late holds nothing anew.
const WRITTEN_CALLS_MAX: usize = 4_096;

/// A revocation that is held.
#[derive(Clone, Debug)]
pub(in crate::gateway::revocations) struct Held {
    pub(super) revocation: HeldRevocation,
    /// The number, in this process, of the call that asked for it last. What began to be written before is no answer to
    /// that call.
    pub(super) asked: u64,
    /// The calls that it stands for and of which nobody said that they are written; `None` of those of which nobody else
    /// can say so.
    calls: Vec<Option<HeldCall>>,
    /// True if it outlives this process.
    is_persistent: bool,
    /// True if it was announced since the last attempt to write it.
    is_announced: bool,
}

/// The revocations that are held, in the order in which they came.
#[derive(Debug, Default)]
pub(in crate::gateway::revocations) struct HeldRevocations {
    pub(super) all: Vec<Held>,
    /// The number of calls that asked for one.
    pub(super) asked: u64,
    /// The number of changes of what is refused.
    version: u64,
    /// The last calls that were written, by any process.
    written: VecDeque<HeldCall>,
    /// The calls of which others said so, before a look at what was written.
    pub(super) said_written: BTreeSet<HeldCall>,
}

impl Held {
    /// Has it stand for one call more: as for one of which nobody else can say that it is written, where it does so for
    /// as many as it may.
    fn stand_for(&mut self, call: Option<HeldCall>) {
        let call = call.filter(|_| self.calls.len() < CALLS_MAX);
        if call.is_some() || !self.calls.contains(&None) {
            self.calls.push(call);
        }
    }
}

impl HeldRevocations {
    pub(in crate::gateway::revocations) const fn version(&self) -> u64 {
        self.version
    }

    /// Returns what the catalogue says, and what is held.
    pub(in crate::gateway::revocations) fn over(
        &self,
        written: &Arc<Revocations>,
    ) -> Arc<Revocations> {
        let mut known = Arc::clone(written);
        if !self.all.is_empty() {
            let known = Arc::make_mut(&mut known);
            for held in &self.all {
                held.revocation.apply(known);
            }
        }
        known
    }

    /// Holds one more, for a call of this process, or all of its organization where there is no room for that. Returns what
    /// is held for it, and whether it was before: then the call is not to be announced. `None` of a link that is named by
    /// its id alone, where there is no room.
    pub(super) fn add(
        &mut self,
        asked: &HeldRevocation,
        call: HeldCall,
    ) -> Option<(HeldRevocation, bool)> {
        match self.covering(asked) {
            Some(held) => {
                held.stand_for(None);
                Some((held.revocation.clone(), true))
            }
            None => self.add_new(asked, call).map(|added| (added, false)),
        }
    }

    /// Returns what ends as much already, which is asked for now.
    fn covering(&mut self, asked: &HeldRevocation) -> Option<&mut Held> {
        self.asked += 1;
        let mut all = self.all.iter_mut();
        let held = all.find(|held| held.revocation.covers(asked))?;
        held.asked = self.asked;
        Some(held)
    }

    fn add_new(&mut self, asked: &HeldRevocation, call: HeldCall) -> Option<HeldRevocation> {
        let revocation = match asked {
            HeldRevocation::Organization { .. } => asked.clone(),
            own if !self.is_full_for(own.organization()) => own.clone(),
            HeldRevocation::Link(Denial { signed: None, .. }) => return None,
            HeldRevocation::Link(Denial { organization, .. })
            | HeldRevocation::File { organization, .. } => HeldRevocation::Organization {
                organization: organization.clone(),
            },
        };
        let mut added = Held {
            revocation: revocation.clone(),
            asked: self.asked,
            calls: vec![Some(call)],
            is_persistent: false,
            is_announced: true,
        };
        if revocation != *asked {
            // It is more than was asked for: that this is written elsewhere does not end it.
            added.stand_for(None);
        }
        let is_covered = |held: &mut Held| revocation.covers(&held.revocation);
        for covered in self.all.extract_if(.., is_covered) {
            covered
                .calls
                .into_iter()
                .for_each(|call| added.stand_for(call));
        }
        self.version += 1;
        self.all.push(added);
        Some(revocation)
    }

    fn is_full_for(&self, organization: &OrganizationId) -> bool {
        let (mut of_one, mut of_all) = (0, 0);
        for held in &self.all {
            let counts = usize::from(!held.revocation.is_of_organization());
            of_all += counts;
            if held.revocation.organization() == organization {
                of_one += counts;
            }
        }
        of_one >= HELD_OF_ORGANIZATION_MAX || of_all >= HELD_MAX
    }

    /// Takes an announcement. Returns whether it holds a revocation now that it did not before.
    pub(super) fn receive(&mut self, announced: Announcement, is_persistent: bool) -> bool {
        let (call, revocation) = match announced {
            Announcement::Held(call, revocation) => (call, revocation),
            Announcement::Written(call) => {
                match self.standing_for(call) {
                    Some(_) => _ = self.said_written.insert(call),
                    None => self.note_written(&[call]),
                }
                return false;
            }
        };
        if let Some(held) = self.standing_for(call) {
            held.is_announced = true;
            return false;
        }
        if self.written.contains(&call) {
            return false;
        }
        let is_new = match self.covering(&revocation) {
            Some(held) => {
                held.stand_for(Some(call));
                false
            }
            None => self.add_new(&revocation, call).is_some(),
        };
        if let Some(held) = self.standing_for(call) {
            held.is_persistent |= is_persistent;
        }
        is_new
    }

    fn standing_for(&mut self, call: HeldCall) -> Option<&mut Held> {
        let mut all = self.all.iter_mut();
        all.find(|held| held.calls.contains(&Some(call)))
    }

    /// Notes that what stands for these outlives this process.
    pub(super) fn note_persistent(&mut self, announced: &[Announcement]) {
        for announced in announced {
            if let Announcement::Held(call, _) = announced
                && let Some(held) = self.standing_for(*call)
            {
                held.is_persistent = true;
            }
        }
    }

    /// Returns the announcements that are due again: of revocations that do not outlive this process, and that nobody announced
    /// since the last time.
    pub(super) fn due_announcements(&mut self) -> Vec<Announcement> {
        let mut due = Vec::new();
        for held in &mut self.all {
            let is_due = !std::mem::take(&mut held.is_announced) && !held.is_persistent;
            let call = held.calls.iter().copied().flatten().next();
            if let (true, Some(call)) = (is_due, call) {
                due.push(Announcement::Held(call, held.revocation.clone()));
            }
        }
        due
    }

    /// Returns what is held for this very revocation now.
    pub(super) fn current(&self, revocation: &HeldRevocation) -> Option<Held> {
        let is_same = |held: &&Held| held.revocation == *revocation;
        self.all.iter().find(is_same).cloned()
    }

    /// Ends the holding of what is written. Returns the calls that it stood for.
    pub(super) fn end(&mut self, is_written: impl Fn(&Held) -> bool) -> Vec<HeldCall> {
        let ended = self.all.extract_if(.., |held| is_written(held));
        let ended: Vec<Held> = ended.collect();
        self.version += u64::from(!ended.is_empty());
        let calls: Vec<HeldCall> = ended
            .into_iter()
            .flat_map(|held| held.calls)
            .flatten()
            .collect();
        self.note_written(&calls);
        calls
    }

    /// Ends the holding of what stands for these calls alone.
    pub(super) fn end_calls(&mut self, written: &BTreeSet<HeldCall>) {
        for held in &mut self.all {
            let is_left =
                |call: &Option<HeldCall>| call.is_none_or(|call| !written.contains(&call));
            held.calls.retain(is_left);
        }
        self.end(|held| held.calls.is_empty());
        let written: Vec<HeldCall> = written.iter().copied().collect();
        self.note_written(&written);
        self.said_written.retain(|call| !written.contains(call));
    }

    fn note_written(&mut self, calls: &[HeldCall]) {
        self.written.extend(calls);
        let superfluous = self.written.len().saturating_sub(WRITTEN_CALLS_MAX);
        self.written.drain(..superfluous);
    }
}

impl Drop for HeldRevocations {
    fn drop(&mut self) {
        let forgotten = self.all.iter().filter(|held| !held.is_persistent).count();
        if forgotten > 0 {
            tracing::warn!(
                count = forgotten,
                "revocations that there was no room to write are forgotten: their links open again, unless another gateway \
                 holds them"
            );
        }
    }
}
