//! Lines for a person who shares something and looks on. What is on standard output in a pipe is for programs: the lines go
//! to the terminal then, by standard error, and nowhere where there is none.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::terminal::printable;
use crate::model::time::UnixSeconds;

/// The destination of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum People {
    /// Standard output, which is a terminal.
    Output,
    /// Standard error, which is one.
    Errors,
    /// Nobody looks on.
    Nobody,
}

impl People {
    /// Finds them. `is_json`: standard output is for a program, terminal or not.
    pub(in crate::cli) fn find(is_json: bool) -> Self {
        if io::stdout().is_terminal() && !is_json {
            Self::Output
        } else if io::stderr().is_terminal() {
            Self::Errors
        } else {
            Self::Nobody
        }
    }

    /// Prints a line, in which nothing moves a cursor. Nobody may be reading.
    pub(in crate::cli) fn say(self, line: &str) {
        self.draw(&printable(line));
    }

    /// Prints a line as it is.
    pub(in crate::cli) fn draw(self, line: &str) {
        let _ = match self {
            Self::Output => writeln!(io::stdout(), "{line}"),
            Self::Errors => writeln!(io::stderr(), "{line}"),
            Self::Nobody => Ok(()),
        };
    }
}

/// Returns a time by the clock of this machine's place: `19:20`, on another day than `now` with the day.
pub(in crate::cli) fn clock(at: UnixSeconds, now: UnixSeconds) -> String {
    clock_in(&TimeZone::system(), at, now)
}

#[expect(clippy::expect_used, reason = "no time lies beyond the year 9999")]
fn clock_in(zone: &TimeZone, at: UnixSeconds, now: UnixSeconds) -> String {
    let local = |at: UnixSeconds| {
        let seconds = i64::try_from(at.get()).expect("seconds of four-digit years");
        let time = Timestamp::from_second(seconds).expect("a year of four digits");
        time.to_zoned(zone.clone())
    };
    let (at, now) = (local(at), local(now));
    let form = match at.date() == now.date() {
        true => "%H:%M",
        false => "%a %-d %b, %H:%M",
    };
    at.strftime(form).to_string()
}

/// Returns a span of time in its largest unit, rounded down: `30 s`, `5 min`, `1 h`, `2 d`.
pub(in crate::cli) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Returns how long something took: `0.2 s`, `4 s`, `2 min`.
pub(super) fn took(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("0.{} s", time.subsec_millis() / 100),
        seconds => span(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_another_day_has_the_day() {
        let at = |seconds: u64| UnixSeconds::new(1_779_118_492 + seconds).unwrap();
        let clock = |seconds| clock_in(&TimeZone::UTC, at(seconds), at(0));
        assert_eq!(clock(3_600), "16:34");
        assert_eq!(clock(86_400), "Tue 19 May, 15:34");
        let tokyo = TimeZone::fixed(jiff::tz::offset(9));
        assert_eq!(clock_in(&tokyo, at(0), at(0)), "00:34");
    }

    #[test]
    fn spans_are_short() {
        for (seconds, text) in [(0, "0 s"), (90, "1 min"), (3_600, "1 h"), (172_800, "2 d")] {
            assert_eq!(span(seconds), text);
        }
        for (millis, text) in [(0, "0.0 s"), (250, "0.2 s"), (4_900, "4 s")] {
            assert_eq!(took(Duration::from_millis(millis)), text);
        }
    }
}
