//! Gathers the given values from the file, the environment and the command line, each with its origin. No value
//! is judged here.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::parse::RawValue;
use super::problem::{ConfigError, Origin};
use super::{KEYS, KeyringText};
use crate::blob::s3::Ambient;

/// The prefix of the name of each of our environment variables.
pub const VARIABLE_PREFIX: &str = "HALLPASS_";
/// The variable that names the configuration file, where no flag does.
pub const CONFIG_VARIABLE: &str = "HALLPASS_CONFIG";
/// The variable that holds the text of a keyring file.
pub const KEYRING_VARIABLE: &str = "HALLPASS_KEYRING";
/// The longest configuration file. Ours has a few kilobytes; a device or a wrong file may have no end.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// The key that a problem names where a whole file cannot be read.
const WHOLE_FILE: &str = "configuration file";

/// The number of letters of a known name that may be wrong, missing or too many for it to be suggested.
const SLIPS_MAX: usize = 2;

/// The most bytes of an unknown name that are compared with known ones.
const COMPARED_BYTES_MAX: usize = 100;

/// The environment, handed in so that a test can have one of its own.
pub trait Vars {
    /// Every variable, in any order. Those of other programs are passed over.
    fn all(&self) -> Vec<(OsString, OsString)>;
}

impl Vars for HashMap<OsString, OsString> {
    fn all(&self) -> Vec<(OsString, OsString)> {
        let pairs = self.iter();
        pairs
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

/// A setting from the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The key that it sets, such as `server.listen`.
    pub key: &'static str,
    /// The value's text. A flag that was given several times is here several times, and sets a list.
    pub value: String,
    /// The flag as it was typed, such as `--listen`.
    pub name: &'static str,
}

/// The values that were given, by key, and the problems found so far.
#[derive(Default)]
pub(super) struct Sources {
    given: HashMap<&'static str, (RawValue, Origin)>,
    pub(super) keyring_text: Option<KeyringText>,
    pub(super) ambient: Ambient,
    pub(super) problems: Vec<ConfigError>,
}

impl Sources {
    /// Reads the three sources; of two that name one key, the later one counts.
    pub(super) fn gather(file: Option<&Path>, vars: &dyn Vars, flags: &[Flag]) -> Self {
        let mut sources = Self::default();
        let mut variables = vars.all();
        for (name, value) in &variables {
            if let (Some(name), Some(value)) = (name.to_str(), value.to_str()) {
                sources.ambient.keep(name, value);
            }
        }
        variables.retain(|(name, _)| {
            name.as_encoded_bytes()
                .starts_with(VARIABLE_PREFIX.as_bytes())
        });
        variables.sort();
        if let Some(file) = sources.chosen_file(file, &variables) {
            sources.add_file(&file);
        }
        for (name, value) in &variables {
            sources.add_variable(name, value);
        }
        sources.add_flags(flags);
        sources
    }

