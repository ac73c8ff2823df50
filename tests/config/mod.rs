//! The configuration through its front door: [`Config::load`].

mod precedence;
mod refusals;
mod sample;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

use hallpass::config::{Config, ConfigError, Flag, KEYS};
use tempfile::TempDir;

/// A configuration in the making.
#[derive(Default)]
struct Given {
    file: Option<PathBuf>,
    variables: HashMap<OsString, OsString>,
    flags: Vec<Flag>,
    _directory: Option<TempDir>,
}

impl Given {
    fn file(mut self, content: impl AsRef<[u8]>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hallpass.toml");
        std::fs::write(&path, content).unwrap();
        self.file = Some(path);
        self._directory = Some(directory);
        self
    }

    fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    fn flag(mut self, key: &'static str, name: &'static str, value: &str) -> Self {
        let value = value.into();
        self.flags.push(Flag { key, value, name });
        self
    }

    fn load(&self) -> Result<Config, Vec<ConfigError>> {
        Config::load(self.file.as_deref(), &self.variables, &self.flags)
    }

    #[track_caller]
    fn loaded(&self) -> Config {
        self.load()
            .unwrap_or_else(|problems| panic!("{problems:#?}"))
    }

    /// Every problem as a person reads it, the directory of the file cut off.
    #[track_caller]
    fn refused(&self) -> Vec<String> {
        let problems = self.load().expect_err("a refusal");
        let directory = self._directory.as_ref().map(|directory| {
            let path = directory.path().to_str().unwrap();
            format!("{path}/")
        });
        let shown = |problem: &ConfigError| match &directory {
            Some(directory) => problem.to_string().replace(directory, ""),
            None => problem.to_string(),
        };
        problems.iter().map(shown).collect()
    }
}

/// A file that sets one key to a TOML value.
fn setting(key: &str, value: &str) -> String {
    let (section, name) = key.split_once('.').unwrap();
    format!("[{section}]\n{name} = {value}\n")
}

fn variable_of(key: &str) -> String {
    let key = KEYS.iter().find(|known| known.name == key).unwrap();
    key.variable()
}

/// The checked values, to be compared as a whole.
fn values(config: &Config) -> String {
    format!("{config:#?}")
}
