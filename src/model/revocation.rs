//! Revocations: a snapshot of all that was ever revoked.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::id::{FileId, OrganizationId, are_of_ids};
use super::shared_map::SharedMap;
use super::time::UnixSeconds;

/// The characters of a link id.
pub const LINK_ID_CHARS: usize = 12;

/// The number of an organization's denied links from which on dead ones are looked for among them.
const FORGET_DEAD_FROM: usize = 1_024;

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

    /// The 12 characters, as bytes.
    pub const fn as_bytes(&self) -> &[u8; LINK_ID_CHARS] {
        &self.0
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

/// One link that is to open nothing any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The owner of the link.
    pub organization: OrganizationId,
    /// The link.
    pub link: LinkId,
    /// The time from which on it is dead anyway.
    pub expires: UnixSeconds,
    /// The signed parts of the link, if it is known whole; `None` of a link that is named by its id alone.
    pub signed: Option<SignedFor>,
}

/// The file of a link, and the counters that it was signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedFor {
    /// The file.
    pub file: FileId,
    /// The epoch of its organization.
    pub epoch: u64,
    /// The link revision of the file.
    pub link_revision: u64,
}

/// The extent of a revocation: which links ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// One link. The revocation is kept until `expires`; from then on the link is dead anyway.
    Link {
        /// That time.
        expires: UnixSeconds,
    },
    /// All links of a file that were signed with an earlier link revision.
    File {
        /// The link revision with which links are signed from now on.
        link_revision: u64,
    },
    /// All links of an organization that were signed in an earlier epoch.
    Organization {
        /// The epoch in which links are signed from now on.
        epoch: u64,
    },
}

impl Extent {
    /// Returns the time until which the revocation of one link is kept.
    pub const fn expires(self) -> Option<UnixSeconds> {
        match self {
            Self::Link { expires } => Some(expires),
            Self::File { .. } | Self::Organization { .. } => None,
        }
    }

    /// Returns the file's link revision, if all links of a file ended.
    pub const fn link_revision(self) -> Option<u64> {
        match self {
            Self::File { link_revision } => Some(link_revision),
            Self::Link { .. } | Self::Organization { .. } => None,
        }
    }

    /// Returns the organization's epoch, if all links of an organization ended.
    pub const fn epoch(self) -> Option<u64> {
        match self {
            Self::Organization { epoch } => Some(epoch),
            Self::Link { .. } | Self::File { .. } => None,
        }
    }
}

/// The most that one organization may revoke one by one: every process holds it in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevocationBounds {
    /// Denied links.
    pub links: u64,
    /// Links that are denied by their ids alone, which count for themselves.
    pub ids: u64,
    /// Files with a raised link revision.
    pub files: u64,
}

impl RevocationBounds {
    /// These bounds, and so much room more in each.
    pub const fn with(self, reserve: u64) -> Self {
        Self {
            links: self.links.saturating_add(reserve),
            ids: self.ids.saturating_add(reserve),
            files: self.files.saturating_add(reserve),
        }
    }
}

/// Every epoch and link revision that was ever raised, and every denied link that has not expired.
/// What is not in here stands at 0, or is not denied.
///
/// A copy shares what it has in common with the original, and a change copies next to nothing, however much was
/// revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    organizations: SharedMap<OrganizationId, Arc<OfOrganization>>,
}

/// The revocations of one organization.
#[derive(Clone, Debug, Default)]
struct OfOrganization {
    epoch: u64,
    /// Raised link revisions, of files whose id is still taken.
    revisions: SharedMap<FileId, u64>,
    /// Denied links, each with the time from which on it is dead anyway.
    denied: SharedMap<LinkId, UnixSeconds>,
    /// The number of denied links that there were when dead ones were last looked for.
    denied_then: usize,
    /// What is suspended, in a gateway that has no room to write that it is revoked.
    suspended: Option<Suspended>,
}

/// What no link opens of an organization, whatever it was signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Suspended {
    Files(BTreeSet<FileId>),
    All,
}

/// What was revoked of one organization at some moment, to tell later whether that is still all.
#[derive(Clone, Debug)]
pub struct OrganizationSnapshot(Option<Arc<OfOrganization>>);

impl OrganizationSnapshot {
    /// Returns whether nothing was revoked between the two moments. Costs one comparison; where that does not tell, it is
    /// `false`.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl PartialEq for OfOrganization {
    fn eq(&self, other: &Self) -> bool {
        self.epoch == other.epoch
            && self.revisions == other.revisions
            && self.denied == other.denied
            && self.suspended == other.suspended
    }
}

impl Eq for OfOrganization {}

/// The numbers of revocations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RevocationCounts {
    /// Organizations whose epoch was raised.
    pub epochs: u64,
    /// Files whose link revision was raised.
    pub revisions: u64,
    /// Denied links.
    pub denied: u64,
}

impl Revocations {
    /// The organization's epoch; 0 until first raised.
    pub fn epoch(&self, organization: impl AsRef<str>) -> u64 {
        self.of(organization.as_ref()).map_or(0, |of| of.epoch)
    }

    /// The file's link revision; 0 until first raised.
    pub fn revision(&self, organization: impl AsRef<str>, file: impl AsRef<str>) -> u64 {
        let revision = |of: &OfOrganization| of.revisions.get(file.as_ref()).copied();
        self.of(organization.as_ref())
            .and_then(revision)
            .unwrap_or(0)
    }

    /// Returns what was revoked of one organization by now.
    pub fn snapshot_of(&self, organization: &OrganizationId) -> OrganizationSnapshot {
        OrganizationSnapshot(self.organizations.get(organization).map(Arc::clone))
    }

