//! File names that are safe to show and to put in a header.

use std::borrow::Cow;
use std::fmt;

use unicode_normalization::UnicodeNormalization as _;

/// The longest file name, in characters (Unicode scalar values).
pub const FILE_NAME_CHARS_MAX: usize = 255;

/// A file's name: the last part of a path in Unicode's normalization form C (NFC), 1 to 255 characters,
/// with no control character and no bidirectional mark, and neither `.` nor `..`. It is for people: no
/// path on disk is ever made of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FileName(Box<str>);

/// Nothing usable is left of the name, or too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a filename is 1 to {FILE_NAME_CHARS_MAX} characters and neither . nor ..")]
pub struct InvalidFileName;

impl FileName {
    /// Cleans a name as a client sent it: keeps the part behind the last `/` or `\`, since some clients
    /// send whole paths of Windows, drops control characters and bidirectional marks, and composes the
    /// rest (NFC).
    ///
    /// # Errors
    /// [`InvalidFileName`] if the rest is empty, longer than 255 characters, `.` or `..`.
    pub fn from_client(text: &str) -> Result<Self, InvalidFileName> {
        Self::clean(text.rsplit(['/', '\\']).next().unwrap_or_default())
    }

    /// Cleans a name as a person typed it, or as a Unix file system has it: as
    /// [`FileName::from_client`], but a `\` is a character like any other.
    ///
    /// # Errors
    /// As for [`FileName::from_client`].
    pub fn from_command_line(text: &str) -> Result<Self, InvalidFileName> {
        Self::clean(text.rsplit('/').next().unwrap_or_default())
    }

    /// Takes a name that was cleaned before, as the catalogue has it. Names from before they were
    /// composed stay as they are.
    ///
    /// # Errors
    /// [`InvalidFileName`] if no cleaning leaves this text.
    pub fn from_catalogue(text: &str) -> Result<Self, InvalidFileName> {
        if text.contains('/') || text.contains(is_hidden) {
            return Err(InvalidFileName);
        }
        Self::measured(text.into())
    }

    fn clean(text: &str) -> Result<Self, InvalidFileName> {
        let seen = text.chars().filter(|c| !is_hidden(*c));
        // One more is too many already, however long the text is.
        let composed: String = seen.nfc().take(FILE_NAME_CHARS_MAX + 1).collect();
        Self::measured(composed.into())
    }

    fn measured(name: Box<str>) -> Result<Self, InvalidFileName> {
        let has_good_length = (1..=FILE_NAME_CHARS_MAX).contains(&name.chars().count());
        if has_good_length && !matches!(&*name, "." | "..") {
            Ok(Self(name))
        } else {
            Err(InvalidFileName)
        }
    }

    /// Returns the name in normalization form D (NFD), in which names from before they were composed may stand in the
    /// catalogue, as macOS sent them. `None` where that is the same text.
    pub fn decomposed(&self) -> Option<Self> {
        let text: String = self.0.nfd().collect();
        (*text != *self.0).then(|| Self(text.into()))
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name for clients that read only ASCII: each of `"`, `\`, `%` and every non-ASCII
    /// character is an underscore. Most names have none.
    pub fn ascii_fallback(&self) -> Cow<'_, str> {
        let safe = |c: char| c.is_ascii() && !matches!(c, '"' | '\\' | '%');
        if self.0.chars().all(safe) {
            return Cow::Borrowed(&self.0);
        }
        let shown = self.0.chars().map(|c| if safe(c) { c } else { '_' });
        Cow::Owned(shown.collect())
    }
}

/// Returns whether this is a control character, or a mark that makes text run the other way: neither is seen, both
/// mislead.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_path_and_their_hidden_characters() {
        let cases = [
            ("report.png", "report.png"),
            ("../../etc/passwd", "passwd"),
            ("C:\\dir\\x.txt", "x.txt"),
            ("a\r\nSet-Cookie: x", "aSet-Cookie: x"),
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
            ("a\0b", "ab"),
            ("con.txt", "con.txt"),
            ("\u{1f600}.txt", "\u{1f600}.txt"),
            ("u\u{308}\u{202e}.txt", "\u{fc}.txt"),
            ("u\u{200e}\u{308}.txt", "\u{fc}.txt"),
            (
                "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}.hwp",
                "\u{d55c}\u{ae00}.hwp",
            ),
        ];
        for (sent, kept) in cases {
            assert_eq!(
                FileName::from_client(sent).unwrap().as_str(),
                kept,
                "{sent:?}"
            );
        }
    }

    #[test]
    fn names_with_nothing_left_are_refused() {
        for sent in [
            "",
            ".",
            "..",
            "a/",
            "a/..",
            "\u{202e}",
            "\0",
            &"x".repeat(256),
            &"\u{436}".repeat(256),
            &"\u{1f600}".repeat(256),
            // Grows in NFC, as it is excluded from composition.
            &"\u{958}".repeat(128),
        ] {
            assert_eq!(
                FileName::from_client(sent),
                Err(InvalidFileName),
                "{sent:?}"
            );
        }
    }

    #[test]
    fn names_are_measured_in_characters_once_they_are_composed() {
        for character in ["x", "\u{436}", "\u{8868}", "\u{1f600}", "u\u{308}"] {
            let name = FileName::from_client(&character.repeat(255)).unwrap();
            assert_eq!(name.as_str().chars().count(), 255, "{character}");
            assert_eq!(FileName::from_catalogue(name.as_str()), Ok(name));
        }
    }

    #[test]
    fn a_backslash_separates_for_clients_only() {
        let typed = |text| FileName::from_command_line(text).unwrap().to_string();
        assert_eq!(typed(r"a\b.txt"), r"a\b.txt");
        assert_eq!(typed(r"dir/a\b.txt"), r"a\b.txt");
        assert_eq!(typed(r"\"), r"\");
        let name = FileName::from_command_line(r"a\b.txt").unwrap();
        assert_eq!(name.ascii_fallback(), "a_b.txt");
        assert_eq!(FileName::from_catalogue(r"a\b.txt"), Ok(name));
    }

    #[test]
    fn the_catalogue_s_names_stay_as_they_are() {
        let before = "u\u{308}.txt";
        assert_eq!(FileName::from_catalogue(before).unwrap().as_str(), before);
        for bad in ["", ".", "..", "a/b", "a\0", "\u{202e}", &"x".repeat(256)] {
            assert!(FileName::from_catalogue(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn fallbacks_are_quotable_ascii() {
        let name = FileName::from_client("отчёт \"x\" 100%\\y.pdf").unwrap();
        assert_eq!(name.as_str(), "y.pdf", "a backslash separates parts");
        let name = FileName::from_client("é\"x\" 100%.pdf").unwrap();
        assert_eq!(name.ascii_fallback(), "__x_ 100_.pdf");
    }
}
