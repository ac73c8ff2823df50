//! Revocations that the catalogue had no room for: they hold in memory until they are written.
//!
//! A full disk, or a full database, must not keep a link open. So the gateway that is told to revoke one refuses it from
//! that moment on, answers that this is not written yet, and goes on trying. It tells all others that share the catalogue
//! ([`Announcements`](crate::catalog::announcements::Announcements)), which hold it likewise: as their own, so that it is
//! written, and announced to those that come later, whichever of them ends.
//!
//! 1. Each call that asks for a revocation has a random number. What is held stands for one call or more.
//! 2. The gateway that writes it announces the calls that it stands for. Another gateway ends the holding once that is said of each
//!    call that it stands for, and after a look at what was written: so the links stay closed in between.
//! 3. Each gateway that holds it writes it, unless another one announces that it did.
//!
//! What is held says nothing of epochs and link revisions, since nobody knows which will be in force when it is written:
//! others raise them meanwhile. So every link of a file or of an organization that is held is refused, whatever it was
//! signed with, and none is minted. It is written as any other revocation, and ends all that was signed before:
//! one more than was needed does no harm. So only its own write, or a later one of this gateway that ends as much, ends
//! the holding, and never what others wrote without an announcement.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Gateway, Refusal};
use crate::catalog::CatalogError;
use crate::model::held_revocation::{Announcement, HeldCall, HeldRevocation};
use crate::model::revocation::Extent;
use crate::model::time::UnixSeconds;
use list::Held;

pub(super) use list::HeldRevocations;
pub use list::{HELD_MAX, HELD_OF_ORGANIZATION_MAX};

mod list;

/// The interval at which revocations that are held are tried to be written.
pub const WRITE_HELD_EVERY: Duration = Duration::from_secs(2);

impl Gateway {
    /// Has a revocation hold in this process, and in all that receive its announcement, until it is written. Answers which links ended.
    ///
    /// # Errors
    /// [`Refusal::RevocationLost`] of a link that is named by its id alone, where as many are held as may be.
    pub(in crate::gateway) async fn hold(&self, asked: &HeldRevocation) -> Result<Extent, Refusal> {
        let call = drawn_call()?;
        let added = self.snapshot.change_held(|all| all.add(asked, call));
        let (held, was_held) = added.ok_or(Refusal::RevocationLost)?;
        let extent = held.extent(&self.snapshot.current.load().written);
        if was_held {
            return Ok(extent);
        }
        let organization_id = held.organization().clone();
        match self.announce(&[Announcement::Held(call, held)]).await {
            Ok(true) => tracing::warn!(
                %organization_id,
                "no room to write a revocation: it holds in this process, and in all others on this data directory, until \
                 there is room"
            ),
            Ok(false) => tracing::warn!(
                %organization_id,
                "no room to write a revocation: it holds in this process, and in the gateways that listen, and is forgotten \
                 if all of them end before there is room"
            ),
            Err(error) => tracing::warn!(
                %organization_id,
                %error,
                "no room to write a revocation: it holds in this process, and is forgotten if that ends before there is \
                 room; others cannot be told"
            ),
        }
        Ok(extent)
    }

    /// Has a revocation hold in all processes that receive its announcement, though this one ends. Answers which links ended; `None`
    /// where it cannot be kept.
    ///
    /// # Errors
    /// The system has no random number.
    pub(in crate::gateway) async fn hold_elsewhere(
        &self,
        asked: &HeldRevocation,
    ) -> Result<Option<Extent>, Refusal> {
        let announced = [Announcement::Held(drawn_call()?, asked.clone())];
        let port = self.catalog.announcements();
        let is_persistent = port.are_persistent() && port.announce(&announced).await.is_ok();
        let extent = || asked.extent(&self.snapshot.current.load().written);
        Ok(is_persistent.then(extent))
    }

    /// Returns a number of all that is held so far, for [`Gateway::release_held`].
    pub(in crate::gateway) fn held_so_far(&self) -> u64 {
        self.snapshot.held(|all| all.asked)
    }

