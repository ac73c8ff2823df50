//! The output of each command, with the names of its JSON fields.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::output::Show;
use crate::config::Setting;
use crate::gateway::mint::Minted;
use crate::model::digest::Sha256Digest;
use crate::model::file::FileRecord;
use crate::sign::keyring::SigningKey;
use crate::sign::log_hash;
use crate::telemetry::audit::Event;

pub(super) use api_keys::{CreatedApiKey, ListedApiKey};
pub(super) use doctor::{CheckSummary, FileFinding, Miscounted};
pub(super) use downloads::Downloads;
pub(super) use migrate::{Halves, LeftOut, Migrated};
pub(super) use revoked::Revocation;
pub(super) use shared::{SharedLink, SharedPage};
pub(super) use shares::{ListedShare, WholeShare};
pub(super) use tenancy::TenancyEntry;
pub(super) use verified::{SpentDownloads, Verification};

mod api_keys;
mod doctor;
mod downloads;
mod migrate;
mod revoked;
mod shared;
mod shares;
mod tenancy;
mod verified;

/// A file, in a list.
#[derive(Serialize)]
pub(super) struct FileEntry {
    file_id: String,
    organization_id: String,
    space_id: String,
    filename: String,
    mime_type: String,
    size_bytes: u64,
    /// `None` of a file that nobody has read.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    purpose: &'static str,
    status: &'static str,
    metadata: BTreeMap<String, String>,
    created_at: String,
    updated_at: String,
    link_revision: u64,
    /// Time from which on it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// Time since which its bytes are known to be damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged_at: Option<String>,
}

impl From<&FileRecord> for FileEntry {
    fn from(file: &FileRecord) -> Self {
        let pairs = file.metadata.pairs();
        Self {
            file_id: file.id.to_string(),
            organization_id: file.organization.to_string(),
            space_id: file.space.to_string(),
            filename: file.name.to_string(),
            mime_type: file.media_type.to_string(),
            size_bytes: file.size,
            sha256: file.sha256.map(Sha256Digest::to_hex),
            purpose: file.purpose.as_str(),
            status: file.state.as_str(),
            metadata: pairs
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            created_at: file.created_at.to_string(),
            updated_at: file.updated_at.to_string(),
            link_revision: file.link_revision,
            expires_at: file.expires_at.map(|end| end.to_string()),
            damaged_at: file.damaged_at.map(|since| since.to_string()),
        }
    }
}

impl Show for FileEntry {
    fn lines(&self) -> Vec<String> {
        let until = self.expires_at.as_ref();
        let until = until.map_or_else(String::new, |end| format!("  until {end}"));
        vec![format!(
            "{}  {:>12}  {}  {}  {}{until}",
            self.file_id, self.size_bytes, self.created_at, self.mime_type, self.filename
        )]
    }
}

/// A file, alone, with everything that is known of it.
#[derive(Serialize)]
pub(super) struct WholeFile {
    #[serde(flatten)]
    pub(super) file: FileEntry,
    #[serde(flatten)]
    pub(super) counts: Downloads,
}

impl Show for WholeFile {
    fn lines(&self) -> Vec<String> {
        let file = &self.file;
        let sha256 = file.sha256.as_deref();
        let mut lines = vec![
            format!("file_id: {}", file.file_id),
            format!("organization_id: {}", file.organization_id),
            format!("space_id: {}", file.space_id),
            format!("filename: {}", file.filename),
            format!("mime_type: {}", file.mime_type),
            format!("size_bytes: {}", file.size_bytes),
            format!("sha256: {}", sha256.unwrap_or("not known")),
            format!("purpose: {}", file.purpose),
            format!("status: {}", file.status),
            format!("created_at: {}", file.created_at),
            format!("updated_at: {}", file.updated_at),
            format!("link_revision: {}", file.link_revision),
        ];
        let end = file.expires_at.iter();
        lines.extend(end.map(|end| format!("expires_at: {end}")));
        let damaged = file.damaged_at.iter();
        lines.extend(damaged.map(|since| format!("damaged_at: {since}")));
        let metadata = file.metadata.iter();
        lines.extend(metadata.map(|(key, value)| format!("metadata {key}: {value}")));
        lines.extend(self.counts.lines());
        lines
    }
}

/// The result for one file.
#[derive(Serialize)]
pub(super) struct Removed {
    pub(super) file_id: String,
    pub(super) status: &'static str,
}

impl Show for Removed {
    fn lines(&self) -> Vec<String> {
        vec![format!("{}  {}", self.file_id, self.status)]
    }
}

/// A signed URL.
#[derive(Serialize)]
pub(super) struct Link {
    pub(super) file_id: String,
    /// `None` where it was signed without the catalogue.
    pub(super) filename: Option<String>,
    pub(super) download_url: String,
    pub(super) token: String,
    pub(super) expires: u64,
    pub(super) link_id: String,
    pub(super) kid: String,
}

