//! The port for announcements: processes that share a catalogue tell each other of revocations that it has no room
//! for, by other means than its rows.

use super::Answer;
use crate::model::held_revocation::Announcement;

/// The most announcements that wait to be written at once. Further revocations hold where they were asked for alone.
pub const ANNOUNCED_MAX: usize = 4_095;

/// The announcements of a catalogue, under the contract of [`Catalog`](super::Catalog), but that none of them is a
/// transaction: of several some may have been made where a call fails.
///
/// - What one process announces, every other that asks [`received`](Self::received) for it again and again gets to know, once
///   or more often. One that begins to ask later gets what is kept, and what is announced again.
/// - An announcement is lost where its means is, and one that something was written may be lost at any time.
/// - Nothing of this needs room in the catalogue.
pub trait Announcements: Send + Sync {
    /// Makes ready what announcing needs on a disk that still has room. It does nothing where that is ready.
    fn prepare(&self) -> Answer<'_, ()>;

    /// Returns whether announcements outlive the processes that make them.
    fn are_persistent(&self) -> bool;

    /// Announces. What was announced before and is kept need not be announced again, and costs little.
    ///
    /// # Errors
    /// `NoSpace` where no more is kept, `Unavailable` where the means of it fails.
    fn announce<'a>(&'a self, all: &'a [Announcement]) -> Answer<'a, ()>;

    /// Returns what was announced since the last time, at the first time all that is kept. What this process
    /// announced itself may be among it.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt` of a means that fails.
    fn received(&self) -> Answer<'_, Vec<Announcement>>;
}
