//! Sizes, times and spans of time as pages write them for people, in English.

use jiff::Timestamp;

use crate::model::time::UnixSeconds;

/// The units of sizes, each a thousand times the one before it.
const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];

/// Returns a size in bytes, as `7 bytes`, `1.2 GB` or `340 MB`: rounded to two digits or three, in powers of 1,000.
pub fn size(bytes: u64) -> String {
    if bytes < 1_000 {
        return count(bytes, "byte");
    }
    let bytes = u128::from(bytes);
    let mut unit = 1;
    for name in UNITS {
        unit *= 1_000;
        let rounded = |parts: u128| (bytes * parts + unit / 2) / unit;
        let tenths = rounded(10);
        if tenths < 100 {
            return match (tenths / 10, tenths % 10) {
                (whole, 0) => format!("{whole} {name}"),
                (whole, tenth) => format!("{whole}.{tenth} {name}"),
            };
        }
        if rounded(1) < 1_000 {
            return format!("{} {name}", rounded(1));
        }
    }
    // Not reached: no number of 64 bits has more than 18 of the last unit.
    format!("{bytes} bytes")
}

/// Returns a time to the minute, begun: `18 May 2026, 15:34 UTC`.
#[expect(clippy::expect_used, reason = "no time lies beyond the year 9999")]
pub fn time(at: UnixSeconds) -> String {
    let seconds = i64::try_from(at.get()).expect("seconds of four-digit years");
    let time = Timestamp::from_second(seconds).expect("a year of four digits");
    time.strftime("%-d %B %Y, %H:%M UTC").to_string()
}

/// Returns a span of time in its largest unit, rounded down: `3 days`, `1 hour`, `less than a minute`.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..60 => "less than a minute".to_owned(),
        60..3_600 => count(seconds / 60, "minute"),
        3_600..86_400 => count(seconds / 3_600, "hour"),
        _ => count(seconds / 86_400, "day"),
    }
}

/// Returns a number of things: `1 byte`, `2 bytes`.
pub fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn times_are_utc_and_spans_are_rounded_down() {
        let at = UnixSeconds::new(1_779_118_492).unwrap();
        assert_eq!(time(at), "18 May 2026, 15:34 UTC");
        assert_eq!(time(UnixSeconds::EPOCH), "1 January 1970, 00:00 UTC");
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
            assert_eq!(span(seconds), text);
        }
    }
}
