//! `hallpass log-hash`: a text as the log and the audit stream have it, to search them for it.

use std::io::Read as _;

use clap::Args;

use super::failure::Failure;
use super::session::{Global, Logging, Session};
use super::{key, wire};

/// The longest text, in bytes: more than any header or path that a gateway takes.
const TEXT_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Args, Debug)]
pub(super) struct LogHashCommand {
    /// Text that a caller sent, such as a request id or a file's id; - reads it from standard input
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    text: String,
}

impl LogHashCommand {
    /// Prints the text's hash under every key of the keyring that is not retired, the active one first. Only
    /// the keyring is read.
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let mut session = Session::begin(global, Vec::new(), Logging::Warnings)?;
        let text = match self.text.as_str() {
            "-" => from_stdin()?,
            text => text.as_bytes().to_vec(),
        };
        let keys = key::keyring(&session)?.log_keys();
        let hashes: Vec<wire::LogHashEntry> = keys
            .iter()
            .map(|key| wire::LogHashEntry::from(&key.hash(&text)))
            .collect();
        session.output.many(&hashes)
    }
}

/// Everything up to the end, without the line break there.
fn from_stdin() -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    std::io::stdin()
        .take(TEXT_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(|error| Failure::io("reading standard input", &error))?;
    if text.len() as u64 > TEXT_BYTES_MAX {
        let why = format!("the text is longer than {TEXT_BYTES_MAX} bytes");
        return Err(Failure::Usage(why));
    }
    for end in [b'\n', b'\r'] {
        if text.last() == Some(&end) {
            text.pop();
        }
    }
    Ok(text)
}
