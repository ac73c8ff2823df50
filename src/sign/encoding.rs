//! The spellings that a link is made of: percent-encoding, base64url and decimal seconds. Each value
//! has one spelling when written; what is read is held to it, but for percent-encoding, which
//! proxies and browsers rewrite.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use memchr::memchr2;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use crate::model::time::UnixSeconds;

/// The characters of 32 bytes in base64url.
pub(super) const BASE64URL_CHARS: usize = 43;

/// All but the unreserved characters of RFC 3986, §2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The text as it stands in the message and in a minted URL, as a whole or piece by piece.
pub(super) fn percent_encode(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}

/// Decodes a name or value of a query, once. `None` for a `%` without two hex digits behind it, and for what is then no
/// UTF-8.
pub fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    if !is_encoded(text) {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?,
            plain => plain,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// Returns whether there is anything in the text to decode.
pub(super) fn is_encoded(text: &str) -> bool {
    memchr2(b'%', b'+', text.as_bytes()).is_some()
}

fn hex_digit(byte: u8) -> Option<u8> {
    u8::try_from(char::from(byte).to_digit(16)?).ok()
}

/// 43 characters, no padding.
pub(super) fn base64url(bytes: &[u8; 32]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends what [`base64url()`] returns to the text.
#[expect(
    clippy::expect_used,
    reason = "32 bytes are 43 characters, which are ASCII"
)]
pub(super) fn push_base64url(bytes: &[u8; 32], text: &mut String) {
    let mut chars = [0; BASE64URL_CHARS];
    let written = BASE64_URL_SAFE_NO_PAD.encode_slice(bytes, &mut chars);
    written.expect("as many characters as there is room for");
    text.push_str(str::from_utf8(&chars).expect("ASCII"));
}

/// Reads exactly what [`base64url()`] writes: no padding, no other alphabet, no stray bits at the end.
/// The length is checked before anything is decoded.
pub(super) fn from_base64url(text: &str) -> Option<[u8; 32]> {
    let chars: &[u8; BASE64URL_CHARS] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    let decoded = BASE64_URL_SAFE_NO_PAD.decode_slice(chars, &mut bytes);
    decoded
        .is_ok_and(|length| length == bytes.len())
        .then_some(bytes)
}

/// Reads a Unix time of 1 to 11 digits without sign, space or leading zero.
pub fn seconds(text: &str) -> Option<UnixSeconds> {
    let is_canonical = text == "0" || !text.starts_with('0');
    if text.is_empty() || text.len() > 11 || !is_canonical {
        return None;
    }
    let mut number = 0;
    for byte in text.bytes() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // Eleven digits are far from what fits.
        number = 10 * number + u64::from(digit);
    }
    UnixSeconds::new(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_stay_as_they_are() {
        let text = "Az09-._~ +%&=;/\"é\u{1f600}";
        assert_eq!(
            percent_encode(text).to_string(),
            "Az09-._~%20%2B%25%26%3D%3B%2F%22%C3%A9%F0%9F%98%80"
        );
    }

    #[test]
    fn decoding_happens_once_and_strictly() {
        let cases = [
            ("plain", Some("plain")),
            ("a+b%20c%2B", Some("a b c+")),
            ("%c3%A9", Some("é")),
            ("%2541", Some("%41")),
            ("", Some("")),
            ("%", None),
            ("%4", None),
            ("%zz", None),
            ("%+1", None),
            ("%ff", None),
            ("%ED%A0%80", None),
            ("%C3", None),
        ];
        for (text, expected) in cases {
            assert_eq!(percent_decode(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn base64url_has_one_spelling() {
        let text = base64url(&[0xfb; 32]);
        assert_eq!(from_base64url(&text), Some([0xfb; 32]));
        let (head, last) = text.split_at(42);
        assert_eq!(last, "s", "two bits of the last character are unused");
        let bad = [
            format!("{head}t"),
            format!("{head}u"),
            format!("{head}v"),
            format!("{text}="),
            head.to_owned(),
            text.replace('-', "+"),
            text.replacen('-', "/", 1),
            format!("{head}\n"),
            "é".repeat(21) + "a",
            String::new(),
        ];
        for text in bad {
            assert_eq!(from_base64url(&text), None, "{text:?}");
        }
    }

    #[test]
    fn seconds_have_one_spelling() {
        assert_eq!(seconds("0"), Some(UnixSeconds::EPOCH));
        assert_eq!(seconds("99999999999"), UnixSeconds::new(99_999_999_999));
        let bad = [
            "",
            "00",
            "01",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1e9",
            "0x1",
            "1.0",
            "abc",
            "100000000000",
            "18446744073709551616",
            "\u{661}\u{662}",
        ];
        for text in bad {
            assert_eq!(seconds(text), None, "{text:?}");
        }
    }
}
