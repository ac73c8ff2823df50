//! Shares: some files, or a request for some, behind a page for people that can be changed after its address was sent.

use std::fmt;

use super::count::Counts;
use super::digest::Sha256Digest;
use super::id::{ApiKeyId, FileId, OrganizationId, ShareId};
use super::network::Network;
use super::time::UnixSeconds;

/// The most files of a share: as many as one archive of them has.
pub const SHARE_FILES_MAX: usize = 10_000;

/// A share as the catalogue keeps it, but for its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The organization that it belongs to; its files are files of this organization.
    pub organization: OrganizationId,
    /// Unique inside the organization.
    pub id: ShareId,
    /// The signing key that its code is derived from.
    pub kid: String,
    /// The SHA-256 of its code, by which it is found.
    pub code_digest: Sha256Digest,
    /// The epoch of its organization that its code was derived in.
    pub epoch: u64,
    /// Raised by each rotation: the code is another one then.
    pub revision: u64,
    /// Its kind.
    pub kind: ShareKind,
    /// Its heading, for people; may be empty.
    pub title: String,
    /// A text under the heading; may be empty.
    pub note: String,
    /// The position of the next file that is put into it. Never given twice.
    pub next_position: u64,
    /// Time of creation.
    pub created_at: UnixSeconds,
    /// The API key that made it; `None` for a command.
    pub created_by: Option<ApiKeyId>,
    /// Time from which it opens nothing; `None` for never.
    pub expires: Option<UnixSeconds>,
    /// Time before which it opens nothing.
    pub not_before: Option<UnixSeconds>,
    /// The downloads that it allows; `None` where they are not counted.
    pub allowed: Option<u64>,
    /// The hash of its password, if it has one.
    pub password: Option<PasswordHash>,
    /// Raised by each change of the password and by each rotation: what was given before is good no more.
    pub pass_revision: u64,
    /// The clients that it opens for; `None` for any.
    pub ip: Option<ShareNetwork>,
    /// The state.
    pub state: ShareState,
    /// What its page offers.
    pub options: ShareOptions,
}

/// A network, with the text that it was given as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareNetwork {
    text: String,
    network: Network,
}

impl ShareNetwork {
    /// Takes what [`Network::parse`] takes.
    pub fn parse(text: &str) -> Option<Self> {
        let network = Network::parse(text)?;
        let text = text.to_owned();
        Some(Self { text, network })
    }

    /// The text that it was given as.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The network.
    pub const fn network(&self) -> Network {
        self.network
    }
}

/// The hash of a password, in the PHC string format. Whoever has it can guess the password, so `Debug` shows nothing
/// of it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes a hash as it was made, or is kept.
    pub const fn new(phc: String) -> Self {
        Self(phc)
    }

    /// The hash, for whoever compares a password with it or keeps it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// The kind of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareKind {
    /// It gives files.
    Files,
    /// It asks for files.
    Request,
}

impl ShareKind {
    /// The word that is kept.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Request => "request",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::Files, Self::Request];
        all.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// The state of a share, its time apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareState {
    /// It opens.
    Active,
    /// It opens nothing until it is resumed.
    Paused,
    /// It never opens again.
    Revoked {
        /// Since when.
        at: UnixSeconds,
    },
}

impl ShareState {
    /// The word that is kept.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Revoked { .. } => "revoked",
        }
    }
}

/// What the page of a share offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareOptions {
    /// It shows pictures and plays media.
    pub preview: bool,
    /// It offers all files as one archive.
    pub zip: bool,
}

impl ShareOptions {
    /// Its words, separated by single spaces, as they are kept.
    pub const fn as_str(self) -> &'static str {
        match (self.preview, self.zip) {
            (true, true) => "preview zip",
            (true, false) => "preview",
            (false, true) => "zip",
            (false, false) => "",
        }
    }

    /// Reads the words back.
    pub fn parse(words: &str) -> Option<Self> {
        let flags = [false, true];
        let all = flags.map(|preview| flags.map(|zip| Self { preview, zip }));
        all.into_iter()
            .flatten()
            .find(|options| options.as_str() == words)
    }
}

/// A file of a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedFile {
    /// Its name there, unique inside the share; `/` separates folders.
    pub path: String,
    /// The file.
    pub file: FileId,
    /// The link revision of the file when it was put there. Under another one the share does not open it: the links of
    /// the file were revoked since.
    pub link_revision: u64,
    /// Its number there, from 1 on, never given to another file.
    pub position: u64,
}

/// A share with its files, in the order of their positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeShare {
    /// The share.
    pub share: Share,
    /// Its files.
    pub files: Vec<SharedFile>,
}

/// What was counted of a share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShareCounts {
    /// Its downloads, as of any link.
    pub counts: Counts,
    /// How often its page was shown with what it shares.
    pub opened: u64,
    /// The first time that it was.
    pub first_opened_at: Option<UnixSeconds>,
    /// The downloads of those that it allows that are spent.
    pub done: u64,
    /// Those that are held by downloads under way.
    pub open: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for kind in [ShareKind::Files, ShareKind::Request] {
            assert_eq!(ShareKind::parse(kind.as_str()), Some(kind));
        }
        for preview in [false, true] {
            for zip in [false, true] {
                let options = ShareOptions { preview, zip };
                assert_eq!(ShareOptions::parse(options.as_str()), Some(options));
            }
        }
        for bad in ["zip preview", "preview  zip", " ", "Zip"] {
            assert_eq!(ShareOptions::parse(bad), None, "{bad:?}");
        }
        assert_eq!(ShareKind::parse("file"), None);
    }

    #[test]
    fn a_network_keeps_its_text_and_a_hash_is_not_shown() {
        let network = ShareNetwork::parse("::ffff:192.0.2.0/120").unwrap();
        assert_eq!(network.as_str(), "::ffff:192.0.2.0/120");
        assert!(network.network().contains("192.0.2.7".parse().unwrap()));
        assert_eq!(ShareNetwork::parse("192.0.2.7/24"), None);
        let hash = PasswordHash::new("$argon2id$v=19$".into());
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
    }
}
