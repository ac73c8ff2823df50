//! The command line of a run.

use std::path::PathBuf;

use super::cases::{self, Case};

/// The binary that cargo built.
const BUILT: &str = env!("CARGO_BIN_EXE_hallpass");

/// The options and cases of a command line.
pub(crate) struct Options {
    pub(crate) is_quick: bool,
    pub(crate) is_list: bool,
    pub(crate) has_peers: bool,
    pub(crate) counts_instructions: bool,
    /// The binary that is measured.
    pub(crate) binary: PathBuf,
    /// The binary that stands beside it.
    pub(crate) beside: Option<PathBuf>,
    pub(crate) cases: Vec<&'static Case>,
}

impl Options {
    /// Reads the words of a command line.
    ///
    /// # Errors
    /// A sentence for the person who typed them.
    pub(crate) fn read(words: &[String]) -> Result<Self, String> {
        let mut read = Self {
            is_quick: false,
            is_list: false,
            has_peers: true,
            counts_instructions: false,
            binary: BUILT.into(),
            beside: None,
            cases: Vec::new(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => {} // From cargo.
                "--quick" => read.is_quick = true,
                "--list" => read.is_list = true,
                "--no-peers" => read.has_peers = false,
                "--instructions" => read.counts_instructions = true,
                "--binary" => read.binary = path(word, words.next())?,
                "--beside" => read.beside = Some(path(word, words.next())?),
                name => {
                    let case = cases::ALL.iter().find(|case| case.name == name);
                    let unknown = || format!("no case {name:?}: `--list` shows those there are");
                    read.cases.push(case.ok_or_else(unknown)?);
                }
            }
        }
        if read.cases.is_empty() {
            read.cases = cases::ALL.iter().filter(|case| case.is_usual).collect();
        }
        Ok(read)
    }

    /// Returns the number of rounds.
    pub(crate) const fn rounds(&self) -> usize {
        match (self.is_quick, &self.beside) {
            (true, _) => 3,
            (false, None) => 5,
            (false, Some(_)) => 10,
        }
    }
}

fn path(word: &str, path: Option<&String>) -> Result<PathBuf, String> {
    let path = path.ok_or_else(|| format!("{word} PATH"))?;
    let found = std::fs::canonicalize(path);
    found.map_err(|error| format!("{word} {path}: {error}"))
}
