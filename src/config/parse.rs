//! Parsers from a given value to a checked one, one function for each kind of value. The error of each is the end
//! of a sentence that begins with the key.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::amounts::{BYTES_HINT, SECONDS_HINT, duration, size, whole};
use super::listen::{self, Listen};
use super::url::{PublicBaseUrl, is_plain_path};
use crate::model::network::Network;
use crate::web::client::TrustedProxies;
use crate::web::cors::Origins;
use crate::web::original_link::VerifyHeader;
use crate::web::strict_transport::StrictTransport;

/// The most addresses or paths in one list. Each listener is a socket and each root an open directory.
pub const LIST_ITEMS_MAX: usize = 64;

/// The forms of an address that a listener takes.
const ADDRESS_HINT: &str = "must be ADDRESS:PORT, such as 127.0.0.1:8080, [::1]:8080, localhost:8080 or :8080 (every IPv4 address)";

/// The longest word, such as a region or the id of an access key, in bytes.
const WORD_BYTES_MAX: usize = 128;

/// The longest name of a host, in bytes (RFC 1035, §2.3.4).
const HOST_BYTES_MAX: usize = 253;

/// A value before it is parsed.
#[derive(Clone, Debug)]
pub(super) enum RawValue {
    /// A text from the environment, or a default: where a list is wanted, commas separate its items.
    Words(String),
    /// A text from the file, or of a flag given once: where a list is wanted, it is the only item.
    Text(String),
    /// A whole number, from the file.
    Integer(i64),
    /// A list of texts, from the file, or of a flag given several times.
    List(Vec<String>),
    /// A boolean, from the file.
    Boolean(bool),
    /// Something else from the file, by the name of its type.
    Other(&'static str),
}

impl From<toml::Value> for RawValue {
    fn from(value: toml::Value) -> Self {
        match value {
            toml::Value::String(text) => Self::Text(text),
            toml::Value::Integer(number) => Self::Integer(number),
            toml::Value::Array(items) => {
                let text = |item| match item {
                    toml::Value::String(text) => Some(text),
                    _ => None,
                };
                match items.into_iter().map(text).collect() {
                    Some(texts) => Self::List(texts),
                    None => Self::Other("an array of other things than texts"),
                }
            }
            toml::Value::Boolean(value) => Self::Boolean(value),
            toml::Value::Float(_) => Self::Other("a number with a fraction"),
            toml::Value::Datetime(_) => Self::Other("a date"),
            toml::Value::Table(_) => Self::Other("a table"),
        }
    }
}

/// Writes the value for a person, as it was given; lists with commas.
impl fmt::Display for RawValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(text) | Self::Text(text) => f.write_str(text),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::List(items) => f.write_str(&items.join(",")),
            Self::Other(kind) => f.write_str(kind),
        }
    }
}

impl RawValue {
    fn text(&self) -> Result<&str, String> {
        match self {
            Self::Words(text) | Self::Text(text) => Ok(text),
            Self::Integer(_) => Err("must be a text, not a number".into()),
            Self::Boolean(_) => Err("must be a text, not a boolean".into()),
            Self::List(_) => Err("must be one text, not several".into()),
            Self::Other(kind) => Err(format!("must be a text, not {kind}")),
        }
    }

    fn items(&self) -> Result<Vec<&str>, String> {
        let items: Vec<&str> = match self {
            Self::Words(text) if text.is_empty() => Vec::new(),
            Self::Words(text) => text.split(',').map(|item| item.trim_matches(' ')).collect(),
            Self::Text(text) => vec![text],
            Self::List(items) => items.iter().map(String::as_str).collect(),
            Self::Integer(_) => return Err("must be a list of texts, not a number".into()),
            Self::Boolean(_) => return Err("must be a list of texts, not a boolean".into()),
            Self::Other(kind) => return Err(format!("must be a list of texts, not {kind}")),
        };
        if items.len() > LIST_ITEMS_MAX {
            return Err(format!("must have at most {LIST_ITEMS_MAX} items"));
        }
        Ok(items)
    }
}

pub(super) fn seconds(min: u64, max: u64) -> impl Fn(&RawValue) -> Result<u64, String> {
    move |given| number(given, duration, SECONDS_HINT, min, max, " seconds")
}

