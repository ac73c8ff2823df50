//! Byte ranges (RFC 9110, §14).

use std::ops::Range;

/// One range as a client asked for it, before the length of the file is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeRequest {
    /// From this byte to the end.
    From(u64),
    /// From the first to the last of these bytes, both included; never reversed.
    Bounded(u64, u64),
    /// The last so many bytes.
    Suffix(u64),
}

/// What a range means for a file whose length is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The whole file, as if nothing had been asked: an empty file has no last bytes to select.
    Whole,
    /// These bytes, never none.
    Part(Range<u64>),
    /// No byte of the range lies inside the file.
    Unsatisfiable,
}

impl RangeRequest {
    /// Reads a `Range` header. `None` where the header is to be ignored: another unit than `bytes`, no
    /// or several ranges, or anything malformed. Positions too large for 64 bits count as the largest.
    pub fn parse(header: &str) -> Option<Self> {
        let (unit, set) = header.split_once('=')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = set.trim_matches([' ', '\t']).split_once('-')?;
        match (first, last) {
            ("", last) => Some(Self::Suffix(position(last)?)),
            (first, "") => Some(Self::From(position(first)?)),
            (first, last) => {
                let (first, last) = (position(first)?, position(last)?);
                (first <= last).then_some(Self::Bounded(first, last))
            }
        }
    }

    /// What the range means for a file of `size` bytes. A last position or a suffix beyond the file is
    /// cut to it.
    pub fn resolve(self, size: u64) -> Selection {
        let range = match self {
            Self::From(first) => first..size,
            Self::Bounded(first, last) => first..last.saturating_add(1).min(size),
            Self::Suffix(_) if size == 0 => return Selection::Whole,
            Self::Suffix(length) => size.saturating_sub(length)..size,
        };
        if range.is_empty() {
            Selection::Unsatisfiable
        } else {
            Selection::Part(range)
        }
    }
}

fn position(digits: &str) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(header: &str, size: u64) -> Option<Selection> {
        RangeRequest::parse(header).map(|range| range.resolve(size))
    }

    #[test]
    fn single_ranges_select_their_bytes() {
        let huge = format!("bytes=3-{}", "9".repeat(30));
        let cases = [
            ("bytes=0-0", 0..1),
            ("bytes=0-", 0..10),
            ("bytes=-1", 9..10),
            ("bytes=-110", 0..10),
            ("bytes=9-", 9..10),
            ("bytes=0-110", 0..10),
            ("BYTES=0-1", 0..2),
            ("bytes= 0-1", 0..2),
            (huge.as_str(), 3..10),
        ];
        for (header, range) in cases {
            assert_eq!(
                resolve(header, 10),
                Some(Selection::Part(range)),
                "{header}"
            );
        }
    }

    #[test]
    fn ranges_outside_the_file_are_unsatisfiable() {
        let huge = format!("bytes={}-", "9".repeat(30));
        for header in ["bytes=10-", "bytes=-0", "bytes=10-20", huge.as_str()] {
            assert_eq!(
                resolve(header, 10),
                Some(Selection::Unsatisfiable),
                "{header}"
            );
        }
        for header in ["bytes=0-0", "bytes=0-"] {
            assert_eq!(
                resolve(header, 0),
                Some(Selection::Unsatisfiable),
                "{header} of nothing"
            );
        }
        for header in ["bytes=-0", "bytes=-5"] {
            assert_eq!(
                resolve(header, 0),
                Some(Selection::Whole),
                "{header} of nothing"
            );
        }
    }

    #[test]
    fn malformed_ranges_are_ignored() {
        let bad = [
            "bytes=5-2",
            "bytes=a-b",
            "bytes=-",
            "bytes=0x1-2",
            "bytes=+1-2",
            "bytes=--1",
            "bytes=",
            "items=0-1",
            "0-1",
            "bytes =0-1",
            ",bytes=0-1",
            "bytes=1-2;3-4",
            "bytes=0-1,3-4",
        ];
        for header in bad {
            assert_eq!(RangeRequest::parse(header), None, "{header}");
        }
    }
}
