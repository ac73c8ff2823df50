//! Apps: callers that sign their requests instead of sending an API key.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::Gateway;
use super::principal::{Principal, Recognized};
use super::refusal::{FieldFault, Refusal};
use super::tenants::{NewApiKey, random};
use crate::model::app::{App, AppSecret};
use crate::model::id::{ApiKeyId, AppId, OrganizationId};
use crate::model::key::ApiKey;

/// An app that may sign, its signature not yet seen.
#[derive(Debug)]
pub struct SigningApp {
    /// The app, and its key.
    found: Arc<(App, ApiKey)>,
    principal: Principal,
}

impl SigningApp {
    /// Who calls, if `signature` is the HMAC-SHA256 of `message` under the app's secret; compared in
    /// constant time. It is yet to be let in, as whoever presents an API key is.
    pub fn verify(self, message: &str, signature: &[u8; 32]) -> Result<Recognized, Refusal> {
        let secret = self.found.0.secret.reveal().as_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret)
            .map_err(|error| Refusal::Internal(format!("an app secret is no key: {error}")))?;
        mac.update(message.as_bytes());
        mac.verify_slice(signature)
            .map_err(|_| Refusal::KeyUnknown)?;
        Ok(Recognized(self.principal))
    }
}

impl Gateway {
    /// Makes an API key and an app that acts as it, and answers both with the key's text; where it fails,
    /// neither is made. The app's secret is the operator's own, else 43 base64url characters of 32 random
    /// bytes.
    pub async fn create_app(
        &self,
        new: NewApiKey,
        secret: Option<&str>,
    ) -> Result<(ApiKey, String, App), Refusal> {
        let secret = match secret {
            Some(text) => text.to_owned(),
            None => BASE64_URL_SAFE_NO_PAD.encode(random::<32>()?),
        };
        // The value is a secret: it is not repeated.
        let secret = AppSecret::parse(&secret)
            .map_err(|error| FieldFault::missing("app_secret", error.to_string()))?;
        let (key, text) = self.new_api_key(new).await?;
        let app = App {
            id: AppId::from_random(random()?),
            key: key.id.clone(),
            secret,
            created_at: self.clock.now(),
        };
        self.catalog.create_app(&key, &app).await?;
        Ok((key, text, app))
    }

    /// The apps of one organization's API keys, or of all, oldest first, each with its key. Their secrets
    /// are not read.
    pub async fn apps(
        &self,
        organization: Option<&OrganizationId>,
    ) -> Result<Vec<(AppId, ApiKeyId)>, Refusal> {
        Ok(self.catalog.apps(organization).await?)
    }

    /// The app that says it signs. Its API key must work. Who calls is known only once the signature is
    /// [verified](SigningApp::verify).
    pub async fn signing_app(&self, id: &str) -> Result<SigningApp, Refusal> {
        let id = AppId::parse(id).map_err(|_| Refusal::KeyUnknown)?;
        let at = self.rows_at();
        let found = match self.cache.apps.get(&id, at) {
            Some(kept) => kept,
            None => {
                let look = || async {
                    let found = self.catalog.app(&id).await?.map(Arc::new);
                    if let Some(found) = &found {
                        let app = Arc::clone(found);
                        self.cache.apps.keep_row(id.clone(), app, at);
                    }
                    Ok(found)
                };
                let found = self.cache.apps.read(id.clone(), at, look).await?;
                found.ok_or(Refusal::KeyUnknown)?
            }
        };
        let principal = self.working(&found.1)?;
        Ok(SigningApp { found, principal })
    }
}
