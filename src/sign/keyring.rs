//! The signing keys of an installation.

use std::fmt;
use std::sync::Arc;

use super::derived::{DerivedFrom, DerivedKeys};
use super::grant::{Grant, SignedLink};
use super::log_hash::LogKey;
use super::mac::Keyed;
use super::organization_key::{OrganizationKey, derive, seal};
use super::secret::Secret;
use crate::model::digest::hex;
use crate::model::id::OrganizationId;
use crate::model::time::UnixSeconds;

/// The longest kid, in characters.
pub const KID_CHARS_MAX: usize = 16;

/// Names a signing key inside its keyring: 1 to 16 of `[A-Za-z0-9]`. It stands in every token, and
/// may be logged. Ordered as its text is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid {
    /// Zeros follow the text.
    text: [u8; KID_CHARS_MAX],
    length: usize,
}

/// The text is no kid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a kid is 1 to {KID_CHARS_MAX} characters of A-Z, a-z and 0-9")]
pub struct InvalidKid;

impl Kid {
    /// Takes the text as it is. The length is looked at first.
    pub fn parse(text: &str) -> Option<Self> {
        let mut kid = Self {
            text: [0; KID_CHARS_MAX],
            length: text.len(),
        };
        kid.text
            .get_mut(..kid.length)?
            .copy_from_slice(text.as_bytes());
        let good = |byte: u8| byte.is_ascii_alphanumeric();
        // Every byte is looked at, which many are at once.
        let all_good = text.bytes().fold(true, |all, byte| all & good(byte));
        (all_good && !text.is_empty()).then_some(kid)
    }

    /// Eight lower-case hex digits.
    pub fn from_random(random: [u8; 4]) -> Self {
        let mut kid = Self {
            text: [0; KID_CHARS_MAX],
            length: 2 * random.len(),
        };
        for (place, digit) in kid.text.iter_mut().zip(hex(&random).bytes()) {
            *place = digit;
        }
        kid
    }

    /// The kid's text.
    #[expect(
        clippy::expect_used,
        reason = "a kid is ASCII, and no longer than its buffer"
    )]
    pub fn as_str(&self) -> &str {
        let text = self.text.get(..self.length).expect("the kid's length");
        str::from_utf8(text).expect("ASCII")
    }
}

impl std::str::FromStr for Kid {
    type Err = InvalidKid;

    fn from_str(text: &str) -> Result<Self, InvalidKid> {
        Self::parse(text).ok_or(InvalidKid)
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// The state of a signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It signs, and its links are good.
    Active,
    /// It signs nothing new, and its links are good.
    VerifyOnly,
    /// Its links are dead. Only its name is left.
    Retired,
}

impl KeyState {
    /// `active`, `verify-only` or `retired`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::VerifyOnly => "verify-only",
            Self::Retired => "retired",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Active, Self::VerifyOnly, Self::Retired];
        all.into_iter().find(|state| state.as_str() == text)
    }
}

/// One signing key.
#[derive(Debug)]
pub struct SigningKey {
    /// Its name.
    pub kid: Kid,
    /// The state.
    pub state: KeyState,
    /// Its bytes; none once it is retired.
    pub secret: Option<Secret>,
    /// Time of creation.
    pub created_at: UnixSeconds,
}

/// The reason why keys are no keyring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// No key could sign.
    #[error("no key is active")]
    NoneActive,
    /// Two keys would sign.
    #[error("key {kid} is active besides another one")]
    SeveralActive {
        /// The second.
        kid: Kid,
    },
    /// Two keys have one name.
    #[error("there are two keys {kid}")]
    Duplicate {
        /// Their name.
        kid: Kid,
    },
    /// A key that must sign or verify cannot.
    #[error("key {kid} has no secret")]
    NoSecret {
        /// Its name.
        kid: Kid,
    },
    /// A key that is retired could still sign.
    #[error("key {kid} is retired and has a secret")]
    RetiredSecret {
        /// Its name.
        kid: Kid,
    },
}

/// Signing keys, exactly one of which is active. It mints with that one and verifies with every one
/// that is not retired. What it derives of its keys it keeps, up to
/// [`DERIVED_KEYS_MAX`](super::derived::DERIVED_KEYS_MAX).
#[derive(Debug)]
pub struct Keyring {
    keys: Vec<SigningKey>,
    /// The log's key, derived from the active key.
    log_key: LogKey,
    pub(super) derived: DerivedKeys,
}

impl Keyring {
    /// Takes keys of which exactly one is active, whose kids are unique, and which have a secret exactly
    /// if they are not retired. Their order is kept.
    ///
    /// # Errors
    /// [`KeyringError`] names the rule that they break.
    pub fn new(keys: Vec<SigningKey>) -> Result<Self, KeyringError> {
        let mut active = None;
        for (index, key) in keys.iter().enumerate() {
            let kid = || key.kid.clone();
            if keys.iter().take(index).any(|other| other.kid == key.kid) {
                return Err(KeyringError::Duplicate { kid: kid() });
            }
            if key.state == KeyState::Retired && key.secret.is_some() {
                return Err(KeyringError::RetiredSecret { kid: kid() });
            }
            if key.state != KeyState::Retired && key.secret.is_none() {
                return Err(KeyringError::NoSecret { kid: kid() });
            }
            if key.state == KeyState::Active && active.replace(index).is_some() {
                return Err(KeyringError::SeveralActive { kid: kid() });
            }
        }
        let active = active.and_then(|index| keys.get(index));
        let active = active.and_then(|key| Some((&key.kid, key.secret.as_ref()?)));
        let (kid, secret) = active.ok_or(KeyringError::NoneActive)?;
        Ok(Self {
            log_key: LogKey::derive(kid, secret),
            keys,
            derived: DerivedKeys::new(),
        })
    }

