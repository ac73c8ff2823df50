//! The catalogue: which organizations, files and API keys exist, and what was revoked.
//!
//! This file is the port: one trait, its contract, and its errors. Eleven sub-traits have files of their own,
//! [`batch`], [`apps`], [`integrity`], [`quota`], [`counters`], [`maintenance`], [`idempotency`], [`redemptions`],
//! [`shares`], [`changes`] and [`transfer`]. What a catalogue has no room for has a port of its own, [`announcements`].
//! One adapter, `sql`, makes the calls for two databases: [`sqlite`] for one machine, [`postgres`] for several
//! gateways. `contract.rs` is the one suite that both must pass.

use std::future::Future;
use std::pin::Pin;

use crate::model::digest::Sha256Digest;
use crate::model::file::{FileRecord, Purpose};
use crate::model::id::{ApiKeyId, BlobKey, FileId, FolderId, OrganizationId, SpaceId};
use crate::model::key::{ApiKey, ApiKeyState};
use crate::model::name::FileName;
use crate::model::revocation::{Denial, Extent, RevocationBounds};
use crate::model::tenancy::{Folder, Organization, Space};
use crate::model::time::UnixSeconds;

pub mod announcements;
pub mod apps;
pub mod batch;
pub mod changes;
#[cfg(test)]
pub mod contract;
pub mod counters;
mod error;
pub mod idempotency;
pub mod integrity;
pub mod maintenance;
pub mod postgres;
pub mod quota;
pub mod redemptions;
pub mod reserve;
pub mod shares;
mod sql;
pub mod sqlite;
#[cfg(test)]
pub mod testing;
pub mod transfer;

pub use error::{CatalogError, KeyEnd, Unwritable};
use error::{expect_at_most, missing, taken};
pub use sql::open::Missing;

/// The answer of every call: a boxed future, so that the gateway can hold any adapter.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, CatalogError>> + Send + 'a>>;

