//! The names of entries: paths that every system can unpack, no two of which are one file anywhere.
//!
//! A path is cleaned segment by segment: what would lead out of the directory is left out, and so is what nobody sees.
//! Windows' own unpacker ends the whole archive at a name that its file systems cannot hold ("Naming Files, Paths, and
//! Namespaces", Microsoft), so a character or a word that they cannot is replaced, for everybody alike.

use std::collections::{HashMap, HashSet};

use unicode_normalization::UnicodeNormalization as _;

use crate::model::name::is_hidden;

/// The name of an entry of which nothing is left.
const NAMELESS: &str = "file";

/// The characters that no name on Windows may have, besides control characters and the separators.
const NOT_ON_WINDOWS: [char; 8] = ['<', '>', ':', '"', '|', '?', '*', '\\'];

/// The names that Windows gives to devices, whatever follows their first dot.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
const NUMBERED_DEVICES: [&str; 2] = ["com", "lpt"];

/// Returns the names of entries with these paths, in their order. Two that are equal where case and normalization form do
/// not count, and a file that has the name of a directory, differ by ` (2)` and so on.
pub(super) fn names<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<Box<str>> {
    let cleaned: Vec<(String, String)> = paths
        .map(|path| {
            let name = clean(path);
            let folded = fold(&name);
            (name, folded)
        })
        .collect();
    let mut directories = HashSet::new();
    for (_, folded) in &cleaned {
        let mut inner = folded.as_str();
        while let Some((directory, _)) = inner.rsplit_once('/') {
            // Those that it lies in are there, too.
            if directories.contains(directory) {
                break;
            }
            directories.insert(directory.to_owned());
            inner = directory;
        }
    }
    let mut taken = HashSet::with_capacity(cleaned.len());
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let mut names = Vec::with_capacity(cleaned.len());
    for (name, folded) in cleaned {
        let is_free = |folded: &String| !taken.contains(folded) && !directories.contains(folded);
        if is_free(&folded) {
            taken.insert(folded);
            names.push(name.into());
            continue;
        }
        // It goes on where the last of the same name ended, so that ten thousand of one name cost no hundred million.
        let number = numbers.entry(folded).or_insert(1);
        let (name, folded) = loop {
            *number += 1;
            let name = numbered(&name, *number);
            let folded = fold(&name);
            if is_free(&folded) {
                break (name, folded);
            }
        };
        taken.insert(folded);
        names.push(name.into());
    }
    names
}

/// Cleans a path: relative, with `/` between its segments, none of which is empty, `.` or `..`.
fn clean(path: &str) -> String {
    if is_plain(path) {
        return path.to_owned();
    }
    let segments = path.split('/').map(clean_segment);
    let kept: Vec<String> = segments.filter(|segment| !segment.is_empty()).collect();
    match kept.is_empty() {
        true => NAMELESS.to_owned(),
        false => kept.join("/"),
    }
}

/// Returns whether a path is one that cleaning leaves as it is, as nearly all are: plain ASCII, and no segment that is none,
/// ends with a dot or a blank, or may be a device's.
fn is_plain(path: &str) -> bool {
    let is_plain_byte =
        |byte: u8| matches!(byte, b' '..=b'~') && !NOT_ON_WINDOWS.contains(&char::from(byte));
    let is_plain_segment = |segment: &str| {
        !segment.is_empty() && !segment.ends_with(['.', ' ']) && !is_device(segment)
    };
    path.bytes().all(is_plain_byte) && path.split('/').all(is_plain_segment)
}

/// Cleans a segment; empty where it names nothing.
fn clean_segment(segment: &str) -> String {
    let seen = segment.chars().filter(|c| !is_hidden(*c));
    let composed = seen.map(|c| match NOT_ON_WINDOWS.contains(&c) {
        true => '_',
        false => c,
    });
    let mut name: String = composed.nfc().collect();
    if matches!(name.as_str(), "" | "." | "..") {
        return String::new();
    }
    // Windows drops dots and blanks at the end, and so would make two names one.
    if name.ends_with(['.', ' ']) {
        name.pop();
        name.push('_');
    }
    if is_device(&name) {
        name.insert(0, '_');
    }
    name
}

/// Returns whether Windows would open a device by this name.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().map_or("", str::trim_end);
    if !matches!(stem.chars().count(), 3 | 4) {
        return false;
    }
    let stem = stem.to_lowercase();
    let is_numbered = |device: &str| {
        let digit = stem.strip_prefix(device);
        digit.is_some_and(|digit| {
            let mut digits = digit.chars();
            let is_digit = |c| matches!(c, '0'..='9' | '\u{b9}' | '\u{b2}' | '\u{b3}');
            digits.next().is_some_and(is_digit) && digits.next().is_none()
        })
    };
    DEVICES.contains(&stem.as_str()) || NUMBERED_DEVICES.iter().any(|device| is_numbered(device))
}

/// Returns the name with a number before its extension.
fn numbered(name: &str, number: u32) -> String {
    let segment = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = name.rfind('.').filter(|dot| *dot > segment);
    let (stem, extension) = name.split_at(dot.unwrap_or(name.len()));
    format!("{stem} ({number}){extension}")
}

