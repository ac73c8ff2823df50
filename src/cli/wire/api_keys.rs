//! API keys and their apps, as the command line prints them.

use serde::Serialize;

use crate::cli::output::Show;
use crate::model::app::App;
use crate::model::id::{ApiKeyId, AppId};
use crate::model::key::ApiKey;

/// An API key, without its text.
#[derive(Serialize)]
pub(in crate::cli) struct ListedApiKey {
    api_key_id: String,
    organization_id: String,
    name: String,
    scopes: Vec<&'static str>,
    expires_at: Option<String>,
    state: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    app_ids: Vec<String>,
}

impl From<&ApiKey> for ListedApiKey {
    fn from(key: &ApiKey) -> Self {
        Self {
            api_key_id: key.id.to_string(),
            organization_id: key.organization.to_string(),
            name: key.name.clone(),
            scopes: key.scopes.names(),
            expires_at: key.expires_at.map(|time| time.to_string()),
            state: key.state.as_str(),
            app_ids: Vec::new(),
        }
    }
}

impl ListedApiKey {
    /// The key and those of the apps that are its own.
    pub(in crate::cli) fn with_apps(key: &ApiKey, apps: &[(AppId, ApiKeyId)]) -> Self {
        let own = apps.iter().filter(|(_, of)| *of == key.id);
        Self {
            app_ids: own.map(|(id, _)| id.to_string()).collect(),
            ..key.into()
        }
    }
}

impl Show for ListedApiKey {
    fn lines(&self) -> Vec<String> {
        let end = end_of(self.expires_at.as_ref());
        let mut line = format!(
            "{}  {}  {}  {}  {end}  {}",
            self.api_key_id,
            self.organization_id,
            self.state,
            self.scopes.join(","),
            self.name
        );
        for app in &self.app_ids {
            line.push_str(&format!("  {app}"));
        }
        vec![line]
    }
}

/// An API key that was just made, with its text, and perhaps its app's secret: the only time that they
/// are shown.
#[derive(Serialize)]
pub(in crate::cli) struct CreatedApiKey {
    api_key_id: String,
    api_key: String,
    organization_id: String,
    name: String,
    scopes: Vec<&'static str>,
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_secret: Option<String>,
}

impl CreatedApiKey {
    /// The key and its text, and its app.
    pub(in crate::cli) fn new(key: &ApiKey, text: String, app: Option<&App>) -> Self {
        let listed = ListedApiKey::from(key);
        Self {
            api_key_id: listed.api_key_id,
            api_key: text,
            organization_id: listed.organization_id,
            name: listed.name,
            scopes: listed.scopes,
            expires_at: listed.expires_at,
            app_id: app.map(|app| app.id.to_string()),
            app_secret: app.map(|app| app.secret.reveal().to_owned()),
        }
    }
}

/// Until when a key works.
fn end_of(expires_at: Option<&String>) -> String {
    match expires_at {
        Some(time) => format!("until {time}"),
        None => "for ever".into(),
    }
}

impl Show for CreatedApiKey {
    fn lines(&self) -> Vec<String> {
        let end = end_of(self.expires_at.as_ref());
        let mut lines = vec![
            format!("api key: {}", self.api_key),
            format!("api key id: {}", self.api_key_id),
            format!("organization: {}", self.organization_id),
            format!("scopes: {}, {end}", self.scopes.join(", ")),
        ];
        lines.extend(self.app_id.iter().map(|id| format!("app id: {id}")));
        let secret = self.app_secret.iter();
        lines.extend(secret.map(|secret| format!("app secret: {secret}")));
        lines
    }
}
