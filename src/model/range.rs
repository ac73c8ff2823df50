//! Byte ranges (RFC 9110, §14).

use std::ops::Range;

/// The most ranges of one request, as written. More are a mistake or an attack: the whole file is sent.
pub const RANGES_WRITTEN_MAX: usize = 100;

/// The most parts of one answer, after ranges that overlap or touch were joined.
pub const RANGE_PARTS_MAX: usize = 8;

/// The ranges that a client asked for, before the length of the file is known. Never none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeSet(Vec<RangeRequest>);

/// One range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RangeRequest {
    /// From this byte to the end.
    From(u64),
    /// From the first to the last of these bytes, both included; never reversed.
    Bounded(u64, u64),
    /// The last so many bytes.
    Suffix(u64),
}

/// The ranges of a request, resolved against a file whose length is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The whole file, as if nothing had been asked.
    Whole,
    /// These bytes, never none.
    Part(Range<u64>),
    /// These parts, 2 to [`RANGE_PARTS_MAX`], in the order they were asked for. No two overlap or
    /// touch, so together they are never longer than the file.
    Parts(Vec<Range<u64>>),
    /// No byte of any range lies inside the file.
    Unsatisfiable,
}

impl Selection {
    /// Returns whether these are all bytes of a file of `size` bytes. Several parts never are.
    pub fn is_all_of(&self, size: u64) -> bool {
        match self {
            Self::Whole => true,
            Self::Part(range) => *range == (0..size),
            Self::Parts(_) | Self::Unsatisfiable => false,
        }
    }
}

impl RangeSet {
    /// Reads a `Range` header. `None` where the header is to be ignored: another unit than `bytes`, no
    /// range, more than [`RANGES_WRITTEN_MAX`], or anything malformed. Positions too large for 64 bits
    /// count as the largest.
    pub fn parse(header: &str) -> Option<Self> {
        let (unit, set) = header.split_once('=')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let mut ranges = Vec::new();
        let texts = set.split(',').map(|text| text.trim_matches([' ', '\t']));
        // A list may have empty members (RFC 9110, §5.6.1.2).
        for text in texts.filter(|text| !text.is_empty()) {
            if ranges.len() == RANGES_WRITTEN_MAX {
                return None;
            }
            ranges.push(RangeRequest::parse(text)?);
        }
        (!ranges.is_empty()).then_some(Self(ranges))
    }

    /// Resolves the ranges against a file of `size` bytes. A last position or a suffix beyond the file is cut to it,
    /// ranges outside it are left out, and ranges that overlap or touch become one.
    pub fn resolve(&self, size: u64) -> Selection {
        if size == 0
            && self
                .0
                .iter()
                .any(|range| matches!(range, RangeRequest::Suffix(_)))
        {
            // An empty file has no last bytes, so the suffix is all of it.
            return Selection::Whole;
        }
        let inside = self.0.iter().filter_map(|range| range.resolve(size));
        let mut parts = joined(inside.collect());
        match parts.len() {
            0 => Selection::Unsatisfiable,
            1 => parts
                .pop()
                .map_or(Selection::Unsatisfiable, Selection::Part),
            2..=RANGE_PARTS_MAX => Selection::Parts(parts),
            _ => Selection::Whole,
        }
    }
}

