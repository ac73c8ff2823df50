//! File records: what the catalogue knows of a file.

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::address::FileAddress;
use super::digest::{Crc32, Sha256Digest};
use super::id::{ApiKeyId, BlobKey, FileId, OrganizationId, SpaceId};
use super::media::MediaType;
use super::metadata::Metadata;
use super::name::FileName;
use super::time::UnixSeconds;

/// A catalogue row. The bytes it names exist as long as it is `Ready`, and never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRecord {
    /// The tenant that owns the file.
    pub organization: OrganizationId,
    /// Unique inside the organization.
    pub id: FileId,
    /// The container the file lies in.
    pub space: SpaceId,
    /// The original name, cleaned.
    pub name: FileName,
    /// The media type that the bytes are served as.
    pub media_type: MediaType,
    /// Length in bytes.
    pub size: u64,
    /// The SHA-256 of the bytes; `None` of a file in place that nobody has read, which its identity tells from others.
    pub sha256: Option<Sha256Digest>,
    /// The purpose that the uploader named.
    pub purpose: Purpose,
    /// The state: ready, deleted or purged.
    pub state: FileState,
    /// The uploader's own words.
    pub metadata: Metadata,
    /// Time of creation.
    pub created_at: UnixSeconds,
    /// Time at which the file became ready.
    pub updated_at: UnixSeconds,
    /// The API key that uploaded it; `None` from the command line.
    pub uploaded_by: Option<ApiKeyId>,
    /// Time since which its bytes are known to be damaged: it is not served until they are found whole again.
    pub damaged_at: Option<UnixSeconds>,
    /// The number of times that all links of the file were revoked. It is under every link's MAC.
    pub link_revision: u64,
    /// The location of the bytes.
    pub location: BlobLocation,
    /// True if all bytes are UTF-8 text; `None` until somebody has read them for it.
    pub is_text: Option<bool>,
    /// The CRC-32 of the bytes, for zip archives; `None` until somebody has read them for it.
    pub crc32: Option<Crc32>,
    /// Time from which the file and its links answer as deleted; `None`: never.
    pub expires_at: Option<UnixSeconds>,
}

impl FileRecord {
    /// Returns the file's address in the whole installation.
    pub fn address(&self) -> FileAddress {
        FileAddress {
            organization: self.organization.clone(),
            file: self.id.clone(),
        }
    }

    /// Returns what tells these bytes from all others: their SHA-256, or a digest of the identity of the file in place
    /// that they lie in, which moves whenever they do. The catalogue has one for every row.
    pub fn fingerprint(&self) -> Sha256Digest {
        match (self.sha256, &self.location) {
            (Some(sha256), _) => sha256,
            (None, BlobLocation::InPlace(place)) => place.fingerprint(self.size),
            // A stored blob never changes, so its key says which bytes they are.
            (None, BlobLocation::Stored(key)) => {
                Sha256Digest::new(Sha256::digest(key.to_string()).into())
            }
        }
    }

    /// Returns the strong entity tag, with its quotes: the SHA-256 of the bytes, or `m-` and a digest of their file's
    /// identity. An inode's number is nobody's business, so it is not said itself.
    pub fn etag(&self) -> String {
        match self.sha256 {
            Some(sha256) => format!("\"{}\"", sha256.to_hex()),
            None => format!("\"m-{}\"", self.fingerprint().to_hex()),
        }
    }

    /// The state that the file answers with at `now`: an expired one is deleted, marked so or not.
    pub fn state_at(&self, now: UnixSeconds) -> FileState {
        match (self.state, self.expires_at) {
            (FileState::Ready, Some(at)) if at <= now => FileState::Deleted { at },
            (state, _) => state,
        }
    }
}

/// The state of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// The bytes are there.
    Ready,
    /// Deleted, its bytes still kept in the recycle bin.
    Deleted {
        /// Time of the deletion.
        at: UnixSeconds,
    },
    /// Deleted, its bytes gone; only its id is still taken.
    Swept {
        /// Time of the deletion.
        at: UnixSeconds,
    },
}

impl FileState {
    /// The word for the state in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Deleted { .. } | Self::Swept { .. } => "deleted",
        }
    }
}

/// The location of a file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobLocation {
    /// In the blob store, under a key we drew.
    Stored(BlobKey),
    /// In a file that somebody else keeps, registered in place.
    InPlace(InPlace),
}

/// A file registered in place. It is held to what it was then: another size, modification time or
/// inode is damage, never new bytes under the old id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InPlace {
    /// Absolute, without symbolic links, below one of the configured roots.
    pub path: PathBuf,
    /// The inode number.
    pub inode: u64,
    /// The modification time, in nanoseconds since 1970.
    pub modified_nanos: i64,
    /// The number of the device; `None` in rows from before it was kept.
    pub device: Option<u64>,
    /// The time of the last change of the inode, in nanoseconds since 1970; `None` as above.
    pub changed_nanos: Option<i64>,
}

impl InPlace {
    /// Returns whether a file that is `now` must be the one that was registered: nothing of its identity moved, and all
    /// of it is known.
    pub fn is(&self, now: &Self) -> bool {
        let is_known = self.device.is_some() && self.changed_nanos.is_some();
        is_known && self.may_be(now)
    }

    /// Returns a digest of the identity of a file of this size: of its device, inode, size and the times of its last
    /// modification and change. No bytes have it for their SHA-256 but those of the text that is hashed here.
    pub fn fingerprint(&self, size: u64) -> Sha256Digest {
        let known = |part: Option<i128>| part.map_or("-".to_owned(), |part| part.to_string());
        let text = format!(
            "hallpass/file-identity/1\n{}\n{}\n{size}\n{}\n{}\n",
            known(self.device.map(i128::from)),
            self.inode,
            self.modified_nanos,
            known(self.changed_nanos.map(i128::from)),
        );
        Sha256Digest::new(Sha256::digest(text).into())
    }

    /// Returns whether nothing that is known of the identity moved.
    pub fn may_be(&self, now: &Self) -> bool {
        let is_same_device = self.device.is_none() || self.device == now.device;
        let is_unchanged = self.changed_nanos.is_none() || self.changed_nanos == now.changed_nanos;
        (self.inode, self.modified_nanos) == (now.inode, now.modified_nanos)
            && is_same_device
            && is_unchanged
    }
}

/// The purpose of a file (Qoder's `purpose`, "Files" guide).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Sent by a person; the default.
    UserUpload,
    /// Made by a tool.
    ToolOutput,
    /// Made by a skill.
    SkillOutput,
    /// Belongs to a session.
    SessionResource,
    /// Made by an agent.
    AgentOutput,
}

impl Purpose {
    /// All purposes, in the order the API lists them.
    pub const ALL: [Self; 5] = [
        Self::UserUpload,
        Self::ToolOutput,
        Self::SkillOutput,
        Self::SessionResource,
        Self::AgentOutput,
    ];

    /// Takes one of the five words exactly.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|purpose| purpose.as_str() == text)
    }

    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserUpload => "user_upload",
            Self::ToolOutput => "tool_output",
            Self::SkillOutput => "skill_output",
            Self::SessionResource => "session_resource",
            Self::AgentOutput => "agent_output",
        }
    }
}
