//! The keyring's file, `keyring.toml`: one `[[key]]` each with `kid`, `state`, `created_at` (RFC 3339)
//! and, unless the key is retired, `secret` (base64).
//!
//! An error names a key by its kid or its place in the file, counted from 1, and never quotes the text: the text
//! is the secret.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use toml::{Table, Value};
use zeroize::Zeroizing;

use super::private_file;
use crate::model::time::UnixSeconds;
use crate::sign::keyring::{KeyState, Keyring, KeyringError, Kid, SigningKey};
use crate::sign::secret::{Secret, WeakSecret};

/// The largest file that is read, in bytes: room for some thousand keys.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

const FIELDS: [&str; 4] = ["kid", "secret", "state", "created_at"];

/// An error of reading, writing or changing a keyring. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyringFileError {
    /// The file could not be read or written.
    #[error("cannot {doing} the keyring file {path}", path = path.display())]
    Io {
        /// The operation that failed.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Others than its owner may read or write the file.
    #[error(
        "the keyring file {path} has mode {mode:04o}: only its owner may have access (chmod 600)",
        path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The path leads to a directory, a pipe or the like, or to something far too large.
    #[error("{path} is no keyring file", path = path.display())]
    NotAKeyringFile {
        /// The file.
        path: PathBuf,
    },
    /// The text is no TOML.
    #[error("line {line} of the keyring is no TOML")]
    Syntax {
        /// Counted from 1.
        line: usize,
    },
    /// The text has something else than `[[key]]`.
    #[error("a keyring has [[key]] tables and nothing else")]
    NotKeys,
    /// One key is not as it should be.
    #[error("{key} {why}")]
    Key {
        /// The key that is wrong: `key KID`, or its place where the kid itself cannot be read.
        key: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// One key's secret is too weak.
    #[error("key {kid}: {why}")]
    Weak {
        /// Its name.
        kid: Kid,
        /// The weakness of its secret.
        #[source]
        why: WeakSecret,
    },
    /// The keys do not make a keyring.
    #[error("the keyring is not usable: {0}")]
    Keyring(#[from] KeyringError),
    /// The keyring has no such key.
    #[error("there is no key {kid}")]
    Unknown {
        /// The name that was given.
        kid: Kid,
    },
    /// A retired key lost its secret and cannot come back.
    #[error("key {kid} is retired and cannot sign again")]
    Retired {
        /// Its name.
        kid: Kid,
    },
    /// The active key cannot be retired.
    #[error("key {kid} is active: rotate to another key first")]
    Active {
        /// Its name.
        kid: Kid,
    },
}

impl KeyringFileError {
    /// Returns whether there was no room for the file.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        let is_full = |error: &io::Error| matches!(error.kind(), StorageFull | QuotaExceeded);
        matches!(self, Self::Io { source, .. } if is_full(source))
    }
}

/// Reads the keyring in a file that its owner alone may read and write. Links are followed.
///
/// # Errors
/// [`KeyringFileError`] if the file cannot be read, others than its owner have access, or it holds no keyring.
pub fn read(path: &Path) -> Result<Keyring, KeyringFileError> {
    let failed = |source| KeyringFileError::Io {
        doing: "read",
        path: path.to_owned(),
        source,
    };
    let not_a_keyring_file = || KeyringFileError::NotAKeyringFile {
        path: path.to_owned(),
    };
    // Looked at before it is opened: opening a pipe would wait for a writer.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(not_a_keyring_file());
    }
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyringFileError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(not_a_keyring_file());
    }
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    parse(&text)
}

/// Writes the keyring to `path`, mode 0600, in place of the file that was there: whole or not at all,
/// also through a crash. Two writers at once leave the keyring of one of them.
///
/// # Errors
/// [`KeyringFileError::Io`] if it cannot be written; the file that was there stays.
pub fn write(path: &Path, keyring: &Keyring) -> Result<(), KeyringFileError> {
    private_file::write(path, render(keyring).as_bytes()).map_err(|source| KeyringFileError::Io {
        doing: "write",
        path: path.to_owned(),
        source,
    })
}

/// Reads the text of a keyring file.
///
/// # Errors
/// [`KeyringFileError`] if it is no TOML, or no keyring.
pub fn parse(text: &str) -> Result<Keyring, KeyringFileError> {
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
        // The error itself would quote the line, and the line may be a secret.
        let start = error.span().map_or(0, |span| span.start);
        let before = text.as_bytes().iter().take(start);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        KeyringFileError::Syntax { line }
    })?;
    let tables = match table.remove("key") {
        Some(Value::Array(tables)) if table.is_empty() => tables,
        None if table.is_empty() => Vec::new(),
        _ => return Err(KeyringFileError::NotKeys),
    };
    let keys = tables
        .iter()
        .zip(1..)
        .map(|(key, place)| signing_key(key, place));
    Ok(Keyring::new(keys.collect::<Result<_, _>>()?)?)
}

