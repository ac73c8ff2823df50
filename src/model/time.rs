//! Points in time and lengths of time, in whole seconds. No clock is read here.

use std::fmt;

/// A Unix time in whole seconds, from 1970 to the last one that eleven decimal digits can write
/// (the year 5138). The bound keeps every sum of two of our times inside 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(u64);

/// The largest Unix time we write or read: eleven digits.
pub const UNIX_SECONDS_MAX: u64 = 99_999_999_999;

impl UnixSeconds {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// `None` past eleven digits.
    pub const fn new(seconds: u64) -> Option<Self> {
        if seconds <= UNIX_SECONDS_MAX {
            Some(Self(seconds))
        } else {
            None
        }
    }

    /// Returns the time of a signed number of seconds. One before 1970 or past eleven digits is cut to that bound.
    pub fn clamped(seconds: i64) -> Self {
        Self::EPOCH.plus(u64::try_from(seconds).unwrap_or(0))
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// This time and `seconds` more; the largest time where that would pass it.
    pub const fn plus(self, seconds: u64) -> Self {
        match Self::new(self.0.saturating_add(seconds)) {
            Some(time) => time,
            None => Self(UNIX_SECONDS_MAX),
        }
    }

    /// This time and `seconds` less; 1970 where that would pass it.
    pub const fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// Returns the seconds from `earlier` to this time; 0 if it is not after `earlier`.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads `YYYY-MM-DDTHH:MM:SSZ` or any other RFC 3339 text, cut to whole seconds.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let time: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(time.as_second()).ok().and_then(Self::new)
    }
}

/// `YYYY-MM-DDTHH:MM:SSZ` (RFC 3339, UTC), the one form of a time in JSON.
impl fmt::Display for UnixSeconds {
    #[expect(clippy::expect_used, reason = "no time lies beyond the year 9999")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0).expect("seconds of four-digit years");
        let time = jiff::Timestamp::from_second(seconds).expect("a year of four digits");
        write!(f, "{}", time.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_and_read_back() {
        let time = UnixSeconds::new(1_779_118_492).unwrap();
        assert_eq!(time.to_string(), "2026-05-18T15:34:52Z");
        assert_eq!(
            UnixSeconds::parse_rfc3339("2026-05-18T15:34:52.988Z"),
            Some(time)
        );
        assert_eq!(UnixSeconds::parse_rfc3339("1969-12-31T23:59:59Z"), None);
        assert_eq!(
            UnixSeconds::new(UNIX_SECONDS_MAX).unwrap().to_string(),
            "5138-11-16T09:46:39Z"
        );
    }

    #[test]
    fn sums_stay_inside_the_bound() {
        let last = UnixSeconds::new(UNIX_SECONDS_MAX).unwrap();
        assert_eq!(last.plus(u64::MAX), last);
        assert_eq!(UnixSeconds::EPOCH.minus(1), UnixSeconds::EPOCH);
        assert_eq!(UnixSeconds::EPOCH.since(last), 0);
        assert_eq!(UnixSeconds::new(UNIX_SECONDS_MAX + 1), None);
    }
}
