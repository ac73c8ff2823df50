//! The chapter of the port about apps: who signs requests for an API key.

use super::Answer;
use crate::model::app::App;
use crate::model::id::{AppId, OrganizationId};
use crate::model::key::ApiKey;

/// Where apps are kept, under the contract of [`Catalog`](super::Catalog).
pub trait Apps: Send + Sync {
    /// Adds an app to an existing API key, which may have several. `NotFound` for an unknown key,
    /// `Conflict` if the id is there already.
    fn create_app<'a>(&'a self, app: &'a App) -> Answer<'a, ()>;

    /// The app of this id, and the API key that it acts as, in whatever state.
    fn app<'a>(&'a self, id: &'a AppId) -> Answer<'a, Option<(App, ApiKey)>>;

    /// The apps of one organization's API keys, or of all; ordered by creation, then by id.
    fn apps<'a>(&'a self, organization: Option<&'a OrganizationId>) -> Answer<'a, Vec<App>>;
}