    /// Holds nothing any more of what a revocation covers that was written now, unless somebody asked for it after it
    /// began: a link may have been signed in between.
    pub(in crate::gateway) async fn release_held(&self, written: &HeldRevocation, begun: u64) {
        let is_written = |held: &Held| held.asked <= begun && written.covers(&held.revocation);
        let calls = self.snapshot.change_held(|all| all.end(is_written));
        self.announce_written(calls).await;
    }

    /// Returns the number of revocations that hold in this process and are not written yet.
    pub fn held_revocations(&self) -> usize {
        self.snapshot.held(|all| all.all.len())
    }

    /// Sets room aside in which revocations that there is no room for outlive this process, where the catalogue's adapter
    /// has such.
    ///
    /// # Errors
    /// The refusal of a disk that has no room for that either.
    pub async fn prepare_to_hold(&self) -> Result<(), Refusal> {
        self.ask(self.catalog.announcements().prepare()).await
    }

    /// Holds what others hold from now on, and notes what they wrote, for [`Gateway::end_written_elsewhere`].
    ///
    /// # Errors
    /// The refusal of a catalogue whose announcements cannot be read.
    pub async fn receive_held(&self) -> Result<(), Refusal> {
        let port = self.catalog.announcements();
        let (received, is_persistent) = (self.ask(port.received()).await?, port.are_persistent());
        if received.is_empty() {
            return Ok(());
        }
        let new = self.snapshot.change_held(|all| {
            let received = received.into_iter();
            received
                .filter(|one| all.receive(one.clone(), is_persistent))
                .count()
        });
        if new > 0 {
            tracing::warn!(
                count = new,
                "others found no room to write revocations: they hold in this process, too"
            );
        }
        Ok(())
    }

    /// Refreshes the snapshot as [`Gateway::refresh_in_time`] does, and then holds nothing any more of what others said they
    /// wrote.
    ///
    /// # Errors
    /// Those of the refresh: all is held that was held before.
    pub async fn end_written_elsewhere(&self) -> Result<(), Refusal> {
        // What was said before the refresh began is in what it reads.
        let written = self.snapshot.held(|all| all.said_written.clone());
        self.refresh_in_time().await?;
        if !written.is_empty() {
            self.snapshot.change_held(|all| all.end_calls(&written));
        }
        Ok(())
    }

    /// Tries to write the revocations that are held, in the order in which they came. Where one fails, the others of its
    /// organization wait for the next time, but for one that no list has room for. What is left is announced again.
    ///
    /// # Errors
    /// The first refusal. After [`Refusal::NoSpace`] none is tried any more, as all that follows has no room either.
    pub async fn write_held_revocations(&self) -> Result<(), Refusal> {
        let written = self.write_all_held().await;
        let due = self
            .snapshot
            .change_held(HeldRevocations::due_announcements);
        if !due.is_empty()
            && let Err(error) = self.announce(&due).await
        {
            tracing::debug!(%error, "other gateways cannot be told of what holds here");
        }
        written
    }

    async fn write_all_held(&self) -> Result<(), Refusal> {
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
                    let is_written = |held: &Held| held.asked == asked;
                    let calls = self.snapshot.change_held(|all| all.end(is_written));
                    self.announce_written(calls).await;
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

    /// Announces that these are held. Answers whether they outlive this process.
    async fn announce(&self, all: &[Announcement]) -> Result<bool, CatalogError> {
        let port = self.catalog.announcements();
        port.announce(all).await?;
        let is_persistent = port.are_persistent();
        if is_persistent {
            self.snapshot.change_held(|held| held.note_persistent(all));
        }
        Ok(is_persistent)
    }

    async fn announce_written(&self, calls: Vec<HeldCall>) {
        if calls.is_empty() {
            return;
        }
        let all: Vec<Announcement> = calls.into_iter().map(Announcement::Written).collect();
        if let Err(error) = self.catalog.announcements().announce(&all).await {
            tracing::debug!(%error, "other gateways write a revocation once more");
        }
    }
}

fn drawn_call() -> Result<HeldCall, Refusal> {
    let mut number = [0; 8];
    getrandom::fill(&mut number)
        .map_err(|error| Refusal::Internal(format!("drawing random bytes: {error}")))?;
    HeldCall::new(u64::from_le_bytes(number).max(1))
        .ok_or_else(|| Refusal::Internal("a call without a number".into()))
}

#[cfg(test)]
mod tests;
