//! Metadata: pairs of an uploader's own words about a file.

use std::collections::BTreeMap;

/// The most keys in one file's metadata.
pub const METADATA_KEYS_MAX: usize = 16;
/// The longest key, in characters.
pub const METADATA_KEY_CHARS_MAX: usize = 64;
/// The longest value, in characters.
pub const METADATA_VALUE_CHARS_MAX: usize = 512;
/// The longest text that is read as metadata, in bytes.
pub const METADATA_TEXT_BYTES_MAX: usize = 8 * 1024;

/// Setting this key on an object in JavaScript changes what kind of object it is.
const RESERVED_KEY: &str = "__proto__";

/// Up to 16 texts under keys of 1 to 64 characters, each value at most 512 characters. Ordered by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(BTreeMap<String, String>);

/// The rule that a set of pairs breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMetadata {
    /// More than 16 keys.
    #[error("metadata has at most {METADATA_KEYS_MAX} keys")]
    TooManyKeys,
    /// A key is empty or longer than 64 characters.
    #[error("a metadata key is 1 to {METADATA_KEY_CHARS_MAX} characters")]
    Key,
    /// A value is longer than 512 characters.
    #[error("a metadata value is at most {METADATA_VALUE_CHARS_MAX} characters")]
    Value,
    /// A key is one that scripts in browsers cannot hold as a plain key.
    #[error("a metadata key cannot be {RESERVED_KEY}")]
    Reserved,
    /// A key is there twice.
    #[error("a metadata key is there only once")]
    Repeated,
}

impl Metadata {
    /// Takes the pairs in any order.
    ///
    /// # Errors
    /// [`InvalidMetadata`] names the rule that they break.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, InvalidMetadata> {
        let mut map = BTreeMap::new();
        for (key, value) in pairs {
            if !(1..=METADATA_KEY_CHARS_MAX).contains(&key.chars().count()) {
                return Err(InvalidMetadata::Key);
            }
            if key == RESERVED_KEY {
                return Err(InvalidMetadata::Reserved);
            }
            if value.chars().count() > METADATA_VALUE_CHARS_MAX {
                return Err(InvalidMetadata::Value);
            }
            if map.insert(key, value).is_some() {
                return Err(InvalidMetadata::Repeated);
            }
            if map.len() > METADATA_KEYS_MAX {
                return Err(InvalidMetadata::TooManyKeys);
            }
        }
        Ok(Self(map))
    }

    /// The pairs, ordered by key.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Metadata, InvalidMetadata> {
        Metadata::new(
            pairs
                .iter()
                .map(|(key, value)| ((*key).into(), (*value).into())),
        )
    }

    #[test]
    fn bounds_count_characters() {
        assert!(of(&[(&"ж".repeat(64), &"ж".repeat(512))]).is_ok());
        assert_eq!(of(&[(&"k".repeat(65), "")]), Err(InvalidMetadata::Key));
        assert_eq!(of(&[("", "")]), Err(InvalidMetadata::Key));
        assert_eq!(of(&[("k", &"v".repeat(513))]), Err(InvalidMetadata::Value));
        assert_eq!(
            of(&[("k", "1"), ("k", "2")]),
            Err(InvalidMetadata::Repeated)
        );
        let many: Vec<_> = (0..17).map(|i| (i.to_string(), String::new())).collect();
        assert_eq!(Metadata::new(many), Err(InvalidMetadata::TooManyKeys));
    }
}
