//! Counters of the downloads of files and links, and of the bytes sent.

use super::address::FileAddress;
use super::id::{FileId, OrganizationId};
use super::revocation::LinkId;
use super::time::UnixSeconds;

/// The counters of one file or of one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Answers that began to carry bytes: of the whole file, or of a part of it.
    pub downloads: u64,
    /// Answers among them that sent the whole file, to its last byte.
    pub whole: u64,
    /// Bytes of their bodies that were handed to the socket.
    pub bytes_sent: u64,
    /// Time at which the last download ended; `None` before the first.
    pub last_at: Option<UnixSeconds>,
}

impl Counts {
    /// Adds counts from elsewhere. Sums saturate.
    pub fn add(&mut self, other: &Self) {
        self.downloads = self.downloads.saturating_add(other.downloads);
        self.whole = self.whole.saturating_add(other.whole);
        self.bytes_sent = self.bytes_sent.saturating_add(other.bytes_sent);
        self.last_at = self.last_at.max(other.last_at);
    }
}

/// The counts to add to one file: of downloads by any of its links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCount {
    /// The file.
    pub file: FileAddress,
    /// The counts to add.
    pub counts: Counts,
}

/// The counts to add to one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkCount {
    /// The organization of its file.
    pub organization: OrganizationId,
    /// The link.
    pub link: LinkId,
    /// Time from which the link is dead, and its counts say nothing any more. That of a share may be moved.
    pub expires: UnixSeconds,
    /// The counts to add.
    pub counts: Counts,
}

/// The subject of counters, inside an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted<'a> {
    /// The counts of a file: of all its links together.
    File(&'a FileId),
    /// The counts of a link.
    Link(LinkId),
}
