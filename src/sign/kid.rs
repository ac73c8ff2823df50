//! The names of signing keys.

use std::fmt;

use crate::model::digest::hex;

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
