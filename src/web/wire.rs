//! JSON whatever the API dialect: what clients send inside forms, and how answers are written.

use std::fmt;

use memchr::memchr2;
use serde::Serialize;
use serde::de::{Deserializer as _, MapAccess, Visitor};

use crate::gateway::refusal::FieldFault;
use crate::model::metadata::{METADATA_TEXT_BYTES_MAX, Metadata};

/// The room in an answer's text, in bytes, where nobody says how long it will be; more is made where that is not enough.
const ROOM: usize = 128;

/// Returns an answer as JSON.
pub(super) fn json(answer: &impl Serialize) -> Vec<u8> {
    json_with_capacity(ROOM, answer)
}

/// Returns an answer as JSON, like [`json`], in a buffer of this capacity.
#[expect(clippy::expect_used, reason = "it is an error of this program")]
pub(super) fn json_with_capacity(capacity: usize, answer: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::with_capacity(capacity);
    let written = serde_json::to_writer(&mut text, answer);
    written.expect("no answer has a map with other keys than texts, or a number that JSON lacks");
    text
}

/// Appends a text to JSON, in its quotes. Most texts have nothing to escape, which is asked of all their bytes at once.
pub(super) fn push_text(json: &mut Vec<u8>, text: &str) {
    let least = text.bytes().fold(u8::MAX, u8::min);
    if least < b' ' || memchr2(b'"', b'\\', text.as_bytes()).is_some() {
        json.append(&mut self::json(&text));
        return;
    }
    json.push(b'"');
    json.extend_from_slice(text.as_bytes());
    json.push(b'"');
}

/// Returns the answer to a download that was started; of one that is not counted nobody knows how many are left.
pub(super) fn started(download_url: &str, downloads_left: Option<u64>, expires: u64) -> Vec<u8> {
    json(&StartedFields {
        download_url,
        downloads_left,
        expires,
    })
}

#[derive(Serialize)]
struct StartedFields<'a> {
    download_url: &'a str,
    downloads_left: Option<u64>,
    expires: u64,
}

/// Returns the answer that sends a client on to the page of a share.
pub(super) fn share_page(share_url: &str) -> Vec<u8> {
    json(&SharePageFields { share_url })
}

#[derive(Serialize)]
struct SharePageFields<'a> {
    share_url: &'a str,
}

/// Reads a `metadata` field: the text of one flat JSON object of strings, at most 8 KiB.
pub fn metadata(text: &str) -> Result<Metadata, FieldFault> {
    let fault = |why: String| FieldFault::new("metadata", text, why);
    if text.len() > METADATA_TEXT_BYTES_MAX {
        return Err(fault(format!(
            "must be at most {METADATA_TEXT_BYTES_MAX} bytes of JSON"
        )));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let pairs = json
        .deserialize_map(Pairs)
        .and_then(|pairs| json.end().map(|()| pairs));
    let pairs =
        pairs.map_err(|_| fault("must be a JSON object whose values are strings".into()))?;
    Metadata::new(pairs).map_err(|error| FieldFault::invalid("metadata", text, error))
}

/// The pairs of an object in the order they stand in, a repeated key twice.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, String)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_written_as_the_library_writes_it() {
        let mut texts: Vec<String> = (0..0x180)
            .filter_map(char::from_u32)
            .map(String::from)
            .collect();
        texts.extend(["", "plain", "a\"b\\c", "tab\there", "\u{1f600}\u{2028}/"].map(String::from));
        for text in texts {
            let mut written = b"[".to_vec();
            push_text(&mut written, &text);
            assert_eq!(written[0], b'[');
            assert_eq!(written[1..], serde_json::to_vec(&text).unwrap(), "{text:?}");
        }
    }

    #[test]
    fn metadata_is_one_flat_object_of_strings() {
        let pairs = |text| metadata(text).map(|metadata| metadata.pairs().count()).ok();
        assert_eq!(pairs(r#"{"project":"demo","a":""}"#), Some(2));
        assert_eq!(pairs(" {} "), Some(0));
        for bad in [
            "",
            "[1]",
            "null",
            "\"x\"",
            "{",
            "{\"a\":1}",
            "{\"a\":{}}",
            "{\"a\":null}",
            "{} x",
            r#"{"a":"1","a":"2"}"#,
            r#"{"__proto__":"x"}"#,
            r#"{"a":"\ud800"}"#,
            "\u{feff}{}",
        ] {
            assert_eq!(pairs(bad), None, "{bad}");
        }
        let long = format!("{{\"a\":\"{}\"}}", " ".repeat(METADATA_TEXT_BYTES_MAX));
        assert_eq!(pairs(&long), None);
    }
}
