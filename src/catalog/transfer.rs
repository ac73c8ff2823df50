//! The sub-trait for transfer: everything, to another catalogue.
//!
//! A migration reads both catalogues kind by kind, in the order of the keys, and puts into one what it
//! lacks of the other. What is kept is exactly what [`Kind`] lists; a test asks both databases whether a
//! table or a column is missing here.

use super::Answer;
use super::idempotency::KeyRow;
use super::redemptions::{Allowance, Redemption};
use super::shares::ShareCountRow;
use crate::model::app::App;
use crate::model::count::Counts;
use crate::model::file::FileRecord;
use crate::model::id::{FileId, FolderId, InstallationId, OrganizationId, ShareId};
use crate::model::key::ApiKey;
use crate::model::revocation::LinkId;
use crate::model::share::{Share, SharedFile};
use crate::model::tenancy::{Folder, Organization, Space};
use crate::model::time::UnixSeconds;

/// The most rows that are put or removed at once: few enough for one statement, and for nobody to wait long.
pub const ROWS_AT_ONCE_MAX: usize = 500;

/// Reads and writes rows as they are, under the contract of [`Catalog`](super::Catalog).
pub trait Transfer: Send + Sync {
    /// Up to `limit` rows of a kind in the order of [`Row::key`], from the first one after `after`, a row of
    /// that kind, on. Costs the same at every place.
    fn rows<'a>(&'a self, kind: Kind, after: Option<&'a Row>, limit: u32) -> Answer<'a, Vec<Row>>;

    /// Makes rows just as they are given, in the place of those that have their keys, all or none, and
    /// answers how many. One that belongs to something that is not there is passed over. What is counted of
    /// organizations is counted with them, and the feed says [`Everything`](super::changes::Change::Everything). No
    /// quota and no limit on revocations is looked at. `Limit` for more than [`ROWS_AT_ONCE_MAX`], `Conflict` for an
    /// API key whose digest another one has, and so for a share's code.
    fn put_rows<'a>(&'a self, rows: &'a [Row]) -> Answer<'a, u64>;

    /// Removes the rows that have these keys, and what belongs to a file that is among them, all or none. One
    /// that is not there is no error. Otherwise as [`Transfer::put_rows`]. `NotFound` where something that is
    /// not removed belongs to one of them.
    fn remove_rows<'a>(&'a self, rows: &'a [Row]) -> Answer<'a, u64>;

    /// Returns the files that all organizations keep and their bytes: the kept counters.
    fn totals(&self) -> Answer<'_, Totals>;

    /// Returns the note of a catalogue that is a copy which nobody uses yet; `None` of any other.
    fn copy_note(&self) -> Answer<'_, Option<CopyNote>>;

    /// Notes that the catalogue is a copy, and has the id of its original; or with `None` that it is one of its
    /// own from now on. `Conflict` for a first note in a catalogue that has an organization: it is somebody's;
    /// and for `None` of a copy that is not whole, which stays one.
    fn note_copy<'a>(&'a self, note: Option<&'a CopyNote>) -> Answer<'a, ()>;
}

/// Makes the enum of kinds, each with a person's word for one of them.
macro_rules! kinds {
    ($($(#[$doc:meta])+ $kind:ident = $noun:literal,)+) => {
        /// Everything that a catalogue keeps, by what it belongs to: each kind after those that it belongs to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $($(#[$doc])+ $kind,)+ }

        impl Kind {
            /// All of them, in an order in which they can be put.
            pub const ALL: [Self; 17] = [$(Self::$kind),+];

            /// Returns a person's word for one of them.
            pub const fn noun(self) -> &'static str {
                match self { $(Self::$kind => $noun,)+ }
            }
        }
    };
}

kinds! {
    /// Organizations.
    Organization = "organization",
    /// Their spaces.
    Space = "space",
    /// API keys.
    ApiKey = "API key",
    /// Apps.
    App = "app",
    /// Shared folders, without members and files.
    Folder = "folder",
    /// Members of folders.
    FolderMember = "member of a folder",
    /// Files, in whatever state.
    File = "file",
    /// Files in folders.
    FolderFile = "file in a folder",
    /// Links that were revoked one by one.
    DeniedLink = "revoked link",
    /// Counts of files' downloads.
    FileCount = "count of a file",
    /// Counts of links' downloads.
    LinkCount = "count of a link",
    /// Idempotency keys of uploads.
    IdempotencyKey = "idempotency key",
    /// Shares, without their files.
    Share = "share",
    /// Files in shares.
    ShareFile = "file in a share",
    /// What was counted of shares.
    ShareCount = "count of a share",
    /// What is counted of links and shares that may be downloaded so many times.
    Allowance = "allowance of downloads",
    /// Downloads that were started by them.
    Redemption = "started download",
}

impl Kind {
    /// Returns whether rows of this kind are ever taken away again. A copy that has another one was not made here.
    pub const fn is_forgotten(self) -> bool {
        match self {
            Self::Organization | Self::Space | Self::ApiKey | Self::App | Self::Folder => false,
            Self::FolderMember
            | Self::File
            | Self::FolderFile
            | Self::DeniedLink
            | Self::FileCount
            | Self::LinkCount
            | Self::IdempotencyKey
            | Self::Share
            | Self::ShareFile
            | Self::ShareCount
            | Self::Allowance
            | Self::Redemption => true,
        }
    }
}

/// One row of a kind, whole. It may hold the secret of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// Of [`Kind::Organization`].
    Organization(Organization),
    /// Of [`Kind::Space`].
    Space(Space),
    /// Of [`Kind::ApiKey`].
    ApiKey(ApiKey),
    /// Of [`Kind::App`].
    App(App),
    /// Of [`Kind::Folder`]; its members are rows of their own.
    Folder(Folder),
    /// Of [`Kind::FolderMember`].
    FolderMember {
        /// The owner of the folder.
        organization: OrganizationId,
        /// The folder.
        folder: FolderId,
        /// The member.
        member: OrganizationId,
    },
    /// Of [`Kind::File`].
    File(Box<FileRecord>),
    /// Of [`Kind::FolderFile`].
    FolderFile {
        /// The owner of the folder.
        organization: OrganizationId,
        /// The folder.
        folder: FolderId,
        /// The file in it.
        file: FileId,
    },
    /// Of [`Kind::DeniedLink`].
    DeniedLink {
        /// The owner of the link.
        organization: OrganizationId,
        /// The link.
        link: LinkId,
        /// From when on it is dead anyway.
        expires: UnixSeconds,
        /// True if it was named by its id alone.
        id_alone: bool,
    },
    /// Of [`Kind::FileCount`].
    FileCount {
        /// The owner of the file.
        organization: OrganizationId,
        /// The file.
        file: FileId,
        /// The counts.
        counts: Counts,
    },
    /// Of [`Kind::LinkCount`].
    LinkCount {
        /// The owner of the link.
        organization: OrganizationId,
        /// The link.
        link: LinkId,
        /// From when on it is dead.
        expires: UnixSeconds,
        /// The counts.
        counts: Counts,
    },
    /// Of [`Kind::IdempotencyKey`].
    IdempotencyKey(KeyRow),
    /// Of [`Kind::Share`].
    Share(Box<Share>),
    /// Of [`Kind::ShareFile`].
    ShareFile {
        /// The owner of the share.
        organization: OrganizationId,
        /// The share.
        share: ShareId,
        /// The file in it.
        file: SharedFile,
    },
    /// Of [`Kind::ShareCount`].
    ShareCount(Box<ShareCountRow>),
    /// Of [`Kind::Allowance`].
    Allowance(Box<Allowance>),
    /// Of [`Kind::Redemption`].
    Redemption(Box<Redemption>),
}