impl From<Minted> for Link {
    fn from(minted: Minted) -> Self {
        Self {
            file_id: minted.file.id.to_string(),
            filename: Some(minted.file.name.to_string()),
            download_url: minted.download_url,
            token: minted.token,
            expires: minted.expires.get(),
            link_id: minted.link_id.to_string(),
            kid: minted.kid.to_string(),
        }
    }
}

impl Show for Link {
    fn lines(&self) -> Vec<String> {
        vec![self.download_url.clone()]
    }
}

/// A signing key, without its secret.
#[derive(Serialize)]
pub(super) struct SigningKeyEntry {
    kid: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
}

impl SigningKeyEntry {
    /// Returns the key as a list shows it.
    pub(super) fn listed(key: &SigningKey) -> Self {
        Self {
            created_at: Some(key.created_at.to_string()),
            ..Self::changed(key)
        }
    }

    /// Returns the key as it is after a change.
    pub(super) fn changed(key: &SigningKey) -> Self {
        Self {
            kid: key.kid.to_string(),
            state: key.state.as_str(),
            created_at: None,
        }
    }

    /// Returns the state's name in the audit stream.
    pub(super) fn event(&self) -> Event<'_> {
        Event {
            event: "signing_key",
            kid: Some(&self.kid),
            state: Some(self.state),
            ..Event::default()
        }
    }
}

impl Show for SigningKeyEntry {
    fn lines(&self) -> Vec<String> {
        let created_at = self.created_at.iter().map(|time| format!("  {time}"));
        let rest: String = created_at.collect();
        vec![format!("{}  {}{rest}", self.kid, self.state)]
    }
}

/// A text as the log has it.
#[derive(Serialize)]
pub(super) struct LogHashEntry {
    /// The signing key that the hash's key comes from.
    kid: String,
    log_hash: String,
}

impl From<&log_hash::LogHash> for LogHashEntry {
    fn from(hash: &log_hash::LogHash) -> Self {
        Self {
            kid: hash.kid().to_string(),
            log_hash: hash.to_string(),
        }
    }
}

impl Show for LogHashEntry {
    fn lines(&self) -> Vec<String> {
        vec![self.log_hash.clone()]
    }
}

/// A signing key narrowed down to an organization. It holds a secret.
#[derive(Serialize)]
pub(super) struct DerivedKey<'a> {
    pub(super) organization_id: String,
    pub(super) kid: String,
    pub(super) organization_epoch: u64,
    pub(super) organization_key: &'a str,
}

impl Show for DerivedKey<'_> {
    /// The key alone: what `hallpass sign --organization-key` wants in a file.
    fn lines(&self) -> Vec<String> {
        vec![self.organization_key.to_owned()]
    }
}

/// A gateway that accepts connections.
#[derive(Serialize)]
pub(super) struct Serving {
    pub(super) listeners: Vec<String>,
    pub(super) admin: Option<String>,
    pub(super) organization_id: String,
    pub(super) kid: String,
    pub(super) api_key: Option<String>,
    /// The file that a person finds the key in, instead of here.
    #[serde(skip)]
    pub(super) api_key_file: Option<PathBuf>,
}

impl Show for Serving {
    fn lines(&self) -> Vec<String> {
        let listeners = self.listeners.iter();
        let listening = listeners.map(|url| format!("listening on {url}"));
        let api_key = self.api_key.iter().flat_map(|key| {
            let scope = format!(
                "this first key may do everything in {} for ever: read, mint, write, admin; make narrower ones with \
                 `hallpass apikey create --scope mint`, and end it with `hallpass apikey deactivate`",
                self.organization_id
            );
            let key = match &self.api_key_file {
                Some(file) => format!("api key: in {}", file.display()),
                None => format!("api key: {key}"),
            };
            [key, scope]
        });
        listening.chain(api_key).collect()
    }
}

/// One setting of the configuration.
#[derive(Serialize)]
pub(super) struct ConfigSetting {
    key: &'static str,
    value: String,
    origin: String,
}

impl From<&Setting> for ConfigSetting {
    fn from(setting: &Setting) -> Self {
        Self {
            key: setting.key,
            value: setting.value.clone(),
            origin: setting.origin.to_string(),
        }
    }
}

impl Show for ConfigSetting {
    fn lines(&self) -> Vec<String> {
        vec![format!(
            "{} = \"{}\"  ({})",
            self.key, self.value, self.origin
        )]
    }
}

/// The documented sample of a configuration file.
#[derive(Serialize)]
pub(super) struct Sample {
    pub(super) sample: &'static str,
}

impl Show for Sample {
    fn lines(&self) -> Vec<String> {
        self.sample.lines().map(str::to_owned).collect()
    }
}