    /// Returns whether this one link was revoked.
    pub fn is_denied(&self, organization: impl AsRef<str>, link: LinkId) -> bool {
        self.denied_until(organization, link).is_some()
    }

    /// Returns whether a link, or ticket, of this name and file opens nothing, whatever it was signed with: it was revoked
    /// itself, or its file or its organization is suspended. The file of a ticket is not known.
    pub fn refuses(&self, organization: &str, file: Option<&str>, link: LinkId) -> bool {
        self.of(organization)
            .is_some_and(|of| of.denied.get(&link).is_some() || of.suspends(file))
    }

    /// Returns whether this file is suspended, by itself or with its organization.
    pub fn is_suspended(&self, organization: &OrganizationId, file: &FileId) -> bool {
        self.of(organization.as_str())
            .is_some_and(|of| of.suspends(Some(file.as_str())))
    }

    /// Returns the time from which this one link, which was revoked, is dead anyway.
    pub fn denied_until(&self, organization: impl AsRef<str>, link: LinkId) -> Option<UnixSeconds> {
        self.of(organization.as_ref())?.denied.get(&link).copied()
    }

    /// Returns how many there are. Costs as much as there are organizations.
    pub fn counts(&self) -> RevocationCounts {
        let mut counts = RevocationCounts::default();
        for (_, of) in self.organizations.iter() {
            counts.epochs += u64::from(of.epoch > 0);
            counts.revisions += of.revisions.len() as u64;
            counts.denied += of.denied.len() as u64;
        }
        counts
    }

    /// Sets an organization's epoch, and forgets the rest of what it revoked: all its links died.
    pub fn raise_epoch(&mut self, organization: &OrganizationId, epoch: u64) {
        self.change(organization, |of| {
            *of = OfOrganization {
                epoch,
                suspended: of.suspended.take(),
                ..OfOrganization::default()
            };
        });
    }

    /// Sets link revisions of an organization's files.
    pub fn set_revisions(
        &mut self,
        organization: &OrganizationId,
        revisions: impl IntoIterator<Item = (FileId, u64)>,
    ) {
        self.change(organization, |of| {
            for (file, revision) in revisions {
                match revision {
                    0 => of.revisions.remove(&file),
                    _ => of.revisions.insert(file, revision),
                }
            }
        });
    }

    /// Denies links of an organization, each until a time.
    pub fn deny(
        &mut self,
        organization: &OrganizationId,
        links: impl IntoIterator<Item = (LinkId, UnixSeconds)>,
    ) {
        self.change(organization, |of| of.denied.extend(links));
    }

    /// Suspends all links of a file, whatever they are signed with.
    pub fn suspend_file(&mut self, organization: &OrganizationId, file: &FileId) {
        self.change(organization, |of| {
            let none = || Suspended::Files(BTreeSet::new());
            if let Suspended::Files(files) = of.suspended.get_or_insert_with(none) {
                files.insert(file.clone());
            }
        });
    }

    /// Suspends all links of an organization, whatever they are signed with.
    pub fn suspend_organization(&mut self, organization: &OrganizationId) {
        self.change(organization, |of| of.suspended = Some(Suspended::All));
    }

    /// Forgets the denied links that are dead at `now` anyway. Costs as much as there are denied links.
    pub fn forget_dead(&mut self, now: UnixSeconds) {
        let has_dead = |of: &OfOrganization| of.denied.iter().any(|(_, end)| *end <= now);
        let organizations = self.organizations.iter();
        let with_dead = organizations.filter(|(_, of)| has_dead(of));
        let with_dead: Vec<OrganizationId> = with_dead.map(|(id, _)| id.clone()).collect();
        for organization in &with_dead {
            self.change(organization, |of| of.forget_dead(now));
        }
    }

    /// Forgets those of one organization where they are twice as many as when that was last done: so an organization
    /// that goes on denying links never has more than twice as many as live. Costs next to nothing on average.
    pub fn forget_dead_if_due(&mut self, organization: &OrganizationId, now: UnixSeconds) {
        let of = self.of(organization.as_str());
        let is_due = |of: &OfOrganization| {
            of.denied.len() >= FORGET_DEAD_FROM.max(of.denied_then.saturating_mul(2))
        };
        if of.is_some_and(is_due) {
            self.change(organization, |of| of.forget_dead(now));
        }
    }

    fn of(&self, organization: &str) -> Option<&OfOrganization> {
        self.organizations.get(organization).map(Arc::as_ref)
    }

    fn change(&mut self, organization: &OrganizationId, change: impl FnOnce(&mut OfOrganization)) {
        self.organizations
            .change(organization, |of| change(Arc::make_mut(of)));
        let is_nothing = |of: &OfOrganization| {
            let is_raised = of.epoch > 0 || !of.revisions.is_empty();
            !is_raised && of.denied.is_empty() && of.suspended.is_none()
        };
        if self.of(organization.as_str()).is_some_and(is_nothing) {
            self.organizations.remove(organization.as_str());
        }
    }
}

impl OfOrganization {
    fn suspends(&self, file: Option<&str>) -> bool {
        match &self.suspended {
            None => false,
            Some(Suspended::All) => true,
            Some(Suspended::Files(files)) => file.is_some_and(|file| files.contains(file)),
        }
    }

    fn forget_dead(&mut self, now: UnixSeconds) {
        self.denied.retain(|_, end| *end > now);
        self.denied_then = self.denied.len();
    }
}

#[cfg(test)]
mod tests;
