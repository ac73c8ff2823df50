//! `hallpass log-hash`: a text as the log and the audit stream have it, to search them for it.

use clap::Args;

use super::failure::Failure;
use super::session::{Global, Logging, Session};
use super::{key, standard_input, wire};

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
            standard_input::DASH => standard_input::bytes(TEXT_BYTES_MAX)?,
            text => text.as_bytes().to_vec(),
        };
        let keys = key::keyring(&session)?.log_keys();
        let hashes = keys.iter().map(|key| key.hash(&text));
        let hashes = hashes.map(|hash| wire::LogHashEntry::from(&hash));
        session.output.many(hashes)
    }
}