/// A catalogue: the rows, and all calls that read and write them.
///
/// # Contract
///
/// - Every call is one transaction: all of it happened and is durable when it answers `Ok`, none of
///   it when it answers an error other than [`CatalogError::Unavailable`], which may mean either.
/// - Dropping the future before it answers leaves the call done or not done, never half done. It may
///   still be done a moment later, but not after the same catalogue has answered for a write that began
///   after the drop.
/// - What a call changed is seen by the next call, of this process and, for a catalogue that several
///   processes share, of any other.
/// - A thing that does not exist is `None` from the calls that read, [`CatalogError::NotFound`] from
///   those that write. A thing that exists already is [`CatalogError::Conflict`].
/// - Every wait is bounded; a catalogue that does not answer in time is `Unavailable`.
/// - On a full disk, revocations, deletes, purges and changes of API keys may spend what is set aside for them
///   ([`reserve`]), where the adapter has a disk of its own; everything else is `NoSpace`.
/// - Lists of files are newest first: by `created_at`, then by id, both descending.
///
/// # Example
///
/// ```
/// # use hallpass::catalog::{Catalog, CatalogError, sqlite::Sqlite};
/// # use hallpass::model::{id::OrganizationId, tenancy::Organization, time::UnixSeconds};
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let catalog = Sqlite::open(&directory.path().join("catalogue.sqlite3")).await?;
/// let id = OrganizationId::parse("org_1")?;
/// let (name, created_at) = ("One".into(), UnixSeconds::EPOCH);
/// let organization = Organization { id, name, epoch: 0, created_at };
/// catalog.create_organization(&organization).await?;
/// let again = catalog.create_organization(&organization).await;
/// assert!(matches!(again, Err(CatalogError::Conflict { .. })));
/// assert_eq!(catalog.organizations().await?, [organization]);
/// # Ok(()) }
/// ```
pub trait Catalog:
    batch::Batch
    + apps::Apps
    + integrity::Integrity
    + quota::Quotas
    + counters::Counters
    + maintenance::Maintenance
    + changes::Changes
    + idempotency::Idempotency
    + redemptions::Redemptions
    + shares::Shares
    + transfer::Transfer
    + Send
    + Sync
{
    /// Returns how many calls read at once. Further ones wait, in the order in which they were made.
    fn readers(&self) -> usize;

    /// Returns how the processes that share this catalogue tell each other of what they cannot write to it.
    fn announcements(&self) -> &dyn announcements::Announcements;

    /// Makes an organization together with its space `space_default`.
    fn create_organization<'a>(&'a self, organization: &'a Organization) -> Answer<'a, ()>;

    /// The organization, if there is one of this id.
    fn organization<'a>(&'a self, id: &'a OrganizationId) -> Answer<'a, Option<Organization>>;

    /// All organizations, ordered by id.
    fn organizations(&self) -> Answer<'_, Vec<Organization>>;

    /// Makes a space in an existing organization.
    fn create_space<'a>(&'a self, space: &'a Space) -> Answer<'a, ()>;

    /// The space, if its organization has one of this id.
    fn space<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a SpaceId,
    ) -> Answer<'a, Option<Space>>;

    /// The spaces of an organization, ordered by id; none for an unknown organization.
    fn spaces<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, Vec<Space>>;

    /// Makes a shared folder in an existing organization, with its members. Each member must exist.
    fn create_folder<'a>(&'a self, folder: &'a Folder) -> Answer<'a, ()>;

    /// The folders of an organization with their members, ordered by id; none for an unknown organization.
    fn folders<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, Vec<Folder>>;

    /// Puts files into a folder; one that is in it already stays. `NotFound` for an unknown folder or
    /// file (deleted ones are unknown), and then none is put.
    fn add_to_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        files: &'a [FileId],
    ) -> Answer<'a, ()>;

    /// Takes files out of a folder; one that is not in it is passed over. `NotFound` for an unknown folder.
    fn remove_from_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        files: &'a [FileId],
    ) -> Answer<'a, ()>;

    /// The ids of the files in a folder, ordered. `NotFound` for an unknown folder.
    fn folder_files<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
    ) -> Answer<'a, Vec<FileId>>;

    /// Makes organizations members of a folder; one that is a member stays one. `NotFound` for an
    /// unknown folder or organization, and then none is made.
    fn share_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        members: &'a [OrganizationId],
    ) -> Answer<'a, ()>;

    /// Ends memberships; an organization that is no member is passed over. `NotFound` for an unknown folder.
    fn unshare_folder<'a>(
        &'a self,
        organization: &'a OrganizationId,
        folder: &'a FolderId,
        members: &'a [OrganizationId],
    ) -> Answer<'a, ()>;

    /// Adds a file whose bytes are durable already; it is `Ready` and whole then, whatever its record says.
    /// `NotFound` for an unknown organization or space, `Conflict` while the id is taken, also by a
    /// deleted or swept file, `Limit` for a number that the adapter cannot keep. Of any number of calls
    /// with one id, exactly one succeeds.
    fn add_file<'a>(&'a self, file: &'a FileRecord) -> Answer<'a, ()>;

    /// Adds files as [`Catalog::add_file`] does, all of them or none. `Limit` for more than
    /// [`FILES_ADDED_MAX`]; `Conflict` also where two of them have one id.
    fn add_files<'a>(&'a self, files: &'a [FileRecord]) -> Answer<'a, ()>;

    /// The file, in whatever state, if its organization has one of this id.
    fn file<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
    ) -> Answer<'a, Option<FileRecord>>;

    /// The file as [`Catalog::file`] answers it, read synchronously: on the thread that asks, without waiting for a disk, a lock or another thread. `None`
    /// where that is not to be had, and then `file` answers.
    fn file_on_the_spot(
        &self,
        organization: &OrganizationId,
        id: &FileId,
    ) -> Option<Option<FileRecord>>;

    /// A page of those of an organization's files that `filter` names: the up to `limit` files that are next
    /// to `place`, in the order of the list that it is a place in. A file that is expired at `now` is in none.
    /// Costs the same at every place.
    fn page<'a>(
        &'a self,
        organization: &'a OrganizationId,
        filter: Filter<'a>,
        place: Place<'a>,
        limit: u32,
        now: UnixSeconds,
    ) -> Answer<'a, Vec<FileRecord>>;

    /// A numbered page of an organization's `Ready` files that are not expired at `now`, newest first: up to
    /// `limit` after the first `offset`, and how many there are in all, both of one moment. The total is a
    /// kept counter, less those that are expired and not marked deleted yet. Costs some thousand files more than
    /// `limit` at any offset, one step for each thousand of the organization, and one for each expired file.
    fn numbered_page<'a>(
        &'a self,
        organization: &'a OrganizationId,
        offset: u64,
        limit: u32,
        now: UnixSeconds,
    ) -> Answer<'a, NumberedPage>;

    /// Marks a `Ready` file deleted at `now`, or when it expired if that was earlier, and answers its record as
    /// it is then. `NotFound` if there is no such file or it is marked already.
    fn delete_file<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        now: UnixSeconds,
    ) -> Answer<'a, FileRecord>;

    /// Up to `limit` files that were deleted at or before `before` and whose bytes are still kept,
    /// oldest deletion first.
    fn deleted_files(&self, before: UnixSeconds, limit: u32) -> Answer<'_, Vec<FileRecord>>;

    /// Says that a deleted file's bytes are about to go: its state becomes `Swept`. Called before the
    /// bytes are removed. `NotFound` unless the file is `Deleted`.
    fn mark_swept<'a>(&'a self, organization: &'a OrganizationId, id: &'a FileId)
    -> Answer<'a, ()>;

    /// Marks a `Ready` or `Deleted` file swept at `now`, as [`Catalog::delete_file`] and [`Catalog::mark_swept`] would, in
    /// one transaction. Answers its record as it was between the two: `Deleted`. Called before the bytes are removed.
    /// `NotFound` if there is no such file or it is swept already.
    fn purge_file<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        now: UnixSeconds,
    ) -> Answer<'a, FileRecord>;

    /// Forgets up to `limit` swept files that were deleted at or before `before`, which frees their
    /// ids and takes them out of every folder. Answers how many.
    fn forget_swept(&self, before: UnixSeconds, limit: u32) -> Answer<'_, u64>;

    /// Returns which of these blobs belong to a file that is `Ready` or `Deleted`, in any order.
    fn blobs_in_use<'a>(&'a self, keys: &'a [BlobKey]) -> Answer<'a, Vec<BlobKey>>;

    /// Adds an API key to an existing organization. `Conflict` if its id or its digest is there already.
    fn create_api_key<'a>(&'a self, key: &'a ApiKey) -> Answer<'a, ()>;

    /// The API key of this digest, in whatever state.
    fn api_key<'a>(&'a self, digest: &'a Sha256Digest) -> Answer<'a, Option<ApiKey>>;

    /// The API keys of one organization, or of all; ordered by creation, then by id.
    fn api_keys<'a>(&'a self, organization: Option<&'a OrganizationId>) -> Answer<'a, Vec<ApiKey>>;

    /// Changes a key's state and answers the key as it is then. A deactivated key stays so: any other
    /// state is `Conflict`.
    fn set_api_key_state<'a>(&'a self, id: &'a ApiKeyId, state: ApiKeyState) -> Answer<'a, ApiKey>;

    /// Raises a `Ready` or `Deleted` file's link revision by one and answers the new one. Where more than
    /// `revisions_max` files of the organization would then have a raised one, raises its epoch, and answers that.
    fn raise_link_revision<'a>(
        &'a self,
        organization: &'a OrganizationId,
        id: &'a FileId,
        revisions_max: u64,
    ) -> Answer<'a, Extent>;

    /// Raises an organization's epoch by one and answers the new one. Its link revisions go back to 0
    /// and its denied links are forgotten, since all its links died. Costs the same, however many they are.
    fn raise_epoch<'a>(&'a self, organization: &'a OrganizationId) -> Answer<'a, u64>;

    /// Ends one link of an existing organization, and answers how. Writes nothing where it is denied for as long
    /// already, or where its organization's epoch was raised since it was signed.
    ///
    /// It is denied until it is dead anyway; the later of two such times counts, but a link that is named by its id
    /// alone and denied at `now` stays so until the same end. Where the organization has denied as many as `bounds`
    /// has room for, those that are dead at `now` make room. Else all links of its file end, or where too many files
    /// have a raised revision, or the file is not there, all of its organization; and `Limit` of [`DENIED_IDS`]
    /// for a link that is named by its id alone.
    fn deny_link<'a>(
        &'a self,
        denial: &'a Denial,
        now: UnixSeconds,
        bounds: RevocationBounds,
    ) -> Answer<'a, Extent>;

    /// Forgets up to `limit` denied links that are dead at `now` anyway. Answers how many.
    fn forget_denied(&self, now: UnixSeconds, limit: u32) -> Answer<'_, u64>;
}

