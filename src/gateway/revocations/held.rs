//! Revocations that the catalogue had no room for: they hold in this process alone until they are written.
//!
//! A full disk, or a full database, must not keep a link open. So the gateway that is told to revoke one refuses it from
//! that moment on, answers that this is not written yet, and goes on trying. Whoever restarts the process before forgets
//! it. Other gateways are not told, and open the links until it is written.
//!
//! What is held says nothing of epochs and link revisions, since nobody knows which will be in force when it is written:
//! others raise them meanwhile. So every link of a file or of an organization that is held is refused, whatever it was
//! signed with, and none is minted. It is written as any other revocation, once, and ends all that was signed before:
//! one more than was needed does no harm. So only its own write, or a later one of this gateway that ends as much, ends
//! the holding, and never what others wrote.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Gateway, Refusal};
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::{Denial, Extent, Revocations};
use crate::model::time::UnixSeconds;

/// The interval at which revocations that are held are tried to be written.
pub const WRITE_HELD_EVERY: Duration = Duration::from_secs(2);

/// The most links and files that are held for one organization. Beyond it all of the organization is.
pub const HELD_OF_ORGANIZATION_MAX: usize = 256;

/// The most links and files that are held for all organizations: about a megabyte. Each organization may be held as a
/// whole besides.
pub const HELD_MAX: usize = 4_096;

/// A revocation that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum HeldRevocation {
    /// One link.
    Link(Denial),
    /// All links of a file.
    File {
        organization: OrganizationId,
        file: FileId,
    },
    /// All links of an organization.
    Organization { organization: OrganizationId },
}

/// A revocation that is held.
#[derive(Clone, Debug)]
pub(super) struct Held {
    revocation: HeldRevocation,
    /// The number of the call that asked for it last. What began to be written before is no answer to that call.
    asked: u64,
}

/// The revocations that are held, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct HeldRevocations {
    all: Vec<Held>,
    /// The number of calls that asked for one.
    asked: u64,
    /// The number of changes of what is refused.
    version: u64,
}

impl HeldRevocation {
    pub(in crate::gateway) const fn organization(&self) -> &OrganizationId {
        match self {
            Self::Link(Denial { organization, .. })
            | Self::File { organization, .. }
            | Self::Organization { organization } => organization,
        }
    }

    /// Returns which links ended, with the counters that are in force.
    fn extent(&self, written: &Revocations) -> Extent {
        match self {
            Self::Link(denial) => Extent::Link {
                expires: denial.expires,
            },
            Self::File { organization, file } => Extent::File {
                link_revision: written.revision(organization, file),
            },
            Self::Organization { organization } => Extent::Organization {
                epoch: written.epoch(organization),
            },
        }
    }

    /// Returns whether this ends all that another one does.
    fn covers(&self, other: &Self) -> bool {
        if self.organization() != other.organization() {
            return false;
        }
        match (self, other) {
            (Self::Organization { .. }, _) => true,
            (Self::File { file: own, .. }, Self::File { file, .. }) => own == file,
            (Self::File { file: own, .. }, Self::Link(other)) => {
                let signed = other.signed.as_ref();
                signed.is_some_and(|signed| signed.file == *own)
            }
            // One that is named by its id alone stays denied until the same end.
            (Self::Link(own), Self::Link(other)) => {
                own.link == other.link && (own.expires >= other.expires || other.signed.is_none())
            }
            (Self::File { .. } | Self::Link(_), _) => false,
        }
    }

    const fn is_of_organization(&self) -> bool {
        matches!(self, Self::Organization { .. })
    }

    /// Has these revocations refuse the same.
    fn apply(&self, known: &mut Revocations) {
        match self {
            Self::Link(denial) => {
                let end = known.denied_until(&denial.organization, denial.link);
                let end = end.map_or(denial.expires, |end| end.max(denial.expires));
                known.deny(&denial.organization, [(denial.link, end)]);
            }
            Self::File { organization, file } => known.suspend_file(organization, file),
            Self::Organization { organization } => known.suspend_organization(organization),
        }
    }
}

impl HeldRevocations {
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// Returns what the catalogue says, and what is held.
    pub(super) fn over(&self, written: &Arc<Revocations>) -> Arc<Revocations> {
        let mut known = Arc::clone(written);
        if !self.all.is_empty() {
            let known = Arc::make_mut(&mut known);
            for held in &self.all {
                held.revocation.apply(known);
            }
        }
        known
    }