/// Seconds, or `never`, which is `None`.
pub(super) fn seconds_or_never(
    min: u64,
    max: u64,
) -> impl Fn(&RawValue) -> Result<Option<u64>, String> {
    move |given| match given {
        RawValue::Words(text) | RawValue::Text(text) if text == "never" => Ok(None),
        RawValue::Words(_) | RawValue::Text(_) | RawValue::Integer(_) => seconds(min, max)(given)
            .map(Some)
            .map_err(|why| format!("{why}, or never")),
        given => seconds(min, max)(given).map(Some),
    }
}

pub(super) fn bytes(min: u64, max: u64) -> impl Fn(&RawValue) -> Result<u64, String> {
    move |given| number(given, size, BYTES_HINT, min, max, " bytes")
}

/// Bytes, or nothing.
pub(super) fn optional_bytes(
    min: u64,
    max: u64,
) -> impl Fn(&RawValue) -> Result<Option<u64>, String> {
    move |given| match given {
        RawValue::Words(text) | RawValue::Text(text) if text.is_empty() => Ok(None),
        given => bytes(min, max)(given).map(Some),
    }
}

pub(super) fn count(min: u64, max: u64) -> impl Fn(&RawValue) -> Result<u64, String> {
    move |given| number(given, whole, "must be a whole number", min, max, "")
}

/// Returns a parser of one of a few words, each with its meaning.
pub(super) fn word<T: Copy>(
    words: &[(&'static str, T)],
) -> impl Fn(&RawValue) -> Result<T, String> {
    move |given| {
        let text = given.text()?;
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            format!("must be one of {}", words.join(", "))
        })
    }
}

/// Returns a parser of words that are numbers, which a file writes without quotes.
pub(super) fn number_word<T: Copy>(
    words: &[(&'static str, T)],
) -> impl Fn(&RawValue) -> Result<T, String> {
    let word = word(words);
    move |given| match given {
        RawValue::Integer(number) => word(&RawValue::Text(number.to_string())),
        _ => word(given),
    }
}

/// Reads one or more different listeners. Port 0 may be there several times: each is another free port.
pub(super) fn listeners(given: &RawValue) -> Result<Vec<Listen>, String> {
    let mut listeners = Vec::new();
    for item in given.items()? {
        let hint = || format!("{ADDRESS_HINT}, tls:ADDRESS:PORT, or unix:PATH");
        let listener = Listen::parse(item).ok_or_else(hint)?;
        let is_same = |other: &Listen| match listener.address() {
            Some(address) => other.address() == Some(address),
            None => *other == listener,
        };
        if !listener.is_any_port() && listeners.iter().any(is_same) {
            return Err("must not name an address twice".into());
        }
        listeners.push(listener);
    }
    if listeners.is_empty() {
        return Err("must name at least one address".into());
    }
    Ok(listeners)
}

/// A word that goes into a header as it is.
pub(super) fn identifier(text: &str) -> Result<String, &'static str> {
    let good = text.len() <= WORD_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
    let hint = "must be visible ASCII without spaces, at most 128 bytes";
    good.then(|| text.to_owned()).ok_or(hint)
}

pub(super) fn header(text: &str) -> Result<VerifyHeader, &'static str> {
    let hint = "must be the name of a header, such as X-Original-URI";
    VerifyHeader::parse(text).ok_or(hint)
}

pub(super) fn strict_transport(text: &str) -> Result<StrictTransport, &'static str> {
    let hint =
        "must be a value of Strict-Transport-Security, such as max-age=31536000; includeSubDomains";
    StrictTransport::parse(text).ok_or(hint)
}

/// An absolute path of plain names, which means the same in a URL and on a disk.
pub(super) fn prefix(text: &str) -> Result<String, &'static str> {
    let path = text.trim_end_matches('/');
    if path.starts_with('/') && is_plain_path(path) {
        Ok(path.to_owned())
    } else {
        Err("must be a path of plain names, such as /hallpass-internal")
    }
}

/// `true` or `false`, as a word or as TOML's own.
pub(super) fn boolean(given: &RawValue) -> Result<bool, String> {
    let hint = "must be true or false";
    match given {
        RawValue::Boolean(value) => Ok(*value),
        RawValue::Words(text) | RawValue::Text(text) => text.parse().map_err(|_| hint.into()),
        RawValue::Integer(_) => Err(format!("{hint}, not a number")),
        RawValue::List(_) => Err(format!("{hint}, not several")),
        RawValue::Other(kind) => Err(format!("{hint}, not {kind}")),
    }
}

