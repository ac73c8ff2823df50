//! Apps: callers that sign their requests instead of sending an API key.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::Gateway;
use super::principal::Recognized;
use super::refusal::{FieldFault, Refusal};
use super::revocations::RowsAt;
use super::tenants::{NewApiKey, random};
use crate::model::app::{App, AppSecret};
use crate::model::id::{ApiKeyId, AppId, OrganizationId};
use crate::model::key::ApiKey;

/// The secret that a signature is held against where there is no app.
const NOBODYS_SECRET: &str = "nobody has this secret, and no signature under it is ever good";

/// Returns whether `signature` is the HMAC-SHA256 of `message` under the app's secret; compared in constant time. It
/// never is where there is no app, after the same work.
fn has_signed(app: Option<&App>, message: &str, signature: &[u8; 32]) -> Result<bool, Refusal> {
    let secret = app.map_or(NOBODYS_SECRET, |app| app.secret.reveal());
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map_err(|error| Refusal::Internal(format!("an app secret is no key: {error}")))?;
    mac.update(message.as_bytes());
    let is_good = mac.verify_slice(signature).is_ok();
    Ok(is_good && app.is_some())
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
        let create = self.catalog.create_app(&key, &app);
        self.ask(self.changing(create)).await?;
        Ok((key, text, app))
    }

    /// The apps of one organization's API keys, or of all, oldest first, each with its key. Their secrets
    /// are not read.
    pub async fn apps(
        &self,
        organization: Option<&OrganizationId>,
    ) -> Result<Vec<(AppId, ApiKeyId)>, Refusal> {
        self.ask(self.catalog.apps(organization)).await
    }

    /// Finds out who calls as the app `id`: its API key, if `signature` is the HMAC-SHA256 of `message` under
    /// the app's secret and that key works. The caller is yet to be let in, as whoever presents an API key is.
    ///
    /// A refusal does not tell in its time whether there is such an app: a signature is checked where there is
    /// none, too, and each that is refused costs one MAC, one query that finds an app, and two that find none, the
    /// last one of them, also where the app is in the cache. Only a good signature puts it there.
    ///
    /// # Errors
    /// [`Refusal::KeyUnknown`] of a wrong signature and of an app that is none. Of a key that does not work
    /// only a caller that has signed is told.
    pub async fn recognize_app(
        &self,
        id: &str,
        message: &str,
        signature: &[u8; 32],
    ) -> Result<Recognized, Refusal> {
        let id = AppId::parse(id).map_err(|_| Refusal::KeyUnknown)?;
        let at = self.rows_at();
        let kept = self.cache.apps.get(&id, at);
        let is_kept = kept.is_some();
        let found = match kept {
            Some(kept) => Some(kept),
            None => self.app_row(&id, at).await?,
        };
        let app = found.as_ref().map(|found| &found.0);
        let is_good = has_signed(app, message, signature)?;
        let Some(found) = found.as_ref().filter(|_| is_good) else {
            if is_kept {
                self.app_row(&id, at).await?;
            }
            self.look_for_the_other(found.is_some(), &id, at).await?;
            self.look_for_no_app(at).await?;
            return Err(Refusal::KeyUnknown);
        };
        if !is_kept {
            self.cache.apps.keep_row(id, Arc::clone(found), at);
        }
        self.working(&found.1).map(Recognized)
    }

    async fn app_row(
        &self,
        id: &AppId,
        at: Option<RowsAt>,
    ) -> Result<Option<Arc<(App, ApiKey)>>, Refusal> {
        let look = || async {
            let found = self.read_of_stranger(self.catalog.app(id)).await?;
            Ok(found.map(Arc::new))
        };
        self.cache.apps.flights.read(id.clone(), at, look).await
    }

    /// Looks for an app that there is not.
    async fn look_for_no_app(&self, at: Option<RowsAt>) -> Result<(), Refusal> {
        let nobody = AppId::from_random(random()?);
        self.app_row(&nobody, at).await.map(drop)
    }

    /// Looks for an app that there is not, behind a query that found one, and for one that there is behind
    /// one that found none: reading a row takes time.
    async fn look_for_the_other(
        &self,
        was_found: bool,
        id: &AppId,
        at: Option<RowsAt>,
    ) -> Result<(), Refusal> {
        let other = match (was_found, self.some_app.get()) {
            (true, _) => return self.look_for_no_app(at).await,
            (false, Some(some)) => some.clone(),
            (false, None) => {
                // An installation without apps has nothing to reveal.
                let apps = self.read_of_stranger(self.catalog.apps(None)).await?;
                let first = apps.into_iter().next().map(|(first, _)| first);
                first.map_or_else(
                    || id.clone(),
                    |first| self.some_app.get_or_init(|| first).clone(),
                )
            }
        };
        self.app_row(&other, at).await.map(drop)
    }
}
