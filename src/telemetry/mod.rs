//! The log: events become lines on standard error, as text for a person or as JSON. Beside it, the audit
//! stream ([`audit`]) and the metrics for Prometheus ([`metrics`]).
//!
//! A caller that logs never waits for the reader of the log. Lines go through a bounded buffer (`lines.rs`) to a
//! writer thread; lines that do not fit are dropped, and their count is reported once there is room.
//!
//! One event is one line, whatever is in its fields: control characters are escaped. Our own events are
//! written from the chosen level on, those of libraries from warnings on, since what they say in detail
//! may hold what must not be logged.

pub mod audit;
mod lines;
pub mod metrics;
pub mod panics;

use std::fmt::{Debug, Write};
use std::io::{self, IsTerminal as _};

use tracing::Subscriber;
use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, format};
use tracing_subscriber::layer::SubscriberExt as _;

pub use lines::{BUFFER_BYTES_MAX, FLUSH_WAIT, LogGuard, dropped};
use lines::{Lines, start};

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a person; in colour on a terminal, unless `NO_COLOR` is set.
    Text,
    /// One JSON object.
    Json,
}

/// The least severe of our events that are written.
pub use tracing::Level;

/// Starts the log on standard error, for the whole process. Keep the guard until the end: dropping it
/// waits, but not for long, until the last lines are out. Fails if there is a log already, or no thread
/// to be had.
///
/// # Errors
/// A log that there is already, or no thread to be had.
pub fn init(format: Format, level: Level) -> io::Result<LogGuard> {
    let ansi = io::stderr().is_terminal();
    let (lines, guard) = start(format, io::stderr())?;
    let subscriber = subscriber(format, level, ansi, lines);
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
    panics::install();
    Ok(guard)
}

fn subscriber(
    format: Format,
    level: Level,
    ansi: bool,
    lines: Lines,
) -> Box<dyn Subscriber + Send + Sync> {
    let level = LevelFilter::from_level(level);
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        // It warns of each call that waited for a connection, which a busy gateway's do; who waited in vain is told.
        .with_target("sqlx::pool::acquire", level.min(LevelFilter::ERROR))
        .with_target(env!("CARGO_CRATE_NAME"), level);
    let registry = tracing_subscriber::registry().with(targets);
    let layer = fmt::layer().with_writer(lines);
    match format {
        Format::Text => {
            let layer = layer
                .compact()
                .fmt_fields(format::debug_fn(write_field).delimited(" "));
            if ansi {
                Box::new(registry.with(layer))
            } else {
                Box::new(registry.with(layer.with_ansi(false)))
            }
        }
        Format::Json => {
            let layer = layer.with_ansi(false).json();
            Box::new(registry.with(layer.flatten_event(true).with_span_list(false)))
        }
    }
}

/// Writes `name=value`, or the message alone. The library's own way lets newlines through, and on a
/// terminal escapes too, so that a field could forge a line or colour it.
fn write_field(
    writer: &mut format::Writer<'_>,
    field: &Field,
    value: &dyn Debug,
) -> std::fmt::Result {
    if field.name() != "message" {
        write!(writer, "{}=", field.name())?;
    }
    write!(Escaping(writer), "{value:?}")
}

/// Writes text on, its control characters escaped.
struct Escaping<'a, 'w>(&'a mut format::Writer<'w>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for part in text.split_inclusive(char::is_control) {
            let mut chars = part.chars();
            match chars.next_back() {
                Some(last) if last.is_control() => {
                    self.0.write_str(chars.as_str())?;
                    write!(self.0, "{}", last.escape_default())?;
                }
                _ => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    struct Sent(Sender<Vec<u8>>);

    impl io::Write for Sent {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.into()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the bytes that are written while `log` runs.
    fn written(format: Format, level: Level, ansi: bool, log: impl FnOnce()) -> String {
        let (sender, receiver): (_, Receiver<Vec<u8>>) = channel();
        let (lines, guard) = start(format, Sent(sender)).unwrap();
        tracing::subscriber::with_default(subscriber(format, level, ansi, lines), log);
        drop(guard);
        let bytes: Vec<u8> = receiver.try_iter().flatten().collect();
        String::from_utf8(bytes).unwrap()
    }

    const HOSTILE: &str = "a\nb\r\u{1b}[31mc\u{7}\t\u{7f}\u{9b}\u{85}\0";

    fn log_hostile() {
        let _span = tracing::info_span!("hallpass::span", inside = %HOSTILE).entered();
        tracing::info!(shown = %HOSTILE, debugged = ?HOSTILE, text = HOSTILE, "said {HOSTILE}");
    }

    #[test]
    fn an_event_is_one_line_of_text_whatever_is_in_it() {
        for ansi in [false, true] {
            let log = written(Format::Text, Level::INFO, ansi, log_hostile);
            let line = log.strip_suffix('\n').unwrap();
            let ours = |c: char| ansi && c == '\u{1b}';
            assert!(
                !line.contains(|c: char| c.is_control() && !ours(c)),
                "{line:?}"
            );
            assert!(!line.contains("\u{1b}[31m"), "the red of a field: {line:?}");
            for part in [
                "said a\\nb\\r\\u{1b}[31m",
                "INFO",
                "shown=a\\n",
                "inside=a\\n",
            ] {
                assert!(line.contains(part), "{part} in {line:?}");
            }
        }
    }

    #[test]
    fn an_event_is_one_line_of_json_whatever_is_in_it() {
        let log = written(Format::Json, Level::INFO, false, log_hostile);
        let line = log.strip_suffix('\n').unwrap();
        assert!(!line.contains('\n'), "{line:?}");
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(json["shown"], HOSTILE);
        assert_eq!(json["message"], format!("said {HOSTILE}"));
        assert_eq!(json["level"], "INFO");
        assert!(json["timestamp"].is_string());
    }

    #[test]
    fn libraries_are_heard_from_warnings_on() {
        let log = || {
            tracing::debug!("ours, detailed");
            tracing::debug!(target: "sqlx::query", "theirs, detailed");
            tracing::info!(target: "hyper", "theirs");
            tracing::warn!(target: "sqlx", "theirs, worrying");
            tracing::warn!(target: "sqlx::pool::acquire", "theirs, of waiting");
        };
        let debug = written(Format::Text, Level::DEBUG, false, log);
        let heard = |log: &str| -> Vec<bool> {
            let said = [
                "ours, detailed",
                "theirs, detailed",
                ": theirs\n",
                "theirs, worrying",
                "theirs, of waiting",
            ];
            said.iter().map(|said| log.contains(said)).collect()
        };
        assert_eq!(heard(&debug), [true, false, false, true, false], "{debug}");
        let error = written(Format::Text, Level::ERROR, false, log);
        assert_eq!(error, "");
    }
}