/// Returns a key that is the same for all names that some file system takes for one: upper case of lower case covers more
/// than any of them does (`ß` and `SS`, `ς` and `σ`).
fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let upper = name.chars().flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).nfc().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(paths: &[&str]) -> Vec<String> {
        let names = names(paths.iter().copied());
        names.into_iter().map(String::from).collect()
    }

    #[test]
    fn paths_lead_nowhere_else() {
        for (path, name) in [
            ("a.txt", "a.txt"),
            ("a/b/c.txt", "a/b/c.txt"),
            ("/etc/passwd", "etc/passwd"),
            ("../../etc/passwd", "etc/passwd"),
            ("a/../../b", "a/b"),
            ("./a//b/.", "a/b"),
            ("..\\..\\b", ".._.._b"),
            ("C:\\x", "C__x"),
            ("\u{202e}.\u{200f}.", "file"),
            ("", "file"),
            ("/", "file"),
            ("..", "file"),
            ("a\r\nb", "ab"),
            ("...", ".._"),
            ("u\u{308}", "\u{fc}"),
        ] {
            assert_eq!(named(&[path]), [name], "{path:?}");
        }
    }

    #[test]
    fn names_are_those_that_windows_can_hold() {
        for (path, name) in [
            ("what?.txt", "what_.txt"),
            ("12:30 <a> \"b\" | c*.png", "12_30 _a_ _b_ _ c_.png"),
            ("ends with a dot.", "ends with a dot_"),
            ("blank /b", "blank_/b"),
            ("con", "_con"),
            ("Con.tar.gz", "_Con.tar.gz"),
            ("aux .c", "_aux .c"),
            ("COM1", "_COM1"),
            ("lpt\u{b2}.txt", "_lpt\u{b2}.txt"),
            ("com", "com"),
            ("com10", "com10"),
            ("console.log", "console.log"),
            ("nul/a", "_nul/a"),
        ] {
            assert_eq!(named(&[path]), [name], "{path:?}");
        }
    }

    #[test]
    fn no_two_names_are_one_file() {
        let same = named(&["a.txt", "A.TXT", "a.txt", "a (2).txt", "\u{e1}", "a\u{301}"]);
        let wanted = [
            "a.txt",
            "A (2).TXT",
            "a (3).txt",
            "a (2) (2).txt",
            "\u{e1}",
            "\u{e1} (2)",
        ];
        assert_eq!(same, wanted);
        assert_eq!(
            named(&["stra\u{df}e", "STRASSE"]),
            ["stra\u{df}e", "STRASSE (2)"]
        );
        assert_eq!(named(&["\u{3c3}", "\u{3c2}"]), ["\u{3c3}", "\u{3c2} (2)"]);
        // Whichever of them comes first.
        assert_eq!(named(&["a", "A/b", "a"]), ["a (2)", "A/b", "a (3)"]);
        assert_eq!(named(&["a.d/b", "a.d"]), ["a.d/b", "a (2).d"]);
        assert_eq!(named(&["x/.env", "x/.ENV"]), ["x/.env", "x/.ENV (2)"]);
    }

    #[test]
    fn ten_thousand_of_one_name_are_told_apart() {
        let names = names(std::iter::repeat_n("a.txt", 10_000));
        assert_eq!(names[9_999].as_ref(), "a (10000).txt");
    }

    /// The short ways give what the long ones do.
    #[test]
    fn plain_paths_are_those_that_cleaning_leaves() {
        let long = |path: &str| {
            let segments = path.split('/').map(clean_segment);
            let kept: Vec<String> = segments.filter(|segment| !segment.is_empty()).collect();
            kept.join("/")
        };
        for path in [
            "a",
            "a.txt",
            "A b/c-d_(2).tar.gz",
            "com10",
            ".env",
            "console.log",
        ] {
            assert!(is_plain(path), "{path}");
            assert_eq!(long(path), path);
        }
        for path in [
            "", "/", "a/", "a//b", "./a", "..", "a.", "a ", "a:b", "a\\b", "Con.x", "com1 ",
            "\u{e1}", "a\tb",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn the_short_ways_are_the_long_ones(path in "[ -~]{0,12}") {
            if is_plain(&path) {
                let segments: Vec<String> = path.split('/').map(clean_segment).collect();
                prop_assert_eq!(&segments.join("/"), &path);
            }
            let upper = path.chars().flat_map(char::to_uppercase);
            let folded: String = upper.flat_map(char::to_lowercase).nfc().collect();
            prop_assert_eq!(fold(&path), folded);
        }

        #[test]
        fn whatever_the_paths_are(paths in prop::collection::vec("[aA./\\\\ \u{e1}\u{301}:()2]{0,6}", 0..40)) {
            let names = names(paths.iter().map(String::as_str));
            prop_assert_eq!(names.len(), paths.len());
            let folded: HashSet<String> = names.iter().map(|name| fold(name)).collect();
            prop_assert_eq!(folded.len(), names.len());
            for name in &folded {
                let within = format!("{name}/");
                prop_assert!(!folded.iter().any(|other| other.starts_with(&within)));
            }
            for name in &names {
                prop_assert!(!name.contains('\\'));
                prop_assert!(name.split('/').all(|part| !matches!(part, "" | "." | "..")));
            }
        }
    }
}
