//! Amounts in words, for a person: sizes in bytes, durations in seconds.

use std::fmt;
use std::str::FromStr;

/// A size in bytes. Displayed in the largest unit that it reaches, and exactly: `1.5 GiB (1610612736 bytes)`,
/// `1 GiB (1073741824 bytes)`, `12 bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteAmount(pub u64);

/// A size in bytes. Displayed rounded, to two digits or three and in powers of 1,000, as people say it: `7 bytes`, `1.2 GB`,
/// `340 MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundedSize(pub u64);

/// A duration in seconds. Displayed exactly, in days and what is left: `30 days`, `1 day 12 hours`, `90 minutes`
/// as `1 hour 30 minutes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub u64);

const SIZES: [(&str, u64); 5] = [
    ("PiB", 1 << 50),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

/// The units of rounded sizes, each a thousand times the one before it.
const DECIMAL_UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];

const TIMES: [(&str, u64); 4] = [
    ("day", 86_400),
    ("hour", 3600),
    ("minute", 60),
    ("second", 1),
];

impl fmt::Display for ByteAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        let Some((unit, factor)) = SIZES.iter().find(|(_, factor)| bytes >= *factor) else {
            let s = if bytes == 1 { "" } else { "s" };
            return write!(f, "{bytes} byte{s}");
        };
        let (whole, rest) = (bytes / factor, bytes % factor);
        // Rounded down, so that an amount over a limit never reads like the limit in another unit.
        let tenths = rest / (factor / 10);
        match tenths.min(9) {
            0 => write!(f, "{whole} {unit} ({bytes} bytes)"),
            tenths => write!(f, "{whole}.{tenths} {unit} ({bytes} bytes)"),
        }
    }
}

impl fmt::Display for RoundedSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = u128::from(self.0);
        let s = if bytes == 1 { "" } else { "s" };
        let mut unit = 1;
        for name in DECIMAL_UNITS.iter().filter(|_| bytes >= 1_000) {
            unit *= 1_000;
            let rounded = |parts: u128| (bytes * parts + unit / 2) / unit;
            match (rounded(10), rounded(1)) {
                (tenths, _) if tenths < 100 && tenths % 10 == 0 => {
                    return write!(f, "{} {name}", tenths / 10);
                }
                (tenths, _) if tenths < 100 => {
                    return write!(f, "{}.{} {name}", tenths / 10, tenths % 10);
                }
                (_, whole) if whole < 1_000 => return write!(f, "{whole} {name}"),
                _ => {}
            }
        }
        write!(f, "{bytes} byte{s}")
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut rest, mut before) = (self.0, "");
        for (unit, factor) in TIMES {
            let number = rest / factor;
            rest %= factor;
            if number > 0 {
                let s = if number == 1 { "" } else { "s" };
                write!(f, "{before}{number} {unit}{s}")?;
                before = " ";
            }
        }
        if before.is_empty() {
            f.write_str("0 seconds")?;
        }
        Ok(())
    }
}

/// Reads a number in decimal digits alone, without a leading zero.
pub fn decimal<T: FromStr>(text: &str) -> Option<T> {
    let is_of_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_canonical = is_of_digits && (text == "0" || !text.starts_with('0'));
    is_canonical.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_exact() {
        for (bytes, words) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1023 bytes"),
            (1024, "1 KiB (1024 bytes)"),
            ((1 << 30) + 1, "1 GiB (1073741825 bytes)"),
            (3 << 29, "1.5 GiB (1610612736 bytes)"),
            ((2 << 30) - 1, "1.9 GiB (2147483647 bytes)"),
            (u64::MAX, "16383.9 PiB (18446744073709551615 bytes)"),
        ] {
            assert_eq!(ByteAmount(bytes).to_string(), words);
        }
        for (bytes, words) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_000, "1 kB"),
            (1_050, "1.1 kB"),
            (9_949, "9.9 kB"),
            (9_950, "10 kB"),
            (999_500, "1 MB"),
            (301_234_567, "301 MB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(RoundedSize(bytes).to_string(), words);
        }
        for (seconds, words) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (5400, "1 hour 30 minutes"),
            (604_800, "7 days"),
            (604_801, "7 days 1 second"),
            (129_600, "1 day 12 hours"),
        ] {
            assert_eq!(Seconds(seconds).to_string(), words);
        }
    }
}
