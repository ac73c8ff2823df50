//! The caller of a request, as its API key names it.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::Gateway;
use super::cache::UNKNOWN_FOR;
use super::refusal::Refusal;
use crate::model::digest::Sha256Digest;
use crate::model::id::{ApiKeyId, OrganizationId};
use crate::model::key::{ApiKey, ApiKeyState, Scope, Scopes};

/// The longest API key, in bytes.
pub const API_KEY_BYTES_MAX: usize = 256;

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The API key that was presented.
    pub key: ApiKeyId,
    /// The organization it acts for.
    pub organization: OrganizationId,
    /// The scopes of its key.
    pub scopes: Scopes,
}

/// A caller whose API key works, and who is yet to be let in.
#[derive(Debug)]
#[must_use]
pub struct Recognized(pub(super) Principal);

impl Recognized {
    /// The API key that was presented.
    pub const fn key(&self) -> &ApiKeyId {
        &self.0.key
    }

    /// The organization it acts for.
    pub const fn organization(&self) -> &OrganizationId {
        &self.0.organization
    }
}

impl Principal {
    /// Says no unless the key belongs to the organization of this text, and has the scope. An unknown
    /// organization and another's are the same no.
    pub fn may(&self, scope: Scope, organization: &str) -> Result<(), Refusal> {
        if self.organization.as_str() != organization {
            return Err(Refusal::OrganizationDenied);
        }
        self.allows(scope)
    }

    /// Says no unless the key has the scope, where nothing but the key names the organization.
    pub fn allows(&self, scope: Scope) -> Result<(), Refusal> {
        if self.scopes.allow(scope) {
            Ok(())
        } else {
            Err(Refusal::ScopeMissing(scope))
        }
    }
}

/// Returns whether the text can be an API key: 1 to 256 visible ASCII characters.
pub fn is_api_key(text: &str) -> bool {
    (1..=API_KEY_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns the digest that the catalogue keeps of an API key. The key is 32 random bytes or what an operator
/// imported, so one SHA-256 is enough, and looking it up by digest leaks nothing of it through time.
pub fn api_key_digest(text: &str) -> Sha256Digest {
    Sha256Digest::new(Sha256::digest(text).into())
}

impl Gateway {
    /// Finds out who presents this API key. A key that expired, is paused or was deactivated says so. The caller is
    /// yet to be let in by [`Limits::admit_caller`](super::limits::Limits::admit_caller).
    pub async fn recognize(&self, presented: &str) -> Result<Recognized, Refusal> {
        if !is_api_key(presented) {
            return Err(Refusal::KeyUnknown);
        }
        let at = self.rows_at();
        let digest = api_key_digest(presented);
        if let Some(kept) = self.cache.keys.get(&digest, at) {
            return self.working(&kept).map(Recognized);
        }
        let unknown = &self.cache.unknown_keys;
        let is_unknown = |until| self.clock.elapsed() < until;
        if unknown.get(&digest, at).is_some_and(is_unknown) {
            return Err(Refusal::KeyUnknown);
        }
        let read_row = || async {
            // Of many that come at once, the first one has asked by now.
            if unknown.get(&digest, at).is_some_and(is_unknown) {
                return Ok(None);
            }
            let found = self.catalog.api_key(&digest);
            let found = self.read_of_stranger(found).await?.map(Arc::new);
            match &found {
                Some(key) => self.cache.keys.keep_row(digest, Arc::clone(key), at),
                None => unknown.keep(digest, self.clock.elapsed() + UNKNOWN_FOR, at, 1),
            }
            Ok(found)
        };
        let found = self.cache.keys.flights.read(digest, at, read_row).await?;
        let key = found.ok_or(Refusal::KeyUnknown)?;
        self.working(&key).map(Recognized)
    }

    /// Returns the principal that the key stands for, if the key works now.
    pub(super) fn working(&self, key: &ApiKey) -> Result<Principal, Refusal> {
        match key.state {
            ApiKeyState::Deactivated => return Err(Refusal::KeyDeactivated),
            ApiKeyState::Paused => return Err(Refusal::KeyPaused),
            ApiKeyState::Active => {}
        }
        if key.expires_at.is_some_and(|end| end <= self.clock.now()) {
            return Err(Refusal::KeyExpired);
        }
        Ok(Principal {
            key: key.id.clone(),
            organization: key.organization.clone(),
            scopes: key.scopes,
        })
    }
}
