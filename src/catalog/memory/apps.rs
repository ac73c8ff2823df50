//! Apps in memory.

use super::Memory;
use crate::catalog::apps::Apps;
use crate::catalog::{Answer, missing, taken};
use crate::model::app::App;
use crate::model::id::{ApiKeyId, AppId, OrganizationId};
use crate::model::key::ApiKey;

impl Apps for Memory {
    fn create_app<'a>(&'a self, key: &'a ApiKey, app: &'a App) -> Answer<'a, ()> {
        self.change(|rows| {
            if app.key != key.id {
                return Err(missing("the API key"));
            }
            if rows.apps.contains_key(&app.id) {
                return Err(taken("the app"));
            }
            rows.create_api_key(key)?;
            rows.apps.insert(app.id.clone(), app.clone());
            Ok(())
        })
    }

    fn app<'a>(&'a self, id: &'a AppId) -> Answer<'a, Option<(App, ApiKey)>> {
        self.look(|rows| {
            let app = rows.apps.get(id);
            let key = app.and_then(|app| rows.keys.get(&app.key));
            Ok(app.cloned().zip(key.cloned()))
        })
    }

    fn apps<'a>(
        &'a self,
        organization: Option<&'a OrganizationId>,
    ) -> Answer<'a, Vec<(AppId, ApiKeyId)>> {
        self.look(move |rows| {
            let of = |app: &&App| {
                let key = rows.keys.get(&app.key);
                organization.is_none_or(|it| key.is_some_and(|key| key.organization == *it))
            };
            let mut apps: Vec<&App> = rows.apps.values().filter(of).collect();
            // The sort is stable, so apps of one second stay in the order of their ids.
            apps.sort_by_key(|app| app.created_at);
            let ids = |app: &App| (app.id.clone(), app.key.clone());
            Ok(apps.into_iter().map(ids).collect())
        })
    }
}
