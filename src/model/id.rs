//! Identifiers: 1 to 128 of `[A-Za-z0-9_-]`, so that none can break out of a path, a header, a signed
//! message or a log line.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use super::time::UnixSeconds;

/// The longest identifier, in bytes.
pub const ID_BYTES_MAX: usize = 128;

/// The organization that an empty installation starts with.
pub const DEFAULT_ORGANIZATION: &str = "org_default";

/// The space that every organization has.
pub const DEFAULT_SPACE: &str = "space_default";

/// The text is no identifier: it is empty, longer than 128 bytes, or has a character outside
/// `[A-Za-z0-9_-]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 1 to {ID_BYTES_MAX} characters of A-Z, a-z, 0-9, _ and -")]
pub struct InvalidId;

/// The bytes that may stand in an identifier.
#[expect(
    clippy::indexing_slicing,
    reason = "a constant that indexes past its end does not build"
)]
const OF_IDS: [bool; 256] = {
    let mut good = [false; 256];
    let mut byte = 0_u8;
    while byte < u8::MAX {
        good[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        byte += 1;
    }
    good
};

/// Checks that the text is an id of any kind.
pub(super) fn check(text: &str) -> Result<(), InvalidId> {
    let good_length = (1..=ID_BYTES_MAX).contains(&text.len());
    if good_length && are_of_ids(text.as_bytes()) {
        Ok(())
    } else {
        Err(InvalidId)
    }
}

/// Returns whether each byte is one of `[A-Za-z0-9_-]`. All are looked at, whatever the first ones are, which is less
/// work than to stop.
pub(super) fn are_of_ids(bytes: &[u8]) -> bool {
    let good = |byte: u8| OF_IDS.get(usize::from(byte)).is_some_and(|good| *good);
    bytes.iter().fold(true, |all, byte| all & good(*byte))
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 1 to 128 of `[A-Za-z0-9_-]`, compared byte by byte. Cloning is a reference count.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is: nothing is decoded, trimmed or folded.
            ///
            /// # Errors
            /// [`InvalidId`] if it is no id of this kind.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                check(text).map(|()| Self(text.into()))
            }

            /// The identifier's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        /// Lets a map be asked by the text of an id: the text has the same order and hash.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }
    };
}

identifier! {
    /// Names a tenant.
    OrganizationId
}
identifier! {
    /// Names a container of files inside an organization.
    SpaceId
}
identifier! {
    /// Names a set of files that other organizations may mint links for.
    FolderId
}
identifier! {
    /// Names a file inside its organization.
    FileId
}
identifier! {
    /// Names an API key. It is not the key: it may be logged.
    ApiKeyId
}
identifier! {
    /// Names an app. It is not the app's secret: it may be logged.
    AppId
}
identifier! {
    /// Names a share inside its organization. It is not the share's code: it opens nothing, and may be logged.
    ShareId
}

impl OrganizationId {
    /// Takes a text that was checked.
    pub(super) fn of_checked(text: &str) -> Self {
        Self(text.into())
    }

    /// `org_default`, which an empty installation starts with.
    pub fn default_organization() -> Self {
        Self(DEFAULT_ORGANIZATION.into())
    }
}

impl SpaceId {
    /// `space_default`, which every organization has.
    pub fn default_space() -> Self {
        Self(DEFAULT_SPACE.into())
    }
}

impl FileId {
    /// Takes a text that was checked.
    pub(super) fn of_checked(text: &str) -> Self {
        Self(text.into())
    }

    /// `file_` and the 32 lower-case hex digits of a UUIDv7, given as its 16 bytes.
    pub fn from_uuid(uuid: [u8; 16]) -> Self {
        Self(format!("file_{}", super::digest::hex(&uuid)).into())
    }

