//! The keyed hash that a log has in place of a caller's text.
//!
//! A log must not repeat a caller's text: an API key in place of a file's id, a token as a request id. And
//! it must stay useful: an operator who has such a text must find the lines about it. So the log has
//! the text's length and a short HMAC of it, which only the installation's keys can make again.
//!
//! ```text
//! log key = HMAC-SHA256( signing key, "hallpass/v1/log" LF )
//! hash    = the first 8 bytes of HMAC-SHA256( log key, text )
//! spelled = "hash:" kid ":" length in bytes ":" hash in hex
//! ```
//!
//! The label keeps a log key from ever being an organization's key, and a link's MAC from ever being a hash.
//! Every gateway hashes with the active key, so all gateways of an installation agree. A rotation changes the
//! hash of every text; until the old key is retired, [`log_keys`](super::keyring::Keyring::log_keys) gives it, too, for
//! the lines from before.

use std::fmt;

use hmac::digest::Update as _;
use zeroize::Zeroizing;

use super::kid::Kid;
use super::mac::Keyed;
use super::secret::Secret;
use crate::model::digest::hex;

/// Keeps a log key apart from whatever else a signing key gives.
const LABEL: &[u8] = b"hallpass/v1/log\n";

/// The bytes of the MAC that are kept: enough that two texts in one log differ.
const HASH_BYTES: usize = 8;

/// A key that hashes texts for the log. It was derived from a signing key, which it does not give away.
/// Wiped when dropped; `Debug` shows nothing of it.
pub struct LogKey {
    pub(super) kid: Kid,
    mac: Keyed,
}

/// A caller's text as the log may have it: `hash:` and the kid, the text's length in bytes and its keyed
/// hash. No id, and no request id that is repeated, is spelled so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHash {
    kid: Kid,
    length: usize,
    hash: [u8; HASH_BYTES],
}

impl LogKey {
    /// The log key that a signing key gives.
    pub(super) fn derive(kid: &Kid, secret: &Secret) -> Self {
        let derived = Zeroizing::new(secret.keyed().mac(|message| message.update(LABEL)));
        Self {
            kid: kid.clone(),
            mac: Keyed::new(derived.as_slice()),
        }
    }

    /// Hashes a text of any length.
    pub fn hash(&self, text: &[u8]) -> LogHash {
        let mac = self.mac.mac(|message| message.update(text));
        let mut hash = [0; HASH_BYTES];
        for (place, byte) in hash.iter_mut().zip(mac) {
            *place = byte;
        }
        LogHash {
            kid: self.kid.clone(),
            length: text.len(),
            hash,
        }
    }
}

impl LogHash {
    /// The signing key that the hash's key comes from.
    pub const fn kid(&self) -> &Kid {
        &self.kid
    }
}

impl fmt::Display for LogHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hash:{}:{}:{}", self.kid, self.length, hex(&self.hash))
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::UnixSeconds;
    use crate::sign::keyring::{KeyState, Keyring, SigningKey};

    fn keyring() -> Keyring {
        let key = |kid, state, first: Option<u8>| SigningKey {
            kid: Kid::parse(kid).unwrap(),
            state,
            secret: first.map(|first| Secret::new((first..first + 32).collect()).unwrap()),
            created_at: UnixSeconds::EPOCH,
        };
        Keyring::new(vec![
            key("old", KeyState::VerifyOnly, Some(1)),
            key("gone", KeyState::Retired, None),
            key("new", KeyState::Active, Some(0)),
        ])
        .unwrap()
    }

    /// Made with Python's `hmac` from the formulas above.
    #[test]
    fn the_hash_is_the_one_of_the_formulas() {
        let keyring = keyring();
        let said = |text: &str| keyring.log_key().hash(text.as_bytes()).to_string();
        assert_eq!(said("abc"), "hash:new:3:ba46a721d35b1de0");
        assert_eq!(said(""), "hash:new:0:24438383c68d1b84");
        let of_all = keyring.log_keys();
        let kids: Vec<&str> = of_all.iter().map(|key| key.kid.as_str()).collect();
        assert_eq!(kids, ["new", "old"], "the active one first, no retired one");
        let old = of_all.last().unwrap().hash(b"abc").to_string();
        assert_eq!(old, "hash:old:3:190e230c8e1c3d55");
        assert_eq!(format!("{:?}", keyring.log_key()), "LogKey(..)");
    }

    /// Nobody can make the log hash a text into a link's MAC, or into an organization's key.
    #[test]
    fn a_log_key_is_no_organization_s_key() {
        let keyring = keyring();
        let (kid, secret) = keyring.active_key();
        let log = secret.keyed().mac(|message| message.update(LABEL));
        for organization in ["", "log", "a"] {
            let derived = crate::sign::organization_key::derive(secret, organization, 0);
            assert_ne!(*derived, log, "{kid} {organization}");
        }
    }
}
