//! Revocations that the catalogue had no room for: they hold in this process alone until they are written.
//!
//! A full disk, or a full database, must not keep a link open. So the gateway that is told to revoke one refuses it from
//! that moment on, answers that this is not written yet, and goes on trying. Whoever restarts the process before forgets
//! it. It announces the revocation, too: a full PostgreSQL still notifies those who listen, as long as its own log has
//! room, and each that hears of it does the same. Processes that share an SQLite file are not told.
//!
//! Links that this gateway makes meanwhile are signed with the link revision or the epoch that are to come, so that they
//! live on; other gateways refuse them until these are written.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::{Gateway, Refusal};
use crate::model::id::{FileId, OrganizationId};
use crate::model::revocation::{Denial, Extent, LinkId, Revocations, SignedFor};
use crate::model::time::UnixSeconds;

/// The interval at which revocations that are held are tried to be written.
pub const WRITE_HELD_EVERY: Duration = Duration::from_secs(2);

/// The most revocations that are held for one organization: a person's or a program's on a bad day, and no flood.
pub const HELD_OF_ORGANIZATION_MAX: usize = 256;

/// The most that are held in all: about a megabyte.
pub const HELD_MAX: usize = 4_096;

/// The longest that whoever revokes waits for others to be told.
const ANNOUNCE_TIME_MAX: Duration = Duration::from_secs(1);

/// A revocation that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum HeldRevocation {
    /// One link.
    Link(Denial),
    /// All links of a file that were signed with an earlier link revision than this, in this epoch or before.
    File {
        organization: OrganizationId,
        file: FileId,
        epoch: u64,
        revision: u64,
    },
    /// All links of an organization that were signed in an earlier epoch than this.
    Organization {
        organization: OrganizationId,
        epoch: u64,
    },
}

/// The revocations that are held, in the order in which they came, and the number of their changes.
#[derive(Debug, Default)]
pub(super) struct HeldRevocations {
    all: Vec<HeldRevocation>,
    version: u64,
}

/// Whether a revocation is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Added {
    Now,
    Before,
    /// As many are held as may be.
    NotAtAll,
}

impl HeldRevocation {
    /// Revokes all links of a file that this gateway knows to be made so far.
    pub(in crate::gateway) fn of_file(
        known: &Revocations,
        organization: &OrganizationId,
        file: &FileId,
    ) -> Self {
        Self::File {
            epoch: known.epoch(organization),
            revision: known.revision(organization, file).saturating_add(1),
            organization: organization.clone(),
            file: file.clone(),
        }
    }

    /// Revokes all links of an organization that this gateway knows to be made so far.
    pub(in crate::gateway) fn of_organization(
        known: &Revocations,
        organization: &OrganizationId,
    ) -> Self {
        Self::Organization {
            epoch: known.epoch(organization).saturating_add(1),
            organization: organization.clone(),
        }
    }

    /// Returns the text of which [`HeldRevocation::parse`] makes the same.
    fn to_text(&self) -> String {
        match self {
            Self::Link(Denial {
                organization,
                link,
                expires,
                signed,
            }) => {
                let mut text = format!("link {organization} {link} {}", expires.get());
                if let Some(SignedFor {
                    file,
                    epoch,
                    link_revision,
                }) = signed
                {
                    text.push_str(&format!(" {file} {epoch} {link_revision}"));
                }
                text
            }
            Self::File {
                organization,
                file,
                epoch,
                revision,
            } => format!("file {organization} {file} {epoch} {revision}"),
            Self::Organization {
                organization,
                epoch,
            } => format!("organization {organization} {epoch}"),
        }
    }

