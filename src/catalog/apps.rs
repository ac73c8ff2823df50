//! The sub-trait for apps, which sign requests for an API key.

use super::Answer;
use crate::model::app::App;
use crate::model::id::{ApiKeyId, AppId, OrganizationId};
use crate::model::key::ApiKey;

/// Keeps apps, under the contract of [`Catalog`](super::Catalog).
pub trait Apps: Send + Sync {
    /// Adds an API key as [`Catalog::create_api_key`](super::Catalog::create_api_key) does, and the app
    /// that acts as it: both or neither. `Conflict` also if the app's id is there already, `NotFound`
    /// if the app names another key.
    fn create_app<'a>(&'a self, key: &'a ApiKey, app: &'a App) -> Answer<'a, ()>;

    /// The app of this id, and the API key that it acts as, in whatever state.
    fn app<'a>(&'a self, id: &'a AppId) -> Answer<'a, Option<(App, ApiKey)>>;

    /// The apps of one organization's API keys, or of all, each with the key that it acts as; ordered by
    /// the app's creation, then by its id. Their secrets are not read.
    fn apps<'a>(
        &'a self,
        organization: Option<&'a OrganizationId>,
    ) -> Answer<'a, Vec<(AppId, ApiKeyId)>>;
}