    /// Returns the value of a key: the given one, or else its default. Where the given one is refused, this notes
    /// the problem and returns the default, so that the rest can be checked too.
    #[expect(
        clippy::expect_used,
        reason = "every default is good; the tests read them all"
    )]
    pub(super) fn read<T>(
        &mut self,
        key: &str,
        default: &str,
        parse: impl Fn(&RawValue) -> Result<T, String>,
    ) -> T {
        if let Some((given, origin)) = self.given.get(key) {
            match parse(given) {
                Ok(value) => return value,
                Err(why) => self.add_problem(key, origin.clone(), why),
            }
        }
        parse(&RawValue::Words(default.into())).expect("a good default")
    }

    /// The text given for a key and where it came from, if any was given.
    pub(super) fn given(&self, key: &str) -> Option<(String, Origin)> {
        let (given, origin) = self.given.get(key)?;
        Some((given.to_string(), origin.clone()))
    }

    /// Returns the origin of the value of a key.
    pub(super) fn origin(&self, key: &str) -> Origin {
        let given = self.given.get(key);
        given.map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// Notes a problem.
    pub(super) fn add_problem(&mut self, key: &str, origin: Origin, why: impl Into<String>) {
        let (key, why) = (key.into(), why.into());
        self.problems.push(ConfigError { key, origin, why });
    }

    fn chosen_file(
        &mut self,
        file: Option<&Path>,
        variables: &[(OsString, OsString)],
    ) -> Option<PathBuf> {
        if let Some(file) = file {
            return Some(file.into());
        }
        let (_, path) = variables.iter().find(|(name, _)| name == CONFIG_VARIABLE)?;
        if path.is_empty() {
            let origin = Origin::Environment(CONFIG_VARIABLE.into());
            self.add_problem(WHOLE_FILE, origin, "must name a file; unset it to use none");
            return None;
        }
        Some(path.into())
    }

    fn add_file(&mut self, path: &Path) {
        let origin = Origin::File(path.into());
        match read_table(path) {
            Ok(table) => {
                for (section, value) in table {
                    self.add_section(&section, value, &origin);
                }
            }
            Err(why) => self.add_problem(WHOLE_FILE, origin, why),
        }
    }

    fn add_section(&mut self, section: &str, value: toml::Value, origin: &Origin) {
        let sections = || KEYS.iter().filter_map(|key| key.name.split('.').next());
        if !sections().any(|known| known == section) {
            let kind = if value.is_table() {
                "section"
            } else {
                "key outside of any section"
            };
            let why = unknown(kind, section, sections());
            return self.add_problem(section, origin.clone(), why);
        }
        let toml::Value::Table(table) = value else {
            let why = format!("must be a section, [{section}]");
            return self.add_problem(section, origin.clone(), why);
        };
        for (key, value) in table {
            let name = format!("{section}.{key}");
            match KEYS.iter().find(|known| known.name == name) {
                Some(key) => self.add(key.name, value.into(), origin.clone()),
                None => {
                    let why = unknown("key", &name, KEYS.iter().map(|known| known.name));
                    self.add_problem(&name, origin.clone(), why);
                }
            }
        }
    }

    fn add_variable(&mut self, name: &OsStr, value: &OsStr) {
        let shown = name.to_string_lossy();
        let origin = Origin::Environment(shown.to_string());
        if shown == CONFIG_VARIABLE {
            return;
        }
        let key = KEYS.iter().find(|key| key.variable() == shown);
        let Some(text) = value.to_str() else {
            let key = key.map_or(&*shown, |key| key.name);
            return self.add_problem(key, origin, "must be UTF-8 text");
        };
        if shown == KEYRING_VARIABLE {
            if text.trim().is_empty() {
                let why = "must hold a keyring; unset it to use the keyring file";
                self.add_problem(KEYRING_VARIABLE, origin, why);
            }
            self.keyring_text = Some(KeyringText::new(text));
        } else if let Some(key) = key {
            self.add(key.name, RawValue::Words(text.into()), origin);
        } else {
            let known: Vec<String> = KEYS.iter().map(|key| key.variable()).collect();
            let special = [CONFIG_VARIABLE, KEYRING_VARIABLE];
            let known = known.iter().map(String::as_str).chain(special);
            let why = unknown("variable", &shown, known);
            self.add_problem(&shown, origin, why);
        }
    }

    fn add_flags(&mut self, flags: &[Flag]) {
        for flag in flags {
            if KEYS.iter().all(|key| key.name != flag.key) {
                self.add_problem(flag.key, Origin::Flag(flag.name.into()), "unknown key");
            }
        }
        for key in KEYS {
            let of_key = || flags.iter().filter(|flag| flag.key == key.name);
            let values: Vec<String> = of_key().map(|flag| flag.value.clone()).collect();
            let given = match values.as_slice() {
                [] => continue,
                [value] => RawValue::Text(value.clone()),
                _ => RawValue::List(values),
            };
            let origin = of_key().next().map_or("", |flag| flag.name);
            self.add(key.name, given, Origin::Flag(origin.into()));
        }
    }

    fn add(&mut self, key: &'static str, given: RawValue, origin: Origin) {
        self.given.insert(key, (given, origin));
    }
}

fn read_table(path: &Path) -> Result<toml::Table, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("must be at most {FILE_BYTES_MAX} bytes long"));
    }
    let text = str::from_utf8(&bytes).map_err(|_| "must be UTF-8 text")?;
    // The parser's own display quotes the line, which may hold a secret.
    text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        format!("line {line}: {}", error.message())
    })
}

/// Says that a name is not known, and which known one is a slip or two away from it. Of a long name only the beginning
/// is compared.
fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let (name, _) = name.split_at(name.floor_char_boundary(COMPARED_BYTES_MAX));
    let near = known.map(|known| (strsim::levenshtein(name, known), known));
    match near.min().filter(|(slips, _)| *slips <= SLIPS_MAX) {
        Some((_, known)) => format!("unknown {kind}; did you mean {known}?"),
        None => format!("unknown {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_a_slip_or_two_away_are_suggested() {
        for (name, known, is_near) in [
            ("lifetme", "lifetime", true),
            ("lfietime", "lifetime", true),
            ("", "abc", false),
            ("silent", "listen", false),
            (&"é".repeat(1_000), "listen", false),
        ] {
            let said = unknown("key", name, [known].into_iter());
            assert_eq!(said.contains(known), is_near, "{name} {known}");
        }
    }
}
