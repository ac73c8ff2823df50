//! Standard output of commands: lines for a person, or one JSON value on one line for a program. No command writes
//! there by itself.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Stdout, Write as _};

use serde::Serialize;

use super::failure::{Failure, answer};
use super::qr;
use super::terminal::printable;
use crate::model::name::is_hidden;

/// A result that a command can print.
pub(super) trait Show: Serialize {
    /// The lines for a person. What cannot be shown safely is escaped later.
    fn lines(&self) -> Vec<String>;
}

/// Standard output. A reader that goes away, such as `head`, is no failure: the rest is not written.
pub(super) struct Output {
    json: bool,
    to: BufWriter<Stdout>,
    /// The number of items of the array that is being written.
    items: usize,
    gone: bool,
}

impl Output {
    /// Prints JSON, or else text.
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            to: BufWriter::new(io::stdout()),
            items: 0,
            gone: false,
        }
    }

    /// Returns whether the output is for a program.
    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    /// Returns whether the reader is gone.
    pub(super) const fn is_gone(&self) -> bool {
        self.gone
    }

    /// Prints one thing, an object.
    pub(super) fn one(&mut self, value: &impl Show) -> Result<(), Failure> {
        if self.json {
            let json = json_of(value)?;
            self.write(&format!("{json}\n"))?;
        } else {
            self.write_lines(value)?;
        }
        self.flush()
    }

    /// Prints the drawing of a URL below it, for a person.
    pub(super) fn qr(&mut self, url: &str) -> Result<(), Failure> {
        let lines = qr::drawn(url);
        let lines =
            lines.ok_or_else(|| Failure::Failed("the URL is too long for a QR code".into()))?;
        for line in lines {
            self.write(&format!("{line}\n"))?;
        }
        self.flush()
    }

    /// Prints several things, an array.
    pub(super) fn many(
        &mut self,
        values: impl IntoIterator<Item = impl Show>,
    ) -> Result<(), Failure> {
        for value in values {
            self.item(&value)?;
        }
        self.end()
    }

    /// Prints what was done of `asked` things, each of which is done or was complained about: one thing as an object,
    /// several as an array. The answer is no if any was not done.
    pub(super) fn done(&mut self, asked: usize, done: Vec<impl Show>) -> Result<(), Failure> {
        let is_all = done.len() == asked;
        match (asked, done.as_slice()) {
            (1, [one]) => self.one(one)?,
            (1, _) => {}
            _ => self.many(done)?,
        }
        answer(is_all)
    }

    /// Prints the next item of an array, which [`Output::end`] closes.
    pub(super) fn item(&mut self, value: &impl Show) -> Result<(), Failure> {
        if !self.json {
            return self.write_lines(value);
        }
        let before = if self.items == 0 { '[' } else { ',' };
        self.items += 1;
        let json = json_of(value)?;
        self.write(&format!("{before}{json}"))
    }

    /// Closes the array, which may have no item.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        if self.json {
            let rest = if self.items == 0 { "[]\n" } else { "]\n" };
            self.write(rest)?;
        }
        self.flush()
    }

    /// Hands what was printed to its reader.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        if self.gone {
            return Ok(());
        }
        let flushed = self.to.flush();
        self.settle(flushed)
    }

    fn write_lines(&mut self, value: &impl Show) -> Result<(), Failure> {
        for line in value.lines() {
            self.write(&format!("{}\n", printable(&line)))?;
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        if self.gone {
            return Ok(());
        }
        let written = self.to.write_all(text.as_bytes());
        self.settle(written)
    }

    fn settle(&mut self, result: io::Result<()>) -> Result<(), Failure> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            Err(error) => {
                self.gone = true;
                Err(Failure::io("writing to standard output", &error))
            }
            Ok(()) => Ok(()),
        }
    }
}

/// JSON without a character that misleads on a terminal: those may stand only in texts, where an escape
/// means the same.
fn json_of(value: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string(value)
        .map_err(|error| Failure::Failed(format!("writing JSON: {error}")))?;
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if is_hidden(c) {
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    Ok(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[31m\u{9b}2J\n\u{202e}fdp";

    #[test]
    fn a_line_stays_one_line_and_moves_no_cursor() {
        assert_eq!(printable(HOSTILE), "a\\u{1b}[31m\\u{9b}2J\\n\\u{202e}fdp");
        assert_eq!(printable("отчёт 1.pdf"), "отчёт 1.pdf");
    }

    #[test]
    fn json_is_safe_to_look_at_and_means_the_same() {
        let json = json_of(&HOSTILE).unwrap();
        assert!(!json.contains(is_hidden), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), HOSTILE);
    }
}
