//! The bytes of a signing key.

use std::fmt;

use zeroize::Zeroizing;

use super::mac::Keyed;

/// The shortest secret, in bytes: as long as the hash that it keys.
pub const SECRET_BYTES_MIN: usize = 32;

/// Every key that we publish, in the vectors or in a document, begins with this text, so that none
/// of them can ever sign a real link.
const PUBLISHED_PREFIX: &[u8] = b"hallpass-example";

/// A signing key's secret: at least 32 bytes. Wiped when dropped; `Debug` shows nothing of it, and it
/// cannot be cloned.
pub struct Secret {
    bytes: Zeroizing<Vec<u8>>,
    keyed: Keyed,
}

/// The reason why bytes are no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakSecret {
    /// They are too few.
    #[error("a secret needs at least {SECRET_BYTES_MIN} bytes, this one has {bytes}")]
    TooShort {
        /// The number of bytes.
        bytes: usize,
    },
    /// They are one byte repeated.
    #[error("all bytes of the secret are equal")]
    AllEqual,
    /// They are one of the keys that we published.
    #[error("the secret is a published example")]
    Published,
}

impl Secret {
    /// Takes 32 bytes or more. Refuses one byte repeated, and every key that this project published.
    ///
    /// # Errors
    /// [`WeakSecret`] for any other bytes.
    pub fn new(bytes: Vec<u8>) -> Result<Self, WeakSecret> {
        let bytes = Zeroizing::new(bytes);
        if bytes.starts_with(PUBLISHED_PREFIX) {
            return Err(WeakSecret::Published);
        }
        Self::checked(bytes)
    }

    /// Takes a published key, as the vectors need it, and only such a one. Nothing that serves real
    /// files may call this.
    pub fn published_example(bytes: Vec<u8>) -> Option<Self> {
        let published = bytes.starts_with(PUBLISHED_PREFIX);
        let bytes = Zeroizing::new(bytes);
        published.then(|| Self::checked(bytes).ok()).flatten()
    }

    /// The bytes in the clear: for deriving keys, and for writing the keyring file.
    pub fn reveal(&self) -> &[u8] {
        &self.bytes
    }

    fn checked(bytes: Zeroizing<Vec<u8>>) -> Result<Self, WeakSecret> {
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(WeakSecret::TooShort { bytes: bytes.len() });
        }
        if bytes.windows(2).all(|pair| pair.first() == pair.last()) {
            return Err(WeakSecret::AllEqual);
        }
        let keyed = Keyed::new(&bytes);
        Ok(Self { bytes, keyed })
    }

    /// HMAC under this secret.
    pub(super) const fn keyed(&self) -> &Keyed {
        &self.keyed
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_secrets_are_refused() {
        let published = b"hallpass-example-signing-key-0001".to_vec();
        let cases = [
            (vec![], WeakSecret::TooShort { bytes: 0 }),
            ((0..31).collect(), WeakSecret::TooShort { bytes: 31 }),
            (vec![0; 32], WeakSecret::AllEqual),
            (vec![7; 100], WeakSecret::AllEqual),
            (published.clone(), WeakSecret::Published),
        ];
        for (bytes, why) in cases {
            assert_eq!(Secret::new(bytes).unwrap_err(), why);
        }
        assert!(Secret::published_example(published).is_some());
        assert!(Secret::published_example((0..32).collect()).is_none());
    }

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::new((0..32).collect()).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(secret.reveal().len(), 32);
    }
}
