//! The sub-trait for quotas: how much an organization may keep.

use super::Answer;
use super::idempotency::Completion;
use crate::model::file::FileRecord;
use crate::model::id::OrganizationId;

/// Adds files as long as there is room for them, under the contract of [`Catalog`](super::Catalog).
pub trait Quotas: Send + Sync {
    /// Adds files as [`Catalog::add_files`](super::Catalog::add_files) does, all of them or none, where
    /// each of their organizations keeps no more than `quota` with them; else `Limit` of [`FILES_KEPT`] or
    /// [`BYTES_KEPT`]. An organization keeps what is `Ready` or `Deleted`: a deleted file makes room when it
    /// is `Swept`, as its bytes do. What is kept beyond a quota already stays. Costs the same however much
    /// is kept, and of any number of calls for the last room, no more succeed than it has room for. Which of
    /// several reasons a call is refused for is open.
    ///
    /// The API key that a file was uploaded with is asked again, as of the file's `updated_at`: `KeyEnded` where it does
    /// not work any more, and then none is added. A file that came with none needs none.
    ///
    /// With a completion of an idempotency key the key is completed in the same transaction. The key must be
    /// of the organization of all the files.
    fn add_files_within<'a>(
        &'a self,
        files: &'a [FileRecord],
        quota: Quota,
        key: Option<&'a Completion>,
    ) -> Answer<'a, ()>;

    /// Returns what an organization keeps now, by the counters that quotas are held to. `NotFound` for an unknown
    /// organization. Costs the same however much that is.
    fn usage<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, Usage>;

    /// Counts an organization's rows, one by one, and compares that with its counters, both of one moment;
    /// with `mend` the counters say afterwards what was found. `NotFound` for an unknown organization.
    fn recount<'a>(&'a self, organization: &'a OrganizationId, mend: bool) -> Answer<'a, Recount>;
}

/// The files of an organization, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Its `Ready` files, as lists count them.
    pub ready: u64,
    /// Its `Ready` and `Deleted` files, which quotas count.
    pub files: u64,
    /// Their bytes together.
    pub bytes: u64,
}

/// An organization's counters, and its rows, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recount {
    /// By the counters.
    pub counted: Usage,
    /// By the rows.
    pub found: Usage,
    /// The anchors of its list that are wrong: by which numbered pages deep in the list are found.
    pub wrong_anchors: u64,
    /// The links and shares whose open downloads are counted wrongly.
    pub wrong_allowances: u64,
    /// By how much the counter of its links that have counts is wrong.
    pub wrong_links: u64,
}

impl Recount {
    /// Returns whether what was counted is what was found.
    pub fn is_right(&self) -> bool {
        self.counted == self.found
            && self.wrong_anchors == 0
            && self.wrong_allowances == 0
            && self.wrong_links == 0
    }
}

/// The things that [`Limit`](super::CatalogError::Limit) counts where an organization has too many files.
pub const FILES_KEPT: &str = "files of an organization";
/// The things that it counts where they are too large together.
pub const BYTES_KEPT: &str = "bytes of an organization's files";

/// The most that one organization may keep. Without a number: any amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// The most files.
    pub files: Option<u64>,
    /// The most bytes of all of them together.
    pub bytes: Option<u64>,
}

impl Quota {
    /// Any amount.
    pub const NONE: Self = Self {
        files: None,
        bytes: None,
    };

    /// Says no to more files, or more bytes, than there may be.
    pub const fn allow(&self, files: u64, bytes: u64) -> Result<(), super::CatalogError> {
        let (what, limit) = match (self.files, self.bytes) {
            (Some(limit), _) if files > limit => (FILES_KEPT, limit),
            (_, Some(limit)) if bytes > limit => (BYTES_KEPT, limit),
            _ => return Ok(()),
        };
        Err(super::CatalogError::Limit { what, limit })
    }
}
