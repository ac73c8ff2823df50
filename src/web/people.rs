//! Sizes, times, spans of time and numbers as pages write them for people, in each language.

use jiff::Timestamp;

use super::texts::{Plural, Texts};
use crate::model::time::UnixSeconds;

/// The units of sizes, each a thousand times the one before it.
const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];

/// Returns a size in bytes, as `7 bytes`, `1.2 GB` or `340 MB`: rounded to two digits or three, in powers of 1,000.
pub fn size(texts: &Texts, bytes: u64) -> String {
    if bytes < 1_000 {
        return count(texts, bytes, texts.bytes);
    }
    let wide = u128::from(bytes);
    let mut unit = 1;
    for name in UNITS {
        unit *= 1_000;
        let rounded = |parts: u128| (wide * parts + unit / 2) / unit;
        let tenths = rounded(10);
        if tenths < 100 {
            return match (tenths / 10, tenths % 10) {
                (whole, 0) => format!("{whole} {name}"),
                (whole, tenth) => format!("{whole}{}{tenth} {name}", texts.decimal),
            };
        }
        if rounded(1) < 1_000 {
            return format!("{} {name}", rounded(1));
        }
    }
    // Not reached: no number of 64 bits has more than 18 of the last unit.
    count(texts, bytes, texts.bytes)
}

/// Returns a time to the minute, begun: `18 May 2026, 15:34 UTC`.
#[expect(
    clippy::expect_used,
    reason = "no time lies beyond the year 9999, nor in a thirteenth month"
)]
pub fn time(texts: &Texts, at: UnixSeconds) -> String {
    let seconds = i64::try_from(at.get()).expect("seconds of four-digit years");
    let time = Timestamp::from_second(seconds).expect("a year of four digits");
    let part = |form: &str| time.strftime(form).to_string();
    let month = part("%-m").parse::<usize>().expect("a number of a month");
    let month = texts.months.get(month - 1).expect("one of twelve");
    texts
        .time
        .replace("{day}", &part("%-d"))
        .replace("{month}", month)
        .replace("{year}", &part("%Y"))
        .replace("{time}", &part("%H:%M"))
}

/// Returns a span of time in its largest unit, rounded down: `3 days`, `1 hour`, `less than a minute`.
pub fn span(texts: &Texts, seconds: u64) -> String {
    match seconds {
        0..60 => texts.moment.to_owned(),
        60..3_600 => count(texts, seconds / 60, texts.minutes),
        3_600..86_400 => count(texts, seconds / 3_600, texts.hours),
        _ => count(texts, seconds / 86_400, texts.days),
    }
}

/// Returns a number of things: `1 byte`, `2 bytes`, `10,000 files`.
pub fn count(texts: &Texts, number: u64, things: Plural) -> String {
    let text = if number == 1 {
        things.one
    } else {
        things.other
    };
    text.replace("{}", &self::number(texts, number))
}

/// Returns a whole number, its thousands apart: `999`, `10,000`.
pub fn number(texts: &Texts, number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(texts.thousands);
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::texts::Language;

    const ENGLISH: &Texts = Language::English.texts();

    #[test]
    fn sizes_have_two_digits_or_three() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_000, "1 kB"),
            (1_049, "1 kB"),
            (1_050, "1.1 kB"),
            (9_949, "9.9 kB"),
            (9_950, "10 kB"),
            (999_499, "999 kB"),
            (999_500, "1 MB"),
            (1_234_567_890, "1.2 GB"),
            (1_u64 << 42, "4.4 TB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(size(ENGLISH, bytes), text);
        }
    }

    #[test]
    fn times_are_utc_and_spans_are_rounded_down() {
        let at = UnixSeconds::new(1_779_118_492).unwrap();
        assert_eq!(time(ENGLISH, at), "18 May 2026, 15:34 UTC");
        let first = "1 January 1970, 00:00 UTC";
        assert_eq!(time(ENGLISH, UnixSeconds::EPOCH), first);
        for (seconds, text) in [
            (0, "less than a minute"),
            (59, "less than a minute"),
            (60, "1 minute"),
            (3_599, "59 minutes"),
            (3_600, "1 hour"),
            (86_399, "23 hours"),
            (86_400, "1 day"),
            (604_800, "7 days"),
        ] {
            assert_eq!(span(ENGLISH, seconds), text);
        }
    }

    #[test]
    fn thousands_stand_apart() {
        for (of, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (10_000, "10,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(number(ENGLISH, of), text);
        }
    }

    #[test]
    fn each_language_writes_them_in_its_way() {
        let at = UnixSeconds::new(1_779_118_492).unwrap();
        for (language, texts) in [
            (
                Language::German,
                [
                    "1,2 MB",
                    "1 Byte",
                    "18. Mai 2026, 15:34 UTC",
                    "2 Tage",
                    "1 Datei",
                    "1.000 Dateien",
                ],
            ),
            (
                Language::Japanese,
                [
                    "1.2 MB",
                    "1 バイト",
                    "2026年5月18日 15:34 UTC",
                    "2日",
                    "1個のファイル",
                    "1,000個のファイル",
                ],
            ),
            (
                Language::Chinese,
                [
                    "1.2 MB",
                    "1 字节",
                    "2026年5月18日 15:34 UTC",
                    "2天",
                    "1个文件",
                    "1,000个文件",
                ],
            ),
        ] {
            let of = language.texts();
            let written = [
                size(of, 1_234_567),
                size(of, 1),
                time(of, at),
                span(of, 180_000),
                count(of, 1, of.file_count),
                count(of, 1_000, of.file_count),
            ];
            assert_eq!(written, texts);
        }
    }
}
