//! Apps: who signs requests with a secret instead of sending an API key.

use std::fmt;

use zeroize::Zeroizing;

use super::id::{ApiKeyId, AppId};
use super::time::UnixSeconds;

/// The longest secret of an app, in bytes.
pub const APP_SECRET_BYTES_MAX: usize = 256;

/// An app as the catalogue keeps it. A request that is signed with its secret acts as its API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Unique in the installation.
    pub id: AppId,
    /// The API key that it acts as.
    pub key: ApiKeyId,
    /// The secret that the application signs its requests with.
    pub secret: AppSecret,
    /// Time of creation.
    pub created_at: UnixSeconds,
}

/// The secret of an app: 1 to 256 visible ASCII characters. It is an HMAC key, so it is kept as it is.
/// Wiped when dropped; `Debug` shows nothing of it. Comparing two says in its time how far they agree: it is
/// for copies, not for what somebody sends.
#[derive(Clone, PartialEq, Eq)]
pub struct AppSecret(Zeroizing<String>);

/// The text is no app secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an app secret is 1 to {APP_SECRET_BYTES_MAX} visible ASCII characters")]
pub struct InvalidAppSecret;

impl AppSecret {
    /// Takes the text as it is.
    ///
    /// # Errors
    /// [`InvalidAppSecret`] if it is no secret of an app.
    pub fn parse(text: &str) -> Result<Self, InvalidAppSecret> {
        let good_length = (1..=APP_SECRET_BYTES_MAX).contains(&text.len());
        if good_length && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(Zeroizing::new(text.to_owned())))
        } else {
            Err(InvalidAppSecret)
        }
    }

    /// The secret in the clear: to check a signature, to store it, and to print it once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AppSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_visible_ascii_and_never_shown() {
        for good in ["x", "example-app-secret", &"~".repeat(256)] {
            let secret = AppSecret::parse(good).unwrap();
            assert_eq!(secret.reveal(), good);
            assert_eq!(format!("{secret:?}"), "AppSecret(..)");
        }
        for bad in ["", "a b", "a\n", "\u{e9}", "\0", &"x".repeat(257)] {
            assert_eq!(
                AppSecret::parse(bad).err(),
                Some(InvalidAppSecret),
                "{bad:?}"
            );
        }
    }
}
