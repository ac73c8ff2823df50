//! Revocations: a snapshot of all that was ever revoked.

use std::collections::HashMap;
use std::fmt;

use super::id::{FileId, OrganizationId, are_of_ids};
use super::time::UnixSeconds;

/// The characters of a link id.
pub const LINK_ID_CHARS: usize = 12;

/// The first 12 characters of a link's MAC. It names the link in logs and in revocation without
/// giving it away: 31 more characters are needed to open anything.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId([u8; LINK_ID_CHARS]);

impl LinkId {
    /// Takes 12 characters of `[A-Za-z0-9_-]`.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; LINK_ID_CHARS] = text.as_bytes().try_into().ok()?;
        are_of_ids(&bytes).then_some(Self(bytes))
    }

    /// The 12 characters.
    #[expect(clippy::expect_used, reason = "`parse` takes ASCII only")]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("12 characters of ASCII")
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Every epoch and link revision that was ever raised, and every denied link that has not expired.
/// What is not in here stands at 0, or is not denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    /// Raised epochs.
    pub epochs: HashMap<OrganizationId, u64>,
    /// Raised link revisions, of files whose id is still taken.
    pub revisions: HashMap<OrganizationId, HashMap<FileId, u64>>,
    /// Denied links, each with the time from which on it is dead anyway.
    pub denied: HashMap<OrganizationId, HashMap<LinkId, UnixSeconds>>,
}

impl Revocations {
    /// The organization's epoch; 0 until first raised.
    pub fn epoch(&self, organization: impl AsRef<str>) -> u64 {
        self.epochs
            .get(organization.as_ref())
            .copied()
            .unwrap_or_default()
    }

    /// The file's link revision; 0 until first raised.
    pub fn revision(&self, organization: impl AsRef<str>, file: impl AsRef<str>) -> u64 {
        self.revisions
            .get(organization.as_ref())
            .and_then(|of| of.get(file.as_ref()))
            .copied()
            .unwrap_or_default()
    }

    /// Returns whether this one link was revoked.
    pub fn is_denied(&self, organization: impl AsRef<str>, link: LinkId) -> bool {
        self.denied_until(organization, link).is_some()
    }

    /// Returns the time from which this one link, which was revoked, is dead anyway.
    pub fn denied_until(&self, organization: impl AsRef<str>, link: LinkId) -> Option<UnixSeconds> {
        self.denied.get(organization.as_ref())?.get(&link).copied()
    }
}