/// The most files that are added at once: what a slow disk still writes in the time of one call.
pub const FILES_ADDED_MAX: usize = 10_000;

/// The choice of an organization's files that a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter<'a> {
    /// The `Ready` ones.
    Ready,
    /// The `Ready` ones of a purpose.
    OfPurpose(Purpose),
    /// The `Ready` ones of a name.
    OfName(&'a FileName),
    /// Those that are marked `Deleted` and not swept yet.
    Deleted,
    /// Those of them of a name.
    DeletedOfName(&'a FileName),
}

impl Filter<'_> {
    /// The `Ready` files, of one purpose or of all.
    pub fn of_purpose(purpose: Option<Purpose>) -> Self {
        purpose.map_or(Self::Ready, Self::OfPurpose)
    }
}

/// The begin of a page of a list of files, and its direction. Two lists have places: the one that
/// is newest first, and the one by id alone, highest first, for texts that say nothing of a time.
/// A place need not be a file's, and the file at it, if there is one, is not in the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The newest file and those after it.
    Newest,
    /// Those after this position: the next older.
    After(&'a Position),
    /// Those before this position: the next newer. They are newest first, too.
    Before(&'a Position),
    /// Those with the next lower ids, highest first.
    Below(&'a str),
    /// Those with the next higher ids, highest first.
    Above(&'a str),
}

/// A place in a list of files, between two rows: just after the file that was made then and has this id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The row's `created_at`.
    pub created_at: UnixSeconds,
    /// The row's id. Any text: it is compared, not looked up.
    pub id: String,
}

/// One numbered page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedPage {
    /// The files of the page.
    pub files: Vec<FileRecord>,
    /// The number of `Ready` files that the organization has.
    pub total: u64,
}

/// The name of a catalogue with an older schema in [`CatalogError::Conflict`], where an empty one was asked for.
const OLDER: &str = "an older catalogue";

/// The name of a file in [`CatalogError::NotFound`], one that is not there or is deleted.
pub const FILE: &str = "the file";
/// The name of a space, there and in [`CatalogError::Conflict`].
pub const SPACE: &str = "the space";
/// The name of a folder.
pub const FOLDER: &str = "the folder";
/// The name of a file that is not deleted, or is swept, where a deleted one was meant.
pub const DELETED_FILE: &str = "the deleted file";

/// The things that [`CatalogError::Limit`] counts where too many links are denied by their ids alone.
pub const DENIED_IDS: &str = "links that an organization revoked by their ids alone";