    /// Holds one more, or all of its organization where there is no room for that. Returns what is held for it, and whether
    /// it was before; `None` of a link that is named by its id alone, where there is no room.
    fn add(&mut self, asked: &HeldRevocation) -> Option<(HeldRevocation, bool)> {
        self.asked += 1;
        let mut all = self.all.iter_mut();
        if let Some(held) = all.find(|held| held.revocation.covers(asked)) {
            held.asked = self.asked;
            return Some((held.revocation.clone(), true));
        }
        let revocation = match asked {
            HeldRevocation::Organization { .. } => asked.clone(),
            own if !self.is_full_for(own.organization()) => own.clone(),
            HeldRevocation::Link(Denial { signed: None, .. }) => return None,
            HeldRevocation::Link(Denial { organization, .. })
            | HeldRevocation::File { organization, .. } => HeldRevocation::Organization {
                organization: organization.clone(),
            },
        };
        self.all.retain(|held| !revocation.covers(&held.revocation));
        self.version += 1;
        self.all.push(Held {
            revocation: revocation.clone(),
            asked: self.asked,
        });
        Some((revocation, false))
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

    /// Returns what is held for this very revocation now.
    fn current(&self, revocation: &HeldRevocation) -> Option<Held> {
        let is_same = |held: &&Held| held.revocation == *revocation;
        self.all.iter().find(is_same).cloned()
    }

    /// Ends the holding of what is not to be kept.
    fn retain(&mut self, is_kept: impl FnMut(&Held) -> bool) {
        let before = self.all.len();
        self.all.retain(is_kept);
        self.version += u64::from(self.all.len() < before);
    }
}

impl Drop for HeldRevocations {
    fn drop(&mut self) {
        if !self.all.is_empty() {
            tracing::warn!(
                count = self.all.len(),
                "revocations that there was no room to write are forgotten: their links open again"
            );
        }
    }
}

impl Gateway {
    /// Has a revocation hold in this process until it is written. Answers which links ended.
    ///
    /// # Errors
    /// [`Refusal::RevocationLost`] of a link that is named by its id alone, where as many are held as may be.
    pub(in crate::gateway) fn hold(&self, asked: &HeldRevocation) -> Result<Extent, Refusal> {
        let added = self.snapshot.change_held(|all| all.add(asked));
        let (held, was_held) = added.ok_or(Refusal::RevocationLost)?;
        if !was_held {
            tracing::warn!(
                organization_id = %held.organization(),
                "no room to write a revocation: it holds in this process, and is forgotten if that ends before there is room"
            );
        }
        Ok(held.extent(&self.snapshot.current.load().written))
    }

    /// Returns a number of all that is held so far, for [`Gateway::release_held`].
    pub(in crate::gateway) fn held_so_far(&self) -> u64 {
        self.snapshot.held(|all| all.asked)
    }

    /// Holds nothing any more of what a revocation covers that was written now, unless somebody asked for it after it
    /// began: a link may have been signed in between.
    pub(in crate::gateway) fn release_held(&self, written: &HeldRevocation, begun: u64) {
        let is_kept = |held: &Held| held.asked > begun || !written.covers(&held.revocation);
        self.snapshot.change_held(|all| all.retain(is_kept));
    }

    /// Returns the number of revocations that hold in this process and are not written yet.
    pub fn held_revocations(&self) -> usize {
        self.snapshot.held(|all| all.all.len())
    }

    /// Tries to write the revocations that are held, in the order in which they came. Where one fails, the others of its
    /// organization wait for the next time, but for one that no list has room for.
    ///
    /// # Errors
    /// The first refusal. After [`Refusal::NoSpace`] none is tried any more, as all that follows has no room either.
    pub async fn write_held_revocations(&self) -> Result<(), Refusal> {
        let (mut failed, mut put_off) = (Ok(()), BTreeSet::new());
        for Held { revocation, .. } in self.snapshot.held(|all| all.all.clone()) {
            let organization = revocation.organization();
            if put_off.contains(organization) {
                continue;
            }
            // Others may have written it meanwhile, or ask for it again now.
            let Some(Held { asked, .. }) = self.snapshot.held(|all| all.current(&revocation))
            else {
                continue;
            };
            match self.write_held(&revocation).await {
                // A file that is gone has no link that opens.
                Ok(()) | Err(Refusal::FileNotFound | Refusal::Missing { .. }) => {
                    let is_kept = |held: &Held| held.asked != asked;
                    self.snapshot.change_held(|all| all.retain(is_kept));
                }
                Err(Refusal::NoSpace) => return Err(Refusal::NoSpace),
                Err(refusal) => {
                    if !matches!(refusal, Refusal::Limit { .. }) {
                        put_off.insert(organization.clone());
                    }
                    failed = failed.and(Err(refusal));
                }
            }
        }
        failed
    }

    async fn write_held(&self, held: &HeldRevocation) -> Result<(), Refusal> {
        let bounds = self.settings.revocation_bounds;
        let change = match held {
            HeldRevocation::Link(denial) if denial.expires <= self.denials_dead_by() => {
                return Ok(());
            }
            HeldRevocation::Link(denial) => {
                self.catalog.deny_link(denial, self.clock.now(), bounds)
            }
            HeldRevocation::File { organization, file } => {
                self.catalog
                    .raise_link_revision(organization, file, bounds.files)
            }
            HeldRevocation::Organization { organization } => self.raise_epoch(organization),
        };
        let organization = held.organization();
        let extent = self.changing_of(organization, change).await?;
        tracing::info!(
            organization_id = %organization,
            expires = extent.expires().map(UnixSeconds::get),
            link_revision = extent.link_revision(),
            organization_epoch = extent.epoch(),
            "wrote a revocation that there was no room for before"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests;