impl RangeRequest {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once('-')? {
            ("", last) => Some(Self::Suffix(position(last)?)),
            (first, "") => Some(Self::From(position(first)?)),
            (first, last) => {
                let (first, last) = (position(first)?, position(last)?);
                (first <= last).then_some(Self::Bounded(first, last))
            }
        }
    }

    /// The bytes that the range means; `None` for none.
    fn resolve(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(first) => first..size,
            Self::Bounded(first, last) => first..last.saturating_add(1).min(size),
            Self::Suffix(length) => size.saturating_sub(length)..size,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// Joins ranges that overlap or touch. What is left stands in the order in which the first of each was
/// asked for.
fn joined(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut by_start: Vec<(usize, Range<u64>)> = ranges.into_iter().enumerate().collect();
    by_start.sort_by_key(|(_, range)| range.start);
    let mut parts: Vec<(usize, Range<u64>)> = Vec::new();
    for (place, range) in by_start {
        match parts.last_mut() {
            Some((first_place, last)) if range.start <= last.end => {
                *first_place = (*first_place).min(place);
                last.end = last.end.max(range.end);
            }
            _ => parts.push((place, range)),
        }
    }
    parts.sort_by_key(|(place, _)| *place);
    parts.into_iter().map(|(_, range)| range).collect()
}

fn position(digits: &str) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resolve(header: &str, size: u64) -> Option<Selection> {
        RangeSet::parse(header).map(|ranges| ranges.resolve(size))
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
            ("bytes=,0-1 ,\t,", 0..2),
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
    fn several_ranges_are_joined_and_keep_their_order() {
        let parts = |ranges: &[Range<u64>]| Some(Selection::Parts(ranges.to_vec()));
        assert_eq!(resolve("bytes=0-9,20-29", 100), parts(&[0..10, 20..30]));
        assert_eq!(resolve("bytes=20-29, 0-9", 100), parts(&[20..30, 0..10]));
        assert_eq!(
            resolve("bytes=50-59,0-9,55-60,-10", 100),
            parts(&[50..61, 0..10, 90..100])
        );
        for one in [
            "bytes=0-9,5-14",
            "bytes=0-9,10-14",
            "bytes=10-14,0-9",
            "bytes=0-14,200-",
        ] {
            assert_eq!(resolve(one, 100), Some(Selection::Part(0..15)), "{one}");
        }
        let many: Vec<_> = (0..100).map(|_| "0-0").collect();
        let header = format!("bytes={}", many.join(","));
        assert_eq!(resolve(&header, 100), Some(Selection::Part(0..1)));
        assert_eq!(
            resolve(&format!("{header},1-1"), 100),
            None,
            "more than a hundred"
        );
        let apart = |count: u64| {
            let ranges: Vec<_> = (0..count)
                .rev()
                .map(|i| format!("{}-{}", i * 4, i * 4))
                .collect();
            resolve(&format!("bytes={}", ranges.join(",")), 1_000)
        };
        assert!(matches!(apart(8), Some(Selection::Parts(parts)) if parts.len() == 8));
        assert_eq!(apart(9), Some(Selection::Whole));
    }

    #[test]
    fn ranges_outside_the_file_are_unsatisfiable() {
        let huge = format!("bytes={}-", "9".repeat(30));
        for header in [
            "bytes=10-",
            "bytes=-0",
            "bytes=10-20",
            "bytes=10-,-0",
            huge.as_str(),
        ] {
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
            "bytes=0-1,x",
            "bytes=,",
            "bytes=0-1,5-2",
            "bytes=0 - 1",
        ];
        for header in bad {
            assert_eq!(RangeSet::parse(header), None, "{header}");
        }
    }

    proptest! {
        #[test]
        fn parts_are_inside_the_file_and_apart(
            ranges in prop::collection::vec((0_u64..60, 0_u64..60), 1..12),
            size in 0_u64..50,
        ) {
            let texts: Vec<_> = ranges.iter().map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))).collect();
            let wanted = |byte: u64| ranges.iter().any(|(a, b)| (*a.min(b)..=*a.max(b)).contains(&byte));
            let parts = match resolve(&format!("bytes={}", texts.join(",")), size) {
                Some(Selection::Part(part)) => vec![part],
                Some(Selection::Parts(parts)) => parts,
                Some(Selection::Unsatisfiable) => vec![],
                Some(Selection::Whole) => return Ok(()),
                None => panic!("well formed"),
            };
            for byte in 0..size {
                let sent = parts.iter().filter(|part| part.contains(&byte)).count();
                prop_assert!(sent <= 1);
                // Touching ranges may be joined, never ranges with a byte between them.
                prop_assert_eq!(sent == 1, wanted(byte));
            }
            prop_assert!(parts.iter().all(|part| part.end <= size && !part.is_empty()));
        }
    }
}
