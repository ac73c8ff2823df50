//! API keys: what authenticates a mint, list, upload or delete call.

use super::digest::Sha256Digest;
use super::id::{ApiKeyId, OrganizationId};
use super::time::UnixSeconds;

/// An API key as the catalogue keeps it: its SHA-256, never its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Names the key in lists and logs.
    pub id: ApiKeyId,
    /// The organization it acts for.
    pub organization: OrganizationId,
    /// A person's word for it; may be empty.
    pub name: String,
    /// SHA-256 of the key's text.
    pub digest: Sha256Digest,
    /// The calls that the key may make.
    pub scopes: Scopes,
    /// The state, its expiry apart.
    pub state: ApiKeyState,
    /// Time of creation.
    pub created_at: UnixSeconds,
    /// Time from which it no longer works; `None` for never.
    pub expires_at: Option<UnixSeconds>,
}

/// The state of an API key, its expiry apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyState {
    /// It works.
    Active,
    /// It does not work until it is resumed.
    Paused,
    /// It never works again.
    Deactivated,
}

impl ApiKeyState {
    /// The word in lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Deactivated => "deactivated",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Paused, Self::Deactivated]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// A right of an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// List and retrieve.
    Read,
    /// Mint signed URLs.
    Mint,
    /// Upload and delete.
    Write,
    /// Revoke, and everything else.
    Admin,
}

impl Scope {
    /// All scopes, in the order they are written in.
    pub const ALL: [Self; 4] = [Self::Read, Self::Mint, Self::Write, Self::Admin];

    /// The word on the command line and in lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Mint => "mint",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// Reads one of the four words.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Read => 1,
            Self::Mint => 2,
            Self::Write => 4,
            Self::Admin => 8,
        }
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// The scopes of a key that was made without naming any: read, mint, write.
    pub const USUAL: Self = Self(7);
    /// Everything.
    pub const ALL: Self = Self(15);

    /// The set of these scopes.
    pub fn of(scopes: &[Scope]) -> Self {
        Self(scopes.iter().fold(0, |bits, scope| bits | scope.bit()))
    }

    /// Reads scopes separated by single spaces, as [`Scopes::names`] joins them.
    pub fn parse(text: &str) -> Option<Self> {
        let scopes: Option<Vec<Scope>> = text.split_ascii_whitespace().map(Scope::parse).collect();
        scopes.map(|scopes| Self::of(&scopes))
    }

    /// Returns whether a key with this set may do `scope`. `admin` includes the rest.
    pub const fn allow(self, scope: Scope) -> bool {
        self.0 & (scope.bit() | Scope::Admin.bit()) != 0
    }

    /// The words of the set, in their fixed order.
    pub fn names(self) -> Vec<&'static str> {
        Scope::ALL
            .into_iter()
            .filter(|scope| self.0 & scope.bit() != 0)
            .map(Scope::as_str)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_includes_the_rest() {
        let admin = Scopes::of(&[Scope::Admin]);
        assert!(Scope::ALL.into_iter().all(|scope| admin.allow(scope)));
        assert_eq!(admin.names(), ["admin"]);
        assert!(!Scopes::USUAL.allow(Scope::Admin));
        assert_eq!(
            Scopes::parse(&Scopes::ALL.names().join(" ")),
            Some(Scopes::ALL)
        );
        assert_eq!(Scopes::parse("read fly"), None);
    }
}
