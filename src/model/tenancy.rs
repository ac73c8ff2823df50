//! Organizations, their spaces, and the folders they share.

use super::id::{FolderId, OrganizationId, SpaceId};
use super::time::UnixSeconds;

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Unique in the installation.
    pub id: OrganizationId,
    /// A person's word for it; may be empty.
    pub name: String,
    /// The number of times that all links of the organization were revoked. It is under every organization key.
    pub epoch: u64,
    /// Time of creation.
    pub created_at: UnixSeconds,
}

/// A container of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// The organization it belongs to.
    pub organization: OrganizationId,
    /// Unique inside the organization.
    pub id: SpaceId,
    /// A person's word for it; may be empty.
    pub name: String,
    /// Time of creation.
    pub created_at: UnixSeconds,
}

/// A named set of files that other organizations may mint links for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// The organization it belongs to; its files are files of this organization.
    pub organization: OrganizationId,
    /// Unique inside the organization.
    pub id: FolderId,
    /// A person's word for it; may be empty.
    pub name: String,
    /// The organizations that may mint links for its files, besides its own, ordered by id.
    pub members: Vec<OrganizationId>,
    /// Time of creation.
    pub created_at: UnixSeconds,
}
