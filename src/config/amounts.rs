//! Durations and sizes as a person writes them.

/// Reads seconds: a whole number of them or a text such as `90`, `90s`, `15m`, `1h30m`, `7d`, `1w`. The error is the
/// end of a sentence that begins with the key.
///
/// # Errors
/// A text that is no duration.
pub fn seconds_of(text: &str) -> Result<u64, String> {
    duration(text).ok_or_else(|| SECONDS_HINT.into())
}

/// Reads bytes: a whole number of them, at least one, or a text such as `512KiB`, `100MiB`, `2GiB`. The error is the
/// end of a sentence that begins with the key.
///
/// # Errors
/// A text that is no size, and 0.
pub fn bytes_of(text: &str) -> Result<u64, String> {
    size(text)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| BYTES_HINT.into())
}

const SECONDS_UNITS: [(&str, u64); 6] = [
    ("", 1),
    ("s", 1),
    ("m", 60),
    ("h", 3600),
    ("d", 86_400),
    ("w", 604_800),
];
pub(super) const SECONDS_HINT: &str =
    "must be a number of seconds, or a number with s, m, h, d or w, such as 90s, 1h30m or 2w";
const BYTES_UNITS: [(&str, u64); 4] = [
    ("", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];
pub(super) const BYTES_HINT: &str = "must be a number of bytes, or a number with KiB, MiB or GiB";

/// A whole number of seconds, one number with its unit, or several with theirs, the largest unit first and each
/// unit once, with or without a space between them: `1h30m`, `1d 12h`. The last number has its unit, too: what
/// `1h30` means, nobody agrees on.
pub(super) fn duration(text: &str) -> Option<u64> {
    if let Some(seconds) = quantity(text, &SECONDS_UNITS) {
        return Some(seconds);
    }
    let (mut rest, mut sum, mut unit_before) = (text, 0_u64, u64::MAX);
    loop {
        let digits_end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (digits, behind) = rest.split_at(digits_end);
        let unit = behind.get(..1).filter(|_| !digits.is_empty())?;
        let (_, factor) = SECONDS_UNITS.iter().find(|(name, _)| *name == unit)?;
        if *factor >= unit_before {
            return None;
        }
        unit_before = *factor;
        let number: u64 = digits.parse().unwrap_or(u64::MAX);
        sum = sum.saturating_add(number.saturating_mul(*factor));
        rest = behind.get(1..)?;
        if rest.is_empty() {
            return Some(sum);
        }
        rest = rest.strip_prefix(' ').unwrap_or(rest);
    }
}

/// A number of bytes, or a number with its unit.
pub(super) fn size(text: &str) -> Option<u64> {
    quantity(text, &BYTES_UNITS)
}

/// A whole number.
pub(super) fn whole(text: &str) -> Option<u64> {
    quantity(text, &[("", 1)])
}

/// Decimal digits, then perhaps a space, then one of the units. A product too large for 64 bits counts as
/// the largest number, which the bounds refuse with a better text.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let unit = rest.strip_prefix(' ').unwrap_or(rest);
    if digits.is_empty() || (unit.is_empty() && !rest.is_empty()) {
        return None;
    }
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    Some(digits.parse().unwrap_or(u64::MAX).saturating_mul(*factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_have_few_spellings() {
        for (text, seconds) in [
            ("0", 0),
            ("90", 90),
            ("90s", 90),
            ("15m", 900),
            ("1 h", 3600),
            ("7d", 604_800),
            ("1w", 604_800),
            ("1h30m", 5400),
            ("1d 12h", 129_600),
            ("2w1d3h4m5s", 1_307_045),
        ] {
            assert_eq!(seconds_of(text), Ok(seconds), "{text}");
        }
        let huge = "9".repeat(30);
        assert_eq!(seconds_of(&huge), Ok(u64::MAX));
        assert_eq!(seconds_of(&format!("{}d", u64::MAX)), Ok(u64::MAX));
        for bad in [
            "", " ", "s", "-1", "+1", "1.5h", "1H", "1 ", " 1", "1  h", "1y", "١", "1h30", "30m1h",
            "1h1h", "1h ", "1h  30m", "1h 30", "h30m", "1hm", "1h30m ", "1é",
        ] {
            assert!(seconds_of(bad).is_err(), "{bad:?}");
        }
        assert_eq!(bytes_of("3MiB"), Ok(3 << 20));
        for bad in ["3MB", "3M", "3mib", "3B", "0", "1GiB1MiB"] {
            assert!(bytes_of(bad).is_err(), "{bad}");
        }
    }
}