/// The text that [`parse`] reads back. It holds the secrets.
pub fn render(keyring: &Keyring) -> Zeroizing<String> {
    // Room enough for keys of usual size: a string that grows leaves a copy behind, which is not wiped.
    let room = 256 * (1 + keyring.keys().len());
    let mut text = Zeroizing::new(String::with_capacity(room));
    text.push_str(
        "# Who reads this file can make links to every file: mode 0600, and no copies.\n",
    );
    for key in keyring.keys() {
        let (kid, state, created_at) = (&key.kid, key.state.as_str(), key.created_at);
        text.push_str(&format!("\n[[key]]\nkid = \"{kid}\"\n"));
        if let Some(secret) = &key.secret {
            let secret = Zeroizing::new(BASE64_STANDARD.encode(secret.reveal()));
            for part in ["secret = \"", &secret, "\"\n"] {
                text.push_str(part);
            }
        }
        text.push_str(&format!(
            "state = \"{state}\"\ncreated_at = \"{created_at}\"\n"
        ));
    }
    text
}

/// Adds a key of 32 random bytes: `verify-only`, so that every node may learn it before it signs, or
/// `active` if there was no keyring. A kid that is taken is an error; draw another.
///
/// # Errors
/// [`KeyringFileError`] if the kid is taken.
pub fn generate(
    keyring: Option<Keyring>,
    kid: Kid,
    random: [u8; 32],
    now: UnixSeconds,
) -> Result<Keyring, KeyringFileError> {
    let mut keys = keyring.map(Keyring::into_keys).unwrap_or_default();
    let state = if keys.is_empty() {
        KeyState::Active
    } else {
        KeyState::VerifyOnly
    };
    let random = Zeroizing::new(random);
    let secret = Secret::new(random.to_vec()).map_err(|why| KeyringFileError::Weak {
        kid: kid.clone(),
        why,
    })?;
    keys.push(SigningKey {
        kid,
        state,
        secret: Some(secret),
        created_at: now,
    });
    Ok(Keyring::new(keys)?)
}

/// Makes the key `to` sign; the one that did becomes `verify-only`. Changes nothing if it signs already.
/// To rotate to a fresh key, [`generate`] it first.
///
/// # Errors
/// [`KeyringFileError`] if there is no such key, or it is retired.
pub fn rotate(keyring: Keyring, to: &Kid) -> Result<Keyring, KeyringFileError> {
    if known(&keyring, to)? == KeyState::Retired {
        return Err(KeyringFileError::Retired { kid: to.clone() });
    }
    let mut keys = keyring.into_keys();
    for key in &mut keys {
        if key.kid == *to {
            key.state = KeyState::Active;
        } else if key.state == KeyState::Active {
            key.state = KeyState::VerifyOnly;
        }
    }
    Ok(Keyring::new(keys)?)
}

/// Ends every link of this key and drops its secret for good; its kid stays, so that an
/// operator learns why a link died. Refuses the active key. Changes nothing if it is retired already.
///
/// # Errors
/// [`KeyringFileError`] if there is no such key, or it is the active one.
pub fn retire(keyring: Keyring, kid: &Kid) -> Result<Keyring, KeyringFileError> {
    if known(&keyring, kid)? == KeyState::Active {
        return Err(KeyringFileError::Active { kid: kid.clone() });
    }
    let mut keys = keyring.into_keys();
    for key in keys.iter_mut().filter(|key| key.kid == *kid) {
        key.state = KeyState::Retired;
        key.secret = None;
    }
    Ok(Keyring::new(keys)?)
}

fn known(keyring: &Keyring, kid: &Kid) -> Result<KeyState, KeyringFileError> {
    let key = keyring.key(kid);
    key.map(|key| key.state)
        .ok_or_else(|| KeyringFileError::Unknown { kid: kid.clone() })
}

fn signing_key(value: &Value, place: usize) -> Result<SigningKey, KeyringFileError> {
    let field = |name| value.get(name).and_then(Value::as_str);
    let kid = field("kid").and_then(Kid::parse);
    let key = match &kid {
        Some(kid) => format!("key {kid}"),
        None => format!("key number {place}"),
    };
    let wrong = |why| KeyringFileError::Key {
        key: key.clone(),
        why,
    };
    let table = value.as_table().ok_or_else(|| wrong("is no table"))?;
    if !table.keys().all(|name| FIELDS.contains(&name.as_str())) {
        return Err(wrong(
            "has a field besides kid, secret, state and created_at",
        ));
    }
    let kid = kid.ok_or_else(|| wrong("has no kid of 1 to 16 letters and digits"))?;
    let state = field("state")
        .and_then(KeyState::parse)
        .ok_or_else(|| wrong("has no state active, verify-only or retired"))?;
    let created_at = field("created_at")
        .and_then(UnixSeconds::parse_rfc3339)
        .ok_or_else(|| wrong("has no created_at as in \"2026-05-18T15:34:52Z\""))?;
    let secret = match table.get("secret") {
        None => None,
        Some(text) => {
            let bytes = text
                .as_str()
                .and_then(|text| BASE64_STANDARD.decode(text).ok());
            let bytes = bytes.ok_or_else(|| wrong("has a secret that is no base64"))?;
            let weak = |why| KeyringFileError::Weak {
                kid: kid.clone(),
                why,
            };
            Some(Secret::new(bytes).map_err(weak)?)
        }
    };
    Ok(SigningKey {
        kid,
        state,
        secret,
        created_at,
    })
}

#[cfg(test)]
mod tests;
