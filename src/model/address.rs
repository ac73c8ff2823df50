//! The address of a file in the whole installation: its organization and its id inside that.

use super::id::{self, FileId, InvalidId, OrganizationId};

/// Returns whether this is one segment of a path that names something: not empty, without a `/`, and neither `.`
/// nor `..`, which stand for other places (RFC 3986, §3.3). It is judged as it was sent.
pub fn is_name_in_path(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..") && !segment.contains('/')
}

/// The address of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileAddress {
    /// The organization that owns the file.
    pub organization: OrganizationId,
    /// The file's id inside its organization.
    pub file: FileId,
}

/// The address of a file, borrowed from the request: two ids that were checked and not copied. It
/// has the hash of the [`FileAddress`] that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileRef<'a> {
    organization: &'a str,
    file: &'a str,
}

impl<'a> FileRef<'a> {
    /// Takes two ids as they are.
    ///
    /// # Errors
    /// [`InvalidId`] if one of them is no id.
    pub fn parse(organization: &'a str, file: &'a str) -> Result<Self, InvalidId> {
        id::check(organization)?;
        id::check(file)?;
        Ok(Self { organization, file })
    }

    /// Takes the text of a file's id as it is.
    ///
    /// # Errors
    /// [`InvalidId`] if it is no id.
    pub fn parse_file(organization: &'a OrganizationId, file: &'a str) -> Result<Self, InvalidId> {
        id::check(file)?;
        Ok(Self {
            organization: organization.as_str(),
            file,
        })
    }

    /// The address of this file of this organization.
    pub fn new(organization: &'a OrganizationId, file: &'a FileId) -> Self {
        Self {
            organization: organization.as_str(),
            file: file.as_str(),
        }
    }

    /// Returns the organization's id.
    pub const fn organization(self) -> &'a str {
        self.organization
    }

    /// Returns the file's id.
    pub const fn file(self) -> &'a str {
        self.file
    }

    /// Returns a copy that owns its ids.
    pub fn to_address(self) -> FileAddress {
        FileAddress {
            organization: OrganizationId::of_checked(self.organization),
            file: FileId::of_checked(self.file),
        }
    }

    /// Returns whether `address` is the same address.
    pub fn is_of(self, address: &FileAddress) -> bool {
        self == FileRef::new(&address.organization, &address.file)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher as _, RandomState};

    use super::*;

    #[test]
    fn a_borrowed_address_is_that_of_its_ids() {
        let borrowed = FileRef::parse("org", "file").unwrap();
        let owned = borrowed.to_address();
        assert!(borrowed.is_of(&owned));
        assert_eq!(
            (owned.organization.as_str(), owned.file.as_str()),
            ("org", "file")
        );
        let hashing = RandomState::new();
        assert_eq!(hashing.hash_one(borrowed), hashing.hash_one(&owned));
        assert!(!FileRef::parse("org", "other").unwrap().is_of(&owned));
        assert!(!FileRef::parse("other", "file").unwrap().is_of(&owned));
        for (organization, file) in [("", "f"), ("o", ""), ("o/", "f"), ("o", &"f".repeat(129))] {
            assert_eq!(FileRef::parse(organization, file), Err(InvalidId));
        }
    }
}