    /// Reads a revocation that another gateway announced, maybe one of another version.
    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let organization = OrganizationId::parse(words.get(1)?).ok()?;
        let file = |word: &str| FileId::parse(word).ok();
        Some(match *words.as_slice() {
            ["link", _, link, expires, ref signed @ ..] => Self::Link(Denial {
                organization,
                link: LinkId::parse(link)?,
                expires: UnixSeconds::new(expires.parse().ok()?)?,
                signed: match *signed {
                    [] => None,
                    [of, epoch, link_revision] => Some(SignedFor {
                        file: file(of)?,
                        epoch: epoch.parse().ok()?,
                        link_revision: link_revision.parse().ok()?,
                    }),
                    _ => return None,
                },
            }),
            ["file", _, of, epoch, revision] => Self::File {
                organization,
                file: file(of)?,
                epoch: epoch.parse().ok()?,
                revision: revision.parse().ok()?,
            },
            ["organization", _, epoch] => Self::Organization {
                organization,
                epoch: epoch.parse().ok()?,
            },
            _ => return None,
        })
    }

    const fn organization(&self) -> &OrganizationId {
        match self {
            Self::Link(Denial { organization, .. })
            | Self::File { organization, .. }
            | Self::Organization { organization, .. } => organization,
        }
    }

    /// Returns which links ended.
    const fn extent(&self) -> Extent {
        match self {
            Self::Link(denial) => Extent::Link {
                expires: denial.expires,
            },
            Self::File { revision, .. } => Extent::File {
                link_revision: *revision,
            },
            Self::Organization { epoch, .. } => Extent::Organization { epoch: *epoch },
        }
    }

    /// Returns whether all that it is for is written, or is dead by now anyway.
    fn is_over(&self, written: &Revocations, dead_by: UnixSeconds) -> bool {
        let now = written.epoch(self.organization());
        match self {
            Self::Link(denial) => {
                let is_of_before = |epoch| epoch < now;
                let end = written.denied_until(&denial.organization, denial.link);
                denial.expires <= dead_by
                    || end.is_some_and(|end| end >= denial.expires)
                    || denial
                        .signed
                        .as_ref()
                        .map(|signed| signed.epoch)
                        .is_some_and(is_of_before)
            }
            Self::File {
                organization,
                file,
                epoch,
                revision,
            } => *epoch < now || written.revision(organization, file) >= *revision,
            Self::Organization { epoch, .. } => *epoch <= now,
        }
    }

    /// Returns whether another one ends nothing more.
    fn is_enough_for(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Link(own), Self::Link(other)) => {
                let is_same = own.link == other.link && own.organization == other.organization;
                // One that is named by its id alone stays denied until the same end.
                is_same && (own.expires >= other.expires || other.signed.is_none())
            }
            _ => self == other,
        }
    }

    /// Has these revocations say the same.
    fn apply(&self, known: &mut Revocations) {
        match self {
            Self::Link(denial) => {
                let end = known.denied_until(&denial.organization, denial.link);
                let end = end.map_or(denial.expires, |end| end.max(denial.expires));
                known.deny(&denial.organization, [(denial.link, end)]);
            }
            Self::File {
                organization,
                file,
                epoch,
                revision,
            } => {
                let is_higher = *revision > known.revision(organization, file);
                if is_higher && *epoch >= known.epoch(organization) {
                    known.set_revisions(organization, [(file.clone(), *revision)]);
                }
            }
            Self::Organization {
                organization,
                epoch,
            } => {
                if *epoch > known.epoch(organization) {
                    known.raise_epoch(organization, *epoch);
                }
            }
        }
    }
}

impl HeldRevocations {
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn all(&self) -> &[HeldRevocation] {
        &self.all
    }

    /// Returns what the catalogue says, and what is held.
    pub(super) fn over(&self, written: &Arc<Revocations>) -> Arc<Revocations> {
        let mut known = Arc::clone(written);
        if !self.all.is_empty() {
            let known = Arc::make_mut(&mut known);
            for held in &self.all {
                held.apply(known);
            }
        }
        known
    }

    /// Holds one more.
    fn add(&mut self, held: HeldRevocation) -> Added {
        if self.all.iter().any(|other| other.is_enough_for(&held)) {
            return Added::Before;
        }
        if let HeldRevocation::Organization { organization, .. } = &held {
            // With the organization ends all that is held for it.
            self.all
                .retain(|other| other.organization() != organization);
        }
        let of_one = |other: &&HeldRevocation| other.organization() == held.organization();
        let of_one = self.all.iter().filter(of_one).count();
        self.version += 1;
        if of_one >= HELD_OF_ORGANIZATION_MAX || self.all.len() >= HELD_MAX {
            return Added::NotAtAll;
        }
        self.all.push(held);
        Added::Now
    }

