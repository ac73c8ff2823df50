//! The signing keys of an installation.

use std::sync::Arc;

use super::claims::LinkKind;
use super::derived::{DerivedFrom, DerivedKeys, KeyKind};
use super::grant::{Grant, SignedLink};
pub use super::kid::{InvalidKid, KID_CHARS_MAX, Kid};
use super::log_hash::LogKey;
use super::mac::Keyed;
use super::organization_key::{OrganizationKey, seal};
use super::secret::Secret;
use crate::model::id::OrganizationId;
use crate::model::time::UnixSeconds;

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
/// [`DERIVED_KEYS_MAX`](super::derived::DERIVED_KEYS_MAX) of each kind.
#[derive(Debug)]
pub struct Keyring {
    keys: Vec<SigningKey>,
    /// The log's key, derived from the active key.
    log_key: LogKey,
    /// Keys of organizations.
    pub(super) derived: DerivedKeys,
    /// Keys of the gateway for them.
    gateway_derived: DerivedKeys,
}

/// A signer of one organization's links at one epoch. It is as good as the organization's key, so it has no `Debug`.
pub struct LinkSigner {
    kid: Kid,
    key: Arc<Keyed>,
}

impl LinkSigner {
    /// Makes the link. `link_revision` is the file's. The grant must be of the signer's organization, else the link opens
    /// nothing.
    pub fn mint<'a, K: LinkKind>(
        &self,
        grant: &'a Grant<K>,
        link_revision: u64,
    ) -> SignedLink<'a, K> {
        seal(&self.key, &self.kid, grant, link_revision)
    }
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
            gateway_derived: DerivedKeys::new(),
        })
    }

    /// The active key's own key for the log.
    pub const fn log_key(&self) -> &LogKey {
        &self.log_key
    }

    /// The keys that a log's hashes may have been made with: the active one first, then every other one
    /// that is not retired.
    pub fn log_keys(&self) -> Vec<LogKey> {
        let (active, _) = self.active_key();
        let with_secrets = self.keys().iter().filter_map(|key| {
            let secret = key.secret.as_ref()?;
            Some(LogKey::derive(&key.kid, secret))
        });
        let (first, others): (Vec<_>, Vec<_>) = with_secrets.partition(|key| key.kid == *active);
        first.into_iter().chain(others).collect()
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
    pub fn mint<'a, K: LinkKind>(
        &self,
        grant: &'a Grant<K>,
        epoch: u64,
        link_revision: u64,
    ) -> SignedLink<'a, K> {
        let signer = self.link_signer(&grant.organization, epoch);
        signer.mint(grant, link_revision)
    }

    /// Returns the active key narrowed down to one organization at one epoch, to make any number of its links with.
    pub fn link_signer(&self, organization: &OrganizationId, epoch: u64) -> LinkSigner {
        let (kid, secret) = self.active_key();
        LinkSigner {
            key: self.signer(KeyKind::Organization, kid, secret, organization, epoch),
            kid: kid.clone(),
        }
    }

    /// Returns the key of this kind that a signing key gives for an organization, of whom somebody is proven to be.
    pub(super) fn signer(
        &self,
        kind: KeyKind,
        kid: &Kid,
        secret: &Secret,
        organization: &OrganizationId,
        epoch: u64,
    ) -> Arc<Keyed> {
        let from = DerivedFrom {
            kid,
            organization: organization.as_str(),
            epoch,
        };
        let derived = self.derived(kind);
        derived.get(from).unwrap_or_else(|| {
            let key = Arc::new(kind.derive(secret, from.organization, epoch));
            derived.keep(from, organization, Arc::clone(&key));
            key
        })
    }

    /// The keys of this kind that were derived already.
    pub(super) const fn derived(&self, kind: KeyKind) -> &DerivedKeys {
        match kind {
            KeyKind::Organization => &self.derived,
            KeyKind::Gateway => &self.gateway_derived,
        }
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