    /// The active key's own key for the log.
    pub const fn log_key(&self) -> &LogKey {
        &self.log_key
    }

    /// The key that signs.
    pub fn active(&self) -> &Kid {
        self.active_key().0
    }

    /// All keys, in the order they were given.
    pub fn keys(&self) -> &[SigningKey] {
        &self.keys
    }

    /// Gives the keys back, to make another keyring of them.
    pub fn into_keys(self) -> Vec<SigningKey> {
        self.keys
    }

    /// The key of this name, retired ones too.
    pub fn key(&self, kid: &Kid) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.kid == *kid)
    }

    /// The active key narrowed down to one organization at one epoch.
    pub fn organization_key(&self, organization: &OrganizationId, epoch: u64) -> OrganizationKey {
        OrganizationKey::derive(self.active_key().1, organization, epoch)
    }

    /// Makes the link with the active key. `epoch` is the organization's, `link_revision` the file's.
    /// The same arguments give the same link.
    pub fn mint<'a>(&self, grant: &'a Grant, epoch: u64, link_revision: u64) -> SignedLink<'a> {
        let (kid, secret) = self.active_key();
        let organization = &grant.organization;
        let from = DerivedFrom {
            kid,
            organization: organization.as_str(),
            epoch,
        };
        let key = self.derived.get(from).unwrap_or_else(|| {
            let key = Arc::new(Keyed::new(&*derive(secret, from.organization, epoch)));
            self.derived.keep(from, organization, Arc::clone(&key));
            key
        });
        seal(&key, kid, grant, link_revision)
    }

    /// The key that signs, with its secret.
    #[expect(
        clippy::expect_used,
        reason = "`new` takes no keyring without an active key, nor one without its secret"
    )]
    pub(super) fn active_key(&self) -> (&Kid, &Secret) {
        let mut active = self.keys.iter().filter(|key| key.state == KeyState::Active);
        active
            .find_map(|key| Some((&key.kid, key.secret.as_ref()?)))
            .expect("one key is active")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kid: &str, state: KeyState, has_secret: bool) -> SigningKey {
        let secret = Secret::new((0..32).collect()).unwrap();
        SigningKey {
            kid: Kid::parse(kid).unwrap(),
            state,
            secret: has_secret.then_some(secret),
            created_at: UnixSeconds::EPOCH,
        }
    }

    #[test]
    fn kids_keep_to_their_alphabet_and_length() {
        for good in ["a", "K1", &"9".repeat(16)] {
            assert_eq!(Kid::parse(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(10_240);
        for bad in ["", "a/b", "..", "a-b", "a_b", "é", &"9".repeat(17), &long] {
            assert_eq!(Kid::parse(bad), None, "{bad}");
        }
        assert_eq!(Kid::from_random([1, 0xab, 0, 0xff]).as_str(), "01ab00ff");
    }

    #[test]
    fn keyrings_have_one_active_key_and_secrets_where_they_belong() {
        use KeyState::{Active, Retired, VerifyOnly};
        let good = Keyring::new(vec![
            key("b", VerifyOnly, true),
            key("a", Active, true),
            key("c", Retired, false),
        ])
        .unwrap();
        assert_eq!(good.active().as_str(), "a");
        assert_eq!(good.keys().len(), 3);

        let kid = |text| Kid::parse(text).unwrap();
        let bad = [
            (vec![], KeyringError::NoneActive),
            (vec![key("a", VerifyOnly, true)], KeyringError::NoneActive),
            (
                vec![key("a", Active, true), key("b", Active, true)],
                KeyringError::SeveralActive { kid: kid("b") },
            ),
            (
                vec![key("a", Active, true), key("a", Retired, false)],
                KeyringError::Duplicate { kid: kid("a") },
            ),
            (
                vec![key("a", Active, false)],
                KeyringError::NoSecret { kid: kid("a") },
            ),
            (
                vec![key("a", Active, true), key("b", VerifyOnly, false)],
                KeyringError::NoSecret { kid: kid("b") },
            ),
            (
                vec![key("a", Active, true), key("b", Retired, true)],
                KeyringError::RetiredSecret { kid: kid("b") },
            ),
        ];
        for (keys, why) in bad {
            assert_eq!(Keyring::new(keys).unwrap_err(), why);
        }
    }

    #[test]
    fn states_read_back() {
        for state in [KeyState::Active, KeyState::VerifyOnly, KeyState::Retired] {
            assert_eq!(KeyState::parse(state.as_str()), Some(state));
        }
        assert_eq!(KeyState::parse("Active"), None);
    }
}