impl Row {
    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Organization(_) => Kind::Organization,
            Self::Space(_) => Kind::Space,
            Self::ApiKey(_) => Kind::ApiKey,
            Self::App(_) => Kind::App,
            Self::Folder(_) => Kind::Folder,
            Self::FolderMember { .. } => Kind::FolderMember,
            Self::File(_) => Kind::File,
            Self::FolderFile { .. } => Kind::FolderFile,
            Self::DeniedLink { .. } => Kind::DeniedLink,
            Self::FileCount { .. } => Kind::FileCount,
            Self::LinkCount { .. } => Kind::LinkCount,
            Self::IdempotencyKey(_) => Kind::IdempotencyKey,
            Self::Share(_) => Kind::Share,
            Self::ShareFile { .. } => Kind::ShareFile,
            Self::ShareCount(_) => Kind::ShareCount,
            Self::Allowance(_) => Kind::Allowance,
            Self::Redemption(_) => Kind::Redemption,
        }
    }

    /// Returns the key, which no other row of its kind has. Ordered byte by byte; empty where there is nothing more.
    pub fn key(&self) -> [&str; 3] {
        match self {
            Self::Organization(organization) => [organization.id.as_str(), "", ""],
            Self::Space(space) => [space.organization.as_str(), space.id.as_str(), ""],
            Self::ApiKey(key) => [key.id.as_str(), "", ""],
            Self::App(app) => [app.id.as_str(), "", ""],
            Self::Folder(folder) => [folder.organization.as_str(), folder.id.as_str(), ""],
            Self::FolderMember {
                organization,
                folder,
                member,
            } => [organization.as_str(), folder.as_str(), member.as_str()],
            Self::File(file) => [file.organization.as_str(), file.id.as_str(), ""],
            Self::FolderFile {
                organization,
                folder,
                file,
            } => [organization.as_str(), folder.as_str(), file.as_str()],
            Self::FileCount {
                organization, file, ..
            } => [organization.as_str(), file.as_str(), ""],
            Self::IdempotencyKey(KeyRow { claim, .. }) => [
                claim.organization.as_str(),
                claim.api_key.as_str(),
                claim.key.as_str(),
            ],
            Self::Share(share) => [share.organization.as_str(), share.id.as_str(), ""],
            Self::ShareFile {
                organization,
                share,
                file,
            } => [organization.as_str(), share.as_str(), &file.path],
            Self::ShareCount(of) => [of.count.organization.as_str(), of.count.share.as_str(), ""],
            Self::Allowance(of) => [of.organization.as_str(), of.subject.as_str(), ""],
            Self::Redemption(of) => [of.ticket.rid.as_str(), "", ""],
            Self::DeniedLink {
                organization, link, ..
            }
            | Self::LinkCount {
                organization, link, ..
            } => [organization.as_str(), link.as_str(), ""],
        }
    }
}

/// The files and bytes of all organizations together. Numbers stay at the largest that there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files that are `Ready` or `Deleted`.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Totals {
    pub(super) const fn add(&mut self, files: u64, bytes: u64) {
        self.files = self.files.saturating_add(files);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// The note of a copy that nobody uses yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyNote {
    /// Of which installation it is a copy.
    pub installation: InstallationId,
    /// The place that its bytes are copied to, in words that tell one place from another; empty where they are not.
    pub blobs: String,
    /// True if it was whole when it was last brought up to date. Until then nothing may be served by it.
    pub is_whole: bool,
}
