//! File names that are safe to show and to put in a header.

use std::borrow::Cow;
use std::fmt;

/// The longest file name, in bytes of UTF-8.
pub const FILE_NAME_BYTES_MAX: usize = 255;

/// A file's name: the last part of a path, 1 to 255 bytes, with no control character and no
/// bidirectional mark, and neither `.` nor `..`. It is for people: no path on disk is ever made of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FileName(Box<str>);

/// Nothing usable is left of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a filename is 1 to {FILE_NAME_BYTES_MAX} bytes and neither . nor ..")]
pub struct InvalidFileName;

impl FileName {
    /// Cleans a name as a client sent it: keeps what follows the last `/` or `\`, and drops control
    /// characters and bidirectional marks. Refuses what is then empty, longer than 255 bytes, `.` or `..`.
    pub fn from_client(text: &str) -> Result<Self, InvalidFileName> {
        let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
        let name: String = last.chars().filter(|c| !hidden(*c)).collect();
        let length_good = (1..=FILE_NAME_BYTES_MAX).contains(&name.len());
        if length_good && name != "." && name != ".." {
            Ok(Self(name.into()))
        } else {
            Err(InvalidFileName)
        }
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

/// Control characters, and the marks that make text run the other way: neither is seen, both mislead.
fn hidden(c: char) -> bool {
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
        ] {
            assert_eq!(
                FileName::from_client(sent),
                Err(InvalidFileName),
                "{sent:?}"
            );
        }
        assert!(FileName::from_client(&"x".repeat(255)).is_ok());
    }

    #[test]
    fn fallbacks_are_quotable_ascii() {
        let name = FileName::from_client("отчёт \"x\" 100%\\y.pdf").unwrap();
        assert_eq!(name.as_str(), "y.pdf", "a backslash separates parts");
        let name = FileName::from_client("é\"x\" 100%.pdf").unwrap();
        assert_eq!(name.ascii_fallback(), "__x_ 100_.pdf");
    }
}
