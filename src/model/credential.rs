//! What a credential looks like, so that none is written down where a caller put one in the wrong place: an
//! API key in place of a file's id, a token as a request id.
//!
//! What this cannot see is an API key of an operator's own text that looks like any word.

/// What every API key begins with that we draw ourselves.
pub const API_KEY_PREFIX: &str = "hp_";

/// How many characters of base64url 32 bytes are: a token's MAC, a key.
const MAC_CHARS: usize = 43;

/// How many of them in a row give a token away, whose MAC's first 12 are no secret.
const REST_CHARS: usize = MAC_CHARS - 12;

/// How many hex digits a key of 32 bytes has.
const KEY_DIGITS: usize = 64;

/// Whether a credential, or as much of one as gives it away, may stand in this text: an API key's beginning
/// at the beginning of a word or of a part of one, a word of 31 characters or more in which capitals and
/// small letters are mixed, or one of 64 hex digits or more. Drawn ids and UUIDs never look like that; an id
/// that an operator chose may.
pub fn may_be_in(text: &str) -> bool {
    has_api_key(text) || words(text).any(looks_random)
}

/// The same of a text that may look random by its nature, as a file's id or a vendor's user does: only what is
/// whole is seen, an API key's beginning, or a word of just the 43 characters that a MAC and a key have, capitals
/// and small letters among them.
pub fn may_be_whole_in(text: &str) -> bool {
    let is_whole = |word: &str| word.len() == MAC_CHARS && looks_random(word);
    has_api_key(text) || words(text).any(is_whole)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
}

/// Whether what looks like the beginning of an API key that we drew stands in this text.
fn has_api_key(text: &str) -> bool {
    let prefix = API_KEY_PREFIX.as_bytes();
    let starts = text.as_bytes().windows(prefix.len()).enumerate();
    let mut found = starts.filter(|(_, start)| start.eq_ignore_ascii_case(prefix));
    found.any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|at| text.as_bytes().get(at));
        before.is_none_or(|byte| !byte.is_ascii_alphanumeric())
    })
}

fn looks_random(word: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| word.as_bytes().iter().any(kind);
    let is_mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    let is_hex = !has(|byte| !byte.is_ascii_hexdigit());
    (word.len() >= REST_CHARS && is_mixed) || (word.len() >= KEY_DIGITS && is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: &str = "Zz09-_aBZz09-_aBZz09-_aBZz09-_aBZz09-_aBZz0";

    #[test]
    fn a_key_and_a_token_are_seen_wherever_they_stand() {
        for text in [
            format!("hp_{MAC}"),
            format!("HP_{MAC}"),
            "hp_short".into(),
            format!("x-hp_{MAC}"),
            format!("0a1b.{MAC}"),
            MAC.into(),
            MAC[12..].into(),
            format!("a part named \"{MAC}\""),
            "0123456789abcdef".repeat(4),
        ] {
            assert!(may_be_in(&text), "{text}");
        }
    }

    #[test]
    fn what_is_random_by_its_nature_is_none_but_for_a_whole_credential() {
        let user = "IAADfsBFCO6WtAtuA9add2fea594e4e75b8feb8474ef236";
        let traceid = format!("{MAC}000000000000000");
        for text in [user, &traceid, &MAC[1..]] {
            assert!(may_be_in(text) && !may_be_whole_in(text), "{text}");
        }
        for text in [MAC, &format!("0a1b.{MAC}"), &format!("hp_{MAC}")] {
            assert!(may_be_whole_in(text), "{text}");
        }
    }

    #[test]
    fn ids_are_none() {
        for text in [
            "",
            "file_019e3bb8e6c47d189212a79642136696",
            "key_019e3bb8e6c47d189212a79642136696",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "6F9619FF-8B86-D011-B42D-00CF4FC964FF",
            "file_011CNha8iCJcU1wXNR6q4V8w",
            "org_default",
            "Report-2026_final",
            "php_files",
            &MAC[13..],
        ] {
            assert!(!may_be_in(text), "{text}");
        }
    }
}