    fn remove(&mut self, held: &HeldRevocation) {
        let before = self.all.len();
        self.all.retain(|other| other != held);
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
    /// Has a revocation hold in this process, which is what `of` makes of all that this gateway knows to be revoked, until
    /// it is written, and in all that hear of it. Answers which links ended.
    ///
    /// # Errors
    /// [`Refusal::RevocationLost`] where as many are held as may be.
    pub(in crate::gateway) async fn hold(
        &self,
        of: impl FnOnce(&Revocations) -> HeldRevocation,
    ) -> Result<Extent, Refusal> {
        let held = self.hold_here(of)?;
        let text = held.to_text();
        match timeout(ANNOUNCE_TIME_MAX, self.catalog.announce(&text)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "no other gateway hears of it"),
            Err(error) => tracing::warn!(%error, "no other gateway hears of it"),
        }
        Ok(held.extent())
    }

    fn hold_here(
        &self,
        of: impl FnOnce(&Revocations) -> HeldRevocation,
    ) -> Result<HeldRevocation, Refusal> {
        let (held, added) = self.snapshot.change_held(|all, snapshot| {
            let held = of(&snapshot.revocations);
            let added = all.add(held.clone());
            (held, added)
        });
        match added {
            Added::Before => {}
            Added::Now => tracing::warn!(
                organization_id = %held.organization(),
                "no room to write a revocation: it holds in this process, and is forgotten if that ends before there is room"
            ),
            Added::NotAtAll => return Err(Refusal::RevocationLost),
        }
        Ok(held)
    }

    /// Waits for a revocation that another gateway has no room to write, and has it hold here, too. It may never answer.
    pub async fn hear_held_revocation(&self) {
        let Ok(text) = self.catalog.announced().await else {
            return std::future::pending().await;
        };
        if let Some(held) = HeldRevocation::parse(&text)
            && let Err(refusal) = self.hold_here(|_| held)
        {
            tracing::warn!(error = %refusal, "a revocation that another gateway holds does not hold here");
        }
    }

    /// Returns the number of revocations that hold in this process and are not written yet.
    pub fn held_revocations(&self) -> usize {
        self.snapshot.held().len()
    }

    /// Tries to write the revocations that are held, in the order in which they came.
    ///
    /// # Errors
    /// The first refusal: all that follows has no room either, or the catalogue fails. What no list has room for is
    /// passed over.
    pub async fn write_held_revocations(&self) -> Result<(), Refusal> {
        let all = self.snapshot.held();
        if !all.is_empty() {
            self.refresh_in_time().await?;
        }
        let mut failed = Ok(());
        for held in all {
            let written = match self.is_over(&held) {
                true => Ok(()),
                false => self.write_held(&held).await,
            };
            match written {
                // A file that is gone has no link that opens.
                Ok(()) | Err(Refusal::FileNotFound | Refusal::Missing { .. }) => {
                    self.snapshot.change_held(|all, _| all.remove(&held));
                }
                Err(refusal @ Refusal::Limit { .. }) => failed = failed.and(Err(refusal)),
                Err(refusal) => return Err(refusal),
            }
        }
        failed
    }

    fn is_over(&self, held: &HeldRevocation) -> bool {
        held.is_over(&self.snapshot.written(), self.denials_dead_by())
    }

    async fn write_held(&self, held: &HeldRevocation) -> Result<(), Refusal> {
        let (organization, bounds) = (held.organization(), self.settings.revocation_bounds);
        // A revision or an epoch that was to be raised twice is raised twice.
        while !self.is_over(held) {
            let change = match held {
                HeldRevocation::Link(denial) => {
                    self.catalog.deny_link(denial, self.clock.now(), bounds)
                }
                HeldRevocation::File { file, .. } => {
                    self.catalog
                        .raise_link_revision(organization, file, bounds.files)
                }
                HeldRevocation::Organization { .. } => {
                    let raised = self.catalog.raise_epoch(organization);
                    Box::pin(async move {
                        Ok(Extent::Organization {
                            epoch: raised.await?,
                        })
                    })
                }
            };
            let extent = self.changing_of(organization, change).await?;
            // Else nobody knows yet whether it is enough.
            self.refresh_in_time().await?;
            tracing::info!(
                organization_id = %organization,
                expires = extent.expires().map(UnixSeconds::get),
                link_revision = extent.link_revision(),
                organization_epoch = extent.epoch(),
                "wrote a revocation that there was no room for before"
            );
            if let HeldRevocation::Link(_) = held {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
