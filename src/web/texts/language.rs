//! The language that a reader is spoken to in.

use std::cmp::Reverse;

use hyper::HeaderMap;
use hyper::header::ACCEPT_LANGUAGE;

/// The most languages of a request that are looked at: browsers send a handful.
const RANGES_MAX: usize = 32;

/// The highest weight, in thousandths: that of a language range without one.
const WEIGHT_MAX: u16 = 1_000;

/// A language that pages speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// English, also for who asks for none that pages speak.
    #[default]
    English,
    /// Japanese.
    Japanese,
    /// Chinese, in simplified characters.
    Chinese,
    /// German.
    German,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::English, Self::Japanese, Self::Chinese, Self::German];

    /// Returns the language that the client prefers by its `Accept-Language` (RFC 9110, §12.5.4): of those that pages
    /// speak the one with the highest weight, and of several the first. It is found as RFC 4647, §3.4, looks a language up:
    /// a range is shortened from its end until it is one of ours, so `de-AT` is German, and `zh-TW` Chinese. Ranges that are
    /// malformed or weigh nothing say nothing, and so does `*`: whoever takes any language is spoken to in English.
    pub fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(ACCEPT_LANGUAGE).iter();
        let lines = lines.filter_map(|line| line.to_str().ok());
        let ranges = lines.flat_map(|line| line.split(',')).take(RANGES_MAX);
        let spoken = ranges.filter_map(|range| {
            let (weight, range) = weighed(range)?;
            Some((weight, Self::of_range(range)?))
        });
        // Of equal ones, the minimum is the first.
        let first = spoken.min_by_key(|(weight, _)| Reverse(*weight));
        first.map(|(_, language)| language).unwrap_or_default()
    }

    /// Ours have one subtag each, the first.
    fn of_range(range: &str) -> Option<Self> {
        let (primary, _) = range.split_once('-').unwrap_or((range, ""));
        let is = |tag: &str| primary.eq_ignore_ascii_case(tag);
        match () {
            () if is("en") => Some(Self::English),
            () if is("ja") => Some(Self::Japanese),
            () if is("zh") => Some(Self::Chinese),
            () if is("de") => Some(Self::German),
            () => None,
        }
    }
}

/// Splits a language range from its weight in thousandths. `None` for one that is malformed, or weighs nothing.
fn weighed(text: &str) -> Option<(u16, &str)> {
    let (range, weight) = match text.split_once(';') {
        None => (text, WEIGHT_MAX),
        Some((range, parameter)) => {
            let (name, value) = parameter.trim_ascii().split_once('=')?;
            let is_weight = name.eq_ignore_ascii_case("q");
            (range, is_weight.then(|| thousandths(value)).flatten()?)
        }
    };
    let range = range.trim_ascii();
    let is_subtag = |subtag: &str| {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric();
        (1..=8).contains(&subtag.len()) && subtag.bytes().all(is_good)
    };
    (weight > 0 && range.split('-').all(is_subtag)).then_some((weight, range))
}

/// Reads a weight: 0 to 1, with three decimals at the most (RFC 9110, §12.4.2).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_good = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    let decimals: u16 = match is_good {
        true => format!("{decimals:0<3}").parse().ok()?,
        false => return None,
    };
    match (whole, decimals) {
        ("0", decimals) => Some(decimals),
        ("1", 0) => Some(WEIGHT_MAX),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn of(lines: &[&'static str]) -> Language {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_LANGUAGE, HeaderValue::from_static(line));
        }
        Language::of(&headers)
    }

    #[test]
    fn the_language_of_the_highest_weight_is_spoken_and_of_several_the_first() {
        for (line, language) in [
            ("de", Language::German),
            ("de-AT", Language::German),
            ("DE-ch-1996", Language::German),
            ("ja,en-US;q=0.9,en;q=0.8", Language::Japanese),
            ("en;q=0.5, ja ; q=0.501", Language::Japanese),
            ("en;q=0.5,ja;Q=1.000", Language::Japanese),
            ("ja;q=0.8,de;q=0.8", Language::Japanese),
            ("fr-FR,fr;q=0.9,zh-CN;q=0.3,de;q=0.2", Language::Chinese),
            ("zh-TW", Language::Chinese),
            ("zh-Hant-HK,en;q=0.1", Language::Chinese),
            ("de;q=0,en;q=0.1", Language::English),
            ("*", Language::English),
            ("fr, *;q=0.5, de;q=0.1", Language::German),
        ] {
            assert_eq!(of(&[line]), language, "{line}");
        }
        assert_eq!(of(&["fr", "ja;q=0.1"]), Language::Japanese, "two lines");
    }

    #[test]
    fn whoever_asks_for_none_of_ours_or_for_nothing_that_can_be_read_is_spoken_to_in_english() {
        for line in [
            "",
            ",",
            "fr",
            "deu",
            "d",
            "x-de",
            "de_DE",
            "de-",
            "-de",
            "de-123456789",
            "de;q=2",
            "de;q=1.001",
            "de;q=0.0001",
            "de;q=0.000",
            "de;q=-1",
            "de;q=",
            "de;q",
            "de;level=1",
            "de;q=0.5;q=1",
            "de q=1",
        ] {
            assert_eq!(of(&[line]), Language::English, "{line}");
        }
        assert_eq!(of(&[]), Language::English);
        let bytes = HeaderValue::from_bytes(b"de, \xff").unwrap();
        let headers = HeaderMap::from_iter([(ACCEPT_LANGUAGE, bytes)]);
        assert_eq!(Language::of(&headers), Language::English);
    }

    #[test]
    fn no_more_than_so_many_languages_are_looked_at() {
        let long: &'static str = Box::leak("fr,".repeat(RANGES_MAX - 1).into_boxed_str());
        let with =
            |end: &str| -> &'static str { Box::leak(format!("{long}{end}").into_boxed_str()) };
        assert_eq!(of(&[with("de")]), Language::German);
        assert_eq!(of(&[with("fr,de")]), Language::English);
    }
}
