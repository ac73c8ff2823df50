//! Value parsers of flags: from the text that a person types to a checked value.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::failure::Failure;
use crate::config::Links;
use crate::model::amount::Seconds;
use crate::model::disposition::Disposition;
use crate::model::file::Purpose;
use crate::model::key::Scope;
use crate::model::metadata::{METADATA_TEXT_BYTES_MAX, Metadata};
use crate::model::revocation::LinkId;
use crate::model::time::UnixSeconds;
use crate::sign::counted::{DOWNLOADS_MAX, MaxDownloads, RedeemMethod};

/// The largest file with one key in it, in bytes.
const KEY_FILE_BYTES_MAX: u64 = 4096;

/// A moment: Unix seconds, or RFC 3339.
pub(super) fn moment(text: &str) -> Result<UnixSeconds, &'static str> {
    let seconds = text.parse().ok().and_then(UnixSeconds::new);
    seconds
        .or_else(|| UnixSeconds::parse_rfc3339(text))
        .ok_or("must be Unix seconds or a time such as 2026-05-18T15:34:52Z")
}

/// Reads one of the five purposes.
pub(super) fn purpose(text: &str) -> Result<Purpose, String> {
    let words = || Purpose::ALL.map(Purpose::as_str).join(", ");
    Purpose::parse(text).ok_or_else(|| format!("must be one of {}", words()))
}

/// Reads one of the four scopes.
pub(super) fn scope(text: &str) -> Result<Scope, String> {
    let words = || Scope::ALL.map(Scope::as_str).join(", ");
    Scope::parse(text).ok_or_else(|| format!("must be one of {}", words()))
}

/// The 12 characters of a link id.
pub(super) fn link_id(text: &str) -> Result<LinkId, &'static str> {
    LinkId::parse(text).ok_or("must be the 12 characters of a link id")
}

/// `inline` or `attachment`.
pub(super) fn disposition(text: &str) -> Result<Disposition, &'static str> {
    Disposition::parse(text).ok_or("must be inline or attachment")
}

/// A number of downloads.
pub(super) fn max_downloads(text: &str) -> Result<MaxDownloads, String> {
    let why = || format!("must be a whole number from 1 to {DOWNLOADS_MAX}");
    MaxDownloads::parse(text).ok_or_else(why)
}

/// `get` or `post`.
pub(super) fn redeem(text: &str) -> Result<RedeemMethod, &'static str> {
    RedeemMethod::parse(text).ok_or("must be get or post")
}

/// Metadata out of one JSON object of texts, or of one `KEY=VALUE` each, or of both.
pub(super) fn metadata(texts: &[String]) -> Result<Metadata, Failure> {
    let wrong = |why: String| Failure::Usage(format!("--metadata: {why}"));
    let bytes: usize = texts.iter().map(String::len).sum();
    if bytes > METADATA_TEXT_BYTES_MAX {
        return Err(wrong(format!(
            "must be at most {METADATA_TEXT_BYTES_MAX} bytes long"
        )));
    }
    let mut pairs = Vec::new();
    for text in texts {
        if text.trim_start().starts_with('{') {
            let MetadataPairs(read) = serde_json::from_str(text)
                .map_err(|error| wrong(format!("must be a JSON object of texts: {error}")))?;
            pairs.extend(read);
        } else {
            let (key, value) = text.split_once('=').ok_or_else(|| {
                wrong("must be a JSON object of texts, or KEY=VALUE, repeated".into())
            })?;
            pairs.push((key.to_owned(), value.to_owned()));
        }
    }
    Metadata::new(pairs).map_err(|error| wrong(error.to_string()))
}

/// Refuses a link that would live for no time, or longer than `links.lifetime_max`. `flag` is what says how long.
pub(super) fn expect_lifetime(flag: &str, seconds: u64, links: &Links) -> Result<(), Failure> {
    let max = links.lifetime_max;
    if seconds == 0 {
        let why = format!("{flag} must be in the future, by {} at most", Seconds(max));
        return Err(Failure::Usage(why));
    }
    if seconds <= max {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{flag} is {} from now, and links.lifetime_max is {}: a link that lives longer opens nothing",
        Seconds(seconds),
        Seconds(max)
    )))
}

/// The one key that a file holds, without the line break at its end. A file that others may read is
/// worth a warning.
pub(super) fn key_file(path: &Path) -> Result<String, Failure> {
    let failed = |error| Failure::unreadable(path, &error);
    let file = File::open(path).map_err(failed)?;
    warn_if_others_may_read(&file, path, "a key").map_err(failed)?;
    let mut text = String::new();
    file.take(KEY_FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Warns of a file with a secret in it that is open to others.
pub(super) fn warn_if_others_may_read(file: &File, path: &Path, what: &str) -> io::Result<()> {
    let found = file.metadata()?;
    if found.is_file() && found.permissions().mode() & 0o077 != 0 {
        let path = path.display();
        tracing::warn!(
            "others than its owner have access to {path}, which holds {what} (chmod 600)"
        );
    }
    Ok(())
}

/// The members of a JSON object as they stand in it, a repeated one twice.
struct MetadataPairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for MetadataPairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct JsonMembers;

        impl<'de> Visitor<'de> for JsonMembers {
            type Value = MetadataPairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<MetadataPairs, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(MetadataPairs(pairs))
            }
        }

        deserializer.deserialize_map(JsonMembers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Option<Vec<(String, String)>> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).into()).collect();
        let metadata = metadata(&texts).ok()?;
        let own = |(key, value): (&str, &str)| (key.into(), value.into());
        Some(metadata.pairs().map(own).collect())
    }

    #[test]
    fn metadata_is_an_object_or_pairs() {
        let both = vec![("a".into(), "1".into()), ("b".into(), "x=y".into())];
        assert_eq!(read(&[r#"{"b":"x=y","a":"1"}"#]), Some(both.clone()));
        assert_eq!(read(&["b=x=y", "a=1"]), Some(both.clone()));
        assert_eq!(read(&["b=x=y", r#" {"a":"1"}"#]), Some(both));
        assert_eq!(read(&[]), Some(Vec::new()));
        for bad in [
            "a",
            "",
            "=x",
            r#"{"a":1}"#,
            r#"{"a":"1","a":"2"}"#,
            r#"{"a":"1"} x"#,
        ] {
            assert_eq!(read(&[bad]), None, "{bad}");
        }
    }

    #[test]
    fn moments_are_unix_seconds_or_rfc_3339() {
        let time = UnixSeconds::new(1_779_118_492);
        assert_eq!(moment("1779118492").ok(), time);
        assert_eq!(moment("2026-05-18T15:34:52Z").ok(), time);
        for bad in ["", "-1", "tomorrow", "100000000000"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }
}