    /// The time in a text of the shape of a drawn id, or of the beginning of one: `file_` and at least 12
    /// hex digits, of which the first 12 are milliseconds since 1970. Cut to whole seconds.
    pub fn time_in(text: &str) -> Option<UnixSeconds> {
        let digits = text.strip_prefix("file_")?;
        let millis = digits.get(..12)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let millis = u64::from_str_radix(millis, 16).ok()?;
        Some(UnixSeconds::EPOCH.plus(millis / 1000))
    }
}

impl ApiKeyId {
    /// `key_` and 32 lower-case hex digits.
    pub fn from_random(random: [u8; 16]) -> Self {
        Self(format!("key_{}", super::digest::hex(&random)).into())
    }
}

impl AppId {
    /// `app_` and 32 lower-case hex digits.
    pub fn from_random(random: [u8; 16]) -> Self {
        Self(format!("app_{}", super::digest::hex(&random)).into())
    }
}

impl ShareId {
    /// `share_` and the 32 lower-case hex digits of a UUIDv7, given as its 16 bytes.
    pub fn from_uuid(uuid: [u8; 16]) -> Self {
        Self(format!("share_{}", super::digest::hex(&uuid)).into())
    }

    /// Takes a text that was checked.
    pub(super) fn of_checked(text: &str) -> Self {
        Self(text.into())
    }
}

macro_rules! drawn_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Takes 16 random bytes.
            pub const fn from_random(random: [u8; 16]) -> Self {
                Self(random)
            }

            /// Reads the 32 hex digits back. `None` for anything else, upper case included.
            pub fn parse(text: &str) -> Option<Self> {
                super::digest::unhex(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&super::digest::hex(&self.0))
            }
        }
    };
}

drawn_name! {
    /// Names bytes in a blob store: 32 lower-case hex digits that we drew ourselves, never anything a
    /// caller sent.
    BlobKey
}
drawn_name! {
    /// Names an installation, that is a catalogue and its copies: 32 lower-case hex digits that were drawn once.
    InstallationId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_to_their_alphabet_and_length() {
        for good in ["a", "file_abc123", "A-Z_09", &"x".repeat(128)] {
            assert_eq!(FileId::parse(good).unwrap().as_str(), good);
        }
        let bad = [
            "",
            "a b",
            "a/b",
            "..",
            "a.b",
            "a\n",
            "é",
            "a%2f",
            "a\0",
            &"x".repeat(129),
        ];
        for text in bad {
            assert_eq!(FileId::parse(text), Err(InvalidId), "{text:?}");
        }
    }

    #[test]
    fn drawn_ids_and_their_beginnings_have_a_time() {
        let time = |text: &str| FileId::time_in(text).map(|time| time.to_string());
        for whole_or_cut in [
            "file_019e3bb8e6c47d189212a79642136696",
            "file_019e3bb8e6c47d18",
            "file_019e3bb8e6c4",
        ] {
            assert_eq!(
                time(whole_or_cut).as_deref(),
                Some("2026-05-18T15:33:53Z"),
                "{whole_or_cut}"
            );
        }
        for other in [
            "",
            "file_",
            "file_019e3bb8e6c",
            "019e3bb8e6c47d18",
            "file_nonexistent123",
        ] {
            assert_eq!(time(other), None, "{other}");
        }
        assert_eq!(
            FileId::time_in("file_ffffffffffff").unwrap().get(),
            99_999_999_999
        );
        assert_eq!(FileId::time_in("file_019e3bb8e6cé"), None);
    }

    #[test]
    fn drawn_keys_read_back_and_refuse_other_spellings() {
        let key = BlobKey::from_random([0xab; 16]);
        assert_eq!(BlobKey::parse(&key.to_string()), Some(key));
        let id = InstallationId::from_random([0xab; 16]);
        assert_eq!(InstallationId::parse(&id.to_string()), Some(id));
        for bad in [
            "",
            "AB",
            &"AB".repeat(16),
            &"ab".repeat(17),
            &"zz".repeat(16),
        ] {
            assert_eq!(BlobKey::parse(bad), None);
            assert_eq!(InstallationId::parse(bad), None);
        }
    }
}