/// Reads names of hosts, as a browser's `Host` has them: in lower case, without a port.
pub(super) fn host_names(given: &RawValue) -> Result<Vec<String>, String> {
    let is_name = |name: &str| {
        (1..=HOST_BYTES_MAX).contains(&name.len())
            && name.split('.').all(|label| {
                let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                !label.is_empty() && label.bytes().all(is_plain)
            })
    };
    let items = given.items()?;
    if items.iter().all(|name| is_name(name)) {
        Ok(items.into_iter().map(str::to_owned).collect())
    } else {
        Err("must hold names of hosts in lower case, such as gateway.example.com".into())
    }
}

/// Reads addresses and networks, and `unix` for every peer on a Unix socket.
pub(super) fn trusted_proxies(given: &RawValue) -> Result<TrustedProxies, String> {
    let mut trusted = TrustedProxies::default();
    for item in given.items()? {
        match Network::parse(item) {
            Some(network) => trusted.networks.push(network),
            None if item == "unix" => trusted.unix_sockets = true,
            None => {
                return Err(
                    "must hold addresses, networks such as 10.0.0.0/8, or the word unix".into(),
                );
            }
        }
    }
    Ok(trusted)
}

/// Origins as browsers write them, or `*` alone.
pub(super) fn origins(given: &RawValue) -> Result<Origins, String> {
    let items = given.items()?;
    if items == ["*"] {
        return Ok(Origins::Any);
    }
    let origin = |item: &str| {
        let url = PublicBaseUrl::parse(item)
            .ok()
            .filter(|url| url.path().is_empty());
        let same = url.filter(|url| url.as_str() == item && item == item.to_ascii_lowercase());
        same.map(|url| url.as_str().to_owned())
    };
    let origins: Option<Vec<String>> = items.into_iter().map(origin).collect();
    let hint = "must hold origins such as https://app.example.com, or * alone";
    origins.map(Origins::These).ok_or_else(|| hint.into())
}

pub(super) fn path(given: &RawValue) -> Result<PathBuf, String> {
    Ok(path_of(given.text()?)?)
}

pub(super) fn absolute_paths(given: &RawValue) -> Result<Vec<PathBuf>, String> {
    let absolute = |item| {
        let path = path_of(item)?;
        if Path::is_absolute(&path) {
            Ok(path)
        } else {
            Err("must hold absolute paths only".into())
        }
    };
    given.items()?.into_iter().map(absolute).collect()
}

/// Returns a parser of a setting that need not be set, from one of texts. The empty text stands for "not set", so that
/// a later source can take back what an earlier one set.
pub(super) fn optional<T>(
    parse: impl Fn(&str) -> Result<T, &'static str>,
) -> impl Fn(&RawValue) -> Result<Option<T>, String> {
    move |given| match given.text()? {
        "" => Ok(None),
        text => Ok(Some(parse(text)?)),
    }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    listen::address(text).ok_or(ADDRESS_HINT)
}

pub(super) fn path_of(text: &str) -> Result<PathBuf, &'static str> {
    if text.is_empty() || text.contains('\0') {
        return Err("must be a path");
    }
    Ok(text.into())
}

fn number(
    given: &RawValue,
    read: impl Fn(&str) -> Option<u64>,
    hint: &str,
    min: u64,
    max: u64,
    noun: &str,
) -> Result<u64, String> {
    let number = match given {
        RawValue::Words(text) | RawValue::Text(text) => read(text),
        RawValue::Integer(number) => u64::try_from(*number).ok(),
        RawValue::List(_) => return Err(format!("{hint}, not several")),
        RawValue::Boolean(_) => return Err(format!("{hint}, not a boolean")),
        RawValue::Other(kind) => return Err(format!("{hint}, not {kind}")),
    };
    let number = number.ok_or(hint)?;
    if (min..=max).contains(&number) {
        Ok(number)
    } else {
        Err(format!("must be {min} to {max}{noun}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_environment_splits_at_commas() {
        let words = RawValue::Words("/a, /b".into());
        assert_eq!(absolute_paths(&words), Ok(vec!["/a".into(), "/b".into()]));
        let text = RawValue::Text("/a,/b".into());
        assert_eq!(absolute_paths(&text), Ok(vec!["/a,/b".into()]));
        assert_eq!(absolute_paths(&RawValue::Words(String::new())), Ok(vec![]));
        assert!(absolute_paths(&RawValue::Words("/a,".into())).is_err());
    }
}
