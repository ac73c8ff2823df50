//! The text of a keyring file that came from the environment.

use std::fmt;

use zeroize::Zeroizing;

/// The text of a keyring file: a secret. It is never printed, and wiped when dropped.
#[derive(Clone)]
pub struct KeyringText(Zeroizing<String>);

impl KeyringText {
    pub(super) fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text, to be parsed into keys and for nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyringText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyringText(..)")
    }
}
